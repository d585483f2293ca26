//! Events: immutable facts. All state is folded from them.

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

/// Keys and values of a process's own.
pub type Fields = std::collections::BTreeMap<String, serde_json::Value>;

/// The greatest time, in Unix microseconds: more is no whole number to JavaScript, and far beyond any clock.
pub const MAX_TIME_US: u64 = (1 << 53) - 1;

/// Stands among fields for those that were left out: how many of an event; `true` if a process had more than are kept of one.
pub const CUT_FIELDS: &str = "monitor.cut";

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// A process waits for its turn.
    ProcessQueued(ProcessQueued),
    /// A process began.
    ProcessStarted(ProcessStarted),
    /// A process learned something about itself.
    ProcessUpdated(ProcessUpdated),
    /// A process is so far.
    ProcessProgressed(ProcessProgressed),
    /// A process said something.
    ProcessLogged(ProcessLogged),
    /// Many like processes, counted.
    ProcessFolded(ProcessFolded),
    /// A process ended.
    ProcessEnded(ProcessEnded),
    /// The server found that a process takes longer than it should.
    ProcessOverdue(ProcessOverdue),
    /// A process asked that somebody be told.
    ProcessNotified(ProcessNotified),
    /// A task was put into a queue.
    TaskSent(TaskSent),
    /// A worker took a task from its queue.
    TaskReceived(TaskReceived),
    /// A worker began to work on a task.
    TaskStarted(TaskStarted),
    /// A task ended well.
    TaskSucceeded(TaskSucceeded),
    /// A task failed, and no other attempt is to come.
    TaskFailed(TaskFailed),
    /// A worker refused a task.
    TaskRejected(TaskRejected),
    /// A task is not to be done any more.
    TaskRevoked(TaskRevoked),
    /// An attempt of a task failed, and the next one is to come.
    TaskRetried(TaskRetried),
    /// A worker began to report.
    WorkerOnline(WorkerOnline),
    /// A worker is alive.
    WorkerHeartbeat(WorkerHeartbeat),
    /// A worker said goodbye: what it had open is closed as cancelled.
    WorkerOffline(WorkerOffline),
    /// The server missed a worker's heartbeats.
    WorkerLost(WorkerChanged),
    /// A lost worker reported again.
    WorkerFound(WorkerChanged),
    /// A run of a batch task was due, and its agent started none on purpose.
    RunSkipped(RunSkipped),
    /// Runs of a batch task were due, and nothing could start them in time.
    RunMissed(RunMissed),
    /// A batch task was defined, changed, paused, resumed or deleted.
    BatchTaskChanged(BatchTaskChanged),
    /// An agent has decided on all that was due up to a time.
    AgentDecided(AgentDecided),
    /// An event about a process whose tree its sender doesn't know.
    #[serde(untagged)]
    Unplaced(Unplaced),
    /// An event of a type unknown here, kept as it came.
    #[serde(untagged)]
    Unknown(UnknownEvent),
}

impl Event {
    /// The tree that it is about; none for events of workers.
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

