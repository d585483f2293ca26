//! Alerts, as the API accepts and returns them. Times are Unix microseconds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An alert, raised by one rule for one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// Number of the alert, from 1.
    pub id: u64,
    /// Name of the rule.
    pub rule: String,
    /// Subject of the alert, such as `task:gold`.
    pub subject: String,
    /// Cause of the alert: `failed`, `timeout`, `missed`, `unknown` …
    pub cause: String,
    /// Severity: `info`, `warning` or `critical`.
    pub severity: String,
    /// State: `firing` or `resolved`.
    pub state: String,
    /// Start time of the problem.
    pub since_us: u64,
    /// Time of the last occurrence.
    pub last_us: u64,
    /// Time at which the alert was resolved. None if it is firing.
    pub resolved_us: Option<u64>,
    /// Number of occurrences.
    pub count: u64,
    /// User or token that acknowledged the alert.
    pub acknowledged_by: Option<String>,
    /// Recipients that were notified: a channel, or an address with its channel. `deliveries` shows whether the messages have arrived.
    pub told: Vec<String>,
    /// The newest message to each recipient, with the state of its delivery. Set in lists of alerts only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<AlertMessage>,
    /// Details of the last occurrence: run, exit code, error …
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub facts: Map<String, Value>,
}

/// `GET /api/v1/alerts`: one page of alerts, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertsPage {
    /// The alerts of this page.
    pub alerts: Vec<Alert>,
    /// Cursor of the next page. None on the last page.
    pub next_cursor: Option<String>,
    /// True if at least one channel is defined, so that messages can be sent.
    pub can_tell: bool,
    /// Mistakes in the file of rules and channels, each with its place. While the file has mistakes, its previous content remains in effect.
    pub mistakes: Vec<String>,
}

/// A decision about an alert or an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertNote {
    /// Time of the decision.
    pub time_us: u64,
    /// Number of the alert. None if there is no alert.
    pub alert: Option<u64>,
    /// Name of the rule.
    pub rule: String,
    /// The decision, in one word: `fired`, `told`, `hushed`, `machine-away` …
    pub what: String,
    /// User who caused the decision, or recipient that was notified.
    pub who: Option<String>,
    /// Further explanation.
    pub detail: Option<String>,
}

/// A message and its delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertMessage {
    /// Id of the message.
    pub id: String,
    /// Kind of the message: `fired`, `updated`, `resolved`, `reminded`, `escalated`, `sum`, `test`.
    pub kind: String,
    /// Name of the channel.
    pub channel: String,
    /// Recipient address on the channel. None for the channel's default recipients.
    pub address: Option<String>,
    /// Time at which the message was created.
    pub time_us: u64,
    /// State of the delivery: `waiting`, `sent` or `undelivered`.
    pub state: String,
    /// Number of delivery attempts.
    pub attempts: u64,
    /// Time of the next attempt. None unless `state` is `waiting`.
    pub next_us: Option<u64>,
    /// Last answer of the receiver.
    pub answer: Option<String>,
}

/// `GET /api/v1/alerts/{alert}`: an alert with its decisions and messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertDetail {
    /// The alert.
    pub alert: Alert,
    /// Decisions, the oldest first, at most 1,000.
    pub notes: Vec<AlertNote>,
    /// Messages, the newest first, at most 100.
    pub messages: Vec<AlertMessage>,
}

/// An event that may match a rule, and the decisions about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainedSign {
    /// Time at which the event was stored.
    pub time_us: u64,
    /// Meaning of the event: the cause of an alert, or a reason to end an alert, such as `succeeded`, `found`, `restored`, `works` or `removed`.
    pub what: String,
    /// Subject of the event.
    pub subject: String,
    /// Id of the process, if the event is about a process.
    pub process_id: Option<String>,
    /// Decisions about the event. Empty if no rule matches the event, or if it was counted together with other events.
    pub notes: Vec<AlertNote>,
}

/// `GET /api/v1/alerts/explain`: the events of a run, with the alerts and messages that followed from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertExplanation {
    /// Events that may match a rule, the oldest first, at most 100.
    pub signs: Vec<ExplainedSign>,
    /// Alerts that these events raised or resolved, or that counted these events, the oldest first. Their `notes` contain only decisions that are
    /// about no single event, such as silenced or sent messages.
    pub alerts: Vec<AlertDetail>,
}

