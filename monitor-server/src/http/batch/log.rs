//! `GET /api/v1/batch-tasks/runs/{id}/log`: the output of a run, from its agent's machine.

use axum::Json;
use axum::extract::State;
use monitor_wire::{BatchLog, Problem};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::orders::{Orderer, request};
use super::publications::{silent, value};
use crate::commands::CommandError;

/// An agent has so long to read, in milliseconds.
const TIMEOUT_MS: u64 = 5_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct LogParams {
    /// From this byte on; from the first one if not given.
    offset: Option<u64>,
}

/// A piece of what a run has written to stdout and stderr, at most 128 KiB, as its agent has it. While the run runs, or is there for more,
/// ask again with `next_offset`.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/runs/{id}/log",
    tag = "batch tasks",
    params(("id" = String, Path, description = "The run, such as `gold@20261121T023000Z.1`"), LogParams),
    responses(
        (status = 200, description = "A piece", body = BatchLog),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such run, or its log is gone", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Its agent is away, or doesn't answer", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_log(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(params): Strict<LogParams>,
) -> Answer<BatchLog> {
    let run = path.text("id");
    let agents = app.agents_of_run(run).await?;
    let asked = json!({"run": run, "offset": params.offset.unwrap_or_default()});
    let mut request = request(by.caller(), &agents, "log", asked);
    request.timeout_ms = Some(TIMEOUT_MS);
    let lines = match app.commands.ask(by.into_caller(), request).await {
        // It has never called here, or so long ago that it is forgotten.
        Err(CommandError::NoWorker(why)) => return Err(silent(&agents.join(", "), &why)),
        answer => answer?.lines,
    };
    let answered = lines.iter().find(|line| value::<BatchLog>(line).is_ok()).or(lines.first());
    let line = answered.ok_or_else(|| ApiError::Missing { detail: format!("no agent has run {run:?}") })?;
    value(line).map(Json)
}
