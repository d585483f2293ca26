//! The definition of a task. Files (TOML) and the page, the API and the command line (JSON) use the same form.

mod book;
mod file;
mod read;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

pub use crate::reading::Mistake;
use crate::reading::Source;
pub use book::{check_agents, check_book};
pub use file::{MOST_BYTES, read_file};

/// Definition of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Definition {
    /// Name of the task.
    pub name: String,
    /// Command, shell line or folder to run.
    #[serde(flatten)]
    pub program: Program,
    /// Valid time rules, as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Time zone of the rules; by default the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Agents that run the task, each independently; by default the server's own agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// True if the rules start no runs while this version is valid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Duration after which an alert is raised. The run continues.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub timeout: Option<Duration>,
    /// Duration after which a run is ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub kill_after: Option<Duration>,
    /// Maximum delay of a start. If a run can't start within it, it is missed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub start_within: Option<Duration>,
    /// Maximum offset of the start from the due time. The task's offset is constant.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub jitter: Option<Duration>,
    /// Owners of the task. A single owner is written as text, several as a list.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "values::one_or_several")]
    pub owner: Vec<String>,
    /// User that the task runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Words for searching.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Variable>,
    /// Handling of due times at which nothing could start.
    pub missed: Missed,
    /// Handling of a due time while an earlier run is in progress.
    #[serde(serialize_with = "values::shown")]
    pub overlap: Overlap,
    /// Retries of failed runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Daily periods without starts, such as `22:00-06:00`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<String>,
    /// Lock name. Only one of the tasks with the same lock runs at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Meanings of exit codes. By default, 0 is success and all others are failures.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exit: BTreeMap<u8, Meaning>,
    /// Conditions that a successful run must meet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Tasks to start after this task.
    #[serde(skip_serializing_if = "Then::is_empty")]
    pub then: Then,
    /// Resource limits of a run.
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Commands before and after each run.
    #[serde(skip_serializing_if = "Hooks::is_none")]
    pub hooks: Hooks,
    /// Retention of logs and published files.
    #[serde(skip_serializing_if = "Retention::is_none")]
    pub retention: Retention,
    /// Targets to publish files to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub publish: BTreeMap<String, Target>,
    /// Settings of the task itself. A table in it contains the settings of a profile: see [`Definition::config_for`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

impl Definition {
    /// Reads a definition from TOML.
    ///
    /// # Errors
    /// All mistakes, each with line and column.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Mistake>> {
        read::definition(&Source::toml(text)?)
    }

    /// Reads a definition from JSON.
    ///
    /// # Errors
    /// All mistakes, each with its JSON pointer.
    pub fn from_json(value: Value) -> Result<Self, Vec<Mistake>> {
        read::definition(&Source::json(value))
    }

    /// Returns the definition in TOML, in a form that [`from_toml`](Self::from_toml) reads back identically.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a definition is a table")
    }

    /// Returns the settings for an agent's profile: the common settings, overridden by those of the profile's table.
    pub fn config_for(&self, profile: Option<&str>) -> Map<String, Value> {
        let plain = self.config.iter().filter(|(_, value)| !value.is_object());
        let own = profile.and_then(|profile| self.config.get(profile)).and_then(Value::as_object);
        plain.chain(own.into_iter().flatten()).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// Program of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Program {
    /// A program with arguments.
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// A shell command line.
    Shell {
        /// The command line.
        shell: String,
    },
    /// The entry of the task's folder: `index.js`, `main.py`, `run.sh` or an executable.
    Folder {},
}

/// Value of an environment variable, or a reference that is resolved when a run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Variable {
    /// Literal value.
    Value(String),
    /// File that contains the value.
    File {
        /// Path of the file.
        file: String,
    },
    /// Environment variable of the agent.
    Env {
        /// Name of the variable.
        env: String,
    },
}

/// Handling of due times at which nothing could start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Missed {
    /// Selection of the due times to make up for.
    pub policy: MissedPolicy,
    /// Maximum age of these due times.
    #[serde(serialize_with = "values::duration")]
    pub within: Duration,
    /// Maximum number of runs, with `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<u32>,
}

