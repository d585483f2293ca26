//! Compressed bodies: which encodings are read, and how.

use std::cell::RefCell;
use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use super::body::Memory;
use super::problem::ApiError;

/// Frames that announce a larger window than this are refused: the window is memory, however small the frame.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// How a body is compressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Plain,
    Zstd,
    Gzip,
    Deflate,
}

/// How a body is compressed, as its headers say.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = encodings.next().map_or("identity", |value| value.to_str().unwrap_or("?").trim());
    match encoding.to_ascii_lowercase().as_str() {
        _ if encodings.next().is_some() => {
            Err(ApiError::MediaType { detail: "the body has several Content-Encodings: use one".to_owned() })
        }
        "" | "identity" => Ok(Encoding::Plain),
        "zstd" => Ok(Encoding::Zstd),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "deflate" => Ok(Encoding::Deflate),
        _ => Err(ApiError::MediaType {
            detail: format!("the body's Content-Encoding is {encoding:?}; read are `zstd`, `gzip`, `deflate`, and none at all"),
        }),
    }
}

/// The body as it was before it was compressed.
pub(super) fn decompress(body: Vec<u8>, encoding: Encoding, limit: usize, memory: &mut Memory) -> Result<Vec<u8>, ApiError> {
    match encoding {
        Encoding::Plain => Ok(body),
        Encoding::Gzip => inflate("gzip", flate2::read::MultiGzDecoder::new(&*body), limit, memory),
        Encoding::Deflate => inflate("deflate", Deflated::new(&body), limit, memory),
        Encoding::Zstd => {
            if let Some(body) = unpack(&body, limit, memory)? {
                return Ok(body);
            }
            let decoder = zstd::Decoder::with_buffer(&*body).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            });
            let decoder = decoder.map_err(|error| not_decompressed("zstd", 0, &error))?;
            inflate("zstd", decoder, limit, memory)
        }
    }
}

thread_local! {
    /// Made once, for it takes longer to make than most bodies to decompress.
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decompresses a body that says how long it will be; none of any other, which is read as a stream.
fn unpack(body: &[u8], limit: usize, memory: &mut Memory) -> Result<Option<Vec<u8>>, ApiError> {
    let said = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
    let Some(length) = said.and_then(|length| usize::try_from(length).ok()).filter(|length| *length <= limit) else { return Ok(None) };
    memory.grow(length)?;
    let mut whole = Vec::with_capacity(length);
    let is_whole = UNPACKER.with_borrow_mut(|kept| {
        let decoder = match kept {
            Some(decoder) => decoder,
            None => kept.insert(zstd::bulk::Decompressor::new()?),
        };
        decoder.decompress_to_buffer(body, &mut whole)
    });
    // What went wrong is found again by the one who reads it as a stream, and says so.
    Ok(is_whole.is_ok().then_some(whole))
}

fn inflate(name: &str, mut decoder: impl Read, limit: usize, memory: &mut Memory) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = match decoder.read(&mut chunk) {
            Ok(0) => return Ok(body),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(not_decompressed(name, body.len(), &error)),
        };
        if body.len() + read > limit {
            return Err(ApiError::TooLarge { limit, when: " when decompressed" });
        }
        memory.grow(read)?;
        body.extend_from_slice(&chunk[..read]);
    }
}

fn not_decompressed(name: &str, read: usize, error: &io::Error) -> ApiError {
    ApiError::Body { detail: format!("the body is no whole {name}: {error} (after {read} decompressed bytes)") }
}

/// A body by `Content-Encoding: deflate`. By RFC 9110 that is zlib's format; some send the bare one, which no encoder begins as zlib's
/// begins.
struct Deflated<'a> {
    state: Decompress,
    rest: &'a [u8],
    is_done: bool,
}

impl<'a> Deflated<'a> {
    fn new(body: &'a [u8]) -> Self {
        // RFC 1950: the method, and a check of the first two bytes.
        let is_zlib =
            body.first_chunk().is_some_and(|[first, second]| first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0);
        Self { state: Decompress::new(is_zlib), rest: body, is_done: false }
    }
}

impl Read for Deflated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_done {
            let (read, written) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(self.rest, buffer, FlushDecompress::None)?;
            self.rest = &self.rest[(self.state.total_in() - read) as usize..];
            self.is_done = status == Status::StreamEnd;
            let written = (self.state.total_out() - written) as usize;
            if written > 0 {
                return Ok(written);
            }
            if self.rest.is_empty() && !self.is_done {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if self.rest.is_empty() { Ok(0) } else { Err(io::Error::other("there is more after its end")) }
    }
}
