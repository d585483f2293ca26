//! Events: immutable facts. The server derives all state by folding events.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::{Error, Source};
use crate::fold::FoldError;
use crate::ids::{ProcessId, RootId, WorkerId};
use crate::queue::{TaskFailed, TaskReceived, TaskRejected, TaskRetried, TaskRevoked, TaskSent, TaskStarted, TaskSucceeded};
use crate::task_event::{AgentDecided, BatchTaskChanged, ProcessNotified, RunMissed, RunSkipped};
use crate::unplaced::Unplaced;
use crate::words::{Attachment, Kind, Outcome};
use crate::worker_event::{WorkerChanged, WorkerHeartbeat, WorkerOffline, WorkerOnline};

/// Fields of a process: keys and values that its program sets.
pub type Fields = std::collections::BTreeMap<String, serde_json::Value>;

/// Maximum time, in Unix microseconds. JavaScript can't represent greater integers exactly, and no real clock reaches this time.
pub const MAX_TIME_US: u64 = (1 << 53) - 1;

/// Key that is added to the fields if some were left out. Its value is the number of fields left out of an event, or `true` for a process with
/// more fields or links than are kept.
pub const CUT_FIELDS: &str = "monitor.cut";

/// An event: one immutable fact.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// A process was queued and waits to start.
    ProcessQueued(ProcessQueued),
    /// A process started.
    ProcessStarted(ProcessStarted),
    /// A process changed its parent, name, batch mark or fields.
    ProcessUpdated(ProcessUpdated),
    /// A process reported its progress.
    ProcessProgressed(ProcessProgressed),
    /// A process wrote a log record or a line of output.
    ProcessLogged(ProcessLogged),
    /// Many similar processes, reported as counts.
    ProcessFolded(ProcessFolded),
    /// A process ended.
    ProcessEnded(ProcessEnded),
    /// The server found that a process runs longer than expected.
    ProcessOverdue(ProcessOverdue),
    /// A process requested a notification.
    ProcessNotified(ProcessNotified),
    /// A task was put into a queue.
    TaskSent(TaskSent),
    /// A worker received a task from its queue.
    TaskReceived(TaskReceived),
    /// A worker started to execute a task.
    TaskStarted(TaskStarted),
    /// A task succeeded.
    TaskSucceeded(TaskSucceeded),
    /// A task failed, and no other attempt follows.
    TaskFailed(TaskFailed),
    /// A worker rejected a task.
    TaskRejected(TaskRejected),
    /// A task was revoked: it must not be executed any more.
    TaskRevoked(TaskRevoked),
    /// An attempt of a task failed, and another attempt follows.
    TaskRetried(TaskRetried),
    /// A worker started to report.
    WorkerOnline(WorkerOnline),
    /// A worker is still running.
    WorkerHeartbeat(WorkerHeartbeat),
    /// A worker announced its end. Its open processes are closed as cancelled.
    WorkerOffline(WorkerOffline),
    /// The server missed the heartbeats of a worker.
    WorkerLost(WorkerChanged),
    /// A lost worker reported again.
    WorkerFound(WorkerChanged),
    /// A run of a batch task was due, and its agent deliberately did not start it.
    RunSkipped(RunSkipped),
    /// Runs of a batch task were due and could not be started in time.
    RunMissed(RunMissed),
    /// A batch task was defined, changed, paused, resumed or deleted.
    BatchTaskChanged(BatchTaskChanged),
    /// An agent has decided all due times up to a time.
    AgentDecided(AgentDecided),
    /// An event about a process whose run the sender does not know.
    #[serde(untagged)]
    Unplaced(Unplaced),
    /// An event of a type that this build does not know. It is stored unchanged.
    #[serde(untagged)]
    Unknown(UnknownEvent),
}

