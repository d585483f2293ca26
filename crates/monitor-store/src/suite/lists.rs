//! Tests of the filters, pages and searches of lists.

use monitor_wire::{Attachment, Batch, Event, Kind, State};

use super::{Place, Say as _, any, joined};
use crate::support::script::parse;
use crate::support::{batch, process, worker};
use crate::{Intake as _, ProcessesQuery, Queries as _, RootKey, RootSort, RootsQuery, Store, StoreError};

/// Creates a store with six roots, numbered in the order of their first lines.
fn filled<P: Place>() -> (P, P::Store) {
    let place = P::new();
    let store = place.open();
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
    store.say(&parse(script), 0).unwrap();
    (place, store)
}

fn numbers(store: &impl Store, query: &RootsQuery) -> Vec<u64> {
    store.roots(query).unwrap().roots.iter().map(|root| root.number).collect()
}

pub fn roots_are_filtered_by_each_property_and_by_all_together<P: Place>() {
    let (_place, store) = filled::<P>();
    let check = |query: RootsQuery, expected: &[u64]| assert_eq!(numbers(&store, &query), expected, "{query:?}");
    check(any(), &[6, 5, 4, 3, 2, 1]);
    check(RootsQuery { sort: RootSort::Oldest, ..any() }, &[1, 2, 3, 4, 5, 6]);
    check(RootsQuery { states: vec![State::FAILED], ..any() }, &[2]);
    check(RootsQuery { states: vec![State::RUNNING, State::from("evaporated"), State::RUNNING], ..any() }, &[6, 4, 3]);
    check(RootsQuery { states: vec![State::from("unheard-of")], ..any() }, &[]);
    check(RootsQuery { name: Some("build".into()), ..any() }, &[6, 2, 1]);
    check(RootsQuery { name: Some("unheard-of".into()), ..any() }, &[]);
    check(RootsQuery { batch: Some("b2".into()), ..any() }, &[2]);
    check(RootsQuery { workers: vec![worker('B')], ..any() }, &[3]);
    check(RootsQuery { workers: vec![worker('Z')], ..any() }, &[]);
    check(RootsQuery { workers: vec![worker('Z'), worker('B')], ..any() }, &[3]);
    check(RootsQuery { workers: vec![worker('A'), worker('B')], states: vec![State::RUNNING], ..any() }, &[4, 3]);
    check(RootsQuery { workers: vec![worker('Z'), worker('Y')], ..any() }, &[]);
    check(RootsQuery { started_after: Some(30), ..any() }, &[6, 4, 3]);
    check(RootsQuery { started_after: Some(20), started_before: Some(40), ..any() }, &[3, 2]);
    check(RootsQuery { name: Some("build".into()), states: vec![State::SUCCEEDED, State::FAILED], ..any() }, &[2, 1]);
    check(RootsQuery { name: Some("build".into()), batch: Some("b1".into()), started_before: Some(11), ..any() }, &[1]);
}

pub fn text_is_found_in_names_batches_and_errors_whatever_its_case_and_signs<P: Place>() {
    let (_place, store) = filled::<P>();
    let check = |text: &str, expected: &[u64]| {
        assert_eq!(numbers(&store, &RootsQuery { text: Some(text.into()), ..any() }), expected, "{text:?}");
    };
    check("deploy", &[3]);
    check("B2", &[2]);
    check("such_table", &[2]);
    // The error of a failed child is not the root's error if the root did not fail.
    check("inner", &[]);
    check("%_", &[4]);
    check("_uild", &[]);
    check("'", &[]);
    check("uil", &[6, 2, 1]);
    let query = RootsQuery { text: Some("b".into()), states: vec![State::FAILED], started_after: Some(1), ..any() };
    assert_eq!(numbers(&store, &query), [2]);
}

pub fn roots_that_began_without_a_context_are_listed_apart<P: Place>() {
    let place = P::new();
    let store = place.open();
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
    store.say(&batches[..], 0).unwrap();
    let check = |unattached, expected: &[u64]| assert_eq!(numbers(&store, &RootsQuery { unattached, ..any() }), expected);
    check(None, &[3, 2, 1]);
    // The own process of root 3 is unknown, so the root doesn't count as unattached.
    check(Some(false), &[3, 1]);
    check(Some(true), &[2]);
    store.say(&parse("B: ended 1 root=2 ok\nB: ended 2 root=3 ok")[..], 1).unwrap();
    check(Some(true), &[2]);
    assert!(store.root(RootKey::Number(2)).unwrap().unwrap().unattached);
}

