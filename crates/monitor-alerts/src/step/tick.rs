//! Executes the work that is due without a sign: closes groups, ends hushes, sends reminders and escalations, and forgets finished alerts.

use super::fire::is_over_for_good;
use super::{FLAPPING_US, JOB_US, LEAF_US, Stepper};
use crate::alert::{Alert, Decision};
use crate::cause::Cause;
use crate::message::MessageKind;
use crate::rule::{Rule, Times};
use crate::sign::{Facts, SubjectKind};
use crate::state::{Key, Live};

/// Returns the time at which an alert ends by itself, and the reason. `None` if a sign must end it.
fn passes(alert: &Alert) -> Option<(u64, &'static str)> {
    let Facts { machine, reason, .. } = &alert.facts;
    let (after_us, why) = match alert.cause {
        _ if alert.subject.kind == SubjectKind::Job => (JOB_US, "no job of this name has succeeded within a day"),
        Cause::Notified | Cause::Drops | Cause::Fast => (FLAPPING_US, "it doesn't last"),
        // Neither an agent reported a missing file nor is it a long pause.
        Cause::Deleted if machine.is_none() && reason.is_none() => (FLAPPING_US, "somebody has deleted it on purpose"),
        _ => return None,
    };
    Some((alert.last_us + after_us, why))
}

