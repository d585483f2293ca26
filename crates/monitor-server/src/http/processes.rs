//! `GET /api/v1/processes` and `GET /api/v1/processes/{id}`: processes of all runs.

use axum::Json;
use axum::extract::State;
use monitor_store::ProcessesQuery;
use monitor_wire::{Kind, Problem, ProcessesPage, WorkerId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::params::{Limit, NoParams, PathParts, ProcessIds, RootName, Strict, TimeUs, Words};
use super::problem::ApiError;
use super::refusals::Unreadable;
use super::{Answer, App};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProcessesParams {
    /// Only processes of this run, by its id or number.
    #[param(value_type = Option<String>)]
    root: Option<RootName>,
    /// Only processes of this kind: `root`, `normal`, `cross_thread`, `cross_process`, `script`, `run`, `task`, `job`, `step`, `host`,
    /// `span` …
    #[param(value_type = Option<String>)]
    kind: Option<Kind>,
    /// Only processes with exactly this id in another system, such as a queue task or a job, in any run.
    native_id: Option<String>,
    /// Only processes with exactly this name.
    name: Option<String>,
    /// Only processes of this worker. Its id has 32 lower-case hex digits.
    worker: Option<WorkerId>,
    /// Comma-separated states: `pending`, `running`, `succeeded`, `failed`, `cancelled`, `lost`, or another outcome.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    state: Words,
    /// Text to search for in name, batch mark and error.
    q: Option<String>,
    /// Only processes that started at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_after: Option<TimeUs>,
    /// Only processes that started before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_before: Option<TimeUs>,
    /// Maximum number of processes to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists processes: newest runs first, and within a run the newest processes first.
///
/// The kinds `normal`, `cross_thread` and `span`, and all kinds together, can be searched only within a run, within a range of time or by
/// `native_id`. One page examines a limited number of runs: it can contain fewer processes than `limit`, or none, and still have a
/// `next_cursor`.
#[utoipa::path(
    get,
    path = "/api/v1/processes",
    tag = "runs",
    params(ProcessesParams),
    responses(
        (status = 200, description = "One page", body = ProcessesPage),
        (status = 400, description = "A parameter is invalid, or the search would read too much data", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_processes(State(app): State<App>, Strict(params): Strict<ProcessesParams>) -> Answer<ProcessesPage> {
    let query = ProcessesQuery {
        root: params.root.map(|root| root.0),
        kind: params.kind,
        native_id: params.native_id,
        name: params.name,
        worker: params.worker,
        states: params.state.each(),
        text: params.q,
        started_after: params.started_after.map(|time| time.0),
        started_before: params.started_before.map(|time| time.0),
        limit: params.limit.0,
        cursor: params.cursor,
    };
    if query.is_boundless() {
        let kind = query.kind.map_or("of all kinds".to_owned(), |kind| format!("of kind `{kind}`"));
        let detail = format!(
            "processes {kind} are too many to search them all: give `root`, `native_id`, or a range of time from `started_after` on"
        );
        return Err(ApiError::Parameter { name: "root".to_owned(), detail });
    }
    Ok(Json(app.ask(move |store| store.processes(&query)).await?))
}

/// Maximum number of processes with the same id to return. Ids are random, so runs rarely share one.
const MOST_OF_ID: usize = 50;

/// Finds processes in all runs by their id or its first digits.
///
/// Returns at most 50 processes, newest first, and an empty list if there is none. Several readers search all runs in parallel: with two
/// readers, a million runs of ten processes take about 0.2 s.
#[utoipa::path(
    get,
    path = "/api/v1/processes/{id}",
    tag = "runs",
    params(("id" = String, Path, description = "Id of the process, or at least the first six of its hex digits")),
    responses(
        (status = 200, description = "The processes, one for each run", body = ProcessesPage),
        Unreadable,
    )
)]
pub(super) async fn get_processes_of_id(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<ProcessesPage> {
    let ProcessIds(first, last) = path.read("id")?;
    Ok(Json(app.ask(move |store| store.processes_of_ids((first, last), MOST_OF_ID)).await?))
}
