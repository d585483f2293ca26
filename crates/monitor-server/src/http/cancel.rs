//! `POST /api/v1/roots/{root}/cancel`

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

/// The largest request, in bytes.
const MAX_BYTES: usize = 4 << 10;

/// Has a process end and all below it, or a whole tree, in whatever programs it runs: each is told which of its processes are meant. Answers once
/// all have ended, or with those that go on when the time is over.
#[utoipa::path(
    post,
    path = "/api/v1/roots/{root}/cancel",
    tag = "commands",
    params(("root" = String, Path, description = "The tree: its id, or its number")),
    request_body = CancelRequest,
    responses(
        (status = 200, description = "What became of it", body = Cancelled),
        (status = 400, description = "It can't be read", body = Problem, content_type = "application/problem+json"),
        NotAllowed,
        (status = 404, description = "No such tree or process", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It is no longer kept", body = Problem, content_type = "application/problem+json"),
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
