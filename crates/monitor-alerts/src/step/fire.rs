//! Starts alerts, counts their recurrences, and reopens them.

use super::{FLAPPING_US, HOLD_US, JOINING_US, LEAF_US, LONGEST_JOINING_US, MOST_NAMES, Order, Stepper};
use crate::alert::{Alert, AlertState, Decision};
use crate::cause::Cause;
use crate::message::MessageKind;
use crate::rule::Rule;
use crate::sign::{Sign, SubjectKind};
use crate::state::{Group, Key, Live};

/// Maximum number of [`Decision::Counted`] notes per alert. Further occurrences only increase its count.
const MOST_COUNTED: u64 = 20;

impl Stepper<'_> {
    pub(super) fn fire(&mut self, rule: &Rule, key: &Key, sign: &Sign, cause: Cause) {
        if let Some(machine) = self.machine_away(sign, cause) {
            return self.note(0, sign.seq, &rule.name, Decision::MachineAway, Some(machine), None);
        }
        if self.is_above_a_leaf(sign, cause) {
            return self.note(0, sign.seq, &rule.name, Decision::LeafTold, None, None);
        }
        self.state.common.alerts += 1;
        let severity = match sign.facts.severity {
            Some(severity) if cause == Cause::Notified => severity,
            _ => rule.severity.unwrap_or_else(|| cause.severity()),
        };
        let alert = Alert {
            id: self.state.common.alerts,
            rule: rule.name.clone(),
            subject: sign.subject.clone(),
            cause,
            severity,
            state: AlertState::Firing,
            since_us: sign.time_us,
            last_us: sign.time_us,
            resolved_us: None,
            count: 1,
            acknowledged_by: None,
            told: Vec::new(),
            facts: sign.facts.clone(),
        };
        let is_held = cause == Cause::Lost && sign.agent.is_some() && follows_machine(sign.subject.kind);
        let hold_us = is_held.then(|| self.now_us + HOLD_US);
        let id = alert.id;
        self.state.entry(key).live = Some(Live {
            alert,
            is_pending: true,
            hold_us,
            is_recovery_told: false,
            group: None,
            back: 0,
            settle_us: None,
            remind_us: None,
            escalated: 0,
            told_us: None,
        });
        self.note(id, sign.seq, &rule.name, Decision::Fired, None, None);
        if hold_us.is_none() {
            self.tell_if_not_hushed(rule, key);
        }
        self.mark_above(key, sign);
        self.follow(rule, key, sign);
        self.changed(key);
    }

    /// Counts another occurrence of a firing alert.
    pub(super) fn grow(&mut self, key: &Key, sign: &Sign) {
        let now_us = self.now_us;
        let Some(live) = self.state.live(key) else { return };
        live.alert.count = live.alert.count.saturating_add(1);
        live.alert.last_us = live.alert.last_us.max(sign.time_us);
        live.alert.facts = sign.facts.clone();
        let (id, count, group) = (live.alert.id, live.alert.count, live.group);
        if let Some(group) = group.and_then(|leader| self.state.common.groups.get_mut(&leader)) {
            group.grow(now_us);
        }
        if count <= MOST_COUNTED {
            self.note(id, sign.seq, &key.rule, Decision::Counted, None, None);
        }
        self.mark_above(key, sign);
        self.changed(key);
    }

    /// Reopens an alert that recurs shortly after its end.
    pub(super) fn reopen(&mut self, rule: &Rule, key: &Key, sign: &Sign, cause: Cause) {
        let Some(live) = self.state.live(key) else { return };
        let alert = &mut live.alert;
        (alert.state, alert.resolved_us) = (AlertState::Firing, None);
        alert.count = alert.count.saturating_add(1);
        alert.last_us = alert.last_us.max(sign.time_us);
        alert.facts = sign.facts.clone();
        live.back += 1;
        live.settle_us = None;
        live.group = None;
        let (id, was_told, is_new) = (alert.id, live.is_recovery_told, alert.told.is_empty());
        if is_new {
            // The previous occurrence was never reported.
            (alert.cause, alert.since_us, alert.count) = (cause, sign.time_us, 1);
            (live.back, live.hold_us) = (0, None);
        }
        if was_told || is_new {
            live.is_pending = true;
        }
        live.is_recovery_told = false;
        self.note(id, sign.seq, &rule.name, Decision::Back, None, None);
        if was_told || is_new {
            self.tell_if_not_hushed(rule, key);
        }
        self.changed(key);
    }

    /// Notifies the recipients of the rule that the alert fires, unless a hush applies.
    pub(super) fn tell_if_not_hushed(&mut self, rule: &Rule, key: &Key) {
        let Some((alert, is_back)) = self.state.live(key).map(|live| (live.alert.clone(), !live.alert.told.is_empty())) else { return };
        if let Some((who, detail)) = self.hushed_by(rule, &alert) {
            return self.note(alert.id, 0, &rule.name, Decision::Hushed, who, Some(detail));
        }
        let targets = self.targets(rule, rule.to.as_deref().unwrap_or_default(), &alert);
        let now_us = self.now_us;
        if let Some(live) = self.state.live(key) {
            live.is_pending = false;
            live.told_us = live.told_us.or(Some(now_us));
            live.remind_us = rule.repeat.map(|repeat| now_us + repeat.as_micros() as u64);
            live.alert.told.clone_from(&targets);
        }
        let joining = Group::key_of(&alert, &targets);
        let open = self.state.common.groups.iter_mut().find(|(_, group)| group.closes_us.is_some() && group.key == joining);
        if let Some((leader, group)) = open.filter(|_| !is_back) {
            let leader = *leader;
            group.join(key, now_us);
            if let Some(live) = self.state.live(key) {
                live.group = Some(leader);
            }
            return self.note(alert.id, 0, &rule.name, Decision::Joined, None, Some(format!("alert {leader} has the same words")));
        }
        let mut group = Group { key: joining, opened_us: now_us, ..Group::default() };
        group.join(key, now_us);
        group.told = group.count;
        self.state.common.groups.insert(alert.id, group);
        if let Some(live) = self.state.live(key) {
            live.group = Some(alert.id);
        }
        let (kind, note) = if is_back { (MessageKind::Updated, Some("it is back")) } else { (MessageKind::Fired, None) };
        self.tell(key, kind, &targets, note);
    }

    /// Returns the machine of a sign if the machine is lost and the sign is a consequence of that.
    fn machine_away(&self, sign: &Sign, cause: Cause) -> Option<String> {
        let follows = matches!(cause, Cause::Lost | Cause::Missed | Cause::Late | Cause::Timeout | Cause::Slow | Cause::Skipped);
        if !follows || !follows_machine(sign.subject.kind) {
            return None;
        }
        let names = [sign.agent.as_ref(), sign.facts.machine.as_ref()];
        names.into_iter().flatten().find(|name| self.state.common.away.contains_key(*name)).cloned()
    }

    /// Returns true if a descendant has recently failed and its alert was sent.
    fn is_above_a_leaf(&self, sign: &Sign, cause: Cause) -> bool {
        let told_us = sign.process.as_ref().and_then(|process| self.state.common.above.get(process));
        matches!(cause, Cause::Failed | Cause::Lost) && told_us.is_some_and(|told_us| sign.time_us.saturating_sub(*told_us) <= LEAF_US)
    }

    /// Remembers the ancestors of a failed process whose alert was sent.
    fn mark_above(&mut self, key: &Key, sign: &Sign) {
        let is_told = self.state.live(key).is_some_and(|live| !live.alert.told.is_empty());
        if is_told && matches!(sign.what.as_str(), "failed" | "lost") {
            let ancestors = sign.ancestors.iter().map(|process| (process.clone(), sign.time_us));
            self.state.common.above.extend(ancestors);
        }
    }

    /// Orders the follow-up task of the rule.
    fn follow(&mut self, rule: &Rule, key: &Key, sign: &Sign) {
        let Some(follow) = &rule.then else { return };
        let Some(id) = self.state.live(key).map(|live| live.alert.id) else { return };
        let why_not =
            |stepper: &mut Self, why: &str| stepper.note(id, sign.seq, &rule.name, Decision::NotFollowed, None, Some(why.to_owned()));
        if sign.facts.trigger.as_deref().is_some_and(|trigger| trigger.starts_with("alert")) {
            return why_not(self, "an alert started this run itself");
        }
        let (task, repeats) = match (&follow.run, sign.subject.kind) {
            (Some(task), _) => (task.clone(), None),
            (None, SubjectKind::Task) => (sign.subject.name.clone(), sign.facts.run.clone()),
            (None, _) => return why_not(self, "it is about no run that could be repeated"),
        };
        let now_us = self.now_us;
        let followed = self.state.common.followed.entry(format!("{} {}", key.rule, key.subject)).or_default();
        followed.retain(|time_us| now_us.saturating_sub(*time_us) < follow.within.as_micros() as u64);
        if followed.len() >= follow.at_most as usize {
            return why_not(self, "it was done as often as the rule allows");
        }
        followed.push(now_us);
        self.note(id, sign.seq, &rule.name, Decision::Followed, None, Some(task.clone()));
        self.out.orders.push(Order { alert: id, time_us: now_us, rule: rule.name.clone(), task, repeats, agent: sign.agent.clone() });
    }
}

