//! Tests of heartbeats, their keys and their pings.

use monitor_wire::{Batch, Event, HeartbeatDefinition};
use serde_json::json;

use super::{Place, Say as _};
use crate::{
    BatchQueries as _, Expects, HeartbeatEdit, HeartbeatQueries as _, HeartbeatRow, Intake as _, MissedPing, Refused, Store, TaskChange,
    TaskEdit,
};

const T: u64 = 1_795_228_200_000_000;

fn definition(every_ms: u64) -> HeartbeatDefinition {
    let (name, agent) = ("nightly".to_owned(), Some("db-1".to_owned()));
    HeartbeatDefinition { name, rule: None, zone: None, every_ms: Some(every_ms), grace_ms: 1_000, timeout_ms: None, agent }
}

fn add(key: u8) -> HeartbeatEdit {
    HeartbeatEdit::Add { definition: definition(60_000), key_hash: [key; 32], who: "ada".to_owned() }
}

fn roll(key: u8, until_us: u64) -> HeartbeatEdit {
    HeartbeatEdit::Roll { name: "nightly".to_owned(), key_hash: [key; 32], until_us }
}

fn only(store: &impl Store) -> HeartbeatRow {
    let [row] = store.heartbeats().unwrap().try_into().unwrap();
    row
}

/// Returns a batch with one event of the run that represents a ping.
fn run_event(number: u64, more: &serde_json::Value) -> Batch {
    let worker = json!({"id": "5b0c00000000000000000000000000a1", "hostname": "h", "program": "heartbeats"});
    let mut event = json!({"root_id": "019f0000000000000000000000000001", "id": "00000000000000c1", "native_id": "nightly@1.1"});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let batch = json!({"version": 1, "worker": worker, "sequence": number, "sent_us": T, "events": [event]});
    Batch::from_json(batch.to_string().as_bytes()).unwrap()
}

pub fn a_heartbeat_is_added_once_changed_and_found_by_its_key<P: Place>() {
    let place = P::new();
    let store = place.open();
    let change = |edit, now_us| store.change_heartbeat(edit, now_us).unwrap().0;
    let of_key = |key: u8, now_us| store.heartbeat_of_key(&[key; 32], now_us).unwrap().map(|row| row.definition.name);
    assert!(!change(roll(2, T), T) && !change(HeartbeatEdit::Delete("nightly".to_owned()), T), "there is none");
    assert!(change(add(1), T) && !change(add(2), T));
    assert_eq!((of_key(1, T), of_key(2, T)), (Some("nightly".to_owned()), None));
    assert!(change(roll(2, T + 9), T));
    assert_eq!((of_key(1, T + 8), of_key(2, T + 8)), (Some("nightly".to_owned()), Some("nightly".to_owned())), "both for a while");
    assert_eq!((of_key(1, T + 9), of_key(2, T + 9)), (None, Some("nightly".to_owned())));
    assert!(change(roll(3, T + 1), T + 1));
    assert_eq!((of_key(2, T + 1), of_key(3, T + 1)), (None, Some("nightly".to_owned())), "the old key ends at once");
    assert!(change(HeartbeatEdit::Define(definition(5_000)), T + 2));
    let row = only(&store);
    assert_eq!((row.definition, row.who.as_str(), row.created_us), (definition(5_000), "ada", T));
    drop(store);
    let store = place.open();
    assert_eq!(only(&store).key_hash, [3; 32], "it is kept");
    assert!(store.change_heartbeat(HeartbeatEdit::Delete("nightly".to_owned()), T).unwrap().0);
    assert_eq!(store.heartbeats().unwrap(), []);
    place.check(&store);
}

