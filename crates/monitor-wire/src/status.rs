//! The state of the server: the answer of `GET /api/v1/status`. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::batch::Dropped;
use crate::model::Counts;
use crate::task::BatchAgent;
use crate::words::State;

/// Answer of `GET /api/v1/status`: an overview of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// Version of the server.
    pub version: String,
    /// Version of the wire format that the server reads. 0 if the server is too old to state it.
    #[serde(default)]
    pub wire: u32,
    /// Number of the schema of each database in the data folder, by the name of the file.
    #[serde(default)]
    pub schemas: BTreeMap<String, u32>,
    /// Time at which the server started.
    pub started_us: u64,
    /// Number of the newest change.
    pub as_of: u64,
    /// Number of events stored since the database was created.
    pub events: u64,
    /// False if the server can't deliver alerts: no channel is configured, and the server's own agent has no `sendmail`.
    #[serde(default = "can_tell", skip_serializing_if = "is_true")]
    pub can_tell: bool,
    /// Mistakes in the file of alert rules and channels, each with its place. While there are any, the last valid version of the file is in
    /// effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_mistakes: Vec<String>,
    /// Number of events of types that this server doesn't know, by type.
    pub unknown_events: BTreeMap<String, u64>,
    /// Number of events that wait for another event, because the run of their process is not known yet.
    #[serde(default)]
    pub waiting_events: u64,
    /// Roots by state.
    pub roots: Counts,
    /// Number of names whose newest ended root failed or was lost.
    #[serde(default)]
    pub failing_names: u64,
    /// Processes by state.
    pub processes: Counts,
    /// Workers by state.
    pub workers: WorkerCounts,
    /// Data that the workers dropped, for all runs together.
    pub dropped: Vec<Dropped>,
    /// Size of the database on disk, in bytes.
    pub database_bytes: u64,
    /// Part of the database that is free for new data, in bytes.
    #[serde(default)]
    pub free_bytes: u64,
    /// Part of the database that stores past events for readers of the stream, in bytes.
    #[serde(default)]
    pub stream_log_bytes: u64,
    /// Number of the oldest of these past events; none if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_log_from: Option<u64>,
    /// Size of the database's write-ahead log on disk, in bytes. The server moves its contents into the database from time to time.
    #[serde(default)]
    pub wal_bytes: u64,
    /// Free space on the disk of the data folder, in bytes, if the operating system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Minimum of free disk space, in bytes. The server refuses batches while less is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_free_bytes: Option<u64>,
    /// Number of batches that the server refused since it started, and that their senders must send again.
    #[serde(default)]
    pub refused_batches: u64,
    /// Reason why the server can't store batches now, in English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Forward jump of the server's clock that does not count for the ages of runs yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_jump: Option<ClockJump>,
    /// Agents of batch tasks that are paused or have mistakes in their files, so that they don't start all runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hindered_agents: Vec<BatchAgent>,
    /// Size of the batches that wait to be stored, in bytes.
    #[serde(default)]
    pub queue_bytes: u64,
    /// Number of events per second that the server accepted, averaged over the past ten seconds.
    #[serde(default)]
    pub events_per_second: f64,
    /// Description of the retention rules, in English.
    #[serde(default)]
    pub retention: String,
    /// Retention rules. The first rule that matches a run applies to it. Runs that match no rule are kept permanently.
    #[serde(default)]
    pub keeps: Vec<KeepRule>,
    /// Maximum size of the database, in bytes. The server deletes the oldest runs while the database is larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_bytes: Option<u64>,
    /// Tasks that the server repeats in the background, and their current state.
    #[serde(default)]
    pub duties: Vec<DutyState>,
}

/// A task that the server repeats in the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DutyState {
    /// Name of the task, such as `retention`.
    pub name: String,
    /// End of the last run, in Unix microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_us: Option<u64>,
    /// Delay of the next run, in nanoseconds; 0 if the run is not overdue.
    pub lag_ns: u64,
    /// Reason why the last run failed or was aborted, in English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Number of times that the server restarted the task after it was aborted, since the server started.
    pub restarts: u64,
}

/// A forward jump of the server's clock, and the time until it counts for the ages of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClockJump {
    /// Difference between the clock and the time that the ages of runs are based on, in seconds.
    pub ahead_s: u64,
    /// Number of seconds until the jump counts. An operator can confirm the jump earlier.
    pub counts_in_s: u64,
}

/// The result of a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Confirmed {
    /// Jump that was confirmed, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_jump: Option<ClockJump>,
}

/// A retention rule: how long runs of some names and outcomes are kept. Without a limit they are kept permanently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeepRule {
    /// Names of the runs, as a shell pattern; `*` matches all names.
    pub name: String,
    /// Batch marks of the runs, as a shell pattern. Absent for runs with any mark or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// States that the root has ended in; empty for any state.
    pub states: Vec<State>,
    /// Duration that a run is kept after its last event, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// Number of newest runs that are kept for each name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Number of workers by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerCounts {
    /// Workers that send events or heartbeats. Workers in the state `unheard` are included.
    pub online: u64,
    /// Workers that reported their end.
    pub offline: u64,
    /// Workers whose heartbeat is overdue.
    pub lost: u64,
}

/// The default for answers of older servers, which don't contain the field.
fn can_tell() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_true(value: &bool) -> bool {
    *value
}
