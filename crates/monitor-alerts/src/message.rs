//! Messages about alerts, as channels deliver them.

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Severity, words};
use crate::sign::{Facts, Subject};

words! {
    /// Purpose of a message.
    MessageKind {
        /// An alert has started.
        Fired = "fired",
        /// The count has grown, or other alerts have joined.
        Updated = "updated",
        /// The alert has ended.
        Resolved = "resolved",
        /// A reminder: the alert still fires.
        Reminded = "reminded",
        /// The alert still fires without an acknowledgement, so further recipients are notified.
        Escalated = "escalated",
        /// Messages beyond the channel's rate, combined into one.
        Sum = "sum",
        /// A test of the channel.
        Test = "test",
    }
}

/// A message about an alert, to be sent by one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Id of the message. Every delivery attempt uses the same id, and `Message-ID` and `Idempotency-Key` are derived from it.
    pub id: String,
    /// Number of the alert. Messages of an alert belong together. 0 for a sum and a test.
    pub alert: u64,
    /// Purpose of the message.
    pub kind: MessageKind,
    /// Name of the rule.
    pub rule: String,
    /// Subject of the alert.
    pub subject: Subject,
    /// Cause of the alert.
    pub cause: Cause,
    /// Severity of the alert.
    pub severity: Severity,
    /// Time of the decision to send the message, in Unix microseconds.
    pub time_us: u64,
    /// When the trouble began, in Unix microseconds.
    pub since_us: u64,
    /// Time at which the alert was resolved, in Unix microseconds, for [`MessageKind::Resolved`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_us: Option<u64>,
    /// Number of occurrences; in a sum, the number of messages that it replaces.
    pub count: u64,
    /// Number of subjects. More than 1 if alerts of the same group are sent in one message.
    #[serde(default = "one")]
    pub subjects: u64,
    /// Names of the subjects, if there is more than one; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Additional explanation, such as the reason for the end: `the end came late`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Facts of the last sign.
    #[serde(default)]
    pub facts: Facts,
    /// Channel that sends the message.
    pub channel: String,
    /// Address on the channel. `None` for the channel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// All recipients of the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
}

/// Number of subjects of messages that were stored before the field existed.
fn one() -> u64 {
    1
}
