//! Rules: which signs make an alert, and who is told.

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

/// A rule. Written as JSON it is what [`Rule::from_json`] reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Signs that it is for.
    pub on: On,
    /// How many of them make an alert.
    #[serde(skip_serializing_if = "Times::is_one")]
    pub times: Times,
    /// Severity of its alerts; else each cause has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Who is told. An empty list: nobody on purpose, and its alerts are on the page alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<To>>,
    /// After so long it is said again that an alert lasts.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_duration")]
    pub repeat: Option<Duration>,
    /// Who else is told if nobody acknowledges an alert.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Escalation>,
    /// Hours at which nobody is told, unless the alert is critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietHours>,
    /// What the server does about an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Follow>,
    /// It is one that holds without being written.
    #[serde(skip)]
    pub is_builtin: bool,
}

impl Rule {
    /// What is worth a word though the rule has no mistake.
    pub fn warning(&self) -> Option<&'static str> {
        if self.on.cause.is_empty() {
            return Some("the rule is for nothing: its list of causes is empty");
        }
        let reaches_nobody = self.to.is_none() && self.escalate.is_empty() && self.then.is_none();
        reaches_nobody.then_some("nobody is told by this rule: say whom, to = [\"@owner\"], or that nobody is to be, to = []")
    }
}

/// Signs that a rule is for: all that fit each of these. What is left out fits anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct On {
    /// Of one of these causes.
    pub cause: Vec<Cause>,
    /// Of a batch task of such a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Pattern>,
    /// Of a process of such a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Pattern>,
    /// Of a task with a tag like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Pattern>,
    /// On an agent or host of such a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Pattern>,
    /// Of a heartbeat of such a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Pattern>,
}

impl On {
    /// Returns true if a sign of this subject is meant, whatever its cause.
    pub fn fits(&self, subject: &Subject, agent: Option<&str>, facts: &Facts) -> bool {
        let named = [(SubjectKind::Task, &self.task), (SubjectKind::Name, &self.name), (SubjectKind::Heartbeat, &self.heartbeat)];
        let mut asked = named.iter().filter_map(|(kind, pattern)| Some((*kind, pattern.as_ref()?))).peekable();
        // A process of a name is asked for by that name alone: there are far too many to ask for all of them.
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
    /// The owner of the task.
    Owner,
    /// The administrators of the server: the channel `admins` or, without it, all channels.
    Admins,
    /// A channel.
    Channel(String),
    /// A mail address, by the first channel of mail.
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

/// Who else is told, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Escalation {
    /// So long after the alert began, if nobody has acknowledged it.
    #[serde(serialize_with = "a_duration")]
    pub after: Duration,
    /// Who is told.
    pub to: Vec<To>,
}

/// Hours of the day in a zone.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    text: String,
    hours: Quiet,
    zone: TimeZone,
}

impl QuietHours {
    /// Reads `22:00-07:00 Europe/Berlin`; without a zone the hours are those of UTC.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (hours, name) = text.split_once(' ').unwrap_or((text, "UTC"));
        let zone = zone::find(name.trim())?;
        let hours = Quiet::parse(hours).ok_or("hours such as \"22:00-07:00 Europe/Berlin\" are expected")?;
        Ok(Self { text: text.to_owned(), hours, zone })
    }

    /// The end of the hours, in Unix microseconds, if `at_us` lies within them.
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

/// What the server does about an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Follow {
    /// The task that is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The failed run is repeated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
    /// At most so often.
    pub at_most: u32,
    /// Within this time.
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
