//! Tests of lists that are too long to be searched for one page.

use monitor_store::{ProcessesQuery, Queries, RootSort, RootsQuery};
use monitor_wire::{Batch, Kind, State};

use super::support::script::parse;
use super::{any, open};

#[test]
fn a_list_of_many_roots_in_a_time_range_reaches_the_first_matches() {
    let many = super::super::roots::FEW as u64 + 100;
    let (_folder, store) = open();
    let ids: Vec<_> = (1..=many).collect();
    for ids in ids.chunks(5_000) {
        let event = |id: &u64| {
            let event = serde_json::json!({"type": "process-started", "root_id": format!("{id:032x}"), "id": format!("{id:016x}"), "time_us": id,
                "kind": "root", "name": "n"});
            serde_json::from_value(event).unwrap()
        };
        store.append(&[super::support::batch('A', ids[0], ids.iter().map(event).collect())], 0).unwrap();
    }
    let starts = |query: &RootsQuery| -> Vec<u64> {
        let page = store.roots(query).unwrap();
        assert!(page.next_cursor.is_some());
        page.roots.iter().map(|root| root.started_us.unwrap()).collect()
    };
    let oldest = |query| RootsQuery { sort: RootSort::Oldest, limit: 3, ..query };
    let after = || RootsQuery { started_after: Some(7), limit: 3, ..any() };
    let before = || RootsQuery { started_before: Some(many - 7), limit: 3, ..any() };
    assert_eq!(starts(&after()), [many, many - 1, many - 2]);
    assert_eq!(starts(&oldest(after())), [7, 8, 9]);
    assert_eq!(starts(&before()), [many - 8, many - 9, many - 10]);
    assert_eq!(starts(&oldest(before())), [1, 2, 3]);
    assert_eq!(starts(&RootsQuery { started_before: Some(5), limit: 3, ..any() }), [4, 3, 2]);
    // More roots contain the text than are sorted for a page, so the store scans in list order.
    let shows = || RootsQuery { text: Some("n".to_owned()), limit: 3, ..any() };
    assert_eq!(starts(&shows()), [many, many - 1, many - 2]);
    assert_eq!(starts(&RootsQuery { sort: RootSort::Oldest, states: vec![State::RUNNING], ..shows() }), [1, 2, 3]);
}

#[test]
fn a_list_of_processes_examines_a_limited_number_and_then_continues() {
    let (folder, store) = open();
    let lines: Vec<_> =
        (1..=9).map(|id| format!("started {id} root={id} at={id} name={}", if id == 2 { "wanted" } else { "other" })).collect();
    store.append(&[super::joined(&parse(&lines.join("\n")))], 0).unwrap();
    // Makes the trees look large. The search for a page ends after trees with about 500,000 processes.
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    connection.execute("UPDATE root SET running = 300000", []).unwrap();
    let (mut cursor, mut pages, mut found) = (None, 0, Vec::new());
    loop {
        let query =
            ProcessesQuery { name: Some("wanted".to_owned()), started_after: Some(0), limit: 5, cursor, ..ProcessesQuery::default() };
        let page = store.processes(&query).unwrap();
        (cursor, pages) = (page.next_cursor, pages + 1);
        found.extend(page.processes.iter().map(|process| process.id.get()));
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (vec![2], 5), "two trees a page");
}

#[test]
fn a_tree_with_wrong_clocks_is_found_by_time_without_longer_searches() {
    const DAY: u64 = 86_400_000_000;
    let (folder, store) = open();
    let lines = |of: &[(u64, u64, u64)]| {
        let lines: Vec<_> = of.iter().map(|(root, id, day)| format!("started {id} root={root} at={}", day * DAY)).collect();
        super::joined(&parse(&lines.join("\n")))
    };
    // Tree 2 gets a start in 1970 and another one two centuries later. Tree 3 gets them in reverse order.
    store.append(&[lines(&[(1, 1, 20_000), (2, 2, 1), (2, 3, 80_000), (4, 7, 20_003)])], 0).unwrap();
    store.append(&[Batch { sequence: 9, ..lines(&[(3, 5, 80_000)]) }], 0).unwrap();
    store.append(&[Batch { sequence: 10, ..lines(&[(3, 6, 1)]) }], 0).unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let spread: (i64, i64) =
        connection.query_row("SELECT longest, earliest FROM counter", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(spread, (0, 0), "what bounds a search knows nothing of them");
    let processes = |from: u64, to: u64| {
        let (mut cursor, mut found) = (None, Vec::new());
        loop {
            let (started_after, started_before) = (Some(from * DAY), Some(to * DAY));
            let page =
                store.processes(&ProcessesQuery { started_after, started_before, limit: 1, cursor, ..ProcessesQuery::default() }).unwrap();
            found.extend(page.processes.iter().map(|process| process.id.get()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                found.sort_unstable();
                return found;
            }
        }
    };
    assert_eq!(processes(0, 10), [2, 6]);
    assert_eq!(processes(19_999, 20_001), [1]);
    assert_eq!(processes(79_999, 80_001), [3, 5]);
    assert_eq!(processes(0, 90_000), [1, 2, 3, 5, 6, 7]);
    let roots = |from: u64, to: u64, states: Vec<State>| {
        let query = RootsQuery { started_after: Some(from * DAY), started_before: Some(to * DAY), states, ..any() };
        store.roots(&query).unwrap().roots.iter().map(|root| root.number).collect::<Vec<_>>()
    };
    for states in [vec![], vec![State::RUNNING]] {
        // Roots are listed by the start of the process that represents them. In tree 3, number 4, it is the earlier one.
        assert_eq!(roots(0, 10, states.clone()), [4, 2], "{states:?}");
        assert_eq!(roots(20_000, 20_010, states.clone()), [3, 1]);
        assert_eq!(roots(0, 90_000, states), [3, 1, 4, 2], "each once, as they began");
    }
}

#[test]
fn a_list_of_a_kind_examines_a_limited_number_and_then_continues() {
    let (folder, store) = open();
    store
        .append(&[super::joined(&parse("started 1 root=1 kind=script name=wanted\nstarted 2 root=1 kind=script name=wanted"))], 0)
        .unwrap();
    // Adds 250,000 list entries of a later tree, which come first in the search.
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let many = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 250000) \
                INSERT INTO rare SELECT kind, 2, n FROM n CROSS JOIN (SELECT DISTINCT kind FROM rare)";
    connection.execute(many, []).unwrap();
    let (mut cursor, mut sizes) = (None, Vec::new());
    loop {
        let query =
            ProcessesQuery { kind: Some(Kind::SCRIPT), name: Some("wanted".to_owned()), limit: 5, cursor, ..ProcessesQuery::default() };
        let page = store.processes(&query).unwrap();
        sizes.push(page.processes.len());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [0, 0, 2]);
}
