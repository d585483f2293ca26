//! Tests of sending a tree in columns.

use monitor_store::{Queries, RootKey};

/// A slow client must not keep SQLite from reusing the WAL.
#[test]
fn an_export_of_a_tree_does_not_block_checkpoints() {
    let (folder, store) = super::open();
    store.append(&super::support::script::parse("started 1"), 0).unwrap();
    let mut sent = store.tree_columns(RootKey::Number(1)).unwrap().unwrap();
    assert!(sent.next().is_some());
    store.append(&[super::support::batch('A', 2, super::support::script::parse("started 2 parent=1")[0].events.clone())], 0).unwrap();
    let other = rusqlite::Connection::open(super::super::folder::database(folder.path()).unwrap()).unwrap();
    let is_busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(is_busy, 0);
    assert!(sent.count() > 0);
}
