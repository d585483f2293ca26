//! Tests that every event counts once, and that acknowledged events survive a restart.

use monitor_wire::Status;

use super::{Place, Say as _, any, joined, page, tree};
use crate::Queries as _;
use crate::support::script::parse;

const SCRIPT: &str = "started 1\nstarted 2 parent=1\nlogged 2 message=hello\nended 2 failed error=boom\nstarted 3 parent=1\nended 1 ok";

pub fn stored_data_is_there_after_a_restart<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[joined(&parse(SCRIPT))], 5).unwrap();
    let (before, status) = (page(&store), store.status().unwrap());
    drop(store);
    let store = place.open();
    assert_eq!(page(&store), before);
    // Closing a store empties the WAL, and other programs use the disk, so these two sizes may differ.
    assert_eq!(Status { wal_bytes: status.wal_bytes, disk_free_bytes: status.disk_free_bytes, ..store.status().unwrap() }, status);
}

pub fn a_repeated_batch_changes_nothing_and_emits_nothing<P: Place>() {
    let place = P::new();
    let store = place.open();
    let batch = joined(&parse(SCRIPT));
    assert_eq!(store.say(&[batch.clone(), batch.clone()], 5).unwrap().len(), 6);
    let before = page(&store);
    assert_eq!(store.say(std::slice::from_ref(&batch), 6).unwrap().len(), 0);
    drop(store);
    let store = place.open();
    assert_eq!(store.say(&[batch], 7).unwrap().len(), 0, "what was applied is known after a restart, too");
    assert_eq!(page(&store), before);
    assert_eq!(store.status().unwrap().events, 6);
}

pub fn a_batch_may_be_split_and_cut_anew<P: Place>() {
    let place = P::new();
    let store = place.open();
    let parts = parse(SCRIPT);
    let counts = [&parts[1..3], &parts[4..6], &parts[0..4], &parts[2..6]].map(|cut| store.say(&[joined(cut)], 5).unwrap().len());
    assert_eq!(counts, [2, 2, 2, 0], "numbers may have gaps that are filled later");
    let other_place = P::new();
    let other = other_place.open();
    other.say(&[joined(&parts)], 5).unwrap();
    assert_eq!(page(&store).processes, page(&other).processes);
}

pub fn an_end_may_come_before_its_start_even_across_a_restart<P: Place>() {
    let place = P::new();
    let store = place.open();
    let parts = parse("started 1\nstarted 2 parent=1\nended 2 failed error=boom\nended 1 ok");
    for part in parts[2..].iter().rev() {
        store.say(std::slice::from_ref(part), 5).unwrap();
    }
    assert_eq!(tree(&store), "2 failed name=\"\" ended=3 error=boom orphan\n1 succeeded name=\"\" ended=4 orphan\n");
    drop(store);
    let store = place.open();
    store.say(&[joined(&parts[..2])], 6).unwrap();
    assert_eq!(tree(&store), "1 succeeded ended=4\n  2 failed ended=3 error=boom\n");
    let root = &store.roots(&any()).unwrap().roots[0];
    assert_eq!((root.counts.succeeded, root.counts.failed, root.counts.total()), (1, 1, 2));
    assert_eq!(root.error, None, "what failed was handled");
}

pub fn events_of_a_relayed_worker_are_counted_by_the_relay<P: Place>() {
    let place = P::new();
    let store = place.open();
    let batches = parse("A: started 1 by=B\nB: started 2 parent=1");
    assert_eq!(batches[0].sequence, batches[1].sequence);
    assert_eq!(store.say(&batches, 5).unwrap().len(), 2, "the same number of another worker is another event");
}
