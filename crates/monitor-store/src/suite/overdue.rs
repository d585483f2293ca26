//! Tests of overdue processes and of wrong clocks.

use monitor_wire::{Attachment, Event, Fields, Kind, Outcome, ProcessEnded, ProcessStarted, State};

use super::{Place, Say as _, any};
use crate::support::script::parse;
use crate::support::{batch, process, root, worker};
use crate::{Change, Intake as _, Queries as _, RootKey, Store};

pub const NOW: u64 = 1_763_600_000_000_000;
pub const SECOND: u64 = 1_000_000;

pub fn started(id: u64, time_us: u64, timeout_ms: Option<u64>) -> Event {
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

pub fn ended(id: u64, time_us: u64, elapsed_ns: u64) -> Event {
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

/// Checks for overdue processes at `now_us`. Returns the limit and the reason of each one reported.
pub fn told(store: &impl Store, now_us: u64) -> Vec<(u64, String)> {
    let changes = store.find_overdue(now_us).unwrap();
    let of = |change: &Change| {
        let message = &change.message;
        assert!(message.root.as_ref().unwrap().overdue && message.process.as_ref().unwrap().overdue, "{message:?}");
        let Event::ProcessOverdue(event) = &message.event else { panic!("{message:?}") };
        assert_eq!((event.time_us, Some(event.root_id)), (now_us, message.root.as_ref().map(|root| root.root_id)));
        (event.limit_ns, event.reason.clone())
    };
    changes.iter().map(of).collect()
}

pub fn of_root(store: &impl Store, id: u64) -> (State, bool, Option<u64>) {
    let page = store.roots(&any()).unwrap();
    let root = page.roots.into_iter().find(|found| found.root_id == root(id as u8)).unwrap();
    let process = store.process(RootKey::Id(root.root_id), process(id)).unwrap().unwrap();
    assert_eq!((root.overdue, root.expected_ns, root.expected_p95_ns), (process.overdue, process.expected_ns, process.expected_p95_ns));
    (root.state, root.overdue, root.expected_ns)
}

pub fn a_process_above_its_timeout_is_overdue_once_until_it_ends<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[batch('A', 1, vec![started(1, NOW, Some(2_000)), started(2, NOW, None)])], NOW).unwrap();
    assert_eq!(told(&store, NOW + SECOND), []);
    assert_eq!(of_root(&store, 1), (State::RUNNING, false, None));
    assert_eq!(told(&store, NOW + 2 * SECOND), [(2_000_000_000, "timeout".to_owned())]);
    assert_eq!(told(&store, NOW + 3 * SECOND), [], "said once");
    assert_eq!((of_root(&store, 1).1, of_root(&store, 2).1), (true, false));
    drop(store);
    let store = place.open();
    assert_eq!(told(&store, NOW + 4 * SECOND), [], "over a restart too");
    assert!(of_root(&store, 1).1);
    store.say(&[batch('A', 3, vec![ended(1, NOW + 9 * SECOND, 9_000_000_000)])], NOW).unwrap();
    assert_eq!(of_root(&store, 1), (State::SUCCEEDED, false, None));
}

pub fn running_processes_are_watched_after_a_restart_and_ended_processes_not<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[batch('A', 1, vec![started(1, NOW, Some(2_000)), started(2, NOW, Some(2_000))])], NOW).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(told(&store, NOW), []);
    store.say(&[batch('A', 3, vec![ended(2, NOW + SECOND, 1)])], NOW).unwrap();
    assert_eq!(told(&store, NOW + 5 * SECOND).len(), 1);
}

