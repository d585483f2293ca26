//! Bodies of requests: their size, encoding and content are checked before anything is stored.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use monitor_store::packed::{Packed, Refused};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::connections::is_stalled;
use super::encoding::{Encoding, decompress, encoding};
use super::problem::ApiError;
use crate::access::Principal;
use crate::ingest::IngestError;

/// Batch that was read from a request's body.
pub(super) struct Wire {
    pub(super) batch: Packed,
    /// Memory reserved for the body, until dropped.
    pub(super) memory: Memory,
}

impl FromRequest<App> for Wire {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let token = request.extensions().get::<Option<Principal>>().and_then(|by| by.as_ref()?.name.clone());
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
        let decoded = decoded.await?;
        if let Err(ApiError::Batch(error)) = &decoded
            && error.wrong_version
        {
            app.other_wires.warn(token.as_deref(), error);
        }
        decoded
    }
}

/// Body as received, still compressed, with its parsed content type.
pub(super) struct Received<T> {
    pub(super) content_type: T,
    pub(super) encoding: Encoding,
    pub(super) body: Vec<u8>,
    /// Memory reserved for the body, until dropped.
    pub(super) memory: Memory,
}

/// Receives a body of a supported content type, if there is enough memory for it.
pub(super) async fn received<T>(
    request: Request,
    app: &App,
    content_type: impl FnOnce(Option<&str>) -> Result<T, ApiError>,
) -> Result<Received<T>, ApiError> {
    let (parts, mut stream) = request.into_parts();
    let mut memory = app.bodies.memory();
    let allowed = content_type(essence(&parts.headers)).and_then(|content_type| Ok((content_type, encoding(&parts.headers)?)));
    let allowed = allowed.and_then(|allowed| app.ingest.shut().map_or(Ok(allowed), |cause| Err(IngestError::Shut(cause).into())));
    let received = match allowed {
        Ok(allowed) => receive(&parts.headers, &mut stream, app.config.max_body_bytes, &mut memory).await.map(|body| (allowed, body)),
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

/// Reads a small, uncompressed JSON body.
pub(super) async fn small<T: DeserializeOwned>(request: Request, app: &App, limit: usize) -> Result<T, ApiError> {
    let (parts, mut stream) = request.into_parts();
    let mut memory = app.bodies.memory();
    let plain = match encoding(&parts.headers)? {
        Encoding::Plain => Ok(()),
        _ => Err(ApiError::MediaType { detail: "the body is compressed: send it as it is".to_owned() }),
    };
    let body = match is_json(essence(&parts.headers)).and(plain) {
        Ok(()) => receive(&parts.headers, &mut stream, limit, &mut memory).await,
        Err(error) => Err(error),
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            discard(&parts.headers, stream, app).await;
            return Err(error);
        }
    };
    // serde would deserialize a list into a struct by the order of its fields, and an empty list into a struct without required fields.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::Body { detail: "the body can't be read: it is a list, and should be an object".to_owned() });
    }
    let read = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(&body));
    read.map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        let place = if path == "." { String::new() } else { format!("`{path}`: ") };
        ApiError::Body { detail: format!("the body can't be read: {place}{inner}") }
    })
}

/// Returns up to `limit` bytes of a body of any type, and true if the body is longer.
pub(super) async fn beginning(request: Request, app: &App, limit: usize) -> Result<(Vec<u8>, bool), ApiError> {
    let (parts, mut stream) = request.into_parts();
    let mut memory = app.bodies.memory();
    let mut body = Vec::new();
    while body.len() <= limit
        && let Some(frame) = stream.frame().await
    {
        let frame = frame.map_err(|error| ApiError::Body { detail: format!("the body broke off after {} bytes: {error}", body.len()) })?;
        let Some(data) = frame.data_ref() else { continue };
        let data = &data[..data.len().min(limit + 1 - body.len())];
        memory.grow(data.len())?;
        body.extend_from_slice(data);
    }
    let is_cut = body.len() > limit;
    if is_cut {
        body.truncate(limit);
        discard(&parts.headers, stream, app).await;
    }
    Ok((body, is_cut))
}

/// Returns the media type of the body without its parameters.
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

/// Returns the error for an unsupported content type; `read` names the supported type.
pub(super) fn unread(essence: Option<&str>, read: &str) -> ApiError {
    let found = essence.map_or("has no Content-Type".to_owned(), |found| format!("is {found:?}"));
    ApiError::MediaType { detail: format!("the body {found}: send `Content-Type: {read}`") }
}

/// Receives the body without decompressing it.
async fn receive(headers: &HeaderMap, stream: &mut Body, limit: usize, memory: &mut Memory) -> Result<Vec<u8>, ApiError> {
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

/// Reads the rest of a refused body, up to a limit. If the server closed the connection while the client was still sending, the connection
/// would be reset and the client could not read the response.
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

/// Shared memory budget of all bodies that are being received.
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

/// Share of a request in the budget.
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
            // The body would not fit even if it were the only one. Sending it again would fail too, so the error advises to split it.
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
