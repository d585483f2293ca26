//! `GET /api/v1/roots` and `GET /api/v1/roots/{root}`

use axum::Json;
use axum::extract::State;
use monitor_store::{Queries, RootSort, RootsQuery};
use monitor_wire::{Root, RootsPage, WorkerId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::params::{Limit, NoParams, Offset, PathParts, Strict, TimeUs, Words};
use super::refusals::{NoTree, Unreadable};
use super::{Answer, App};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RootsParams {
    /// One of these states, between commas: `pending`, `running`, `succeeded`, `failed`, `cancelled`, `lost`, or another outcome.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    state: Words,
    /// Exactly this name.
    name: Option<String>,
    /// Exactly this batch mark.
    batch: Option<String>,
    /// Run by this worker: its id, 32 lower-case hex digits.
    worker: Option<WorkerId>,
    /// `true`: only those that began because a call had no context; `false`: only others.
    unattached: Option<bool>,
    /// Contains this text, in any case, in its name, its batch mark, or its error with its causes; or has this number (`2106`,
    /// `<batch001:2106>`), or an id that begins so (four hex digits or more).
    q: Option<String>,
    /// Started at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_after: Option<TimeUs>,
    /// Started before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_before: Option<TimeUs>,
    /// `newest` (by default) or `oldest` first, by their start; by when they were queued or ended, if no start is known.
    #[serde(default)]
    #[param(value_type = Option<Sort>)]
    sort: Sort,
    /// At most so many, 1 to 1000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// The `next_cursor` of the page before, as it is. It says where a page ends, `start.number`: the page begins behind that place,
    /// whatever was added or dropped since.
    cursor: Option<String>,
    /// Leave out so many, from there on.
    #[serde(default)]
    #[param(value_type = Option<u32>)]
    offset: Offset,
}

/// In which order.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// Lists trees.
#[utoipa::path(
    get,
    path = "/api/v1/roots",
    tag = "trees",
    params(RootsParams),
    responses(
        (status = 200, description = "One page", body = RootsPage),
        Unreadable,
    )
)]
pub(super) async fn get_roots(State(app): State<App>, Strict(params): Strict<RootsParams>) -> Answer<RootsPage> {
    let query = RootsQuery {
        states: params.state.each(),
        name: params.name,
        batch: params.batch,
        worker: params.worker,
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

/// Tells of one tree without its processes.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}",
    tag = "trees",
    params(("root" = String, Path, description = "The tree: its id, or its number")),
    responses(
        (status = 200, description = "The tree, seen from its root", body = Root),
        NoTree,
    )
)]
pub(super) async fn get_root(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Root> {
    Ok(Json(app.ask_root(&path, Queries::root).await?))
}
