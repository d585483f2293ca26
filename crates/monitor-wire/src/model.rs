//! Read models: the answers of the HTTP API and the contents of the event stream. Times are Unix microseconds, durations nanoseconds.

use serde::{Deserialize, Serialize};

use crate::batch::Dropped;
use crate::event::{Event, Fields, Link};
use crate::failure::{Error, Source};
use crate::fold::Fold;
use crate::ids::{ProcessId, RootId, WorkerId};
use crate::queue::Task;
use crate::words::{Attachment, Kind, Outcome, State, WorkerRole, WorkerState};
use crate::worker_event::Registered;

/// A run: a tree of processes, described by its root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Root {
    /// Id of the run.
    pub root_id: RootId,
    /// Short number of the run. The server assigns these numbers in ascending order.
    pub number: u64,
    /// Name of the root's own process. While that process is not known, this and the other fields describe the earliest known process of the
    /// run.
    pub name: String,
    /// Batch mark of the run, if it has one.
    pub batch: Option<String>,
    /// Title for display: `name <batch:number>`, or `name <number>` without a batch mark.
    pub title: String,
    /// State of the root's own process.
    pub state: State,
    /// Start of the root's own process, if it is known.
    pub started_us: Option<u64>,
    /// End of the root's own process, if it has ended.
    pub ended_us: Option<u64>,
    /// Duration of the root's own process, if it has ended.
    pub elapsed_ns: Option<u64>,
    /// Worker that runs the root's own process.
    pub worker_id: Option<WorkerId>,
    /// Number of processes in the run, by state.
    pub counts: Counts,
    /// Reason why the run failed: the first error on its failing path that contains more than an exit code or a signal, or else the first
    /// error. The failing path leads from the root's own process down to the failure.
    pub error: Option<Error>,
    /// Time at which the root's own process was queued or ended, or was first reported. Set only if its start is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_us: Option<u64>,
    /// Progress that the root's own process reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// True if the run is kept until it is unpinned, regardless of the retention rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// True if the root's own process was started without a context and was not meant to begin a run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unattached: bool,
    /// Median duration of past successful runs of this name. Set only while the root's own process runs and if there are enough past runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ns: Option<u64>,
    /// 95th percentile of the durations of past successful runs of this name. Set only together with `expected_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_p95_ns: Option<u64>,
    /// True if the root's own process has run for longer than its timeout. Without a timeout, true if it has run for longer than three times the
    /// 99th percentile of at least 20 past runs of its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
    /// Current attempt of the root's own process, or the last one if the process waits for the next attempt. Not set for a first attempt, unless
    /// further attempts are allowed or planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Maximum number of attempts, if it is known. Set only together with `attempt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_of: Option<u32>,
    /// Time at which the next attempt is planned to begin, while the root's own process waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_us: Option<u64>,
}

/// Number of processes by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    /// Processes that are queued.
    pub pending: u64,
    /// Processes that run.
    pub running: u64,
    /// Processes that succeeded.
    pub succeeded: u64,
    /// Processes that failed.
    pub failed: u64,
    /// Processes that were cancelled.
    pub cancelled: u64,
    /// Processes whose worker was lost before they ended.
    pub lost: u64,
    /// Processes in any other state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Returns the count of a state. States without a count of their own share `other`.
    pub fn of(&mut self, state: &State) -> &mut u64 {
        match state.as_str() {
            "pending" => &mut self.pending,
            "running" => &mut self.running,
            "succeeded" => &mut self.succeeded,
            "failed" => &mut self.failed,
            "cancelled" => &mut self.cancelled,
            "lost" => &mut self.lost,
            _ => &mut self.other,
        }
    }

    /// Returns the number of processes in all states.
    pub fn total(&self) -> u64 {
        self.pending + self.running + self.succeeded + self.failed + self.cancelled + self.lost + self.other
    }
}

