//! Filters, pages and searches.

use monitor_wire::{Attachment, Batch, Event, Kind, State};

use super::super::SqliteStore;
use super::support::script::parse;
use super::support::{process, worker};
use super::{any, open};
use crate::store::{ProcessesQuery, Queries, RootKey, RootSort, RootsQuery, StoreError};

/// Six roots, numbered in this order.
fn filled() -> (tempfile::TempDir, SqliteStore) {
    let (folder, store) = open();
    let script = "
        started 1 root=1 at=10 name=build batch=b1
        started 1 root=2 at=20 name=build batch=b2
        B: started 1 root=3 at=30 name=Deploy
        started 1 root=4 at=40 name=100%_sure
        queued 1 root=5 at=50 name=later
        started 1 root=6 at=60 name=build
        ended 1 root=1 ok
        ended 1 root=2 failed error=no_such_Table
        ended 1 root=6 evaporated
        started 2 root=6 parent=1 at=61 name=step kind=cross_thread
        ended 2 root=6 failed error=inner";
    store.append(&parse(script), 0).unwrap();
    (folder, store)
}

fn numbers(store: &SqliteStore, query: &RootsQuery) -> Vec<u64> {
    store.roots(query).unwrap().roots.iter().map(|root| root.number).collect()
}

#[test]
fn roots_are_filtered_by_each_thing_and_by_all_together() {
    let (_folder, store) = filled();
    let check = |query: RootsQuery, expected: &[u64]| assert_eq!(numbers(&store, &query), expected, "{query:?}");
    check(any(), &[6, 5, 4, 3, 2, 1]);
    check(RootsQuery { sort: RootSort::Oldest, ..any() }, &[1, 2, 3, 4, 5, 6]);
    check(RootsQuery { states: vec![State::FAILED], ..any() }, &[2]);
    check(RootsQuery { states: vec![State::RUNNING, State::from("evaporated"), State::RUNNING], ..any() }, &[6, 4, 3]);
    check(RootsQuery { states: vec![State::from("unheard-of")], ..any() }, &[]);
    check(RootsQuery { name: Some("build".into()), ..any() }, &[6, 2, 1]);
    check(RootsQuery { name: Some("unheard-of".into()), ..any() }, &[]);
    check(RootsQuery { batch: Some("b2".into()), ..any() }, &[2]);
    check(RootsQuery { worker: Some(worker('B')), ..any() }, &[3]);
    check(RootsQuery { worker: Some(worker('Z')), ..any() }, &[]);
    check(RootsQuery { started_after: Some(30), ..any() }, &[6, 4, 3]);
    check(RootsQuery { started_after: Some(20), started_before: Some(40), ..any() }, &[3, 2]);
    check(RootsQuery { name: Some("build".into()), states: vec![State::SUCCEEDED, State::FAILED], ..any() }, &[2, 1]);
    check(RootsQuery { name: Some("build".into()), batch: Some("b1".into()), started_before: Some(11), ..any() }, &[1]);
}

#[test]
fn text_is_found_in_names_batches_and_errors_whatever_its_case_and_signs() {
    let (_folder, store) = filled();
    let check = |text: &str, expected: &[u64]| {
        assert_eq!(numbers(&store, &RootsQuery { text: Some(text.into()), ..any() }), expected, "{text:?}");
    };
    check("deploy", &[3]);
    check("B2", &[2]);
    check("such_table", &[2]);
    // What failed below a root that did not is none of its own.
    check("inner", &[]);
    check("%_", &[4]);
    check("_uild", &[]);
    check("'", &[]);
    check("uil", &[6, 2, 1]);
    let query = RootsQuery { text: Some("b".into()), states: vec![State::FAILED], started_after: Some(1), ..any() };
    assert_eq!(numbers(&store, &query), [2]);
}

