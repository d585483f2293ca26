//! Orders about the tasks of queues, and the answers of workers. A `call`, `purge` or `retry` is executed by a single worker.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Fields;

/// Arguments of `call`: a task to put into a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskCall {
    /// Name of the task.
    pub name: String,
    /// Positional arguments of the task.
    pub args: Vec<Value>,
    /// Named arguments of the task.
    pub kwargs: Fields,
    /// Queue for the task. If none, the worker chooses the queue.
    pub queue: Option<String>,
    /// Earliest start of the task, in Unix µs.
    pub eta_us: Option<u64>,
    /// Delay from now until the earliest start of the task.
    pub countdown: Option<Duration>,
    /// Latest start of the task, in Unix µs.
    pub expires_us: Option<u64>,
}

impl TaskCall {
    /// Returns the earliest start of the task: `eta_us`, or `countdown` after `now`.
    #[must_use]
    pub fn not_before(&self, now: SystemTime) -> Option<SystemTime> {
        let eta = self.eta_us.and_then(moment);
        eta.or_else(|| now.checked_add(self.countdown?))
    }

    /// Returns the latest start of the task.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        moment(self.expires_us?)
    }
}

fn moment(unix_us: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_micros(unix_us))
}

/// Arguments of `purge`: queues whose waiting tasks are deleted. Running tasks continue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuePurge {
    /// Queues to purge. If empty, these are all queues that the worker knows.
    pub queues: Vec<String>,
    /// Queues to leave out.
    pub exclude: Vec<String>,
    /// If true, the worker only counts the tasks.
    pub count_only: bool,
}

impl QueuePurge {
    /// Returns true if the order applies to a queue of this name.
    #[must_use]
    pub fn is_meant(&self, queue: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|name| name == queue);
        (self.queues.is_empty() || has(&self.queues)) && !has(&self.exclude)
    }
}

/// A worker's answer to `call`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallAnswer {
    /// Id of the new task in its queue.
    pub uuid: String,
}

/// A worker's answer to `purge`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeAnswer {
    /// Number of deleted tasks in each queue, or of tasks that would be deleted.
    pub queues: Vec<QueueCount>,
    /// Sum over all queues.
    pub count: u64,
}

/// Number of purged tasks in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueCount {
    /// Name of the queue.
    pub name: String,
    /// Number of tasks.
    pub count: u64,
}

impl PurgeAnswer {
    /// Creates an answer from the counts of the queues.
    #[must_use]
    pub fn of(counts: BTreeMap<String, u64>) -> Self {
        let count = counts.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        Self { queues: counts.into_iter().map(|(name, count)| QueueCount { name, count }).collect(), count }
    }
}

/// A worker's answer to `retry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAnswer {
    /// A line for each requested id.
    pub tasks: Vec<RetryLine>,
}

/// The result of a retry for one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryLine {
    /// Id of the task in its queue.
    pub id: String,
    /// Id of the task that runs it again: a new id, or the same id if this is the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Reason why the task does not run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A worker's answer to `queues`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuesAnswer {
    /// Queues that the worker knows.
    pub queues: Vec<QueueLength>,
}

/// A queue from a worker's point of view. A number that the worker doesn't know is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct QueueLength {
    /// Name of the queue.
    pub name: String,
    /// Number of tasks that wait in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Number of workers that receive tasks from the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
    /// Number of tasks from the queue that this worker has received but not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
    /// Number of tasks from the queue that this worker is executing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_applies_to_named_queues_that_are_not_excluded() {
        let purge = |queues: &[&str], exclude: &[&str]| QueuePurge {
            queues: queues.iter().map(ToString::to_string).collect(),
            exclude: exclude.iter().map(ToString::to_string).collect(),
            count_only: false,
        };
        assert!(purge(&[], &[]).is_meant("视频") && purge(&["a"], &[]).is_meant("a") && purge(&[], &["a"]).is_meant("b"));
        assert!(!purge(&["a"], &[]).is_meant("b") && !purge(&[], &["a"]).is_meant("a") && !purge(&["a"], &["a"]).is_meant("a"));
    }

    #[test]
    fn a_call_waits_until_its_time_or_for_its_countdown() {
        let now = UNIX_EPOCH + Duration::from_secs(10);
        let call = TaskCall { countdown: Some(Duration::from_secs(5)), ..TaskCall::default() };
        assert_eq!(call.not_before(now), Some(UNIX_EPOCH + Duration::from_secs(15)));
        let call = TaskCall { eta_us: Some(7_000_000), expires_us: Some(u64::MAX), ..TaskCall::default() };
        assert_eq!(call.not_before(now), Some(UNIX_EPOCH + Duration::from_secs(7)));
        assert!(call.expires().is_some() && TaskCall::default().not_before(now).is_none());
    }
}