impl Event {
    /// Returns the run that the event is about. None for events of workers and batch tasks, and for unplaced events.
    pub fn root_id(&self) -> Option<RootId> {
        match self {
            Self::ProcessQueued(event) => Some(event.root_id),
            Self::ProcessStarted(event) => Some(event.root_id),
            Self::ProcessUpdated(event) => Some(event.root_id),
            Self::ProcessProgressed(event) => Some(event.root_id),
            Self::ProcessLogged(event) => Some(event.root_id),
            Self::ProcessFolded(event) => Some(event.root_id),
            Self::ProcessEnded(event) => Some(event.root_id),
            Self::ProcessOverdue(event) => Some(event.root_id),
            Self::ProcessNotified(event) => Some(event.root_id),
            Self::TaskSent(event) => Some(event.root_id),
            Self::TaskReceived(event) => Some(event.root_id),
            Self::TaskStarted(event) => Some(event.root_id),
            Self::TaskSucceeded(event) => Some(event.root_id),
            Self::TaskFailed(event) => Some(event.root_id),
            Self::TaskRejected(event) => Some(event.root_id),
            Self::TaskRevoked(event) => Some(event.root_id),
            Self::TaskRetried(event) => Some(event.root_id),
            Self::Unknown(event) => event.fields.get("root_id").and_then(|id| id.as_str()?.parse().ok()),
            Self::WorkerOnline(_)
            | Self::WorkerHeartbeat(_)
            | Self::WorkerOffline(_)
            | Self::WorkerLost(_)
            | Self::WorkerFound(_)
            | Self::RunSkipped(_)
            | Self::RunMissed(_)
            | Self::BatchTaskChanged(_)
            | Self::AgentDecided(_)
            | Self::Unplaced(_) => None,
        }
    }

    /// Returns the event's type, as in the wire format.
    pub fn type_name(&self) -> &str {
        match self {
            Self::ProcessQueued(_) => "process-queued",
            Self::ProcessStarted(_) => "process-started",
            Self::ProcessUpdated(_) => "process-updated",
            Self::ProcessProgressed(_) => "process-progressed",
            Self::ProcessLogged(_) => "process-logged",
            Self::ProcessFolded(_) => "process-folded",
            Self::ProcessEnded(_) => "process-ended",
            Self::ProcessOverdue(_) => "process-overdue",
            Self::ProcessNotified(_) => "process-notified",
            Self::TaskSent(_) => "task-sent",
            Self::TaskReceived(_) => "task-received",
            Self::TaskStarted(_) => "task-started",
            Self::TaskSucceeded(_) => "task-succeeded",
            Self::TaskFailed(_) => "task-failed",
            Self::TaskRejected(_) => "task-rejected",
            Self::TaskRevoked(_) => "task-revoked",
            Self::TaskRetried(_) => "task-retried",
            Self::WorkerOnline(_) => "worker-online",
            Self::WorkerHeartbeat(_) => "worker-heartbeat",
            Self::WorkerOffline(_) => "worker-offline",
            Self::WorkerLost(_) => "worker-lost",
            Self::WorkerFound(_) => "worker-found",
            Self::RunSkipped(_) => "run-skipped",
            Self::RunMissed(_) => "run-missed",
            Self::BatchTaskChanged(_) => "batch-task-changed",
            Self::AgentDecided(_) => "agent-decided",
            Self::Unplaced(unplaced) => unplaced.event().type_name(),
            Self::Unknown(event) => &event.event_type,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Parses the event's text twice, first for the tag and then for the body. serde's own tagged enums would buffer the event as a tree of
        // values.
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(rename = "type", borrow)]
            event_type: std::borrow::Cow<'a, str>,
            root_id: Option<de::IgnoredAny>,
            native_source: Option<de::IgnoredAny>,
        }
        fn body<'a, T: Deserialize<'a>, E: de::Error>(text: &'a str) -> Result<T, E> {
            serde_json::from_str(text).map_err(|error| E::custom(without_place(&error)))
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        let tag: Tag<'_> = body(text)?;
        if tag.root_id.is_none() && tag.native_source.is_some() && Unplaced::TYPES.contains(&&*tag.event_type) {
            return Ok(Self::Unplaced(body(text)?));
        }
        Ok(match &*tag.event_type {
            "process-queued" => Self::ProcessQueued(body(text)?),
            "process-started" => Self::ProcessStarted(body(text)?),
            "process-updated" => Self::ProcessUpdated(body(text)?),
            "process-progressed" => Self::ProcessProgressed(body(text)?),
            "process-logged" => Self::ProcessLogged(body(text)?),
            "process-folded" => Self::ProcessFolded(body(text)?),
            "process-ended" => Self::ProcessEnded(body(text)?),
            "process-overdue" => Self::ProcessOverdue(body(text)?),
            "process-notified" => Self::ProcessNotified(body(text)?),
            "task-sent" => Self::TaskSent(body(text)?),
            "task-received" => Self::TaskReceived(body(text)?),
            "task-started" => Self::TaskStarted(body(text)?),
            "task-succeeded" => Self::TaskSucceeded(body(text)?),
            "task-failed" => Self::TaskFailed(body(text)?),
            "task-rejected" => Self::TaskRejected(body(text)?),
            "task-revoked" => Self::TaskRevoked(body(text)?),
            "task-retried" => Self::TaskRetried(body(text)?),
            "worker-online" => Self::WorkerOnline(body(text)?),
            "worker-heartbeat" => Self::WorkerHeartbeat(body(text)?),
            "worker-offline" => Self::WorkerOffline(body(text)?),
            "worker-lost" => Self::WorkerLost(body(text)?),
            "worker-found" => Self::WorkerFound(body(text)?),
            "run-skipped" => Self::RunSkipped(body(text)?),
            "run-missed" => Self::RunMissed(body(text)?),
            "batch-task-changed" => Self::BatchTaskChanged(body(text)?),
            "agent-decided" => Self::AgentDecided(body(text)?),
            _ => Self::Unknown(UnknownEvent { event_type: tag.event_type.into_owned(), fields: body(text)? }),
        })
    }
}

