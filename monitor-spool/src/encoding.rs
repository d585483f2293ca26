//! How events are compressed where they are kept and sent: by gzip, which needs no C compiler, or by zstd with the feature of that name.
//!
//! Both are read, whoever wrote them, for a spool outlives the program and its build. Pieces of one encoding may stand one behind the
//! other, so that a batch that was compressed once is sent again and again with another head.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;

/// The first bytes of a gzip member (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The least time per byte saved: level 1 leaves two fifths more bytes, level 3 takes a fifth more time for 4 % less
/// (docs/performance.md, *The weight of the client*).
#[cfg(not(feature = "zstd"))]
const LEVEL: Compression = Compression::new(2);
/// Shorter texts aren't worth a compressor's start.
const SHORT: usize = 2 << 10;

/// The `Content-Encoding` of a request's body.
pub fn content_encoding(body: &[u8]) -> &'static str {
    if body.starts_with(&GZIP) { "gzip" } else { "zstd" }
}

/// Compressed by zstd.
#[cfg(feature = "zstd")]
pub(crate) fn compress(json: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(json, 1).ok()
}

/// Compressed by gzip.
#[cfg(not(feature = "zstd"))]
pub(crate) fn compress(json: &[u8]) -> Option<Vec<u8>> {
    gzip(json, LEVEL)
}

/// Text that is to stand beside a compressed piece, and so in the same encoding; short texts as they are.
pub(crate) fn beside(piece: &[u8], json: &[u8]) -> Vec<u8> {
    if piece.starts_with(&GZIP) {
        let level = if json.len() < SHORT { Compression::none() } else { Compression::fast() };
        gzip(json, level).unwrap_or_default()
    } else {
        crate::parcel::frame(json)
    }
}

/// A piece as it was before it was compressed, if it is one and not longer than that.
pub(crate) fn decompress(piece: &[u8], longest: u64) -> Option<Vec<u8>> {
    // What a piece says about its own length is not believed.
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

fn gzip(json: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(json.len() / 8 + 64), level);
    encoder.write_all(json).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::frame;

    const LONGEST: u64 = 1 << 20;

    #[test]
    fn what_either_encoding_wrote_is_read_by_every_build() {
        // `zstd -1` of the text.
        let foreign = include_bytes!("../fixtures/events.json.zst");
        let text = include_bytes!("../fixtures/events.json");
        assert_eq!(decompress(foreign, LONGEST).unwrap(), text);
        assert_eq!(decompress(&frame(text), LONGEST).unwrap(), text, "as woven programs write it");
        for level in 0..=9 {
            let piece = gzip(text, Compression::new(level)).unwrap();
            assert_eq!((decompress(&piece, LONGEST).unwrap().as_slice(), content_encoding(&piece)), (&text[..], "gzip"));
        }
        let own = compress(text).unwrap();
        assert_eq!(decompress(&own, LONGEST).unwrap(), text);
        assert!(own.len() * 4 < text.len(), "{} of {} bytes", own.len(), text.len());
    }

    #[test]
    fn what_is_damaged_is_none_and_what_is_too_long_is_cut() {
        let text = include_bytes!("../fixtures/events.json");
        for piece in [gzip(text, Compression::fast()).unwrap(), include_bytes!("../fixtures/events.json.zst").to_vec()] {
            for length in [0, 1, 4, piece.len() / 2, piece.len() - 1] {
                assert_ne!(decompress(&piece[..length], LONGEST).as_deref(), Some(&text[..]), "{length}");
            }
            assert_eq!(decompress(&piece, 100).unwrap(), text[..100]);
        }
        assert!(decompress(b"neither", LONGEST).is_none());
    }

    #[test]
    fn what_stands_beside_a_piece_is_of_its_encoding() {
        let long = "x".repeat(10_000);
        for piece in [gzip(b"[]", Compression::fast()).unwrap(), frame(b"[]")] {
            for text in ["", "{", &long] {
                let beside = beside(&piece, text.as_bytes());
                assert_eq!(content_encoding(&beside), content_encoding(&piece));
                assert_eq!(decompress(&beside, LONGEST).unwrap(), text.as_bytes());
            }
        }
    }
}
