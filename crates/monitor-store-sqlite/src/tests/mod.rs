//! Tests of the store on real files.

mod changes;
mod columns;
mod event_log;
mod former;
mod full;
mod large;
mod links;
mod lists;
mod model;
mod native;
mod once;
mod opening;
mod overdue;
mod plans;
mod queue_ids;
mod retention;
mod snapshots;
mod stats;
mod unused;
mod waiting;

use std::sync::Arc;

use monitor_store::packed::Packed;
use monitor_store::suite::Place;
use monitor_store::support;
use monitor_store::support::script::show;
use monitor_store::{Changes, Intake, Queries, RootKey, RootsQuery, StoreError};
use monitor_wire::{Batch, TreePage};

use super::SqliteStore;

impl SqliteStore {
    /// Like [`Intake::append`], for batches in their wire form.
    fn append(&self, batches: &[Batch], now_us: u64) -> Result<Changes, StoreError> {
        let packed: Vec<_> = batches.iter().map(|batch| Arc::new(Packed::from(batch.clone()))).collect();
        Intake::append(self, &packed, now_us)
    }
}

fn open() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    (folder, store)
}

/// Returns the processes of tree 1 as lines.
fn tree(store: &SqliteStore) -> String {
    show(&page(store).processes)
}

fn page(store: &SqliteStore) -> TreePage {
    store.tree(RootKey::Id(support::root(1)), 1_000, None).unwrap().unwrap()
}

fn any() -> RootsQuery {
    RootsQuery { limit: 100, ..RootsQuery::default() }
}

/// Joins batches of the same worker into one.
fn joined(batches: &[Batch]) -> Batch {
    Batch { events: batches.iter().flat_map(|batch| batch.events.clone()).collect(), ..batches[0].clone() }
}

/// A temporary data folder.
pub(crate) struct InFolder(tempfile::TempDir);

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

mod suite {
    monitor_store::suite!(crate::tests::InFolder);
}
