//! `GET /api/v1/roots/{root}/tree`

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use monitor_wire::{Problem, TreePage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::params::{Limit, PathParts, RootName, Strict};
use super::problem::ApiError;

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
    params(("root" = String, Path, description = "The tree: its id, or its number"), TreeParams),
    responses(
        (status = 200, description = "One page", body = TreePage),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such tree", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It is no longer kept", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_tree(State(app): State<App>, path: PathParts, Strict(params): Strict<TreeParams>) -> Result<Response, ApiError> {
    let RootName(root) = path.read("root")?;
    // Encoded where blocking is allowed, too: it may be the largest of all answers.
    let page = app.ask(move |store| Ok(store.tree(root, params.limit.0, params.cursor.as_deref())?.map(|page| Json(page).into_response())));
    match page.await? {
        Some(page) => Ok(page),
        None => Err(app.no_root(root, path.text("root")).await),
    }
}
