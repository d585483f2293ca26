//! The records of the monitored side, as plain data. The drainer converts them to wire events.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;
use std::time::SystemTime;

use crate::context::Context;

pub use crate::context::Attachment;

/// A place in the program that begins processes: one static per attributed function.
///
/// Its size is a power of two, so that its number is computed by a shift.
#[derive(Debug)]
#[repr(align(64))]
pub struct Site {
    /// Name of the processes begun here.
    pub name: &'static str,
    /// `root`, `normal`, `cross_thread` or `cross_process`.
    pub kind: &'static str,
    /// Source file of the function, as the compiler names it.
    pub file: &'static str,
    /// Line of the function's name.
    pub line: u32,
    /// Time after which its processes are overdue, in milliseconds. 0 for never.
    pub timeout_ms: u32,
    /// Module of the function, as the compiler names it.
    pub module: &'static &'static str,
}

impl Site {
    /// Creates a site without a module, whose processes are never overdue.
    pub const fn new(name: &'static str, kind: &'static str, file: &'static str, line: u32) -> Self {
        Site { name, kind, file, line, timeout_ms: 0, module: &"" }
    }
}

/// The definition that a process is an instance of.
#[derive(Debug, Clone)]
pub enum Origin {
    /// An attributed function.
    Site(&'static Site),
    /// `Process::builder(name)`.
    Named(Box<Named>),
}

impl Origin {
    /// Returns the name of the processes.
    pub fn name(&self) -> &str {
        match self {
            Self::Site(site) => site.name,
            Self::Named(named) => &named.name,
        }
    }

    /// Returns the time after which the processes are overdue, in milliseconds, if it is set.
    pub fn timeout_ms(&self) -> Option<u64> {
        if let Self::Site(site) = self { Some(u64::from(site.timeout_ms)).filter(|ms| *ms > 0) } else { None }
    }

    /// Returns the file and line in the source. Empty for a process without a place in the source.
    pub(crate) fn place(&self) -> (&'static str, u32) {
        match self {
            Self::Site(site) => (site.file, site.line),
            Self::Named(named) => named.place.map_or(("", 0), |place| (place.file(), place.line())),
        }
    }

    /// Returns a key that identifies the place in the source. Never 0.
    pub(crate) fn key(&self) -> usize {
        match self {
            Self::Site(site) => std::ptr::from_ref(*site).addr(),
            Self::Named(named) => named.place.map_or(1, |place| std::ptr::from_ref(place).addr()),
        }
    }
}

/// Name, kind and place of a process without a function.
#[derive(Debug, Clone)]
pub struct Named {
    /// Name of the process.
    pub name: String,
    /// Kind of the process; `normal` by default.
    pub kind: Cow<'static, str>,
    /// Place where the process was started. `None` for a process without a place in the source, such as a command.
    pub place: Option<&'static Location<'static>>,
}

/// A value of a field.
///
/// # Examples
///
/// ```
/// use monitor_client::Value;
///
/// assert_eq!(Value::from(17), Value::Signed(17));
/// assert_eq!(Value::from("orders"), Value::Text("orders".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Signed(i64),
    /// A whole number above `i64::MAX`.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
}

