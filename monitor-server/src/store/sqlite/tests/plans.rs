//! Every question is answered by an index.

use monitor_wire::{Kind, State};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::write::{DUE, roots as writing};
use super::super::{processes, roots};
use super::support::script::parse;
use super::support::worker;
use super::{any, open};
use crate::store::{ProcessesQuery, RootKey, RootSort, RootsQuery, Store};

fn plan(connection: &Connection, sql: &str, values: Vec<Value>) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

/// Texts may be walked: each is there once, however many rows have it.
fn assert_indexed(what: &str, plan: &str, may_sort: bool) {
    for line in plan.lines() {
        let is_walk = line.starts_with("SCAN") && !["SCAN text", "SCAN matching"].contains(&line);
        assert!(!is_walk, "{what}:\n{plan}");
        assert!(may_sort || !line.contains("TEMP B-TREE FOR ORDER BY"), "{what}:\n{plan}");
    }
}

fn root_queries() -> Vec<RootsQuery> {
    let (name, text) = (Some("p1".to_owned()), Some("p".to_owned()));
    let states = vec![State::RUNNING, State::FAILED];
    vec![
        any(),
        RootsQuery { sort: RootSort::Oldest, ..any() },
        RootsQuery { cursor: Some("7".to_owned()), ..any() },
        RootsQuery { states: states.clone(), ..any() },
        RootsQuery { name: name.clone(), ..any() },
        RootsQuery { batch: Some("b".to_owned()), ..any() },
        RootsQuery { worker: Some(worker('A')), ..any() },
        RootsQuery { text: text.clone(), ..any() },
        RootsQuery { text: text.clone(), states: states.clone(), name: name.clone(), ..any() },
        RootsQuery { text, started_after: Some(1), ..any() },
        RootsQuery { name: name.clone(), states: states.clone(), started_after: Some(1), sort: RootSort::Oldest, ..any() },
        RootsQuery { states, started_after: Some(1), started_before: Some(9), cursor: Some("7".to_owned()), ..any() },
    ]
}

#[test]
fn no_list_of_roots_walks_or_sorts_all_roots() {
    let (_folder, store) = open();
    store.append(&parse("started 1 batch=b"), 0).unwrap();
    let by_time = RootsQuery { started_after: Some(1), ..any() };
    for (query, may_sort) in root_queries().into_iter().map(|query| (query, false)).chain([(by_time, true)]) {
        let checked = store.read("explain", |snapshot| {
            for (sql, values) in roots::statements(snapshot, &query)?.expect("all of them can match") {
                let plan = plan(snapshot, &sql, values);
                let may_sort = may_sort || query.text.is_some();
                assert_indexed(&format!("{query:?}\n{sql}"), &plan, may_sort);
            }
            Ok(())
        });
        checked.unwrap();
    }
}

#[test]
fn no_list_of_processes_walks_or_sorts_all_processes() {
    let (_folder, store) = open();
    store.append(&parse("started 1"), 0).unwrap();
    let any = || ProcessesQuery { limit: 9, ..ProcessesQuery::default() };
    let queries = [
        (any(), false),
        (ProcessesQuery { cursor: Some("7.1.1".to_owned()), ..any() }, false),
        (ProcessesQuery { name: Some("p1".to_owned()), kind: Some(Kind::NORMAL), states: vec![State::RUNNING], ..any() }, false),
        (ProcessesQuery { worker: Some(worker('A')), text: Some("p".to_owned()), ..any() }, false),
        (ProcessesQuery { started_after: Some(1), started_before: Some(9), ..any() }, false),
        (ProcessesQuery { root: Some(RootKey::Number(1)), name: Some("p1".to_owned()), ..any() }, true),
    ];
    for (query, may_sort) in queries {
        let checked = store.read("explain", |snapshot| {
            let (sql, values) = processes::statement(snapshot, &query)?.expect("all of them can match");
            let plan = plan(snapshot, &sql, values);
            let by = if query.root.is_some() { "USING PRIMARY KEY (root=?" } else { "USING INDEX process_at" };
            assert!(plan.contains(by), "{query:?}\n{sql}\n{plan}");
            assert_indexed(&format!("{query:?}\n{sql}"), &plan, may_sort);
            Ok(())
        });
        checked.unwrap();
    }
}

#[test]
fn what_the_writer_asks_is_indexed() {
    let (_folder, store) = open();
    for (sql, values) in [(writing::OWN, 1), (writing::LEAF, 1), (DUE, 2)] {
        let checked = store.read("explain", |snapshot| {
            assert_indexed(sql, &plan(snapshot, sql, vec![Value::Integer(1); values]), false);
            Ok(())
        });
        checked.unwrap();
    }
}