/// Returns the message of an error without line and column. These would be relative to the start of the event, not of the body.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Defines an event about a process: the given fields, and the fields that all events about processes have.
macro_rules! process_event {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name {
            /// Id of the run.
            pub root_id: RootId,
            /// Id of the process.
            pub id: ProcessId,
            /// Time of the event, in Unix microseconds.
            pub time_us: u64,
            $($(#[$field_doc])* pub $field: $type,)*
            /// Number of the process's attempt, from 1.
            #[serde(default = "crate::event::first_attempt", skip_serializing_if = "crate::event::is_first_attempt")]
            pub attempt: u32,
            /// The worker that the event is about, if another worker relays the event. None if the sender reports about itself.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub worker: Option<WorkerRef>,
            /// Id of the process in an external system with its own ids, such as a queue.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub native_id: Option<String>,
            /// Related processes.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub links: Vec<Link>,
        }
    };
}

pub(crate) use process_event;

pub(crate) fn first_attempt() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_first_attempt(attempt: &u32) -> bool {
    *attempt == 1
}

process_event!(
    /// A process was queued and waits to start.
    ProcessQueued {
        /// Id of the parent. None for a root.
        #[serde(default)]
        parent_id: Option<ProcessId>,
        /// Kind of the process.
        kind: Kind,
        /// Name of the process.
        name: String,
        /// Batch mark of a root: a label such as `batch001`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// Fields that the program set.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
    }
);

process_event!(
    /// A process started.
    ProcessStarted {
        /// Id of the parent. None for a root.
        #[serde(default)]
        parent_id: Option<ProcessId>,
        /// Kind of the process.
        kind: Kind,
        /// Name of the process.
        name: String,
        /// Batch mark of a root: a label such as `batch001`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// Name of the thread that runs the process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
        /// Place of the process in the program's source.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// How the parent was determined.
        #[serde(default = "explicit", skip_serializing_if = "is_explicit")]
        attachment: Attachment,
        /// Fields that the program set.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
        /// Time after which the process is overdue, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// Maximum number of attempts, including the first. Absent if there can be only one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempts_of: Option<u32>,
    }
);

impl ProcessStarted {
    /// Returns the start of a root with only these values set.
    pub fn new(root_id: RootId, id: ProcessId, time_us: u64, kind: Kind, name: String) -> Self {
        Self {
            root_id,
            id,
            time_us,
            parent_id: None,
            kind,
            name,
            batch: None,
            thread: None,
            source: None,
            attachment: explicit(),
            fields: Fields::new(),
            timeout_ms: None,
            attempts_of: None,
            attempt: first_attempt(),
            worker: None,
            native_id: None,
            links: Vec::new(),
        }
    }
}

fn explicit() -> Attachment {
    Attachment::EXPLICIT
}

fn is_explicit(attachment: &Attachment) -> bool {
    *attachment == Attachment::EXPLICIT
}

process_event!(
    /// A process changed its parent, name, batch mark or fields. The latest value of each counts.
    ProcessUpdated {
        /// New parent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_id: Option<ProcessId>,
        /// New name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// New batch mark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// Fields to add or replace.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
    }
);

impl ProcessUpdated {
    /// Returns an update that sets only fields.
    pub fn new(root_id: RootId, id: ProcessId, time_us: u64, fields: Fields) -> Self {
        Self {
            root_id,
            id,
            time_us,
            parent_id: None,
            name: None,
            batch: None,
            fields,
            attempt: first_attempt(),
            worker: None,
            native_id: None,
            links: Vec::new(),
        }
    }
}

process_event!(
    /// A process reported its progress.
    ProcessProgressed {
        /// Amount of work done.
        done: f64,
        /// Total amount of work, if known.
        #[serde(default)]
        total: Option<f64>,
        /// Unit of `done` and `total`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    }
);

process_event!(
    /// A process wrote a log record or a line of output.
    ProcessLogged {
        /// Usually `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
        /// Text of the log record.
        message: String,
        /// The part of the program that wrote the log record, such as a module.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// `stdout` or `stderr` for a line of output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<String>,
        /// Fields of the log record.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
    }
);

process_event!(
    /// Counts of a parent's children that share a name. Each shard (a recording thread) of a worker sends its own counts.
    ProcessFolded {
        /// Id of the parent, or of the fold that contains this fold.
        #[serde(default)]
        parent_id: Option<ProcessId>,
        /// Kind of the children.
        kind: Kind,
        /// Common name of the children.
        name: String,
        /// Id of this count among the counts of the worker. Each recording thread has its own, and uses a new id when it starts to count from
        /// zero.
        shard: u64,
        /// Increases with each event of this fold and shard. The event with the highest revision replaces earlier events.
        revision: u64,
        /// Number of processes started.
        count: u64,
        /// Number of processes that are still running.
        running: u64,
        /// Number of processes that failed.
        failed: u64,
        /// Number of processes that were cancelled.
        cancelled: u64,
        /// Sum of all durations, in nanoseconds.
        total_ns: u64,
        /// Shortest duration, in nanoseconds.
        #[serde(default)]
        min_ns: Option<u64>,
        /// Longest duration, in nanoseconds.
        #[serde(default)]
        max_ns: Option<u64>,
        /// Histogram of durations: `[[i, count], …]`, bucket i = [1.04^i, 1.04^(i+1)) ns.
        #[serde(default)]
        histogram: Vec<(u32, u64)>,
        /// Distinct error texts of the failed calls, up to 100. Other failures are only counted in `failed`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        errors: Vec<FoldError>,
    }
);

process_event!(
    /// A process ended.
    ProcessEnded {
        /// Duration, measured by the monotonic clock, in nanoseconds.
        #[serde(default)]
        elapsed_ns: Option<u64>,
        /// Outcome of the process.
        outcome: Outcome,
        /// The error, if the process failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Error>,
        /// Exit code of a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Number of the signal that ended a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Reason for the outcome, in one word, such as `exited` or `timeout`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Details of the next attempt, if another attempt follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
    }
);

impl ProcessEnded {
    /// Returns an end with only these values set.
    pub fn new(root_id: RootId, id: ProcessId, time_us: u64, outcome: Outcome) -> Self {
        Self {
            root_id,
            id,
            time_us,
            elapsed_ns: None,
            outcome,
            error: None,
            exit_code: None,
            signal: None,
            reason: None,
            retry: None,
            attempt: first_attempt(),
            worker: None,
            native_id: None,
            links: Vec::new(),
        }
    }
}

/// The next attempt of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retry {
    /// Start time of the next attempt, in Unix microseconds, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_us: Option<u64>,
    /// Maximum number of attempts, including the first, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
}

/// The server found that a process runs longer than expected. Only the server creates this event. It changes no state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessOverdue {
    /// Id of the run.
    pub root_id: RootId,
    /// Id of the process.
    pub id: ProcessId,
    /// Time of the event by the server's clock, in Unix microseconds.
    pub time_us: u64,
    /// Expected maximum duration, in nanoseconds.
    pub limit_ns: u64,
    /// Origin of the limit: `timeout` if the process set it, `history` if it was computed from earlier processes of the same name.
    pub reason: String,
}

/// An event of a type that this build does not know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnknownEvent {
    /// Type of the event.
    #[serde(skip)]
    pub event_type: String,
    /// All fields of the event, including its type.
    #[serde(flatten)]
    pub fields: Fields,
}

/// A relation to another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Link {
    /// Run of the other process.
    pub root_id: RootId,
    /// Id of the other process.
    pub id: ProcessId,
    /// Relation of the other process to this process, such as `triggered_by` or `retry_of`.
    pub relation: String,
}

/// Identification of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerRef {
    /// Id of the worker.
    pub id: WorkerId,
    /// Name of the worker's host.
    pub hostname: String,
    /// Id of the worker's operating-system process. 0 or absent if it is not known.
    #[serde(default, skip_serializing_if = "is_none")]
    pub pid: u32,
    /// Name of the worker's program.
    pub program: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(pid: &u32) -> bool {
    *pid == 0
}
