//! Tests of events that don't name the tree of their process and wait until another event does, and of workers behind a relay.

use monitor_store::{Intake, Queries};
use monitor_wire::{Event, ProcessId, WorkerState};
use serde_json::{Value, json};

use super::super::SqliteStore;
use super::support::script::parse;
use super::support::{batch, root, worker};
use super::{open, page};

const DAY: u64 = 86_400 * 1_000_000;
/// Id of the process with the native id `n-1` in the system `q`.
const ID: u64 = 0x208f_e506_3c6a_9d7d;

fn event(event_type: &str, more: &Value) -> Event {
    let mut event = json!({"type": event_type, "native_id": "n-1", "time_us": 9});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(event).unwrap()
}

/// Returns an end that doesn't name the tree.
fn ended() -> Event {
    event("process-ended", &json!({"native_source": "q", "outcome": "succeeded"}))
}

/// Returns a start that names the tree.
fn started() -> Event {
    let id = ProcessId::new(ID).unwrap().to_string();
    event("process-started", &json!({"root_id": root(1).to_string(), "id": id, "time_us": 5, "kind": "task", "name": "count"}))
}

fn waiting(store: &SqliteStore) -> u64 {
    store.status().unwrap().waiting_events
}

fn dropped(store: &SqliteStore) -> Vec<(String, String, u64)> {
    store.status().unwrap().dropped.into_iter().map(|of| (of.event_type, of.reason, of.count)).collect()
}

#[test]
fn an_end_waits_for_its_tree_across_a_restart_and_is_then_reported() {
    let (folder, store) = open();
    let changes = store.append(&[batch('A', 1, vec![ended()])], 0).unwrap();
    assert_eq!((changes.len(), waiting(&store)), (1, 1));
    let message = changes.iter().next().unwrap().message.clone();
    assert!(message.root.is_none() && message.process.is_none());
    assert_eq!(serde_json::to_value(&message.event).unwrap()["id"], "208fe5063c6a9d7d", "the server says which process it is");
    // The batch arrives again, and then the store is reopened.
    store.append(&[batch('A', 1, vec![ended()])], 0).unwrap();
    assert_eq!((waiting(&store), store.problems()), (1, Vec::new()));
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    let changes = store.append(&[batch('B', 1, vec![started()])], 0).unwrap();
    let process = changes.iter().next().unwrap().message.process.clone().unwrap();
    assert_eq!((process.state.as_str(), process.ended_us, process.native_id.as_deref()), ("succeeded", Some(9), Some("n-1")));
    assert_eq!((waiting(&store), dropped(&store), store.problems()), (0, Vec::new(), Vec::new()));
    // From here on, events of the process need not name the tree.
    let updated = event("process-updated", &json!({"native_source": "q", "fields": {"x": 1}}));
    let other = event("process-updated", &json!({"native_source": "another", "fields": {"x": 2}}));
    let changes = store.append(&[batch('A', 2, vec![updated, other])], 0).unwrap();
    let told: Vec<_> = changes.iter().map(|change| change.message.process.clone().map(|process| process.fields["x"].clone())).collect();
    assert_eq!(told, [Some(json!(1)), None]);
    assert_eq!((page(&store).processes.len(), waiting(&store)), (1, 1));
    assert_eq!(store.logged(0).unwrap().map(|logged| logged.count()), Some(1), "the log of events has it");
}

#[test]
fn the_order_within_a_batch_does_not_matter() {
    for events in [vec![ended(), started()], vec![started(), ended()]] {
        let (_folder, store) = open();
        let changes = store.append(&[batch('A', 1, events)], 0).unwrap();
        for change in changes.iter() {
            assert_eq!(change.message.process.as_ref().unwrap().state.as_str(), "succeeded");
            assert_eq!(change.message.root.as_ref().unwrap().counts.succeeded, 1);
        }
        assert_eq!((waiting(&store), store.problems()), (0, Vec::new()));
    }
}