#[test]
fn roots_that_began_without_a_context_are_listed_apart() {
    let (_folder, store) = open();
    let script = "
        started 1 root=1 at=10 name=a
        started 1 root=2 at=20 name=stray
        started 2 root=2 parent=1 at=21 name=stray
        started 2 root=3 parent=9 at=30 name=stray";
    let mut batches: Vec<Batch> = parse(script).into_iter().collect();
    for event in batches.iter_mut().flat_map(|batch| &mut batch.events) {
        if let Event::ProcessStarted(started) = event
            && started.name == "stray"
        {
            started.attachment = Attachment::UNATTACHED;
        }
    }
    store.append(&batches[..], 0).unwrap();
    let check = |unattached, expected: &[u64]| assert_eq!(numbers(&store, &RootsQuery { unattached, ..any() }), expected);
    check(None, &[3, 2, 1]);
    // The one whose root is unknown may be any.
    check(Some(false), &[3, 1]);
    check(Some(true), &[2]);
    store.append(&parse("B: ended 1 root=2 ok\nB: ended 2 root=3 ok")[..], 1).unwrap();
    check(Some(true), &[2]);
    assert!(store.root(RootKey::Number(2)).unwrap().unwrap().unattached);
}

#[test]
fn pages_follow_each_other_without_overlap() {
    let (_folder, store) = filled();
    for (states, expected) in [(vec![], vec![6, 5, 4, 3, 2, 1]), (vec![State::RUNNING, State::FAILED], vec![4, 3, 2])] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let query = RootsQuery { states: states.clone(), limit: 2, cursor, ..any() };
            let page = store.roots(&query).unwrap();
            assert!(page.roots.len() <= 2);
            seen.extend(page.roots.iter().map(|root| root.number));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_cursor_from_elsewhere_is_refused() {
    let (_folder, store) = filled();
    let is_refused = |error: StoreError| matches!(error, StoreError::Cursor { cursor } if cursor == "nonsense");
    let cursor = || Some("nonsense".to_owned());
    assert!(is_refused(store.roots(&RootsQuery { cursor: cursor(), ..any() }).unwrap_err()));
    assert!(is_refused(store.tree(RootKey::Number(1), 9, cursor().as_deref()).unwrap_err()));
    assert!(is_refused(store.workers(9, cursor().as_deref()).unwrap_err()));
    assert!(is_refused(store.processes(&ProcessesQuery { limit: 9, cursor: cursor(), ..ProcessesQuery::default() }).unwrap_err()));
}

fn places(store: &SqliteStore, query: &ProcessesQuery) -> Vec<(u8, u64)> {
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.processes(&ProcessesQuery { limit: 2, cursor, ..query.clone() }).unwrap();
        seen.extend(page.processes.iter().map(|process| (process.root_id.get() as u8, process.id.get())));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return seen;
        }
    }
}

#[test]
fn processes_are_listed_across_trees_newest_first() {
    let (_folder, store) = filled();
    let any = ProcessesQuery::default;
    let check = |query: ProcessesQuery, expected: &[(u8, u64)]| assert_eq!(places(&store, &query), expected, "{query:?}");
    check(any(), &[(6, 2), (6, 1), (5, 1), (4, 1), (3, 1), (2, 1), (1, 1)]);
    check(ProcessesQuery { root: Some(RootKey::Number(6)), ..any() }, &[(6, 2), (6, 1)]);
    check(ProcessesQuery { root: Some(RootKey::Number(60)), ..any() }, &[]);
    check(ProcessesQuery { kind: Some(Kind::CROSS_THREAD), ..any() }, &[(6, 2)]);
    check(ProcessesQuery { name: Some("build".into()), started_before: Some(60), ..any() }, &[(2, 1), (1, 1)]);
    check(ProcessesQuery { worker: Some(worker('B')), ..any() }, &[(3, 1)]);
    check(ProcessesQuery { states: vec![State::FAILED, State::from("evaporated")], ..any() }, &[(6, 2), (6, 1), (2, 1)]);
    check(ProcessesQuery { states: vec![State::from("unheard-of")], ..any() }, &[]);
    check(ProcessesQuery { text: Some("INNER".into()), ..any() }, &[(6, 2)]);
    check(ProcessesQuery { started_after: Some(40), started_before: Some(61), ..any() }, &[(6, 1), (5, 1), (4, 1)]);
}

