//! Tasks of queues: what the store is asked of them, and what a task must be like to be listed, the same for every store.

mod language;

use std::collections::BTreeMap;

use monitor_wire::{Phase, Process, QueueCounts, QueueTasksPage, State, WorkerId};

pub use self::language::Search;
use super::StoreError;

/// Answers questions about tasks of queues. Every method blocks; call it where blocking is allowed.
///
/// # Errors
/// Every method fails if the store does.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait QueueQueries: Send + Sync + 'static {
    /// One page of tasks.
    fn queue_tasks(&self, query: &QueueTasksQuery) -> Result<QueueTasksPage, StoreError>;

    /// How many tasks there are, by queue, name and state.
    fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError>;
}

/// Which tasks are listed, and in which order.
#[derive(Debug, Clone, Default)]
pub struct QueueTasksQuery {
    /// What they are sorted by.
    pub sort: QueueSort,
    /// The greatest first.
    pub is_descending: bool,
    /// Of exactly this name.
    pub name: Option<String>,
    /// Worked on, or last received, by one of these workers, if any is named.
    pub workers: Vec<WorkerId>,
    /// In one of these states, if any is named.
    pub states: Vec<State>,
    /// In one of these phases, if any is named.
    pub phases: Vec<Phase>,
    /// Through this queue.
    pub queue: Option<String>,
    /// Received at or after, and before.
    pub received: (Option<u64>, Option<u64>),
    /// Started at or after, and before.
    pub started: (Option<u64>, Option<u64>),
    /// Like this.
    pub search: Option<Search>,
    /// So many are left out.
    pub offset: usize,
    /// At most so many.
    pub limit: usize,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// What tasks are sorted by. What a task doesn't have counts as 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueueSort {
    /// Their names, those of one name by when they were received.
    Name,
    /// The words of their states, those of one state by when they were received.
    State,
    /// When they were last received.
    #[default]
    Received,
    /// When they started.
    Started,
    /// How long they took.
    Runtime,
}

/// How many tasks of one name, queue and state there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCount {
    /// The queue; empty if it isn't known.
    pub queue: String,
    /// Name of the tasks.
    pub name: String,
    /// The word of their state.
    pub state: String,
    /// How many.
    pub count: u64,
}

impl QueueTasksQuery {
    /// Returns true if a task is to be listed.
    pub(super) fn is_wanted(&self, process: &Process) -> bool {
        let Some(task) = process.task.as_deref() else { return false };
        let is_within = |(from, to): (Option<u64>, Option<u64>), time: Option<u64>| {
            from.is_none_or(|from| time.is_some_and(|time| time >= from)) && to.is_none_or(|to| time.is_some_and(|time| time < to))
        };
        self.name.as_ref().is_none_or(|name| *name == process.name)
            && self.queue.as_ref().is_none_or(|queue| Some(queue) == task.queue.as_ref())
            && (self.workers.is_empty() || worker_of(process).is_some_and(|worker| self.workers.contains(&worker)))
            && (self.states.is_empty() || self.states.contains(&process.state))
            && (self.phases.is_empty() || self.phases.contains(&task.phase))
            && is_within(self.received, task.received_us)
            && is_within(self.started, process.started_us)
            && self.search.as_ref().is_none_or(|search| search.is_met(process))
    }
}

/// The worker that has a task, or had it last.
pub(super) fn worker_of(process: &Process) -> Option<WorkerId> {
    process.worker_id.or(process.task.as_ref()?.received_by)
}

/// The counts of all that have the same word, by that word.
pub(crate) fn counts_by(counts: &[QueueCount], word: fn(&QueueCount) -> &str) -> Vec<QueueCounts> {
    let mut by: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for count in counts {
        *by.entry(word(count)).or_default().entry(count.state.clone()).or_default() += count.count;
    }
    by.into_iter().map(|(name, states)| QueueCounts { name: name.to_owned(), states }).collect()
}
