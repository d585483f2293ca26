//! The definition of a task: one form for files (TOML), and for the page, the API and the command line (JSON).

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

/// A task as it is defined.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What is run.
    #[serde(flatten)]
    pub program: Program,
    /// Rules of time, as they were written; all of them can be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Zone of the rules; else the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Agents that each run it; else the server's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// Its rules start nothing as long as this version holds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// After so long a run is told of, and runs on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub timeout: Option<Duration>,
    /// After so long a run is ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub kill_after: Option<Duration>,
    /// A run that can't start within this time is missed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub start_within: Option<Duration>,
    /// A run starts up to so much later than it is due.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub jitter: Option<Duration>,
    /// Who is asked about it. One is written as a text, several as a list.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "values::one_or_several")]
    pub owner: Vec<String>,
    /// The user that it runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Variables of its environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Variable>,
    /// What becomes of due times at which nothing could start.
    pub missed: Missed,
    /// What becomes of a due time while an earlier run runs.
    #[serde(serialize_with = "values::shown")]
    pub overlap: Overlap,
    /// How a failed run is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Times of the day such as `22:00-06:00` at which nothing starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<String>,
    /// Of the tasks with the same lock only one runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Meanings of exit codes; else 0 is ok, and all others fail.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exit: BTreeMap<u8, Meaning>,
    /// What a successful run must have done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Tasks that start when this one has ended.
    #[serde(skip_serializing_if = "Then::is_empty")]
    pub then: Then,
    /// What a run may use.
    #[serde(skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Commands before and after each run.
    #[serde(skip_serializing_if = "Hooks::is_none")]
    pub hooks: Hooks,
    /// How long logs and published files are kept.
    #[serde(skip_serializing_if = "Retention::is_none")]
    pub retention: Retention,
    /// Targets that its files are published to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub publish: BTreeMap<String, Target>,
    /// Settings of its own. A table in it is one of a profile: see [`Definition::config_for`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

impl Definition {
    /// Reads a definition from TOML.
    ///
    /// # Errors
    /// All mistakes, each with its line and column.
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

    /// The definition as a file: [`from_toml`](Self::from_toml) reads the same from it.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a definition is a table")
    }

    /// The settings of an agent with this profile: those of the profile's table over those beside the tables.
    pub fn config_for(&self, profile: Option<&str>) -> Map<String, Value> {
        let plain = self.config.iter().filter(|(_, value)| !value.is_object());
        let own = profile.and_then(|profile| self.config.get(profile)).and_then(Value::as_object);
        plain.chain(own.into_iter().flatten()).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Program {
    /// A program and its arguments.
    Command {
        /// The words of the command.
        command: Vec<String>,
    },
    /// A line for a shell.
    Shell {
        /// The line.
        shell: String,
    },
    /// The entry of the task's folder: `index.js`, `main.py`, `run.sh` or an executable.
    Folder {},
}

/// A variable of the environment: its value, or where it is read when the run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Variable {
    /// Its value.
    Value(String),
    /// A file that holds the value.
    File {
        /// The file's path.
        file: String,
    },
    /// A variable of the agent.
    Env {
        /// The variable's name.
        env: String,
    },
}

/// What becomes of due times at which nothing could start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Missed {
    /// Which of them are made up for.
    pub policy: MissedPolicy,
    /// Only those of so long ago.
    #[serde(serialize_with = "values::duration")]
    pub within: Duration,
    /// At most so many, with `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<u32>,
}

impl Default for Missed {
    fn default() -> Self {
        Self { policy: MissedPolicy::Once, within: Duration::from_secs(3_600), cap: None }
    }
}

/// Which missed due times are made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedPolicy {
    /// None.
    Skip,
    /// The latest, for all of them.
    Once,
    /// Each.
    All,
}

/// What becomes of a due time while an earlier run runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It starts beside others, so many in all.
    Allow(u32),
    /// It waits, so many at most.
    Queue(u32),
    /// The earlier run is ended.
    Replace,
}

/// How a failed run is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Retry {
    /// How often.
    pub times: u32,
    /// Time before the first of them; twice as long before each further one.
    #[serde(serialize_with = "values::duration")]
    pub backoff: Duration,
}

/// Meaning of an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// It went well.
    Ok,
    /// It went well, and somebody should look.
    Warn,
    /// It failed.
    Fail,
    /// It failed, and is tried again.
    Retry,
    /// There was nothing to do.
    Idle,
}

/// What a successful run must have done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Expect {
    /// It ran at least so long.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub min_duration: Option<Duration>,
    /// It published at least so many files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<u32>,
    /// Its output doesn't contain this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_lacks: Option<String>,
    /// Its output contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_has: Option<String>,
}

/// Tasks that start when another has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Then {
    /// After a success.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<String>,
    /// After a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail: Vec<String>,
}

impl Then {
    fn is_empty(&self) -> bool {
        self.success.is_empty() && self.fail.is_empty()
    }
}

/// What a run may use. A run that exceeds it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// Bytes of memory of all its processes together.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_bytes")]
    pub memory: Option<u64>,
    /// Time on processors of all its processes together.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub cpu: Option<Duration>,
    /// Niceness, from 0 to 19: the larger, the less it is in the way of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<u8>,
}

impl Limits {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Commands around each run, which get the run as JSON on their standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Hooks {
    /// Before the command. If it fails, the command doesn't start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// After the command, whatever its end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

impl Hooks {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How long files of a task are kept.
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

/// What is kept: whatever exceeds one of these goes, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Keep {
    /// So old at most.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub age: Option<Duration>,
    /// So many bytes at most.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_bytes")]
    pub size: Option<u64>,
    /// So many runs at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

impl Keep {
    fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// Where files are published to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Target {
    /// A folder.
    Folder {
        /// Its path.
        folder: String,
    },
    /// A bucket of S3.
    S3(Bucket),
    /// A command.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

/// A bucket of S3, or of a server that speaks as S3 does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bucket {
    /// The bucket and a prefix of its objects, `s3://bucket/prefix`.
    pub s3: String,
    /// The region; else that of the agent's environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The server's address, if it is another one than Amazon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Where the id of the key is read; else the agent's environment has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<Variable>,
    /// Where the secret part of the key is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<Variable>,
    /// How long one request may last; 30 s if it isn't said.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "values::maybe_duration")]
    pub timeout: Option<Duration>,
}

/// Bucket and prefix of an address `s3://bucket/prefix`; none of what is no such address.
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
