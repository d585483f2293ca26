//! Saved targets of jobs: `/api/v1/targets`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use monitor_wire::{AllSavedTargets, Problem, SavedTargets, Targets};

use super::commands::Small;
use super::params::{NoParams, PathParts, Strict};
use super::problem::ApiError;
use super::refusals::NotTaken;
use super::{Answer, App};
use crate::jobs::is_name;

/// Maximum size of a body, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// Lists all saved targets by name, with the number of hosts that they select now.
#[utoipa::path(
    get,
    path = "/api/v1/targets",
    tag = "jobs",
    responses((status = 200, description = "All of them", body = AllSavedTargets))
)]
pub(super) async fn get_targets(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<AllSavedTargets> {
    Ok(Json(AllSavedTargets { targets: app.jobs.saved_targets().await? }))
}

/// Saves targets, or replaces those with this name.
///
/// Jobs select them with `targets.saved`. The hosts may be added later.
#[utoipa::path(
    put,
    path = "/api/v1/targets/{name}",
    tag = "jobs",
    params(("name" = String, Path, description = "Name of the targets")),
    request_body = Targets,
    responses(
        (status = 200, description = "The targets, and the number of hosts that they select now", body = SavedTargets),
        (status = 400, description = "The targets have mistakes, a line each", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They come from the file of hosts, or there are too many", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn put_targets(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(targets): Small<Targets, MAX_BYTES>,
) -> Answer<SavedTargets> {
    let name = path.text("name").to_owned();
    if !is_name(&name) {
        let shown: String = name.chars().take(80).collect();
        let detail = format!("parameter `name` in the path: {shown:?} can't be a name: use 1 to 64 letters, digits and `.`, `-`, `_`, `@`");
        return Err(ApiError::Parameter { name: "name".to_owned(), detail });
    }
    monitor_jobs::check_saved(&targets).map_err(|mistakes| ApiError::Body { detail: mistakes.join("\n") })?;
    app.jobs.put_saved_targets(name.clone(), targets).await?;
    let saved = app.jobs.saved_targets().await?.into_iter().find(|saved| saved.name == name);
    saved.map(Json).ok_or_else(|| missing(&name))
}

/// Removes saved targets. Jobs that have started with them keep their hosts.
#[utoipa::path(
    delete,
    path = "/api/v1/targets/{name}",
    tag = "jobs",
    params(("name" = String, Path, description = "Name of the targets")),
    responses(
        (status = 204, description = "They are gone"),
        (status = 404, description = "No saved targets have this name", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They come from the file of hosts", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_targets(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<StatusCode, ApiError> {
    let name = path.text("name").to_owned();
    if app.jobs.remove_saved_targets(name.clone()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(missing(&name))
}

fn missing(name: &str) -> ApiError {
    let shown: String = name.chars().take(80).collect();
    ApiError::Missing { detail: format!("no saved targets have the name {shown:?}: `GET /api/v1/targets` lists those that there are") }
}
