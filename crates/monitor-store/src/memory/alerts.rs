//! Signs and alerts.

use std::collections::{BTreeMap, BTreeSet};

use monitor_alerts::{Alert, Common, Entry, Hush, Key, Note, Relief, Sign, SubjectKind, What};
use monitor_wire::{Event, Process, State as ProcessState, WorkerId};

use super::{MemoryStore, State};
use crate::StoreError;
use crate::alerts::{
    AlertMemory, AlertQueries, AlertsChange, AlertsQuery, DeliveriesOf, Delivery, DeliveryState, FollowUp, NotesOf, StoredRule,
    definition_of,
};
use crate::batch::run_of;
use crate::signs::{self, Watched};

/// All data about signs and alerts.
#[derive(Default)]
pub(super) struct Alerts {
    pub(super) watched: Watched,
    /// Watched process names whose last sign was a success.
    well: Vec<String>,
    signs: Vec<Sign>,
    last_sign: u64,
    /// Agents by name, each with its latest worker, and true if that worker is lost.
    agents: BTreeMap<String, (WorkerId, bool)>,
    /// Names (program and host) of workers that were lost with open processes.
    lost_workers: BTreeSet<String>,
    cursor: u64,
    entries: BTreeMap<Key, Entry>,
    common: Common,
    all: BTreeMap<u64, Alert>,
    notes: Vec<Note>,
    deliveries: Vec<Delivery>,
    /// Tasks that alerts start, each with the time of the next attempt and its state.
    follow_ups: Vec<(FollowUp, u64, DeliveryState)>,
    hushes: Vec<Hush>,
    rules: BTreeMap<String, StoredRule>,
}

impl Alerts {
    pub(super) fn watch(&mut self, watched: Watched) {
        if self.watched != watched {
            self.watched = watched;
            self.well.clear();
        }
    }

    pub(super) fn sign(&mut self, sign: Sign) {
        self.last_sign += 1;
        self.signs.push(Sign { seq: self.last_sign, ..sign });
    }

    /// Records that an agent sent an event from `worker`. If the agent was lost, adds the sign of its return.
    pub(super) fn hear_of_agent(&mut self, agent: &str, worker: WorkerId, now_us: u64) {
        let was_away = self.agents.insert(agent.to_owned(), (worker, false)).is_some_and(|(_, is_away)| is_away);
        if was_away {
            self.sign(signs::of_agent(agent, true, now_us));
        }
    }

    /// Adds the sign of a return if a worker of this program and host was recorded as lost.
    pub(super) fn find_worker(&mut self, program: &str, host: &str, now_us: u64) {
        if self.lost_workers.remove(&signs::worker_name(program, host)) {
            self.sign(signs::of_worker(program, host, 0, true, now_us));
        }
    }

    /// Records the loss of a worker with `open` open processes, and adds its sign.
    pub(super) fn lose_worker(&mut self, program: &str, host: &str, open: u64, now_us: u64) {
        self.lost_workers.insert(signs::worker_name(program, host));
        self.sign(signs::of_worker(program, host, open, false, now_us));
    }

    /// Marks the agents that ran as a lost worker as lost, and adds their signs. Returns true if there are any.
    pub(super) fn lose(&mut self, worker: WorkerId, now_us: u64) -> bool {
        let lost = self.agents.iter_mut().filter(|(_, (of, is_away))| *of == worker && !*is_away);
        let names: Vec<String> = lost
            .map(|(name, (_, is_away))| {
                *is_away = true;
                name.clone()
            })
            .collect();
        for name in &names {
            self.sign(signs::of_agent(name, false, now_us));
        }
        !names.is_empty()
    }

    /// Returns the time of the latest occurrence of an alert about a task.
    pub(super) fn last_warning_us(&self, task: &str) -> Option<u64> {
        let is_of = |alert: &&Alert| alert.subject.kind == SubjectKind::Task && alert.subject.name == task;
        self.all.values().filter(is_of).map(|alert| alert.last_us).max()
    }

    pub(super) fn forget_old(&mut self, before_us: u64) {
        self.signs.retain(|sign| sign.time_us >= before_us);
        self.notes.retain(|note| note.time_us >= before_us);
    }
}