#[test]
fn events_that_wait_too_long_or_are_too_many_are_dropped_and_counted() {
    let (_folder, store) = open();
    store
        .write("bound", |writer| {
            writer.keep_waiting(2);
            Ok(())
        })
        .unwrap();
    store.append(&[batch('A', 1, vec![ended(), ended(), ended()])], 7).unwrap();
    let no_tree = |count| ("process-ended".to_owned(), "no-tree".to_owned(), count);
    assert_eq!((waiting(&store), dropped(&store)), (2, vec![no_tree(1)]));
    store.lose_workers(7 + DAY, 0).unwrap();
    assert_eq!(waiting(&store), 2, "a day isn't over");
    store.lose_workers(8 + DAY, 0).unwrap();
    assert_eq!((waiting(&store), dropped(&store), store.problems()), (0, vec![no_tree(3)], Vec::new()));
    // An event that names the tree arrives too late for the dropped ends.
    store.append(&[batch('A', 4, vec![started()])], 8 + DAY).unwrap();
    assert_eq!(page(&store).processes[0].state.as_str(), "running");
}

fn state(store: &SqliteStore, letter: char) -> WorkerState {
    store.worker(worker(letter)).unwrap().unwrap().state
}

#[test]
fn a_worker_behind_a_silent_relay_is_unheard_and_not_lost() {
    const SECOND: u64 = 1_000_000;
    let (folder, store) = open();
    let say = |store: &SqliteStore, number: u64, lines: &str, now_us: u64| {
        let events = parse(lines).into_iter().flat_map(|batch| batch.events).collect();
        store.append(&[batch('B', number, events)], now_us).unwrap();
    };
    say(&store, 1, "online interval=1000\nonline by=A interval=1000\nstarted 1 by=A", 0);
    assert_eq!(store.worker(worker('A')).unwrap().unwrap().relayed_by, [worker('B')]);
    store.lose_workers(3 * SECOND, 0).unwrap();
    assert_eq!((state(&store, 'B'), state(&store, 'A')), (WorkerState::LOST, WorkerState::UNHEARD));
    assert_eq!(page(&store).processes[0].state.as_str(), "running");
    store.lose_workers(60 * SECOND, 0).unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    store.lose_workers(90 * SECOND, 0).unwrap();
    assert_eq!(state(&store, 'A'), WorkerState::UNHEARD, "however long, and over a restart");
    // The relay is back, and gets time to report about the worker behind it.
    say(&store, 4, "heartbeat", 100 * SECOND);
    store.lose_workers(101 * SECOND, 0).unwrap();
    assert_eq!((state(&store, 'B'), state(&store, 'A')), (WorkerState::ONLINE, WorkerState::ONLINE));
    say(&store, 5, "heartbeat", 102 * SECOND);
    store.lose_workers(102 * SECOND, 0).unwrap();
    assert_eq!((state(&store, 'B'), state(&store, 'A')), (WorkerState::ONLINE, WorkerState::LOST), "the relay speaks, and not of it");
    say(&store, 6, "heartbeat by=A", 103 * SECOND);
    assert_eq!(state(&store, 'A'), WorkerState::ONLINE);
    assert_eq!((page(&store).processes[0].state.as_str(), store.problems()), ("running", Vec::new()));
}

#[test]
fn a_relayed_worker_is_judged_after_the_next_report_of_its_relay() {
    const SECOND: u64 = 1_000_000;
    let (_folder, store) = open();
    let say = |number: u64, lines: &str, now_us: u64| {
        let events = parse(lines).into_iter().flat_map(|batch| batch.events).collect();
        store.append(&[batch('B', number, events)], now_us).unwrap();
    };
    say(1, "online interval=10000\nonline by=A interval=1000\nstarted 1 by=A", 0);
    store.lose_workers(9 * SECOND, 0).unwrap();
    assert_eq!((state(&store, 'B'), state(&store, 'A')), (WorkerState::ONLINE, WorkerState::ONLINE), "perhaps the relay is dead");
    say(4, "heartbeat", 10 * SECOND);
    store.lose_workers(10 * SECOND, 0).unwrap();
    assert_eq!((state(&store, 'B'), state(&store, 'A')), (WorkerState::ONLINE, WorkerState::LOST), "the relay reports, and not about it");
    say(5, "heartbeat by=A", 11 * SECOND);
    store.lose_workers(30 * SECOND, 0).unwrap();
    store.lose_workers(31 * SECOND, 0).unwrap();
    assert_eq!((state(&store, 'B'), state(&store, 'A')), (WorkerState::LOST, WorkerState::UNHEARD));
    assert_eq!(page(&store).processes[0].state.as_str(), "running");
}
