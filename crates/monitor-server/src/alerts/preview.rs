//! Previews of messages.

use monitor_alerts::{Alert, Message, MessageKind};
use monitor_store::AlertsQuery;

use super::text::Text;
use super::{Alerts, blocking, enrich};
use crate::ingest::IngestError;

/// Message as a channel would send it.
pub(crate) struct Preview {
    /// Number of the alert. `None` if there has never been an alert and a test message is shown.
    pub(crate) alert: Option<u64>,
    pub(crate) text: Text,
    /// Reason why the channel's own template failed.
    pub(crate) trouble: Option<String>,
}

impl Alerts {
    /// Returns the newest alert as the channel would format it. Returns `None` if the channel does not exist.
    pub(crate) async fn preview(&self, name: &str) -> Result<Option<Preview>, IngestError> {
        let ruleset = self.rules();
        let Some(channel) = ruleset.settings.channels.get(name) else { return Ok(None) };
        let (store, url) = (self.parts.store.clone(), self.parts.page_url.clone());
        let newest = blocking(move || {
            let query = AlertsQuery { state: None, subject: None, before: None, limit: 1 };
            let Some(alert) = store.alerts(&query)?.pop() else { return Ok(None) };
            let mut messages = vec![fired(alert)];
            enrich::messages(&*store, &url, &mut messages);
            Ok(messages.pop())
        });
        let message = newest.await?.map(|message| Message { channel: name.to_owned(), ..message });
        let alert = message.as_ref().map(|message| message.alert);
        let message = message.unwrap_or_else(|| self.test_message(name));
        let sender = &self.parts.sender;
        let (own, trouble) = match sender.own_text(channel, &message).await.transpose() {
            Ok(own) => (own, None),
            Err(why) => (None, Some(why)),
        };
        Ok(Some(Preview { alert, text: sender.text(channel, &message, own.as_deref()), trouble }))
    }
}

/// Creates the message about the beginning of an alert.
fn fired(alert: Alert) -> Message {
    let to = alert.told.iter().map(ToString::to_string).collect();
    Message {
        id: format!("preview.{}", alert.id),
        alert: alert.id,
        kind: MessageKind::Fired,
        rule: alert.rule,
        subject: alert.subject,
        cause: alert.cause,
        severity: alert.severity,
        time_us: alert.last_us,
        since_us: alert.since_us,
        resolved_us: None,
        count: alert.count,
        subjects: 1,
        names: Vec::new(),
        note: None,
        facts: alert.facts,
        channel: String::new(),
        address: None,
        to,
    }
}
