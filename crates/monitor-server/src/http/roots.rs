//! `GET /api/v1/roots` and `GET /api/v1/roots/{root}`: runs.

use axum::Json;
use axum::extract::State;
use monitor_store::{Queries, RootSort, RootsQuery};
use monitor_wire::{Root, RootsPage};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::params::{Limit, NoParams, Offset, PathParts, Strict, TimeUs, Words};
use super::refusals::{NoTree, Unreadable};
use super::{Answer, App};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RootsParams {
    /// Comma-separated states: `pending`, `running`, `succeeded`, `failed`, `cancelled`, `lost`, or another outcome.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    state: Words,
    /// Only runs with exactly this name.
    name: Option<String>,
    /// Only runs with exactly this batch mark.
    batch: Option<String>,
    /// Only runs of this worker: its id (32 lower-case hex digits), its name (`program@host` or `program@host:pid`), its host, or a glob for
    /// its name. Several workers can have the same name.
    worker: Option<String>,
    /// `true`: only runs that began because a call had no context. `false`: only other runs.
    unattached: Option<bool>,
    /// Text to search for in name, batch mark, and error with its causes, ignoring case; or a number (`2106`, `<batch001:2106>`), or the
    /// first four or more hex digits of an id.
    q: Option<String>,
    /// Only runs that started at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_after: Option<TimeUs>,
    /// Only runs that started before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_before: Option<TimeUs>,
    /// Order by start: `newest` (default) or `oldest` first. Runs without a known start are ordered by the time at which they were queued
    /// or ended.
    #[serde(default)]
    #[param(value_type = Option<Sort>)]
    sort: Sort,
    /// Maximum number of runs to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged. It contains the position where that page ended, `start.number`. The page begins after
    /// this position, even if runs have been added or deleted since.
    cursor: Option<String>,
    /// Number of runs to skip, counted from `cursor`.
    #[serde(default)]
    #[param(value_type = Option<u32>)]
    offset: Offset,
}

/// Order of runs.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    #[default]
    Newest,
    Oldest,
}

/// Lists runs.
#[utoipa::path(
    get,
    path = "/api/v1/roots",
    tag = "runs",
    params(RootsParams),
    responses(
        (status = 200, description = "One page", body = RootsPage),
        Unreadable,
    )
)]
pub(super) async fn get_roots(State(app): State<App>, Strict(params): Strict<RootsParams>) -> Answer<RootsPage> {
    let workers = match params.worker {
        Some(name) => app.workers_named("worker", name).await?,
        None => Vec::new(),
    };
    let query = RootsQuery {
        states: params.state.each(),
        name: params.name,
        batch: params.batch,
        workers,
        unattached: params.unattached,
        text: params.q,
        started_after: params.started_after.map(|time| time.0),
        started_before: params.started_before.map(|time| time.0),
        sort: match params.sort {
            Sort::Newest => RootSort::Newest,
            Sort::Oldest => RootSort::Oldest,
        },
        limit: params.limit.0,
        cursor: params.cursor,
        offset: params.offset.0,
    };
    Ok(Json(app.ask(move |store| store.roots(&query)).await?))
}

/// Returns a run without its processes.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}",
    tag = "runs",
    params(("root" = String, Path, description = "Id or number of the run")),
    responses(
        (status = 200, description = "The run", body = Root),
        NoTree,
    )
)]
pub(super) async fn get_root(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Root> {
    Ok(Json(app.ask_root(&path, Queries::root).await?))
}
