//! Memory of recent tasks: facts that some of Celery's events have and others lack.

use std::collections::HashMap;
use std::sync::Arc;

use monitor_wire::{ProcessId, RootId, WorkerId};

use crate::ids::process_id;

/// Number of tasks that have not ended, in a generation.
const OPEN: usize = 100_000;
/// Number of ended tasks in a generation. Few events follow an end.
const ENDED: usize = 25_000;
/// Maximum number of workers that are remembered for a task, and of attempts at a worker.
const MOST_WORKERS: usize = 8;
const MOST_ATTEMPTS: usize = 8;

/// Recent tasks by their ids. The server finds the run of a forgotten task.
#[derive(Debug)]
pub(crate) struct Tasks {
    open: Recent,
    ended: Recent,
}

/// Tasks in two generations. The older one is forgotten when the younger one is full.
#[derive(Debug)]
struct Recent {
    young: HashMap<String, Known>,
    old: HashMap<String, Known>,
    most: usize,
}

/// A known task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its run. None if only its attempt is known.
    pub(crate) root: Option<RootId>,
    /// Its parent, as first announced. A retried task announces itself as its own parent.
    pub(crate) parent: Option<ProcessId>,
    /// The workers that have received the task.
    workers: Vec<AtWorker>,
    /// The highest announced attempt.
    latest: u32,
    /// The highest started attempt.
    started: u32,
    /// True if its arguments and its result are recorded. None if its name is not known.
    pub(crate) is_shown: Option<bool>,
    /// True after an end that no further attempt follows.
    has_ended: bool,
    /// Its queue, if an event named it.
    pub(crate) queue: Option<Arc<str>>,
    /// Time of its sending, in Unix microseconds, while it waits in the queue.
    pub(crate) waits_since_us: Option<u64>,
}

/// A task at a worker. The events of a worker are in their order, except that it may receive, start and even end the next attempt before it reports that
/// the former one is tried again: the process of the pool first sends the next attempt, and then stores the result of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AtWorker {
    worker: WorkerId,
    /// Attempts that it has received and not started.
    received: Vec<u32>,
    /// Attempts that it has started and not ended.
    started: Vec<u32>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { open: Recent::new(OPEN), ended: Recent::new(ENDED) }
    }
}

impl Recent {
    fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most }
    }

    fn insert(&mut self, id: String, known: Known) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, known);
    }

    fn iter(&self) -> impl Iterator<Item = (&String, &Known)> {
        self.young.iter().chain(&self.old)
    }
}

impl Tasks {
    /// Returns a task, which is new if it was not mentioned recently.
    pub(crate) fn entry(&mut self, id: &str) -> &mut Known {
        if !self.open.young.contains_key(id) {
            let Self { open, ended } = self;
            let known = [&mut open.old, &mut ended.young, &mut ended.old].into_iter().find_map(|tasks| tasks.remove(id));
            open.insert(id.to_owned(), known.unwrap_or_default());
        }
        self.open.young.get_mut(id).expect("it was inserted")
    }

    /// Notes whether no further attempt of a task follows.
    pub(crate) fn set_ended(&mut self, id: &str, has_ended: bool) {
        self.entry(id).set_ended(has_ended);
        if has_ended && let Some((id, known)) = self.open.young.remove_entry(id) {
            self.ended.insert(id, known);
        }
    }

    /// Returns the ids of the tasks that have not ended and belong to a run, or to one of these processes if there are any, and that a worker has
    /// received.
    pub(crate) fn open(&self, worker: WorkerId, root: RootId, processes: &[ProcessId]) -> Vec<String> {
        let is_meant = |(id, known): &(&String, &Known)| {
            !known.has_ended
                && known.root == Some(root)
                && known.workers.iter().any(|at| at.worker == worker)
                && (processes.is_empty() || processes.contains(&process_id(id)))
        };
        self.open.iter().filter(is_meant).map(|(id, _)| id.clone()).collect()
    }

    /// Returns when the tasks that wait in each queue were sent, in Unix microseconds and in no order.
    pub(crate) fn waiting(&self) -> HashMap<Arc<str>, Vec<u64>> {
        let mut waiting = HashMap::<_, Vec<_>>::new();
        for (_, known) in self.open.iter() {
            if let (Some(queue), Some(since_us)) = (&known.queue, known.waits_since_us) {
                waiting.entry(queue.clone()).or_default().push(since_us);
            }
        }
        waiting
    }
}

