//! Signs: stored events that can fire or end an alert.

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Severity, words};

words! {
    /// Kind of an alert's subject.
    SubjectKind {
        /// A batch task.
        Task = "task",
        /// Processes with one name.
        Name = "name",
        /// An agent.
        Agent = "agent",
        /// A worker other than an agent: the program of an operating-system process on a host.
        Worker = "worker",
        /// A heartbeat of an external job.
        Heartbeat = "heartbeat",
        /// Jobs on many hosts with one name.
        Job = "job",
        /// A key set by a notification.
        Key = "key",
        /// A channel.
        Channel = "channel",
        /// The server itself.
        Server = "server",
    }
}

/// Subject of an alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Kind of the subject.
    pub kind: SubjectKind,
    /// Name of the subject.
    pub name: String,
}

impl Subject {
    /// Creates a subject.
    pub fn new(kind: SubjectKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// Parses the output of [`Display`](std::fmt::Display), such as `task:gold`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        Some(Self::new(SubjectKind::from_word(kind)?, name))
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

words! {
    /// Good news that can end an alert.
    Relief {
        /// A run succeeded.
        Succeeded = "succeeded",
        /// A lost agent or worker sends heartbeats again.
        Found = "found",
        /// A deleted task exists again.
        Restored = "restored",
        /// A channel delivers again, or the disk has space again.
        Works = "works",
        /// A person removed the subject on purpose.
        Removed = "removed",
    }
}

/// A cause of an alert, or its relief.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// A problem.
    Cause(Cause),
    /// The end of a problem.
    Relief(Relief),
}

impl What {
    /// Returns the word of the cause or relief.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cause(cause) => cause.as_str(),
            Self::Relief(relief) => relief.as_str(),
        }
    }

    /// Returns the cause or relief for a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Cause::from_word(word).map(Self::Cause).or_else(|| Relief::from_word(word).map(Self::Relief))
    }
}

/// A stored event that can fire or end an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sign {
    /// Sequence number. Signs are processed in this order.
    pub seq: u64,
    /// Time at which the server stored the sign, in Unix microseconds.
    pub time_us: u64,
    /// A cause of an alert, or its relief.
    pub what: What,
    /// Subject of the sign.
    pub subject: Subject,
    /// Id of the tree, as 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Id of the process, as 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Name of the agent, or host of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Ids of the processes above it, nearest first, each as 16 hex digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<String>,
    /// Further facts.
    #[serde(default)]
    pub facts: Facts,
}

/// A target whose number of published files differs from the last successful run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedChange {
    /// Name of the target.
    pub target: String,
    /// Number of files published by the last successful run.
    pub was: u64,
    /// Number of files published by this run. `None` if it published nothing to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<u64>,
}

macro_rules! facts {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)+) => {
        /// Facts about an event. They are data: never markup, a template or a header. Unknown facts are omitted.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Facts {
            $($(#[$doc])* #[serde(skip_serializing_if = "is_default")] pub $field: $type,)+
        }
    };
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A successful run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodRun {
    /// Id of the run.
    pub run: String,
    /// Version of the task definition.
    pub version: u64,
    /// End time, in Unix microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<u64>,
    /// Duration, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ns: Option<u64>,
}

facts! {
    /// Id of the run, such as `gold@20261121T023000Z.1`.
    run: Option<String>,
    /// Id of the tree, as 32 hex digits.
    root_id: Option<String>,
    /// Id of the process, as 16 hex digits.
    process_id: Option<String>,
    /// Names from the root to the process.
    path: Vec<String>,
    /// Number of the job on many hosts.
    job: Option<u64>,
    /// Machine: the agent's name or the worker's host.
    machine: Option<String>,
    /// Trigger of the run: `time`, `request`, `then`, `alert` …
    trigger: Option<String>,
    /// Version of the task definition that the run used.
    version: Option<u64>,
    /// Program of the worker.
    program: Option<String>,
    /// Owner of the task, or the first of several owners.
    owner: Option<String>,
    /// All owners of the task, if there are several.
    owners: Vec<String>,
    /// Tags of the task.
    tags: Vec<String>,
    /// Due time of the run, in Unix microseconds.
    due_us: Option<u64>,
    /// Start time, in Unix microseconds.
    started_us: Option<u64>,
    /// End time, in Unix microseconds.
    ended_us: Option<u64>,
    /// Duration, in nanoseconds.
    elapsed_ns: Option<u64>,
    /// Median duration of past runs, in nanoseconds.
    usual_ns: Option<u64>,
    /// Maximum permitted duration, in nanoseconds.
    limit_ns: Option<u64>,
    /// The exit code.
    exit_code: Option<i64>,
    /// Meaning of the exit code, in one word: `retry` or another word of the task's `exit`. If the exit code is not the command's own, the
    /// reason for it, such as `expectation`.
    exit_meaning: Option<String>,
    /// Signal that ended the process.
    signal: Option<i64>,
    /// Reason for the outcome, in one word.
    reason: Option<String>,
    /// Error message of the process.
    error: Option<String>,
    /// Error message with numbers and quoted parts removed, so that equal errors can be compared.
    shape: Option<String>,
    /// Last lines of the log.
    lines: Vec<String>,
    /// Last successful run before the failed run.
    good: Option<GoodRun>,
    /// Differences between the two definitions: removed lines begin with `-`, added lines with `+`.
    changes: Vec<String>,
    /// Targets with differences between the files of that run and the published files.
    published: Vec<PublishedChange>,
    /// True if the last failed runs of the task had other errors.
    is_new_error: bool,
    /// Time of the previous failure with the same error, in Unix microseconds.
    error_seen_us: Option<u64>,
    /// Rule whose share of failed calls was reached, or is no longer reached.
    rule: Option<String>,
    /// Total number of calls for such a rule; `times` of them failed.
    calls: Option<u64>,
    /// Number of due times, events or failures that the sign represents, if not one.
    times: Option<u64>,
    /// Severity set by a notification.
    severity: Option<Severity>,
    /// Title of a notification.
    title: Option<String>,
    /// Text of a notification.
    text: Option<String>,
    /// Address of the page that shows the subject.
    link: Option<String>,
}
