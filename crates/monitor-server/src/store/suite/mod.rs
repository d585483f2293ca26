//! What every store promises: tests that look at no inside, run over each store that there is.

/// Makes tests of functions that are generic over the place of a store.
macro_rules! for_each_store {
    ($($name:ident),+ $(,)?) => {
        mod in_folder {
            $(#[test] fn $name() { super::$name::<crate::store::suite::InFolder>(); })+
        }

        mod in_memory {
            $(#[test] fn $name() { super::$name::<crate::store::suite::InMemory>(); })+
        }
    };
}

mod alerts;
mod batch;
mod changes;
pub(in crate::store) mod columns;
#[path = "../../../../../fuzz/corpus.rs"]
mod corpus;
pub(in crate::store) mod event_log;
mod found;
mod heartbeat;
mod links;
mod lists;
mod logs;
mod lost;
pub(in crate::store) mod model;
mod once;
pub(in crate::store) mod overdue;
mod pins;
pub(in crate::store) mod queue;
mod stats;
mod tasks;
mod unused;

use std::sync::Arc;
use std::time::Duration;

use monitor_wire::{Batch, TreePage};

use super::memory::{Memory, MemoryStore};
use super::{Budget, Changes, Chore, Intake, RootKey, RootsQuery, Rules, SqliteStore, Store, StoreError, Turn};
use crate::packed::Packed;
use crate::retention::{Retention, read_rules};
use crate::support;
use crate::support::script::show;

/// Where a store keeps what it has. A store that is opened there again is as after a restart.
pub(in crate::store) trait Place {
    type Store: Store;

    /// A place with nothing in it.
    fn new() -> Self;

    /// Opens the store; there is no other at the same time.
    fn open(&self) -> Self::Store;

    /// Like [`Place::open`]: so many of the first lines of a log are kept, and as many of the last.
    fn open_keeping(&self, lines: usize) -> Self::Store;

    /// Fails if what is kept contradicts itself.
    fn check(&self, store: &Self::Store);
}

/// A folder, for SQLite.
pub(in crate::store) struct InFolder(tempfile::TempDir);

impl Place for InFolder {
    type Store = SqliteStore;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(self.0.path()).unwrap()
    }

    fn open_keeping(&self, lines: usize) -> SqliteStore {
        self.open().keep_logs(lines)
    }

    fn check(&self, store: &SqliteStore) {
        assert_eq!(store.problems(), Vec::<String>::new());
    }
}

/// Memory.
pub(in crate::store) struct InMemory(Memory);

impl Place for InMemory {
    type Store = MemoryStore;

    fn new() -> Self {
        Self(Memory::default())
    }

    fn open(&self) -> MemoryStore {
        MemoryStore::open(&self.0)
    }

    fn open_keeping(&self, lines: usize) -> MemoryStore {
        self.open().keep_logs(lines)
    }

    fn check(&self, _store: &MemoryStore) {}
}

/// Takes batches as they are on the wire.
pub(in crate::store) trait Say {
    fn say(&self, batches: &[Batch], now_us: u64) -> Result<Changes, StoreError>;
}

impl<S: Intake> Say for S {
    fn say(&self, batches: &[Batch], now_us: u64) -> Result<Changes, StoreError> {
        let packed: Vec<_> = batches.iter().map(|batch| Arc::new(Packed::from(batch.clone()))).collect();
        self.append(&packed, now_us)
    }
}

/// The first tree, as lines.
fn tree(store: &impl Store) -> String {
    show(&page(store).processes)
}

fn page(store: &impl Store) -> TreePage {
    store.tree(RootKey::Id(support::root(1)), 1_000, None).unwrap().unwrap()
}

fn any() -> RootsQuery {
    RootsQuery { limit: 100, ..RootsQuery::default() }
}

/// Several batches of a worker's as one.
fn joined(batches: &[Batch]) -> Batch {
    Batch { events: batches.iter().flat_map(|batch| batch.events.clone()).collect(), ..batches[0].clone() }
}

/// Does a chore to its end; how many trees were dropped, and what the stream was told.
fn tidy(store: &impl Store, chore: Chore, retention: &Retention, now_us: u64) -> (usize, Vec<String>) {
    let rules = Rules { retention, aged_us: now_us, now_us };
    let (mut turn, mut dropped, mut told) = (Some(Turn::Look), 0, Vec::new());
    while let Some(next) = turn {
        let tidied = store.tidy(chore, &rules, Budget { turn: next, time: Duration::ZERO, trees: 2 }).unwrap();
        assert!(next == Turn::Change || tidied.changes.count() == 0, "a look changes nothing");
        told.extend(tidied.changes.iter().map(|change| change.message.event.type_name().to_owned()));
        (turn, dropped) = (tidied.more, dropped + tidied.dropped);
    }
    (dropped, told)
}

fn rules(text: &str) -> Retention {
    Retention { rules: read_rules(text).unwrap(), size: None }
}
