//! Tests of the stepwise search for texts and workers that are no longer in use.

use monitor_store::{Queries, RootKey, RootsQuery};
use rusqlite::Connection;

use super::super::SqliteStore;
use super::super::house::DropTrees;
use super::super::unused::Unused;
use super::support::script::parse;
use super::support::{root, worker};
use super::{any, joined, open};

/// Adds a tree with texts and a worker of its own. The error of its child, `shared`, occurs in other trees too.
fn tree(store: &SqliteStore, letter: char, number: u64, came_us: u64) {
    let lines = format!(
        "{letter}: online worker={letter}\n{letter}: started 1 root={number} name=build batch=mark_{number}\n\
         {letter}: started 2 root={number} parent=1\n{letter}: ended 2 root={number} failed error=shared\n\
         {letter}: logged 1 root={number} message=said\n{letter}: ended 1 root={number} failed error=own_{number}\n{letter}: offline worker={letter}"
    );
    store.append(&[joined(&parse(&lines))], came_us).unwrap();
}

fn drop_tree(store: &SqliteStore, number: u64) {
    let number = store.root(RootKey::Id(root(number as u8))).unwrap().unwrap().number;
    store.drop_roots(&DropTrees { numbers: &[number], reason: "asked", may_run: false }, 0).unwrap();
    while store.sweep(3).unwrap().is_more {}
}

/// Creates a store with two trees and drops the first.
fn one_dropped_of_two() -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = open();
    tree(&store, 'A', 1, 1);
    tree(&store, 'B', 2, 1);
    drop_tree(&store, 1);
    (folder, store)
}

fn looked(store: &SqliteStore) -> Unused {
    let mut unused = store.begin_unused().unwrap();
    while store.find_unused(&mut unused).unwrap() {}
    unused
}

fn finish(store: &SqliteStore, mut unused: Unused, heard_before_us: u64) {
    while store.drop_unused(&mut unused, heard_before_us).unwrap() {}
}

/// Returns all texts that searches can find.
fn texts(folder: &tempfile::TempDir) -> Vec<String> {
    let connection = Connection::open(folder.path().join("monitor.db")).unwrap();
    let mut statement = connection.prepare("SELECT value FROM text WHERE found AND value <> '' ORDER BY value").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn found(store: &SqliteStore, query: &RootsQuery) -> usize {
    store.roots(query).unwrap().roots.len()
}

fn of_batch(number: u64) -> RootsQuery {
    RootsQuery { batch: Some(format!("mark_{number}")), ..any() }
}

fn of_text(text: &str) -> RootsQuery {
    RootsQuery { text: Some(text.to_owned()), ..any() }
}

#[test]
fn only_texts_of_dropped_trees_are_deleted() {
    let (folder, store) = open();
    for (letter, number) in [('A', 1), ('B', 2), ('C', 3)] {
        tree(&store, letter, number, number);
    }
    drop_tree(&store, 1);
    drop_tree(&store, 2);
    assert_eq!(texts(&folder).len(), 9);
    finish(&store, looked(&store), 2);
    // The texts of tree 3 are left. The sums of failures use no others, because their newest examples are in that tree.
    assert_eq!(texts(&folder), ["build", "mark_3", "own_3", "p2", "shared"]);
}

#[test]
fn rows_used_again_after_the_scan_are_kept() {
    let (folder, store) = one_dropped_of_two();
    let unused = looked(&store);
    let lines = "A: started 1 root=3 name=build batch=mark_1\nA: ended 1 root=3 failed error=own_1\nA: offline worker=A";
    let mut again = joined(&parse(lines));
    again.sequence = 100;
    store.append(&[again], 9).unwrap();
    finish(&store, unused, 5);
    assert_eq!((found(&store, &of_batch(1)), found(&store, &of_text("own_1"))), (1, 1));
    assert!(store.worker(worker('A')).unwrap().is_some(), "it was heard of since");
    assert_eq!(store.problems(), Vec::<String>::new());
    // The search is over, and the writer can use the keys in its cache again.
    tree(&store, 'D', 4, 9);
    assert_eq!(texts(&folder).iter().filter(|text| text.starts_with("mark_")).count(), 3);
}

#[test]
fn a_search_from_before_a_restart_deletes_nothing() {
    let (folder, store) = one_dropped_of_two();
    let unused = looked(&store);
    let before = texts(&folder);
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    finish(&store, unused, u64::MAX);
    assert_eq!(texts(&folder), before);
    finish(&store, looked(&store), u64::MAX);
    assert_eq!(texts(&folder).len(), before.len() - 2);
    assert!(store.worker(worker('A')).unwrap().is_none());
}
