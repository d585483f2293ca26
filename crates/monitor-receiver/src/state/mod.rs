//! State of known tasks and workers.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use monitor_wire::{Event, Process, ProcessId, RootId, StreamMessage, Worker, WorkerId, WorkerState};

use self::kept::{Kept, Turn};
use crate::Received;

/// Maximum number of event types with separate counts per worker. Further types are counted as [`OTHER_TYPES`].
const MOST_TYPES: usize = 100;
/// Name for all types without a separate count.
const OTHER_TYPES: &str = "(other)";

/// Known tasks and workers, from the read models sent with events, and event counts. The size is limited: if there are too many, the item
/// that changed longest ago is removed, and ended items are removed before open ones.
///
/// A task is any process that an event was about: a queue task, a run, a function. To receive only queue tasks, use
/// [`Receiver::kinds`](crate::Receiver::kinds).
///
/// ```
/// use monitor_receiver::State;
///
/// let state = State::bounded(10_000, 5_000);
/// assert_eq!((state.tasks().count(), state.event_count()), (0, 0));
/// ```
#[derive(Debug, Clone)]
pub struct State {
    tasks: Kept<(RootId, ProcessId), Task>,
    workers: Kept<WorkerId, Known>,
    /// Counts of events without a worker.
    others: BTreeMap<String, u64>,
    turn: Turn,
    newest: u64,
    event_count: u64,
    task_count: u64,
}

#[derive(Debug, Clone)]
struct Task {
    process: Process,
    /// Number of the newest event included in the model.
    as_of: u64,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// `None` until an event about the worker itself was received.
    worker: Option<Worker>,
    as_of: u64,
    counts: BTreeMap<String, u64>,
}

/// A position in the history of a [`State`], for querying later changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark(u64);

impl Default for State {
    /// Same as [`State::bounded`] with 10,000 tasks and 5,000 workers.
    fn default() -> Self {
        Self::bounded(10_000, 5_000)
    }
}

impl State {
    /// Creates a state with a maximum number of tasks and workers.
    pub fn bounded(tasks: usize, workers: usize) -> Self {
        Self {
            tasks: Kept::new(tasks),
            workers: Kept::new(workers),
            others: BTreeMap::new(),
            turn: Turn::default(),
            newest: 0,
            event_count: 0,
            task_count: 0,
        }
    }

    /// Applies an event. Returns false, without a change, if it or a later event was already applied.
    pub fn apply(&mut self, event: &Received) -> bool {
        if event.number <= self.newest {
            return false;
        }
        (self.newest, self.event_count) = (event.number, self.event_count + 1);
        let message = &*event.message;
        if let Some(process) = &message.process {
            self.task_count += u64::from(self.put_task(process, message.as_of));
        }
        let (teller, about) = (worker_of(message), message.worker.as_ref());
        if let Some(worker) = about.filter(|worker| Some(worker.id) != teller) {
            self.put_worker(worker.id, about, message.as_of, None);
        }
        match teller {
            Some(id) => self.put_worker(id, about.filter(|worker| worker.id == id), message.as_of, Some(event.type_name())),
            None => count(&mut self.others, event.type_name()),
        }
        true
    }

    /// Returns a task. `None` if it is unknown or was forgotten.
    pub fn task(&self, root_id: RootId, id: ProcessId) -> Option<&Process> {
        self.tasks.get(&(root_id, id)).map(|task| &task.process)
    }

    /// Returns all known tasks, unordered.
    pub fn tasks(&self) -> impl Iterator<Item = &Process> {
        self.tasks.values().map(|task| &task.process)
    }

    /// Returns all known tasks, most recently changed first.
    ///
    /// ```
    /// # let state = monitor_receiver::State::default();
    /// for task in state.tasks_by_time().take(10) {
    ///     println!("{} {}", task.name, task.state);
    /// }
    /// ```
    pub fn tasks_by_time(&self) -> impl Iterator<Item = &Process> {
        self.tasks.newest_first().map(|task| &task.process)
    }

    /// Returns the tasks with this name, most recently changed first.
    pub fn tasks_by_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Process> {
        self.tasks_by_time().filter(move |task| task.name == name)
    }

    /// Returns the tasks that this worker runs or has run, most recently changed first.
    pub fn tasks_by_worker(&self, worker: WorkerId) -> impl Iterator<Item = &Process> {
        self.tasks_by_time().filter(move |task| task.worker_id == Some(worker))
    }

    /// Returns the tasks that have changed since a mark, most recently changed first.
    ///
    /// ```
    /// # let state = monitor_receiver::State::default();
    /// let mark = state.mark();
    /// // … some events later
    /// for task in state.tasks_since(mark) {
    ///     println!("{} is {} now", task.name, task.state);
    /// }
    /// ```
    pub fn tasks_since(&self, mark: Mark) -> impl Iterator<Item = &Process> {
        self.tasks.newest_first_since(mark.0).map(|task| &task.process)
    }

    /// Returns the workers with events since a mark.
    pub fn workers_since(&self, mark: Mark) -> impl Iterator<Item = &Worker> {
        self.workers.newest_first_since(mark.0).filter_map(|known| known.worker.as_ref())
    }

    /// Returns a mark of the current state, for [`State::tasks_since`].
    pub fn mark(&self) -> Mark {
        Mark(self.turn.now())
    }

