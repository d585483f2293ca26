//! Read models of statistics. Times are Unix microseconds, durations nanoseconds.

use serde::{Deserialize, Serialize};

use crate::ids::{ProcessId, RootId};
use crate::model::Counts;
use crate::words::State;

/// What became of the processes of a name, in a range of time: those that ended in it, and those lost ones that began in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NameStats {
    /// The name.
    pub name: String,
    /// All of them.
    pub count: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Given up.
    pub cancelled: u64,
    /// Lost with their worker.
    pub lost: u64,
    /// Ended in a way unknown here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
    /// All durations together, of those that ended.
    pub total_ns: u64,
    /// The shortest.
    pub min_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// Half of them took at most so long; this and the next two are at most 2 % off.
    pub p50_ns: Option<u64>,
    /// 95 % of them took at most so long.
    pub p95_ns: Option<u64>,
    /// 99 % of them took at most so long.
    pub p99_ns: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// `GET /api/v1/stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatsPage {
    /// One entry per name.
    pub stats: Vec<NameStats>,
    /// Where the range begins in truth: whole minutes, in ranges of more than two days whole hours, of more than 62 days whole days.
    pub from_us: u64,
    /// Where it ends in truth.
    pub to_us: u64,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// What became of the processes that ended within a step of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeriesStep {
    /// Where it begins.
    pub from_us: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Given up.
    pub cancelled: u64,
    /// Lost with their worker.
    pub lost: u64,
    /// Ended in a way unknown here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
    /// All durations together, of those that ended.
    pub total_ns: u64,
    /// `[[i, count], …]`, bucket i = [1.04^i, 1.04^(i+1)) ns.
    pub histogram: Vec<(u32, u64)>,
}

/// `GET /api/v1/stats/series`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatsSeries {
    /// The steps in which something ended, ascending.
    pub series: Vec<SeriesStep>,
    /// How long each is: a minute, 5 or 15, an hour, 6 hours, a day, 8 or 32 days.
    pub step_us: u64,
    /// Where the first begins.
    pub from_us: u64,
    /// Where the last ends.
    pub to_us: u64,
    /// Number of the change that it is true at.
    pub as_of: u64,
}

/// Failures alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorStats {
    /// What their messages share: numbers, ids and what stands in quotes replaced by `…`.
    pub shape: String,
    /// The newest one's message.
    pub message: String,
    /// Name of the processes that failed so.
    pub name: String,
    /// How many.
    pub count: u64,
    /// When the newest ended.
    pub last_us: u64,
    /// Its tree; none if that is no longer kept.
    pub root_id: Option<RootId>,
    /// The newest of these processes.
    pub id: ProcessId,
}

/// `GET /api/v1/stats/errors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorsPage {
    /// The most frequent first.
    pub errors: Vec<ErrorStats>,
    /// Where the range begins in truth: at a whole hour, in ranges of more than 62 days at a whole day.
    pub from_us: u64,
    /// Where it ends in truth.
    pub to_us: u64,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// Roots that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CauseStats {
    /// What their messages share: numbers, ids and what is quoted are left out.
    pub shape: String,
    /// The message of the newest of them.
    pub message: String,
    /// How many failed so, of all names.
    pub count: u64,
    /// The names of those that failed so, the most frequent first: ten at most.
    pub names: Vec<String>,
    /// How many names there are.
    pub name_count: u64,
    /// When the first of them in the range ended.
    pub first_us: u64,
    /// When the newest of them ended.
    pub last_us: u64,
    /// None failed so in the seven days before the range.
    pub new: bool,
    /// The tree of the newest; none if that is no longer kept.
    pub root_id: Option<RootId>,
}

/// `GET /api/v1/stats/causes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CausesPage {
    /// Those that were there last come first.
    pub causes: Vec<CauseStats>,
    /// Where the range begins in truth: at a whole hour, in ranges of more than 62 days at a whole day.
    pub from_us: u64,
    /// Where it ends in truth.
    pub to_us: u64,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// A tree in few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootMark {
    /// The tree.
    pub root_id: RootId,
    /// Its short number.
    pub number: u64,
    /// State of its own process.
    pub state: State,
    /// Its start.
    pub started_us: Option<u64>,
    /// How long it took.
    pub elapsed_ns: Option<u64>,
}

/// The trees of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootName {
    /// The name.
    pub name: String,
    /// All of them by state.
    pub counts: Counts,
    /// The newest 30, newest first.
    pub roots: Vec<RootMark>,
}

/// `GET /api/v1/roots/names`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootNamesPage {
    /// The names, that of the newest tree first.
    pub names: Vec<RootName>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}
