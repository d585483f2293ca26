//! Read models of statistics. Times are Unix microseconds, durations nanoseconds.

use serde::{Deserialize, Serialize};

use crate::ids::{ProcessId, RootId};
use crate::model::Counts;
use crate::words::State;

/// Numbers and durations of the processes of a name in a time range. A process counts at the time of its end, a lost process at the time of its
/// start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NameStats {
    /// Name of the processes.
    pub name: String,
    /// Number of processes.
    pub count: u64,
    /// Number of processes that succeeded.
    pub succeeded: u64,
    /// Number of processes that failed.
    pub failed: u64,
    /// Number of processes that were cancelled.
    pub cancelled: u64,
    /// Number of processes whose worker was lost before they ended.
    pub lost: u64,
    /// Number of processes with any other outcome.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
    /// Sum of the durations of all processes that ended.
    pub total_ns: u64,
    /// Shortest duration.
    pub min_ns: Option<u64>,
    /// Longest duration.
    pub max_ns: Option<u64>,
    /// Median of the durations. This and the other percentiles have an error of at most 2 %.
    pub p50_ns: Option<u64>,
    /// 95th percentile of the durations.
    pub p95_ns: Option<u64>,
    /// 99th percentile of the durations.
    pub p99_ns: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Answer of `GET /api/v1/stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatsPage {
    /// An entry for each name.
    pub stats: Vec<NameStats>,
    /// Start of the range that the server evaluated. Ranges consist of whole minutes, those of more than two days of whole hours, those of more
    /// than 62 days of whole days.
    pub from_us: u64,
    /// End of the range that the server evaluated.
    pub to_us: u64,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// Numbers and durations of the processes that ended in one step of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeriesStep {
    /// Start of the step.
    pub from_us: u64,
    /// Number of processes that succeeded.
    pub succeeded: u64,
    /// Number of processes that failed.
    pub failed: u64,
    /// Number of processes that were cancelled.
    pub cancelled: u64,
    /// Number of processes whose worker was lost before they ended.
    pub lost: u64,
    /// Number of processes with any other outcome.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
    /// Sum of the durations of all processes that ended.
    pub total_ns: u64,
    /// Histogram of the durations as `[[i, count], …]`. Bucket i contains durations in [1.04^i, 1.04^(i+1)) ns.
    pub histogram: Vec<(u32, u64)>,
}

/// Answer of `GET /api/v1/stats/series`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatsSeries {
    /// Steps with at least one ended process, in ascending order.
    pub series: Vec<SeriesStep>,
    /// Length of a step: 1, 5 or 15 minutes, 1 or 6 hours, 1, 8 or 32 days.
    pub step_us: u64,
    /// Start of the first step.
    pub from_us: u64,
    /// End of the last step.
    pub to_us: u64,
    /// Number of the newest change that the series includes.
    pub as_of: u64,
}

/// Failed processes of a name with similar error messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorStats {
    /// The part that the error messages share. Numbers, ids and quoted parts are replaced by `…`.
    pub shape: String,
    /// Error message of the newest process.
    pub message: String,
    /// Name of the processes.
    pub name: String,
    /// Number of failed processes.
    pub count: u64,
    /// End of the newest process.
    pub last_us: u64,
    /// Run of the newest process; none if the run was deleted.
    pub root_id: Option<RootId>,
    /// Id of the newest process.
    pub id: ProcessId,
}

/// Answer of `GET /api/v1/stats/errors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorsPage {
    /// Errors, the most frequent first.
    pub errors: Vec<ErrorStats>,
    /// Start of the range that the server evaluated: a whole hour, or in ranges of more than 62 days a whole day.
    pub from_us: u64,
    /// End of the range that the server evaluated.
    pub to_us: u64,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// Roots that failed with similar error messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CauseStats {
    /// The part that the error messages share. Numbers, ids and quoted parts are replaced by `…`.
    pub shape: String,
    /// Error message of the newest root.
    pub message: String,
    /// Number of failed roots, of all names.
    pub count: u64,
    /// Names of the failed roots, the most frequent first, at most ten.
    pub names: Vec<String>,
    /// Number of different names.
    pub name_count: u64,
    /// End of the first root in the range.
    pub first_us: u64,
    /// End of the newest root.
    pub last_us: u64,
    /// True if no root failed with such a message in the seven days before the range.
    pub new: bool,
    /// Run of the newest root; none if the run was deleted.
    pub root_id: Option<RootId>,
}

/// Answer of `GET /api/v1/stats/causes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CausesPage {
    /// Causes, the most recent first.
    pub causes: Vec<CauseStats>,
    /// Start of the range that the server evaluated: a whole hour, or in ranges of more than 62 days a whole day.
    pub from_us: u64,
    /// End of the range that the server evaluated.
    pub to_us: u64,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// A run in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootMark {
    /// Id of the run.
    pub root_id: RootId,
    /// Short number of the run.
    pub number: u64,
    /// State of the root's own process.
    pub state: State,
    /// Start of the root's own process.
    pub started_us: Option<u64>,
    /// Duration of the root's own process.
    pub elapsed_ns: Option<u64>,
}

/// Runs of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootName {
    /// Name of the runs.
    pub name: String,
    /// Number of runs by state.
    pub counts: Counts,
    /// The newest 30 runs, newest first.
    pub roots: Vec<RootMark>,
}

/// Answer of `GET /api/v1/roots/names`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootNamesPage {
    /// Names. The name with the newest run is first.
    pub names: Vec<RootName>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}
