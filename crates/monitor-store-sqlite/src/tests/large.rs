//! Tests of large and deep trees.

use monitor_store::{Queries, RootKey};
use monitor_wire::{Batch, Event};

use super::super::SqliteStore;
use super::open;
use super::support::script::parse;
use super::support::{batch, root};

const PROCESSES: u64 = 100_000;

/// Returns a tree whose processes have up to ten children each, in batches of 10,000 events: all starts, then all ends.
fn large() -> impl Iterator<Item = Batch> {
    let templates = parse("started 2 parent=1\nended 2 ok");
    let (started, ended) = (templates[0].events[0].clone(), templates[1].events[0].clone());
    let events = (1..=PROCESSES).map(move |number| {
        let mut event = started.clone();
        let Event::ProcessStarted(start) = &mut event else { unreachable!() };
        (start.id, start.time_us) = (scattered(number), number);
        start.parent_id = (number > 1).then(|| scattered(number / 10 + 1 - u64::from(number / 10 + 1 >= number)));
        event
    });
    let ends = (1..=PROCESSES).rev().map(move |number| {
        let mut event = ended.clone();
        let Event::ProcessEnded(end) = &mut event else { unreachable!() };
        (end.id, end.time_us) = (scattered(number), 2 * PROCESSES);
        event
    });
    let mut events = events.chain(ends);
    (0..2 * PROCESSES / 10_000).map(move |part| batch('A', 1 + part * 10_000, events.by_ref().take(10_000).collect()))
}

/// Spreads ids over all 64 bits, because real ids are random.
fn scattered(number: u64) -> monitor_wire::ProcessId {
    monitor_wire::ProcessId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap()
}

#[test]
fn a_hundred_thousand_processes_in_one_tree_are_kept_and_read() {
    let (folder, store) = open();
    for batch in large() {
        store.append(&[batch], 0).unwrap();
    }
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    let page = store.tree(RootKey::Id(root(1)), 100_000, None).unwrap().unwrap();
    assert_eq!(page.processes.len() as u64, PROCESSES);
    assert_eq!((page.root.counts.succeeded, page.root.counts.total()), (PROCESSES, PROCESSES));
    assert!(page.processes.iter().skip(1).all(|process| !process.orphan && process.depth > Some(0)));
    assert_eq!(page.next_cursor, None);
    assert!(monitor_store::suite::columns::tree(&store, RootKey::Id(root(1))) == page, "columns say the same");
}

#[test]
fn a_chain_of_any_depth_is_kept_and_read() {
    let (_folder, store) = open();
    let children = (2..20_000_u64).map(|id| format!("started {id} parent={}", id - 1));
    let lines: Vec<_> = std::iter::once("started 1".to_owned()).chain(children).collect();
    store.append(&[super::joined(&parse(&lines.join("\n")))], 0).unwrap();
    let page = store.tree(RootKey::Number(1), 100_000, None).unwrap().unwrap();
    assert_eq!(page.processes.iter().map(|process| process.depth).max(), Some(Some(19_998)));
}
