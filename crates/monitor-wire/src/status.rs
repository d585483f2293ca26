//! How the server is: what `GET /api/v1/status` answers. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::batch::Dropped;
use crate::model::Counts;
use crate::task::BatchAgent;
use crate::words::State;

/// `GET /api/v1/status`: the server at a glance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// Version of the server.
    pub version: String,
    /// When the server began.
    pub started_us: u64,
    /// Number of the newest change.
    pub as_of: u64,
    /// Events stored since the database began.
    pub events: u64,
    /// False if nobody can be told of alerts: there is no channel, and the server's own agent has no `sendmail`.
    #[serde(default = "can_tell", skip_serializing_if = "is_true")]
    pub can_tell: bool,
    /// What is wrong with the file of alert rules and channels, each with its place. Until that is mended, its last good version holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_mistakes: Vec<String>,
    /// Events of types unknown to this server, by type.
    pub unknown_events: BTreeMap<String, u64>,
    /// Events that wait until another one tells in which tree their process is.
    #[serde(default)]
    pub waiting_events: u64,
    /// Roots by state.
    pub roots: Counts,
    /// Processes by state.
    pub processes: Counts,
    /// Workers by state.
    pub workers: WorkerCounts,
    /// What the workers had to drop, all trees together.
    pub dropped: Vec<Dropped>,
    /// Bytes of the database on disk.
    pub database_bytes: u64,
    /// How many of them are free for what is to come.
    #[serde(default)]
    pub free_bytes: u64,
    /// How many of them are the log of events, by which the stream tells again what it has told.
    #[serde(default)]
    pub stream_log_bytes: u64,
    /// Number of the oldest event in it; none if it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_log_from: Option<u64>,
    /// Bytes of its log on disk, which are written into it from time to time.
    #[serde(default)]
    pub wal_bytes: u64,
    /// Bytes that are free on the disk of the data folder, where the system tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Batches are refused while less is free than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_free_bytes: Option<u64>,
    /// Batches that were told to come again, since the server began.
    #[serde(default)]
    pub refused_batches: u64,
    /// Why batches can't be stored now, in English words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The server's clock jumped ahead, and trees don't grow older by that yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_jump: Option<ClockJump>,
    /// Agents of batch tasks that don't do all that was meant: they are paused, or have mistakes in their files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hindered_agents: Vec<BatchAgent>,
    /// Bytes of batches that wait to be stored.
    #[serde(default)]
    pub queue_bytes: u64,
    /// Events that were taken to be stored in the past ten seconds, per second.
    #[serde(default)]
    pub events_per_second: f64,
    /// Which trees are kept, in English words.
    #[serde(default)]
    pub retention: String,
    /// The same as rules: the first one that is for a tree decides, and what none is for is kept for ever.
    #[serde(default)]
    pub keeps: Vec<KeepRule>,
    /// The oldest trees go while the database is larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_bytes: Option<u64>,
    /// What the server does beside answering requests, and how that goes.
    #[serde(default)]
    pub duties: Vec<DutyState>,
}

/// One thing that the server does beside answering requests, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DutyState {
    /// Its name, such as `retention`.
    pub name: String,
    /// When its last run ended, Unix µs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_us: Option<u64>,
    /// For how long its next run is overdue, in nanoseconds.
    pub lag_ns: u64,
    /// Why its last run failed, or why it broke off, in English words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How often it broke off and began anew since the server began.
    pub restarts: u64,
}

/// A clock that jumped ahead, and when that counts for the ages of trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClockJump {
    /// How far it is ahead of what is believed, in seconds.
    pub ahead_s: u64,
    /// In so many seconds it counts, or as soon as somebody confirms it.
    pub counts_in_s: u64,
}

/// What was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Confirmed {
    /// The jump that was waited for, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_jump: Option<ClockJump>,
}

/// How long trees of some names and outcomes are kept. Without a limit: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeepRule {
    /// Of which names, a pattern as in a shell; `*` is for all.
    pub name: String,
    /// In which states their root ended; empty for any.
    pub states: Vec<State>,
    /// How long after something of it came last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// How many of each name, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Workers by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerCounts {
    /// Reporting.
    pub online: u64,
    /// Gone by their own word.
    pub offline: u64,
    /// Overdue.
    pub lost: u64,
}

/// An older server doesn't say.
fn can_tell() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_true(value: &bool) -> bool {
    *value
}