/// A process and its current state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Process {
    /// Id of the process, unique within its run.
    pub id: ProcessId,
    /// Id of its run.
    pub root_id: RootId,
    /// Parent of the process, as the process reported it. The server may not know the parent.
    pub parent_id: Option<ProcessId>,
    /// Name of the process; empty until its start is known.
    pub name: String,
    /// Kind of the process; empty until its start is known.
    pub kind: Kind,
    /// Current state.
    pub state: State,
    /// Id in the system that the process comes from, such as a queue, if that system has ids of its own.
    pub native_id: Option<String>,
    /// Number of the current attempt, from 1.
    pub attempt: u32,
    /// Start of the process, if it is known.
    pub started_us: Option<u64>,
    /// End of the process, if it has ended.
    pub ended_us: Option<u64>,
    /// Duration of the process, if it has ended.
    pub elapsed_ns: Option<u64>,
    /// Worker that runs the process.
    pub worker_id: Option<WorkerId>,
    /// Name of the thread that runs the process.
    pub thread: Option<String>,
    /// Place in the source code that the process comes from.
    pub source: Option<Source>,
    /// Error with which the process failed.
    pub error: Option<Error>,
    /// Reason for the end, as one word.
    pub reason: Option<String>,
    /// Exit code, if the process is a command that exited with one.
    pub exit_code: Option<i32>,
    /// Signal that ended the process, if it is a command.
    pub signal: Option<i32>,
    /// The way the process got its parent.
    pub attachment: Attachment,
    /// True if the parent is not known to the server or is ignored. The process is then shown below the root.
    pub orphan: bool,
    /// Related processes.
    pub links: Vec<Link>,
    /// Fields that the process reported.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub fields: Fields,
    /// Progress that the process reported last.
    pub progress: Option<Progress>,
    /// Totals of the calls that the process represents, if it is a fold.
    pub fold: Option<Fold>,
    /// Depth in the tree of the run, 0 for the root's own process. Set only in lists of the processes of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// Median duration of past successful runs of this name. Set only while the process runs and if there are enough past runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ns: Option<u64>,
    /// 95th percentile of the durations of past successful runs of this name. Set only together with `expected_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_p95_ns: Option<u64>,
    /// True if the process has run for longer than its timeout. Without a timeout, true if it has run for longer than three times the 99th
    /// percentile of at least 20 past runs of its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
    /// Number of reported ends whose outcome differs from the outcome of the end that counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contradictions: u64,
    /// Attempts, oldest first. Set only if there are several or if another one is planned. If there are very many, the list contains the first
    /// 50 and the latest 51.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Maximum number of attempts, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_of: Option<u32>,
    /// Time at which the next attempt is planned to begin, while the process waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_us: Option<u64>,
    /// Details of the queue task, if the process is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<Task>>,
}

/// A process and the links to it from other runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessDetail {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Links that lead to the process from other runs; left out if there are none.
    #[serde(default, skip_serializing_if = "LinkedFrom::is_empty")]
    pub linked_from: LinkedFrom,
}

/// Links that lead to a process from other runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkedFrom {
    /// Number of processes that link to the process. At most 1,000 are counted.
    pub count: u64,
    /// Links of some of these processes. Links from the newest runs are first.
    pub links: Vec<LinkFrom>,
}

impl LinkedFrom {
    /// Returns true if no link leads to the process.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A link from another process, as the process that it leads to sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkFrom {
    /// Run of the linking process.
    pub root_id: RootId,
    /// Title of that run.
    pub title: String,
    /// The linking process.
    pub id: ProcessId,
    /// Name of the linking process.
    pub name: String,
    /// State of the linking process.
    pub state: State,
    /// Role of the linked process for the linking process, such as `triggered_by` or `retry_of`.
    pub relation: String,
}

/// An attempt of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Outcome of the attempt: `lost` if its end is not known, none while it runs or waits.
    pub outcome: Option<Outcome>,
    /// Worker that ran the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// Start of the attempt, if it is known.
    pub started_us: Option<u64>,
    /// End of the attempt, if it is known.
    pub ended_us: Option<u64>,
    /// Duration of the attempt, if its start and end are known.
    pub elapsed_ns: Option<u64>,
    /// Error with which the attempt failed. It does not contain the last lines of a command's output; they are in the log.
    pub error: Option<Error>,
    /// Reason for the end, as one word.
    pub reason: Option<String>,
    /// Exit code, if the process is a command that exited with one.
    pub exit_code: Option<i32>,
    /// Signal that ended the attempt, if the process is a command.
    pub signal: Option<i32>,
}

/// Progress of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Amount of work done.
    pub done: f64,
    /// Total amount of work, if it is known.
    pub total: Option<f64>,
    /// Unit of `done` and `total`.
    pub unit: Option<String>,
}

/// A worker and its current state. A worker is a program that reports events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Worker {
    /// Id of the worker.
    pub id: WorkerId,
    /// Name of its host.
    pub hostname: String,
    /// Id of its operating-system process on the host; 0 if it is not known.
    pub pid: u32,
    /// Name of its program.
    pub program: String,
    /// Role of the worker. Not set for a program that records itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<WorkerRole>,
    /// Capabilities that the worker announces, in its own words, such as the commands that it accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Workers that relay the events of this worker. While none of them is online, this worker's state is `unheard`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relayed_by: Vec<WorkerId>,
    /// Version of the software that reports the events.
    pub version: Option<String>,
    /// Current state.
    pub state: WorkerState,
    /// Time at which the program started.
    pub started_us: Option<u64>,
    /// Time at which the server last received anything from the worker, by the server's clock.
    pub last_seen_us: u64,
    /// Time at which the worker reported that it was going offline.
    pub offline_us: Option<u64>,
    /// Time at which the server lost the worker.
    pub lost_us: Option<u64>,
    /// Interval between the worker's heartbeats, in milliseconds; 0 if it sends none.
    pub heartbeat_interval_ms: Option<u64>,
    /// Data that the worker dropped.
    pub dropped: Vec<Dropped>,
    /// Number of its processes that run; 0 unless the worker is online.
    pub running: u64,
    /// Number of tasks that the worker is executing, according to its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    /// Number of tasks that the worker has executed, according to its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<u64>,
    /// Number of queue tasks that the worker executed, by their result. These are counted from stored events.
    #[serde(default, skip_serializing_if = "WorkerTasks::is_empty")]
    pub tasks: WorkerTasks,
    /// Load averages of the host over the last 1, 5 and 15 minutes, according to the last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<f64>>))]
    pub loadavg: Option<[f64; 3]>,
    /// Attributed functions of the program. Set only in the answer about a single worker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registered: Vec<Registered>,
    /// Offset of the worker's clock from the server's clock, in microseconds, estimated from the worker's batches. Negative if the worker's
    /// clock is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
    /// Number of stored events of the worker, by type. Set only in the answer about a single worker.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub events: std::collections::BTreeMap<String, u64>,
}

