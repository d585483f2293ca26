//! Data of the screens. Each screen has a question, and its answer is a bounded list of models.

mod change;
mod filter;
mod live;

use monitor_wire::{ErrorStats, LogEntry, Process, ProcessId, QueueCounts, Root, RootId, Worker, WorkerId};

pub(crate) use self::change::change;
pub(crate) use self::filter::Filter;
pub(crate) use self::live::{Live, ask, find};

/// Maximum number of rows of a list.
pub(crate) const MOST_ROWS: usize = 500;
/// Number of processes of a tree that are loaded first. More are loaded when the selection gets near the end.
pub(crate) const FIRST_PROCESSES: usize = 500;
/// Maximum number of processes of a tree that are loaded.
pub(crate) const MOST_PROCESSES: usize = 4_000;

/// The query of a screen. Where the server has no filter, the answer is filtered in this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Trees, most recently started first.
    Roots { filter: String },
    /// First processes of a tree, in tree order.
    Tree { root: String, limit: usize },
    /// Matching processes of a tree, newest first.
    Found { root: String, filter: String },
    /// Failures grouped by similarity.
    Errors { filter: String },
    /// Workers, most recently seen first.
    Workers { filter: String },
    /// Counts of queue tasks by name.
    Types { filter: String },
    /// Counts of queue tasks by queue.
    Queues { filter: String },
    /// Queue tasks.
    Tasks { of: TasksOf, filter: String },
    /// Log lines of a tree or of a single process, oldest first.
    Log { root: String, process: Option<ProcessId>, filter: String },
}

/// Selection of queue tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TasksOf {
    /// By name.
    Type(String),
    /// By queue. Empty for tasks without a known queue.
    Queue(String),
}

/// A row of a list, as received from the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Model {
    Root(Box<Root>),
    Process(Box<Process>),
    Worker(Box<Worker>),
    Error(Box<ErrorStats>),
    Counts(Box<QueueCounts>),
    Line(Box<LogEntry>),
}

/// Permanent identity of a row, independent of its position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Root(RootId),
    Process(RootId, ProcessId),
    Worker(WorkerId),
    /// Similar failures: process name and common part of the messages.
    Error(String, String),
    /// Name of a queue or of tasks.
    Word(String),
    /// A log line: worker, and the line's number there.
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
    /// Tree that the answer is about.
    pub(crate) root: Option<Box<Root>>,
    /// True if the list was cut.
    pub(crate) has_more: bool,
}

impl Facts {
    pub(crate) fn of(models: impl IntoIterator<Item = Model>) -> Self {
        Self { models: models.into_iter().collect(), ..Self::default() }
    }
}

/// State of the connection to the server, or of the replayed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Live,
    /// Disconnected, with the reason. Reconnecting.
    Away(String),
    /// The file has ended, with an error text if it can't be read further.
    Ended(Option<String>),
}

/// A notification for the loop.
#[derive(Debug)]
pub(crate) enum Change {
    /// An event has occurred, so answers are stale.
    Happened,
    /// The state of the connection has changed.
    Link(Link),
}
