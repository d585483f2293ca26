//! What takes longer than it should, what is expected of it, and clocks that are wrong.

use monitor_wire::{Attachment, Event, Fields, Kind, Outcome, ProcessEnded, ProcessStarted, State};

use super::super::SqliteStore;
use super::support::{batch, process, root, worker};
use crate::store::{Intake, Queries, RootKey, RootsQuery};

const NOW: u64 = 1_763_600_000_000_000;
const SECOND: u64 = 1_000_000;

fn started(id: u64, time_us: u64, timeout_ms: Option<u64>) -> Event {
    Event::ProcessStarted(ProcessStarted {
        root_id: root(id as u8),
        id: process(id),
        time_us,
        parent_id: None,
        kind: Kind::ROOT,
        name: "job".to_owned(),
        batch: None,
        thread: None,
        source: None,
        attachment: Attachment::EXPLICIT,
        fields: Fields::new(),
        timeout_ms,
        attempts_of: None,
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    })
}

fn ended(id: u64, time_us: u64, elapsed_ns: u64) -> Event {
    Event::ProcessEnded(ProcessEnded {
        root_id: root(id as u8),
        id: process(id),
        time_us,
        elapsed_ns: Some(elapsed_ns),
        outcome: Outcome::SUCCEEDED,
        error: None,
        exit_code: None,
        signal: None,
        retry: None,
        reason: None,
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    })
}

/// The limits that are told of at a time.
fn told(store: &SqliteStore, now_us: u64) -> Vec<(u64, String)> {
    let changes = store.find_overdue(now_us).unwrap();
    let of = |change: &crate::store::Change| {
        let message = &change.message;
        assert!(message.root.as_ref().unwrap().overdue && message.process.as_ref().unwrap().overdue, "{message:?}");
        let Event::ProcessOverdue(event) = &message.event else { panic!("{message:?}") };
        assert_eq!((event.time_us, Some(event.root_id)), (now_us, message.root.as_ref().map(|root| root.root_id)));
        (event.limit_ns, event.reason.clone())
    };
    changes.iter().map(of).collect()
}

fn of_root(store: &SqliteStore, id: u64) -> (State, bool, Option<u64>) {
    let page = store.roots(&RootsQuery { limit: 100, ..RootsQuery::default() }).unwrap();
    let root = page.roots.into_iter().find(|found| found.root_id == root(id as u8)).unwrap();
    let process = store.process(RootKey::Id(root.root_id), process(id)).unwrap().unwrap();
    assert_eq!((root.overdue, root.expected_ns, root.expected_p95_ns), (process.overdue, process.expected_ns, process.expected_p95_ns));
    (root.state, root.overdue, root.expected_ns)
}

#[test]
fn by_its_own_timeout_a_process_is_overdue_once_and_until_it_ends() {
    let (folder, store) = super::open();
    store.append(&[batch('A', 1, vec![started(1, NOW, Some(2_000)), started(2, NOW, None)])], NOW).unwrap();
    assert_eq!(told(&store, NOW + SECOND), []);
    assert_eq!(of_root(&store, 1), (State::RUNNING, false, None));
    assert_eq!(told(&store, NOW + 2 * SECOND), [(2_000_000_000, "timeout".to_owned())]);
    assert_eq!(told(&store, NOW + 3 * SECOND), [], "said once");
    assert_eq!((of_root(&store, 1).1, of_root(&store, 2).1), (true, false));
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(told(&store, NOW + 4 * SECOND), [], "over a restart too");
    assert!(of_root(&store, 1).1);
    store.append(&[batch('A', 3, vec![ended(1, NOW + 9 * SECOND, 9_000_000_000)])], NOW).unwrap();
    assert_eq!(of_root(&store, 1), (State::SUCCEEDED, false, None));
}

