//! Channels that deliver messages, one file each. A channel evaluates the receiver's response; the caller decides when to try again.

pub(crate) mod command;
mod dingtalk;
mod feishu;
mod mail;
mod request;
mod secret;
mod slack;
mod webhook;
mod wecom;

use std::sync::Arc;

use jiff::tz::TimeZone;
use monitor_alerts::{Channel, ChannelKind, Message};
use url::Url;

use self::secret::Secrets;
use super::template::Templates;
use super::text::values::values;
use super::text::{Context, Text, clean, redact, text};
use crate::clock::Clock;
use crate::commands::Commands;
use crate::outgoing::Requests;
pub use crate::outgoing::Undelivered;

/// Maximum number of characters quoted from a receiver's response.
const LONGEST_ANSWER: usize = 300;

/// Sends messages through all kinds of channels.
pub struct Sender {
    clock: Clock,
    zone: TimeZone,
    public_url: Option<Url>,
    requests: Requests,
    templates: Templates,
    /// Connection to the agents, for channels that deliver through an agent.
    agents: Option<Arc<Commands>>,
}

/// Message with its text, for a channel to send.
struct Letter<'a> {
    message: &'a Message,
    text: Text,
    now_us: u64,
}

impl Letter<'_> {
    fn now_s(&self) -> u64 {
        self.now_us / 1_000_000
    }
}

impl Sender {
    /// Creates a sender without connections. `public_url` is the server's URL, for links.
    pub fn new(clock: Clock, zone: TimeZone, public_url: Option<Url>) -> Self {
        Self { clock, zone, public_url, requests: Requests::new(), templates: Templates::new(), agents: None }
    }

    /// Adds the connection to the agents.
    pub(crate) fn with_agents(self, agents: Arc<Commands>) -> Self {
        Self { agents: Some(agents), ..self }
    }

    /// Renders the channel's own template for a message, or returns the reason why that failed. Returns `None` if the channel has no
    /// template.
    pub async fn own_text(&self, channel: &Channel, message: &Message) -> Option<Result<String, String>> {
        let template = channel.template.as_deref()?;
        let secrets = Secrets::of(channel);
        let context = self.context(channel, &secrets);
        let is_markdown = matches!(channel.kind, ChannelKind::Wecom { .. } | ChannelKind::Dingtalk { .. });
        let values = values(message, &text(message, &context), &context, is_markdown);
        let made = self.templates.make(template, values).await;
        Some(made.map(|made| redact(&made, secrets.values())))
    }

    /// Formats a message as the channel sends it. `own` is the text of the channel's own template.
    pub(super) fn text(&self, channel: &Channel, message: &Message, own: Option<&str>) -> Text {
        self.letter(channel, message, own, &Secrets::of(channel)).text
    }

    /// Sends a message through a channel once and returns the receiver's response. `own` is the text of the channel's own template.
    ///
    /// # Errors
    /// Returns an error if the message is not known to be delivered.
    pub async fn send(&self, channel: &Channel, message: &Message, own: Option<&str>) -> Result<String, Undelivered> {
        let mut secrets = Secrets::default();
        let sent = self.send_with(channel, message, own, &mut secrets).await;
        let tidy = |words: &str| redact(&clean(words, LONGEST_ANSWER), secrets.values());
        match sent {
            Ok(answer) => Ok(tidy(&answer)),
            Err(Undelivered { why, after }) => Err(Undelivered { why: tidy(&why), after }),
        }
    }

    async fn send_with(
        &self,
        channel: &Channel,
        message: &Message,
        own: Option<&str>,
        secrets: &mut Secrets,
    ) -> Result<String, Undelivered> {
        match &channel.kind {
            ChannelKind::Mail { password, .. } => {
                let password = password.as_ref().map(|password| secrets.take("password", password)).transpose()?;
                mail::send(&channel.kind, password, &self.letter(channel, message, own, secrets)).await
            }
            ChannelKind::Webhook { url, secret, headers } => {
                let url = secrets.take_url(url)?;
                let secret = secret.as_ref().map(|secret| secrets.take("secret", secret)).transpose()?;
                let headers = headers.iter().map(|(name, value)| Ok((name, secrets.take(name, value)?)));
                let headers = headers.collect::<Result<Vec<_>, String>>()?;
                let made = webhook::request(url, secret.as_deref(), &headers, &self.letter(channel, message, own, secrets))?;
                webhook::judge(&self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Wecom { url } => {
                let url = secrets.take_url(url)?;
                let made = wecom::request(url, &self.letter(channel, message, own, secrets));
                wecom::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Dingtalk { url, secret } => {
                let url = secrets.take_url(url)?;
                let secret = secret.as_ref().map(|secret| secrets.take("secret", secret)).transpose()?;
                let made = dingtalk::request(url, secret.as_deref(), &self.letter(channel, message, own, secrets));
                dingtalk::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Feishu { url, secret } => {
                let url = secrets.take_url(url)?;
                let secret = secret.as_ref().map(|secret| secrets.take("secret", secret)).transpose()?;
                let made = feishu::request(url, secret.as_deref(), &self.letter(channel, message, own, secrets));
                feishu::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Slack { url } => {
                let url = secrets.take_url(url)?;
                let made = slack::request(url, &self.letter(channel, message, own, secrets));
                slack::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Command { command, agent } => {
                let letter = self.letter(channel, message, own, secrets);
                command::run(self.agents.as_ref(), (&channel.name, command, agent.as_deref()), self.clock.wall_us(), &letter).await
            }
            ChannelKind::Sendmail => {
                let letter = self.letter(channel, message, own, secrets);
                command::send_mail(self.agents.as_ref(), self.clock.wall_us(), &letter).await
            }
        }
    }

    fn context<'a>(&'a self, channel: &Channel, secrets: &'a Secrets) -> Context<'a> {
        let (zone, public_url, secrets) = (self.zone.clone(), self.public_url.as_ref(), secrets.values());
        Context { language: channel.language, public_url, zone, secrets }
    }

    fn letter<'a>(&self, channel: &Channel, message: &'a Message, own: Option<&str>, secrets: &Secrets) -> Letter<'a> {
        let text = text(message, &self.context(channel, secrets));
        let text = match own {
            Some(own) => text.with_own(own),
            None => text,
        };
        Letter { message, text, now_us: self.clock.wall_us() }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
