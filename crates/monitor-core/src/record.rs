//! What the monitored side says: plain data, turned into wire events by whoever drains the queue.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;
use std::time::SystemTime;

use crate::context::Context;

pub use crate::context::Attachment;

/// A place in the program that begins processes: one static per attributed function.
///
/// Its size is a power of two, so that its number among all of them is found by a shift.
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
    /// After how many milliseconds its processes are overdue; 0 for never.
    pub timeout_ms: u32,
    /// Module of the function, as the compiler names it.
    pub module: &'static &'static str,
}

impl Site {
    /// A place in no module, whose processes are never overdue.
    pub const fn new(name: &'static str, kind: &'static str, file: &'static str, line: u32) -> Self {
        Site { name, kind, file, line, timeout_ms: 0, module: &"" }
    }
}

/// What a process is an instance of.
#[derive(Debug, Clone)]
pub enum Origin {
    /// An attributed function.
    Site(&'static Site),
    /// `Process::builder(name)`.
    Named(Box<Named>),
}

impl Origin {
    /// Name of its processes.
    pub fn name(&self) -> &str {
        match self {
            Self::Site(site) => site.name,
            Self::Named(named) => &named.name,
        }
    }

    /// After how many milliseconds its processes are overdue, if the place says so.
    pub fn timeout_ms(&self) -> Option<u64> {
        if let Self::Site(site) = self { Some(u64::from(site.timeout_ms)).filter(|ms| *ms > 0) } else { None }
    }

    /// File and line where it stands in the source; empty for what stands in none.
    pub(crate) fn place(&self) -> (&'static str, u32) {
        match self {
            Self::Site(site) => (site.file, site.line),
            Self::Named(named) => named.place.map_or(("", 0), |place| (place.file(), place.line())),
        }
    }

    /// Tells places of the source apart; never 0.
    pub(crate) fn key(&self) -> usize {
        match self {
            Self::Site(site) => std::ptr::from_ref(*site).addr(),
            Self::Named(named) => named.place.map_or(1, |place| std::ptr::from_ref(place).addr()),
        }
    }
}

/// Name, kind and place of a process that is no function.
#[derive(Debug, Clone)]
pub struct Named {
    /// Name of the process.
    pub name: String,
    /// Its kind; `normal` unless said otherwise.
    pub kind: Cow<'static, str>,
    /// Where it was started; none for what stands in no source of this program, as a command.
    pub place: Option<&'static Location<'static>>,
}

/// A value of a field.
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

/// One fact about a process.
#[derive(Debug, Clone)]
pub enum Record {
    /// It began.
    Started(Started),
    /// It learned something about itself.
    Updated(Box<Updated>),
    /// It said something.
    Logged(Box<Logged>),
    /// It said how far it is.
    Progressed(Box<Progressed>),
    /// A queue has it.
    Task(Box<Tasked>),
    /// It ended.
    Ended(Ended),
    /// Many that were not recorded one by one.
    Folded(Box<Folded>),
}

/// The beginning of a process.
#[derive(Debug, Clone)]
pub struct Started {
    /// Its tree.
    pub root: u128,
    /// Its own id.
    pub id: u64,
    /// Its parent, 0 for none.
    pub parent: u64,
    /// What it is an instance of.
    pub origin: Origin,
    /// Unix microseconds.
    pub time_us: u64,
    /// Name of the thread, or its number where it has none.
    pub thread: Arc<str>,
    /// How it came by its parent.
    pub attachment: Attachment,
    /// What few processes have.
    pub extra: Option<Box<StartExtra>>,
}

/// What few processes say at their start.
#[derive(Debug, Clone, Default)]
pub struct StartExtra {
    /// The batch mark of a root.
    pub batch: Option<String>,
    /// Fields known at the start.
    pub fields: Fields,
    /// After how long it is overdue.
    pub timeout_ms: Option<u64>,
    /// Which attempt it is, from 2; 0 for the first one.
    pub attempt: u32,
    /// How many attempts there are to be at most, if there may be more than one.
    pub attempts_of: Option<u32>,
    /// Other processes that it has to do with, and what each is to it.
    pub links: Vec<(Context, String)>,
    /// The queue's own id, of a task of a queue.
    pub task: Option<String>,
}

/// What a fold counts by now: calls of one name below one parent.
#[derive(Debug, Clone)]
pub struct Folded {
    /// Its tree.
    pub root: u128,
    /// The parent or, if that is folded itself, the mark of its fold.
    pub parent: u64,
    /// Names the fold: what it counts began on one thread. What its calls begin has it for a parent, and comes after it.
    pub mark: u64,
    /// Names this count where a mark has several, which add up.
    pub shard: u64,
    /// What they are instances of.
    pub origin: Origin,
    /// When the first one began, in Unix microseconds.
    pub time_us: u64,
    /// Grows with each record of this shard.
    pub revision: u64,
    /// How many began.
    pub count: u64,
    /// How many of them run.
    pub running: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// All durations together, in nanoseconds.
    pub total_ns: u64,
    /// The shortest and the longest duration, in nanoseconds, if any ended.
    pub range_ns: Option<(u64, u64)>,
    /// Numbers of buckets and how many lasted 1.04^i to 1.04^(i+1) nanoseconds.
    pub histogram: Vec<(u32, u64)>,
    /// Distinct error texts of those that failed, up to 100.
    pub errors: Vec<FoldedError>,
    /// Nothing more will be counted.
    pub is_last: bool,
}

/// Failures of a fold whose messages differ only in numbers, ids and quoted parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedError {
    /// The message without what differs.
    pub text: String,
    /// Number of failures.
    pub count: u64,
    /// End of the first one, in Unix microseconds.
    pub first_us: u64,
    /// End of the last one, in Unix microseconds.
    pub last_us: u64,
}

