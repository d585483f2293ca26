//! Stores events, and changes made by users and by the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use monitor_state::{ProcessEvent, ProcessFacts, WorkerStatus, about_worker, is_about_liveness};
use monitor_wire::{
    Batch, Dropped, Event, Fields, LogEntry, Process, ProcessId, ProcessOverdue, RootId, State as ProcessState, StreamMessage,
    UnknownEvent, WorkerChanged, WorkerId, WorkerOffline,
};

use super::{MemoryStore, Piece, Seen, State, Tree};
use crate::batch::run_of;
use crate::event_log::{self, Run};
use crate::packed::{Packed, compact};
use crate::{
    AlertsChange, Changes, HeartbeatEdit, Intake, MissedPing, RootKey, StoreError, Subject, TaskChange, TasksChanged, Watched, signs,
};

/// Silence, in microseconds, after which a worker that never announced itself counts as offline if it has no open process.
const IDLE_US: u64 = 15 * 60 * 1_000_000;
/// Number of processes that a change of their workers reports one by one. Beyond that, only the trees are reported.
const MAX_LEFT: usize = 1_000;
/// Minimum time between two signs about dropped events of the same worker, in microseconds.
const SAID_EVERY_US: u64 = 60_000_000;
/// Sender of the events that the server makes itself.
const NOBODY: u128 = 1;

/// An event that becomes a message of the stream.
struct Line {
    event: Event,
    /// Index of the batch, and of the event in that batch. `None` if the server made the event.
    of: Option<(usize, usize)>,
    sender: WorkerId,
    about: Subject,
    is_alone: bool,
}

/// A transaction in progress.
struct Transaction<'a> {
    state: &'a mut State,
    now_us: u64,
    keep_logs: usize,
    lines: Vec<Line>,
    new_workers: Vec<WorkerId>,
    workers_before: BTreeMap<WorkerId, WorkerStatus>,
    processes_before: BTreeMap<(RootId, ProcessId), ProcessState>,
    /// Processes of `processes_before` with a known start. States of the others count as new, because an end without a start is no sign.
    defined_before: BTreeSet<(RootId, ProcessId)>,
    /// Workers lost in this transaction that are not agents, each with the number of its open processes.
    lost_workers: Vec<(WorkerId, u64)>,
}

