//! Messages to people.

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Severity, words};
use crate::sign::{Facts, Subject};

words! {
    /// What a message is for.
    MessageKind {
        /// An alert begins.
        Fired = "fired",
        /// More happened: the count has grown, or others joined.
        Updated = "updated",
        /// It is over.
        Resolved = "resolved",
        /// It still lasts.
        Reminded = "reminded",
        /// It lasts, and nobody has acknowledged it: somebody else is told.
        Escalated = "escalated",
        /// Messages beyond the channel's rate, in one.
        Sum = "sum",
        /// Somebody tries the channel.
        Test = "test",
    }
}

/// A message about an alert, to be sent by one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id. It stays the same however often the message is sent: `Message-ID` and `Idempotency-Key` are made of it.
    pub id: String,
    /// The alert. Messages of one alert belong together. 0 for a sum and a test.
    pub alert: u64,
    /// What it is for.
    pub kind: MessageKind,
    /// The rule that made it.
    pub rule: String,
    /// What it is about.
    pub subject: Subject,
    /// Why.
    pub cause: Cause,
    /// How severe it is.
    pub severity: Severity,
    /// When it was decided that it be sent, in Unix microseconds.
    pub time_us: u64,
    /// When the trouble began, in Unix microseconds.
    pub since_us: u64,
    /// When it was over, in Unix microseconds, for [`MessageKind::Resolved`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_us: Option<u64>,
    /// How often it happened; in a sum, how many messages it stands for.
    pub count: u64,
    /// How many subjects it is about: more than 1 if alerts of the same words are told in one message.
    #[serde(default = "one")]
    pub subjects: u64,
    /// Names of what is concerned, if that is more than the subject; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Why it is over or what else is to be said, in words of ours: `the end came late`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is known of what happened last.
    #[serde(default)]
    pub facts: Facts,
    /// The channel that sends it.
    pub channel: String,
    /// An address on that channel; none for the channel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// All who are told, as the rule names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
}

/// What messages are about that were stored before it was said.
fn one() -> u64 {
    1
}
