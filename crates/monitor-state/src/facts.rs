//! The fold over whole batches, held in memory.

use std::collections::{BTreeMap, HashSet};

use monitor_wire::{
    Attachment, Batch, Counts, Error, Event, Process, ProcessId, Root, RootId, State, Unplaced, WorkerId, WorkerRef, WorkerState,
};

use crate::attempts::AttemptNow;
use crate::order::{Node, Order, order};
use crate::process::{ProcessEvent, ProcessFacts};
use crate::ranges::Ranges;
use crate::view::title;
use crate::why::{Why, failing_path};
use crate::worker::{WorkerFacts, WorkerStatus};

/// The facts of all trees and workers. Equal for the same events in any order, grouping and repetition.
///
/// ```
/// # use monitor_state::Facts;
/// # use monitor_wire::{Attachment, Batch, RootId, State};
/// let body = br#"{"version": 1, "sequence": 1, "sent_us": 0, "events": [
///     {"type": "process-ended", "root_id": "0199a3ce929d0e0e47360199a3ce929d", "id": "a3ce929d0e0e4736", "time_us": 9, "outcome": "succeeded"},
///     {"type": "process-started", "root_id": "0199a3ce929d0e0e47360199a3ce929d", "id": "a3ce929d0e0e4736", "time_us": 5,
///      "kind": "root", "name": "nightly build"}],
///     "worker": {"id": "5b0c0000000000000000000000000001", "hostname": "build-7", "pid": 4121, "program": "nightly"}}"#;
/// let facts = Facts::of(&[Batch::from_json(body)?]);
/// let (root, processes) = facts.tree("0199a3ce929d0e0e47360199a3ce929d".parse::<RootId>()?, 2106).unwrap();
/// assert_eq!((&*root.title, &root.state), ("nightly build <2106>", &State::SUCCEEDED));
/// assert_eq!(processes.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    trees: BTreeMap<RootId, TreeFacts>,
    workers: BTreeMap<WorkerId, WorkerFacts>,
    applied: BTreeMap<WorkerId, Ranges>,
    unknown: BTreeMap<String, u64>,
    /// Trees of the processes with a native id.
    named: BTreeMap<(ProcessId, String), RootId>,
    /// Events that wait for the tree of a process to become known, by sender and number.
    waiting: BTreeMap<(ProcessId, String), BTreeMap<(WorkerId, u64), Unplaced>>,
}

/// Facts of a tree.
#[derive(Debug, Clone, Default, PartialEq)]
struct TreeFacts {
    processes: BTreeMap<ProcessId, ProcessFacts>,
}