impl Intake for MemoryStore {
    fn append(&self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes, StoreError> {
        let mut state = self.state();
        Ok(self.transaction(&mut state, batches, now_us, |transaction| {
            for (place, batch) in batches.iter().enumerate() {
                transaction.take(place, batch);
            }
        }))
    }

    fn lose_workers(&self, now_us: u64, since_us: u64) -> Result<Changes, StoreError> {
        let mut state = self.state();
        Ok(self.transaction(&mut state, &[], now_us, |transaction| {
            for place in 0..transaction.state.workers.len() {
                transaction.give_up(place, since_us);
            }
        }))
    }

    fn find_overdue(&self, now_us: u64) -> Result<Changes, StoreError> {
        let mut state = self.state();
        let found: Vec<_> = state.all().flat_map(|shown| state.overdue_of(shown, now_us)).collect();
        let paused = state.batch.long_pauses(now_us);
        for sign in paused {
            state.alerts.sign(sign);
        }
        Ok(self.transaction(&mut state, &[], now_us, |transaction| {
            for (number, process, limit_us) in found {
                transaction.state.trees.get_mut(&number).expect("it was just shown").overdue.push(process.id);
                let about = Subject { root_id: Some(process.root_id), process_id: Some(process.id), worker_id: None };
                transaction.state.sign_of_overdue(&process, limit_us, now_us);
                let Process { root_id, id, .. } = process;
                let reason = "timeout".to_owned();
                let event = Event::ProcessOverdue(ProcessOverdue { root_id, id, time_us: now_us, limit_ns: limit_us * 1_000, reason });
                transaction.push(event, about);
            }
        }))
    }

    fn pin(&self, root: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>, StoreError> {
        let mut state = self.state();
        let Some(number) = state.number(root) else { return Ok(None) };
        if state.trees[&number].is_pinned == is_pinned {
            return Ok(Some(Changes::none()));
        }
        Ok(Some(self.transaction(&mut state, &[], now_us, |transaction| {
            let tree = transaction.state.trees.get_mut(&number).expect("it has a number");
            tree.is_pinned = is_pinned;
            let about = Subject { root_id: Some(tree.id), ..Subject::default() };
            let fields = serde_json::json!({"root_id": tree.id, "number": number, "time_us": now_us});
            transaction.push_own(if is_pinned { "root-pinned" } else { "root-unpinned" }, fields, about);
        })))
    }

    fn drop_root(&self, root: RootKey, may_run: bool, now_us: u64) -> Result<Option<Changes>, StoreError> {
        let mut state = self.state();
        let Some(number) = state.number(root) else { return Ok(None) };
        let shown = state.show(number).expect("it has a number");
        let is_running = shown.root.counts.running + shown.root.counts.pending > 0;
        if shown.root.pinned || (is_running && !may_run) {
            return Ok(Some(Changes::none()));
        }
        Ok(Some(self.drop_trees(&mut state, &[number], "asked", now_us)))
    }

    fn move_cursor(&self, name: &str, from: Option<u64>, to: u64) -> Result<bool, StoreError> {
        let mut state = self.state();
        let is_there = state.cursors.get(name).copied() == from;
        if is_there {
            state.cursors.insert(name.to_owned(), to);
        }
        Ok(is_there)
    }

    fn change_tasks(&self, changes: &[TaskChange], now_us: u64) -> Result<(TasksChanged, Changes), StoreError> {
        let mut state = self.state();
        let before: Vec<_> =
            changes.iter().map(|change| (state.batch.status(&change.name), state.batch.definition(&change.name))).collect();
        let (outcome, events) = {
            let State { batch, heartbeats, .. } = &mut *state;
            batch.change(changes, heartbeats, now_us)
        };
        for event in &events {
            let Event::BatchTaskChanged(of) = event else { continue };
            let before = changes.iter().zip(&before).find(|(change, _)| change.name == of.task).and_then(|(_, before)| before.0.as_ref());
            let definition = state.batch.definition(&of.task);
            let sign = signs::of_task_change(before, of, definition.as_ref(), now_us);
            if let Some(sign) = sign {
                state.alerts.sign(sign);
            }
        }
        let told = self.transaction(&mut state, &[], now_us, |transaction| {
            for event in events {
                transaction.push(event, Subject::default());
            }
        });
        Ok((outcome, told))
    }

    fn change_heartbeat(&self, edit: HeartbeatEdit, now_us: u64) -> Result<(bool, Changes), StoreError> {
        let mut state = self.state();
        let removed = if let HeartbeatEdit::Delete(name) = &edit { Some(name.clone()) } else { None };
        let is_done = state.heartbeats.change(edit, now_us);
        if let Some(name) = removed.filter(|_| is_done) {
            state.alerts.sign(signs::of_removed_heartbeat(&name, now_us));
        }
        Ok((is_done, Changes::none()))
    }

    fn miss_pings(&self, missed: &[MissedPing], now_us: u64) -> Result<Changes, StoreError> {
        let mut state = self.state();
        let events = state.heartbeats.miss(missed, now_us);
        Ok(self.transaction(&mut state, &[], now_us, |transaction| {
            for event in events {
                transaction.state.batch.take(&event, now_us);
                transaction.push(event, Subject::default());
            }
        }))
    }

    fn watch(&self, watched: Watched) -> Result<(), StoreError> {
        self.state().alerts.watch(watched);
        Ok(())
    }

    fn change_alerts(&self, change: &AlertsChange, now_us: u64) -> Result<bool, StoreError> {
        Ok(self.state().change_alerts(change, now_us))
    }

    fn look(&self, _is_well: bool) -> Result<(), StoreError> {
        Ok(())
    }
}

impl MemoryStore {
    pub(super) fn drop_trees(&self, state: &mut State, numbers: &[u64], reason: &str, now_us: u64) -> Changes {
        self.transaction(state, &[], now_us, |transaction| {
            for number in numbers {
                let tree = transaction.state.trees.remove(number).expect("it was just there");
                transaction.state.numbers.remove(&tree.id);
                transaction.state.facts.forget(tree.id);
                transaction.processes_before.retain(|(root, _), _| *root != tree.id);
            }
            let fields = serde_json::json!({"numbers": numbers, "reason": reason, "time_us": now_us});
            transaction.push_own("roots-dropped", fields, Subject::default());
        })
    }

    /// Runs `act` and returns the changes that it made, with models as of the end of the transaction.
    fn transaction(&self, state: &mut State, batches: &[Arc<Packed>], now_us: u64, act: impl FnOnce(&mut Transaction<'_>)) -> Changes {
        let workers_before = state.facts.workers().map(|(id, facts)| (id, facts.status())).collect();
        let processes = state.all().flat_map(|shown| shown.processes);
        let processes_before: BTreeMap<_, _> = processes.map(|process| ((process.root_id, process.id), process.state)).collect();
        let is_defined = |(root, id): &&(RootId, ProcessId)| state.facts.process(*root, *id).is_some_and(ProcessFacts::is_defined);
        let defined_before = processes_before.keys().filter(is_defined).copied().collect();
        let (lines, new_workers, lost_workers) = (Vec::new(), Vec::new(), Vec::new());
        let keep_logs = self.keep_logs;
        let mut transaction =
            Transaction { state, now_us, keep_logs, lines, new_workers, workers_before, processes_before, defined_before, lost_workers };
        act(&mut transaction);
        transaction.tell_left();
        transaction.settle_runs();
        let messages = transaction.messages();
        let Transaction { lines, .. } = transaction;
        let first = state.seq + 1;
        state.seq += lines.len() as u64;
        if !lines.is_empty() && self.keep_events.bytes > 0 {
            state.write_piece(first, &lines, batches, now_us);
        }
        self.trim_bytes(state);
        Changes::new(first, messages)
    }
}

impl Transaction<'_> {
    /// Applies the events of a batch that were not applied before.
    fn take(&mut self, place: usize, packed: &Packed) {
        let id = packed.worker.id;
        if !packed.lost {
            self.hear_of(id);
        }
        let head = Batch {
            version: monitor_wire::VERSION,
            worker: packed.worker.clone(),
            sequence: packed.sequence,
            sent_us: packed.sent_us,
            dropped: Vec::new(),
            lost: false,
            events: Vec::new(),
        };
        let seen = self.seen(id);
        for Dropped { event_type, reason, root_id, count } in &packed.dropped {
            let known = seen.dropped.entry((event_type.clone(), reason.clone(), *root_id)).or_default();
            let before = std::mem::replace(known, (*known).max((*count).min(i64::MAX as u64)));
            seen.unsaid = seen.unsaid.saturating_add(*known - before);
        }
        self.state.facts.apply_batch(&head);
        for (index, number) in (0..packed.len()).zip(packed.sequence..) {
            if self.state.facts.applied(id).is_some_and(|applied| applied.contains(number)) {
                continue;
            }
            let event = packed.event(index);
            self.take_event((place, index), number, id, &event, &head);
        }
        let now_us = self.now_us;
        let seen = self.seen(id);
        if !packed.lost && packed.sent_us > 0 {
            let lag = now_us.min(i64::MAX as u64) as i64 - packed.sent_us.min(i64::MAX as u64) as i64;
            seen.lag_us = Some(seen.lag_us.map_or(lag, |least| least.min(lag)));
        }
        if packed.lost {
            self.lose(id);
        }
    }

    fn take_event(&mut self, of: (usize, usize), number: u64, sender: WorkerId, event: &Event, head: &Batch) {
        let about = ProcessEvent::of(event);
        let relayed = about.as_ref().map_or_else(|| about_worker(event, sender).1, |about| about.worker);
        let is_void = relayed.is_some_and(|relayed| relayed.id != sender && self.reports_itself(relayed.id));
        if let Some(relayed) = relayed.filter(|relayed| relayed.id != sender && !is_void) {
            self.hear_of(relayed.id);
        }
        let about_whom = relayed.filter(|_| !is_void).map_or(sender, |relayed| relayed.id);
        *self.seen(about_whom).events.entry(event.type_name().to_owned()).or_default() += 1;
        self.state.facts.apply_batch(&Batch { sequence: number, events: vec![event.clone()], ..head.clone() });
        self.state.events += 1;
        let mut subject = Subject::default();
        if let Event::ProcessNotified(_) = event {
            self.state.sign_of_event(event, sender, self.now_us);
        }
        if let Some(about) = &about {
            let (now_us, keep) = (self.now_us, self.keep_logs);
            let tree = self.state.tree(about.root_id);
            tree.heard_us = now_us;
            if let Event::ProcessLogged(logged) = event {
                let entry = LogEntry {
                    process_id: logged.id,
                    time_us: logged.time_us,
                    level: logged.level.clone(),
                    message: logged.message.clone(),
                    target: logged.target.clone(),
                    stream: logged.stream.clone(),
                    fields: logged.fields.clone(),
                    worker_id: about.worker.map_or(sender, |worker| worker.id),
                    number,
                };
                tree.logs.entry(logged.id).or_default().add(entry, keep);
            }
            subject = Subject { root_id: Some(about.root_id), process_id: Some(about.id), worker_id: None };
        } else if !matches!(event, Event::Unknown(_)) {
            self.seen(about_worker(event, sender).0);
            if let Event::WorkerOnline(_) = event
                && !is_void
            {
                self.find_worker(about_worker(event, sender).0);
            }
            self.state.sign_of_event(event, about_worker(event, sender).0, self.now_us);
            self.state.batch.take(event, self.now_us);
        }
        self.lines.push(Line { event: event.clone(), of: Some(of), sender, about: subject, is_alone: false });
    }

    fn seen(&mut self, id: WorkerId) -> &mut Seen {
        let workers = &mut self.state.workers;
        let place = workers.iter().position(|seen| seen.id == id).unwrap_or_else(|| {
            self.new_workers.push(id);
            workers.push(Seen {
                id,
                last_seen_us: 0,
                lag_us: None,
                dropped: BTreeMap::new(),
                unsaid: 0,
                said_us: None,
                events: BTreeMap::new(),
            });
            workers.len() - 1
        });
        &mut workers[place]
    }

    fn reports_itself(&self, id: WorkerId) -> bool {
        self.state.facts.workers().any(|(of, facts)| of == id && facts.reports_itself())
    }

    /// Records that a worker is active. If it was lost or idle, it becomes found.
    fn hear_of(&mut self, id: WorkerId) {
        let now_us = self.now_us;
        let seen = self.seen(id);
        seen.last_seen_us = seen.last_seen_us.max(now_us);
        if self.state.facts.workers().any(|(of, facts)| of == id && facts.is_missed()) {
            let time_us = self.change_us(id);
            self.push_about(id, Event::WorkerFound(WorkerChanged { time_us, worker_id: id }));
            self.find_worker(id);
        }
    }

    /// Marks a worker as lost if it is online.
    fn lose(&mut self, id: WorkerId) {
        if self.state.facts.worker_status(id) == WorkerStatus::Online {
            let now_us = self.now_us;
            let seen = self.seen(id);
            if seen.last_seen_us == 0 {
                seen.last_seen_us = now_us;
            }
            let time_us = self.change_us(id);
            let open = self.state.open_at(id) as u64;
            self.push_about(id, Event::WorkerLost(WorkerChanged { time_us, worker_id: id }));
            if !self.state.alerts.lose(id, now_us) && open > 0 {
                self.lost_workers.push((id, open));
            }
        }
    }

    /// Ends the recorded loss of workers with the same program and host.
    fn find_worker(&mut self, id: WorkerId) {
        if let Some((program, host)) = self.state.names_of(id) {
            self.state.alerts.find_worker(&program, &host, self.now_us);
        }
    }

    /// Adds a sign for each worker that dropped events, at most once per worker and minute.
    fn sign_of_drops(&mut self) {
        let now_us = self.now_us;
        for place in 0..self.state.workers.len() {
            let seen = &mut self.state.workers[place];
            if seen.unsaid == 0 || seen.said_us.is_some_and(|said_us| now_us.saturating_sub(said_us) < SAID_EVERY_US) {
                continue;
            }
            seen.said_us = Some(now_us);
            let (id, count) = (seen.id, std::mem::take(&mut seen.unsaid));
            if let Some((program, host)) = self.state.names_of(id) {
                self.state.alerts.sign(signs::of_drops(&program, &host, count, now_us));
            }
        }
    }

    /// Marks a worker as lost if its heartbeats have stopped, or as offline if it never announced itself and was silent for [`IDLE_US`].
    fn give_up(&mut self, place: usize, since_us: u64) {
        let Seen { id, last_seen_us, .. } = self.state.workers[place];
        let Some((_, facts)) = self.state.facts.workers().find(|(of, _)| *of == id) else { return };
        let is_unannounced = facts.online().is_none();
        let patience_us = if is_unannounced {
            Some(IDLE_US).filter(|_| self.state.open_at(id) == 0)
        } else {
            facts.heartbeat_interval_ms().map(|interval| interval.saturating_mul(2_000))
        };
        let is_due = |patience: u64| last_seen_us.max(since_us).saturating_add(patience) <= self.now_us;
        if facts.status() != WorkerStatus::Online || !patience_us.is_some_and(is_due) {
            return;
        }
        if is_unannounced {
            let time_us = self.change_us(id);
            self.push_about(id, Event::WorkerOffline(WorkerOffline { time_us, worker: None }));
        } else {
            self.lose(id);
        }
    }

    /// Returns the time for the next loss or find. It is later than the previous one, because the latest decides.
    fn change_us(&self, id: WorkerId) -> u64 {
        let judged = self.state.facts.workers().find(|(of, _)| *of == id).and_then(|(_, facts)| facts.judged_us());
        judged.map_or(self.now_us, |before| self.now_us.max(before.saturating_add(1)))
    }

    /// Applies an event about a worker that the server makes itself.
    fn push_about(&mut self, id: WorkerId, event: Event) {
        self.state.facts.apply(0, id, &event);
        let about = Subject { worker_id: Some(id), ..Subject::default() };
        self.lines.push(Line { event, of: None, sender: id, about, is_alone: true });
    }

    /// Adds an event about trees that the server makes itself.
    fn push_own(&mut self, event_type: &str, fields: serde_json::Value, about: Subject) {
        let serde_json::Value::Object(mut fields) = fields else { unreachable!("events are objects") };
        fields.insert("type".to_owned(), event_type.into());
        let fields = fields.into_iter().collect::<Fields>();
        self.push(Event::Unknown(UnknownEvent { event_type: event_type.to_owned(), fields }), about);
    }

    /// Adds the signs of all processes and updates the stored runs of batch tasks. Runs of dropped trees stay unchanged.
    fn settle_runs(&mut self) {
        let mut runs: Vec<Process> = self.state.all().flat_map(|shown| shown.processes).collect();
        // Signs are added in the order of the ends.
        runs.sort_by_key(|process| process.ended_us);
        let mut signed_lost = Vec::new();
        for process in &runs {
            let key = (process.root_id, process.id);
            let before = self.processes_before.get(&key).filter(|_| self.defined_before.contains(&key));
            if self.state.sign_of_process(process, before, self.now_us) && process.state == ProcessState::LOST {
                signed_lost.extend(process.worker_id);
            }
            if let Some(run) = run_of(process) {
                self.state.heartbeats.take_run(&run);
                self.state.batch.take_run(run);
            }
        }
        self.sign_of_drops();
        for (id, open) in std::mem::take(&mut self.lost_workers) {
            if let Some((program, host)) = self.state.names_of(id).filter(|_| !signed_lost.contains(&id)) {
                self.state.alerts.lose_worker(&program, &host, open, self.now_us);
            }
        }
    }

    fn push(&mut self, event: Event, about: Subject) {
        let sender = WorkerId::new(NOBODY).expect("not zero");
        self.lines.push(Line { event, of: None, sender, about, is_alone: true });
    }

    /// Adds a line for each process that changed with its worker and that no event names. See [`MAX_LEFT`].
    fn tell_left(&mut self) {
        let named: Vec<_> = self.lines.iter().filter_map(|line| line.about.root_id.zip(line.about.process_id)).collect();
        let mut changed: Vec<WorkerId> = Vec::new();
        for line in &self.lines {
            if is_about_liveness(&line.event) {
                let id = about_worker(&line.event, line.sender).0;
                let before = self.workers_before.get(&id).copied().unwrap_or_default();
                if before != self.state.facts.worker_status(id) && !changed.contains(&id) {
                    changed.push(id);
                }
            }
        }
        if changed.is_empty() {
            return;
        }
        let left: Vec<Process> = self.state.all().flat_map(|shown| shown.processes).collect();
        let (mut told, mut trees) = (0, Vec::new());
        for worker in changed {
            let is_about = |line: &&Line| is_about_liveness(&line.event) && about_worker(&line.event, line.sender).0 == worker;
            let Some(last) = self.lines.iter().rev().find(is_about) else { continue };
            let (event, of, sender) = (last.event.clone(), last.of, last.sender);
            for process in &left {
                let key = (process.root_id, process.id);
                let is_open = self.state.facts.process(key.0, key.1).is_some_and(|facts| facts.open_at().contains(&worker));
                if !is_open || named.contains(&key) || self.processes_before.get(&key).is_none_or(|before| *before == process.state) {
                    continue;
                }
                let is_told = told < MAX_LEFT;
                if !is_told {
                    if trees.contains(&(key.0, worker)) {
                        continue;
                    }
                    trees.push((key.0, worker));
                }
                told += 1;
                let about = Subject { root_id: Some(key.0), process_id: Some(key.1).filter(|_| is_told), worker_id: Some(worker) };
                self.lines.push(Line { event: event.clone(), of, sender, about, is_alone: true });
            }
        }
    }

    /// Returns the stream messages of all lines, with models as of the end of the transaction.
    fn messages(&mut self) -> Vec<StreamMessage> {
        let (mut trees, mut workers) = (BTreeMap::new(), BTreeMap::new());
        for line in &mut self.lines {
            if !line.is_alone {
                let of_event = match ProcessEvent::of(&line.event) {
                    Some(about) => Some(about.worker.map_or(line.sender, |worker| worker.id)).filter(|id| self.new_workers.contains(id)),
                    None => Some(about_worker(&line.event, line.sender).0),
                };
                line.about.worker_id = of_event;
            }
        }
        let state = &*self.state;
        let message = |line: &Line| {
            let shown =
                line.about.root_id.and_then(|id| trees.entry(id).or_insert_with(|| state.show(state.number(RootKey::Id(id))?)).as_ref());
            let process = shown.zip(line.about.process_id).and_then(|(shown, id)| shown.processes.iter().find(|process| process.id == id));
            let process = process.map(|process| Process { depth: None, ..process.clone() });
            let view = |id| state.worker(state.workers.iter().find(|seen| seen.id == id)?);
            let worker = line.about.worker_id.and_then(|id| workers.entry(id).or_insert_with(|| view(id)).clone());
            let log = line.about.root_id.zip(line.about.process_id).and_then(|(root, id)| match &line.event {
                Event::ProcessLogged(logged) => {
                    let log = state.trees.get(&state.number(RootKey::Id(root))?)?.logs.get(&id)?;
                    log.lines().find(|entry| entry.time_us == logged.time_us && entry.message == logged.message).cloned()
                }
                _ => None,
            });
            StreamMessage { event: line.event.clone(), root: shown.map(|shown| shown.root.clone()), process, worker, log, as_of: 0 }
        };
        self.lines.iter().map(message).collect()
    }
}

impl State {
    fn tree(&mut self, id: RootId) -> &mut Tree {
        let number = *self.numbers.entry(id).or_insert_with(|| {
            self.last_number += 1;
            self.last_number
        });
        let new = || Tree { id, heard_us: 0, is_pinned: false, overdue: Vec::new(), logs: BTreeMap::new() };
        self.trees.entry(number).or_insert_with(new)
    }

    /// Returns the processes of a tree that have become overdue: tree number, process and limit in microseconds.
    fn overdue_of(&self, shown: super::trees::Shown, now_us: u64) -> Vec<(u64, Process, u64)> {
        let (number, overdue) = (shown.root.number, &self.trees[&shown.root.number].overdue);
        let due = |process: Process| {
            let limit_us = self.facts.process(process.root_id, process.id)?.timeout_ms()?.saturating_mul(1_000);
            let seen = self.workers.iter().find(|seen| Some(seen.id) == process.worker_id);
            let lag_us = seen.and_then(|seen| seen.lag_us).unwrap_or(0);
            let began_us = process.started_us?.saturating_add_signed(lag_us);
            let is_due = process.state == ProcessState::RUNNING && began_us.saturating_add(limit_us) <= now_us;
            (is_due && !overdue.contains(&process.id)).then_some((number, process, limit_us))
        };
        shown.processes.into_iter().filter_map(due).collect()
    }

    fn write_piece(&mut self, first: u64, lines: &[Line], batches: &[Arc<Packed>], at_us: u64) {
        let bytes: Vec<Vec<u8>> = batches.iter().map(|batch| compact::write(batch)).collect();
        let own: Vec<&Event> = lines.iter().filter(|line| line.of.is_none()).map(|line| &line.event).collect();
        let mut next_own = 0..;
        let runs: Vec<Run> = lines
            .iter()
            .map(|line| match line.of {
                Some((batch, event)) => (Some(batch as u32), event as u32, line),
                None => (None, next_own.next().expect("there is always a next number"), line),
            })
            .map(|(batch, event, line)| Run { batch, event, count: 1, about: line.about, is_alone: true })
            .collect();
        let bytes = event_log::write(bytes.iter().map(Vec::as_slice), &own, &runs);
        self.pieces.push(Piece { first, last: first + lines.len() as u64 - 1, at_us, bytes });
    }
}

impl MemoryStore {
    /// Deletes the oldest pieces of the event log until it fits its size limit.
    fn trim_bytes(&self, state: &mut State) {
        while !state.pieces.is_empty() && state.pieces.iter().map(|piece| piece.bytes.len() as u64).sum::<u64>() > self.keep_events.bytes {
            state.pieces.remove(0);
        }
    }

    /// Deletes the pieces of the event log that exceed its age or size limit.
    pub(super) fn trim(&self, state: &mut State, now_us: u64) {
        let before_us = now_us.saturating_sub(u64::try_from(self.keep_events.age.as_micros()).unwrap_or(u64::MAX));
        state.pieces.retain(|piece| piece.at_us >= before_us);
        self.trim_bytes(state);
    }
}