pub fn pages_follow_each_other_without_overlap<P: Place>() {
    let (_place, store) = filled::<P>();
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

pub fn a_cursor_from_elsewhere_is_refused<P: Place>() {
    let (_place, store) = filled::<P>();
    let is_refused = |error: StoreError| matches!(error, StoreError::Cursor { cursor } if cursor == "nonsense");
    let cursor = || Some("nonsense".to_owned());
    assert!(is_refused(store.roots(&RootsQuery { cursor: cursor(), ..any() }).unwrap_err()));
    assert!(is_refused(store.tree(RootKey::Number(1), 9, cursor().as_deref()).unwrap_err()));
    assert!(is_refused(store.workers(9, cursor().as_deref()).unwrap_err()));
    assert!(is_refused(store.processes(&ProcessesQuery { limit: 9, cursor: cursor(), ..ProcessesQuery::default() }).unwrap_err()));
}

fn places(store: &impl Store, query: &ProcessesQuery) -> Vec<(u8, u64)> {
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

pub fn processes_are_listed_across_trees_newest_first<P: Place>() {
    let (_place, store) = filled::<P>();
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

pub fn processes_are_found_in_any_tree_by_the_ids_of_other_systems<P: Place>() {
    let place = P::new();
    let store = place.open();
    let script =
        "started 1 native_id=a-1\nstarted 2 parent=1\nstarted 1 root=2 native_id=a-2\nupdated 2 root=2 native_id=a-1\nended 1 ok root=2";
    store.say(&[joined(&parse(script))], 0).unwrap();
    let of = |native_id: &str| ProcessesQuery { native_id: Some(native_id.to_owned()), ..ProcessesQuery::default() };
    assert_eq!(places(&store, &of("a-1")), [(2, 2), (1, 1)]);
    assert_eq!(places(&store, &of("a-2")), [(2, 1)]);
    assert_eq!((places(&store, &of("a-3")), places(&store, &of(""))), (vec![], vec![]));
    assert_eq!(places(&store, &ProcessesQuery { root: Some(RootKey::Number(1)), ..of("a-1") }), [(1, 1)]);
    // The earliest event with a native id decides. An earlier event replaces the id, and the previous id no longer finds the process.
    store.say(&[batch('A', 6, parse("updated 1 at=0 native_id=a-9").remove(0).events)], 0).unwrap();
    assert_eq!((places(&store, &of("a-1")), places(&store, &of("a-9"))), (vec![(2, 2)], vec![(1, 1)]));
    store.drop_root(RootKey::Number(2), true, 0).unwrap();
    assert_eq!(places(&store, &of("a-1")), []);
    place.check(&store);
}

pub fn a_tree_and_a_process_are_found_by_either_name_of_the_root<P: Place>() {
    let (_place, store) = filled::<P>();
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

pub fn workers_are_found_in_trees_where_they_have_open_processes<P: Place>() {
    let (_place, store) = filled::<P>();
    let among = [worker('A'), worker('B'), worker('C')];
    // It is not known yet which worker will run the queued process of root 5.
    for (root, expected) in [(1, &[][..]), (2, &[]), (3, &['B'][..]), (4, &['A']), (5, &[]), (9, &[])] {
        let expected: Vec<_> = expected.iter().map(|name| worker(*name)).collect();
        assert_eq!(store.running_in(RootKey::Number(root), &among).unwrap(), expected, "{root}");
    }
    assert_eq!(store.running_in(RootKey::Number(3), &[]).unwrap(), []);
}

pub fn workers_are_paged_newest_first<P: Place>() {
    let (_place, store) = filled::<P>();
    let first = store.workers(1, None).unwrap();
    let second = store.workers(1, first.next_cursor.as_deref()).unwrap();
    assert_eq!((first.workers[0].id, second.workers[0].id, second.next_cursor), (worker('B'), worker('A'), None));
    assert_eq!(second.workers[0].hostname, "host-A");
}