impl Known {
    /// The highest announced attempt.
    pub(crate) fn latest(&self) -> u32 {
        self.latest
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Notes whether no further attempt follows. Then the workers that do nothing more for the task are forgotten, so that it needs less memory.
    fn set_ended(&mut self, has_ended: bool) {
        self.has_ended = has_ended;
        if has_ended {
            self.workers.retain(|at| !at.received.is_empty() || !at.started.is_empty());
            self.workers.shrink_to_fit();
        }
    }

    /// Notes an announced attempt, which a worker has received if `worker` is set.
    pub(crate) fn announce(&mut self, attempt: u32, worker: Option<WorkerId>) {
        self.latest = self.latest.max(attempt);
        self.has_ended = false;
        if let Some(worker) = worker {
            let at = self.at(worker);
            if !at.received.contains(&attempt) && at.received.len() < MOST_ATTEMPTS {
                at.received.push(attempt);
            }
        }
    }

    /// Notes that an attempt was sent to a queue.
    pub(crate) fn sent(&mut self, attempt: u32, queue: &Arc<str>, time_us: u64) {
        // Its worker may have reported it before.
        let is_taken = self.started >= attempt || self.workers.iter().any(|at| at.received.contains(&attempt));
        self.waits_since_us = (!is_taken).then_some(time_us);
        self.queue = Some(queue.clone());
    }

    /// Notes that a worker, if it is known, starts the task. Returns the attempt.
    pub(crate) fn start(&mut self, worker: Option<WorkerId>) -> u32 {
        let mut attempt = self.latest.max(1);
        if let Some(worker) = worker {
            let at = self.at(worker);
            attempt = take_first(&mut at.received).or_else(|| at.started.iter().copied().max()).unwrap_or(attempt);
            if !at.started.contains(&attempt) && at.started.len() < MOST_ATTEMPTS {
                at.started.push(attempt);
            }
        }
        self.has_started(attempt);
        attempt
    }

    /// Notes that an attempt was started, by a worker that is not known.
    pub(crate) fn has_started(&mut self, attempt: u32) {
        self.latest = self.latest.max(attempt);
        self.started = self.started.max(attempt);
    }

    /// Notes that the last attempt has ended at a worker, if it is known. Returns the attempt.
    pub(crate) fn end(&mut self, worker: Option<WorkerId>) -> u32 {
        let latest = self.latest.max(1);
        let Some(worker) = worker else { return latest };
        let at = self.at(worker);
        let last = at.started.iter().copied().max();
        at.started.retain(|attempt| Some(*attempt) != last);
        last.or_else(|| take_first(&mut at.received)).unwrap_or(latest)
    }

    /// Notes that a worker, if it is known, tries a task again. Returns the attempt that has failed.
    ///
    /// If its start is not known, it was started before the bridge. The next attempt may already be announced, and is not started before the former one
    /// has ended.
    pub(crate) fn retry(&mut self, worker: Option<WorkerId>) -> u32 {
        let before = if self.started < self.latest { self.latest - 1 } else { self.latest };
        let Some(worker) = worker else { return before.max(1) };
        let at = self.at(worker);
        let failed = take_first(&mut at.started).unwrap_or(before.max(1));
        at.received.retain(|attempt| *attempt > failed);
        failed
    }

    fn at(&mut self, worker: WorkerId) -> &mut AtWorker {
        if let Some(known) = self.workers.iter().position(|at| at.worker == worker) {
            return &mut self.workers[known];
        }
        if self.workers.len() == MOST_WORKERS {
            self.workers.remove(0);
        }
        self.workers.push(AtWorker { worker, received: Vec::new(), started: Vec::new() });
        self.workers.last_mut().expect("it was pushed")
    }
}

/// Removes the lowest attempt.
fn take_first(attempts: &mut Vec<u32>) -> Option<u32> {
    let first = (0..attempts.len()).min_by_key(|at| attempts[*at])?;
    Some(attempts.swap_remove(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: u128) -> WorkerId {
        WorkerId::new(id).unwrap()
    }

    #[test]
    fn an_event_is_about_the_attempt_that_its_worker_executes() {
        let (mut tasks, [first, second]) = (Tasks::default(), [Some(worker(1)), Some(worker(2))]);
        let task = tasks.entry("a");
        assert_eq!((task.start(first), task.end(first), task.end(None)), (1, 1, 1), "nothing is known of it");
        task.announce(1, first);
        assert_eq!(task.start(first), 1);
        // The next attempt is sent, and received by both workers, before the first worker reports the end of the first attempt.
        task.announce(2, None);
        task.announce(2, first);
        task.announce(3, second);
        assert_eq!((task.end(first), task.start(first), task.end(first)), (1, 2, 2));
        assert_eq!((task.start(second), task.end(second), task.start(None)), (3, 3, 3));
        // Revoked before it was started.
        task.announce(4, second);
        assert_eq!(task.end(second), 4);
        for other in 3..100 {
            task.announce(2, Some(worker(other)));
            task.announce(other as u32, first);
        }
        assert!(task.workers.len() <= MOST_WORKERS && task.workers.iter().all(|at| at.received.len() <= MOST_ATTEMPTS));
    }

    #[test]
    fn an_attempt_may_start_and_end_before_the_former_one_is_reported_as_failed() {
        let (mut tasks, w) = (Tasks::default(), Some(worker(1)));
        let task = tasks.entry("a");
        for attempt in 1..=3 {
            task.announce(attempt, w);
            assert_eq!(task.start(w), attempt);
        }
        assert_eq!((task.retry(w), task.end(w), task.retry(w)), (1, 3, 2));
    }

    #[test]
    fn a_failed_attempt_that_was_started_before_the_bridge_is_not_the_announced_one() {
        let (mut tasks, w) = (Tasks::default(), Some(worker(1)));
        assert_eq!(tasks.entry("new").retry(w), 1);
        let task = tasks.entry("sent");
        task.announce(2, None);
        assert_eq!((task.retry(w), task.start(w), task.end(w)), (1, 2, 2));
        let task = tasks.entry("received");
        task.announce(2, w);
        assert_eq!((task.retry(w), task.start(w), task.end(w)), (1, 2, 2));
        let task = tasks.entry("remembered");
        task.announce(2, None);
        task.has_started(2);
        assert_eq!(task.retry(w), 2, "no third attempt is announced yet");
        task.announce(3, None);
        assert_eq!((task.retry(None), task.start(w), task.retry(w)), (2, 3, 3));
        // The event of the first start is missing.
        let task = tasks.entry("gap");
        task.announce(1, w);
        assert_eq!(task.retry(w), 1);
        task.announce(2, w);
        assert_eq!((task.start(w), task.end(w)), (2, 2));
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_used_tasks() {
        let mut tasks = Tasks::default();
        tasks.entry("kept").latest = 7;
        tasks.entry("open").latest = 5;
        for n in 0..3 * OPEN {
            tasks.entry(&n.to_string());
            if n % (OPEN / 2) == 0 {
                assert_eq!(tasks.entry("kept").latest, 7);
            }
        }
        let Recent { young, old, .. } = &tasks.open;
        assert!(!young.contains_key("0") && !old.contains_key("0") && young.len() + old.len() <= 2 * OPEN);
        assert_eq!(tasks.entry("open").latest, 0, "it was not mentioned for long");
    }

    #[test]
    fn ended_tasks_are_forgotten_before_open_ones() {
        let mut tasks = Tasks::default();
        for n in 0..OPEN {
            tasks.entry(&n.to_string()).latest = 3;
            tasks.set_ended(&n.to_string(), n > 0);
        }
        let Recent { young, old, .. } = &tasks.ended;
        assert!(young.len() + old.len() <= 2 * ENDED && tasks.open.young.len() == 1);
        assert_eq!((tasks.entry("0").latest, tasks.entry("1").latest), (3, 0));
        // It is executed once more.
        let last = (OPEN - 1).to_string();
        tasks.entry(&last).announce(4, None);
        assert_eq!((tasks.entry(&last).latest, tasks.entry(&last).has_ended), (4, false));
    }

    #[test]
    fn an_ended_task_keeps_only_workers_that_execute_it() {
        let (mut tasks, [first, second]) = (Tasks::default(), [Some(worker(1)), Some(worker(2))]);
        let task = tasks.entry("a");
        for at in [first, second] {
            task.announce(1, at);
            task.start(at);
        }
        assert_eq!(task.end(first), 1);
        task.set_ended(true);
        assert_eq!(task.workers.iter().map(|at| at.worker).collect::<Vec<_>>(), [worker(2)]);
        assert_eq!((task.end(second), task.end(first)), (1, 1));
        task.set_ended(true);
        assert_eq!(task.workers.capacity(), 0);
    }

    #[test]
    fn open_tasks_of_a_run_are_found() {
        let (mut tasks, root) = (Tasks::default(), RootId::new(9).unwrap());
        for (id, at, has_ended) in [("a", 1, false), ("b", 1, true), ("c", 2, false)] {
            let task = tasks.entry(id);
            task.root = Some(root);
            task.announce(1, Some(worker(at)));
            tasks.set_ended(id, has_ended);
        }
        assert_eq!(tasks.open(worker(1), root, &[]), ["a"]);
        assert_eq!(tasks.open(worker(2), root, &[process_id("c")]), ["c"]);
        assert!(
            tasks.open(worker(1), RootId::new(8).unwrap(), &[]).is_empty() && tasks.open(worker(1), root, &[process_id("c")]).is_empty()
        );
    }
}
