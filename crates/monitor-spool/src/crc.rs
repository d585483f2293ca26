//! CRC-32 compatible with `crc32fast`, for programs without that crate.

const TABLE: [u32; 256] = {
    let (mut table, mut index) = ([0; 256], 0);
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

pub(crate) struct Hasher(u32);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(u32::MAX)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |crc, byte| crc >> 8 ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]);
    }

    pub(crate) fn finalize(self) -> u32 {
        !self.0
    }
}

#[cfg(all(test, feature = "read"))]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_equals_that_of_crc32fast() {
        for length in [0, 1, 7, 8, 1_000] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| (n * 31) as u8).collect();
            let mut hasher = Hasher::new();
            bytes.chunks(3).for_each(|part| hasher.update(part));
            assert_eq!(hasher.finalize(), crc32fast::hash(&bytes), "{length}");
        }
    }
}
