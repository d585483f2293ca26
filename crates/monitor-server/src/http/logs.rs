//! `GET /api/v1/roots/{root}/logs` and `GET /api/v1/roots/{root}/processes/{id}/logs`

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
    /// This level and more severe ones: `error`, `warn`, `info`, `debug` or `trace`. Lines of other levels are always there.
    #[param(value_type = Option<Level>)]
    level: Option<Level>,
    /// Contains this text, in any case, in its message, target or fields.
    q: Option<String>,
    /// `oldest` first (the default) or `newest` first.
    #[serde(default)]
    #[param(value_type = Option<LogOrder>)]
    order: LogOrder,
    /// At most so many, 1 to 10000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: Limit<10_000>,
    /// The `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

/// How severe a line is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// In which order lines are listed.
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

/// Lists what all processes of a tree said, by time.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/logs",
    tag = "trees",
    params(("root" = String, Path, description = "The tree: its id, or its number"), LogsParams),
    responses(
        (status = 200, description = "One page", body = LogsPage),
        NoTree,
    )
)]
pub(super) async fn get_root_logs(State(app): State<App>, path: PathParts, Strict(params): Strict<LogsParams>) -> Answer<LogsPage> {
    let query = params.query(None);
    Ok(Json(app.ask_root(&path, move |store, root| store.logs(root, &query)).await?))
}

/// Lists what a process said, by time.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/processes/{id}/logs",
    tag = "trees",
    params(
        ("root" = String, Path, description = "The tree: its id, or its number"),
        ("id" = ProcessId, Path, description = "The process"),
        LogsParams
    ),
    responses(
        (status = 200, description = "One page", body = LogsPage),
        Unreadable,
        (status = 404, description = "No such process", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It is no longer kept", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_process_logs(State(app): State<App>, path: PathParts, Strict(params): Strict<LogsParams>) -> Answer<LogsPage> {
    Ok(Json(app.ask_process(&path, move |store, root, id| store.logs(root, &params.query(Some(id)))).await?))
}
