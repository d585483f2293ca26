//! Compression of what the store keeps, and its end.

use std::cell::RefCell;
use std::io::Read;

use super::Malformed;

/// Whatever is longer is decompressed piece by piece, for a damaged file may say any length.
const AT_ONCE_BYTES: usize = 1 << 20;
/// A frame that is read piece by piece looks back over at most so many bytes, as a power of two. The writer's look back over less.
const MAX_WINDOW_LOG: u32 = 23;

/// A compressor that is kept, for it takes longer to make than most bytes to compress.
type Kept = RefCell<Option<zstd::bulk::Compressor<'static>>>;

/// Returns the bytes compressed; none if they are smaller as they are.
pub fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: Kept = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| compress_by(kept, 1, plain))
}

/// Like [`compress`], for some hundred bytes: what repeats is found, but no codes are made for frequent letters. Making them takes twice
/// as long as all else, for so few bytes.
pub fn compress_little(plain: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: Kept = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| compress_by(kept, -1, plain))
}

fn compress_by(kept: &mut Option<zstd::bulk::Compressor<'static>>, level: i32, plain: &[u8]) -> Option<Vec<u8>> {
    let compressor = match kept {
        Some(compressor) => compressor,
        None => kept.insert(zstd::bulk::Compressor::new(level).ok()?),
    };
    compressor.compress(plain).ok().filter(|compressed| compressed.len() < plain.len())
}

/// Reads what [`compress`] wrote and that is said to have been so many bytes. Neither is believed: it takes no more memory than comes out,
/// but for a little.
///
/// # Errors
/// If the bytes are damaged.
pub fn decompress(compressed: &[u8], bytes: usize) -> Result<Vec<u8>, Malformed> {
    thread_local! {
        /// Made once, for it takes longer to make than most facts to decompress.
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let damaged = |_| Malformed("it can't be decompressed");
    if bytes <= AT_ONCE_BYTES {
        let mut plain = Vec::with_capacity(bytes);
        DECOMPRESSOR.with_borrow_mut(|kept| {
            let decompressor = match kept {
                Some(decompressor) => decompressor,
                None => kept.insert(zstd::bulk::Decompressor::new().map_err(damaged)?),
            };
            decompressor.decompress_to_buffer(compressed, &mut plain).map_err(damaged)
        })?;
        return whole(plain, bytes);
    }
    let mut from = zstd::stream::read::Decoder::with_buffer(compressed).map_err(damaged)?;
    from.window_log_max(MAX_WINDOW_LOG).map_err(damaged)?;
    let mut plain = Vec::with_capacity(AT_ONCE_BYTES);
    from.take((bytes as u64).saturating_add(1)).read_to_end(&mut plain).map_err(damaged)?;
    whole(plain, bytes)
}

fn whole(plain: Vec<u8>, bytes: usize) -> Result<Vec<u8>, Malformed> {
    if plain.len() == bytes { Ok(plain) } else { Err(Malformed("it has another length than it says")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_has_its_length_again_and_no_other() {
        for bytes in [500, AT_ONCE_BYTES - 1, 3 * AT_ONCE_BYTES] {
            let plain = vec![7; bytes];
            assert_eq!(decompress(&compress_little(&plain).unwrap(), bytes).as_deref(), Ok(&*plain));
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
        // Magic number; no length and no single segment; a window of 2^log bytes; nine blocks of 128 KiB that repeat one byte.
        let frame = |log: u8| {
            let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3];
            let block = |last: u32| ((1 << 17 << 3) | (1 << 1) | last).to_le_bytes();
            let blocks = (0..9_u32).flat_map(|n| [&block(u32::from(n == 8))[..3], b"a"].concat());
            header.into_iter().chain(blocks).collect::<Vec<u8>>()
        };
        let plain = vec![b'a'; 9 << 17];
        assert!(decompress(&frame(30), plain.len()).is_err());
        assert_eq!(decompress(&frame(20), plain.len()).as_deref(), Ok(&*plain));
    }
}
