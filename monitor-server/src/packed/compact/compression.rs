//! Compression of what the store keeps, and its end.

use std::cell::RefCell;
use std::io::Read;

use super::Malformed;

/// Reserved at once for what is decompressed; more only as it comes, for a damaged file may say any length.
const RESERVED_BYTES: usize = 1 << 20;
/// A frame looks back over at most so many bytes, as a power of two. The writer's look back over less.
const MAX_WINDOW_LOG: u32 = 23;

/// Returns the bytes compressed; none if they are smaller as they are.
pub(crate) fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(zstd::bulk::Compressor::new(1).ok()?),
        };
        compressor.compress(plain).ok().filter(|compressed| compressed.len() < plain.len())
    })
}

/// Reads what [`compress`] wrote and that is said to have been so many bytes. Neither is believed: it takes no more memory than comes out,
/// but for a little.
pub(crate) fn decompress(compressed: &[u8], bytes: usize) -> Result<Vec<u8>, Malformed> {
    let damaged = |_| Malformed("it can't be decompressed");
    let mut from = zstd::stream::read::Decoder::with_buffer(compressed).map_err(damaged)?;
    from.window_log_max(MAX_WINDOW_LOG).map_err(damaged)?;
    let mut plain = Vec::with_capacity(bytes.min(RESERVED_BYTES));
    from.take((bytes as u64).saturating_add(1)).read_to_end(&mut plain).map_err(damaged)?;
    if plain.len() == bytes { Ok(plain) } else { Err(Malformed("it has another length than it says")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_has_its_length_again_and_no_other() {
        for bytes in [500, RESERVED_BYTES - 1, 3 * RESERVED_BYTES] {
            let plain = vec![7; bytes];
            let compressed = compress(&plain).unwrap();
            assert_eq!(decompress(&compressed, bytes).as_deref(), Ok(&*plain));
            for said in [0, bytes - 1, bytes + 1, 1 << 30, usize::MAX] {
                assert!(decompress(&compressed, said).is_err(), "{bytes} bytes that say they are {said}");
            }
            assert!(decompress(&compressed[..compressed.len() - 1], bytes).is_err());
        }
        assert_eq!(compress(b"0"), None);
    }

    /// A frame may say itself how much memory it wants.
    #[test]
    fn a_frame_that_looks_back_too_far_is_refused() {
        // Magic number; no length and no single segment; a window of 2^30 bytes; one block of the four bytes "abcd", which is the last.
        let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (30 - 10) << 3];
        let frame = [&header[..], &[(4 << 3) | 1, 0, 0], b"abcd"].concat();
        assert!(decompress(&frame, 4).is_err());
        let near = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, (20 - 10) << 3][..], &frame[6..]].concat();
        assert_eq!(decompress(&near, 4).as_deref(), Ok(&b"abcd"[..]));
    }
}
