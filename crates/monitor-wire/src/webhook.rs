//! The message that an alert channel posts to a webhook. Times are Unix microseconds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A message about an alert, as a channel of the kind `webhook` posts it. The header `Idempotency-Key` contains its `id`. If the channel has a
/// `secret`, the header `Monitor-Signature` is `t=SECONDS,v1=HEX`. HEX is the HMAC-SHA256 of `SECONDS`, a dot and the body, with the secret as
/// the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertWebhook {
    /// Version of this format: 1.
    pub version: u32,
    /// Id of the message. It is the same in each attempt to send the message.
    pub id: String,
    /// Kind of the message: `fired`, `updated`, `resolved`, `reminded`, `escalated`, `sum` or `test`.
    pub kind: String,
    /// Number of the alert; 0 for a sum and a test.
    pub alert: u64,
    /// Name of the rule that raised the alert.
    pub rule: String,
    /// Cause of the alert: `failed`, `timeout`, `missed` …
    pub cause: String,
    /// Severity of the alert: `info`, `warning` or `critical`.
    pub severity: String,
    /// The subject of the alert.
    pub subject: AlertSubject,
    /// Time at which the server decided to send the message.
    pub time_us: u64,
    /// Start of the problem.
    pub since_us: u64,
    /// End of the problem. Only in messages of the kind `resolved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_us: Option<u64>,
    /// Number of times that the problem occurred. In a sum, the number of messages that it replaces.
    pub count: u64,
    /// Number of subjects. It is greater than 1 if the message joins several alerts that have the same text.
    pub subjects: u64,
    /// Names of the things that the alert concerns, if there are others than the subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Additional remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Details of the last occurrence, such as `run`, `machine`, `exit_code`, `error` and `lines`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub facts: Map<String, Value>,
    /// All recipients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The message in one line, in the channel's language.
    pub title: String,
    /// The whole message as text, in the channel's language.
    pub text: String,
    /// Address of the page that shows the alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The subject of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertSubject {
    /// Kind of the subject: `task`, `name`, `agent`, `worker`, `heartbeat`, `key`, `channel` or `server`.
    pub kind: String,
    /// Name of the subject.
    pub name: String,
}
