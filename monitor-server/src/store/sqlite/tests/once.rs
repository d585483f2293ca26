//! Every event counts once, and what was acknowledged stays.

use monitor_wire::Status;

use super::super::SqliteStore;
use super::support::script::parse;
use super::{any, joined, open, page, tree};
use crate::store::{Queries, StoreError};

const SCRIPT: &str = "started 1\nstarted 2 parent=1\nlogged 2 message=hello\nended 2 failed error=boom\nstarted 3 parent=1\nended 1 ok";

#[test]
fn what_is_stored_is_there_after_a_restart() {
    let (folder, store) = open();
    store.append(&[joined(&parse(SCRIPT))], 5).unwrap();
    let (before, status) = (page(&store), store.status().unwrap());
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(page(&store), before);
    // A log is written back when a store is closed, and others use the disk, too.
    assert_eq!(Status { wal_bytes: status.wal_bytes, disk_free_bytes: status.disk_free_bytes, ..store.status().unwrap() }, status);
}

#[test]
fn a_batch_that_comes_again_changes_nothing_and_tells_nothing() {
    let (folder, store) = open();
    let batch = joined(&parse(SCRIPT));
    assert_eq!(store.append(&[batch.clone(), batch.clone()], 5).unwrap().len(), 6);
    let before = page(&store);
    assert_eq!(store.append(std::slice::from_ref(&batch), 6).unwrap().len(), 0);
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.append(&[batch], 7).unwrap().len(), 0, "what was applied is known after a restart, too");
    assert_eq!(page(&store), before);
    assert_eq!(store.status().unwrap().events, 6);
}

#[test]
fn a_batch_may_be_split_and_cut_anew() {
    let (_folder, store) = open();
    let parts = parse(SCRIPT);
    let counts = [&parts[1..3], &parts[4..6], &parts[0..4], &parts[2..6]].map(|cut| store.append(&[joined(cut)], 5).unwrap().len());
    assert_eq!(counts, [2, 2, 2, 0], "numbers may have gaps that are filled later");
    let (_other_folder, other) = open();
    other.append(&[joined(&parts)], 5).unwrap();
    assert_eq!(page(&store).processes, page(&other).processes);
}

#[test]
fn an_end_may_come_before_its_start_even_across_a_restart() {
    let (folder, store) = open();
    let parts = parse("started 1\nstarted 2 parent=1\nended 2 failed error=boom\nended 1 ok");
    for part in parts[2..].iter().rev() {
        store.append(std::slice::from_ref(part), 5).unwrap();
    }
    assert_eq!(tree(&store), "2 failed name=\"\" ended=3 error=boom orphan\n1 succeeded name=\"\" ended=4 orphan\n");
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    store.append(&[joined(&parts[..2])], 6).unwrap();
    assert_eq!(tree(&store), "1 succeeded ended=4\n  2 failed ended=3 error=boom\n");
    let root = &store.roots(&any()).unwrap().roots[0];
    assert_eq!((root.counts.succeeded, root.counts.failed, root.counts.total()), (1, 1, 2));
    assert_eq!(root.error, None, "what failed was handled");
}

#[test]
fn events_of_a_relayed_worker_are_counted_by_the_relay() {
    let (_folder, store) = open();
    let batches = parse("A: started 1 by=B\nB: started 2 parent=1");
    assert_eq!(batches[0].sequence, batches[1].sequence);
    assert_eq!(store.append(&batches, 5).unwrap().len(), 2, "the same number of another worker is another event");
}

#[test]
fn a_transaction_that_fails_leaves_nothing_behind_on_disk_or_in_mind() {
    let (folder, store) = open();
    let parts = parse("online\nstarted 1 name=first\nB: started 2 parent=1 name=second at=666\nB: offline\nended 1 ok");
    store.append(&parts[..1], 5).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let fail = "CREATE TRIGGER fail BEFORE INSERT ON process WHEN new.at = 664 BEGIN SELECT RAISE(ABORT, 'for the test'); END";
    other.execute_batch(fail).unwrap();
    let before = store.status().unwrap();
    let error = store.append(&parts[1..], 6).unwrap_err();
    assert!(matches!(error, StoreError::Database { action: "store events", .. }), "{error:?}");
    // Others use the disk, too.
    assert_eq!(Status { disk_free_bytes: before.disk_free_bytes, ..store.status().unwrap() }, before);
    other.execute_batch("DROP TRIGGER fail").unwrap();
    let seqs: Vec<_> = store.append(&parts, 7).unwrap().iter().map(|change| change.seq).collect();
    assert_eq!(seqs, [2, 3, 4, 5], "nothing was taken, so all of it is still new");
    assert_eq!(tree(&store), "1 succeeded name=\"first\" ended=5\n  2 cancelled name=\"second\" reason=exited ended=666\n");
    let root = &store.roots(&any()).unwrap().roots[0];
    assert_eq!((root.number, root.counts.total()), (1, 2), "no number was used up");
}
