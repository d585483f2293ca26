//! API calls for the server itself, access, alerts and heartbeats.

use std::time::Duration;

use monitor_wire::{
    Alert, AlertDetail, AlertExplanation, AlertMessage, AlertPreview, AlertRules, AlertTrial, AlertTrials, AlertsPage, AuditPage, Confirmed,
    HeartbeatDefinition, HeartbeatKey, HeartbeatRoll, Heartbeats, HushRequest, Hushes, Me, RuleDraft, Status, Tokens,
};
use reqwest::Method;

use crate::call::{Call, Download};
use crate::calls::{RootKey, pages};
use crate::client::Client;

/// Maximum wait for the first byte of a backup. The server copies the database before it sends it, which takes as long as the disk needs.
const BACKUP_PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// The server, access, alerts and heartbeats.
impl Client {
    /// `GET /api/v1/status`: returns an overview of the server.
    pub fn status(&self) -> Call<Status> {
        self.get(&["status"])
    }

    /// `GET /api/v1/me`: returns the identity and the rights of the caller.
    pub fn me(&self) -> Call<Me> {
        self.get(&["me"])
    }

    /// `GET /api/v1/audit`: lists changes, newest first.
    pub fn audit(&self) -> Call<AuditPage> {
        self.get(&["audit"])
    }

    /// `GET /api/v1/tokens`: lists all tokens by name.
    pub fn tokens(&self) -> Call<Tokens> {
        self.get(&["tokens"])
    }

    /// `GET /api/v1/alerts`: lists alerts, newest first.
    pub fn alerts(&self) -> Call<AlertsPage> {
        self.get(&["alerts"])
    }

    /// `GET /api/v1/alerts/{alert}`: returns an alert with its decisions and messages.
    pub fn alert(&self, alert: u64) -> Call<AlertDetail> {
        self.get(&["alerts", &alert.to_string()])
    }

    /// `GET /api/v1/alerts/explain`: explains who was notified of events in a tree, and why.
    pub fn explain_alerts(&self, root: impl Into<RootKey>) -> Call<AlertExplanation> {
        self.get(&["alerts", "explain"]).parameter("root", &root.into().0)
    }

    /// `POST /api/v1/alerts/{alert}/ack`: acknowledges an alert.
    pub fn acknowledge_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "ack"])
    }

    /// `POST /api/v1/alerts/{alert}/resolve`: resolves an alert.
    pub fn resolve_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "resolve"])
    }

    /// `GET /api/v1/alerts/rules`: returns the rules and channels in effect.
    pub fn alert_rules(&self) -> Call<AlertRules> {
        self.get(&["alerts", "rules"])
    }

    /// `GET /api/v1/alerts/try`: simulates a rule on the past days.
    pub fn try_alert_rule(&self, rule: &str) -> Call<AlertTrial> {
        self.get(&["alerts", "try"]).parameter("rule", rule)
    }

    /// `POST /api/v1/alerts/trials`: simulates rules that are not in effect on the past days.
    pub fn try_alert_draft(&self, draft: &RuleDraft) -> Call<AlertTrials> {
        self.v1(Method::POST, &["alerts", "trials"]).json_body(serde_json::to_vec(draft).expect("a draft is JSON"))
    }

    /// `POST /api/v1/alerts/channels/{channel}/preview`: renders the last alert as a message of a channel.
    pub fn preview_alert_channel(&self, channel: &str) -> Call<AlertPreview> {
        self.v1(Method::POST, &["alerts", "channels", channel, "preview"])
    }

    /// `POST /api/v1/alerts/channels/{channel}/test`: sends a test message immediately.
    pub fn test_alert_channel(&self, channel: &str) -> Call<AlertMessage> {
        self.v1(Method::POST, &["alerts", "channels", channel, "test"])
    }

    /// `GET /api/v1/alerts/hushes`: lists active and future snoozes and maintenance periods.
    pub fn hushes(&self) -> Call<Hushes> {
        self.get(&["alerts", "hushes"])
    }

    /// `POST /api/v1/alerts/hushes`: adds a snooze or maintenance period.
    pub fn hush(&self, request: &HushRequest) -> Call<Hushes> {
        self.v1(Method::POST, &["alerts", "hushes"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/alerts/hushes/{hush}`: ends a snooze or maintenance period.
    pub fn end_hush(&self, hush: u64) -> Call<()> {
        self.v1(Method::DELETE, &["alerts", "hushes", &hush.to_string()])
    }

    /// `GET /api/v1/heartbeats`: lists all heartbeats by name.
    pub fn heartbeats(&self) -> Call<Heartbeats> {
        self.get(&["heartbeats"])
    }

    /// `POST /api/v1/heartbeats`: adds a heartbeat and returns its key.
    pub fn add_heartbeat(&self, definition: &HeartbeatDefinition) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats"]).json_body(serde_json::to_vec(definition).expect("a definition is JSON"))
    }

    /// `POST /api/v1/heartbeats/{name}/roll`: replaces the key of a heartbeat and returns the new key.
    pub fn roll_heartbeat(&self, name: &str, roll: &HeartbeatRoll) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats", name, "roll"]).json_body(serde_json::to_vec(roll).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/heartbeats/{name}`: deletes a heartbeat.
    pub fn delete_heartbeat(&self, name: &str) -> Call<()> {
        self.v1(Method::DELETE, &["heartbeats", name])
    }

    /// `POST /api/v1/clock/confirm`: confirms that the server's clock is correct after a forward jump.
    pub fn confirm_clock(&self) -> Call<Confirmed> {
        self.v1(Method::POST, &["clock", "confirm"])
    }

    /// `POST /api/v1/backup`: downloads a copy of the database.
    pub fn backup(&self) -> Call<Download> {
        self.v1(Method::POST, &["backup"]).patience(BACKUP_PATIENCE)
    }
}

pages!(AuditPage);
