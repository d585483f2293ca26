//! Ids and triggers of runs.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::near::shown;

/// Source of the native ids of runs. The process ids are derived from source and native id.
const SOURCE: &str = "batch";

/// Id of a run: `gold@20261121T023000Z.1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// Name of the task.
    pub task: String,
    /// Due time, in whole seconds.
    pub due: Timestamp,
    /// Number that distinguishes runs with the same due time, from 1: runs of several agents, retries, or requests.
    pub part: u32,
}

impl RunId {
    /// Returns the id of the run's process: the first 8 bytes of SHA-256("batch" ‖ native id). Never zero.
    pub fn process_id(&self) -> u64 {
        u64::from_be_bytes(self.hash().0).max(1)
    }

    /// Returns the id of the run's tree: the due time in Unix milliseconds in the top 48 bits, and the process id in the lower 64, so that
    /// the run's process is the root's own process.
    pub fn root_id(&self) -> u128 {
        let (_, [high, low]) = self.hash();
        let millis = self.due.as_millisecond().max(0) as u128 & 0xffff_ffff_ffff;
        millis << 80 | u128::from(u16::from_be_bytes([high, low])) << 64 | u128::from(self.process_id())
    }

    /// Returns the first ten bytes of the hash of the native id.
    fn hash(&self) -> ([u8; 8], [u8; 2]) {
        let hash = Sha256::new().chain_update(SOURCE).chain_update(self.to_string()).finalize();
        let mut process = [0; 8];
        process.copy_from_slice(&hash[..8]);
        (process, [hash[8], hash[9]])
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = self.due.to_zoned(TimeZone::UTC).datetime();
        let (year, month, day) = (due.year(), due.month(), due.day());
        let (hour, minute, second) = (due.hour(), due.minute(), due.second());
        write!(f, "{}@{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z.{}", self.task, self.part)
    }
}

/// Error for a text that is not a run id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRunId(String);

impl fmt::Display for InvalidRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no id of a run: expected one such as gold@20261121T023000Z.1", shown(&self.0))
    }
}

impl std::error::Error for InvalidRunId {}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let parse = || {
            let (task, rest) = text.rsplit_once('@')?;
            let (due, part) = rest.split_once('.')?;
            let is_name = |task: &str| task.len() <= 100 && task.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if !is_name(task) || !task.starts_with(|c: char| c.is_ascii_alphanumeric()) || due.len() != 16 {
                return None;
            }
            let due = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", due).ok()?.to_datetime().ok()?;
            let due = due.to_zoned(TimeZone::UTC).ok()?.timestamp();
            let run = Self { task: task.to_owned(), due, part: part.parse().ok().filter(|part| *part > 0)? };
            // Ids are canonical: no `+1`, no `01`.
            (run.to_string() == text).then_some(run)
        };
        parse().ok_or_else(|| InvalidRunId(text.to_owned()))
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Trigger of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trigger {
    /// A time rule.
    Time,
    /// A time rule at due times when nothing could start. The run makes up for them.
    Missed,
    /// A boot of the machine.
    Boot,
    /// A request of a person or program.
    Request {
        /// Name of the requester.
        by: String,
        /// Arguments appended to the command.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
    },
    /// The end of a run of another task.
    Then {
        /// The ended run.
        run: RunId,
    },
    /// The failure of an earlier attempt.
    Retry {
        /// The failed attempt.
        run: RunId,
        /// Arguments appended to the command.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
    },
}

impl Trigger {
    /// Returns the trigger in one word, as used in events and lists: `time`, `missed`, `boot`, `request`, `then`, `retry`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Missed => "missed",
            Self::Boot => "boot",
            Self::Request { .. } => "request",
            Self::Then { .. } => "then",
            Self::Retry { .. } => "retry",
        }
    }

    /// Returns the run that this run follows, for a link between both.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Then { run } | Self::Retry { run, .. } => Some(run),
            _ => None,
        }
    }

    /// Returns the arguments appended to the command.
    pub fn args(&self) -> &[String] {
        match self {
            Self::Request { args, .. } | Self::Retry { args, .. } => args,
            _ => &[],
        }
    }

    /// Returns the name of the requester.
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::Request { by, .. } => Some(by),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_id_is_read_back() {
        let run: RunId = "gold@20261121T023000Z.1".parse().unwrap();
        assert_eq!((run.task.as_str(), run.due.to_string().as_str(), run.part), ("gold", "2026-11-21T02:30:00Z", 1));
        assert_eq!(run.to_string(), "gold@20261121T023000Z.1");
        assert_eq!(serde_json::to_string(&run).unwrap(), "\"gold@20261121T023000Z.1\"");
        assert_eq!(serde_json::from_str::<RunId>("\"a.b-c_1@19700101T000000Z.12\"").unwrap().part, 12);
        for text in [
            "",
            "gold",
            "@20261121T023000Z.1",
            "gold@20261121T023000Z",
            "gold@20261121T023000Z.0",
            "gold@20261121T023000Z.01",
            "gold@20261121T023000Z.+1",
            "gold@20261121T023000Z.99999999999",
            "gold@20261321T023000Z.1",
            "gold@20261121T023060Z.1",
            "gold@20261121 023000Z.1",
            "../gold@20261121T023000Z.1",
            "go/ld@20261121T023000Z.1",
            "gold@20261121T02300金.1",
        ] {
            assert!(text.parse::<RunId>().unwrap_err().to_string().contains("is no id of a run"), "{text}");
        }
    }

    /// Expected values from `printf batchgold@20261121T023000Z.1 | sha256sum`.
    #[test]
    fn ids_of_tree_and_process_follow_from_the_run_id() {
        let run: RunId = "gold@20261121T023000Z.1".parse().unwrap();
        assert_eq!(format!("{:016x}", run.process_id()), "9ffc2b705e272c4e");
        assert_eq!(format!("{:032x}", run.root_id()), "01a1fbf06c40144b9ffc2b705e272c4e");
        assert_eq!(run.root_id() >> 80, run.due.as_millisecond() as u128);
    }
}