/// A rule that raises alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertRule {
    /// Name of the rule.
    pub name: String,
    /// Origin of the rule: `file`, `page` or `built-in`.
    pub source: String,
    /// True if the rule replaces the built-in rule of the same name.
    pub replaces_builtin: bool,
    /// The rule, in the format that docs/reference/alert-rules.md describes.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
}

/// A channel that delivers messages. Its destination is a secret and not included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertChannel {
    /// Name of the channel.
    pub name: String,
    /// Kind of the channel: `mail`, `webhook`, `wecom`, `dingtalk`, `feishu`, `slack` or `command`.
    pub kind: String,
    /// The last message sent or waiting to be sent.
    pub last: Option<AlertMessage>,
}

/// `GET /api/v1/alerts/rules`: the rules and channels that are in effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertRules {
    /// All rules.
    pub rules: Vec<AlertRule>,
    /// All channels.
    pub channels: Vec<AlertChannel>,
    /// Mistakes in the file, each with its place.
    pub mistakes: Vec<String>,
    /// Warnings about valid rules, each with its place, such as a rule that notifies no recipient.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Path of the file of rules and channels.
    pub file: String,
}

/// `GET /api/v1/alerts/try`: the alerts that a rule would have raised in the past days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertTrial {
    /// Number of alerts that the rule would have raised.
    pub count: u64,
    /// Number of messages that would have been sent.
    pub messages: u64,
    /// The alerts, the newest first, at most 100.
    pub alerts: Vec<Alert>,
    /// True if there were more events than the server evaluates. The oldest events are then left out.
    pub is_cut: bool,
}

/// A rule and its result for the past days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleTrial {
    /// Name of the rule.
    pub rule: String,
    /// Result of this rule alone, without silences.
    pub trial: AlertTrial,
}

/// `GET` and `POST /api/v1/alerts/trials`: results of rules for the past days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertTrials {
    /// One result per rule. Each rule is evaluated alone.
    pub trials: Vec<RuleTrial>,
    /// Warnings about valid rules, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST /api/v1/alerts/trials`: rules to try before they are added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleDraft {
    /// One to 20 rules, in the format of `alerts.toml`. They may name the existing channels as recipients.
    #[cfg_attr(feature = "openapi", schema(example = "[[rule]]\nname = \"imports\"\non = { cause = [\"failed\"], task = \"import-*\" }"))]
    pub toml: String,
    /// Number of past days to evaluate, 1 to 90 (default 7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// `POST /api/v1/alerts/channels/{channel}/preview`: the newest alert as a message of the channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertPreview {
    /// Number of the alert. None if there has never been an alert. The preview is then a test message.
    pub alert: Option<u64>,
    /// First line of the message, and subject of a mail.
    pub title: String,
    /// Complete text, without chat markup.
    pub text: String,
    /// True if the text was made from the channel's own template.
    pub is_own: bool,
    /// Error of the channel's own template. The preview then uses the built-in text.
    pub trouble: Option<String>,
}

/// A silence: a period during which matching alerts send no messages, except recoveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hush {
    /// Number of the silence.
    pub id: u64,
    /// Alerts to silence: `*`, `alert:12`, `rule:imports`, or a subject such as `task:import-*`, `agent:db-1`.
    pub scope: String,
    /// Start time.
    pub from_us: u64,
    /// End time.
    pub until_us: u64,
    /// User or token that created the silence.
    pub who: String,
    /// Reason.
    pub why: Option<String>,
    /// Kind of the silence: `snooze` or `maintenance`.
    pub kind: String,
}

/// `GET /api/v1/alerts/hushes`: silences that have not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hushes {
    /// The silences, the oldest first.
    pub hushes: Vec<Hush>,
}

/// `POST /api/v1/alerts/hushes`: creates a silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HushRequest {
    /// Alerts to silence: `*`, `alert:12`, `rule:imports`, or a subject such as `task:import-*`, `agent:db-1`.
    #[cfg_attr(feature = "openapi", schema(example = "task:import-*"))]
    pub scope: String,
    /// Start time. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_us: Option<u64>,
    /// Length of the silence, such as `90m`, at most 90 days.
    #[serde(rename = "for")]
    #[cfg_attr(feature = "openapi", schema(example = "2h"))]
    pub length: String,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// True for a maintenance, false for a snooze.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}
