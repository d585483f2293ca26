//! Selects recipients and channels, and limits the number of messages per channel.

use super::{MOST_NAMES, Stepper};
use crate::alert::{Alert, Decision, Target};
use crate::cause::{Cause, Severity};
use crate::channel::ChannelKind;
use crate::message::{Message, MessageKind};
use crate::rule::{Rule, To};
use crate::sign::{Facts, Subject, SubjectKind};
use crate::state::Key;

/// Window of the rate limit.
const RATE_US: u64 = 60_000_000;

impl Stepper<'_> {
    /// Returns the targets of a rule's recipients. If an owner can't be reached, a note is recorded and the administrators are notified.
    pub(super) fn targets(&mut self, rule: &Rule, to: &[To], alert: &Alert) -> Vec<Target> {
        let mut targets = Vec::new();
        for to in to {
            match to {
                To::Channel(name) => targets.extend(self.channel(name)),
                To::Address(address) => targets.extend(self.mail(address)),
                To::Admins => targets.extend(self.admins()),
                To::Owner => {
                    let Facts { owner, owners, .. } = &alert.facts;
                    let all = if owners.is_empty() { owner.as_slice() } else { owners };
                    let (mut is_reached, mut unreached) = (false, Vec::new());
                    for owner in all {
                        let target = self.channel(owner).or_else(|| self.mail(owner));
                        if target.is_none() {
                            unreached.push(owner.as_str());
                        }
                        is_reached |= target.is_some();
                        targets.extend(target);
                    }
                    if is_reached && unreached.is_empty() {
                        continue;
                    }
                    let (why, then) = match (unreached.as_slice(), is_reached) {
                        ([], _) => ("nobody owns it", ": the admins are told"),
                        (_, false) => ("the owner can't be reached", ": the admins are told"),
                        (_, true) => ("this owner can't be reached", ", others are told"),
                    };
                    let who = Some(unreached.join(", ")).filter(|who| !who.is_empty());
                    self.note(alert.id, 0, &rule.name, Decision::Nobody, who, Some(format!("{why}{then}")));
                    if !is_reached {
                        targets.extend(self.admins());
                    }
                }
            }
        }
        // A failing channel can't report its own failure.
        if alert.subject.kind == SubjectKind::Channel {
            targets.retain(|target| target.channel != alert.subject.name);
        }
        targets.sort();
        targets.dedup();
        if targets.is_empty() {
            let why = match to {
                [] => "the rule tells nobody: to = []",
                _ if self.world.channels.is_empty() => "there is no channel",
                _ => "the rule names nobody who can be reached",
            };
            self.note(alert.id, 0, &rule.name, Decision::Nobody, None, Some(why.to_owned()));
        }
        targets
    }

    fn channel(&self, name: &str) -> Option<Target> {
        self.world.channels.contains_key(name).then(|| Target { channel: name.to_owned(), address: None })
    }

    fn mail(&self, address: &str) -> Option<Target> {
        let is_mail = crate::rule::is_address(address);
        let by = self
            .world
            .channels
            .values()
            .find(|channel| is_mail && matches!(channel.kind, ChannelKind::Mail { .. } | ChannelKind::Sendmail))?;
        Some(Target { channel: by.name.clone(), address: Some(address.to_owned()) })
    }

    fn admins(&self) -> Vec<Target> {
        match self.channel("admins") {
            Some(target) => vec![target],
            None => self.world.channels.keys().map(|name| Target { channel: name.clone(), address: None }).collect(),
        }
    }

    /// Returns the reason why messages about an alert are suppressed now, and the person responsible.
    pub(super) fn hushed_by(&self, rule: &Rule, alert: &Alert) -> Option<(Option<String>, String)> {
        let now_us = self.now_us;
        let is_on = |hush: &&crate::alert::Hush| (hush.from_us..hush.until_us).contains(&now_us) && hush.is_for(alert);
        if let Some(hush) = self.world.hushes.iter().find(is_on) {
            return Some((Some(hush.who.clone()), format!("{} of {}", hush.kind, hush.scope)));
        }
        let quiet = rule.quiet.as_ref().filter(|_| alert.severity < Severity::Critical)?;
        quiet.until_us(now_us).map(|_| (None, "quiet hours".to_owned()))
    }

    /// Returns the earliest known end of the hushes and quiet hours that suppress messages about an alert.
    pub(super) fn hush_ends_us(&self, rule: &Rule, alert: &Alert) -> Option<u64> {
        let now_us = self.now_us;
        let hushes = self.world.hushes.iter().filter(|hush| (hush.from_us..hush.until_us).contains(&now_us) && hush.is_for(alert));
        let quiet = rule.quiet.as_ref().filter(|_| alert.severity < Severity::Critical).and_then(|quiet| quiet.until_us(now_us));
        hushes.map(|hush| hush.until_us).chain(quiet).min()
    }

    /// Sends a message about an alert to each target.
    pub(super) fn tell(&mut self, key: &Key, kind: MessageKind, targets: &[Target], note: Option<&str>) {
        let Some((alert, group)) = self.state.live(key).map(|live| (live.alert.clone(), live.group)) else { return };
        let group = group.and_then(|leader| self.state.common.groups.get(&leader));
        let (count, subjects, names) = match group {
            Some(group) if group.subjects > 1 => (group.count.max(alert.count), group.subjects, group.names.clone()),
            _ => (alert.count, 1, Vec::new()),
        };
        let to: Vec<String> = targets.iter().map(ToString::to_string).collect();
        for target in targets {
            if !self.may_send(target, &alert) {
                self.note(alert.id, 0, &alert.rule, Decision::Summed, Some(target.to_string()), Some(kind.as_str().to_owned()));
                continue;
            }
            self.state.common.messages += 1;
            self.note(alert.id, 0, &alert.rule, Decision::Told, Some(target.to_string()), Some(kind.as_str().to_owned()));
            self.out.messages.push(Message {
                id: format!("{}.{}", alert.id, self.state.common.messages),
                alert: alert.id,
                kind,
                rule: alert.rule.clone(),
                subject: alert.subject.clone(),
                cause: alert.cause,
                severity: alert.severity,
                time_us: self.now_us,
                since_us: alert.since_us,
                resolved_us: alert.resolved_us,
                count,
                subjects,
                names: names.clone(),
                note: note.map(str::to_owned),
                facts: alert.facts.clone(),
                channel: target.channel.clone(),
                address: target.address.clone(),
                to: to.clone(),
            });
        }
    }

    /// Counts a message of a channel. Returns false if the message must wait for the next sum.
    fn may_send(&mut self, target: &Target, alert: &Alert) -> bool {
        let (now_us, most) = (self.now_us, self.most(&target.channel));
        let rate = self.state.common.rates.entry(target.channel.clone()).or_default();
        rate.sent_us.retain(|sent_us| now_us.saturating_sub(*sent_us) < RATE_US);
        if rate.waiting == 0 && rate.sent_us.len() < most {
            rate.sent_us.push(now_us);
            return true;
        }
        if rate.waiting == 0 {
            rate.since_us = now_us;
        }
        rate.waiting += 1;
        rate.severity = rate.severity.max(Some(alert.severity));
        if rate.names.len() < MOST_NAMES && !rate.names.contains(&alert.subject.name) {
            rate.names.push(alert.subject.name.clone());
        }
        false
    }

    fn most(&self, channel: &str) -> usize {
        self.world.channels.get(channel).map_or(10, |channel| channel.rate as usize)
    }

    /// Sends the pending sums of channels that are below their rate.
    pub(super) fn send_sums(&mut self) {
        let now_us = self.now_us;
        let channels: Vec<String> = self.state.common.rates.keys().cloned().collect();
        for channel in channels {
            let most = self.most(&channel);
            let is_there = self.world.channels.contains_key(&channel);
            let Some(rate) = self.state.common.rates.get_mut(&channel) else { continue };
            rate.sent_us.retain(|sent_us| now_us.saturating_sub(*sent_us) < RATE_US);
            if rate.waiting == 0 && rate.sent_us.is_empty() || !is_there {
                self.state.common.rates.remove(&channel);
                continue;
            }
            // Wait until half of the rate is free, so that new alerts can be sent at once after the sum.
            if rate.waiting == 0 || rate.sent_us.len() > most / 2 {
                continue;
            }
            rate.sent_us.push(now_us);
            let (count, since_us) = (std::mem::take(&mut rate.waiting), rate.since_us);
            let (names, severity) = (std::mem::take(&mut rate.names), rate.severity.take().unwrap_or(Severity::Warning));
            self.state.common.messages += 1;
            self.out.messages.push(Message {
                id: format!("0.{}", self.state.common.messages),
                alert: 0,
                kind: MessageKind::Sum,
                rule: String::new(),
                subject: Subject::new(SubjectKind::Channel, &channel),
                cause: Cause::Channel,
                severity,
                time_us: now_us,
                since_us,
                resolved_us: None,
                count,
                subjects: 1,
                names,
                note: None,
                facts: Facts::default(),
                channel: channel.clone(),
                address: None,
                to: vec![channel],
            });
        }
    }

    /// Returns the time at which the next sum can be sent.
    pub(super) fn sums_us(&self) -> Option<u64> {
        let due = self.state.common.rates.iter().filter(|(_, rate)| rate.waiting > 0).map(|(channel, rate)| {
            // The sum can be sent when this number of sent messages is a minute old.
            let beyond = rate.sent_us.len().saturating_sub(self.most(channel) / 2);
            beyond.checked_sub(1).and_then(|last| rate.sent_us.get(last)).map_or(self.now_us, |sent_us| sent_us + RATE_US)
        });
        due.min()
    }
}
