//! Rules: which signs fire an alert, and which recipients are notified.

mod builtin;
mod pattern;
mod read;
mod times;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_tasks::policy::Quiet;
use monitor_tasks::zone;
use serde::{Serialize, Serializer};

pub use builtin::builtin;
pub use pattern::Pattern;
pub(crate) use read::{Reach, is_address, rule as read_rule};
pub use times::Times;

use crate::cause::{Cause, Severity};
use crate::sign::{Facts, Subject, SubjectKind};

/// A rule. Its JSON form can be read by [`Rule::from_json`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rule {
    /// Name of the rule.
    pub name: String,
    /// Signs that the rule applies to.
    pub on: On,
    /// Number of signs that fire an alert.
    #[serde(skip_serializing_if = "Times::is_one")]
    pub times: Times,
    /// Severity of the alerts. By default, it depends on the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Recipients. With an empty list, alerts are shown only on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<To>>,
    /// Interval of reminders while an alert fires.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_duration")]
    pub repeat: Option<Duration>,
    /// Further recipients if the alert is not acknowledged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Escalation>,
    /// Hours that suppress messages, unless the alert is critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietHours>,
    /// Action that the server takes when an alert fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Follow>,
    /// True for a built-in rule.
    #[serde(skip)]
    pub is_builtin: bool,
}

impl Rule {
    /// Returns a warning about a valid rule that has no effect.
    pub fn warning(&self) -> Option<&'static str> {
        if self.on.cause.is_empty() {
            return Some("the rule is for nothing: its list of causes is empty");
        }
        let reaches_nobody = self.to.is_none() && self.escalate.is_empty() && self.then.is_none();
        reaches_nobody.then_some("nobody is told by this rule: say whom, to = [\"@owner\"], or that nobody is to be, to = []")
    }
}

/// Filter of signs. A sign must match all fields; an omitted field matches any sign.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct On {
    /// Causes. The sign must have one of them.
    pub cause: Vec<Cause>,
    /// Name of the batch task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Pattern>,
    /// Name of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Pattern>,
    /// Tag of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Pattern>,
    /// Name of the agent or host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Pattern>,
    /// Name of the heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Pattern>,
    /// Name of the job on many hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Pattern>,
}

impl On {
    /// Returns true if the filter matches this subject. The cause is not compared.
    pub fn fits(&self, subject: &Subject, agent: Option<&str>, facts: &Facts) -> bool {
        let named = [
            (SubjectKind::Task, &self.task),
            (SubjectKind::Name, &self.name),
            (SubjectKind::Heartbeat, &self.heartbeat),
            (SubjectKind::Job, &self.job),
        ];
        let mut asked = named.iter().filter_map(|(kind, pattern)| Some((*kind, pattern.as_ref()?))).peekable();
        // Alerts about processes require a name pattern, because there are far too many processes to match all of them.
        let is_named = match asked.peek() {
            None => subject.kind != SubjectKind::Name,
            Some(_) => asked.any(|(kind, pattern)| subject.kind == kind && pattern.fits(&subject.name)),
        };
        let is_tagged = self.tag.as_ref().is_none_or(|tag| facts.tags.iter().any(|of| tag.fits(of)));
        let is_there = self.agent.as_ref().is_none_or(|pattern| {
            let name = if subject.kind == SubjectKind::Agent { Some(subject.name.as_str()) } else { agent };
            name.is_some_and(|name| pattern.fits(name))
        });
        is_named && is_tagged && is_there
    }
}

/// A recipient of messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// Owner of the task.
    Owner,
    /// Administrators of the server: the channel `admins`, or all channels if there is no such channel.
    Admins,
    /// A channel.
    Channel(String),
    /// A mail address, used with the first channel of kind mail.
    Address(String),
}

impl std::fmt::Display for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Owner => "@owner",
            Self::Admins => "@admins",
            Self::Channel(text) | Self::Address(text) => text,
        })
    }
}

impl Serialize for To {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A step of an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Escalation {
    /// Time since the first notification after which the step is due, if the alert is not acknowledged.
    #[serde(serialize_with = "a_duration")]
    pub after: Duration,
    /// Additional recipients.
    pub to: Vec<To>,
}

/// Daily hours in a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    text: String,
    hours: Quiet,
    zone: TimeZone,
}

impl QuietHours {
    /// Reads `22:00-07:00 Europe/Berlin`. Without a zone, the hours are in UTC.
    ///
    /// # Errors
    /// The expected syntax.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (hours, name) = text.split_once(' ').unwrap_or((text, "UTC"));
        let zone = zone::find(name.trim())?;
        let hours = Quiet::parse(hours).ok_or("hours such as \"22:00-07:00 Europe/Berlin\" are expected")?;
        Ok(Self { text: text.to_owned(), hours, zone })
    }

    /// Returns the end of the hours, in Unix microseconds, if `at_us` lies within them.
    pub fn until_us(&self, at_us: u64) -> Option<u64> {
        let at = Timestamp::from_microsecond(i64::try_from(at_us).ok()?).ok()?;
        self.hours.end(at, &self.zone).and_then(|end| u64::try_from(end.as_microsecond()).ok())
    }
}

impl Serialize for QuietHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Action that the server takes when an alert fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Follow {
    /// Name of the task to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// True if the failed run is repeated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
    /// Maximum number of starts within `within`.
    pub at_most: u32,
    /// Period for `at_most`.
    #[serde(serialize_with = "a_duration")]
    pub within: Duration,
}

fn a_duration<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&monitor_duration::write(*value))
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn maybe_duration<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.map(monitor_duration::write).unwrap_or_default())
}