/// Keys and values, in the order they were set.
pub type Fields = Vec<(Cow<'static, str>, Value)>;

/// A fact about a process.
#[derive(Debug, Clone)]
pub enum Record {
    /// A start.
    Started(Started),
    /// New values of a process.
    Updated(Box<Updated>),
    /// A log line.
    Logged(Box<Logged>),
    /// A progress report.
    Progressed(Box<Progressed>),
    /// A step of a queue task.
    Task(Box<Tasked>),
    /// An end.
    Ended(Ended),
    /// Counts of processes that were not recorded individually.
    Folded(Box<Folded>),
}

/// The start of a process.
#[derive(Debug, Clone)]
pub struct Started {
    /// Id of the tree.
    pub root: u128,
    /// Id of the process.
    pub id: u64,
    /// Id of the parent, 0 for none.
    pub parent: u64,
    /// Definition of the process.
    pub origin: Origin,
    /// Time in Unix microseconds.
    pub time_us: u64,
    /// Name of the thread, or its number if it has no name.
    pub thread: Arc<str>,
    /// How the parent was determined.
    pub attachment: Attachment,
    /// Values that few processes have.
    pub extra: Option<Box<StartExtra>>,
}

/// Values that few processes have at their start.
#[derive(Debug, Clone, Default)]
pub struct StartExtra {
    /// Batch mark of a root.
    pub batch: Option<String>,
    /// Fields known at the start.
    pub fields: Fields,
    /// Time after which the process is overdue.
    pub timeout_ms: Option<u64>,
    /// Number of the attempt, from 2. 0 for the first attempt.
    pub attempt: u32,
    /// Maximum number of attempts, if more than one.
    pub attempts_of: Option<u32>,
    /// Linked processes and their roles.
    pub links: Vec<(Context, String)>,
    /// Id in the queue, for a queue task.
    pub task: Option<String>,
}

/// The current counts of a fold: calls with the same name and parent.
#[derive(Debug, Clone)]
pub struct Folded {
    /// Id of the tree.
    pub root: u128,
    /// Id of the parent or, if the parent is folded itself, the mark of its fold.
    pub parent: u64,
    /// Identifies the fold, whose calls began on one thread. It is the parent of the processes that its
    /// calls begin, which are recorded later.
    pub mark: u64,
    /// Identifies this count among those of the mark, which are added up.
    pub shard: u64,
    /// Definition of the calls.
    pub origin: Origin,
    /// Start of the first call, in Unix microseconds.
    pub time_us: u64,
    /// Increases with each record of this shard.
    pub revision: u64,
    /// Number of calls that began.
    pub count: u64,
    /// Number of running calls.
    pub running: u64,
    /// Number of failed calls.
    pub failed: u64,
    /// Number of cancelled calls.
    pub cancelled: u64,
    /// Sum of all durations, in nanoseconds.
    pub total_ns: u64,
    /// Shortest and longest duration, in nanoseconds, if any call has ended.
    pub range_ns: Option<(u64, u64)>,
    /// Numbers of buckets, and the number of calls in each. Bucket i is for durations of 1.04^i to 1.04^(i+1) nanoseconds.
    pub histogram: Vec<(u32, u64)>,
    /// Distinct error texts of the failed calls, up to 100.
    pub errors: Vec<FoldedError>,
    /// True if nothing more will be counted.
    pub is_last: bool,
}

/// Failures of a fold whose messages differ only in numbers, ids and quoted parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedError {
    /// The message without the different parts.
    pub text: String,
    /// Number of failures.
    pub count: u64,
    /// End of the first failure, in Unix microseconds.
    pub first_us: u64,
    /// End of the last failure, in Unix microseconds.
    pub last_us: u64,
}

/// Fields, links, or a name, set after the start.
#[derive(Debug, Clone)]
pub struct Updated {
    /// Id of the tree.
    pub root: u128,
    /// Id of the process.
    pub id: u64,
    /// Time in Unix microseconds.
    pub time_us: u64,
    /// New name, if it was changed.
    pub name: Option<String>,
    /// The new values.
    pub fields: Fields,
    /// Linked processes and their roles.
    pub links: Vec<(Context, String)>,
}

/// The progress of a process.
#[derive(Debug, Clone)]
pub struct Progressed {
    /// Id of the tree.
    pub root: u128,
    /// Id of the process.
    pub id: u64,
    /// Time in Unix microseconds.
    pub time_us: u64,
    /// Amount done. Neither negative nor infinite.
    pub done: f64,
    /// Total amount, if it is known.
    pub total: Option<f64>,
}

