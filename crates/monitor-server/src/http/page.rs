//! The page. `/tasks` and all paths below it return the same document, whose script evaluates the path.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use monitor_web::Asset;

use super::problem::ApiError;
use super::{App, compress, plain};

pub(super) async fn get_home(uri: Uri) -> Redirect {
    Redirect::to(if plain::is_wanted(&uri) { "/tasks?plain" } else { "/tasks" })
}

pub(super) async fn get_index(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    if plain::is_wanted(&uri) {
        return plain::get_plain(app, uri, headers).await;
    }
    answer(monitor_web::index(), &headers)
}

/// Returns a file of the page.
pub(super) async fn get_asset(uri: Uri, headers: HeaderMap) -> Response {
    match monitor_web::asset(uri.path().trim_start_matches('/')) {
        Some(asset) => answer(asset, &headers),
        None => ApiError::NoPath { path: uri.path().to_owned() }.into_response(),
    }
}

fn answer(asset: Asset, headers: &HeaderMap) -> Response {
    let caching = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let accepted = compress::accepted(headers);
    let coded = accepted.into_iter().find_map(|(coding, _)| Some((coding, asset.coded(coding)?)));
    let etag = asset.etag(coded.as_ref().map(|(coding, _)| *coding));
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| {
        let tags = tags.to_str().unwrap_or_default();
        tags.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag)
    });
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    if !is_known {
        let (coding, bytes) = coded.map_or((None, asset.bytes), |(coding, bytes)| (Some(coding), bytes));
        response = Response::new(Body::from(axum::body::Bytes::from_owner(bytes)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
        if let Some(coding) = coding {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
