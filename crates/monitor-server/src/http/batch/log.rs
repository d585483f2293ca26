//! `GET /api/v1/batch-tasks/runs/{id}/log`: the output of a run, read from its agent's machine. The output of a heartbeat's run is stored
//! on the server.

use axum::Json;
use axum::extract::State;
use monitor_store::cut::boundary;
use monitor_store::{LogsQuery, RootKey};
use monitor_wire::{AgentOrder, BatchLog, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict};
use super::super::ping;
use super::super::problem::ApiError;
use super::super::refusals::Unreadable;
use super::super::{Answer, App};
use super::orders::Orderer;
use super::publications::{silent, value};
use crate::commands::CommandError;

/// Maximum time to wait for the agent, in milliseconds.
const TIMEOUT_MS: u64 = 5_000;
/// Maximum number of bytes in a piece.
const MOST: usize = 128 << 10;
/// Maximum number of lines read from a heartbeat's run. No more lines are stored.
const MOST_LINES: usize = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct LogParams {
    /// Offset of the first byte (default 0).
    offset: Option<u64>,
}

/// Returns a piece of at most 128 KiB of a run's stdout and stderr, as stored by its agent.
///
/// While the run is running, or if there is more output, request the next piece with `next_offset`.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/runs/{id}/log",
    tag = "batch tasks",
    params(("id" = String, Path, description = "Id of the run, such as `gold@20261121T023000Z.1`"), LogParams),
    responses(
        (status = 200, description = "A part of the log", body = BatchLog),
        Unreadable,
        (status = 404, description = "The run does not exist, or its log has been deleted", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The agent is not connected, or does not answer", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_log(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(params): Strict<LogParams>,
) -> Answer<BatchLog> {
    let run = path.text("id");
    let offset = params.offset.unwrap_or_default();
    if let Some(log) = app.log_of_pings(run, offset).await? {
        return Ok(Json(log));
    }
    let agents = app.agents_of_run(run).await?;
    let mut request = AgentOrder::Log { run: run.to_owned(), offset }.request(Some(&by.caller().name), &agents);
    request.timeout_ms = Some(TIMEOUT_MS);
    let lines = match app.commands.ask(by.into_caller(), request).await {
        // The agent has never connected to this server, or so long ago that its record was deleted.
        Err(error @ (CommandError::UnknownWorker(_) | CommandError::UnknownName { .. })) => {
            return Err(silent(&agents.join(", "), &error.to_string()));
        }
        answer => answer?.lines,
    };
    let answered = lines.iter().find(|line| value::<BatchLog>(line).is_ok()).or(lines.first());
    let line = answered.ok_or_else(|| ApiError::Missing { detail: format!("no agent has run {run:?}") })?;
    value(line).map(Json)
}

impl App {
    /// Returns a piece of the output that pings of a run have sent. `None` if it is not a run of a heartbeat.
    async fn log_of_pings(&self, run: &str, offset: u64) -> Result<Option<BatchLog>, ApiError> {
        let ((root, id), query) = (ping::ids(run), LogsQuery { limit: MOST_LINES, ..LogsQuery::default() });
        let found = self.ask(move |store| {
            let root = RootKey::Id(root);
            let Some(process) = store.process(root, id)? else { return Ok(None) };
            Ok(Some((process.ended_us.is_some(), store.logs(root, &query)?)))
        });
        let Some((is_over, page)) = found.await? else { return Ok(None) };
        let text: String = page.into_iter().flat_map(|page| page.logs).map(|line| line.message + "\n").collect();
        let begin = boundary(&text, usize::try_from(offset).unwrap_or(usize::MAX));
        let end = boundary(&text, begin.saturating_add(MOST));
        Ok(Some(BatchLog {
            run: run.to_owned(),
            offset: begin as u64,
            text: text[begin..end].to_owned(),
            next_offset: end as u64,
            size_bytes: text.len() as u64,
            is_over,
        }))
    }
}
