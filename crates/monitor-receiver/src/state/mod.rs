//! What a receiver knows of tasks and workers.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use monitor_wire::{Event, Process, ProcessId, RootId, StreamMessage, Worker, WorkerId, WorkerState};

use self::kept::{Kept, Turn};
use crate::Received;

/// So many types of events are counted apart for each worker; all others together as [`OTHER_TYPES`].
const MOST_TYPES: usize = 100;
/// Stands for types of events beyond those that are counted apart.
const OTHER_TYPES: &str = "(other)";

/// What is known of tasks and workers: the read models that came with events, and counts. Bounded: of too many the one goes that changed
/// longest ago, one that has ended before one that hasn't.
///
/// A task is any process that an event told of, a task of a queue, a run, a function; whoever wants only those of queues says
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
    /// Counts of events that are of no worker.
    others: BTreeMap<String, u64>,
    turn: Turn,
    newest: u64,
    event_count: u64,
    task_count: u64,
}

#[derive(Debug, Clone)]
struct Task {
    process: Process,
    /// Number of the newest event that the model knows.
    as_of: u64,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// None as long as no event told of the worker itself.
    worker: Option<Worker>,
    as_of: u64,
    counts: BTreeMap<String, u64>,
}

/// A moment of a [`State`]: what changed since can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark(u64);

impl Default for State {
    /// As [`State::bounded`] with 10,000 tasks and 5,000 workers.
    fn default() -> Self {
        Self::bounded(10_000, 5_000)
    }
}

impl State {
    /// A state of so many tasks and workers at most.
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

    /// Takes in an event. Returns false, and changes nothing, if it or a later one was taken in before.
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

    /// A task; none if it isn't known, or not any more.
    pub fn task(&self, root_id: RootId, id: ProcessId) -> Option<&Process> {
        self.tasks.get(&(root_id, id)).map(|task| &task.process)
    }

    /// All tasks that are known, in no order.
    pub fn tasks(&self) -> impl Iterator<Item = &Process> {
        self.tasks.values().map(|task| &task.process)
    }

    /// All tasks that are known, the one that changed last first.
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

    /// Tasks of this name, the one that changed last first.
    pub fn tasks_by_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Process> {
        self.tasks_by_time().filter(move |task| task.name == name)
    }

    /// Tasks that this worker runs or ran, the one that changed last first.
    pub fn tasks_by_worker(&self, worker: WorkerId) -> impl Iterator<Item = &Process> {
        self.tasks_by_time().filter(move |task| task.worker_id == Some(worker))
    }

    /// Tasks that changed since, the one that changed last first: what a camera hasn't seen.
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

    /// Workers of which something was heard since.
    pub fn workers_since(&self, mark: Mark) -> impl Iterator<Item = &Worker> {
        self.workers.newest_first_since(mark.0).filter_map(|known| known.worker.as_ref())
    }

    /// This moment, for [`State::tasks_since`].
    pub fn mark(&self) -> Mark {
        Mark(self.turn.now())
    }

    /// A worker; none if no event told of it.
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)?.worker.as_ref()
    }

    /// All workers that are known, the one heard of last first.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.newest_first().filter_map(|known| known.worker.as_ref())
    }

    /// How many events of which type came: of this worker and of what it runs, or of no worker.
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

    /// The counts of all workers that are known, and those of events of no worker.
    pub fn all_counts(&self) -> impl Iterator<Item = (Option<WorkerId>, &BTreeMap<String, u64>)> {
        let of_workers = self.workers.entries().map(|(id, known)| (Some(*id), &known.counts));
        of_workers.chain([(None, &self.others)]).filter(|(_, counts)| !counts.is_empty())
    }

    /// How many events came since the beginning, or since [`State::clear`].
    pub fn event_count(&self) -> u64 {
        self.event_count
    }

    /// How many tasks were seen since the beginning, or since [`State::clear`]. One that was forgotten and comes again counts again.
    pub fn task_count(&self) -> u64 {
        self.task_count
    }

    /// How many tasks had to go because there were too many.
    pub fn forgotten_tasks(&self) -> u64 {
        self.tasks.forgotten()
    }

    /// How many workers had to go because there were too many; their counts went with them.
    pub fn forgotten_workers(&self) -> u64 {
        self.workers.forgotten()
    }

    /// Number of the newest event that was taken in; 0 before the first one.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Forgets tasks that have ended and workers that are gone, and all counts begin at 0 again. What goes on stays known.
    pub fn clear(&mut self) {
        self.tasks.clear_ended();
        self.workers.clear_ended();
        for known in self.workers.values_mut() {
            known.counts.clear();
        }
        self.others.clear();
        (self.event_count, self.task_count) = (0, 0);
    }

    /// How many tasks and workers there is room for.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        (self.tasks.most(), self.workers.most())
    }

    /// Forgets all tasks and workers, but no counts of workers that come again, and begins with these. They are the oldest first, each as
    /// of the number beside it.
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

    /// Returns true if the task wasn't known.
    fn put_task(&mut self, process: &Process, as_of: u64) -> bool {
        let key = (process.root_id, process.id);
        let before = self.tasks.take(&key);
        let is_new = before.is_none();
        // What is told again comes with the models of now, and what is told next may come with older ones.
        let newer = before.filter(|task| task.as_of > as_of);
        let task = newer.unwrap_or_else(|| Task { process: process.clone(), as_of });
        let is_ended = matches!(task.process.state.as_str(), "succeeded" | "failed" | "cancelled" | "lost");
        self.tasks.put(key, task, is_ended, &mut self.turn);
        is_new
    }

    /// Takes in what is known of a worker, and counts an event of its.
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

/// The worker that told an event, or that the event is about.
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
