//! Mail by the `sendmail` of the server's own agent, which is there by itself as long as there is no channel.

use std::sync::PoisonError;

use monitor_alerts::{Channel, Settings};
use monitor_wire::{AgentOrder, Worker};

use super::follow::OWN_AGENT;
use super::{Alerts, blocking};
use crate::ingest::IngestError;

/// Among so many of the newest workers an agent is looked for that isn't there.
const NEWEST: usize = 100;

impl Alerts {
    /// Returns true if the server's own agent sends mail. An agent that is away for a while sends it when it is back.
    pub(super) async fn can_mail(&self) -> Result<bool, IngestError> {
        let known = *self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        let can = match self.parts.commands.does(&AgentOrder::worker(OWN_AGENT), AgentOrder::ALERT_MAIL).or(known) {
            Some(can) => can,
            None => self.could_mail().await?,
        };
        *self.mails.lock().unwrap_or_else(PoisonError::into_inner) = Some(can);
        Ok(can)
    }

    /// Returns true if the agent did before this server began.
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
            // It may have been stopped with the server.
            Ok(store.workers(NEWEST, None)?.workers.iter().any(mails))
        };
        blocking(look).await
    }
}

/// The settings with the channel that there is by itself, if there is no other and it works; without it otherwise.
pub(super) fn with_own_mail(mut settings: Settings, can_mail: bool) -> Settings {
    // A channel of the file that has this name is another one.
    let is_own = |channel: &Channel| channel.kind == Channel::sendmail().kind;
    settings.channels.retain(|_, channel| !is_own(channel));
    if can_mail && settings.channels.is_empty() {
        settings.channels.insert(Channel::SENDMAIL.to_owned(), Channel::sendmail());
    }
    settings
}
