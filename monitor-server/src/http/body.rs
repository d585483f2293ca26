//! The body of a request as a batch: size, encoding and content are checked before anything is stored.

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::connections::is_stalled;
use super::problem::ApiError;
use crate::packed::{Packed, Refused};

/// Frames that announce a larger window than this are refused: the window is memory, however small the frame.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// A batch that was read from a request's body.
pub(super) struct Wire {
    pub(super) batch: Packed,
    /// Counts its bytes among those in memory until dropped.
    pub(super) memory: Memory,
}

impl FromRequest<App> for Wire {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let Received { encoding, body, mut memory, .. } = received(request, app, is_json).await?;
        let limit = app.config.max_body_bytes;
        let max_events = app.config.max_batch_events;
        let turn = app.decoding.clone().acquire_owned().await;
        let decoded = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let begin = Instant::now();
            let body = decompress(body, encoding, limit, &mut memory)?;
            let decompressed = Instant::now();
            let batch = Packed::from_json(&body, max_events).map_err(|refused| match refused {
                Refused::Decode(error) => ApiError::from(error),
                Refused::TooMany => ApiError::TooMany { limit: max_events },
            })?;
            let (decompress_us, decode_us) = ((decompressed - begin).as_micros() as u64, decompressed.elapsed().as_micros() as u64);
            tracing::debug!(target: "monitor_server::duties", decompress_us, decode_us);
            Ok(Self { batch, memory })
        });
        decoded.await?
    }
}

/// A body as it was sent, by its type.
pub(super) struct Received<T> {
    pub(super) content_type: T,
    pub(super) encoding: Encoding,
    pub(super) body: Vec<u8>,
    /// Counts its bytes among those in memory until dropped.
    pub(super) memory: Memory,
}

/// Reads a body of a type that is known, if there is room for it.
pub(super) async fn received<T>(
    request: Request,
    app: &App,
    content_type: impl FnOnce(Option<&str>) -> Result<T, ApiError>,
) -> Result<Received<T>, ApiError> {
    let (parts, mut stream) = request.into_parts();
    let mut memory = app.bodies.memory();
    let allowed = content_type(essence(&parts.headers)).and_then(|content_type| Ok((content_type, encoding(&parts.headers)?)));
    let received = match allowed {
        Ok(allowed) => receive(&parts.headers, &mut stream, app, &mut memory).await.map(|body| (allowed, body)),
        Err(error) => Err(error),
    };
    let ((content_type, encoding), body) = match received {
        Ok(received) => received,
        Err(error) => {
            discard(&parts.headers, stream, app).await;
            return Err(error);
        }
    };
    if app.ingest.is_busy(body.len()) {
        return Err(ApiError::Busy);
    }
    Ok(Received { content_type, encoding, body, memory })
}

/// The body's type without its parameters.
pub(super) fn essence(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    content_type.and_then(|value| value.split(';').next()).map(str::trim)
}

fn is_json(essence: Option<&str>) -> Result<(), ApiError> {
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(unread(essence, "application/json"))
    }
}

/// A type that is not read here, and what is.
pub(super) fn unread(essence: Option<&str>, read: &str) -> ApiError {
    let found = essence.map_or("has no Content-Type".to_owned(), |found| format!("is {found:?}"));
    ApiError::MediaType { detail: format!("the body {found}: send `Content-Type: {read}`") }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Plain,
    Zstd,
    Gzip,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = encodings.next().map_or("identity", |value| value.to_str().unwrap_or("?").trim());
    match encoding.to_ascii_lowercase().as_str() {
        _ if encodings.next().is_some() => {
            Err(ApiError::MediaType { detail: "the body has several Content-Encodings: use one".to_owned() })
        }
        "" | "identity" => Ok(Encoding::Plain),
        "zstd" => Ok(Encoding::Zstd),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        _ => Err(ApiError::MediaType {
            detail: format!("the body's Content-Encoding is {encoding:?}; read are `zstd`, `gzip`, and none at all"),
        }),
    }
}

/// The body as it was sent.
async fn receive(headers: &HeaderMap, stream: &mut Body, app: &App, memory: &mut Memory) -> Result<Vec<u8>, ApiError> {
    let limit = app.config.max_body_bytes;
    let too_large = || ApiError::TooLarge { limit, when: "" };
    if content_length(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        let Some(frame) = stream.frame().await else { return Ok(body) };
        let frame = frame.map_err(|error| match is_stalled(&error) {
            Some(stalled) => ApiError::Stalled { what: stalled.to_string() },
            None => ApiError::Body { detail: format!("the body broke off after {} bytes: {error}", body.len()) },
        })?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len() + data.len() > limit {
            return Err(too_large());
        }
        memory.grow(data.len())?;
        body.extend_from_slice(data);
    }
}

/// Reads what is left of a refused body, within reason: a connection that is closed while its client still sends is reset, and
/// the client would never read why it was refused.
async fn discard(headers: &HeaderMap, mut stream: Body, app: &App) {
    let within_reason = app.config.max_body_bytes.saturating_mul(4);
    let is_waiting = headers.contains_key(header::EXPECT);
    if is_waiting || content_length(headers).is_some_and(|length| length > within_reason as u64) {
        return;
    }
    let mut discarded = 0;
    while discarded < within_reason
        && let Some(Ok(frame)) = stream.frame().await
    {
        discarded += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(super) fn decompress(body: Vec<u8>, encoding: Encoding, limit: usize, memory: &mut Memory) -> Result<Vec<u8>, ApiError> {
    match encoding {
        Encoding::Plain => Ok(body),
        Encoding::Gzip => inflate("gzip", flate2::read::MultiGzDecoder::new(&*body), limit, memory),
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

/// Bounds the memory of all bodies together.
#[derive(Debug, Clone)]
pub(super) struct Bodies {
    kibibytes: Arc<Semaphore>,
    most: usize,
}

impl Bodies {
    pub(super) fn new(max_bytes: usize) -> Self {
        let most = (max_bytes >> 10).min(Semaphore::MAX_PERMITS);
        Self { kibibytes: Arc::new(Semaphore::new(most)), most: most << 10 }
    }

    fn memory(&self) -> Memory {
        Memory { kibibytes: self.kibibytes.clone(), most: self.most, held: None, bytes: 0 }
    }
}

/// What one request holds of it.
#[derive(Debug)]
pub(super) struct Memory {
    kibibytes: Arc<Semaphore>,
    most: usize,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Memory {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let bytes = self.bytes + bytes;
        if bytes > self.most {
            // It would have no room if it were alone: to come again is in vain, to come in parts is not.
            return Err(ApiError::TooLarge { limit: self.most, when: " with what it decompresses to" });
        }
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(missing) = u32::try_from(bytes.div_ceil(1 << 10).saturating_sub(held)) else { return Err(ApiError::Busy) };
        if missing > 0 {
            let more = self.kibibytes.clone().try_acquire_many_owned(missing).map_err(|_| ApiError::Busy)?;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_their_memory() {
        let bodies = Bodies::new(4 << 10);
        let (mut one, mut other) = (bodies.memory(), bodies.memory());
        one.grow(1).unwrap();
        one.grow(1023).unwrap();
        other.grow(3 << 10).unwrap();
        assert!(matches!(one.grow(1), Err(ApiError::Busy)));
        drop(other);
        one.grow(3 << 10).unwrap();
        assert!(matches!(one.grow(1), Err(ApiError::TooLarge { limit: 4_096, .. })), "it has all of it");
    }
}
