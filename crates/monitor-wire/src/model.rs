//! Read models: what the HTTP API answers and the stream carries. Times are Unix microseconds, durations nanoseconds.

use serde::{Deserialize, Serialize};

use crate::batch::Dropped;
use crate::event::{Event, Fields, Link};
use crate::failure::{Error, Source};
use crate::fold::Fold;
use crate::ids::{ProcessId, RootId, WorkerId};
use crate::queue::Task;
use crate::words::{Attachment, Kind, Outcome, State, WorkerRole, WorkerState};
use crate::worker_event::Registered;

/// A tree, seen from its root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Root {
    /// The tree.
    pub root_id: RootId,
    /// Short number, given by the server, ascending.
    pub number: u64,
    /// Name of the root's own process; of the earliest known one until that is known.
    pub name: String,
    /// The batch mark.
    pub batch: Option<String>,
    /// As shown: `name <batch:number>`, or `name <number>` without a batch.
    pub title: String,
    /// State of that process.
    pub state: State,
    /// Its start.
    pub started_us: Option<u64>,
    /// Its end.
    pub ended_us: Option<u64>,
    /// How long it took.
    pub elapsed_ns: Option<u64>,
    /// Who runs it.
    pub worker_id: Option<WorkerId>,
    /// All processes of the tree by state.
    pub counts: Counts,
    /// Why it failed: of the errors on its failing path, from the root's own process down, the first that says more than an exit code.
    pub error: Option<Error>,
    /// When it began as far as that is known, if its start is not: when it was queued, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_us: Option<u64>,
    /// How far its own process says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// It is kept until it is unpinned, whatever the rules of retention say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// The root's own process was started without a context, and wasn't meant to begin a tree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unattached: bool,
    /// While it runs: how long half of the past runs of this name took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ns: Option<u64>,
    /// While it runs: how long 95 % of the past runs of this name took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_p95_ns: Option<u64>,
    /// It runs for longer than it should.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
    /// Which attempt of the root's own process runs, from the second one on; or ended last, while the next one is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Meanwhile: how many attempts there are to be at most, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_of: Option<u32>,
    /// When the next attempt is to begin, while it is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_us: Option<u64>,
}

/// Processes by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    /// Queued.
    pub pending: u64,
    /// Running.
    pub running: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Given up.
    pub cancelled: u64,
    /// Lost with their worker.
    pub lost: u64,
    /// In a state unknown here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// The count of one state.
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

    /// All of them.
    pub fn total(&self) -> u64 {
        self.pending + self.running + self.succeeded + self.failed + self.cancelled + self.lost + self.other
    }
}

/// A process as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Process {
    /// The process.
    pub id: ProcessId,
    /// Its tree.
    pub root_id: RootId,
    /// Its parent as it was told, known here or not.
    pub parent_id: Option<ProcessId>,
    /// Its name; empty until its start is known.
    pub name: String,
    /// What it is; empty until its start is known.
    pub kind: Kind,
    /// Where it is.
    pub state: State,
    /// The id of a system with ids of its own.
    pub native_id: Option<String>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Its start.
    pub started_us: Option<u64>,
    /// Its end.
    pub ended_us: Option<u64>,
    /// How long it took.
    pub elapsed_ns: Option<u64>,
    /// Who runs it.
    pub worker_id: Option<WorkerId>,
    /// Name of its thread.
    pub thread: Option<String>,
    /// Where it stands in the program.
    pub source: Option<Source>,
    /// Why it failed.
    pub error: Option<Error>,
    /// Why it ended so, in one word.
    pub reason: Option<String>,
    /// Exit code of a command.
    pub exit_code: Option<i32>,
    /// Signal that ended a command.
    pub signal: Option<i32>,
    /// How it came by its parent.
    pub attachment: Attachment,
    /// Its parent is not known here: it hangs below the root.
    pub orphan: bool,
    /// Other processes that it has to do with.
    pub links: Vec<Link>,
    /// Its own fields.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub fields: Fields,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What it stands for, if it is a fold.
    pub fold: Option<Fold>,
    /// How deep it hangs, 0 for the root's own process. Only lists of a tree say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<u32>,
    /// While it runs: how long half of the past runs of this name took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ns: Option<u64>,
    /// While it runs: how long 95 % of the past runs of this name took at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_p95_ns: Option<u64>,
    /// It runs for longer than it should.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
    /// How many ends said otherwise than the one that counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub contradictions: u64,
    /// Its attempts, oldest first, if there is more than one or another is to come: of very many the first 50, and the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// How many attempts there are to be at most, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_of: Option<u32>,
    /// When the next attempt is to begin, while the process waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_us: Option<u64>,
    /// What it is as a task of a queue, if events of a queue tell of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<Task>>,
}

