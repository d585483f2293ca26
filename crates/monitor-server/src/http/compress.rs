//! Answers compressed as their reader accepts them: the page's files as they were compressed when it was built, all other text and the
//! columns of a tree while they are sent.

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

/// Codings that are answered, the best first. Only files have the first: it takes too long while somebody waits.
const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];
/// An answer of fewer bytes fits into a packet or two as it is.
const LEAST_BYTES: u64 = 1 << 10;

/// Compresses answers while they are sent, at the level that costs the least. Behind [`choose`], which decides about the coding.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(LEAST_BYTES).and(is_worth_it))
}

/// Lets a body be asked for more after its end, as the compressor does: streams of pieces break off when they are asked again.
pub(super) async fn fuse(response: Response) -> Response {
    response.map(|body| Body::new(body.fuse()))
}

/// Text and columns, but for the stream, whose events must not wait in a compressor. A copy of the database tells its length, by which its
/// reader knows that it is whole.
fn is_worth_it(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some(("text", kind)) => kind != "event-stream",
        Some(("application", kind)) => kind.ends_with("json") || kind == "openmetrics-text" || essence == COLUMNS_MEDIA_TYPE,
        _ => false,
    }
}

/// Puts the codings among which the server may choose in the place of what the request says of them.
pub(super) async fn choose(mut request: Request, next: Next) -> Response {
    let accepted = accepted(request.headers());
    let weighed: Vec<_> = accepted.iter().map(|(coding, weight)| format!("{coding};q={}.{:03}", weight / 1_000, weight % 1_000)).collect();
    match HeaderValue::try_from(weighed.join(",")) {
        Ok(value) if !accepted.is_empty() => request.headers_mut().insert(header::ACCEPT_ENCODING, value),
        _ => request.headers_mut().remove(header::ACCEPT_ENCODING),
    };
    next.run(request).await
}

/// The codings that a request's `Accept-Encoding` likes no less than the plain answer, with their weights in thousandths: what it likes
/// best comes first, and of what it likes as much what is best (RFC 9110, 12.5.3). None if it says nothing, or nothing that can be read.
/// A request that accepts nothing that there is gets the plain answer, too.
pub(super) fn accepted(headers: &HeaderMap) -> Vec<(&'static str, u16)> {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let said: Vec<(&str, u16)> = values.flat_map(|value| value.split(',')).filter_map(weighed).collect();
    let of = |name: &str| said.iter().find(|(said, _)| said.eq_ignore_ascii_case(name)).map(|(_, weight)| *weight);
    // One that isn't named is liked less than all that are.
    let plain = of("identity").unwrap_or(0).max(1);
    let weight = |coding: &str| {
        // Some call gzip by its name of long ago.
        let named = of(coding).or_else(|| if coding == "gzip" { of("x-gzip") } else { None });
        named.or_else(|| of("*")).filter(|weight| *weight >= plain)
    };
    let mut accepted: Vec<_> = CODINGS.into_iter().filter_map(|coding| Some((coding, weight(coding)?))).collect();
    accepted.sort_by_key(|(_, weight)| Reverse(*weight));
    accepted
}

/// A coding and its weight in thousandths; none if the weight is none.
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
    fn what_a_request_likes_best_is_what_it_may_get() {
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
            // What can't be read is as if it were not said.
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