/// Fields, links, or a name, that came later.
#[derive(Debug, Clone)]
pub struct Updated {
    /// Its tree.
    pub root: u128,
    /// Its own id.
    pub id: u64,
    /// Unix microseconds.
    pub time_us: u64,
    /// Its new name, if it got one.
    pub name: Option<String>,
    /// The new values.
    pub fields: Fields,
    /// Other processes that it has to do with, and what each is to it.
    pub links: Vec<(Context, String)>,
}

/// How far a process is.
#[derive(Debug, Clone)]
pub struct Progressed {
    /// Its tree.
    pub root: u128,
    /// Its own id.
    pub id: u64,
    /// Unix microseconds.
    pub time_us: u64,
    /// How much is done; neither negative nor infinite.
    pub done: f64,
    /// Of how much, if that is known.
    pub total: Option<f64>,
}

/// A step of a task on its way through a queue, while nobody works on it.
#[derive(Debug, Clone)]
pub struct Tasked {
    /// Its tree.
    pub root: u128,
    /// Its own id.
    pub id: u64,
    /// Unix microseconds.
    pub time_us: u64,
    /// Which attempt it is about, from 1.
    pub attempt: u32,
    /// Its id in the queue.
    pub native_id: String,
    /// What happened.
    pub step: TaskStep,
}

/// What happens to a task while nobody works on it.
#[derive(Debug, Clone)]
pub enum TaskStep {
    /// It was put into a queue.
    Sent(TaskMessage),
    /// A worker took it from its queue.
    Received(TaskMessage),
    /// A worker refused it.
    Rejected {
        /// It went back into its queue.
        requeued: bool,
    },
    /// It is not to be done any more.
    Revoked {
        /// It was too late for it.
        expired: bool,
    },
}

/// What a task is, with what it is called, and how it travels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskMessage {
    /// Its parent, 0 for none.
    pub parent: u64,
    /// Name of the task.
    pub name: String,
    /// Arguments by position, as JSON.
    pub args: Option<String>,
    /// Arguments by name, as JSON.
    pub kwargs: Option<String>,
    /// Not to be started before.
    pub eta: Option<SystemTime>,
    /// Not to be started after.
    pub expires: Option<SystemTime>,
    /// The queue that it goes through.
    pub queue: Option<String>,
    /// The exchange that it was sent to.
    pub exchange: Option<String>,
    /// The key that it was routed by.
    pub routing_key: Option<String>,
}

impl Tasked {
    /// What it is, where the step says so.
    pub fn message(&self) -> Option<&TaskMessage> {
        if let TaskStep::Sent(message) | TaskStep::Received(message) = &self.step { Some(message) } else { None }
    }

    /// The event that tells it.
    pub(crate) fn event(&self) -> &'static str {
        match self.step {
            TaskStep::Sent(_) => "task-sent",
            TaskStep::Received(_) => "task-received",
            TaskStep::Rejected { .. } => "task-rejected",
            TaskStep::Revoked { .. } => "task-revoked",
        }
    }

    /// Bytes that it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        let words = self.message().map_or(0, |message| {
            let TaskMessage { name, args, kwargs, queue, exchange, routing_key, .. } = message;
            name.len() + [args, kwargs, queue, exchange, routing_key].into_iter().flatten().map(String::len).sum::<usize>()
        });
        size_of_val(self) + self.native_id.len() + words
    }
}

