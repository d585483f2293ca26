//! What screens show: a question each, whose answer is a bounded list of models.

mod change;
mod filter;
mod live;

use monitor_wire::{ErrorStats, LogEntry, Process, ProcessId, QueueCounts, Root, RootId, Worker, WorkerId};

pub(crate) use self::change::change;
pub(crate) use self::filter::Filter;
pub(crate) use self::live::{Live, ask, find};

/// Rows that a list has at most.
pub(crate) const MOST_ROWS: usize = 500;
/// Processes of a tree that are read first; more of them once somebody gets near their end.
pub(crate) const FIRST_PROCESSES: usize = 500;
/// Processes of a tree that are read at most.
pub(crate) const MOST_PROCESSES: usize = 4_000;

/// What a screen wants to know. Where the server has no filter, the answer is filtered here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Trees, those that began last first.
    Roots { filter: String },
    /// The first processes of a tree, in its order.
    Tree { root: String, limit: usize },
    /// Processes of a tree that a filter keeps, the newest first.
    Found { root: String, filter: String },
    /// Failures that are alike.
    Errors { filter: String },
    /// The programs that report, those first that were heard of last.
    Workers { filter: String },
    /// Tasks of queues by name.
    Types { filter: String },
    /// Tasks of queues by queue.
    Queues { filter: String },
    /// Tasks of queues themselves.
    Tasks { of: TasksOf, filter: String },
    /// Lines that the processes of a tree wrote, or one of them, oldest first.
    Log { root: String, process: Option<ProcessId>, filter: String },
}

/// Tasks that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TasksOf {
    /// Their name.
    Type(String),
    /// Their queue; empty for those whose queue isn't known.
    Queue(String),
}

/// A row of a list, as the server tells it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Model {
    Root(Box<Root>),
    Process(Box<Process>),
    Worker(Box<Worker>),
    Error(Box<ErrorStats>),
    Counts(Box<QueueCounts>),
    Line(Box<LogEntry>),
}

/// Tells rows apart for good, wherever they stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Root(RootId),
    Process(RootId, ProcessId),
    Worker(WorkerId),
    /// Failures alike: their name and what their messages share.
    Error(String, String),
    /// A queue's name or a task's.
    Word(String),
    /// A line of a log: who sent it, and its number there.
    Line(WorkerId, u64),
}

impl Model {
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Root(root) => Key::Root(root.root_id),
            Self::Process(process) => Key::Process(process.root_id, process.id),
            Self::Worker(worker) => Key::Worker(worker.id),
            Self::Error(error) => Key::Error(error.name.clone(), error.shape.clone()),
            Self::Counts(counts) => Key::Word(counts.name.clone()),
            Self::Line(line) => Key::Line(line.worker_id, line.number),
        }
    }
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) models: Vec<Model>,
    /// The tree that it is about.
    pub(crate) root: Option<Box<Root>>,
    /// There is more than these rows.
    pub(crate) has_more: bool,
}

impl Facts {
    pub(crate) fn of(models: impl IntoIterator<Item = Model>) -> Self {
        Self { models: models.into_iter().collect(), ..Self::default() }
    }
}

/// How the server, or a file in its place, is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Live,
    /// It isn't, for these reasons; it is tried again.
    Away(String),
    /// The file has no more events, or none that can be read any more, and why.
    Ended(Option<String>),
}

/// What there is to tell besides answers.
#[derive(Debug)]
pub(crate) enum Change {
    /// Something happened: answers are stale.
    Happened,
    /// How the server is heard has changed.
    Link(Link),
}
