//! Converts an export back to the events that recreate it on an empty server.

use std::collections::HashMap;

use monitor_wire::{
    Event, Fields, Kind, LogEntry, Outcome, Process, ProcessEnded, ProcessFolded, ProcessLogged, ProcessProgressed, ProcessQueued,
    ProcessStarted, ProcessUpdated, Retry, Root, State, Worker, WorkerChanged, WorkerId, WorkerOffline, WorkerOnline, WorkerRef,
    WorkerRole, WorkerState,
};

/// Parts of the imported tree that later events refer to.
pub(super) struct Known {
    root: Root,
    workers: HashMap<WorkerId, Worker>,
    is_begun: bool,
}

impl Known {
    pub(super) fn new(root: Root) -> Self {
        Self { root, workers: HashMap::new(), is_begun: false }
    }

    pub(super) fn worker(&mut self, worker: Worker) -> Vec<Event> {
        let of = reference(&worker);
        let online = worker.version.clone().zip(worker.started_us).map(|(version, started_us)| {
            // The interval is 0, because no program sends heartbeats for this worker.
            let online = WorkerOnline {
                time_us: started_us,
                started_us,
                version,
                heartbeat_interval_ms: 0,
                registered: Vec::new(),
                role: WorkerRole::PROGRAM,
                capabilities: Vec::new(),
                worker: Some(of),
            };
            Event::WorkerOnline(online)
        });
        self.workers.insert(worker.id, worker);
        online.into_iter().collect()
    }

    /// Events for the ends of the workers.
    pub(super) fn leave(&self) -> Vec<Event> {
        let left = |worker: &Worker| match &worker.state {
            state if *state == WorkerState::LOST => {
                Some(Event::WorkerLost(WorkerChanged { time_us: worker.lost_us.unwrap_or(worker.last_seen_us), worker_id: worker.id }))
            }
            state if *state == WorkerState::OFFLINE => {
                let time_us = worker.offline_us.unwrap_or(worker.last_seen_us);
                Some(Event::WorkerOffline(WorkerOffline { time_us, worker: Some(reference(worker)) }))
            }
            _ => None,
        };
        self.workers.values().filter_map(left).collect()
    }

