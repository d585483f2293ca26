//! `GET /api/v1/batch-tasks/runs/{id}/log`: the output of a run, from its agent's machine.

use axum::Json;
use axum::extract::State;
use monitor_wire::{BatchLog, CommandStatus, Problem};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::orders::{Orderer, request};

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
        (status = 404, description = "No such run, its log is gone, or its agent is away", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Its agent doesn't answer", body = Problem, content_type = "application/problem+json"),
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
    let lines = app.commands.ask(by.into_caller(), request).await?.lines;
    let Some(line) = lines.iter().find(|line| line.status == CommandStatus::OK).or(lines.first()) else {
        return Err(ApiError::Missing { detail: format!("no agent has run {run:?}") });
    };
    let why = line.error.clone().unwrap_or_default();
    match (&line.status, &line.value) {
        (status, Some(value)) if *status == CommandStatus::OK => serde_json::from_value(value.clone())
            .map(Json)
            .map_err(|error| ApiError::TooManyAnswers { detail: format!("{} answered what can't be read: {error}", line.name) }),
        (status, _) if *status == CommandStatus::REFUSED => Err(ApiError::Missing { detail: why }),
        (status, _) => Err(ApiError::TooManyAnswers {
            detail: format!("the output of {run} is on the machine of {}, which did not answer ({status}): {why}", line.name),
        }),
    }
}
