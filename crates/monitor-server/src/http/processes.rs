//! `GET /api/v1/processes` and `GET /api/v1/processes/{id}`

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
    /// In this tree: its id, or its number.
    #[param(value_type = Option<String>)]
    root: Option<RootName>,
    /// Of this kind: `root`, `normal`, `cross_thread`, `cross_process`, `script`, `run`, `task`, `job`, `step`, `host`, `span` …
    #[param(value_type = Option<String>)]
    kind: Option<Kind>,
    /// With exactly this id of another system, in whatever tree: a queue's task, a job.
    native_id: Option<String>,
    /// Exactly this name.
    name: Option<String>,
    /// Run by this worker: its id, 32 lower-case hex digits.
    worker: Option<WorkerId>,
    /// In one of these states, between commas: `pending`, `running`, `succeeded`, `failed`, `cancelled`, `lost`, or another outcome.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    state: Words,
    /// Contains this text in its name, batch mark or error.
    q: Option<String>,
    /// Started at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_after: Option<TimeUs>,
    /// Started before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_before: Option<TimeUs>,
    /// At most so many, 1 to 1000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// The `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

/// Lists processes: newest first within a tree, and newest trees first. The kinds `normal`, `cross_thread` and `span`, and all kinds together, are only
/// searched within a tree, a range of time or those with a `native_id`. A page looks at so many trees only: it may be short, even empty, and still have a `next_cursor`.
#[utoipa::path(
    get,
    path = "/api/v1/processes",
    tag = "trees",
    params(ProcessesParams),
    responses(
        (status = 200, description = "One page", body = ProcessesPage),
        (status = 400, description = "A parameter can't be read, or too much would have to be searched", body = Problem, content_type = "application/problem+json"),
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

/// So many trees hardly have a process of the same id.
const MOST_OF_ID: usize = 50;

/// Finds processes by their id alone, or by its first digits, in all trees, newest first, 50 at most: none if no such process is there.
/// Each tree is looked into, by several readers at the same time: a million trees of ten processes take two of them about 0.2 s.
#[utoipa::path(
    get,
    path = "/api/v1/processes/{id}",
    tag = "trees",
    params(("id" = String, Path, description = "The process: its id, or six or more of the hex digits that it begins with")),
    responses(
        (status = 200, description = "All of them", body = ProcessesPage),
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
