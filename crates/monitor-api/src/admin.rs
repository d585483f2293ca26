//! API calls for the server itself, access, alerts and heartbeats.

use std::time::Duration;

use monitor_wire::{
    Alert, AlertDetail, AlertExplanation, AlertMessage, AlertPreview, AlertRules, AlertTrial, AlertTrials, AlertsPage, AuditPage,
    Confirmed, HeartbeatDefinition, HeartbeatKey, HeartbeatRoll, Heartbeats, HushRequest, Hushes, Me, RuleDraft, Status, Tokens,
};
use reqwest::Method;

use crate::call::{Call, Download};
use crate::calls::{RootKey, pages};
use crate::client::Client;

/// Maximum wait for the first byte of a backup. The server copies the database before it sends it, which takes as long as the disk needs.
const BACKUP_PATIENCE: Duration = Duration::from_secs(6 * 3_600);

/// The server itself, access, alerts and heartbeats.
impl Client {
    /// `GET /api/v1/status`: returns an overview of the server.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let status = client.status().await?;
    /// println!("version {}, {} events", status.version, status.events);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Call<Status> {
        self.get(&["status"])
    }

    /// `GET /api/v1/me`: returns the identity and the rights of the caller.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let me = client.me().await?;
    /// println!("{:?} may use {}", me.user, me.scopes.join(", "));
    /// # Ok(())
    /// # }
    /// ```
    pub fn me(&self) -> Call<Me> {
        self.get(&["me"])
    }

    /// `GET /api/v1/audit`: lists changes, newest first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for entry in client.audit().limit(20).await?.entries {
    ///     println!("{} {}", entry.who, entry.action);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn audit(&self) -> Call<AuditPage> {
        self.get(&["audit"])
    }

    /// `GET /api/v1/tokens`: lists all tokens by name.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for token in client.tokens().await?.tokens {
    ///     println!("{}: {}", token.name, token.scopes.join(", "));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn tokens(&self) -> Call<Tokens> {
        self.get(&["tokens"])
    }

    /// `GET /api/v1/alerts`: lists alerts, newest first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for alert in client.alerts().await?.alerts {
    ///     println!("{} {}: {}", alert.severity, alert.rule, alert.subject);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn alerts(&self) -> Call<AlertsPage> {
        self.get(&["alerts"])
    }

    /// `GET /api/v1/alerts/{alert}`: returns an alert with its decisions and messages.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let detail = client.alert(17).await?;
    /// for message in detail.messages {
    ///     println!("{}: {}", message.channel, message.state);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn alert(&self, alert: u64) -> Call<AlertDetail> {
        self.get(&["alerts", &alert.to_string()])
    }

    /// `GET /api/v1/alerts/explain`: explains who was notified of events in a run, and why.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for sign in client.explain_alerts(2106).await?.signs {
    ///     println!("{}: {}", sign.subject, sign.what);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain_alerts(&self, root: impl Into<RootKey>) -> Call<AlertExplanation> {
        self.get(&["alerts", "explain"]).parameter("root", &root.into().0)
    }

    /// `POST /api/v1/alerts/{alert}/ack`: acknowledges an alert.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let alert = client.acknowledge_alert(17).await?;
    /// println!("{:?}", alert.acknowledged_by);
    /// # Ok(())
    /// # }
    /// ```
    pub fn acknowledge_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "ack"])
    }

    /// `POST /api/v1/alerts/{alert}/resolve`: resolves an alert.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let alert = client.resolve_alert(17).await?;
    /// assert!(alert.resolved_us.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resolve_alert(&self, alert: u64) -> Call<Alert> {
        self.v1(Method::POST, &["alerts", &alert.to_string(), "resolve"])
    }

    /// `GET /api/v1/alerts/rules`: returns the rules and channels in effect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let rules = client.alert_rules().await?;
    /// for mistake in &rules.mistakes {
    ///     eprintln!("{}: {mistake}", rules.file);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn alert_rules(&self) -> Call<AlertRules> {
        self.get(&["alerts", "rules"])
    }

    /// `GET /api/v1/alerts/try`: simulates a rule that is in effect with the events of the past days.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let trial = client.try_alert_rule("imports").await?;
    /// println!("{} alerts, {} messages", trial.count, trial.messages);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_alert_rule(&self, rule: &str) -> Call<AlertTrial> {
        self.get(&["alerts", "try"]).parameter("rule", rule)
    }

    /// `POST /api/v1/alerts/trials`: simulates rules that are not in effect with the events of the past
    /// days.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::RuleDraft;
    ///
    /// let toml = r#"
    /// [[rule]]
    /// name = "imports"
    /// on = { cause = ["failed"], task = "import-*" }
    /// "#;
    /// let draft = RuleDraft { toml: toml.to_owned(), days: Some(7) };
    /// for trial in client.try_alert_draft(&draft).await?.trials {
    ///     println!("{}: {} alerts", trial.rule, trial.trial.count);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_alert_draft(&self, draft: &RuleDraft) -> Call<AlertTrials> {
        self.v1(Method::POST, &["alerts", "trials"]).json_body(serde_json::to_vec(draft).expect("a draft is JSON"))
    }

    /// `POST /api/v1/alerts/channels/{channel}/preview`: renders the last alert as a message of a channel.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let preview = client.preview_alert_channel("team").await?;
    /// println!("{}\n{}", preview.title, preview.text);
    /// # Ok(())
    /// # }
    /// ```
    pub fn preview_alert_channel(&self, channel: &str) -> Call<AlertPreview> {
        self.v1(Method::POST, &["alerts", "channels", channel, "preview"])
    }

    /// `POST /api/v1/alerts/channels/{channel}/test`: sends a test message immediately.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let message = client.test_alert_channel("team").await?;
    /// println!("{}: {:?}", message.state, message.answer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn test_alert_channel(&self, channel: &str) -> Call<AlertMessage> {
        self.v1(Method::POST, &["alerts", "channels", channel, "test"])
    }

    /// `GET /api/v1/alerts/hushes`: lists active and future silences: snoozes and maintenance periods.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for silence in client.hushes().await?.hushes {
    ///     println!("{} by {}", silence.scope, silence.who);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn hushes(&self) -> Call<Hushes> {
        self.get(&["alerts", "hushes"])
    }

    /// `POST /api/v1/alerts/hushes`: adds a silence: a snooze or a maintenance period.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::HushRequest;
    ///
    /// let snooze = HushRequest {
    ///     scope: "task:import-*".to_owned(),
    ///     from_us: None, // now
    ///     length: "2h".to_owned(),
    ///     why: Some("the supplier is being migrated".to_owned()),
    ///     maintenance: false,
    /// };
    /// client.hush(&snooze).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn hush(&self, request: &HushRequest) -> Call<Hushes> {
        self.v1(Method::POST, &["alerts", "hushes"]).json_body(serde_json::to_vec(request).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/alerts/hushes/{hush}`: ends a silence.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for silence in client.hushes().await?.hushes {
    ///     client.end_hush(silence.id).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn end_hush(&self, hush: u64) -> Call<()> {
        self.v1(Method::DELETE, &["alerts", "hushes", &hush.to_string()])
    }

    /// `GET /api/v1/heartbeats`: lists all heartbeats by name.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// for heartbeat in client.heartbeats().await?.heartbeats {
    ///     println!("{}: last seen at {:?}", heartbeat.definition.name, heartbeat.seen_us);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn heartbeats(&self) -> Call<Heartbeats> {
        self.get(&["heartbeats"])
    }

    /// `POST /api/v1/heartbeats`: adds a heartbeat and returns its key.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::HeartbeatDefinition;
    ///
    /// let backup = HeartbeatDefinition {
    ///     name: "nightly-backup".to_owned(),
    ///     rule: Some("30 2 * * *".to_owned()),
    ///     zone: Some("Europe/Berlin".to_owned()),
    ///     every_ms: None,
    ///     grace_ms: 600_000,
    ///     timeout_ms: None,
    ///     agent: None,
    /// };
    /// let key = client.add_heartbeat(&backup).await?;
    /// println!("{}", key.crontab); // a line for the crontab of the job
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_heartbeat(&self, definition: &HeartbeatDefinition) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats"]).json_body(serde_json::to_vec(definition).expect("a definition is JSON"))
    }

    /// `POST /api/v1/heartbeats/{name}/roll`: replaces the key of a heartbeat and returns the new key.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::HeartbeatRoll;
    ///
    /// // The old key stays valid for an hour.
    /// let key = client.roll_heartbeat("nightly-backup", &HeartbeatRoll { overlap_ms: Some(3_600_000) }).await?;
    /// println!("{}", key.path);
    /// # Ok(())
    /// # }
    /// ```
    pub fn roll_heartbeat(&self, name: &str, roll: &HeartbeatRoll) -> Call<HeartbeatKey> {
        self.v1(Method::POST, &["heartbeats", name, "roll"]).json_body(serde_json::to_vec(roll).expect("a request is JSON"))
    }

    /// `DELETE /api/v1/heartbeats/{name}`: deletes a heartbeat.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.delete_heartbeat("nightly-backup").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete_heartbeat(&self, name: &str) -> Call<()> {
        self.v1(Method::DELETE, &["heartbeats", name])
    }

    /// `POST /api/v1/clock/confirm`: confirms that the server's clock is correct after a forward jump.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// client.confirm_clock().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn confirm_clock(&self) -> Call<Confirmed> {
        self.v1(Method::POST, &["clock", "confirm"])
    }

    /// `POST /api/v1/backup`: downloads a copy of the database. The server makes the copy before it sends the first byte, so this call
    /// waits up to six hours for the beginning of the answer.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use std::io::Write as _;
    ///
    /// let mut backup = client.backup().open().await?;
    /// let mut file = std::fs::File::create("monitor.db").expect("a writable folder");
    /// while let Some(chunk) = backup.chunk().await? {
    ///     file.write_all(chunk.as_ref()).expect("room on the disk");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn backup(&self) -> Call<Download> {
        self.v1(Method::POST, &["backup"]).patience(BACKUP_PATIENCE)
    }
}

pages!(AuditPage);