impl Facts {
    /// Returns the facts in these batches.
    pub fn of<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut facts = Self::default();
        for batch in batches {
            facts.apply_batch(batch);
        }
        facts
    }

    /// Applies a batch. Each event counts once, even if the batch is applied repeatedly.
    pub fn apply_batch(&mut self, batch: &Batch) {
        self.workers.entry(batch.worker.id).or_default().describe(&batch.worker);
        for (number, event) in (batch.sequence..).zip(&batch.events) {
            let applied = self.applied.entry(batch.worker.id).or_default();
            if !applied.contains(number) {
                applied.insert(number, number);
                self.apply(number, batch.worker.id, event);
            }
        }
    }

    /// Applies an event with its number and the worker that numbered it. Repetition has no effect, except that
    /// unknown events are counted each time.
    pub fn apply(&mut self, number: u64, batch_worker: WorkerId, event: &Event) {
        if let Some(about) = ProcessEvent::of(event) {
            self.describe(about.worker, batch_worker);
            let tree = self.trees.entry(about.root_id).or_default();
            if about.is_fact() {
                tree.processes.entry(about.id).or_default().apply(number, batch_worker, &about);
                self.name(&about);
            }
            return;
        }
        if let Event::Unplaced(unplaced) = event {
            let worker = ProcessEvent::of(unplaced.event()).and_then(|about| about.worker);
            self.describe(worker, batch_worker);
            // An event without an id can't be assigned to a process.
            let Some(id) = unplaced.id else { return };
            let key = (id, unplaced.native_id().to_owned());
            match self.named.get(&key) {
                Some(root) => self.apply(number, batch_worker, &unplaced.place(*root, id)),
                None => {
                    self.waiting.entry(key).or_default().insert((batch_worker, number), unplaced.clone());
                }
            }
            return;
        }
        if let Event::Unknown(event) = event {
            *self.unknown.entry(event.event_type.clone()).or_default() += 1;
            return;
        }
        let (id, relayed) = about_worker(event, batch_worker);
        self.describe(relayed, batch_worker);
        self.workers.entry(id).or_default().apply(id, number, batch_worker, event);
    }

    /// Applies the description of a worker that another worker relays.
    fn describe(&mut self, relayed: Option<&WorkerRef>, by: WorkerId) {
        if let Some(relayed) = relayed {
            let worker = self.workers.entry(relayed.id).or_default();
            if relayed.id == by {
                worker.describe(relayed)
            } else {
                worker.describe_relayed(relayed, by)
            };
        }
    }

    /// Stores the tree of a process with a native id, and applies the events that waited for it.
    fn name(&mut self, about: &ProcessEvent<'_>) {
        let Some(native_id) = about.native_id() else { return };
        let key = (about.id, native_id.to_owned());
        // If the process is in several trees, keep the smallest id, regardless of the order.
        let root = self.named.entry(key.clone()).or_insert(about.root_id);
        *root = about.root_id.min(*root);
        for ((worker, number), unplaced) in self.waiting.remove(&key).unwrap_or_default() {
            self.apply(number, worker, &unplaced.place(about.root_id, about.id));
        }
    }

    /// Returns true if the tree of the event's process is not known yet.
    pub fn is_waiting(&self, unplaced: &Unplaced) -> bool {
        unplaced.id.is_some_and(|id| !self.named.contains_key(&(id, unplaced.native_id().to_owned())))
    }

    /// Returns the state of a worker, as displayed.
    pub fn worker_state(&self, id: WorkerId) -> WorkerState {
        let Some(facts) = self.workers.get(&id) else { return WorkerState::ONLINE };
        let is_online = |relay| self.worker_status(relay) == WorkerStatus::Online;
        if facts.status() == WorkerStatus::Online && facts.is_behind_silence(is_online) { WorkerState::UNHEARD } else { facts.state() }
    }

    /// Returns the status of a worker. An unknown worker counts as online.
    pub fn worker_status(&self, id: WorkerId) -> WorkerStatus {
        self.workers.get(&id).map(WorkerFacts::status).unwrap_or_default()
    }

    /// Returns the workers by id.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, &WorkerFacts)> {
        self.workers.iter().map(|(id, facts)| (*id, facts))
    }

    /// Returns the applied numbers of a worker.
    pub fn applied(&self, worker: WorkerId) -> Option<&Ranges> {
        self.applied.get(&worker)
    }

    /// Returns the number of events of each unknown type.
    pub fn unknown(&self) -> &BTreeMap<String, u64> {
        &self.unknown
    }

    /// Returns the facts of a process.
    pub fn process(&self, root: RootId, id: ProcessId) -> Option<&ProcessFacts> {
        self.trees.get(&root)?.processes.get(&id)
    }

    /// Returns the ids of the trees.
    pub fn roots(&self) -> impl Iterator<Item = RootId> {
        self.trees.keys().copied()
    }

    /// Removes a tree. The numbers of its applied events are kept.
    pub fn forget(&mut self, root: RootId) {
        self.trees.remove(&root);
    }

    /// Removes a worker and the numbers of its applied events.
    pub fn forget_worker(&mut self, id: WorkerId) {
        self.workers.remove(&id);
        self.applied.remove(&id);
    }

    /// Returns the root and the processes of a tree, which has this number on the server. `None` if the tree is unknown.
    pub fn tree(&self, root_id: RootId, number: u64) -> Option<(Root, Vec<Process>)> {
        let facts: Vec<_> = self.trees.get(&root_id)?.processes.iter().collect();
        let mut views: Vec<_> =
            facts.iter().map(|(id, facts)| facts.view(root_id, **id, &mut |worker| self.worker_status(worker))).collect();
        let nodes: Vec<_> = facts.iter().zip(&views).map(|((_, facts), view)| Node::of(facts, view)).collect();
        let Order { placed, own, .. } = order(&nodes, root_id, u32::MAX);

        let face = own.or_else(|| (0..nodes.len()).min_by_key(|index| (nodes[*index].at_us, nodes[*index].id)));
        let batch = face.and_then(|index| facts[index].1.batch());
        // The error texts of a fold are not a reason for the failure of the tree, because the program may have handled those failures.
        let shown: Vec<_> =
            views.iter_mut().zip(&facts).map(|(view, (_, facts))| std::mem::replace(&mut view.error, facts.error().cloned())).collect();
        let mut root = root(root_id, number, (face.map(|index| &views[index]), own.is_some()), batch, &views);
        views.iter_mut().zip(shown).for_each(|(view, error)| view.error = error);
        root.begun_us = face.filter(|_| root.started_us.is_none()).map(|index| nodes[index].at_us);
        root.unattached = own.is_some_and(|own| views[own].attachment == Attachment::UNATTACHED);
        let mut processes = Vec::with_capacity(views.len());
        for place in placed {
            let view = &mut views[place.index as usize];
            view.depth = Some(place.depth);
            view.orphan = place.is_orphan;
            processes.push(view.clone());
        }
        Some((root, processes))
    }
}