impl Default for Missed {
    fn default() -> Self {
        Self { policy: MissedPolicy::Once, within: Duration::from_secs(3_600), cap: None }
    }
}

/// Selection of missed due times to make up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedPolicy {
    /// None.
    Skip,
    /// The latest, on behalf of all.
    Once,
    /// All of them.
    All,
}

/// Handling of a due time while an earlier run is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// The due time is skipped.
    #[default]
    Skip,
    /// The run starts in parallel, up to this number of simultaneous runs.
    Allow(u32),
    /// The run waits, up to this number of waiting runs.
    Queue(u32),
    /// The earlier run is ended.
    Replace,
}

/// Retries of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Retry {
    /// Maximum number of retries.
    pub times: u32,
    /// Pause before the first retry. It doubles for each further retry.
    #[serde(serialize_with = "values::duration")]
    pub backoff: Duration,
}

/// Meaning of an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// Success.
    Ok,
    /// Success that needs attention.
    Warn,
    /// Failure.
    Fail,
    /// Failure that is retried.
    Retry,
    /// Success without any work to do.
    Idle,
}

/// Conditions that a successful run must meet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Expect {
    /// Minimum duration.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub min_duration: Option<Duration>,
    /// Minimum number of published files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<u32>,
    /// Text that the output must not contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_lacks: Option<String>,
    /// Text that the output must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_has: Option<String>,
}

/// Tasks that start after another task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Then {
    /// Tasks to start after a success.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<String>,
    /// Tasks to start after a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail: Vec<String>,
}

impl Then {
    fn is_empty(&self) -> bool {
        self.success.is_empty() && self.fail.is_empty()
    }
}

/// Resource limits. A run that exceeds them is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// Memory of all its processes, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_bytes")]
    pub memory: Option<u64>,
    /// CPU time of all its processes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub cpu: Option<Duration>,
    /// Niceness, from 0 to 19. A larger value means a lower priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<u8>,
}

impl Limits {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Commands around each run. They receive the run as JSON on standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Hooks {
    /// Runs before the command. If it fails, the command does not start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Runs after the command, whatever its outcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

impl Hooks {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Retention of a task's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Retention {
    /// Logs of runs.
    #[serde(skip_serializing_if = "Keep::is_all")]
    pub logs: Keep,
    /// Published files of earlier runs.
    #[serde(skip_serializing_if = "Keep::is_all")]
    pub history: Keep,
}

impl Retention {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Retention limits. Files that exceed one of them are deleted, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Keep {
    /// Maximum age.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub age: Option<Duration>,
    /// Maximum size, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_bytes")]
    pub size: Option<u64>,
    /// Maximum number of runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

impl Keep {
    fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// Target of published files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Target {
    /// A folder.
    Folder {
        /// Path of the folder.
        folder: String,
    },
    /// An S3 bucket.
    S3(Bucket),
    /// A command.
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
}

/// A bucket of S3 or of an S3-compatible server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bucket {
    /// Bucket and object prefix, `s3://bucket/prefix`.
    pub s3: String,
    /// Region; by default that of the agent's environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Address of an S3-compatible server. By default, Amazon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Reference to the access key id; by default the agent's environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<Variable>,
    /// Reference to the secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<Variable>,
    /// Timeout of a request; 30 s by default.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub timeout: Option<Duration>,
}

/// Splits `s3://bucket/prefix` into bucket and prefix. `None` if the address is invalid.
pub fn bucket(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|byte| is_letter(byte) || b".-".contains(&byte))
        && bucket.bytes().next().is_some_and(is_letter);
    let is_part = |part: &str| !["", ".", ".."].contains(&part) && !part.contains(char::is_control);
    let is_prefix = prefix.len() <= 512 && (prefix.is_empty() || prefix.split('/').all(is_part));
    (is_bucket && is_prefix).then_some((bucket, prefix))
}

impl std::fmt::Display for Overlap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::Allow(count) => write!(f, "allow {count}"),
            Self::Queue(count) => write!(f, "queue {count}"),
            Self::Replace => f.write_str("replace"),
        }
    }
}
