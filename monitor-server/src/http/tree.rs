//! `GET /api/v1/roots/{root}/tree`

use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use monitor_wire::{Problem, TreePage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::params::{Limit, PathParts, RootName, Strict};
use super::problem::ApiError;
use crate::store::{COLUMNS_MEDIA_TYPE, RootKey};

/// A usual process takes about so much as JSON.
const BYTES_OF_A_PROCESS: usize = 600;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TreeParams {
    /// At most so many, 1 to 100000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100_000)]
    limit: Limit<100_000>,
    /// The `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

/// Lists the processes of a tree in pre-order, siblings as they started, the root's own first.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/tree",
    tag = "trees",
    params(
        ("root" = String, Path, description = "The tree: its id, or its number"),
        ("Accept" = Option<String>, Header, description = "`application/vnd.process-monitor.tree` asks for the whole tree as binary columns (docs/columns.md): `limit` and `cursor` don't apply"),
        TreeParams
    ),
    responses(
        (status = 200, description = "One page; or the whole tree as columns", content((TreePage = "application/json"), (Vec<u8> = "application/vnd.process-monitor.tree"))),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such tree", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_tree(
    State(app): State<App>,
    path: PathParts,
    headers: HeaderMap,
    Strict(params): Strict<TreeParams>,
) -> Result<Response, ApiError> {
    let RootName(root) = path.read("root")?;
    let answer = if wants_columns(&headers) {
        columns(&app, root).await?
    } else {
        // Encoded where blocking is allowed, too: it may be the largest of all answers.
        let ask = move |store: &dyn crate::store::Store| Ok(store.tree(root, params.limit.0, params.cursor.as_deref())?.as_ref().map(json));
        app.ask(ask).await?
    };
    let mut response = answer.ok_or_else(|| ApiError::NoRoot { root: path.text("root").to_owned() })?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// As [`axum::Json`] answers, but written to a place that is large enough from the start.
fn json(page: &TreePage) -> Response {
    let mut body = Vec::with_capacity(BYTES_OF_A_PROCESS * (page.processes.len() + 2));
    match serde_json::to_writer(&mut body, page) {
        Ok(()) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
        Err(_) => Json(page).into_response(),
    }
}

fn wants_columns(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(',')).filter_map(|part| part.split(';').next());
    types.any(|media_type| media_type.trim().eq_ignore_ascii_case(COLUMNS_MEDIA_TYPE))
}

/// The whole tree as columns, each part made when the socket takes it. It is in memory meanwhile, so there is one such answer at a time.
async fn columns(app: &App, root: RootKey) -> Result<Option<Response>, ApiError> {
    let turn = app.reading_whole.clone().acquire_owned().await;
    let Some(tree) = app.ask(move |store| store.tree_columns(root)).await? else { return Ok(None) };
    let parts = futures_util::stream::iter(tree.map(move |part| {
        let _turn = &turn;
        Ok::<_, Infallible>(part)
    }));
    Ok(Some(([(header::CONTENT_TYPE, COLUMNS_MEDIA_TYPE)], Body::from_stream(parts)).into_response()))
}
