//! Events about batch tasks and their runs. A run itself is a process of the kind `run`, told of as any other process.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::{Link, WorkerRef, process_event};
use crate::ids::{ProcessId, RootId};
use crate::words::{BatchStatus, MissedReason, SkipReason};

/// Runs of a batch task were due, and its agent started none on purpose. Due times in a row with the same reason are one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSkipped {
    /// When the agent decided so, in Unix microseconds.
    pub time_us: u64,
    /// Name of the task.
    pub task: String,
    /// Name of the agent.
    pub agent: String,
    /// Version of the task's definition.
    pub version: u64,
    /// When the run was due, in Unix microseconds; of several, the first.
    pub due_us: u64,
    /// When the last of several was due, in Unix microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_due_us: Option<u64>,
    /// How many there were.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    /// Why it was skipped.
    pub reason: SkipReason,
    /// The run that was in the way, by its native id such as `gold@20261121T023000Z.1`.
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

/// Runs of a batch task were due, and nothing could start them in time. However many there were, they are one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunMissed {
    /// When the agent found out, in Unix microseconds.
    pub time_us: u64,
    /// Name of the task.
    pub task: String,
    /// Name of the agent.
    pub agent: String,
    /// Version of the task's definition.
    pub version: u64,
    /// When the first of them was due, in Unix microseconds.
    pub first_due_us: u64,
    /// When the last of them was due, in Unix microseconds.
    pub last_due_us: u64,
    /// How many there were.
    pub count: u64,
    /// Why they were missed.
    pub reason: MissedReason,
}

/// A batch task was defined, changed, paused, resumed or deleted: by the server, or by an agent whose files define it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchTaskChanged {
    /// When, in Unix microseconds.
    pub time_us: u64,
    /// Name of the task.
    pub task: String,
    /// The version that it has now.
    pub version: u64,
    /// What it is now.
    pub status: BatchStatus,
    /// Who changed it: a person, a token, or the file that defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The agent whose files define it; none if the server does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Until when it is paused, in Unix microseconds; without it, until somebody resumes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
    /// Its new definition, if an agent's files define it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub definition: Option<Map<String, Value>>,
}

/// An agent has decided on all that was due up to a time: what it hasn't told of before then was not due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentDecided {
    /// When, in Unix microseconds.
    pub time_us: u64,
    /// Name of the agent.
    pub agent: String,
    /// All that was due up to here is decided, in Unix microseconds.
    pub until_us: u64,
    /// Since when the whole agent is paused, in Unix microseconds; without it, it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_from_us: Option<u64>,
    /// Until when the agent is paused, in Unix microseconds; without it, until somebody resumes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until_us: Option<u64>,
    /// True if it takes no tasks from the server: `--accept files`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files_only: bool,
    /// Mistakes in the agent's files of tasks, each with its file, line and column. They may not be all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
}

process_event!(
    /// A process asked that somebody be told.
    ProcessNotified {
        /// `error`, `warn` or `info`.
        severity: String,
        /// What it is about, in a few words.
        title: String,
        /// The rest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Notifications with the same key are about the same thing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    }
);