/// A step of a queue task that is not running.
#[derive(Debug, Clone)]
pub struct Tasked {
    /// Id of the tree.
    pub root: u128,
    /// Id of the process.
    pub id: u64,
    /// Time in Unix microseconds.
    pub time_us: u64,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Id of the task in the queue.
    pub native_id: String,
    /// The step.
    pub step: TaskStep,
}

/// A step of a task that is not running.
#[derive(Debug, Clone)]
pub enum TaskStep {
    /// The task was sent to a queue.
    Sent(TaskMessage),
    /// A worker received the task from its queue.
    Received(TaskMessage),
    /// A worker rejected the task.
    Rejected {
        /// True if the message returned to its queue.
        requeued: bool,
    },
    /// The task must not be executed any more.
    Revoked {
        /// True if its expiry time has passed.
        expired: bool,
    },
}

/// The message of a task: its name, arguments and routing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskMessage {
    /// Id of the parent, 0 for none.
    pub parent: u64,
    /// Name of the task.
    pub name: String,
    /// Positional arguments, as JSON.
    pub args: Option<String>,
    /// Named arguments, as JSON.
    pub kwargs: Option<String>,
    /// Time before which the task must not start.
    pub eta: Option<SystemTime>,
    /// Time after which the task must not start.
    pub expires: Option<SystemTime>,
    /// Queue of the task.
    pub queue: Option<String>,
    /// Exchange to which the message was sent.
    pub exchange: Option<String>,
    /// Routing key of the message.
    pub routing_key: Option<String>,
}

impl Tasked {
    /// Returns the message, if the step contains it.
    pub fn message(&self) -> Option<&TaskMessage> {
        if let TaskStep::Sent(message) | TaskStep::Received(message) = &self.step { Some(message) } else { None }
    }

    /// Returns the event type of the step.
    pub(crate) fn event(&self) -> &'static str {
        match self.step {
            TaskStep::Sent(_) => "task-sent",
            TaskStep::Received(_) => "task-received",
            TaskStep::Rejected { .. } => "task-rejected",
            TaskStep::Revoked { .. } => "task-revoked",
        }
    }

    /// Returns the size in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let words = self.message().map_or(0, |message| {
            let TaskMessage { name, args, kwargs, queue, exchange, routing_key, .. } = message;
            name.len() + [args, kwargs, queue, exchange, routing_key].into_iter().flatten().map(String::len).sum::<usize>()
        });
        size_of_val(self) + self.native_id.len() + words
    }
}

/// A log line of a process.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Id of the tree.
    pub root: u128,
    /// Id of the process.
    pub id: u64,
    /// Time in Unix microseconds.
    pub time_us: u64,
    /// Severity of the line.
    pub level: Level,
    /// Output stream of a command that contained the line.
    pub stream: Option<&'static str>,
    /// Text of the line.
    pub message: String,
    /// Part of the program that logged the line, as a module's path.
    pub target: Option<Cow<'static, str>>,
    /// Fields of the line.
    pub fields: Fields,
}

/// Severity of a log line.
///
/// # Examples
///
/// ```
/// use monitor_client::Level;
///
/// assert!(Level::Error < Level::Trace);
/// monitor_client::log(Level::Warn, "the table is nearly full");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A failure.
    Error,
    /// A condition that may lead to a failure.
    Warn,
    /// Information for operators.
    Info,
    /// Information for debugging.
    Debug,
    /// Any other information.
    Trace,
}

impl Level {
    /// Returns the name on the wire.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(monitor_client::Level::Warn.as_str(), "warn");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The end of a process.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Id of the tree.
    pub root: u128,
    /// Id of the process.
    pub id: u64,
    /// Time in Unix microseconds.
    pub time_us: u64,
    /// Duration, measured by the monotonic clock. `None` if the start is not known where the process ends.
    pub elapsed_ns: Option<u64>,
    /// Outcome of the process.
    pub outcome: Outcome,
    /// Values that few ends have.
    pub extra: Option<Box<EndExtra>>,
}

