//! Tests of the changes that the stream sends, and of counts.

use monitor_wire::{Dropped, Event};

use super::{Place, Say as _, any, joined, page};
use crate::Queries as _;
use crate::support::script::parse;
use crate::support::{batch, root, worker};

pub fn changes_are_numbered_without_gaps_and_reads_return_their_position<P: Place>() {
    let place = P::new();
    let store = place.open();
    let parts = parse("started 1\nstarted 2 parent=1\nended 2 ok\nended 1 ok");
    let seqs: Vec<_> = store.say(&parts[..2], 0).unwrap().iter().map(|change| change.seq).collect();
    assert_eq!(seqs, [1, 2]);
    drop(store);
    let store = place.open();
    let seqs: Vec<_> = store.say(&parts[1..], 0).unwrap().iter().map(|change| change.seq).collect();
    assert_eq!(seqs, [3, 4]);
    assert_eq!((page(&store).as_of, store.roots(&any()).unwrap().as_of, store.status().unwrap().as_of), (4, 4, 4));
}

pub fn a_change_contains_the_state_caused_by_its_event<P: Place>() {
    let place = P::new();
    let store = place.open();
    let changes = store.say(&[joined(&parse("started 1 name=build batch=b\nstarted 2 parent=1\nended 2 failed error=boom"))], 0).unwrap();
    let message = &changes[2].message;
    let root = message.root.as_ref().unwrap();
    assert_eq!((&*root.title, root.counts.failed, root.counts.running), ("build <b:1>", 1, 1));
    assert_eq!(root.error, None, "the root runs: it may be handled");
    let process = message.process.as_ref().unwrap();
    assert_eq!((process.id.get(), process.state.as_str(), process.orphan), (2, "failed", false));
    assert!(message.worker.is_some(), "the worker is new");
    let later = store.say(&parse("heartbeat\nheartbeat\nheartbeat\nended 1 ok")[3..], 1).unwrap();
    assert!(later[0].message.worker.is_none());
    let shown = page(&store);
    let orphan = store.say(&parse("B: started 7 parent=99")[..], 1).unwrap();
    assert!(orphan[0].message.process.as_ref().unwrap().orphan);
    assert_eq!(shown.root, *later[0].message.root.as_ref().unwrap());
}

pub fn dropped_counts_are_cumulative_so_the_greatest_is_used<P: Place>() {
    let place = P::new();
    let store = place.open();
    let dropped = |reason: &str, tree: Option<u8>, count| Dropped {
        event_type: "process-logged".to_owned(),
        reason: reason.to_owned(),
        root_id: tree.map(root),
        count,
    };
    for counts in [vec![dropped("memory", None, 12)], vec![dropped("memory", None, 7), dropped("memory", Some(1), 2)]] {
        let mut sent = batch('A', 1, Vec::new());
        sent.dropped = counts;
        store.say(&[sent], 0).unwrap();
    }
    let mut other = batch('B', 1, Vec::new());
    other.dropped = vec![dropped("memory", None, 100), dropped("rejected", None, u64::MAX)];
    store.say(&[other], 0).unwrap();
    drop(store);
    let store = place.open();
    let shown = store.worker(worker('A')).unwrap().unwrap().dropped;
    assert_eq!(shown, [dropped("memory", None, 12), dropped("memory", Some(1), 2)]);
    assert_eq!(store.status().unwrap().dropped, [dropped("memory", None, 114), dropped("rejected", None, i64::MAX as u64)]);
}

pub fn a_tree_shows_the_drops_of_all_its_workers<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&parse("started 1 root=1 at=5"), 0).unwrap();
    let dropped = |reason: &str, tree: u8, count| Dropped {
        event_type: "process-started".to_owned(),
        reason: reason.to_owned(),
        root_id: Some(root(tree)),
        count,
    };
    for (name, counts) in [
        ('B', vec![dropped("memory", 1, 5), dropped("spool", 1, u64::MAX)]),
        ('C', vec![dropped("memory", 1, 7), dropped("memory", 2, 1), dropped("spool", 1, u64::MAX)]),
    ] {
        let mut sent = batch(name, 1, Vec::new());
        sent.dropped = counts;
        store.say(&[sent], 0).unwrap();
    }
    let twice = 2 * (i64::MAX as u64);
    assert_eq!(page(&store).dropped, [dropped("memory", 1, 12), dropped("spool", 1, twice)]);
}

pub fn names_of_any_kind_are_data<P: Place>() {
    let place = P::new();
    let store = place.open();
    let nasty = ["'; DROP TABLE root; --", "<script>alert(1)</script>", "a\0b", "\u{202e}一个测试根任务", "", "%_\\"];
    for (index, name) in nasty.iter().enumerate() {
        let mut sent = parse(&format!("started 170 root={} at=5", index + 1)).remove(0);
        sent.sequence = index as u64 + 1;
        let Event::ProcessStarted(started) = &mut sent.events[0] else { unreachable!() };
        started.name = (*name).to_owned();
        started.thread = Some((*name).to_owned());
        store.say(&[sent], 0).unwrap();
    }
    let names: Vec<_> = store.roots(&any()).unwrap().roots.into_iter().rev().map(|root| root.name).collect();
    assert_eq!(names, nasty);
    let first = &page(&store).processes[0];
    assert_eq!((first.thread.as_deref(), first.id.get()), (Some(nasty[0]), 0xaa | 1 << 63));
}
