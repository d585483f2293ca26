//! SHA-256 (FIPS 180-4) for short texts. Written by hand, because a library would be compiled into every woven program.

/// Fractional parts of the square roots of the first 8 primes, and of the cube roots of the first 64 primes.
const FIRST: [u32; 8] = fractions(2);
const ROUND: [u32; 64] = fractions(3);

/// Calculates the first 32 bits of the fractional parts of the `root`-th roots of the first primes, by integer bisection.
const fn fractions<const N: usize>(root: u32) -> [u32; N] {
    let (mut found, mut index, mut candidate) = ([0; N], 0, 2_u128);
    while index < N {
        let (mut is_prime, mut divisor) = (true, 2);
        while divisor * divisor <= candidate {
            is_prime = is_prime && candidate % divisor != 0;
            divisor += 1;
        }
        if is_prime {
            // The greatest number whose power is at most the prime times 2^(32 root). It is below 2^37.
            let (mut low, mut high) = (0_u128, 1 << 37);
            while high - low > 1 {
                let middle = low.midpoint(high);
                if middle.pow(root) <= candidate << (32 * root) { low = middle } else { high = middle }
            }
            found[index] = low as u32;
            index += 1;
        }
        candidate += 1;
    }
    found
}

/// Calculates the digest of a message.
pub(crate) fn digest(message: &[u8]) -> [u8; 32] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    let mut state = FIRST;
    for block in padded.chunks_exact(64) {
        compress(&mut state, block);
    }
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[allow(clippy::many_single_char_names, reason = "the names of the standard")]
fn compress(state: &mut [u32; 8], block: &[u8]) {
    let mut words = [0_u32; 64];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    for t in 16..64 {
        let (near, far) = (words[t - 15], words[t - 2]);
        let near = near.rotate_right(7) ^ near.rotate_right(18) ^ near >> 3;
        let far = far.rotate_right(17) ^ far.rotate_right(19) ^ far >> 10;
        words[t] = words[t - 16].wrapping_add(near).wrapping_add(words[t - 7]).wrapping_add(far);
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (word, constant) in words.into_iter().zip(ROUND) {
        let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let one = h.wrapping_add(sum).wrapping_add(e & f ^ !e & g).wrapping_add(constant).wrapping_add(word);
        let sum = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let two = sum.wrapping_add(a & b ^ a & c ^ b & c);
        (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(more);
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    #[test]
    fn the_digest_equals_that_of_the_library() {
        for length in [0_u32, 1, 3, 55, 56, 63, 64, 65, 119, 120, 1_000] {
            let message: Vec<u8> = (0..length).map(|n| (n * 7) as u8).collect();
            assert_eq!(digest(&message)[..], sha2::Sha256::digest(&message)[..], "{length}");
        }
    }
}
