//! Alerts as the API shows and takes them. Times are Unix microseconds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An alert: one rule about one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// Its number, from 1.
    pub id: u64,
    /// The rule.
    pub rule: String,
    /// What it is about, such as `task:gold`.
    pub subject: String,
    /// Why it began: `failed`, `timeout`, `missed`, `unknown` …
    pub cause: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// `firing` or `resolved`.
    pub state: String,
    /// When the trouble began.
    pub since_us: u64,
    /// When it was seen last.
    pub last_us: u64,
    /// When it was over.
    pub resolved_us: Option<u64>,
    /// How often it happened.
    pub count: u64,
    /// Who looks after it.
    pub acknowledged_by: Option<String>,
    /// Those who were told: channels, and addresses on them.
    pub told: Vec<String>,
    /// What is known of what happened last: run, exit code, error …
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub facts: Map<String, Value>,
}

/// `GET /api/v1/alerts`: alerts, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertsPage {
    /// One page of them.
    pub alerts: Vec<Alert>,
    /// Where the next page begins; none on the last one.
    pub next_cursor: Option<String>,
    /// Somebody could be told: there is a channel.
    pub can_tell: bool,
    /// What is wrong with the file of rules and channels, each with its place: while there is something, it holds as it was before.
    pub mistakes: Vec<String>,
}

/// A decision on an alert or on an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertNote {
    /// When.
    pub time_us: u64,
    /// The alert, if there is one.
    pub alert: Option<u64>,
    /// The rule.
    pub rule: String,
    /// What was decided, in a word: `fired`, `told`, `hushed`, `machine-away` …
    pub what: String,
    /// Who did it, or who was told.
    pub who: Option<String>,
    /// The rest, in words.
    pub detail: Option<String>,
}

/// A message and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertMessage {
    /// Its id.
    pub id: String,
    /// What it is for: `fired`, `updated`, `resolved`, `reminded`, `escalated`, `sum`, `test`.
    pub kind: String,
    /// The channel.
    pub channel: String,
    /// An address on it; none for the channel's own.
    pub address: Option<String>,
    /// When it was made.
    pub time_us: u64,
    /// `waiting`, `sent` or `undelivered`.
    pub state: String,
    /// How often it was tried.
    pub attempts: u64,
    /// When it is tried next, if it waits.
    pub next_us: Option<u64>,
    /// The last answer.
    pub answer: Option<String>,
}

/// `GET /api/v1/alerts/{alert}`: an alert with all that was decided and sent.
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

/// An event that may matter to a rule, and what was decided on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainedSign {
    /// When it was stored.
    pub time_us: u64,
    /// What it says: a cause, or `succeeded`, `found`, `restored`, `works`.
    pub what: String,
    /// What it is about.
    pub subject: String,
    /// The process, if it is about one.
    pub process_id: Option<String>,
    /// Decisions. None: no rule is for it, or it was counted with others.
    pub notes: Vec<AlertNote>,
}

/// `GET /api/v1/alerts/explain`: who was told of what happened in a tree, who was not, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertExplanation {
    /// Events that may matter, the oldest first, at most 100.
    pub signs: Vec<ExplainedSign>,
    /// The alerts that these events began, ended or were counted in, the oldest first: who was told, and what was silenced. Their notes are
    /// those that are about no event.
    pub alerts: Vec<AlertDetail>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertRule {
    /// Its name.
    pub name: String,
    /// Where it stands: `file`, `page` or `built-in`.
    pub source: String,
    /// It takes the place of the built-in rule of its name.
    pub replaces_builtin: bool,
    /// The rule, as docs/alerts.md describes it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
}

/// A channel. What it sends to is a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertChannel {
    /// Its name.
    pub name: String,
    /// `mail`, `webhook`, `wecom`, `dingtalk`, `feishu`, `slack` or `command`.
    pub kind: String,
    /// Its last message.
    pub last: Option<AlertMessage>,
}

/// `GET /api/v1/alerts/rules`: rules and channels as they hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertRules {
    /// Rules.
    pub rules: Vec<AlertRule>,
    /// Channels.
    pub channels: Vec<AlertChannel>,
    /// What is wrong with the file, each with its place.
    pub mistakes: Vec<String>,
    /// What is worth a word without being a mistake, each with its place: a rule that tells nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The file.
    pub file: String,
}

/// `GET /api/v1/alerts/try`: what a rule would have made of the past days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertTrial {
    /// How many alerts it would have made.
    pub count: u64,
    /// How many messages it would have sent.
    pub messages: u64,
    /// The alerts, the newest first, at most 100.
    pub alerts: Vec<Alert>,
    /// There were more events than are looked at: only the newest days count.
    pub is_cut: bool,
}

/// A rule, and what it would have made of the past days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RuleTrial {
    /// The rule.
    pub rule: String,
    /// What it would have told, by itself and without hushes.
    pub trial: AlertTrial,
}

/// `GET` and `POST /api/v1/alerts/trials`: what rules would have made of the past days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertTrials {
    /// Each rule by itself.
    pub trials: Vec<RuleTrial>,
    /// What is worth a word without being a mistake, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST /api/v1/alerts/trials`: rules that don't hold yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleDraft {
    /// Rules as they would stand in `alerts.toml`, at most 20. They may tell by the channels that there are.
    #[cfg_attr(feature = "openapi", schema(example = "[[rule]]\nname = \"imports\"\non = { cause = [\"failed\"], task = \"import-*\" }"))]
    pub toml: String,
    /// The past days that they are tried on, 1 to 90; 7 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// `POST /api/v1/alerts/channels/{channel}/preview`: the last alert as a channel would tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertPreview {
    /// The alert; none if there never was one, and a test message is shown.
    pub alert: Option<u64>,
    /// Its first line, and the subject of a mail.
    pub title: String,
    /// All of it, without the markup of a chat.
    pub text: String,
    /// It is made by the channel's own template.
    pub is_own: bool,
    /// Why the channel's own template makes no text of it.
    pub trouble: Option<String>,
}

/// A time in which nobody is told of some alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hush {
    /// Its number.
    pub id: u64,
    /// Alerts that are meant: `*`, `alert:12`, `rule:imports`, or a subject such as `task:import-*`, `agent:db-1`.
    pub scope: String,
    /// Its begin.
    pub from_us: u64,
    /// Its end.
    pub until_us: u64,
    /// Who wants it.
    pub who: String,
    /// Why.
    pub why: Option<String>,
    /// `snooze` or `maintenance`.
    pub kind: String,
}

/// `GET /api/v1/alerts/hushes`: hushes that are not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hushes {
    /// Hushes, the oldest first.
    pub hushes: Vec<Hush>,
}

/// `POST /api/v1/alerts/hushes`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HushRequest {
    /// Alerts that are meant: `*`, `alert:12`, `rule:imports`, or a subject such as `task:import-*`, `agent:db-1`.
    #[cfg_attr(feature = "openapi", schema(example = "task:import-*"))]
    pub scope: String,
    /// Its begin; now if it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_us: Option<u64>,
    /// How long it lasts, such as `90m`; at most 90 days.
    #[serde(rename = "for")]
    #[cfg_attr(feature = "openapi", schema(example = "2h"))]
    pub length: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// It is maintenance, and no snooze.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}
