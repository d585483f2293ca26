//! Tests of the stored overdue processes, and of durations expected from past sums.

use monitor_store::Queries;
use monitor_store::suite::overdue::{NOW, SECOND, ended, of_root, started, told};

use super::super::SqliteStore;
use super::support::batch;

#[test]
fn an_ended_process_is_no_longer_kept_as_overdue() {
    let (folder, store) = super::open();
    store.append(&[batch('A', 1, vec![started(1, NOW, Some(2_000)), started(2, NOW, Some(2_000))])], NOW).unwrap();
    assert_eq!(told(&store, NOW + 5 * SECOND).len(), 2);
    store.append(&[batch('A', 3, vec![ended(1, NOW + 6 * SECOND, 6_000_000_000)])], NOW + 6 * SECOND).unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let rows: i64 = connection.query_row("SELECT count(*) FROM overdue", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn the_history_of_a_name_sets_when_a_process_is_overdue() {
    let (folder, store) = super::open();
    let mut events = Vec::new();
    for id in 1..=19 {
        events.extend([started(id, NOW + id, None), ended(id, NOW + id + 100_000, 100_000_000)]);
    }
    store.append(&[batch('A', 1, events), batch('A', 39, vec![started(30, NOW, None)])], NOW).unwrap();
    let (_, _, expected) = of_root(&store, 30);
    assert!(expected.is_some_and(|expected| expected.abs_diff(100_000_000) < 4_000_000), "{expected:?}");
    assert_eq!(told(&store, NOW + 3_600 * SECOND), [], "19 runs are too few to judge");

    // An hour later, the earlier runs are in the sums of hours and days.
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
fn a_clock_far_ahead_does_not_affect_the_history_of_others() {
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
    // The run with the wrong clock is counted at the end time that it sent. The series covers the two centuries between.
    let query = monitor_store::StatsQuery { name: Some("job".to_owned()), limit: 9, ..Default::default() };
    assert_eq!(store.stats(&query).unwrap().stats[0].count, 21);
    let steps = monitor_store::SeriesQuery { name: Some("job".to_owned()), ..Default::default() };
    assert_eq!(store.stats_series(&steps).unwrap().series.iter().map(|step| step.succeeded).sum::<u64>(), 21);
    assert_eq!(store.problems(), Vec::<String>::new());
}