    /// Returns a worker. `None` if no event was about it.
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)?.worker.as_ref()
    }

    /// Returns all known workers, most recently seen first.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.newest_first().filter_map(|known| known.worker.as_ref())
    }

    /// Returns the number of events by type, for a worker and its processes, or for events without a worker.
    ///
    /// ```
    /// # let state = monitor_receiver::State::default();
    /// # let worker = "5b0c0000000000000000000000000001".parse().unwrap();
    /// let failed = state.counts(Some(worker)).and_then(|counts| counts.get("task-failed")).copied().unwrap_or(0);
    /// # assert_eq!(failed, 0);
    /// ```
    pub fn counts(&self, worker: Option<WorkerId>) -> Option<&BTreeMap<String, u64>> {
        match worker {
            Some(id) => self.workers.get(&id).map(|known| &known.counts),
            None => Some(&self.others),
        }
    }

    /// Returns the counts of all known workers, and those of events without a worker.
    pub fn all_counts(&self) -> impl Iterator<Item = (Option<WorkerId>, &BTreeMap<String, u64>)> {
        let of_workers = self.workers.entries().map(|(id, known)| (Some(*id), &known.counts));
        of_workers.chain([(None, &self.others)]).filter(|(_, counts)| !counts.is_empty())
    }

    /// Returns the number of events since the start, or since [`State::clear`].
    pub fn event_count(&self) -> u64 {
        self.event_count
    }

    /// Returns the number of tasks seen since the start, or since [`State::clear`]. A task that was forgotten and is seen again counts
    /// twice.
    pub fn task_count(&self) -> u64 {
        self.task_count
    }

    /// Returns the number of tasks forgotten because there were too many.
    pub fn forgotten_tasks(&self) -> u64 {
        self.tasks.forgotten()
    }

    /// Returns the number of workers forgotten because there were too many. Their counts are forgotten, too.
    pub fn forgotten_workers(&self) -> u64 {
        self.workers.forgotten()
    }

    /// Returns the number of the newest applied event; 0 before the first event.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Forgets ended tasks and offline workers, and resets all counts. Tasks in progress and online workers are kept.
    pub fn clear(&mut self) {
        self.tasks.clear_ended();
        self.workers.clear_ended();
        for known in self.workers.values_mut() {
            known.counts.clear();
        }
        self.others.clear();
        (self.event_count, self.task_count) = (0, 0);
    }

    /// Returns the maximum numbers of tasks and workers.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        (self.tasks.most(), self.workers.most())
    }

    /// Replaces all tasks and workers, oldest first. Each has the number of the newest event included in it. Counts of workers that are
    /// still listed are kept.
    pub(crate) fn reload(&mut self, tasks: &[(Process, u64)], workers: &[(Worker, u64)]) {
        self.tasks.clear();
        for (process, as_of) in tasks {
            self.put_task(process, *as_of);
        }
        for known in self.workers.values_mut() {
            known.worker = None;
        }
        for (worker, as_of) in workers {
            self.put_worker(worker.id, Some(worker), *as_of, None);
        }
    }

    /// Returns true if the task was unknown.
    fn put_task(&mut self, process: &Process, as_of: u64) -> bool {
        let key = (process.root_id, process.id);
        let before = self.tasks.take(&key);
        let is_new = before.is_none();
        // A repeated event contains current models, so a later event may contain older ones.
        let newer = before.filter(|task| task.as_of > as_of);
        let task = newer.unwrap_or_else(|| Task { process: process.clone(), as_of });
        let is_ended = matches!(task.process.state.as_str(), "succeeded" | "failed" | "cancelled" | "lost");
        self.tasks.put(key, task, is_ended, &mut self.turn);
        is_new
    }

    /// Updates a worker, and counts an event if `event_type` is set.
    fn put_worker(&mut self, id: WorkerId, worker: Option<&Worker>, as_of: u64, event_type: Option<&str>) {
        let mut known = self.workers.take(&id).unwrap_or_default();
        if let Some(worker) = worker.filter(|_| as_of >= known.as_of) {
            (known.worker, known.as_of) = (Some(worker.clone()), as_of);
        }
        if let Some(name) = event_type {
            count(&mut known.counts, name);
        }
        let is_gone = known.worker.as_ref().is_some_and(|worker| [WorkerState::OFFLINE, WorkerState::LOST].contains(&worker.state));
        self.workers.put(id, known, is_gone, &mut self.turn);
    }
}

fn count(counts: &mut BTreeMap<String, u64>, event_type: &str) {
    let is_apart = counts.contains_key(event_type) || counts.len() < MOST_TYPES;
    *counts.entry(if is_apart { event_type } else { OTHER_TYPES }.to_owned()).or_default() += 1;
}

/// Returns the worker that reported an event, or that the event is about.
fn worker_of(message: &StreamMessage) -> Option<WorkerId> {
    let task = message.process.as_ref().and_then(|process| process.task.as_ref());
    let of_task = match &message.event {
        Event::TaskSent(_) => task.and_then(|task| task.sent_by),
        Event::TaskReceived(_) => task.and_then(|task| task.received_by),
        _ => None,
    };
    let of_process = || message.process.as_ref().and_then(|process| process.worker_id);
    of_task.or_else(of_process).or_else(|| message.worker.as_ref().map(|worker| worker.id))
}
