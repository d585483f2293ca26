//! Compression of events, for storage and transmission: gzip, which needs no C compiler, or zstd with the feature of that name.
//!
//! Both encodings can always be read, because a spool outlives the program and its build. Pieces in the same encoding can be concatenated,
//! so a batch is compressed once and can be sent repeatedly with different heads.

use std::cell::Cell;
use std::io::Read;

use flate2::read::GzDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};

/// The first bytes of a gzip member (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Level with the best ratio of time to saved bytes. Level 1 leaves 40 % more bytes; level 3 takes 20 % more time for 4 % fewer bytes
/// (docs/internals/measurements/client.md, *The weight of the client*).
const LEVEL: Compression = Compression::new(2);
/// A window of 16 KiB. The maximum of 32 KiB takes 64 KiB more memory for 1 % fewer bytes.
const WINDOW_BITS: u8 = 14;
/// Length below which texts next to a piece are stored uncompressed.
const SHORT: usize = 2 << 10;

thread_local! {
    /// Compressor of 350 kB, kept per thread. Repeated allocation would make the allocator retain more memory.
    static COMPRESSOR: Cell<Option<Compress>> = const { Cell::new(None) };
}

/// Returns the `Content-Encoding` of a request's body.
pub fn content_encoding(body: &[u8]) -> &'static str {
    if body.starts_with(&GZIP) { "gzip" } else { "zstd" }
}

/// Compresses with zstd.
#[cfg(feature = "zstd")]
pub(crate) fn compress(json: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(json, 1).ok()
}

/// Compresses with gzip.
#[cfg(not(feature = "zstd"))]
pub(crate) fn compress(json: &[u8]) -> Option<Vec<u8>> {
    gzip(json)
}

/// Encodes text that is concatenated with a compressed piece, in the same encoding. Short texts are not compressed.
pub(crate) fn beside(piece: &[u8], json: &[u8]) -> Vec<u8> {
    if !piece.starts_with(&GZIP) {
        crate::parcel::frame(json)
    } else if json.len() < SHORT {
        stored(json)
    } else {
        gzip(json).unwrap_or_default()
    }
}

/// Decompresses a piece. `None` if it is damaged or longer than `longest`.
pub(crate) fn decompress(piece: &[u8], longest: u64) -> Option<Vec<u8>> {
    // The length stated in the piece is not trusted.
    let mut json = Vec::new();
    if piece.starts_with(&GZIP) {
        GzDecoder::new(piece).take(longest).read_to_end(&mut json).ok()?;
    } else {
        unzstd(piece)?.take(longest).read_to_end(&mut json).ok()?;
    }
    Some(json)
}

#[cfg(feature = "zstd")]
fn unzstd(piece: &[u8]) -> Option<impl Read> {
    zstd::Decoder::new(piece).ok()
}

#[cfg(not(feature = "zstd"))]
fn unzstd(piece: &[u8]) -> Option<impl Read> {
    ruzstd::decoding::StreamingDecoder::new(piece).ok()
}

/// Creates a gzip member.
fn gzip(json: &[u8]) -> Option<Vec<u8>> {
    // The thread-local may already be destroyed at the end of a thread.
    let kept = COMPRESSOR.try_with(Cell::take).ok().flatten();
    let mut compressor = kept.unwrap_or_else(|| Compress::new_gzip(LEVEL, WINDOW_BITS));
    compressor.reset();
    let mut member = Vec::with_capacity(json.len() / 8 + 64);
    loop {
        let rest = &json[compressor.total_in() as usize..];
        match compressor.compress_vec(rest, &mut member, FlushCompress::Finish).ok()? {
            Status::StreamEnd => break,
            // The output buffer was too small.
            Status::Ok | Status::BufError => member.reserve(member.len()),
        }
    }
    let _ = COMPRESSOR.try_with(|place| place.set(Some(compressor)));
    Some(member)
}

/// Creates a gzip member with one stored block (RFC 1951, 3.2.4), for texts shorter than [`SHORT`].
fn stored(json: &[u8]) -> Vec<u8> {
    let (length, sum) = (json.len() as u16, crc32fast::hash(json));
    let mut member = Vec::with_capacity(json.len() + 23);
    // Deflate, no name, no time, unknown system.
    member.extend_from_slice(&[GZIP[0], GZIP[1], 8, 0, 0, 0, 0, 0, 0, 255]);
    // Final block.
    member.push(1);
    member.extend_from_slice(&length.to_le_bytes());
    member.extend_from_slice(&(!length).to_le_bytes());
    member.extend_from_slice(json);
    member.extend_from_slice(&sum.to_le_bytes());
    member.extend_from_slice(&u32::from(length).to_le_bytes());
    member
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::parcel::frame;

    const LONGEST: u64 = 1 << 20;

    fn foreign_gzip(text: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_reused_compressor_has_the_same_output_as_a_new_one() {
        let random: Vec<u8> = (0..300_000_u32).map(|n| n.wrapping_mul(0x9e37_79b9).rotate_left(n % 32) as u8).collect();
        let spaces = vec![b' '; 1 << 20];
        let texts = [&random[..], b"[]", include_bytes!("../fixtures/events.json"), &spaces[..], b""];
        let new: Vec<Vec<u8>> = texts.map(|text| std::thread::scope(|scope| scope.spawn(|| gzip(text).unwrap()).join().unwrap())).into();
        for _ in 0..2 {
            for (text, new) in texts.iter().zip(&new) {
                let piece = gzip(text).unwrap();
                assert!(piece == *new, "{} bytes", text.len());
                assert!(decompress(&piece, LONGEST).unwrap() == *text, "{} bytes", text.len());
            }
        }
    }

    #[test]
    fn every_build_reads_both_encodings() {
        // Output of `zstd -1`.
        let foreign = include_bytes!("../fixtures/events.json.zst");
        let text = include_bytes!("../fixtures/events.json");
        assert_eq!(decompress(foreign, LONGEST).unwrap(), text);
        assert_eq!(decompress(&frame(text), LONGEST).unwrap(), text, "as woven programs write it");
        for level in 0..=9 {
            let piece = foreign_gzip(text, level);
            assert_eq!((decompress(&piece, LONGEST).unwrap().as_slice(), content_encoding(&piece)), (&text[..], "gzip"));
        }
        let own = compress(text).unwrap();
        assert_eq!(decompress(&own, LONGEST).unwrap(), text);
        assert!(own.len() * 4 < text.len(), "{} of {} bytes", own.len(), text.len());
    }

    #[test]
    fn damaged_pieces_are_refused_and_long_texts_are_cut() {
        let text = include_bytes!("../fixtures/events.json");
        for piece in [gzip(text).unwrap(), include_bytes!("../fixtures/events.json.zst").to_vec()] {
            for length in [0, 1, 4, piece.len() / 2, piece.len() - 1] {
                assert_ne!(decompress(&piece[..length], LONGEST).as_deref(), Some(&text[..]), "{length}");
            }
            assert_eq!(decompress(&piece, 100).unwrap(), text[..100]);
        }
        assert!(decompress(b"neither", LONGEST).is_none());
    }

    #[test]
    fn text_next_to_a_piece_has_the_encoding_of_the_piece() {
        let long = "x".repeat(10_000);
        for piece in [gzip(b"[]").unwrap(), frame(b"[]")] {
            for text in ["", "{", &long[..SHORT - 1], &long[..SHORT], &long] {
                let beside = beside(&piece, text.as_bytes());
                assert_eq!(content_encoding(&beside), content_encoding(&piece));
                assert_eq!(decompress(&beside, LONGEST).unwrap(), text.as_bytes());
            }
        }
    }
}
