//! Compression and decompression of stored data.

use std::cell::RefCell;
use std::io::Read;

use super::Malformed;

/// Maximum size for decompression into a buffer of the expected size. Larger data is decompressed in steps, because a damaged file may
/// contain any size.
const AT_ONCE_BYTES: usize = 1 << 20;
/// Maximum window of a frame that is decompressed in steps, as a power of two in bytes. The frames that this module writes have smaller
/// windows.
const MAX_WINDOW_LOG: u32 = 23;

/// First bytes of each frame (RFC 8878, section 3.1.1).
const MAGIC: [u8; 4] = zstd::zstd_safe::MAGICNUMBER.to_le_bytes();

/// A compressor that is kept for reuse, because creating one takes longer than most compressions.
type Kept = RefCell<Option<zstd::bulk::Compressor<'static>>>;

/// Compresses data. Returns `None` if the result would not be smaller.
pub fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESSOR: Kept = const { RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| compress_by(kept, 1, plain))
}

/// Compresses like [`compress`], at a level that suits a few hundred bytes: repetitions are replaced, but literals are not entropy coded.
/// Building the code tables would take twice as long as the rest of the compression.
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

/// Decompresses data that [`compress`] has written. `bytes` is the expected size. Neither argument is trusted: apart from a constant
/// amount, the memory used depends on the actual size of the decompressed data.
///
/// # Errors
/// Returns an error if the data is damaged.
pub fn decompress(compressed: &[u8], bytes: usize) -> Result<Vec<u8>, Malformed> {
    thread_local! {
        /// Kept for reuse, because creating a decompressor takes longer than most decompressions.
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

/// Returns compressed data without the first bytes, which are the same in all.
pub fn bare(compressed: &[u8]) -> &[u8] {
    compressed.strip_prefix(&MAGIC).unwrap_or(compressed)
}

/// Decompresses data that is [`bare`], like [`decompress`]. The data says its size, which is at most `most` bytes.
///
/// # Errors
/// Returns an error if the data is damaged or too long.
pub fn decompress_bare(bare: &[u8], most: usize) -> Result<Vec<u8>, Malformed> {
    let compressed = [&MAGIC, bare].concat();
    let bytes = zstd::zstd_safe::get_frame_content_size(&compressed).ok().flatten();
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes <= most);
    decompress(&compressed, bytes.ok_or(Malformed("it says no size, or is too long"))?)
}

fn whole(plain: Vec<u8>, bytes: usize) -> Result<Vec<u8>, Malformed> {
    if plain.len() == bytes { Ok(plain) } else { Err(Malformed("it has another length than it says")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_bytes_are_restored_only_with_their_exact_length() {
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

    #[test]
    fn bare_bytes_are_restored_up_to_a_size() {
        for bytes in [200, 500, AT_ONCE_BYTES + 1] {
            let plain = vec![7; bytes];
            let compressed = compress_little(&plain).unwrap();
            let bare = bare(&compressed);
            assert_eq!(bare.len() + 4, compressed.len());
            assert_eq!(decompress_bare(bare, bytes).as_deref(), Ok(&*plain));
            assert!(decompress_bare(bare, bytes - 1).is_err());
            assert!(decompress_bare(&bare[..bare.len() - 1], bytes).is_err());
            assert!(decompress_bare(&compressed, bytes).is_err());
        }
        assert!(decompress_bare(b"", 9).is_err());
    }

    /// The header of a frame specifies the memory that its decompression needs.
    #[test]
    fn a_frame_that_looks_back_too_far_is_refused() {
        // Magic number; no content size and no single segment; a window of 2^log bytes; nine blocks of 128 KiB, each a repeated byte.
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
