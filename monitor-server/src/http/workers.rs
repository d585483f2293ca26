//! `GET /api/v1/workers` and `GET /api/v1/workers/{id}`

use axum::Json;
use axum::extract::State;
use monitor_wire::{Problem, Worker, WorkerId, WorkersPage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::params::{Limit, NoParams, PathParts, Strict};
use super::problem::ApiError;
use super::{Answer, App};
use crate::commands::Watched;
use crate::live::WantedWorker;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WorkersParams {
    /// At most so many, 1 to 1000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// The `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

/// Lists who reports, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/workers",
    tag = "workers",
    params(WorkersParams),
    responses(
        (status = 200, description = "One page", body = WorkersPage),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_workers(State(app): State<App>, Strict(params): Strict<WorkersParams>) -> Answer<WorkersPage> {
    Ok(Json(app.ask(move |store| store.workers(params.limit.0, params.cursor.as_deref())).await?))
}

/// One worker.
#[utoipa::path(
    get,
    path = "/api/v1/workers/{id}",
    tag = "workers",
    params(("id" = WorkerId, Path, description = "The worker")),
    responses(
        (status = 200, description = "As it stands", body = Worker),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such worker", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_worker(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Worker> {
    let id = path.read("id")?;
    app.commands.watch_once(Watched::Worker(WantedWorker::Id(id)));
    let worker = app.ask(move |store| store.worker(id)).await?;
    worker.map(Json).ok_or(ApiError::NoWorker { id })
}