/// The next attempt.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use monitor_client::launcher::Retry;
///
/// let retry = Retry { next: SystemTime::now() + Duration::from_secs(10), of: 3 };
/// assert_eq!(retry.of, 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Planned start.
    pub next: SystemTime,
    /// Maximum number of attempts, including the first.
    pub of: u32,
}

/// Values of the end of a command, or of a further attempt.
#[derive(Debug, Clone, Default)]
pub struct EndExtra {
    /// Exit code of the command.
    pub exit_code: Option<i32>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
    /// Reason for the outcome, in one word.
    pub reason: Option<Cow<'static, str>>,
    /// Number of the attempt, from 2. 0 for the first attempt.
    pub attempt: u32,
    /// The next attempt, if one is planned.
    pub retry: Option<Retry>,
    /// Values of the end of a queue task.
    pub task: Option<Box<TaskEnd>>,
}

/// Values of the end of an attempt of a task.
#[derive(Debug, Clone, Default)]
pub struct TaskEnd {
    /// Id of the task in the queue.
    pub native_id: String,
    /// Result of the task, as JSON.
    pub result: Option<String>,
    /// Set if the worker rejected the task after its start. True if the message returned to its queue.
    pub rejected: Option<bool>,
}

/// Outcome of a process.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The process returned.
    Succeeded,
    /// The process returned an error or panicked.
    Failed(Box<Failure>),
    /// The process was dropped or cancelled before its end.
    Cancelled,
}

/// Reason why a process failed.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// `error` or `panic`. For a command or an exit code, `exit` or `signal`.
    pub kind: &'static str,
    /// Type of the error, as the compiler names it. `None` for a panic.
    pub type_name: Option<Cow<'static, str>>,
    /// Message of the error or panic.
    pub message: String,
    /// Messages of the error's sources, nearest first.
    pub chain: Vec<String>,
    /// Place of the panic, or of the function that returned the error.
    pub place: Option<(Cow<'static, str>, u32)>,
    /// Exit code that is the reason for the failure.
    pub exit_code: Option<i32>,
    /// Exit code of a command, or the signal that ended it, if the message does not include it.
    pub code: Option<i32>,
    /// Last output lines of a command.
    pub tail: Option<String>,
}

/// Placeholder message, stored if there is no room for the message of a failure.
pub(crate) const NOT_KEPT: &str = "(not kept: the buffer was full, see MONITOR_BUFFER_BYTES)";

impl Failure {
    /// Returns the size in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self) + self.message.len() + self.chain.iter().map(|cause| cause.len() + size_of::<String>()).sum::<usize>()
    }

    /// Returns the failure for an exit code. `None` for 0.
    pub(crate) fn of_exit_code(code: i32) -> Option<Self> {
        (code != 0).then(|| Failure { kind: "exit", message: format!("exit code {code}"), exit_code: Some(code), ..Failure::default() })
    }
}

/// Exit status of a command.
///
/// # Examples
///
/// ```
/// use monitor_client::launcher::Exit;
///
/// let exit = Exit { code: Some(2), message: Some("exit code 2: no such file".to_owned()), ..Exit::default() };
/// assert_eq!(exit.signal, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, if there is one.
    pub code: Option<i32>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
    /// Reason for the outcome in one word, such as `timeout`.
    pub reason: Option<Cow<'static, str>>,
    /// Failure message. `None` if the command succeeded.
    pub message: Option<String>,
    /// Type of the error that the message describes, if it is known.
    pub type_name: Option<String>,
    /// True if the message does not include the exit code or signal. Views append them when they display the message.
    pub is_apart: bool,
    /// Last output lines of the command.
    pub tail: Option<String>,
    /// The next attempt, started by [`ProcessBuilder::again`](crate::ProcessBuilder::again) with the same ids. Until then, the process
    /// waits and has not failed.
    pub retry: Option<Retry>,
    /// True if the command was cancelled. The process then counts as cancelled and not as failed, regardless of its code or signal.
    pub is_cancelled: bool,
}
