//! Tests of processes with ids of other systems (native ids), and of the search by process id alone.

use std::collections::HashMap;

use monitor_store::{ProcessesQuery, Queries, RootKey};
use monitor_wire::{Event, Kind, ProcessId, ProcessStarted, RootId};
use rusqlite::Connection;

use super::super::dictionary::hash;
use super::super::house::DropTrees;
use super::super::{SqliteStore, folder};
use super::support::script::parse;
use super::support::{batch, process, root};
use super::{joined, open};

/// Returns the tree and the id of every process that a query finds, from all pages.
fn found(store: &SqliteStore, query: &ProcessesQuery) -> Vec<(RootId, ProcessId)> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.processes(&ProcessesQuery { cursor, ..query.clone() }).unwrap();
        all.extend(page.processes.iter().map(|process| (process.root_id, process.id)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

fn of(native_id: &str) -> ProcessesQuery {
    ProcessesQuery { native_id: Some(native_id.to_owned()), limit: 1, ..ProcessesQuery::default() }
}

#[test]
fn processes_are_found_in_any_tree_by_the_ids_of_other_systems() {
    let (folder, store) = open();
    let script =
        "started 1 native_id=a-1\nstarted 2 parent=1\nstarted 1 root=2 native_id=a-2\nupdated 2 root=2 native_id=a-1\nended 1 ok root=2";
    let mut said = joined(&parse(script));
    store.append(std::slice::from_ref(&said), 0).unwrap();
    let at = |tree: u8, id: u64| (root(tree), process(id));
    assert_eq!(found(&store, &of("a-1")), [at(2, 2), at(1, 1)]);
    assert_eq!(found(&store, &of("a-2")), [at(2, 1)]);
    assert_eq!(found(&store, &of("a-3")), []);
    assert_eq!(found(&store, &of("")), []);
    assert_eq!(found(&store, &ProcessesQuery { root: Some(RootKey::Number(1)), ..of("a-1") }), [at(1, 1)]);
    assert_eq!(found(&store, &ProcessesQuery { root: Some(RootKey::Number(9)), ..of("a-1") }), []);
    assert_eq!(found(&store, &ProcessesQuery { kind: Some(Kind::from("task")), ..of("a-1") }), []);
    // The earliest event with a native id decides. An earlier event replaces the id, and the previous id no longer finds the process.
    said = batch('A', 6, parse("updated 1 at=0 native_id=a-9").remove(0).events);
    store.append(&[said], 0).unwrap();
    assert_eq!((found(&store, &of("a-1")), found(&store, &of("a-9"))), (vec![at(2, 2)], vec![at(1, 1)]));
    assert_eq!(store.problems(), Vec::<String>::new());

    store.drop_roots(&DropTrees { numbers: &[2], reason: "asked", may_run: true }, 0).unwrap();
    assert_eq!(found(&store, &of("a-1")), []);
    while store.sweep(1).unwrap().is_more {}
    assert_eq!(store.problems(), Vec::<String>::new());
    let database = Connection::open(folder::database(folder.path()).unwrap()).unwrap();
    let left: i64 = database.query_row("SELECT count(*) FROM native", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1, "what is dropped is no longer listed");
}

#[test]
fn ids_with_the_same_hash_are_distinguished() {
    let mut known = HashMap::new();
    let (first, second) =
        (0..).find_map(|number| known.insert(hash(&format!("task-{number}")), number).map(|before: u64| (before, number))).unwrap();
    let (_folder, store) = open();
    store.append(&parse(&format!("started 1 native_id=task-{first}\nstarted 1 root=2 native_id=task-{second}")), 0).unwrap();
    assert_eq!(found(&store, &of(&format!("task-{first}"))), [(root(1), process(1))]);
    assert_eq!(found(&store, &of(&format!("task-{second}"))), [(root(2), process(1))]);
}

#[test]
fn an_id_is_found_in_the_oldest_of_very_many_trees() {
    const TREES: u128 = 20_100;
    let (_folder, store) = open();
    let start = |tree: u128| {
        let (root, id) = (RootId::new(tree).unwrap(), ProcessId::new(7_000_000 + tree as u64).unwrap());
        Event::ProcessStarted(ProcessStarted::new(root, id, 1, Kind::ROOT, "r".to_owned()))
    };
    store.append(&[batch('A', 1, (1..=TREES).map(start).collect())], 0).unwrap();
    let of = |id: u64| store.processes_of_ids((ProcessId::new(id).unwrap(), ProcessId::new(id).unwrap()), 50).unwrap().processes;
    let trees = |id| of(id).iter().map(|process| process.root_id.get()).collect::<Vec<_>>();
    assert_eq!((trees(7_000_001), trees(7_000_000 + TREES as u64)), (vec![1], vec![TREES]));
    assert_eq!(trees(6_999_999), [0; 0]);
}

#[test]
fn exit_codes_and_reasons_are_stored_in_columns() {
    let (folder, store) = open();
    let script = "started 1 kind=script\nstarted 2 parent=1 kind=script\nended 2 failed error=boom reason=timeout\nended 1 ok";
    let mut said = joined(&parse(script));
    for event in &mut said.events {
        if let Event::ProcessEnded(ended) = event {
            ended.exit_code = Some(if ended.reason.is_some() { 124 } else { 0 });
        }
    }
    store.append(&[said], 0).unwrap();
    let page = store.tree(RootKey::Number(1), 9, None).unwrap().unwrap();
    let ends: Vec<_> =
        page.processes.iter().map(|process| (process.exit_code, process.reason.as_deref(), process.error.is_some())).collect();
    assert_eq!(ends, [(Some(0), None, false), (Some(124), Some("timeout"), true)]);
    let database = Connection::open(folder::database(folder.path()).unwrap()).unwrap();
    let full: i64 = database.query_row("SELECT count(*) FROM process WHERE more IS NOT NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(full, 0);
}
