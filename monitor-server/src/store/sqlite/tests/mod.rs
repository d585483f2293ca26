//! The store on real files.

mod model;

#[path = "../../../../../monitor-state/tests/support/mod.rs"]
mod support;

use super::SqliteStore;

fn open() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    (folder, store)
}
