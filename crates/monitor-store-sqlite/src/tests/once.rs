//! Tests that a failed transaction changes nothing.

use monitor_store::{Queries, StoreError};
use monitor_wire::Status;

use super::support::script::parse;
use super::{any, open, tree};

#[test]
fn a_failed_transaction_leaves_nothing_on_disk_or_in_memory() {
    let (folder, store) = open();
    let parts = parse("online\nstarted 1 name=first\nB: started 2 parent=1 name=second at=666\nB: offline\nended 1 ok");
    store.append(&parts[..1], 5).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let fail = "CREATE TRIGGER fail BEFORE INSERT ON process WHEN new.at = 664 BEGIN SELECT RAISE(ABORT, 'for the test'); END";
    other.execute_batch(fail).unwrap();
    let before = store.status().unwrap();
    let error = store.append(&parts[1..], 6).unwrap_err();
    assert!(matches!(error, StoreError::Database { action: "store events", .. }), "{error:?}");
    // Other programs use the disk, so its free space may differ.
    assert_eq!(Status { disk_free_bytes: before.disk_free_bytes, ..store.status().unwrap() }, before);
    other.execute_batch("DROP TRIGGER fail").unwrap();
    let seqs: Vec<_> = store.append(&parts, 7).unwrap().iter().map(|change| change.seq).collect();
    assert_eq!(seqs, [2, 3, 4, 5], "nothing was taken, so all of it is still new");
    assert_eq!(tree(&store), "1 succeeded name=\"first\" ended=5\n  2 cancelled name=\"second\" reason=exited ended=666\n");
    let root = &store.roots(&any()).unwrap().roots[0];
    assert_eq!((root.number, root.counts.total()), (1, 2), "no number was used up");
}