    /// Events of a process. `at_us` is its position among its siblings.
    pub(super) fn process(&mut self, process: &Process, at_us: u64) -> Vec<Event> {
        let worker = process.worker_id.and_then(|id| self.workers.get(&id)).map(reference);
        // The server adds up counts of different workers. Each import must use the same worker, so that a repeated import replaces the
        // count.
        let own = worker.or_else(|| process.fold.as_ref().and_then(|_| self.counter()));
        let mut worker = own.clone();
        let (root_id, id) = (process.root_id, process.id);
        // Earlier attempts have events of their own. The last attempt keeps its own start time.
        let (last, earlier) = process.attempts.split_last().map_or((None, &[][..]), |(last, earlier)| (Some(last), earlier));
        let retry = |is_last: bool| {
            let next_us = process.next_attempt_us.filter(|_| is_last);
            Some(Retry { next_us, of: process.attempts_of }).filter(|_| !is_last || process.state == State::RETRYING)
        };
        // The batch mark belongs to the root's own process, which is the first.
        let batch = self.root.batch.clone().filter(|_| !self.is_begun);
        self.is_begun = true;
        let mut events = Vec::new();
        macro_rules! event {
            ($kind:ident, $name:ident, $time:expr, { $($field:ident: $value:expr,)* }) => {
                event!(process.attempt, $kind, $name, $time, { $($field: $value,)* })
            };
            ($attempt:expr, $kind:ident, $name:ident, $time:expr, { $($field:ident: $value:expr,)* }) => {
                events.push(Event::$kind($name {
                    root_id, id, time_us: $time, $($field: $value,)*
                    attempt: $attempt, worker: worker.clone(), native_id: process.native_id.clone(), links: process.links.clone(),
                }))
            };
        }
        if let Some(fold) = &process.fold {
            event!(ProcessFolded, ProcessFolded, at_us, {
                parent_id: process.parent_id, kind: process.kind.clone(), name: process.name.clone(), shard: 0, revision: fold.count.max(1),
                count: fold.count, running: fold.running, failed: fold.failed, cancelled: fold.cancelled, total_ns: fold.total_ns,
                min_ns: fold.min_ns, max_ns: fold.max_ns, histogram: fold.histogram.clone(), errors: fold.errors.clone(),
            });
        }
        for each in earlier {
            worker = each.worker_id.and_then(|id| self.workers.get(&id)).map(reference).or_else(|| own.clone());
            if let Some(started_us) = each.started_us {
                event!(each.attempt, ProcessStarted, ProcessStarted, started_us, {
                    parent_id: process.parent_id, kind: process.kind.clone(), name: process.name.clone(), batch: None,
                    thread: process.thread.clone(), source: process.source.clone(), attachment: process.attachment.clone(),
                    fields: Fields::new(), timeout_ms: None, attempts_of: process.attempts_of,
                });
            }
            if let (Some(ended_us), Some(outcome)) = (each.ended_us, each.outcome.clone()) {
                event!(each.attempt, ProcessEnded, ProcessEnded, ended_us, {
                    elapsed_ns: each.elapsed_ns, outcome: outcome, error: each.error.clone(),
                    exit_code: each.exit_code, signal: each.signal, reason: each.reason.clone(), retry: retry(false),
                });
            }
        }
        worker = own;
        if let Some(started_us) = last.map_or(process.started_us, |last| last.started_us) {
            event!(ProcessStarted, ProcessStarted, started_us, {
                parent_id: process.parent_id, kind: process.kind.clone(), name: process.name.clone(), batch: batch,
                thread: process.thread.clone(), source: process.source.clone(), attachment: process.attachment.clone(),
                fields: process.fields.clone(), timeout_ms: None, attempts_of: process.attempts_of,
            });
        } else if process.state == State::PENDING || process.fold.is_none() && process.kind != Kind::from("") {
            event!(ProcessQueued, ProcessQueued, at_us, {
                parent_id: process.parent_id, kind: process.kind.clone(), name: process.name.clone(), batch: batch,
                fields: process.fields.clone(),
            });
        } else if process.fold.is_none() && (!process.name.is_empty() || !process.fields.is_empty() || process.parent_id.is_some()) {
            event!(ProcessUpdated, ProcessUpdated, at_us, {
                parent_id: process.parent_id, name: Some(process.name.clone()).filter(|name| !name.is_empty()), batch: batch,
                fields: process.fields.clone(),
            });
        }
        if let Some(progress) = &process.progress {
            event!(ProcessProgressed, ProcessProgressed, at_us, { done: progress.done, total: progress.total, unit: progress.unit.clone(), });
        }
        let waiting = last.filter(|_| process.state == State::RETRYING);
        if let Some(ended_us) = process.ended_us.or_else(|| waiting?.ended_us) {
            let outcome = waiting.and_then(|last| last.outcome.clone()).unwrap_or_else(|| Outcome::from(process.state.as_str()));
            event!(ProcessEnded, ProcessEnded, ended_us, {
                elapsed_ns: last.map_or(process.elapsed_ns, |last| last.elapsed_ns), outcome: outcome, error: process.error.clone(),
                exit_code: process.exit_code, signal: process.signal, reason: process.reason.clone(), retry: retry(true),
            });
        }
        events.extend(super::task::events(process, at_us, |id| self.workers.get(&id).map(reference)));
        events
    }

    /// The worker that counts folded processes.
    fn counter(&self) -> Option<WorkerRef> {
        let id = WorkerId::new(self.root.root_id.get())?;
        Some(WorkerRef { id, hostname: String::new(), pid: 0, program: "monitor import".to_owned() })
    }

    pub(super) fn log(&self, log: LogEntry) -> Event {
        let LogEntry { process_id, time_us, level, message, target, stream, fields, worker_id, .. } = log;
        let fields: Fields = fields;
        Event::ProcessLogged(ProcessLogged {
            root_id: self.root.root_id,
            id: process_id,
            time_us,
            level,
            message,
            target,
            stream,
            fields,
            attempt: 1,
            worker: self.workers.get(&worker_id).map(reference),
            native_id: None,
            links: Vec::new(),
        })
    }
}

fn reference(worker: &Worker) -> WorkerRef {
    WorkerRef { id: worker.id, hostname: worker.hostname.clone(), pid: worker.pid, program: worker.program.clone() }
}
