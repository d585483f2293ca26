//! `POST /api/v1/roots/{root}/cancel`: cancels a process or a run.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use monitor_store::Queries;
use monitor_wire::{CancelRequest, Cancelled, Problem};

use super::App;
use super::access::DeedWords;
use super::batch::orders::Orderer;
use super::commands::Small;
use super::params::{NoParams, PathParts, Strict};
use super::problem::ApiError;
use super::refusals::{NotAllowed, NotTaken};

/// Maximum size of a request, in bytes.
const MAX_BYTES: usize = 4 << 10;

/// Cancels a process with all processes below it, or a whole run, in all programs that take part in it.
///
/// The server sends each of these programs the ids of its processes. The response is sent when all have ended, or after the time-out with
/// the processes that are still running.
#[utoipa::path(
    post,
    path = "/api/v1/roots/{root}/cancel",
    tag = "commands",
    params(("root" = String, Path, description = "Id or number of the run")),
    request_body = CancelRequest,
    responses(
        (status = 200, description = "The result", body = Cancelled),
        (status = 400, description = "The request is invalid", body = Problem, content_type = "application/problem+json"),
        NotAllowed,
        (status = 404, description = "The run or process does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The data has been deleted", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn post_cancel(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<CancelRequest, MAX_BYTES>,
) -> Result<Response, ApiError> {
    app.commands.check_allowed("cancel")?;
    let root = app.ask_root(&path, Queries::root).await?.root_id;
    let tried = if request.dry_run { ", dry run" } else { "" };
    let what = request.process.map_or_else(|| format!("all{tried}"), |id| format!("{id}{tried}"));
    let cancelled = app.commands.cancel(by.into_caller(), root, request).await?;
    let outcome = format!("done: {} were to end, {} go on", cancelled.meant, cancelled.running);
    let mut response = Json(cancelled).into_response();
    response.extensions_mut().insert(DeedWords { what, outcome });
    Ok(response)
}