/// Number of queue tasks by the result of a worker's attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct WorkerTasks {
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that failed in their last attempt.
    pub failed: u64,
    /// Attempts that failed and were scheduled to be retried.
    pub retried: u64,
}

impl WorkerTasks {
    /// Adds `count` events of a type. Types that don't end an attempt have no effect.
    pub fn add(&mut self, event_type: &str, count: u64) {
        match event_type {
            "task-succeeded" => self.succeeded += count,
            "task-failed" => self.failed += count,
            "task-retried" => self.retried += count,
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Answer of `GET /api/v1/roots`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootsPage {
    /// The runs.
    pub roots: Vec<Root>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// Answer of `GET /api/v1/roots/{root}/tree`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TreePage {
    /// The run.
    pub root: Root,
    /// Processes in pre-order, beginning with the root's own process. Siblings are ordered by their start.
    pub processes: Vec<Process>,
    /// Number of parents in the whole run that are ignored because they would close a cycle.
    #[serde(default)]
    pub ignored_parents: u64,
    /// Number of parents in the whole run that are ignored because the process would be deeper than the server's `max-depth`. Such a process is
    /// shown below the root's own process, as an orphan, with its descendants.
    #[serde(default)]
    pub deep_parents: u64,
    /// Data of the run that its programs could not store or send, by type and reason. The sum over all programs.
    #[serde(default)]
    pub dropped: Vec<Dropped>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// Answer of `GET /api/v1/processes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessesPage {
    /// The processes, newest first.
    pub processes: Vec<Process>,
    /// Cursor of the next page, if there may be one. A page may be short or even empty and still have a next page.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// A line of a process's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogEntry {
    /// Process that wrote the line.
    pub process_id: ProcessId,
    /// Time of the line, in Unix microseconds by the worker's clock.
    pub time_us: u64,
    /// Level: `error`, `warn`, `info`, `debug`, `trace`, or any other word that the program sent.
    pub level: String,
    /// The message.
    pub message: String,
    /// Part of the program that wrote the line, such as a module.
    pub target: Option<String>,
    /// `stdout` or `stderr`, if the line is output of a command.
    pub stream: Option<String>,
    /// Fields of the line.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub fields: Fields,
    /// Worker in which the line was written.
    pub worker_id: WorkerId,
    /// Number of the event, in the numbering of the worker that sent it.
    pub number: u64,
}

/// Answer of `GET /api/v1/roots/{root}/logs` and `GET /api/v1/roots/{root}/processes/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogsPage {
    /// Lines by time, in the requested direction. Lines of the same time are ordered by process, worker and number.
    pub logs: Vec<LogEntry>,
    /// Cursor of the next page, if there may be one. A page may be short or even empty and still have a next page.
    pub next_cursor: Option<String>,
    /// Number of lines that were not kept. The server keeps the first and the last lines of each process.
    pub missing: u64,
    /// Place of the missing lines. Set only in the answer about a single process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<LogGap>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// A place where lines of a process's log are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogGap {
    /// Time of the last line before the gap.
    pub after_us: u64,
    /// Time of the first line after the gap.
    pub before_us: u64,
}

/// Answer of `GET /api/v1/workers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkersPage {
    /// The workers, newest first.
    pub workers: Vec<Worker>,
    /// Cursor of the next page, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// A message of `GET /api/v1/stream`: a stored event and the state after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamMessage {
    /// The event.
    pub event: Event,
    /// The run after the event.
    pub root: Option<Root>,
    /// The process after the event.
    pub process: Option<Process>,
    /// The worker after the event.
    pub worker: Option<Worker>,
    /// The log line, if the event contains one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogEntry>,
    /// Number of the newest change that `root`, `process` and `worker` include. It may be greater than the number of the event.
    #[serde(default)]
    pub as_of: u64,
}

/// An error of the HTTP API (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Type of the problem; `about:blank` if the HTTP status describes it completely.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// Name of the HTTP status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Description of the problem, its place, and a remedy.
    pub detail: String,
    /// Parameter that caused the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Number of the event that caused the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_number: Option<u64>,
    /// The server's time in Unix microseconds. Set if the time of the event is ahead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time_us: Option<u64>,
}