    /// The event's type, as on the wire.
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
        // Two passes over the event's text: serde's own tagged enums would buffer it as a tree of values.
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

/// An error's words without line and column: they would count from the event's start, not the body's.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// What relayed and repeated processes carry besides.
macro_rules! process_event {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name {
            /// The tree.
            pub root_id: RootId,
            /// The process.
            pub id: ProcessId,
            /// When, in Unix microseconds.
            pub time_us: u64,
            $($(#[$field_doc])* pub $field: $type,)*
            /// Which attempt of the process, from 1.
            #[serde(default = "crate::event::first_attempt", skip_serializing_if = "crate::event::is_first_attempt")]
            pub attempt: u32,
            /// Whom the event is about, where someone else relays it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub worker: Option<WorkerRef>,
            /// The id of a system with ids of its own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub native_id: Option<String>,
            /// Other processes that this one has to do with.
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
    /// A process waits for its turn.
    ProcessQueued {
        /// Its parent, none for a root.
        #[serde(default)]
        parent_id: Option<ProcessId>,
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// The batch mark of a root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// Its own fields.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
    }
);

process_event!(
    /// A process began.
    ProcessStarted {
        /// Its parent, none for a root.
        #[serde(default)]
        parent_id: Option<ProcessId>,
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// The batch mark of a root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// Name of its thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<String>,
        /// Where it stands in the program.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// How it came by its parent.
        #[serde(default = "explicit", skip_serializing_if = "is_explicit")]
        attachment: Attachment,
        /// Its own fields.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
        /// After how long it is overdue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// How many attempts there are to be at most, the first one included, if there may be more than one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempts_of: Option<u32>,
    }
);

impl ProcessStarted {
    /// A root of which no more is known.
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
    /// A process learned something about itself; for each key the latest counts.
    ProcessUpdated {
        /// Its new parent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_id: Option<ProcessId>,
        /// Its new name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Its new batch mark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch: Option<String>,
        /// New values of its own fields.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
    }
);

impl ProcessUpdated {
    /// New values of fields.
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
    /// A process is so far.
    ProcessProgressed {
        /// How much is done.
        done: f64,
        /// Of how much, if that is known.
        #[serde(default)]
        total: Option<f64>,
        /// Of what.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    }
);

process_event!(
    /// A process said something.
    ProcessLogged {
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
        /// What it said.
        message: String,
        /// Who in the program said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        /// `stdout` or `stderr`, for output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<String>,
        /// Its own fields.
        #[serde(default, skip_serializing_if = "Fields::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        fields: Fields,
    }
);

process_event!(
    /// Children of one parent that share a name, counted by one shard (a recording thread) of one worker.
    ProcessFolded {
        /// The parent, or the fold that this one belongs to.
        #[serde(default)]
        parent_id: Option<ProcessId>,
        /// What they are.
        kind: Kind,
        /// The name that they share.
        name: String,
        /// Names this count among the worker's: each recording thread has its own, and a new one when it begins anew.
        shard: u64,
        /// Grows with each event of this fold and shard.
        revision: u64,
        /// How many began.
        count: u64,
        /// How many still run.
        running: u64,
        /// How many failed.
        failed: u64,
        /// How many were cancelled.
        cancelled: u64,
        /// All durations together, in nanoseconds.
        total_ns: u64,
        /// The shortest, in nanoseconds.
        #[serde(default)]
        min_ns: Option<u64>,
        /// The longest, in nanoseconds.
        #[serde(default)]
        max_ns: Option<u64>,
        /// `[[i, count], …]`, bucket i = [1.04^i, 1.04^(i+1)) ns.
        #[serde(default)]
        histogram: Vec<(u32, u64)>,
        /// Distinct error texts of the failed calls, up to 100. Failures without one are counted in `failed` alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        errors: Vec<FoldError>,
    }
);

process_event!(
    /// A process ended.
    ProcessEnded {
        /// How long it took by the monotonic clock, in nanoseconds.
        #[serde(default)]
        elapsed_ns: Option<u64>,
        /// How it ended.
        outcome: Outcome,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Error>,
        /// The exit code of a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// The signal that ended a command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Why it ended so, in one word: `exited`, `timeout` …
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Another attempt is to come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
    }
);

impl ProcessEnded {
    /// An end of which no more is known.
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

/// The attempt that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retry {
    /// When it is to begin, in Unix microseconds, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_us: Option<u64>,
    /// How many attempts there are to be at most, the first one included, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
}

/// The server found that a process takes longer than it should. Made by the server alone; it changes no state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProcessOverdue {
    /// The tree.
    pub root_id: RootId,
    /// The process.
    pub id: ProcessId,
    /// When, in Unix microseconds, by the server's clock.
    pub time_us: u64,
    /// How long it should have taken at most, in nanoseconds.
    pub limit_ns: u64,
    /// Who says so: `timeout`, its own; or `history`, that of its name.
    pub reason: String,
}

/// An event of a type unknown here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnknownEvent {
    /// Its type.
    #[serde(skip)]
    pub event_type: String,
    /// All of it, its type included.
    #[serde(flatten)]
    pub fields: Fields,
}

/// Another process that one has to do with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Link {
    /// Its tree.
    pub root_id: RootId,
    /// The process.
    pub id: ProcessId,
    /// What it is to this one: `triggered_by`, `retry_of` …
    pub relation: String,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerRef {
    /// Its id.
    pub id: WorkerId,
    /// Name of its host.
    pub hostname: String,
    /// Its process number on the host; 0 or left out if it has none that is known.
    #[serde(default, skip_serializing_if = "is_none")]
    pub pid: u32,
    /// Name of its program.
    pub program: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(pid: &u32) -> bool {
    *pid == 0
}
