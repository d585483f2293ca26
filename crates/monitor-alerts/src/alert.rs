//! Alerts, and what is noted of them.

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Severity, words};
use crate::sign::{Facts, Subject};

words! {
    /// State of an alert.
    AlertState {
        /// It lasts.
        Firing = "firing",
        /// It is over.
        Resolved = "resolved",
    }
}

/// An alert: one rule about one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number, from 1.
    pub id: u64,
    /// The rule.
    pub rule: String,
    /// What it is about.
    pub subject: Subject,
    /// Why it began.
    pub cause: Cause,
    /// How severe it is.
    pub severity: Severity,
    /// State.
    pub state: AlertState,
    /// When the trouble began, in Unix microseconds.
    pub since_us: u64,
    /// When it was seen last, in Unix microseconds.
    pub last_us: u64,
    /// When it was over, in Unix microseconds.
    pub resolved_us: Option<u64>,
    /// How often it happened.
    pub count: u64,
    /// Who looks after it.
    pub acknowledged_by: Option<String>,
    /// Those who were told.
    pub told: Vec<Target>,
    /// What is known of what happened last.
    pub facts: Facts,
}

/// A way to somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The channel.
    pub channel: String,
    /// An address on it; none for the channel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Some(address) => write!(f, "{address} ({})", self.channel),
            None => f.write_str(&self.channel),
        }
    }
}

words! {
    /// What was decided.
    Decision {
        /// An alert began.
        Fired = "fired",
        /// It happened again.
        Counted = "counted",
        /// It was told in one message with another alert.
        Joined = "joined",
        /// Too few so far for the rule.
        TooFew = "too-few",
        /// A rule of higher precedence holds for it.
        Overruled = "overruled",
        /// Its machine isn't heard of: that is told, and not what follows from it.
        MachineAway = "machine-away",
        /// A process below it failed, and that one is told.
        LeafTold = "leaf-told",
        /// A snooze, a maintenance or quiet hours: nobody is told for now.
        Hushed = "hushed",
        /// Nobody can be told.
        Nobody = "nobody",
        /// Somebody was told.
        Told = "told",
        /// More messages than the channel may send: it is told in a sum.
        Summed = "summed",
        /// It is over.
        Resolved = "resolved",
        /// It is over, and is told when it stays so: it came back before.
        Settling = "settling",
        /// It was back within ten minutes.
        Back = "back",
        /// An end that came late has corrected it.
        Corrected = "corrected",
        /// Somebody looks after it.
        Acknowledged = "acknowledged",
        /// A task is started for it.
        Followed = "followed",
        /// No task is started for it.
        NotFollowed = "not-followed",
        /// A message could not be delivered.
        Undelivered = "undelivered",
        /// A channel's own template could not be used: its message had the built-in text.
        TextFailed = "text-failed",
    }
}

/// A decision, kept so that it can be explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The alert; 0 if there is none.
    pub alert: u64,
    /// Number of the sign that it is about; 0 if it is about none.
    pub sign: u64,
    /// When, in Unix microseconds.
    pub time_us: u64,
    /// The rule.
    pub rule: String,
    /// What was decided.
    pub what: Decision,
    /// Who did it, or who was told.
    pub who: Option<String>,
    /// The rest, in words.
    pub detail: Option<String>,
}

words! {
    /// Kind of a hush.
    HushKind {
        /// Somebody doesn't want to hear of it for a time.
        Snooze = "snooze",
        /// Something is worked on.
        Maintenance = "maintenance",
    }
}

/// A time in which nobody is told of some alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hush {
    /// Alerts that are meant: `*`, `alert:12`, `rule:imports`, `agent:db-*`, or a subject such as `task:import-*`.
    pub scope: String,
    /// Its begin, in Unix microseconds.
    pub from_us: u64,
    /// Its end, in Unix microseconds.
    pub until_us: u64,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub why: Option<String>,
    /// Its kind.
    pub kind: HushKind,
}

impl Hush {
    /// Checks a scope.
    ///
    /// # Errors
    /// What was expected.
    pub fn check_scope(scope: &str) -> Result<(), String> {
        let (kind, name) = scope.split_once(':').unwrap_or((scope, ""));
        let is_known = match kind {
            "alert" => name.parse::<u64>().is_ok(),
            "rule" => !name.is_empty(),
            "*" => scope == "*",
            kind => crate::sign::SubjectKind::from_word(kind).is_some() && !name.is_empty(),
        };
        if is_known && scope.len() <= 300 {
            return Ok(());
        }
        Err("expected *, alert:NUMBER, rule:NAME, task:NAME, agent:NAME, name:NAME or another subject, where NAME may have * and ?"
            .to_owned())
    }

    /// Returns true if an alert is meant.
    pub fn is_for(&self, alert: &Alert) -> bool {
        use crate::rule::Pattern;
        let (kind, name) = self.scope.split_once(':').unwrap_or((&self.scope, ""));
        match kind {
            "*" => true,
            "alert" => name.parse() == Ok(alert.id),
            "rule" => Pattern::new(name).fits(&alert.rule),
            kind => {
                let is_subject = alert.subject.kind.as_str() == kind && Pattern::new(name).fits(&alert.subject.name);
                let is_machine = kind == "agent" && alert.facts.machine.as_ref().is_some_and(|machine| Pattern::new(name).fits(machine));
                is_subject || is_machine
            }
        }
    }
}
