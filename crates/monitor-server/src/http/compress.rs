//! Compression of responses, by what the client accepts. The page's files are served as they were compressed at build time. All other text,
//! and the columns of a tree, are compressed while they are sent.

use std::cmp::Reverse;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use monitor_store::COLUMNS_MEDIA_TYPE;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

/// Supported codings, best first. Brotli is used only for files, because it is too slow for responses that a client waits for.
const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];
/// Minimum size of a response to be compressed. A smaller response fits into one or two packets without compression.
const LEAST_BYTES: u64 = 1 << 10;

/// Returns the layer that compresses responses while they are sent, at the fastest level. [`choose`] must run before it and select the
/// coding.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(LEAST_BYTES).and(is_worth_it))
}

/// Makes a body safe to poll after its end, which the compressor does. Some of our streams fail if they are polled again.
pub(super) async fn fuse(response: Response) -> Response {
    response.map(|body| Body::new(body.fuse()))
}

/// True for text and columns. The event stream is excluded, because its events must not wait in the compressor. A copy of the database is
/// excluded, because its `Content-Length` must remain: the client checks by it that the copy is complete.
fn is_worth_it(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some(("text", kind)) => kind != "event-stream",
        Some(("application", kind)) => kind.ends_with("json") || kind == "openmetrics-text" || essence == COLUMNS_MEDIA_TYPE,
        _ => false,
    }
}

/// Replaces the request's `Accept-Encoding` by the codings that the server may choose.
pub(super) async fn choose(mut request: Request, next: Next) -> Response {
    let accepted = accepted(request.headers());
    let weighed: Vec<_> = accepted.iter().map(|(coding, weight)| format!("{coding};q={}.{:03}", weight / 1_000, weight % 1_000)).collect();
    match HeaderValue::try_from(weighed.join(",")) {
        Ok(value) if !accepted.is_empty() => request.headers_mut().insert(header::ACCEPT_ENCODING, value),
        _ => request.headers_mut().remove(header::ACCEPT_ENCODING),
    };
    next.run(request).await
}

/// Returns the codings that a request's `Accept-Encoding` prefers to the plain response or weighs the same, with their weights in
/// thousandths. They are sorted by weight; of equal weights, the better coding comes first (RFC 9110, 12.5.3). The list is empty if the
/// header is missing or unreadable, or accepts none of the supported codings; the response is then sent plain.
pub(super) fn accepted(headers: &HeaderMap) -> Vec<(&'static str, u16)> {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let said: Vec<(&str, u16)> = values.flat_map(|value| value.split(',')).filter_map(weighed).collect();
    let of = |name: &str| said.iter().find(|(said, _)| said.eq_ignore_ascii_case(name)).map(|(_, weight)| *weight);
    // An `identity` that is not listed has a lower weight than all listed codings.
    let plain = of("identity").unwrap_or(0).max(1);
    let weight = |coding: &str| {
        // RFC 9110 keeps `x-gzip` as an old name of gzip.
        let named = of(coding).or_else(|| if coding == "gzip" { of("x-gzip") } else { None });
        named.or_else(|| of("*")).filter(|weight| *weight >= plain)
    };
    let mut accepted: Vec<_> = CODINGS.into_iter().filter_map(|coding| Some((coding, weight(coding)?))).collect();
    accepted.sort_by_key(|(_, weight)| Reverse(*weight));
    accepted
}

/// Parses a coding and its weight in thousandths. `None` if the weight is invalid.
fn weighed(said: &str) -> Option<(&str, u16)> {
    let Some((coding, weight)) = said.split_once(';') else { return Some((said.trim(), 1_000)) };
    let (name, weight) = weight.trim().split_once('=')?;
    let weight = weight.trim();
    let is_weight = name.trim().eq_ignore_ascii_case("q") && weight.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let weight: f32 = weight.parse().ok().filter(|weight| is_weight && *weight <= 1.0)?;
    Some((coding.trim(), (weight * 1_000.0).round() as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_ordered_by_the_preferences_of_the_request() {
        for (said, expected) in [
            (&["gzip, deflate, br, zstd"][..], &["br", "zstd", "gzip"][..]),
            (&["gzip, deflate"], &["gzip"]),
            (&["GZip"], &["gzip"]),
            (&["x-gzip"], &["gzip"]),
            (&["deflate", "br"], &["br"]),
            (&["gzip;q=1.0, br;q=0.5"], &["gzip", "br"]),
            (&["zstd;q=0.3, br;q=0.2, gzip;q=0.3"], &["zstd", "gzip", "br"]),
            (&["gzip ; q=0.5 , zstd;Q=0.500"], &["zstd", "gzip"]),
            (&["*"], &["br", "zstd", "gzip"]),
            (&["br;q=0, *"], &["zstd", "gzip"]),
            (&["*;q=0, gzip"], &["gzip"]),
            (&["identity, gzip;q=0.9"], &[]),
            (&["identity;q=0.5, gzip;q=0.9"], &["gzip"]),
            (&["identity;q=0"], &[]),
            (&["identity;q=0, gzip"], &["gzip"]),
            (&["gzip;q=0"], &[]),
            (&["gzip;q=0.0004"], &[]),
            (&[""], &[]),
            (&[], &[]),
            (&["deflate, compress, aws-chunked"], &[]),
            // Unreadable entries are ignored.
            (&["gzip;q=2, br;q=-1, zstd;q=NaN"], &[]),
            (&["gzip;q=inf"], &[]),
            (&["gzip;q="], &[]),
            (&["gzip;q"], &[]),
            (&["gzip;level=9, zstd"], &["zstd"]),
            (&["gzip;q=1;q=0, zstd"], &["zstd"]),
            (&[";;;,,,=,q=1,gzip"], &["gzip"]),
            (&["gzip\u{fe}", "zstd"], &["zstd"]),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let accepted: Vec<_> = accepted(&headers).into_iter().map(|(coding, _)| coding).collect();
            assert_eq!(accepted, expected, "{said:?}");
        }
    }
}