pub fn a_process_that_ended_before_the_check_is_no_longer_overdue<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[batch('A', 1, vec![started(1, NOW, Some(2_000)), started(2, NOW, Some(2_000))])], NOW).unwrap();
    assert_eq!(told(&store, NOW + 5 * SECOND).len(), 2);
    drop(store);
    let store = place.open();
    store.say(&[batch('A', 3, vec![ended(1, NOW + 6 * SECOND, 6_000_000_000)])], NOW + 6 * SECOND).unwrap();
    // A later change about the other process still shows it as overdue.
    let changes = store.say(&[batch('A', 4, vec![started(2, NOW - 1, Some(2_000))])], NOW + 6 * SECOND).unwrap();
    assert!(changes[0].message.process.as_ref().unwrap().overdue);
    place.check(&store);
}

pub fn a_process_lost_at_its_timeout_is_overdue_when_it_is_found<P: Place>() {
    let place = P::new();
    let store = place.open();
    let mut online = parse(&format!("online A interval=1000 at={NOW}"));
    online[0].events.push(started(1, NOW, Some(60_000)));
    store.say(&online, NOW).unwrap();
    assert_eq!(store.lose_workers(NOW + 30 * SECOND, 0).unwrap().len(), 2);
    assert_eq!(of_root(&store, 1).0, State::LOST);
    assert_eq!(told(&store, NOW + 61 * SECOND), [], "nobody knows whether it runs");
    store.say(&[batch('A', 3, Vec::new())], NOW + 62 * SECOND).unwrap();
    assert_eq!(of_root(&store, 1).0, State::RUNNING);
    assert_eq!(told(&store, NOW + 63 * SECOND), [(60_000_000_000, "timeout".to_owned())]);
    assert_eq!(told(&store, NOW + 64 * SECOND), []);
}

pub fn a_clock_a_day_off_makes_nothing_overdue_and_is_shown<P: Place>() {
    const DAY: u64 = 86_400 * SECOND;
    for offset in [DAY as i64, -(DAY as i64)] {
        let place = P::new();
        let store = place.open();
        let theirs = NOW.saturating_add_signed(offset);
        let mut sent = batch('A', 1, vec![started(1, theirs, Some(2_000)), started(2, theirs + 1, None)]);
        sent.sent_us = theirs + 10;
        store.say(&[sent], NOW + 15).unwrap();
        assert_eq!(told(&store, NOW + SECOND), [], "{offset}");
        assert_eq!(store.worker(worker('A')).unwrap().unwrap().clock_offset_us, Some(offset - 5));
        drop(store);
        let store = place.open();
        assert_eq!(told(&store, NOW + SECOND), [], "{offset}: not after a restart either");
        assert_eq!(told(&store, NOW + 3 * SECOND).len(), 1, "{offset}");
        // The wrong clock changes neither the duration nor the start that the worker sent.
        store.say(&[batch('A', 3, vec![ended(1, theirs + 5 * SECOND, 5_000_000_000)])], NOW + 5 * SECOND).unwrap();
        let page = store.tree(RootKey::Id(root(1)), 10, None).unwrap().unwrap();
        assert_eq!((page.root.elapsed_ns, page.root.started_us), (Some(5_000_000_000), Some(theirs)));
    }
}

pub fn the_first_of_two_different_ends_is_used_and_the_other_is_counted<P: Place>() {
    let failed = |time_us| {
        let Event::ProcessEnded(of) = ended(1, time_us, 1) else { unreachable!() };
        Event::ProcessEnded(ProcessEnded { outcome: Outcome::FAILED, ..of })
    };
    for events in [[failed(NOW + 1), ended(1, NOW + 2, 2)], [ended(1, NOW + 2, 2), failed(NOW + 1)]] {
        let place = P::new();
        let store = place.open();
        store.say(&[batch('A', 1, vec![started(1, NOW, None), events[0].clone()])], NOW).unwrap();
        store.say(&[batch('A', 3, vec![events[1].clone()])], NOW).unwrap();
        let process = store.process(RootKey::Id(root(1)), process(1)).unwrap().unwrap();
        assert_eq!((process.state, process.contradictions), (State::FAILED, 1));
        let counted = store.worker(worker('A')).unwrap().unwrap().events;
        assert_eq!((counted["process-started"], counted["process-ended"]), (1, 2));
    }
}
