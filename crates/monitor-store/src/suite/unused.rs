//! Tests that texts and workers are deleted with the last tree that uses them.

use monitor_wire::{Batch, Dropped};

use super::{Place, Say as _, any, joined, tidy};
use crate::retention::Retention;
use crate::support::script::parse;
use crate::support::{batch, root, worker};
use crate::{Chore, Intake as _, LogsQuery, Queries as _, RootKey, RootsQuery, Store};

const DAY: u64 = 86_400_000_000;
/// Time at which unused data from the beginning of a test is no longer kept, in microseconds.
const LATER: u64 = 40 * DAY;

/// Adds a tree with texts and a worker of its own. The error of its child, `shared`, occurs in other trees too.
fn add_tree(store: &impl Store, letter: char, number: u64, came_us: u64) {
    let lines = format!(
        "{letter}: online worker={letter}\n{letter}: started 1 root={number} name=build batch=mark_{number}\n\
         {letter}: started 2 root={number} parent=1\n{letter}: ended 2 root={number} failed error=shared\n\
         {letter}: logged 1 root={number} message=said\n{letter}: ended 1 root={number} failed error=own_{number}\n{letter}: offline worker={letter}"
    );
    store.say(&[joined(&parse(&lines))], came_us).unwrap();
}

/// Drops trees and deletes everything that is then unused.
fn drop_trees(store: &impl Store, numbers: &[u8], now_us: u64) {
    for number in numbers {
        assert!(store.drop_root(RootKey::Id(root(*number)), false, now_us).unwrap().is_some_and(|changes| changes.count() == 1));
    }
    for chore in [Chore::Trees, Chore::Rest] {
        tidy(store, chore, &Retention::default(), now_us);
    }
}

fn found(store: &impl Store, text: &str) -> usize {
    store.roots(&RootsQuery { text: Some(text.to_owned()), ..any() }).unwrap().roots.len()
}

fn of_batch(store: &impl Store, mark: &str) -> usize {
    store.roots(&RootsQuery { batch: Some(mark.to_owned()), ..any() }).unwrap().roots.len()
}

fn known(store: &impl Store, letters: &str) -> String {
    letters.chars().filter(|letter| store.worker(worker(*letter)).unwrap().is_some()).collect()
}

pub fn only_texts_and_workers_of_dropped_trees_are_removed<P: Place>() {
    let place = P::new();
    let store = place.open();
    // B was last seen a day ago, which is too recent to forget it.
    for (letter, number, came_us) in [('A', 1, 1), ('B', 2, LATER - DAY), ('C', 3, 3)] {
        add_tree(&store, letter, number, came_us);
    }
    let kept = store.tree(RootKey::Id(root(3)), 9, None).unwrap();
    drop_trees(&store, &[1, 2], LATER);
    let counts = ["mark_", "own_", "shared", "own_1"].map(|text| found(&store, text));
    assert_eq!((counts, known(&store, "ABC"), store.status().unwrap().workers.offline), ([1, 1, 0, 0], "BC".to_owned(), 2));
    let page = store.tree(RootKey::Id(root(3)), 9, None).unwrap();
    assert_eq!(page.map(|page| page.processes), kept.map(|page| page.processes));
    let logs = store.logs(RootKey::Id(root(3)), &LogsQuery { limit: 9, ..LogsQuery::default() }).unwrap().unwrap();
    assert_eq!(logs.logs[0].message, "said");
    place.check(&store);
    drop(store);
    assert_eq!(known(&place.open(), "ABC"), "BC");
}

pub fn a_worker_is_kept_while_a_tree_needs_its_drops_or_it_may_return<P: Place>() {
    let place = P::new();
    let store = place.open();
    add_tree(&store, 'A', 1, 1);
    add_tree(&store, 'B', 2, 1);
    // C announced heartbeats, and D never announced itself. Neither has gone offline.
    store.say(&[joined(&parse("D: started 1 root=3\nD: ended 1 root=3 ok"))], 1).unwrap();
    store.say(&[joined(&parse("C: online worker=C\nC: started 1 root=3 parent=9\nC: ended 1 root=3 ok"))], 1).unwrap();
    let dropped = Dropped { event_type: "process-started".to_owned(), reason: "full".to_owned(), root_id: Some(root(2)), count: 7 };
    store.say(&[Batch { dropped: vec![dropped.clone()], ..batch('A', 100, Vec::new()) }], 1).unwrap();
    add_tree(&store, 'E', 4, 1);
    drop_trees(&store, &[1], LATER);
    assert_eq!(known(&store, "ABCDE"), "ABCDE");
    assert_eq!(store.tree(RootKey::Id(root(2)), 9, None).unwrap().unwrap().dropped, [dropped]);
    drop_trees(&store, &[2, 3], LATER);
    assert_eq!(known(&store, "ABCDE"), "CDE");
    // After this, C is lost and D is offline, so the store no longer waits for them.
    store.lose_workers(LATER, 0).unwrap();
    add_tree(&store, 'F', 5, LATER);
    drop_trees(&store, &[5], LATER);
    assert_eq!(known(&store, "ABCDE"), "E");
    place.check(&store);
}

pub fn removed_texts_are_found_again_when_they_return<P: Place>() {
    let place = P::new();
    let store = place.open();
    add_tree(&store, 'A', 1, 1);
    add_tree(&store, 'B', 2, 1);
    assert_eq!(of_batch(&store, "mark_1"), 1);
    drop_trees(&store, &[1], LATER);
    assert_eq!((of_batch(&store, "mark_1"), found(&store, "own_1")), (0, 0));
    let mut again = joined(&parse("A: started 1 root=5 batch=mark_1\nA: ended 1 root=5 failed error=own_1"));
    again.sequence = 100;
    store.say(&[again], LATER).unwrap();
    assert_eq!((of_batch(&store, "mark_1"), found(&store, "own_1"), known(&store, "A")), (1, 1, "A".to_owned()));
    place.check(&store);
}