/// Returns the worker that a worker event is about, and its description if another worker relays the event.
pub fn about_worker(event: &Event, batch_worker: WorkerId) -> (WorkerId, Option<&WorkerRef>) {
    let relayed = match event {
        Event::WorkerOnline(event) => event.worker.as_ref(),
        Event::WorkerHeartbeat(event) => event.worker.as_ref(),
        Event::WorkerOffline(event) => event.worker.as_ref(),
        Event::WorkerLost(event) | Event::WorkerFound(event) => return (event.worker_id, None),
        _ => None,
    };
    (relayed.map_or(batch_worker, |worker| worker.id), relayed)
}

/// Returns true for events that may change the status of a worker.
pub fn is_about_liveness(event: &Event) -> bool {
    matches!(
        event,
        Event::WorkerOnline(_) | Event::WorkerHeartbeat(_) | Event::WorkerOffline(_) | Event::WorkerLost(_) | Event::WorkerFound(_)
    )
}

/// Builds the root of a tree from its face: the root's own process, or the earliest process while the root's own is unknown.
fn root(root_id: RootId, number: u64, (face, is_own): (Option<&Process>, bool), batch: Option<&str>, processes: &[Process]) -> Root {
    let mut counts = Counts::default();
    for process in processes {
        *counts.of(&process.state) += 1;
    }
    let error = face.and_then(|face| if face.state == State::FAILED { error_of_path(face, is_own, processes) } else { face.error.clone() });
    let name = face.map(|face| face.name.clone()).unwrap_or_default();
    let at = face.map(AttemptNow::of).unwrap_or_default();
    Root {
        root_id,
        number,
        title: title(&name, batch, number),
        name,
        batch: batch.map(str::to_owned),
        state: face.map_or(State::PENDING, |face| face.state.clone()),
        started_us: face.and_then(|face| face.started_us),
        ended_us: face.and_then(|face| face.ended_us),
        elapsed_ns: face.and_then(|face| face.elapsed_ns),
        worker_id: face.and_then(|face| face.worker_id),
        counts,
        error,
        begun_us: None,
        progress: face.and_then(|face| face.progress.clone()),
        pinned: false,
        unattached: false,
        expected_ns: None,
        expected_p95_ns: None,
        overdue: false,
        attempt: at.attempt,
        attempts_of: at.of,
        next_attempt_us: at.next_us,
    }
}

/// Returns the error of a failed root, from its failing path. If the face isn't the root's own process, only the
/// face's own descendants are considered.
fn error_of_path(face: &Process, is_own: bool, processes: &[Process]) -> Option<Error> {
    let known: HashSet<_> = processes.iter().map(|process| process.id).collect();
    let failed = processes.iter().filter(|process| process.state == State::FAILED).filter_map(|process| {
        let parent = process.parent_id.filter(|parent| known.contains(parent) && *parent != process.id);
        (parent.is_some() || is_own).then_some((parent, process))
    });
    let mut why = Why::default();
    for process in failing_path(face, failed) {
        if why.take(process.error.as_ref(), || process.error.clone()) {
            break;
        }
    }
    why.found().flatten()
}