#[test]
fn a_tree_and_a_process_are_found_by_either_name_of_the_root() {
    let (_folder, store) = filled();
    let page = store.tree(RootKey::Number(6), 1, None).unwrap().unwrap();
    assert_eq!((page.processes.len(), page.processes[0].id.get()), (1, 1));
    let next = store.tree(RootKey::Id(page.root.root_id), 1, page.next_cursor.as_deref()).unwrap().unwrap();
    assert_eq!((next.processes[0].id.get(), next.next_cursor), (2, None));
    let mut alone = store.process(RootKey::Number(6), process(2)).unwrap().unwrap();
    alone.depth = next.processes[0].depth;
    assert_eq!(alone, next.processes[0]);
    assert!(store.process(RootKey::Number(6), process(9)).unwrap().is_none());
    assert!(store.process(RootKey::Number(u64::MAX), process(1)).unwrap().is_none());
    assert!(store.tree(RootKey::Number(7), 1, None).unwrap().is_none());
    assert!(store.worker(worker('Z')).unwrap().is_none());
}

#[test]
fn of_many_roots_within_a_time_the_list_comes_to_the_first_that_match() {
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
    // Too many show it to be sorted for a page.
    let shows = || RootsQuery { text: Some("n".to_owned()), limit: 3, ..any() };
    assert_eq!(starts(&shows()), [many, many - 1, many - 2]);
    assert_eq!(starts(&RootsQuery { sort: RootSort::Oldest, states: vec![State::RUNNING], ..shows() }), [1, 2, 3]);
}

#[test]
fn workers_are_paged_newest_first() {
    let (_folder, store) = filled();
    let first = store.workers(1, None).unwrap();
    let second = store.workers(1, first.next_cursor.as_deref()).unwrap();
    assert_eq!((first.workers[0].id, second.workers[0].id, second.next_cursor), (worker('B'), worker('A'), None));
    assert_eq!(second.workers[0].hostname, "host-A");
}

#[test]
fn a_list_of_processes_looks_at_so_many_at_once_and_goes_on_where_it_stopped() {
    let (folder, store) = open();
    let lines: Vec<_> =
        (1..=9).map(|id| format!("started {id} root={id} at={id} name={}", if id == 2 { "wanted" } else { "other" })).collect();
    store.append(&[super::joined(&parse(&lines.join("\n")))], 0).unwrap();
    // As if they were large.
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
fn one_tree_torn_by_a_wrong_clock_is_found_by_time_and_makes_no_search_longer() {
    const DAY: u64 = 86_400_000_000;
    let (folder, store) = open();
    let lines = |of: &[(u64, u64, u64)]| {
        let lines: Vec<_> = of.iter().map(|(root, id, day)| format!("started {id} root={root} at={}", day * DAY)).collect();
        super::joined(&parse(&lines.join("\n")))
    };
    // Of the second tree a device says 1970, and two hundred years later something else; of the third it is so the other way round.
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
        // By their own starts: of the third tree the earlier one is its face.
        assert_eq!(roots(0, 10, states.clone()), [4, 2], "{states:?}");
        assert_eq!(roots(20_000, 20_010, states.clone()), [3, 1]);
        assert_eq!(roots(0, 90_000, states), [3, 1, 4, 2], "each once, as they began");
    }
}

#[test]
fn a_list_of_a_kind_looks_at_so_many_at_once_and_goes_on_where_it_stopped() {
    let (folder, store) = open();
    store
        .append(&[super::joined(&parse("started 1 root=1 kind=script name=wanted\nstarted 2 root=1 kind=script name=wanted"))], 0)
        .unwrap();
    // As if a later tree had very many.
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