impl Group {
    fn key_of(alert: &Alert, targets: &[crate::alert::Target]) -> String {
        let words = alert.facts.shape.as_deref().or(alert.facts.reason.as_deref()).unwrap_or_default();
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        format!("{}\u{0}{}\u{0}{words}\u{0}{}", alert.rule, alert.cause, targets.join(","))
    }

    fn join(&mut self, key: &Key, now_us: u64) {
        if self.firing.insert(key.clone()) {
            self.subjects += 1;
            if self.names.len() < MOST_NAMES {
                self.names.push(key.subject.name.clone());
            }
        }
        self.count += 1;
        self.closes_us = Some((now_us + JOINING_US).min(self.opened_us + LONGEST_JOINING_US));
    }

    fn grow(&mut self, now_us: u64) {
        self.count += 1;
        if self.closes_us.is_some() {
            self.closes_us = Some((now_us + JOINING_US).min(self.opened_us + LONGEST_JOINING_US));
        }
    }
}

/// Returns true if the alert about a lost machine replaces those about its subjects of this kind. A job has many machines, so its own
/// alert names the job that lost them.
fn follows_machine(kind: SubjectKind) -> bool {
    !matches!(kind, SubjectKind::Agent | SubjectKind::Channel | SubjectKind::Server | SubjectKind::Job)
}

/// Returns true if the alert can no longer recur and can be forgotten.
pub(super) fn is_over_for_good(live: &Live, now_us: u64) -> bool {
    let resolved_us = live.alert.resolved_us.unwrap_or(0);
    !live.is_firing() && live.settle_us.is_none() && now_us >= resolved_us.saturating_add(FLAPPING_US)
}