#[test]
fn what_runs_when_the_server_begins_is_watched_and_what_has_ended_is_not() {
    let (folder, store) = super::open();
    store.append(&[batch('A', 1, vec![started(1, NOW, Some(2_000)), started(2, NOW, Some(2_000))])], NOW).unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(told(&store, NOW), []);
    store.append(&[batch('A', 3, vec![ended(2, NOW + SECOND, 1)])], NOW).unwrap();
    assert_eq!(told(&store, NOW + 5 * SECOND).len(), 1);
}

#[test]
fn what_ends_before_the_server_looks_is_overdue_no_more() {
    let (folder, store) = super::open();
    store.append(&[batch('A', 1, vec![started(1, NOW, Some(2_000)), started(2, NOW, Some(2_000))])], NOW).unwrap();
    assert_eq!(told(&store, NOW + 5 * SECOND).len(), 2);
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    store.append(&[batch('A', 3, vec![ended(1, NOW + 6 * SECOND, 6_000_000_000)])], NOW + 6 * SECOND).unwrap();
    // What is said of the other meanwhile knows it.
    let changes = store.append(&[batch('A', 4, vec![started(2, NOW - 1, Some(2_000))])], NOW + 6 * SECOND).unwrap();
    assert!(changes[0].message.process.as_ref().unwrap().overdue);
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let rows: i64 = connection.query_row("SELECT count(*) FROM overdue", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn what_was_lost_when_its_time_was_up_is_overdue_once_it_is_found() {
    let (_folder, store) = super::open();
    let mut online = super::support::script::parse(&format!("online A interval=1000 at={NOW}"));
    online[0].events.push(started(1, NOW, Some(60_000)));
    store.append(&online, NOW).unwrap();
    assert_eq!(store.lose_workers(NOW + 30 * SECOND, 0).unwrap().len(), 2);
    assert_eq!(of_root(&store, 1).0, State::LOST);
    assert_eq!(told(&store, NOW + 61 * SECOND), [], "nobody knows whether it runs");
    store.append(&[batch('A', 3, Vec::new())], NOW + 62 * SECOND).unwrap();
    assert_eq!(of_root(&store, 1).0, State::RUNNING);
    assert_eq!(told(&store, NOW + 63 * SECOND), [(60_000_000_000, "timeout".to_owned())]);
    assert_eq!(told(&store, NOW + 64 * SECOND), []);
}

#[test]
fn by_its_name_s_history_a_process_is_expected_and_overdue() {
    let (folder, store) = super::open();
    let mut events = Vec::new();
    for id in 1..=19 {
        events.extend([started(id, NOW + id, None), ended(id, NOW + id + 100_000, 100_000_000)]);
    }
    store.append(&[batch('A', 1, events), batch('A', 39, vec![started(30, NOW, None)])], NOW).unwrap();
    let (_, _, expected) = of_root(&store, 30);
    assert!(expected.is_some_and(|expected| expected.abs_diff(100_000_000) < 4_000_000), "{expected:?}");
    assert_eq!(told(&store, NOW + 3_600 * SECOND), [], "19 runs are too few to judge");

    // An hour later, when they are in the sums of longer times.
    let later = NOW + 3_600 * SECOND;
    store.append(&[batch('A', 40, vec![started(20, later, None), ended(20, later + 100_000, 100_000_000)])], later).unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    store.append(&[batch('A', 42, vec![started(31, later, None)])], later).unwrap();
    let limits = told(&store, later + SECOND);
    assert_eq!(limits.len(), 2, "{limits:?}");
    assert!(limits.iter().all(|(limit, reason)| limit.abs_diff(300_000_000) < 12_000_000 && reason == "history"), "{limits:?}");
    assert!(of_root(&store, 31).1);
}

#[test]
fn a_clock_a_day_off_makes_nothing_overdue_and_is_shown() {
    const DAY: u64 = 86_400 * SECOND;
    for offset in [DAY as i64, -(DAY as i64)] {
        let (folder, store) = super::open();
        let theirs = NOW.saturating_add_signed(offset);
        let mut sent = batch('A', 1, vec![started(1, theirs, Some(2_000)), started(2, theirs + 1, None)]);
        sent.sent_us = theirs + 10;
        store.append(&[sent], NOW + 15).unwrap();
        assert_eq!(told(&store, NOW + SECOND), [], "{offset}");
        assert_eq!(store.worker(worker('A')).unwrap().unwrap().clock_offset_us, Some(offset - 5));
        drop(store);
        let store = SqliteStore::open(folder.path()).unwrap();
        assert_eq!(told(&store, NOW + SECOND), [], "{offset}: not after a restart either");
        assert_eq!(told(&store, NOW + 3 * SECOND).len(), 1, "{offset}");
        // Neither order nor duration come to harm.
        store.append(&[batch('A', 3, vec![ended(1, theirs + 5 * SECOND, 5_000_000_000)])], NOW + 5 * SECOND).unwrap();
        let page = store.tree(RootKey::Id(root(1)), 10, None).unwrap().unwrap();
        assert_eq!((page.root.elapsed_ns, page.root.started_us), (Some(5_000_000_000), Some(theirs)));
    }
}

#[test]
fn of_two_different_ends_the_first_counts_and_the_other_is_counted() {
    let failed = |time_us| {
        let Event::ProcessEnded(of) = ended(1, time_us, 1) else { unreachable!() };
        Event::ProcessEnded(ProcessEnded { outcome: Outcome::FAILED, ..of })
    };
    for events in [[failed(NOW + 1), ended(1, NOW + 2, 2)], [ended(1, NOW + 2, 2), failed(NOW + 1)]] {
        let (_folder, store) = super::open();
        store.append(&[batch('A', 1, vec![started(1, NOW, None), events[0].clone()])], NOW).unwrap();
        store.append(&[batch('A', 3, vec![events[1].clone()])], NOW).unwrap();
        let process = store.process(RootKey::Id(root(1)), process(1)).unwrap().unwrap();
        assert_eq!((process.state, process.contradictions), (State::FAILED, 1));
        let counted = store.worker(worker('A')).unwrap().unwrap().events;
        assert_eq!((counted["process-started"], counted["process-ended"]), (1, 2));
    }
}

#[test]
fn one_clock_far_ahead_spoils_no_other_s_history() {
    const CENTURIES: u64 = 200 * 365 * 86_400 * SECOND;
    let (folder, store) = super::open();
    let events = (1..=20).flat_map(|id| [started(id, NOW + id, None), ended(id, NOW + id + 100_000, 100_000_000)]).collect();
    store.append(&[batch('A', 1, events)], NOW).unwrap();
    let far = vec![started(30, NOW + CENTURIES, None), ended(30, NOW + CENTURIES, 5_000_000_000)];
    store.append(&[batch('B', 1, far)], NOW + SECOND).unwrap();
    let rolled = || -> u64 {
        let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
        connection.query_row("SELECT rolled FROM counter", [], |row| row.get::<_, i64>(0)).unwrap() as u64
    };
    assert!(rolled() <= NOW / 60_000_000, "minutes are over by the server's clock");
    store.append(&[batch('A', 41, vec![started(31, NOW + 2 * SECOND, None)])], NOW + 2 * SECOND).unwrap();
    let (_, _, expected) = of_root(&store, 31);
    assert!(expected.is_some_and(|expected| expected.abs_diff(100_000_000) < 4_000_000), "{expected:?}");
    // The far one is counted where it says it ended, and reading the time between costs nothing.
    let query = crate::store::StatsQuery { name: Some("job".to_owned()), limit: 9, ..Default::default() };
    assert_eq!(store.stats(&query).unwrap().stats[0].count, 21);
    let steps = crate::store::SeriesQuery { name: Some("job".to_owned()), ..Default::default() };
    assert_eq!(store.stats_series(&steps).unwrap().series.iter().map(|step| step.succeeded).sum::<u64>(), 21);
    assert_eq!(store.problems(), Vec::<String>::new());
}
