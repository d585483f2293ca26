//! Ends alerts when a sign reports that the trouble is over.

use super::{FLAPPING_US, Stepper};
use crate::alert::{AlertState, Decision};
use crate::cause::Cause;
use crate::message::MessageKind;
use crate::rule::Times;
use crate::sign::{Relief, Sign, Subject, SubjectKind};
use crate::state::Key;

impl Relief {
    /// Returns the causes whose alerts this relief ends.
    fn ends(self) -> &'static [Cause] {
        use Cause::{Channel, Deleted, Disk, Drops, Failed, Late, Lost, Missed, Settings, Skipped, Slow, Timeout, Unknown};
        match self {
            // `Fast` is not included: it is about a successful run and ends by itself.
            Self::Succeeded => &[Failed, Timeout, Missed, Late, Skipped, Slow, Lost],
            Self::Found => &[Unknown, Lost],
            Self::Restored => &[Deleted],
            Self::Works => &[Channel, Disk, Drops, Settings],
            // Handled separately: ends alerts of every cause.
            Self::Removed => &[],
        }
    }
}

impl Stepper<'_> {
    pub(super) fn relieve(&mut self, sign: &Sign, relief: Relief) {
        if relief == Relief::Found {
            self.state.common.away.remove(&sign.subject.name);
        }
        self.correct_lost(sign);
        for key in self.keys_of(&sign.subject) {
            let times = self.rule(&key.rule).map(|rule| rule.times);
            let is_share = matches!(times, Some(Times::Share(..)));
            // A sign about a share of failed calls applies only to the rule it names.
            if sign.facts.rule.as_ref().map_or(is_share, |rule| *rule != key.rule) {
                continue;
            }
            let counts_in_a_row = !matches!(times, Some(Times::Within(..)));
            let entry = self.state.entry(&key);
            if relief == Relief::Succeeded {
                entry.in_a_row = 0;
            }
            let Some(live) = &entry.live else {
                if entry.in_a_row == 0 && entry.times_us.is_empty() {
                    self.state.forget(&key);
                }
                continue;
            };
            let is_removed = relief == Relief::Removed;
            if live.is_firing() && (is_removed || counts_in_a_row && relief.ends().contains(&live.alert.cause)) {
                self.end(&key, sign.seq, Decision::Resolved, is_removed.then_some("it was removed on purpose"));
            }
        }
    }

    fn keys_of(&self, subject: &Subject) -> Vec<Key> {
        let from = Key { subject: subject.clone(), rule: String::new() };
        self.state.entries.range(from..).map(|(key, _)| key).take_while(|key| key.subject == *subject).cloned().collect()
    }

    /// Corrects the alert of a run that was reported as lost and whose end is received late.
    pub(super) fn correct_lost(&mut self, sign: &Sign) {
        if sign.process.is_none() || !matches!(sign.what.as_str(), "failed" | "succeeded") {
            return;
        }
        for key in self.keys_of(&sign.subject) {
            let is_it = self.state.entries[&key]
                .live
                .as_ref()
                .is_some_and(|live| live.is_firing() && live.alert.cause == Cause::Lost && live.alert.facts.process_id == sign.process);
            if is_it {
                let detail = format!("its end came late: it {}", sign.what.as_str());
                self.end(&key, sign.seq, Decision::Corrected, Some(&detail));
            }
        }
    }

    /// Silently ends the alerts of a deleted task, because no further run can end them. The alert about the deletion itself remains.
    pub(super) fn drop_alerts_of(&mut self, sign: &Sign) {
        if sign.subject.kind != SubjectKind::Task || sign.facts.reason.as_deref() == Some("paused") {
            return;
        }
        for key in self.keys_of(&sign.subject) {
            let is_meant =
                self.state.entries[&key].live.as_ref().is_some_and(|live| live.is_firing() && live.alert.cause != Cause::Deleted);
            if is_meant {
                self.end_silently(&key, sign.seq, "the task is gone");
            }
        }
    }

    /// Ends an alert and notifies the recipients who were notified of its start.
    pub(super) fn end(&mut self, key: &Key, sign: u64, what: Decision, detail: Option<&str>) {
        let now_us = self.now_us;
        let Some(live) = self.state.live(key) else { return };
        live.alert.state = AlertState::Resolved;
        live.alert.resolved_us = Some(now_us);
        let (id, was_told, back, group) = (live.alert.id, !live.is_pending && !live.alert.told.is_empty(), live.back, live.group);
        let told = live.alert.told.clone();
        live.is_pending = false;
        let entry = self.state.entry(key);
        entry.in_a_row = 0;
        entry.times_us.clear();
        self.note(id, sign, &key.rule, what, None, detail.map(str::to_owned));
        let others = self.leave_group(key, group);
        if !was_told {
            if told.is_empty() {
                self.note(id, 0, &key.rule, Decision::Nobody, None, Some("nobody had been told that it fired".to_owned()));
            } else if let Some(live) = self.state.live(key) {
                // The alert recurred during a hush. The recipients already have a message about its end.
                live.is_recovery_told = true;
            }
        } else if others > 0 {
            self.note(id, 0, &key.rule, Decision::Settling, None, Some(format!("{others} others of its message still fire")));
        } else if back > 0 {
            if let Some(live) = self.state.live(key) {
                live.settle_us = Some(now_us + FLAPPING_US);
            }
            self.note(id, 0, &key.rule, Decision::Settling, None, Some("it came back before".to_owned()));
        } else {
            self.tell_recovery(key, detail);
        }
        self.changed(key);
    }

    /// Notifies the recipients of the start that the alert has ended. Hushes do not suppress this message.
    pub(super) fn tell_recovery(&mut self, key: &Key, detail: Option<&str>) {
        let Some(live) = self.state.live(key) else { return };
        live.is_recovery_told = true;
        live.settle_us = None;
        let told = live.alert.told.clone();
        self.tell(key, MessageKind::Resolved, &told, detail);
        let leader = self.state.live(key).and_then(|live| live.group);
        if let Some(leader) = leader {
            self.state.common.groups.remove(&leader);
        }
        self.changed(key);
    }

    /// Ends an alert without a message.
    pub(super) fn end_silently(&mut self, key: &Key, sign: u64, why: &str) {
        let now_us = self.now_us;
        let Some(live) = self.state.live(key) else { return };
        live.alert.state = AlertState::Resolved;
        live.alert.resolved_us = Some(now_us);
        live.is_recovery_told = true;
        live.is_pending = false;
        let (id, group) = (live.alert.id, live.group);
        let entry = self.state.entry(key);
        entry.in_a_row = 0;
        entry.times_us.clear();
        self.leave_group(key, group);
        self.note(id, sign, &key.rule, Decision::Resolved, None, Some(why.to_owned()));
        self.changed(key);
    }

    /// Removes an alert from its group. Returns the number of other members that still fire.
    pub(super) fn leave_group(&mut self, key: &Key, group: Option<u64>) -> usize {
        let Some(leader) = group else { return 0 };
        let Some(group) = self.state.common.groups.get_mut(&leader) else { return 0 };
        group.firing.remove(key);
        group.firing.len()
    }
}
