//! Channels: how a message gets to people, a file each. What a receiver answers is judged here; when to try again is for others to decide.

mod dingtalk;
mod feishu;
mod mail;
mod reach;
mod request;
mod secret;
mod slack;
mod webhook;
mod wecom;

use std::time::Duration;

use jiff::tz::TimeZone;
use monitor_alerts::{Channel, ChannelKind, Message};
use url::Url;

use self::request::Requests;
use self::secret::Secrets;
use super::text::{Context, Text, clean, redact, text};
use crate::clock::Clock;

/// A receiver's own words are repeated to so many characters.
const LONGEST_ANSWER: usize = 300;

/// The way to the receivers of all channels.
pub struct Sender {
    clock: Clock,
    zone: TimeZone,
    public_url: Option<Url>,
    requests: Requests,
}

/// Why a message was not delivered. It may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// What happened, without any secret.
    pub why: String,
    /// Not sooner than after this, if the receiver says so.
    pub after: Option<Duration>,
}

impl From<String> for Undelivered {
    fn from(why: String) -> Self {
        Self { why, after: None }
    }
}

/// What a channel sends.
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
    /// Nothing is connected yet. `public_url`: the server's address, for links.
    pub fn new(clock: Clock, zone: TimeZone, public_url: Option<Url>) -> Self {
        Self { clock, zone, public_url, requests: Requests::new() }
    }

    /// Sends a message by a channel, once. Returns what the receiver answered.
    ///
    /// # Errors
    /// If it was not delivered, as far as that is known.
    pub async fn send(&self, channel: &Channel, message: &Message) -> Result<String, Undelivered> {
        let mut secrets = Secrets::default();
        let sent = self.send_with(channel, message, &mut secrets).await;
        let tidy = |words: &str| redact(&clean(words, LONGEST_ANSWER), secrets.values());
        match sent {
            Ok(answer) => Ok(tidy(&answer)),
            Err(Undelivered { why, after }) => Err(Undelivered { why: tidy(&why), after }),
        }
    }

    async fn send_with(&self, channel: &Channel, message: &Message, secrets: &mut Secrets) -> Result<String, Undelivered> {
        match &channel.kind {
            ChannelKind::Mail { password, .. } => {
                let password = password.as_ref().map(|password| secrets.take("password", password)).transpose()?;
                mail::send(&channel.kind, password, &self.letter(channel, message, secrets)).await
            }
            ChannelKind::Webhook { url, secret, headers } => {
                let url = secrets.take_url(url)?;
                let secret = secret.as_ref().map(|secret| secrets.take("secret", secret)).transpose()?;
                let headers = headers.iter().map(|(name, value)| Ok((name, secrets.take(name, value)?)));
                let headers = headers.collect::<Result<Vec<_>, String>>()?;
                let made = webhook::request(url, secret.as_deref(), &headers, &self.letter(channel, message, secrets))?;
                webhook::judge(&self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Wecom { url } => {
                let url = secrets.take_url(url)?;
                let made = wecom::request(url, &self.letter(channel, message, secrets));
                wecom::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Dingtalk { url, secret } => {
                let url = secrets.take_url(url)?;
                let secret = secret.as_ref().map(|secret| secrets.take("secret", secret)).transpose()?;
                let made = dingtalk::request(url, secret.as_deref(), &self.letter(channel, message, secrets));
                dingtalk::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Feishu { url, secret } => {
                let url = secrets.take_url(url)?;
                let secret = secret.as_ref().map(|secret| secrets.take("secret", secret)).transpose()?;
                let made = feishu::request(url, secret.as_deref(), &self.letter(channel, message, secrets));
                feishu::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Slack { url } => {
                let url = secrets.take_url(url)?;
                let made = slack::request(url, &self.letter(channel, message, secrets));
                slack::judge(self.requests.send(made, channel.private).await?)
            }
            ChannelKind::Command { .. } => Err("channels of the kind command are not sent by this server yet".to_owned().into()),
        }
    }

    fn letter<'a>(&self, channel: &Channel, message: &'a Message, secrets: &Secrets) -> Letter<'a> {
        let (zone, public_url, secrets) = (self.zone.clone(), self.public_url.as_ref(), secrets.values());
        let text = text(message, &Context { language: channel.language, public_url, zone, secrets });
        Letter { message, text, now_us: self.clock.wall_us() }
    }
}

#[cfg(test)]
mod tests;