impl Stepper<'_> {
    /// Executes the work that is due.
    pub(super) fn pass(&mut self) {
        let now_us = self.now_us;
        if self.wake_us().is_some_and(|wake_us| wake_us <= now_us) {
            self.tick();
        }
    }

    pub(super) fn tick(&mut self) {
        self.close_groups();
        let world = self.world;
        for key in self.state.entries.keys().cloned().collect::<Vec<_>>() {
            let rule = world.rules.iter().find(|rule| rule.name == key.rule);
            self.tick_entry(rule, &key);
        }
        let now_us = self.now_us;
        self.state.common.above.retain(|_, told_us| now_us.saturating_sub(*told_us) <= LEAF_US);
        self.state.common.followed.retain(|_, times| !times.is_empty());
        self.send_sums();
    }

    fn tick_entry(&mut self, rule: Option<&Rule>, key: &Key) {
        let now_us = self.now_us;
        let Some(entry) = self.state.entries.get(key) else { return };
        let Some(live) = &entry.live else {
            if let Some(window) = rule.and_then(Rule::window_us)
                && entry.times_us.last().is_none_or(|last| last + window <= now_us)
            {
                self.state.forget(key);
            }
            return;
        };
        if live.settle_us.is_some_and(|settle_us| settle_us <= now_us) {
            self.tell_recovery(key, None);
            return self.forget_live(key);
        }
        if is_over_for_good(live, now_us) {
            return self.forget_live(key);
        }
        if !live.is_firing() {
            return;
        }
        let Some(rule) = rule else {
            return self.end_silently(key, 0, "the rule is gone");
        };
        if let Some((times, window)) = rule.within()
            && entry.times_us.iter().filter(|time_us| **time_us + window > now_us).count() < times
        {
            let detail = format!("fewer than {}", rule.times);
            return self.end(key, 0, Decision::Resolved, Some(&detail));
        }
        if let Some((_, why)) = passes(&live.alert).filter(|(at_us, _)| *at_us <= now_us) {
            return self.end_silently(key, 0, why);
        }
        if live.is_pending {
            if let Some(hold_us) = live.hold_us {
                let machine = live.alert.facts.machine.as_ref().filter(|machine| self.state.common.away.contains_key(*machine)).cloned();
                if let Some(machine) = machine {
                    return self.end_silently(key, 0, &format!("{machine} isn't heard of, which is told instead"));
                }
                if hold_us > now_us {
                    return;
                }
                self.state.live(key).expect("it fires").hold_us = None;
            }
            let Some(live) = self.state.entries.get(key).and_then(|entry| entry.live.as_ref()) else { return };
            if self.hushed_by(rule, &live.alert.clone()).is_none() {
                self.tell_if_not_hushed(rule, key);
                self.changed(key);
            }
            return;
        }
        self.tell_late(rule, key);
        self.remind(rule, key);
        self.escalate(rule, key);
    }

    /// Reports an alert whose recipients could not be reached at its start, as soon as the rule reaches a recipient.
    fn tell_late(&mut self, rule: &Rule, key: &Key) {
        let Some((alert, _)) = self.due(key, Live::waits_for_somebody) else { return };
        if self.world.channels.is_empty() || self.hushed_by(rule, &alert).is_some() {
            return;
        }
        // The missing recipient was already recorded at the start.
        let noted = self.out.notes.len();
        let is_reached = !self.targets(rule, rule.to.as_deref().unwrap_or_default(), &alert).is_empty();
        self.out.notes.truncate(noted);
        if !is_reached {
            return;
        }
        let group = self.state.live(key).and_then(|live| live.group.take());
        if self.leave_group(key, group) == 0
            && let Some(leader) = group
        {
            self.state.common.groups.remove(&leader);
        }
        self.tell_if_not_hushed(rule, key);
        self.changed(key);
    }

    fn forget_live(&mut self, key: &Key) {
        let entry = self.state.entry(key);
        let group = entry.live.take().and_then(|live| live.group);
        if entry.in_a_row == 0 && entry.times_us.is_empty() {
            self.state.forget(key);
        }
        if let Some(leader) = group
            && self.state.common.groups.get(&leader).is_some_and(|group| group.firing.is_empty())
        {
            self.state.common.groups.remove(&leader);
        }
    }

    fn remind(&mut self, rule: &Rule, key: &Key) {
        let now_us = self.now_us;
        let Some((alert, _)) = self.due(key, |live| live.remind_us.is_some_and(|at_us| at_us <= now_us)) else { return };
        if self.hushed_by(rule, &alert).is_some() {
            return;
        }
        if let Some(live) = self.state.live(key) {
            live.remind_us = rule.repeat.map(|repeat| now_us + repeat.as_micros() as u64);
        }
        self.tell(key, MessageKind::Reminded, &alert.told, None);
    }

    fn escalate(&mut self, rule: &Rule, key: &Key) {
        let now_us = self.now_us;
        let next = |live: &Live| escalation_us(rule, live).is_some_and(|at_us| at_us <= now_us);
        while let Some((alert, done)) = self.due(key, next) {
            if self.hushed_by(rule, &alert).is_some() {
                return;
            }
            let targets = self.targets(rule, &rule.escalate[done].to, &alert);
            if let Some(live) = self.state.live(key) {
                live.escalated += 1;
                let new: Vec<_> = targets.iter().filter(|target| !live.alert.told.contains(target)).cloned().collect();
                live.alert.told.extend(new);
            }
            self.tell(key, MessageKind::Escalated, &targets, None);
            self.changed(key);
        }
    }

    fn due(&self, key: &Key, is_due: impl Fn(&Live) -> bool) -> Option<(Alert, usize)> {
        let live = self.state.entries.get(key)?.live.as_ref().filter(|live| is_due(live))?;
        Some((live.alert.clone(), live.escalated))
    }

    /// Closes groups that are due, and sends one update with the number of alerts that joined.
    fn close_groups(&mut self) {
        let now_us = self.now_us;
        let due = |group: &crate::state::Group| group.closes_us.is_some_and(|at_us| at_us <= now_us);
        let closing: Vec<u64> = self.state.common.groups.iter().filter(|(_, group)| due(group)).map(|(leader, _)| *leader).collect();
        for leader in closing {
            let Some(group) = self.state.common.groups.get_mut(&leader) else { continue };
            group.closes_us = None;
            let is_news = group.count > group.told;
            group.told = group.count;
            // The leader may have ended while other members still fire.
            let firing = group.firing.iter().next().cloned();
            let is_over = group.firing.is_empty();
            let key = self.state.key_of(leader).or(firing);
            if is_over {
                self.state.common.groups.remove(&leader);
                continue;
            }
            if let Some(key) = key.filter(|_| is_news) {
                let told = self.state.live(&key).map(|live| live.alert.told.clone()).unwrap_or_default();
                self.tell(&key, MessageKind::Updated, &told, None);
            }
        }
    }

    /// Returns the time at which the next step is due without a sign.
    pub(super) fn wake_us(&self) -> Option<u64> {
        let groups = self.state.common.groups.values().filter_map(|group| group.closes_us);
        let entries = self.state.entries.iter().filter_map(|(key, entry)| self.entry_us(key, entry));
        groups.chain(entries).chain(self.sums_us()).min()
    }

    fn entry_us(&self, key: &Key, entry: &crate::state::Entry) -> Option<u64> {
        let rule = self.rule(&key.rule);
        let Some(live) = &entry.live else {
            let window = rule.and_then(Rule::window_us)?;
            return entry.times_us.last().map(|last| last + window);
        };
        if !live.is_firing() {
            return live.settle_us.or_else(|| live.alert.resolved_us.map(|at_us| at_us + FLAPPING_US));
        }
        let rule = rule?;
        let passes = passes(&live.alert).map(|(at_us, _)| at_us);
        let window = rule.within().and_then(|(times, window)| {
            let at = entry.times_us.len().checked_sub(times)?;
            entry.times_us.get(at).map(|time_us| time_us + window)
        });
        let hush = self.hush_ends_us(rule, &live.alert);
        let own = if live.is_pending {
            live.hold_us.or(hush)
        } else {
            let next = [live.remind_us, escalation_us(rule, live)].into_iter().flatten().min();
            // A reminder or escalation that is suppressed waits for the end of the hush.
            let next = next.map(|next| if next <= self.now_us { hush.unwrap_or(next) } else { next });
            next.into_iter().chain(hush.filter(|_| live.waits_for_somebody())).min()
        };
        [passes, window, own].into_iter().flatten().min()
    }
}

/// Returns the time of the next escalation step.
fn escalation_us(rule: &Rule, live: &Live) -> Option<u64> {
    let step = rule.escalate.get(live.escalated).filter(|_| live.alert.acknowledged_by.is_none())?;
    Some(live.told_us? + step.after.as_micros() as u64)
}

impl Rule {
    fn within(&self) -> Option<(usize, u64)> {
        match self.times {
            Times::Within(times, window) => Some((times as usize, window.as_micros() as u64)),
            Times::InARow(_) | Times::Share(..) => None,
        }
    }

    fn window_us(&self) -> Option<u64> {
        self.within().map(|(_, window)| window)
    }
}
