//! Alerts, the decisions recorded about them, and the hushes that suppress their messages.

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Severity, words};
use crate::sign::{Facts, Subject};

words! {
    /// State of an alert.
    AlertState {
        /// The trouble persists.
        Firing = "firing",
        /// The trouble has ended.
        Resolved = "resolved",
    }
}

/// An alert: one rule about one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Number of the alert, from 1.
    pub id: u64,
    /// Name of the rule.
    pub rule: String,
    /// Subject of the alert.
    pub subject: Subject,
    /// Cause of the alert's first sign.
    pub cause: Cause,
    /// How severe it is.
    pub severity: Severity,
    /// State: firing or resolved.
    pub state: AlertState,
    /// When the trouble began, in Unix microseconds.
    pub since_us: u64,
    /// Time of the last sign, in Unix microseconds.
    pub last_us: u64,
    /// Time at which the alert was resolved, in Unix microseconds.
    pub resolved_us: Option<u64>,
    /// Number of signs counted.
    pub count: u64,
    /// Person who acknowledged the alert.
    pub acknowledged_by: Option<String>,
    /// Targets that were notified.
    pub told: Vec<Target>,
    /// Facts of the last sign.
    pub facts: Facts,
}

/// Recipient of messages: a channel, with an optional address on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The channel.
    pub channel: String,
    /// Address on the channel. `None` for the channel's own.
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
    /// A decision about an alert or a sign.
    Decision {
        /// An alert began.
        Fired = "fired",
        /// The trouble occurred once more.
        Counted = "counted",
        /// The alert joined a message about another alert.
        Joined = "joined",
        /// The rule needs more signs before it fires.
        TooFew = "too-few",
        /// A rule of higher precedence applies.
        Overruled = "overruled",
        /// The machine is lost. Its own alert is sent, and alerts that follow from the loss are suppressed.
        MachineAway = "machine-away",
        /// A descendant process failed, and its alert was sent instead.
        LeafTold = "leaf-told",
        /// A snooze, a maintenance window or quiet hours suppress messages for now.
        Hushed = "hushed",
        /// No recipient can be reached.
        Nobody = "nobody",
        /// A recipient was notified.
        Told = "told",
        /// The channel's rate is exceeded, so the message is included in the next sum.
        Summed = "summed",
        /// The trouble has ended.
        Resolved = "resolved",
        /// The trouble has ended, but it has recurred before. The end is reported if the alert stays resolved.
        Settling = "settling",
        /// The trouble recurred within ten minutes.
        Back = "back",
        /// A late end of the run corrected the alert.
        Corrected = "corrected",
        /// A person acknowledged the alert.
        Acknowledged = "acknowledged",
        /// A task is started because of the alert.
        Followed = "followed",
        /// A follow-up task was refused.
        NotFollowed = "not-followed",
        /// A message could not be delivered.
        Undelivered = "undelivered",
        /// The channel's own template failed to render, so the message was sent with the built-in text.
        TextFailed = "text-failed",
    }
}

/// A recorded decision, which the page and `monitor` use to explain an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Number of the alert; 0 if there is none.
    pub alert: u64,
    /// Number of the sign; 0 if the decision is about none.
    pub sign: u64,
    /// Time of the decision, in Unix microseconds.
    pub time_us: u64,
    /// Name of the rule.
    pub rule: String,
    /// The decision.
    pub what: Decision,
    /// Person who acted, or target that was notified.
    pub who: Option<String>,
    /// Explanation for people.
    pub detail: Option<String>,
}

words! {
    /// Kind of a hush.
    HushKind {
        /// A person mutes alerts for a time.
        Snooze = "snooze",
        /// Planned work.
        Maintenance = "maintenance",
    }
}

/// A period that suppresses messages about some alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hush {
    /// Scope: `*`, `alert:12`, `rule:imports`, `agent:db-*`, or a subject such as `task:import-*`.
    pub scope: String,
    /// Start, in Unix microseconds.
    pub from_us: u64,
    /// End, in Unix microseconds.
    pub until_us: u64,
    /// Person who created the hush.
    pub who: String,
    /// Reason.
    pub why: Option<String>,
    /// Snooze or maintenance.
    pub kind: HushKind,
}

impl Hush {
    /// Checks the syntax of a scope.
    ///
    /// # Errors
    /// The expected syntax.
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

    /// Returns true if the hush applies to `alert`.
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
