//! `POST` and `DELETE /api/v1/roots/{root}/pin`, and `DELETE /api/v1/roots/{root}`: pinning and deleting runs.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use monitor_store::Changes;
use monitor_wire::{Problem, Root};
use serde::Deserialize;
use utoipa::IntoParams;

use super::params::{NoParams, PathParts, RootName, Strict};
use super::problem::ApiError;
use super::refusals::NoTree;
use super::{Answer, App};

/// Pins a run.
///
/// A pinned run is kept until it is unpinned: retention does not delete it, and neither can a request.
#[utoipa::path(
    post,
    path = "/api/v1/roots/{root}/pin",
    tag = "runs",
    params(("root" = String, Path, description = "Id or number of the run")),
    responses(
        (status = 200, description = "The run, now pinned", body = Root),
        NoTree,
    )
)]
pub(super) async fn post_pin(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Root> {
    pin(&app, &path, true).await
}

/// Unpins a run, so that retention can delete it.
#[utoipa::path(
    delete,
    path = "/api/v1/roots/{root}/pin",
    tag = "runs",
    params(("root" = String, Path, description = "Id or number of the run")),
    responses(
        (status = 200, description = "The run, no longer pinned", body = Root),
        NoTree,
    )
)]
pub(super) async fn delete_pin(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Root> {
    pin(&app, &path, false).await
}

async fn pin(app: &App, path: &PathParts, is_pinned: bool) -> Answer<Root> {
    let RootName(key) = path.read("root")?;
    let clock = app.clock.clone();
    let change = app.ingest.change(move |store| {
        let changes = store.pin(key, is_pinned, clock.wall_us())?;
        let is_there = changes.is_some();
        Ok((is_there, changes.unwrap_or_else(Changes::none)))
    });
    let root = if change.await? { app.ask(move |store| store.root(key)).await? } else { None };
    match root {
        Some(root) => Ok(Json(root)),
        None => Err(app.no_root(key, path.text("root")).await),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParams {
    /// `true` also deletes a run that is still running. Events that arrive for it later create a new run with a new number.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    running: bool,
}

/// Deletes a run with all its processes and logs.
///
/// Its outcomes and durations remain counted in the statistics. A pinned run is not deleted, and a running one only with `running=true`.
#[utoipa::path(
    delete,
    path = "/api/v1/roots/{root}",
    tag = "runs",
    params(("root" = String, Path, description = "Id or number of the run"), DeleteParams),
    responses(
        (status = 204, description = "The run is deleted"),
        NoTree,
        (status = 409, description = "The run is pinned, or it is running", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_root(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<DeleteParams>,
) -> Result<StatusCode, ApiError> {
    let (RootName(key), may_run) = (path.read("root")?, params.running);
    let clock = app.clock.clone();
    let change = app.ingest.change(move |store| {
        let changes = store.drop_root(key, may_run, clock.wall_us())?;
        let is_dropped = changes.as_ref().map(|changes| changes.count() > 0);
        Ok((is_dropped, changes.unwrap_or_else(Changes::none)))
    });
    if change.await? == Some(true) {
        app.sweep.notify_one();
        return Ok(StatusCode::NO_CONTENT);
    }
    let Some(Root { number, pinned, .. }) = app.ask(move |store| store.root(key)).await? else {
        return Err(app.no_root(key, path.text("root")).await);
    };
    Err(ApiError::Kept {
        detail: if pinned {
            format!("root {number} is pinned: unpin it first, by `DELETE /api/v1/roots/{number}/pin`")
        } else {
            format!("root {number} is running: wait until it has ended, or delete it all the same with `?running=true`")
        },
    })
}
