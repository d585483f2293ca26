//! Orders that put tasks into queues or take them out, and their answers. Of all workers that could do one of these, a single one does it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Fields;

/// `call`: a task that is to be started by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskCall {
    /// Name of the task.
    pub name: String,
    /// Its arguments by position.
    pub args: Vec<Value>,
    /// Its arguments by name.
    pub kwargs: Fields,
    /// The queue that it goes through; the source's own choice if none.
    pub queue: Option<String>,
    /// Not to be started before, in Unix µs.
    pub eta_us: Option<u64>,
    /// Not to be started before so long from now.
    pub countdown: Option<Duration>,
    /// Not to be started after, in Unix µs.
    pub expires_us: Option<u64>,
}

impl TaskCall {
    /// The moment before which it is not to be started, by `eta_us` or by `countdown` from now.
    #[must_use]
    pub fn not_before(&self, now: SystemTime) -> Option<SystemTime> {
        let eta = self.eta_us.and_then(moment);
        eta.or_else(|| now.checked_add(self.countdown?))
    }

    /// The moment after which it is not to be started.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        moment(self.expires_us?)
    }
}

fn moment(unix_us: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_micros(unix_us))
}

/// `purge`: queues whose waiting tasks are to be thrown away. What runs goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuePurge {
    /// These queues; all that the source knows if none is named.
    pub queues: Vec<String>,
    /// But not these.
    pub exclude: Vec<String>,
    /// Only counts them, and throws nothing away.
    pub count_only: bool,
}

impl QueuePurge {
    /// Returns true if a queue of this name is meant.
    #[must_use]
    pub fn is_meant(&self, queue: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|name| name == queue);
        (self.queues.is_empty() || has(&self.queues)) && !has(&self.exclude)
    }
}

/// What a worker answers to `call`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallAnswer {
    /// Id of the new task in its queue.
    pub uuid: String,
}

/// What a worker answers to `purge`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeAnswer {
    /// How many tasks of each queue that is meant are gone, or would be.
    pub queues: Vec<QueueCount>,
    /// How many that is together.
    pub count: u64,
}

/// How many tasks of a queue are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueCount {
    /// Name of the queue.
    pub name: String,
    /// So many.
    pub count: u64,
}

impl PurgeAnswer {
    /// Sums counts of queues up.
    #[must_use]
    pub fn of(counts: BTreeMap<String, u64>) -> Self {
        let count = counts.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        Self { queues: counts.into_iter().map(|(name, count)| QueueCount { name, count }).collect(), count }
    }
}

/// What a worker answers to `retry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAnswer {
    /// A line for each id that it was asked for.
    pub tasks: Vec<RetryLine>,
}

/// What became of one task that was to be run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryLine {
    /// Id of the task in its queue.
    pub id: String,
    /// Id of the task that runs it again: a new one, or the same for its next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Why it isn't run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a worker answers to `queues`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuesAnswer {
    /// The queues that it knows.
    pub queues: Vec<QueueLength>,
}

/// A queue as a worker knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct QueueLength {
    /// Its name.
    pub name: String,
    /// How many tasks wait in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// How many workers take tasks from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
    /// How many of its tasks this worker has that haven't begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
    /// How many of its tasks this worker works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_means_queues_that_are_named_and_not_excluded() {
        let purge = |queues: &[&str], exclude: &[&str]| QueuePurge {
            queues: queues.iter().map(ToString::to_string).collect(),
            exclude: exclude.iter().map(ToString::to_string).collect(),
            count_only: false,
        };
        assert!(purge(&[], &[]).is_meant("视频") && purge(&["a"], &[]).is_meant("a") && purge(&[], &["a"]).is_meant("b"));
        assert!(!purge(&["a"], &[]).is_meant("b") && !purge(&[], &["a"]).is_meant("a") && !purge(&["a"], &["a"]).is_meant("a"));
    }

    #[test]
    fn a_call_waits_for_its_moment_or_so_long() {
        let now = UNIX_EPOCH + Duration::from_secs(10);
        let call = TaskCall { countdown: Some(Duration::from_secs(5)), ..TaskCall::default() };
        assert_eq!(call.not_before(now), Some(UNIX_EPOCH + Duration::from_secs(15)));
        let call = TaskCall { eta_us: Some(7_000_000), expires_us: Some(u64::MAX), ..TaskCall::default() };
        assert_eq!(call.not_before(now), Some(UNIX_EPOCH + Duration::from_secs(7)));
        assert!(call.expires().is_some() && TaskCall::default().not_before(now).is_none());
    }
}
