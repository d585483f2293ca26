//! Events about batch tasks and their runs. A run itself is a process of the kind `run`, and its events are those of any other process.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::{Link, WorkerRef, process_event};
use crate::ids::{ProcessId, RootId};
use crate::words::{BatchStatus, MissedReason, SkipReason};

/// Runs of a batch task were due, and its agent decided not to start them. Consecutive due times with the same reason are one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSkipped {
    /// Time at which the agent decided this, in Unix microseconds.
    pub time_us: u64,
    /// Name of the task.
    pub task: String,
    /// Name of the agent.
    pub agent: String,
    /// Version of the task's definition.
    pub version: u64,
    /// Due time of the run, in Unix microseconds. If there are several, the first due time.
    pub due_us: u64,
    /// Last due time in Unix microseconds, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_due_us: Option<u64>,
    /// Number of due times.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    /// Reason why the runs were skipped.
    pub reason: SkipReason,
    /// Native id of the run that prevented the start, such as `gold@20261121T023000Z.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(count: &u64) -> bool {
    *count == 1
}

/// Runs of a batch task were due, and could not be started in time. Any number of due times is one event. The server also creates this event if
/// a heartbeat's ping is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunMissed {
    /// Time at which this was noticed, in Unix microseconds.
    pub time_us: u64,
    /// Name of the task or heartbeat.
    pub task: String,
    /// Name of the agent; empty for a heartbeat without an agent.
    pub agent: String,
    /// Version of the task's definition; 1 for a heartbeat.
    pub version: u64,
    /// First due time, in Unix microseconds.
    pub first_due_us: u64,
    /// Last due time, in Unix microseconds.
    pub last_due_us: u64,
    /// Number of due times.
    pub count: u64,
    /// Reason why the runs were missed.
    pub reason: MissedReason,
}

/// A batch task was defined, changed, paused, resumed or deleted, by the server or by an agent whose files define it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchTaskChanged {
    /// Time of the change, in Unix microseconds.
    pub time_us: u64,
    /// Name of the task.
    pub task: String,
    /// Current version of the task.
    pub version: u64,
    /// Current status of the task.
    pub status: BatchStatus,
    /// Person, token or file that made the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Agent whose files define the task; none if the server defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Time until which the task is paused, in Unix microseconds. If not set, a paused task is paused until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
    /// New definition of the task, if the files of an agent define it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub definition: Option<Map<String, Value>>,
}

/// An agent has decided about all due times up to `until_us`. If it has reported nothing about an earlier time, no run was due then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentDecided {
    /// Time of the event, in Unix microseconds.
    pub time_us: u64,
    /// Name of the agent.
    pub agent: String,
    /// All due times up to this time have been decided, in Unix microseconds.
    pub until_us: u64,
    /// Start of the agent's pause, in Unix microseconds; not set if the agent is not paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_from_us: Option<u64>,
    /// End of the agent's pause, in Unix microseconds. If not set, a paused agent is paused until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until_us: Option<u64>,
    /// True if the agent accepts no tasks from the server (`--accept files`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files_only: bool,
    /// Mistakes in the agent's files of tasks, each with its file, line and column. The list may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
}

process_event!(
    /// A process requested a notification.
    ProcessNotified {
        /// `error`, `warn` or `info`.
        severity: String,
        /// Subject of the notification, in a few words.
        title: String,
        /// Text of the notification.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Key that notifications about the same subject share.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    }
);
