//! Default channel: mail through the `sendmail` of the agent on the server's machine. It exists as long as no other channel is configured.

use std::sync::PoisonError;

use monitor_alerts::{Channel, Settings};
use monitor_wire::{AgentOrder, Worker};

use super::follow::OWN_AGENT;
use super::{Alerts, blocking};
use crate::ingest::IngestError;

/// Number of newest workers among which an agent that is offline is searched.
const NEWEST: usize = 100;

impl Alerts {
    /// True if the agent on the server's machine sends mail. An agent that is temporarily offline sends it when it is back.
    pub(super) async fn can_mail(&self) -> Result<bool, IngestError> {
        let known = *self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        let can = match self.parts.commands.does(&AgentOrder::worker(OWN_AGENT), AgentOrder::ALERT_MAIL).or(known) {
            Some(can) => can,
            None => self.could_mail().await?,
        };
        *self.mails.lock().unwrap_or_else(PoisonError::into_inner) = Some(can);
        Ok(can)
    }

    /// True if the agent could send mail before this server started.
    async fn could_mail(&self) -> Result<bool, IngestError> {
        let store = self.parts.store.clone();
        let look = move || {
            let mails = |worker: &Worker| {
                let is_own = worker.program == AgentOrder::PROGRAM && worker.hostname == OWN_AGENT;
                is_own && worker.capabilities.iter().any(|of| of == AgentOrder::ALERT_MAIL)
            };
            for (id, _) in store.online()? {
                if store.worker(id)?.is_some_and(|worker| mails(&worker)) {
                    return Ok(true);
                }
            }
            // The agent may have been stopped together with the server.
            Ok(store.workers(NEWEST, None)?.workers.iter().any(mails))
        };
        blocking(look).await
    }
}

/// Adds the default channel to the settings if it works and there is no other channel. Otherwise removes it.
pub(super) fn with_own_mail(mut settings: Settings, can_mail: bool) -> Settings {
    // A channel of the file with the same name is a different channel.
    let is_own = |channel: &Channel| channel.kind == Channel::sendmail().kind;
    settings.channels.retain(|_, channel| !is_own(channel));
    if can_mail && settings.channels.is_empty() {
        settings.channels.insert(Channel::SENDMAIL.to_owned(), Channel::sendmail());
    }
    settings
}