/// A line of a process's log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its tree.
    pub root: u128,
    /// Its own id.
    pub id: u64,
    /// Unix microseconds.
    pub time_us: u64,
    /// How severe.
    pub level: Level,
    /// Which output of a command it stood in.
    pub stream: Option<&'static str>,
    /// What was said.
    pub message: String,
    /// Part of the program that said it, as a module's path.
    pub target: Option<Cow<'static, str>>,
    /// Its own fields.
    pub fields: Fields,
}

/// How severe a line of a log is.
///
/// ```
/// use monitor_client::Level;
///
/// assert!(Level::Error < Level::Trace);
/// monitor_client::log(Level::Warn, "the table is nearly full");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may go wrong.
    Warn,
    /// Something worth knowing.
    Info,
    /// For those who look for a mistake.
    Debug,
    /// Everything else.
    Trace,
}

impl Level {
    /// Its word on the wire.
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
    /// Its tree.
    pub root: u128,
    /// Its own id.
    pub id: u64,
    /// Unix microseconds.
    pub time_us: u64,
    /// By the monotonic clock; none if its start isn't known where it ends.
    pub elapsed_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// What few ends have.
    pub extra: Option<Box<EndExtra>>,
}

/// The attempt that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// When it is to begin.
    pub next: SystemTime,
    /// How many attempts there are to be at most, the first one included.
    pub of: u32,
}

/// What the end of a command says, or of a further attempt.
#[derive(Debug, Clone, Default)]
pub struct EndExtra {
    /// The command's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it ended so, in one word.
    pub reason: Option<Cow<'static, str>>,
    /// Which attempt ended, from 2; 0 for the first one.
    pub attempt: u32,
    /// Another attempt is to come.
    pub retry: Option<Retry>,
    /// What only the end of a task of a queue says.
    pub task: Option<Box<TaskEnd>>,
}

/// What the end of an attempt of a task says.
#[derive(Debug, Clone, Default)]
pub struct TaskEnd {
    /// Its id in the queue.
    pub native_id: String,
    /// What it returned, as JSON.
    pub result: Option<String>,
    /// The worker refused it after it had begun; true if it went back into its queue.
    pub rejected: Option<bool>,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It returned.
    Succeeded,
    /// It returned an error or panicked.
    Failed(Box<Failure>),
    /// It was dropped, or given up, before its end.
    Cancelled,
}

/// Why a process failed.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// `error` or `panic`; of a command, or by an exit code, `exit` or `signal`.
    pub kind: &'static str,
    /// Type of the error, as the compiler names it; none for a panic.
    pub type_name: Option<Cow<'static, str>>,
    /// The error's or the panic's own words.
    pub message: String,
    /// The error's sources, nearest first.
    pub chain: Vec<String>,
    /// Where: the panic's place, or the function that returned the error.
    pub place: Option<(Cow<'static, str>, u32)>,
    /// The exit code that says so.
    pub exit_code: Option<i32>,
    /// The exit code of a command or the signal that ended it, where the message doesn't say it.
    pub code: Option<i32>,
    /// The last lines that a command wrote.
    pub tail: Option<String>,
}

/// Placeholder text, stored when there is no room for the words of a failure.
pub(crate) const NOT_KEPT: &str = "(not kept: the buffer was full, see MONITOR_BUFFER_BYTES)";

impl Failure {
    /// Bytes that it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self) + self.message.len() + self.chain.iter().map(|cause| cause.len() + size_of::<String>()).sum::<usize>()
    }

    /// The failure that an exit code tells; none for 0.
    pub(crate) fn of_exit_code(code: i32) -> Option<Self> {
        (code != 0).then(|| Failure { kind: "exit", message: format!("exit code {code}"), exit_code: Some(code), ..Failure::default() })
    }
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, if it has one.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it ended so, in one word, as `timeout`.
    pub reason: Option<Cow<'static, str>>,
    /// Why it failed; none if it succeeded.
    pub message: Option<String>,
    /// Type of the error that the message tells of, if it is known.
    pub type_name: Option<String>,
    /// The message doesn't say the exit code or the signal: whoever shows it says it besides.
    pub is_apart: bool,
    /// The last lines that it wrote.
    pub tail: Option<String>,
    /// It is to be tried again, by [`ProcessBuilder::again`](crate::ProcessBuilder::again) with the same ids: until then it waits, and has not failed.
    pub retry: Option<Retry>,
    /// Somebody asked it to end: it was cancelled, and has not failed, whatever its code or signal.
    pub is_cancelled: bool,
}
