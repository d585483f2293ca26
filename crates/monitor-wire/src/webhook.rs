//! What a webhook of the alerts is sent. Times are Unix microseconds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A message about an alert, as a channel of the kind `webhook` posts it. `Idempotency-Key` is its `id`. With a `secret` the header
/// `Monitor-Signature` is `t=SECONDS,v1=HEX`: HMAC-SHA256 by the secret over `SECONDS`, a dot and the body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertWebhook {
    /// Version of this form: 1.
    pub version: u32,
    /// Id of the message. It stays the same however often the message is sent.
    pub id: String,
    /// What it is for: `fired`, `updated`, `resolved`, `reminded`, `escalated`, `sum` or `test`.
    pub kind: String,
    /// Number of the alert; 0 for a sum and a test.
    pub alert: u64,
    /// The rule that made it.
    pub rule: String,
    /// Why: `failed`, `timeout`, `missed` …
    pub cause: String,
    /// How severe it is: `info`, `warning` or `critical`.
    pub severity: String,
    /// What it is about.
    pub subject: AlertSubject,
    /// When it was decided that it be sent.
    pub time_us: u64,
    /// When the trouble began.
    pub since_us: u64,
    /// When it was over, for `resolved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_us: Option<u64>,
    /// How often it happened; in a sum, how many messages it stands for.
    pub count: u64,
    /// How many subjects it is about: more than 1 if alerts of the same words are told in one message.
    pub subjects: u64,
    /// Names of what is concerned, if that is more than the subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What else is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is known of what happened last, such as `run`, `machine`, `exit_code`, `error` and `lines`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub facts: Map<String, Value>,
    /// All who are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The message in one line, in the channel's language.
    pub title: String,
    /// The message in words, in the channel's language.
    pub text: String,
    /// Address of the page that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertSubject {
    /// Its kind: `task`, `name`, `agent`, `worker`, `heartbeat`, `key`, `channel` or `server`.
    pub kind: String,
    /// Its name.
    pub name: String,
}
