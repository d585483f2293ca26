//! Queue tasks: the queries that a store answers about them, and the filter that selects tasks, which is the same for every store.

mod language;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use monitor_wire::{Phase, Process, QueueCounts, QueueTasksPage, State, WorkerId};

pub use self::language::Search;
use super::StoreError;

/// Maximum number of rows that are examined after a full page to find out whether more tasks match.
const LOOK_AHEAD_ROWS: u64 = 1_000;

/// Queries about queue tasks. Every method blocks, so call it only where blocking is allowed.
///
/// # Errors
/// Every method returns an error if the store fails. Methods with a cursor also refuse a cursor that they did not create.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait QueueQueries: Send + Sync + 'static {
    /// Returns one page of tasks. A page ends when it is full, at the end of the list, or after `max_time`. In the last case it may be
    /// short or even empty, and has a `next_cursor`. Every page examines at least one row, so following the cursors always reaches the end.
    fn queue_tasks(&self, query: &QueueTasksQuery) -> Result<QueueTasksPage, StoreError>;

    /// Returns the number of tasks by queue, name and state.
    fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError>;
}

/// Filters, order and page of a list of tasks.
#[derive(Debug, Clone, Default)]
pub struct QueueTasksQuery {
    /// Sort key of the list.
    pub sort: QueueSort,
    /// True to sort in descending order.
    pub is_descending: bool,
    /// The task has exactly this name.
    pub name: Option<String>,
    /// One of these workers executes the task or received it last. An empty list matches every task.
    pub workers: Vec<WorkerId>,
    /// The task has one of these states. An empty list matches every task.
    pub states: Vec<State>,
    /// The task has one of these phases. An empty list matches every task.
    pub phases: Vec<Phase>,
    /// The task was sent through this queue.
    pub queue: Option<String>,
    /// Range of the time at which the task was received: earliest, inclusive, and latest, exclusive, in Unix microseconds.
    pub received: (Option<u64>, Option<u64>),
    /// Range of the time at which the task was started: earliest, inclusive, and latest, exclusive, in Unix microseconds.
    pub started: (Option<u64>, Option<u64>),
    /// Search that the task must match.
    pub search: Option<Search>,
    /// Number of matching tasks to skip, counted from the cursor.
    pub offset: usize,
    /// Maximum number of tasks to return.
    pub limit: usize,
    /// Value of `next_cursor` of the previous page; `None` for the first page. If `max_time` ended a page before `offset` tasks were
    /// skipped, its `next_cursor` contains the rest of the offset.
    pub cursor: Option<String>,
    /// Maximum time to examine rows for one page. `None` for no limit.
    pub max_time: Option<Duration>,
}

/// Sort key of a list of tasks. A missing value is sorted as 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QueueSort {
    /// By name, and then by time of receipt.
    Name,
    /// By text of the state, and then by time of receipt.
    State,
    /// By time of the last receipt.
    #[default]
    Received,
    /// By start time.
    Started,
    /// By duration.
    Runtime,
}

/// Number of tasks with the same name, queue and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCount {
    /// Name of the queue. Empty if it isn't known.
    pub queue: String,
    /// Name of the tasks.
    pub name: String,
    /// State of the tasks, as text.
    pub state: String,
    /// Number of tasks.
    pub count: u64,
}

impl QueueTasksQuery {
    /// Returns true if a task matches all filters.
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

/// Fills one page from rows that are passed to it in the order of the list.
pub struct PageFill<'a> {
    query: &'a QueueTasksQuery,
    begun: Instant,
    /// Number of matching tasks that are still to be skipped.
    pub offset: usize,
    /// Tasks of the page so far.
    pub tasks: Vec<Process>,
    /// Number of rows that were examined.
    pub examined: u64,
    /// Number of rows examined since the last matching task.
    examined_in_vain: u64,
}

impl<'a> PageFill<'a> {
    /// Creates an empty page. `offset` is the rest of an earlier offset from the cursor; it is added to the offset of the query.
    pub fn new(query: &'a QueueTasksQuery, offset: usize) -> Self {
        let offset = offset.saturating_add(query.offset);
        Self { query, begun: Instant::now(), offset, tasks: Vec::new(), examined: 0, examined_in_vain: 0 }
    }

    /// Returns true if the next task with matching columns is skipped, whatever else it has. Its row then needn't be read.
    pub fn skips_unread(&self) -> bool {
        let QueueTasksQuery { queue, received, started, search, .. } = self.query;
        // A time of 0 and a queue without a name may be unknown ones, which match no filter.
        let are_times_free = (*received, *started) == ((None, None), (None, None));
        self.offset > 0 && are_times_free && search.is_none() && queue.as_ref().is_none_or(|queue| !queue.is_empty())
    }

    /// Skips a task with matching columns. Returns false if the page ends before this row.
    pub fn skip(&mut self) -> bool {
        if self.is_late() {
            return false;
        }
        self.examined += 1;
        self.examined_in_vain = 0;
        self.offset -= 1;
        true
    }

    fn is_late(&self) -> bool {
        self.examined > 0 && self.query.max_time.is_some_and(|most| self.begun.elapsed() >= most)
    }

    /// Examines a row. `task` is `None` if the store knows that the row's task doesn't match. Returns false if the page ends before this
    /// row.
    pub fn examine(&mut self, task: Option<Process>) -> bool {
        let is_full = self.tasks.len() >= self.query.limit;
        let task = task.filter(|task| self.query.is_wanted(task));
        if self.is_late() || is_full && (task.is_some() || self.examined_in_vain >= LOOK_AHEAD_ROWS) {
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

/// Returns the worker that executes a task or, if none does, the worker that received it last.
pub fn worker_of(process: &Process) -> Option<WorkerId> {
    process.worker_id.or(process.task.as_ref()?.received_by)
}

/// Sums the counts by the text that `word` returns for them.
pub fn counts_by(counts: &[QueueCount], word: fn(&QueueCount) -> &str) -> Vec<QueueCounts> {
    let mut by: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for count in counts {
        *by.entry(word(count)).or_default().entry(count.state.clone()).or_default() += count.count;
    }
    by.into_iter().map(|(name, states)| QueueCounts { name: name.to_owned(), states }).collect()
}
