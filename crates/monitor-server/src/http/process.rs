//! `GET /api/v1/roots/{root}/processes/{id}`: one process.

use axum::Json;
use axum::extract::State;
use monitor_wire::{Problem, ProcessDetail, ProcessId};

use super::params::{NoParams, PathParts, Strict};
use super::refusals::Unreadable;
use super::{Answer, App};

/// Maximum number of processes whose incoming links are returned.
const MOST_LINKS: usize = 50;

/// Returns a process, with the links that lead to it from other runs.
///
/// Links of up to 50 processes are included.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/processes/{id}",
    tag = "runs",
    params(
        ("root" = String, Path, description = "Id or number of the run"),
        ("id" = ProcessId, Path, description = "Id of the process"),
    ),
    responses(
        (status = 200, description = "The process", body = ProcessDetail),
        Unreadable,
        (status = 404, description = "The process does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The data has been deleted", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_process(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<ProcessDetail> {
    let detail = app.ask_process(&path, |store, root, id| {
        let Some(process) = store.process(root, id)? else { return Ok(None) };
        let linked_from = store.linked_from(process.root_id, id, MOST_LINKS)?;
        Ok(Some(ProcessDetail { process, linked_from }))
    });
    Ok(Json(detail.await?))
}
