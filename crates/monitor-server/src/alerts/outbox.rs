//! Sends the stored messages. Each channel has a task of its own that sends one message after another, so that a slow or failing channel
//! does not delay the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_alerts::{
    AlertState, Cause, Channel, Decision, Facts, Message, MessageKind, Note, Relief, Severity, Sign, Subject, SubjectKind, What,
};
use monitor_store::{AlertsChange, AlertsQuery, Attempt, Delivery, DeliveryState};

use super::channels::Undelivered;
use super::{Alerts, EVERY, blocking};
use crate::duties::Duty;
use crate::ingest::IngestError;

/// Maximum number of due messages read at a time.
const AT_ONCE: usize = 1_000;
/// Pause before the second attempt. It doubles with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Maximum pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Time after which a message is given up.
const GIVEN_UP_US: u64 = 86_400_000_000;
/// Time after which a failing channel is reported through other channels.
const FAILS_US: u64 = 600_000_000;

/// State of the channels while messages are sent.
#[derive(Debug, Default)]
pub(super) struct Sending {
    channels: Mutex<Channels>,
}

#[derive(Debug, Default)]
struct Channels {
    /// Channels that are currently sending.
    busy: BTreeSet<String>,
    /// Failing channels: start of the failure, and true if it has been reported.
    failing: BTreeMap<String, (u64, bool)>,
    /// Channels that have delivered a message since the server started.
    proven: BTreeSet<String>,
}