/// A process as it stands, and what names it in its links.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessDetail {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Links that lead to it from other trees; left out if there are none.
    #[serde(default, skip_serializing_if = "LinkedFrom::is_empty")]
    pub linked_from: LinkedFrom,
}

/// Links that lead to a process from other trees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkedFrom {
    /// How many processes have such a link; no more than 1,000 are counted.
    pub count: u64,
    /// The links of some of them, those of the newest trees first.
    pub links: Vec<LinkFrom>,
}

impl LinkedFrom {
    /// Returns true if no link leads to the process.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A link, seen from the process that it leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkFrom {
    /// The tree of the process that has the link.
    pub root_id: RootId,
    /// Title of that tree.
    pub title: String,
    /// The process that has the link.
    pub id: ProcessId,
    /// Name of that process.
    pub name: String,
    /// Where that process is.
    pub state: State,
    /// What the process that the link leads to is to that one: `triggered_by`, `retry_of` …
    pub relation: String,
}

/// One attempt of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Which one, from 1.
    pub attempt: u32,
    /// How it ended, `lost` if its end is not known; none while it goes on.
    pub outcome: Option<Outcome>,
    /// The worker that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// Its start.
    pub started_us: Option<u64>,
    /// Its end.
    pub ended_us: Option<u64>,
    /// How long it took.
    pub elapsed_ns: Option<u64>,
    /// Why it failed; without a command's last lines, which the log has.
    pub error: Option<Error>,
    /// Why it ended so, in one word.
    pub reason: Option<String>,
    /// Exit code of a command.
    pub exit_code: Option<i32>,
    /// Signal that ended a command.
    pub signal: Option<i32>,
}

/// How far a process is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// How much is done.
    pub done: f64,
    /// Of how much.
    pub total: Option<f64>,
    /// Of what.
    pub unit: Option<String>,
}

/// Who reports, as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// Name of its host.
    pub hostname: String,
    /// Its process number on the host; 0 if it has none that is known.
    pub pid: u32,
    /// Name of its program.
    pub program: String,
    /// What it is for, unless it is a program that records itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<WorkerRole>,
    /// What it can be asked to do, in words of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The workers that relay what it says. While none of them is online, it is unheard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relayed_by: Vec<WorkerId>,
    /// Version of what reports.
    pub version: Option<String>,
    /// Where it is.
    pub state: WorkerState,
    /// When its program began.
    pub started_us: Option<u64>,
    /// When the server last heard of it, by the server's clock.
    pub last_seen_us: u64,
    /// When it said goodbye.
    pub offline_us: Option<u64>,
    /// Since when it is lost.
    pub lost_us: Option<u64>,
    /// How often it says that it is alive.
    pub heartbeat_interval_ms: Option<u64>,
    /// What it had to drop.
    pub dropped: Vec<Dropped>,
    /// How many of its processes run.
    pub running: u64,
    /// How many tasks it works on, by its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    /// How many tasks it has done, by its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<u64>,
    /// How the tasks of queues went that it worked on, by their stored events.
    #[serde(default, skip_serializing_if = "WorkerTasks::is_empty")]
    pub tasks: WorkerTasks,
    /// How busy its host was over the last 1, 5 and 15 minutes, by its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<f64>>))]
    pub loadavg: Option<[f64; 3]>,
    /// The attributed functions of its program. Only the answer about one worker says them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registered: Vec<Registered>,
    /// By how much its clock is ahead of the server's, in microseconds, as far as its batches tell; negative if it is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
    /// How many of its events are stored, by type. Only the answer about one worker says them.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub events: std::collections::BTreeMap<String, u64>,
}