impl State {
    /// Adds the signs of a process whose state has changed. Returns true if the process is a run or has a watched name, and its new state
    /// counts for alerts.
    pub(super) fn sign_of_process(&mut self, process: &Process, before: Option<&ProcessState>, now_us: u64) -> bool {
        if before == Some(&process.state) {
            return false;
        }
        let run = run_of(process);
        let definition = run.as_ref().and_then(|run| self.batch.definition(&run.task));
        let has_started = |state: &ProcessState| *state != ProcessState::PENDING;
        if has_started(&process.state) && !before.is_some_and(has_started) {
            let late = signs::of_start(process, definition.as_ref(), now_us);
            if let Some(sign) = late {
                self.alerts.sign(sign);
            }
        }
        let Some(what) = signs::says(&process.state, process.reason.as_deref()) else { return false };
        if let Some(run) = run {
            self.alerts.sign(signs::of_process(process, what, definition.as_ref(), now_us));
            if what == What::Relief(Relief::Succeeded) && self.alerts.watched.fast {
                let fast = signs::of_fast(process, self.batch.past_ns(&run.task, &run.run), definition.as_ref(), now_us);
                if let Some(sign) = fast {
                    self.alerts.sign(sign);
                }
            }
            return true;
        }
        if let Some(sign) = signs::of_job(process, now_us) {
            self.alerts.sign(sign);
        }
        if !self.alerts.watched.has(&process.name) {
            return false;
        }
        let is_bad = matches!(what, What::Cause(_));
        let was_well = self.alerts.well.contains(&process.name);
        self.alerts.well.retain(|name| *name != process.name);
        if !is_bad {
            self.alerts.well.push(process.name.clone());
        }
        if is_bad || !was_well {
            self.alerts.sign(signs::of_process(process, what, None, now_us));
        }
        true
    }

    /// Adds the sign of a process that exceeds its timeout, if it is a run or has a watched name.
    pub(super) fn sign_of_overdue(&mut self, process: &Process, limit_us: u64, now_us: u64) {
        let run = run_of(process);
        if run.is_none() && !self.alerts.watched.has(&process.name) {
            return;
        }
        let definition = run.and_then(|run| self.batch.definition(&run.task));
        self.alerts.sign(signs::of_overdue(process, true, limit_us * 1_000, definition.as_ref(), now_us));
    }

    /// Adds the signs of an event that is about an agent, a task or a notification.
    pub(super) fn sign_of_event(&mut self, event: &Event, sender: WorkerId, now_us: u64) {
        if let Some(agent) = signs::agent_of(event) {
            self.alerts.hear_of_agent(agent, sender, now_us);
        }
        match event {
            Event::RunMissed(monitor_wire::RunMissed { task, .. }) | Event::RunSkipped(monitor_wire::RunSkipped { task, .. }) => {
                let definition = self.batch.definition(task);
                let sign = signs::of_decision(event, definition.as_ref(), now_us);
                if let Some(sign) = sign {
                    self.alerts.sign(sign);
                }
            }
            Event::BatchTaskChanged(changed) => {
                let before = self.batch.status(&changed.task);
                let definition = self.batch.definition(&changed.task);
                let sign = signs::of_task_change(before.as_ref(), changed, definition.as_ref(), now_us);
                if let Some(sign) = sign {
                    self.alerts.sign(sign);
                }
            }
            Event::ProcessNotified(notified) => self.alerts.sign(signs::of_notification(notified, now_us)),
            _ => {}
        }
    }

    pub(super) fn change_alerts(&mut self, change: &AlertsChange, now_us: u64) -> bool {
        let alerts = &mut self.alerts;
        if let Some((from, to)) = change.cursor {
            if alerts.cursor != from {
                return false;
            }
            alerts.cursor = to;
        }
        for (key, entry) in &change.entries {
            match entry {
                Some(entry) => drop(alerts.entries.insert(key.clone(), entry.clone())),
                None => drop(alerts.entries.remove(key)),
            }
        }
        if let Some(common) = &change.common {
            alerts.common = common.clone();
        }
        alerts.all.extend(change.alerts.iter().map(|alert| (alert.id, alert.clone())));
        alerts.notes.extend(change.notes.iter().cloned());
        for message in &change.messages {
            if alerts.deliveries.iter().all(|known| known.message.id != message.id) {
                let state = DeliveryState::Waiting;
                alerts.deliveries.push(Delivery { message: message.clone(), state, attempts: 0, next_us: message.time_us, answer: None });
            }
        }
        for attempt in &change.attempts {
            let is_it = |of: &&mut Delivery| of.message.id == attempt.message && of.state == DeliveryState::Waiting;
            if let Some(of) = alerts.deliveries.iter_mut().find(is_it) {
                of.attempts += 1;
                (of.state, of.next_us, of.answer) = (attempt.state, attempt.next_us, Some(attempt.answer.clone()));
            }
        }
        for order in &change.orders {
            if alerts.follow_ups.iter().all(|(known, ..)| known.order.alert != order.alert) {
                let follow_up = FollowUp { order: order.clone(), attempts: 0 };
                alerts.follow_ups.push((follow_up, order.time_us, DeliveryState::Waiting));
            }
        }
        for attempt in &change.followed {
            let is_it = |of: &&mut (FollowUp, u64, DeliveryState)| of.0.order.alert == attempt.alert && of.2 == DeliveryState::Waiting;
            if let Some(of) = alerts.follow_ups.iter_mut().find(is_it) {
                of.0.attempts += 1;
                (of.1, of.2) = (attempt.next_us, attempt.state);
            }
        }
        alerts.hushes.extend(change.hushes.iter().cloned());
        for id in &change.ended_hushes {
            if let Some(hush) = id.checked_sub(1).and_then(|place| alerts.hushes.get_mut(place as usize)) {
                hush.until_us = hush.until_us.min(now_us);
            }
        }
        for edit in &change.rules {
            let version = alerts.rules.get(&edit.name).map_or(0, |known| known.version) + 1;
            let definition = edit.rule.as_ref().map(definition_of);
            let rule = StoredRule { name: edit.name.clone(), version, changed_us: now_us, who: edit.who.clone(), definition };
            alerts.rules.insert(edit.name.clone(), rule);
        }
        change.signs.iter().for_each(|sign| alerts.sign(sign.clone()));
        true
    }
}

