//! `GET /api/v1/roots/{root}/logs` and `GET /api/v1/roots/{root}/processes/{id}/logs`: log lines.

use axum::Json;
use axum::extract::State;
use monitor_store::LogsQuery;
use monitor_wire::{LogsPage, Problem, ProcessId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::params::{Limit, PathParts, Strict};
use super::refusals::{NoTree, Unreadable};
use super::{Answer, App};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsParams {
    /// Minimum severity: `error`, `warn`, `info`, `debug` or `trace`. Lines with an unknown level are always included.
    #[param(value_type = Option<Level>)]
    level: Option<Level>,
    /// Text to search for in message, target and fields, ignoring case.
    q: Option<String>,
    /// Order: `oldest` first (the default) or `newest` first.
    #[serde(default)]
    #[param(value_type = Option<LogOrder>)]
    order: LogOrder,
    /// Maximum number of lines to return (1 to 10,000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: Limit<10_000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Order of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogOrder {
    #[default]
    Oldest,
    Newest,
}

impl LogsParams {
    fn query(self, process: Option<ProcessId>) -> LogsQuery {
        const LESS_SEVERE: &[&str] = &["warn", "info", "debug", "trace"];
        LogsQuery {
            process,
            without_levels: self.level.map_or(&[], |level| &LESS_SEVERE[level as usize..]),
            text: self.q,
            is_newest_first: self.order == LogOrder::Newest,
            limit: self.limit.0,
            cursor: self.cursor,
        }
    }
}

/// Lists the log lines of all processes of a run, by time.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/logs",
    tag = "runs",
    params(("root" = String, Path, description = "Id or number of the run"), LogsParams),
    responses(
        (status = 200, description = "One page", body = LogsPage),
        NoTree,
    )
)]
pub(super) async fn get_root_logs(State(app): State<App>, path: PathParts, Strict(params): Strict<LogsParams>) -> Answer<LogsPage> {
    let query = params.query(None);
    Ok(Json(app.ask_root(&path, move |store, root| store.logs(root, &query)).await?))
}

/// Lists the log lines of a process, by time.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/processes/{id}/logs",
    tag = "runs",
    params(
        ("root" = String, Path, description = "Id or number of the run"),
        ("id" = ProcessId, Path, description = "Id of the process"),
        LogsParams
    ),
    responses(
        (status = 200, description = "One page", body = LogsPage),
        Unreadable,
        (status = 404, description = "The process does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The data has been deleted", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_process_logs(State(app): State<App>, path: PathParts, Strict(params): Strict<LogsParams>) -> Answer<LogsPage> {
    Ok(Json(app.ask_process(&path, move |store, root, id| store.logs(root, &params.query(Some(id)))).await?))
}
