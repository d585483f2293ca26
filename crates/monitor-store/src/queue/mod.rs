//! Tasks of queues: what the store is asked of them, and what a task must be like to be listed, the same for every store.

mod language;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use monitor_wire::{Phase, Process, QueueCounts, QueueTasksPage, State, WorkerId};

pub use self::language::Search;
use super::StoreError;

/// Rows that are examined after a full page, to find out if more tasks match.
const LOOK_AHEAD_ROWS: u64 = 1_000;

/// Answers questions about tasks of queues. Every method blocks; call it where blocking is allowed.
///
/// # Errors
/// Every method fails if the store does.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait QueueQueries: Send + Sync + 'static {
    /// One page of tasks. It ends when it is full, at the end of the list, or when `max_time` is over; then it may be short, even empty, and
    /// has a `next_cursor`. Every page examines at least one row, so that following the cursors leads to the end.
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
    /// Where the page begins. A page that was short because of `max_time` has what is left of its `offset` in its `next_cursor`.
    pub cursor: Option<String>,
    /// Longest time that rows are examined for one page; no limit if not given.
    pub max_time: Option<Duration>,
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

/// Fills one page from rows in the order of the list.
pub struct PageFill<'a> {
    query: &'a QueueTasksQuery,
    begun: Instant,
    /// Number of matching tasks that are still left out.
    pub offset: usize,
    /// Tasks of the page.
    pub tasks: Vec<Process>,
    /// Number of tasks that were examined.
    pub examined: u64,
    /// Rows examined since the last task that matches.
    examined_in_vain: u64,
}

impl<'a> PageFill<'a> {
    /// An empty page; `offset` is what the cursor has of it.
    pub fn new(query: &'a QueueTasksQuery, offset: usize) -> Self {
        let offset = offset.saturating_add(query.offset);
        Self { query, begun: Instant::now(), offset, tasks: Vec::new(), examined: 0, examined_in_vain: 0 }
    }

    /// Examines a row: its task, or `None` if the store knows that the task doesn't match. Returns false if the page ends before this row.
    pub fn examine(&mut self, task: Option<Process>) -> bool {
        let is_full = self.tasks.len() >= self.query.limit;
        let is_late = self.examined > 0 && self.query.max_time.is_some_and(|most| self.begun.elapsed() >= most);
        let task = task.filter(|task| self.query.is_wanted(task));
        if is_late || is_full && (task.is_some() || self.examined_in_vain >= LOOK_AHEAD_ROWS) {
            return false;
        }
        self.examined += 1;
        self.examined_in_vain += 1;
        if let Some(task) = task {
            self.examined_in_vain = 0;
            if self.offset > 0 {
                self.offset -= 1;
            } else {
                self.tasks.push(task);
            }
        }
        true
    }
}

/// The worker that has a task, or had it last.
pub fn worker_of(process: &Process) -> Option<WorkerId> {
    process.worker_id.or(process.task.as_ref()?.received_by)
}

/// The counts of all that have the same word, by that word.
pub fn counts_by(counts: &[QueueCount], word: fn(&QueueCount) -> &str) -> Vec<QueueCounts> {
    let mut by: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for count in counts {
        *by.entry(word(count)).or_default().entry(count.state.clone()).or_default() += count.count;
    }
    by.into_iter().map(|(name, states)| QueueCounts { name: name.to_owned(), states }).collect()
}
