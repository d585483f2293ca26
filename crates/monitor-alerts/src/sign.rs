//! Signs: events that may matter to a rule.

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Severity, words};

words! {
    /// Kind of what an alert is about.
    SubjectKind {
        /// A batch task.
        Task = "task",
        /// Processes of one name.
        Name = "name",
        /// An agent.
        Agent = "agent",
        /// Another worker: the program of an operating-system process on a host.
        Worker = "worker",
        /// A heartbeat, for a job that runs elsewhere.
        Heartbeat = "heartbeat",
        /// A key that a notification gave.
        Key = "key",
        /// A channel.
        Channel = "channel",
        /// The server itself.
        Server = "server",
    }
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Its kind.
    pub kind: SubjectKind,
    /// Its name.
    pub name: String,
}

impl Subject {
    /// The subject of a kind and a name.
    pub fn new(kind: SubjectKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }

    /// Reads what [`Display`](std::fmt::Display) writes: `task:gold`.
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
    /// What a sign says that is no cause of an alert, for it ends one.
    Relief {
        /// A run ended well.
        Succeeded = "succeeded",
        /// An agent or worker is heard of again.
        Found = "found",
        /// A task is there again.
        Restored = "restored",
        /// A channel delivers again, or the disk has room again.
        Works = "works",
        /// Somebody has removed it on purpose.
        Removed = "removed",
    }
}

/// A cause of an alert, or its relief.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// Something is wrong.
    Cause(Cause),
    /// Something is well again.
    Relief(Relief),
}

impl What {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cause(cause) => cause.as_str(),
            Self::Relief(relief) => relief.as_str(),
        }
    }

    /// The one of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Cause::from_word(word).map(Self::Cause).or_else(|| Relief::from_word(word).map(Self::Relief))
    }
}

/// An event that may matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sign {
    /// Its number: signs are taken in this order.
    pub seq: u64,
    /// When it was stored, by the server's clock, in Unix microseconds.
    pub time_us: u64,
    /// A cause of an alert, or its relief.
    pub what: What,
    /// What it is about.
    pub subject: Subject,
    /// The tree, as 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The process, as 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The agent, or the host of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The processes above it, the nearest first, each as 16 hex digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<String>,
    /// The rest.
    #[serde(default)]
    pub facts: Facts,
}

/// Files that the last good run published to a target, where the run has published another number of files or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedChange {
    /// Name of the target.
    pub target: String,
    /// Number of files that the last good run published.
    pub was: u64,
    /// Number of files that the run has published; none if it has not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<u64>,
}

macro_rules! facts {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)+) => {
        /// What is known of what happened: data, never markup, a template or a header. What is unknown is left out.
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

/// A run that ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodRun {
    /// Its id.
    pub run: String,
    /// Version of the task.
    pub version: u64,
    /// When it ended, in Unix microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<u64>,
    /// How long it took, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ns: Option<u64>,
}

facts! {
    /// Id of the run, such as `gold@20261121T023000Z.1`.
    run: Option<String>,
    /// The tree, as 32 hex digits.
    root_id: Option<String>,
    /// The process, as 16 hex digits.
    process_id: Option<String>,
    /// Names from the root to the process.
    path: Vec<String>,
    /// The machine: the agent's name or the worker's host.
    machine: Option<String>,
    /// What started the run: `time`, `request`, `then`, `alert` …
    trigger: Option<String>,
    /// Version of the task that the run was of.
    version: Option<u64>,
    /// Program of the worker.
    program: Option<String>,
    /// Owner of the task; the first one of several.
    owner: Option<String>,
    /// All owners of the task, if there are several.
    owners: Vec<String>,
    /// Tags of the task.
    tags: Vec<String>,
    /// When the run was due, in Unix microseconds.
    due_us: Option<u64>,
    /// When it started, in Unix microseconds.
    started_us: Option<u64>,
    /// When it ended, in Unix microseconds.
    ended_us: Option<u64>,
    /// How long it took, in nanoseconds.
    elapsed_ns: Option<u64>,
    /// How long it usually takes, in nanoseconds: half of the past runs took less.
    usual_ns: Option<u64>,
    /// How long it may take, in nanoseconds.
    limit_ns: Option<u64>,
    /// The exit code.
    exit_code: Option<i64>,
    /// What the exit code means, in one word: `retry` or another of the task's `exit`; or, if it isn't the command's own, the reason that
    /// it was given for, such as `expectation`.
    exit_meaning: Option<String>,
    /// The signal that ended it.
    signal: Option<i64>,
    /// Why it ended so, in one word.
    reason: Option<String>,
    /// The error, in its own words.
    error: Option<String>,
    /// The error without what differs each time: numbers and quoted parts.
    shape: Option<String>,
    /// The last lines of its log.
    lines: Vec<String>,
    /// The last run before it that ended well.
    good: Option<GoodRun>,
    /// What differs in the definition since that run: lines that begin with `-` as it was, and with `+` as it is.
    changes: Vec<String>,
    /// Where it published something else than that run, or nothing.
    published: Vec<PublishedChange>,
    /// The task's last failed runs had other errors.
    is_new_error: bool,
    /// When the task failed with the same error before, in Unix microseconds.
    error_seen_us: Option<u64>,
    /// The rule whose share of failed calls was reached, or is no longer.
    rule: Option<String>,
    /// Of how many calls `times` failed, for such a rule.
    calls: Option<u64>,
    /// How many due times, events or failures it stands for, if that is not one.
    times: Option<u64>,
    /// Severity that a notification asked for.
    severity: Option<Severity>,
    /// Title of a notification.
    title: Option<String>,
    /// Text of a notification.
    text: Option<String>,
    /// Address of the page that shows it.
    link: Option<String>,
}
