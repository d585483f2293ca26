//! Decompression of request bodies.

use std::cell::RefCell;
use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use super::body::Memory;
use super::problem::ApiError;

/// Maximum window of a zstd frame, as a power of two. The window is allocated in memory even for a small frame.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// Compression of a body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Plain,
    Zstd,
    Gzip,
    Deflate,
}

/// Reads the compression of a body from its headers.
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

/// Decompresses a body.
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
    /// Reused, because creating a decompressor takes longer than decompressing most bodies.
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Decompresses a body whose header contains the decompressed size. Returns `None` for any other body; the caller then decompresses it as a
/// stream.
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
    // The caller decompresses the body again as a stream, which meets the same error and reports it.
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

/// Body with `Content-Encoding: deflate`. RFC 9110 defines it as the zlib format, but some clients send a bare deflate stream. The two
/// first bytes distinguish them: no encoder begins a bare stream with a valid zlib header.
struct Deflated<'a> {
    state: Decompress,
    rest: &'a [u8],
    is_done: bool,
}

impl<'a> Deflated<'a> {
    fn new(body: &'a [u8]) -> Self {
        // RFC 1950: the compression method, and a checksum over the first two bytes.
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
