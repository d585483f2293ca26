//! An in-memory store for tests, kept as simple as possible. It folds all events and computes every answer anew. It passes the same
//! suite as every other store, and tests of the crates above the store use it.

mod alerts;
mod batch;
mod heartbeat;
mod house;
mod intake;
pub mod jobs;
mod logs;
mod queries;
mod queue;
mod stats;
mod trees;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use monitor_state::Facts;
use monitor_wire::{Dropped, ProcessId, RootId, Worker, WorkerId, WorkerTasks};

use super::{KeepEvents, StoreError};

/// In-memory store. Its data belongs to a [`Memory`] and outlives the store as long as a clone of that exists.
pub struct MemoryStore {
    memory: Memory,
    keep_logs: usize,
    keep_events: KeepEvents,
}

/// Data of a [`MemoryStore`]. Opening another store on the same `Memory` simulates a restart.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    facts: Facts,
    /// Number of the newest change.
    seq: u64,
    /// Number of events stored.
    events: u64,
    /// Trees by their numbers.
    trees: BTreeMap<u64, Tree>,
    numbers: BTreeMap<RootId, u64>,
    last_number: u64,
    /// Workers, ordered by when they were first seen.
    workers: Vec<Seen>,
    pieces: Vec<Piece>,
    cursors: BTreeMap<String, u64>,
    batch: batch::Batch,
    heartbeats: heartbeat::Heartbeats,
    alerts: alerts::Alerts,
}

struct Tree {
    id: RootId,
    /// Server time at which the last event about the tree arrived, in Unix microseconds.
    heard_us: u64,
    is_pinned: bool,
    overdue: Vec<ProcessId>,
    logs: BTreeMap<ProcessId, logs::Log>,
}

/// Data about a worker that is not part of the facts.
struct Seen {
    id: WorkerId,
    last_seen_us: u64,
    /// Microseconds by which the worker's clock is behind the server's: the smallest difference between sending and arrival of a batch.
    lag_us: Option<i64>,
    dropped: BTreeMap<(String, String, Option<RootId>), u64>,
    /// Number of events dropped since the last sign about dropped events of this worker. `said_us` is the time of that sign.
    unsaid: u64,
    said_us: Option<u64>,
    events: BTreeMap<String, u64>,
}

/// A piece of the event log: a transaction with the sequence numbers `first` to `last`.
struct Piece {
    first: u64,
    last: u64,
    at_us: u64,
    bytes: Vec<u8>,
}

impl MemoryStore {
    /// Opens a store on `memory`.
    pub fn open(memory: &Memory) -> Self {
        Self { memory: memory.clone(), keep_logs: crate::LOGS_KEPT, keep_events: KeepEvents::DEFAULT }
    }

    /// Sets the number of lines to keep at the beginning and at the end of each process's log.
    pub fn keep_logs(self, keep_logs: usize) -> Self {
        Self { keep_logs, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.memory.0.lock().unwrap()
    }
}

impl State {
    fn number(&self, root: super::RootKey) -> Option<u64> {
        match root {
            super::RootKey::Id(id) => self.numbers.get(&id).copied(),
            super::RootKey::Number(number) => Some(number).filter(|number| self.trees.contains_key(number)),
        }
    }

    /// Returns a worker in the form that lists show, or `None` if there are no facts about it.
    fn worker(&self, seen: &Seen) -> Option<Worker> {
        let (_, facts) = self.facts.workers().find(|(id, _)| *id == seen.id)?;
        let dropped = seen.dropped.iter().map(|((event_type, reason, root_id), count)| Dropped {
            event_type: event_type.clone(),
            reason: reason.clone(),
            root_id: *root_id,
            count: *count,
        });
        let mut tasks = WorkerTasks::default();
        seen.events.iter().for_each(|(event_type, count)| tasks.add(event_type, *count));
        Some(super::worker::view(
            seen.id,
            facts,
            self.facts.worker_state(seen.id) == monitor_wire::WorkerState::UNHEARD,
            (seen.last_seen_us, seen.lag_us),
            self.open_at(seen.id) as i64,
            dropped.collect(),
            tasks,
        ))
    }

    /// Returns the program and the host of a worker.
    fn names_of(&self, worker: WorkerId) -> Option<(String, String)> {
        let (_, facts) = self.facts.workers().find(|(id, _)| *id == worker)?;
        Some((facts.program().to_owned(), facts.hostname().to_owned()))
    }

    /// Returns the number of processes that are open at a worker.
    fn open_at(&self, worker: WorkerId) -> usize {
        let processes = self.trees.values().flat_map(|tree| self.ids(tree.id).into_iter().map(|id| (tree.id, id)));
        processes.filter(|(root, id)| self.facts.process(*root, *id).is_some_and(|facts| facts.open_at().contains(&worker))).count()
    }

    fn ids(&self, root: RootId) -> Vec<ProcessId> {
        self.facts.tree(root, 0).map_or_else(Vec::new, |(_, processes)| processes.into_iter().map(|process| process.id).collect())
    }
}

/// Parses a cursor: `N` numbers separated by points.
fn place_of<const N: usize>(cursor: &str) -> Result<[u64; N], StoreError> {
    let malformed = || StoreError::Cursor { cursor: cursor.to_owned() };
    let numbers: Vec<u64> = cursor.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| malformed())?;
    numbers.try_into().map_err(|_| malformed())
}

/// Returns up to `limit` items after the cursor, and the cursor of the next page if there are more items.
fn page_of<T, const N: usize>(
    all: Vec<T>,
    limit: usize,
    cursor: Option<&str>,
    place: impl Fn(&T) -> [u64; N],
    is_behind: impl Fn([u64; N], [u64; N]) -> bool,
) -> Result<(Vec<T>, Option<String>), StoreError> {
    let from = cursor.map(place_of::<N>).transpose()?;
    let mut rest: Vec<T> = all.into_iter().filter(|item| from.is_none_or(|from| is_behind(place(item), from))).collect();
    let is_more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| is_more).map(|last| place(last).map(|number| number.to_string()).join("."));
    Ok((rest, next))
}

/// Returns true if `text` contains `part`, ignoring case.
fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}
