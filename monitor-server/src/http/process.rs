//! `GET /api/v1/roots/{root}/processes/{id}`

use axum::Json;
use axum::extract::State;
use monitor_wire::{Problem, Process, ProcessId};

use super::params::{NoParams, PathParts, Strict};
use super::{Answer, App};
use crate::store::Queries;

/// One process.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/processes/{id}",
    tag = "trees",
    params(
        ("root" = String, Path, description = "The tree: its id, or its number"),
        ("id" = ProcessId, Path, description = "The process"),
    ),
    responses(
        (status = 200, description = "As it stands", body = Process),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such process", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It is no longer kept", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_process(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Process> {
    Ok(Json(app.ask_process(&path, Queries::process).await?))
}