/// Counts of tasks of queues, by how a worker's attempts ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct WorkerTasks {
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Attempts that failed and were to be followed by another one.
    pub retried: u64,
}

impl WorkerTasks {
    /// Counts `count` events of a type; types other than the ends of tasks have no effect.
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

/// `GET /api/v1/roots`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RootsPage {
    /// The roots.
    pub roots: Vec<Root>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// `GET /api/v1/roots/{root}/tree`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TreePage {
    /// The tree's root.
    pub root: Root,
    /// Its processes in pre-order, siblings as they started, the root's own first.
    pub processes: Vec<Process>,
    /// How many parents are ignored in the whole tree because they would close a cycle.
    #[serde(default)]
    pub ignored_parents: u64,
    /// How many are ignored because the process would hang deeper than the server shows trees (`max-depth`): it hangs below the root's
    /// own process, marked as an orphan, with all that hangs below it.
    #[serde(default)]
    pub deep_parents: u64,
    /// What its programs could not keep or send of it, all of them together, by type and reason.
    #[serde(default)]
    pub dropped: Vec<Dropped>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// `GET /api/v1/processes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessesPage {
    /// The processes, newest first.
    pub processes: Vec<Process>,
    /// Where the next page begins, if there is more to look at; a page may be short, even empty, and still have a next one.
    pub next_cursor: Option<String>,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// What a process said: a line of its log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogEntry {
    /// Who said it.
    pub process_id: ProcessId,
    /// When, in Unix microseconds by the clock of its worker.
    pub time_us: u64,
    /// `error`, `warn`, `info`, `debug`, `trace`, or another word as it came.
    pub level: String,
    /// The message.
    pub message: String,
    /// Who in the program said it.
    pub target: Option<String>,
    /// `stdout` or `stderr`, for output.
    pub stream: Option<String>,
    /// Its own fields.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub fields: Fields,
    /// The worker that it is about.
    pub worker_id: WorkerId,
    /// Number of the event among those of the worker that sent it.
    pub number: u64,
}

/// `GET /api/v1/roots/{root}/logs` and `GET /api/v1/roots/{root}/processes/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogsPage {
    /// The lines, in the order that was asked for: by time, and at the same time by process, worker and number.
    pub logs: Vec<LogEntry>,
    /// Where the next page begins, if there is more to look at; a page may be short, even empty, and still have a next one.
    pub next_cursor: Option<String>,
    /// How many lines were not kept: of each process the first and the last ones are.
    pub missing: u64,
    /// Between which lines they are missing. Only the answer about one process says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<LogGap>,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// Where lines of a process are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogGap {
    /// Time of the last line before it.
    pub after_us: u64,
    /// Time of the first line after it.
    pub before_us: u64,
}

/// `GET /api/v1/workers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkersPage {
    /// The workers, newest first.
    pub workers: Vec<Worker>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// One message of `GET /api/v1/stream`: an event that is stored, and what it made of things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamMessage {
    /// What happened.
    pub event: Event,
    /// The tree after it.
    pub root: Option<Root>,
    /// The process after it.
    pub process: Option<Process>,
    /// The worker after it.
    pub worker: Option<Worker>,
    /// The line, if the event is one of a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogEntry>,
    /// Number of the newest change that tree, process and worker know: they may be newer than the event.
    #[serde(default)]
    pub as_of: u64,
}

/// An error of the HTTP API (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// What kind of problem; `about:blank` where the status says it all.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, where, and what to do.
    pub detail: String,
    /// The parameter at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Number of the event at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_number: Option<u64>,
    /// The server's time in Unix microseconds, if the event at fault is dated ahead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time_us: Option<u64>,
}