pub fn the_last_ping_follows_from_runs_in_any_order<P: Place>() {
    let start = json!({"type": "process-started", "time_us": T + 5, "kind": "run", "name": "nightly",
        "fields": {"task.name": "nightly", "task.due_us": T + 5, "task.trigger": "ping"}});
    let end = json!({"type": "process-ended", "time_us": T + 9, "outcome": "succeeded"});
    for order in [[0, 1], [1, 0]] {
        let place = P::new();
        let store = place.open();
        store.change_heartbeat(add(1), T).unwrap();
        let said = [run_event(1, &start), run_event(2, &end)];
        for number in order {
            store.say(std::slice::from_ref(&said[number]), T + 9).unwrap();
            store.say(std::slice::from_ref(&said[number]), T + 9).unwrap();
        }
        assert_eq!(only(&store).seen_us, Some(T + 9), "{order:?}");
        // A heartbeat with the same name that is created later has had no ping yet.
        store.change_heartbeat(HeartbeatEdit::Delete("nightly".to_owned()), T + 10).unwrap();
        store.change_heartbeat(add(2), T + 10).unwrap();
        store.say(&[run_event(3, &json!({"type": "process-updated", "time_us": T + 11, "fields": {"a": 1}}))], T + 11).unwrap();
        assert_eq!(only(&store).seen_us, None);
        place.check(&store);
    }
    let place = P::new();
    let store = place.open();
    store.change_heartbeat(add(1), T).unwrap();
    let mut of_task = start.clone();
    of_task["fields"]["task.trigger"] = json!("time");
    store.say(&[run_event(1, &of_task)], T).unwrap();
    assert_eq!(only(&store).seen_us, None, "a run of a batch task is no ping");
}

pub fn a_missing_ping_is_reported_once_unless_it_arrived<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.change_heartbeat(add(1), T).unwrap();
    let start = json!({"type": "process-started", "time_us": T + 5, "kind": "run", "name": "nightly",
        "fields": {"task.name": "nightly", "task.due_us": T + 5, "task.trigger": "ping"}});
    store.say(&[run_event(1, &start)], T + 5).unwrap();
    let missed = |seen_us, due_us| MissedPing { name: "nightly".to_owned(), seen_us, due_us };
    let tell = |missed: MissedPing| {
        let told = store.miss_pings(&[missed], T + 99).unwrap();
        told.iter().map(|change| change.message.event.clone()).collect::<Vec<_>>()
    };
    assert_eq!(tell(missed(T + 4, T + 50)), [], "it came meanwhile");
    let told = tell(missed(T + 5, T + 50));
    let [Event::RunMissed(of)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((of.task.as_str(), of.agent.as_str(), of.first_due_us, of.reason.as_str()), ("nightly", "db-1", T + 50, "no-ping"));
    assert_eq!(tell(missed(T + 5, T + 50)), [], "it was told");
    assert_eq!(tell(MissedPing { name: "none".to_owned(), ..missed(T + 5, T + 50) }), []);
    assert_eq!(only(&store).missed_us, Some(T + 50));
    let decisions = crate::BatchQueries::batch_decisions(&store, "nightly", (0, T + 99), 9).unwrap();
    assert_eq!(decisions.iter().map(|of| (of.what.as_str(), of.count)).collect::<Vec<_>>(), [("missed", 1)]);
    place.check(&store);
}

pub fn a_task_takes_no_name_that_a_heartbeat_has<P: Place>() {
    let place = P::new();
    let store = place.open();
    let define = |name: &str, now_us| {
        let edit = TaskEdit::Define(serde_json::Map::new());
        let change = TaskChange { name: name.to_owned(), who: "ada".to_owned(), expects: Expects::Anything, edit };
        store.change_tasks(&[change], now_us).unwrap().0
    };
    assert_eq!(define("gold", T), Ok(vec![1]));
    store.change_heartbeat(add(1), T).unwrap();
    assert_eq!(define("nightly", T), Err(("nightly".to_owned(), Refused::OfHeartbeat)));
    assert_eq!(store.batch_task("nightly").unwrap(), None);
    store.change_heartbeat(HeartbeatEdit::Delete("nightly".to_owned()), T).unwrap();
    assert_eq!(define("nightly", T), Ok(vec![1]));
    place.check(&store);
}