impl Sending {
    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alerts {
    /// Sends until the server stops.
    pub(super) async fn send(self: &Arc<Self>, duty: &Duty) {
        let mut running = tokio::task::JoinSet::new();
        // The duty may have been restarted after a panic, which left its channels marked as busy.
        self.sending.lock().busy.clear();
        loop {
            let done = match self.follow_due().await {
                Ok(()) => self.send_due(&mut running).await,
                Err(error) => Err(error),
            };
            match done {
                Err(IngestError::Stopped) => return,
                Err(error) => duty.ran(Err(format!("could not look for messages: {}", monitor_http::with_causes(&error))), EVERY),
                Ok(()) => duty.ran(Ok(()), EVERY),
            }
            while running.try_join_next().is_some() {}
            let wait = async {
                tokio::select! {
                    () = self.parts.clock.sleep(EVERY) => {}
                    () = self.to_send.notified() => {}
                }
            };
            if self.parts.stopping.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// Starts a task for each channel that has due messages and isn't sending.
    async fn send_due(self: &Arc<Self>, running: &mut tokio::task::JoinSet<()>) -> Result<(), IngestError> {
        let (store, now_us) = (self.parts.store.clone(), self.parts.clock.wall_us());
        // The set is copied before the messages are read. A channel that is sending during the read may deliver some of them, and they
        // would be sent twice.
        let busy = self.sending.lock().busy.clone();
        let due = blocking(move || store.deliveries_due(now_us, AT_ONCE)).await?;
        let mut by_channel = BTreeMap::<String, Vec<Delivery>>::new();
        for delivery in due {
            by_channel.entry(delivery.message.channel.clone()).or_default().push(delivery);
        }
        for (channel, deliveries) in by_channel.into_iter().filter(|(channel, _)| !busy.contains(channel)) {
            self.sending.lock().busy.insert(channel.clone());
            let alerts = self.clone();
            running.spawn(async move {
                let done = alerts.send_by(&channel, deliveries).await;
                alerts.sending.lock().busy.remove(&channel);
                match done {
                    Ok(true) => alerts.to_send.notify_one(),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(channel, "what became of a message could not be kept: {}", monitor_http::with_causes(&error));
                    }
                }
            });
        }
        Ok(())
    }

    /// Sends these messages of a channel, until one can't be sent now. Returns true if all were sent, because there may be more.
    async fn send_by(&self, name: &str, deliveries: Vec<Delivery>) -> Result<bool, IngestError> {
        let count = deliveries.len();
        for (nth, Delivery { message, attempts, .. }) in deliveries.into_iter().enumerate() {
            let ruleset = self.rules();
            let (answer, trouble) = match ruleset.settings.channels.get(name) {
                Some(channel) => {
                    let sent = self.parts.stopping.run_until_cancelled(self.send_once(channel, &message)).await;
                    let Some(sent) = sent else { return Ok(false) };
                    sent
                }
                None => (Err(Undelivered { why: "there is no such channel any more".to_owned(), after: None }), None),
            };
            let now_us = self.parts.clock.wall_us();
            let (state, words, pause) = match answer {
                Ok(words) => (DeliveryState::Sent, words, None),
                Err(Undelivered { why, after }) => {
                    // A message is never given up after one attempt, which may have taken long because the server's machine was asleep.
                    let is_over = attempts > 0 && now_us.saturating_sub(message.time_us) >= GIVEN_UP_US;
                    let state = if is_over { DeliveryState::Undelivered } else { DeliveryState::Waiting };
                    (state, why, Some(after.unwrap_or_default().max(pause(attempts))))
                }
            };
            let next_us = now_us + pause.map_or(0, |pause| pause.as_micros() as u64);
            let attempt = Attempt { message: message.id.clone(), state, next_us, answer: words.clone() };
            if state == DeliveryState::Sent {
                self.remember_failing(name).await?;
            }
            let signs = self.judge(name, &message, attempts, state, &words, now_us);
            // Recorded only at the first attempt.
            let notes = trouble.filter(|_| attempts == 0).map(|why| text_failed(name, &message, why, now_us)).into_iter().collect();
            self.change(AlertsChange { attempts: vec![attempt], signs, notes, ..AlertsChange::default() }).await?;
            if state == DeliveryState::Waiting {
                return Ok(false);
            }
            if nth + 1 == count {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends a message through a channel, with the text of its own template or, if that fails, with the built-in text. Also returns the
    /// reason for such a failure.
    async fn send_once(&self, channel: &Channel, message: &Message) -> (Result<String, Undelivered>, Option<String>) {
        let sender = &self.parts.sender;
        let (own, trouble) = match sender.own_text(channel, message).await.transpose() {
            Ok(own) => (own, None),
            Err(why) => (None, Some(why)),
        };
        (sender.send(channel, message, own.as_deref()).await, trouble)
    }

    /// Sends a test message through a channel. Returns `None` if the channel does not exist.
    pub(crate) async fn test(&self, name: &str) -> Option<Delivery> {
        let ruleset = self.rules();
        let channel = ruleset.settings.channels.get(name)?;
        let (message, now_us) = (self.test_message(name), self.parts.clock.wall_us());
        let (answer, trouble) = self.send_once(channel, &message).await;
        let (state, answer) = match answer {
            Ok(answer) => (DeliveryState::Sent, answer),
            Err(Undelivered { why, .. }) => (DeliveryState::Undelivered, why),
        };
        let answer = match trouble {
            Some(why) => format!("{answer} (by the built-in text, for the template failed: {why})"),
            None => answer,
        };
        let answer = match ruleset.mistakes.first() {
            Some(mistake) => format!("{answer} (by the last good version of the file, which has mistakes now: {mistake})"),
            None => answer,
        };
        Some(Delivery { message, state, attempts: 1, next_us: now_us, answer: Some(answer) })
    }

    /// Creates a test message.
    pub(super) fn test_message(&self, name: &str) -> Message {
        let now_us = self.parts.clock.wall_us();
        Message {
            id: format!("test.{now_us}"),
            alert: 0,
            kind: MessageKind::Test,
            rule: String::new(),
            subject: Subject::new(SubjectKind::Channel, name),
            cause: Cause::Channel,
            severity: Severity::Info,
            time_us: now_us,
            since_us: now_us,
            resolved_us: None,
            count: 1,
            subjects: 1,
            names: Vec::new(),
            note: None,
            facts: Facts { link: Some(self.parts.page_url.clone()), ..Facts::default() },
            channel: name.to_owned(),
            address: None,
            to: vec![name.to_owned()],
        }
    }

    /// At the first delivery of a channel, reads the firing alert about its failure, which may stem from before the server started.
    async fn remember_failing(&self, name: &str) -> Result<(), IngestError> {
        if !self.sending.lock().proven.insert(name.to_owned()) {
            return Ok(());
        }
        let subject = Some(Subject::new(SubjectKind::Channel, name).to_string());
        let (store, query) = (self.parts.store.clone(), AlertsQuery { state: Some(AlertState::Firing), subject, before: None, limit: 1 });
        if let Some(alert) = blocking(move || store.alerts(&query)).await?.pop() {
            self.sending.lock().failing.insert(name.to_owned(), (alert.since_us, true));
        }
        Ok(())
    }

    /// Returns the signs about a channel that follow from an attempt, after `attempts` earlier attempts for the same message. A single
    /// attempt is not enough to report a failure, because it may have taken long while the server's machine was asleep.
    fn judge(&self, name: &str, message: &Message, attempts: u64, state: DeliveryState, words: &str, now_us: u64) -> Vec<Sign> {
        let mut channels = self.sending.lock();
        if state == DeliveryState::Sent {
            let was_told = channels.failing.remove(name).is_some_and(|(_, is_told)| is_told);
            return if was_told { vec![of_channel(name, What::Relief(Relief::Works), "", now_us)] } else { Vec::new() };
        }
        let (since_us, is_told) = channels.failing.entry(name.to_owned()).or_insert((message.time_us.min(now_us), false));
        let fails_for_long = attempts > 0 && now_us.saturating_sub(*since_us) >= FAILS_US || state == DeliveryState::Undelivered;
        if *is_told || !fails_for_long {
            return Vec::new();
        }
        *is_told = true;
        vec![of_channel(name, What::Cause(Cause::Channel), words, now_us)]
    }
}

fn text_failed(name: &str, message: &Message, why: String, now_us: u64) -> Note {
    let (rule, who) = (message.rule.clone(), Some(name.to_owned()));
    Note { alert: message.alert, sign: 0, time_us: now_us, rule, what: Decision::TextFailed, who, detail: Some(why) }
}

fn of_channel(name: &str, what: What, words: &str, now_us: u64) -> Sign {
    let facts = Facts { error: Some(words.to_owned()).filter(|words| !words.is_empty()), ..Facts::default() };
    let subject = Subject::new(SubjectKind::Channel, name);
    Sign { seq: 0, time_us: now_us, what, subject, root: None, process: None, agent: None, ancestors: Vec::new(), facts }
}

/// Returns the pause after `attempts` failed attempts and one more.
pub(super) fn pause(attempts: u64) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(20)).min(LONGEST_PAUSE)
}