impl AlertQueries for MemoryStore {
    fn last_sign(&self) -> u64 {
        self.state().alerts.last_sign
    }

    fn signs_after(&self, seq: u64, limit: usize) -> Result<Vec<Sign>, StoreError> {
        Ok(self.state().alerts.signs.iter().filter(|sign| sign.seq > seq).take(limit).cloned().collect())
    }

    fn signs_between(&self, (from, to): (u64, u64), limit: usize) -> Result<Vec<Sign>, StoreError> {
        let state = self.state();
        let newest = state.alerts.signs.iter().rev().filter(|sign| (from..to).contains(&sign.time_us)).take(limit);
        let mut signs: Vec<Sign> = newest.cloned().collect();
        signs.reverse();
        Ok(signs)
    }

    fn signs_of(&self, root: &str, process: Option<&str>, limit: usize) -> Result<Vec<Sign>, StoreError> {
        let is_it = |sign: &&Sign| sign.root.as_deref() == Some(root) && (process.is_none() || sign.process.as_deref() == process);
        Ok(self.state().alerts.signs.iter().filter(is_it).take(limit).cloned().collect())
    }

    fn alert_memory(&self) -> Result<AlertMemory, StoreError> {
        let state = self.state();
        let entries = state.alerts.entries.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        Ok((state.alerts.cursor, entries, state.alerts.common.clone()))
    }

    fn alerts(&self, query: &AlertsQuery) -> Result<Vec<Alert>, StoreError> {
        let is_meant = |alert: &&Alert| {
            query.before.is_none_or(|before| alert.id < before)
                && query.state.is_none_or(|state| alert.state == state)
                && query.subject.as_ref().is_none_or(|subject| alert.subject.to_string() == *subject)
        };
        Ok(self.state().alerts.all.values().rev().filter(is_meant).take(query.limit).cloned().collect())
    }

    fn alert(&self, id: u64) -> Result<Option<Alert>, StoreError> {
        Ok(self.state().alerts.all.get(&id).cloned())
    }

    fn alert_notes(&self, of: NotesOf, limit: usize) -> Result<Vec<Note>, StoreError> {
        let is_of = |note: &&Note| match of {
            NotesOf::Alert(id) => id > 0 && note.alert == id,
            NotesOf::Sign(seq) => seq > 0 && note.sign == seq,
        };
        Ok(self.state().alerts.notes.iter().filter(is_of).take(limit).cloned().collect())
    }

    fn follow_ups_due(&self, now_us: u64, limit: usize) -> Result<Vec<FollowUp>, StoreError> {
        let state = self.state();
        let due = state.alerts.follow_ups.iter().filter(|(_, next_us, state)| *state == DeliveryState::Waiting && *next_us <= now_us);
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(_, next_us, _)| *next_us);
        Ok(due.into_iter().take(limit).map(|(of, ..)| of.clone()).collect())
    }

    fn deliveries_due(&self, now_us: u64, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let is_due = |of: &&Delivery| of.state == DeliveryState::Waiting && of.next_us <= now_us;
        let mut due: Vec<Delivery> = self.state().alerts.deliveries.iter().filter(is_due).cloned().collect();
        due.sort_by_key(|of| of.next_us);
        due.truncate(limit);
        Ok(due)
    }

    fn next_delivery_us(&self) -> Result<Option<u64>, StoreError> {
        let state = self.state();
        Ok(state.alerts.deliveries.iter().filter(|of| of.state == DeliveryState::Waiting).map(|of| of.next_us).min())
    }

    fn deliveries(&self, of: DeliveriesOf<'_>, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let is_of = |delivery: &&Delivery| match of {
            DeliveriesOf::Alert(alert) => delivery.message.alert == alert,
            DeliveriesOf::Channel(channel) => delivery.message.channel == channel,
        };
        Ok(self.state().alerts.deliveries.iter().rev().filter(is_of).take(limit).cloned().collect())
    }

    fn hushes(&self, now_us: u64) -> Result<Vec<(u64, Hush)>, StoreError> {
        let state = self.state();
        let hushes = (1..).zip(&state.alerts.hushes).filter(|(_, hush)| hush.until_us > now_us);
        Ok(hushes.map(|(id, hush)| (id, hush.clone())).collect())
    }

    fn alert_rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        Ok(self.state().alerts.rules.values().cloned().collect())
    }
}
