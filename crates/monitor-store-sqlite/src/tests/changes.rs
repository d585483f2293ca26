//! Tests of changes and counts, and of their rows in the database.

use monitor_store::Queries;
use monitor_wire::{Dropped, Event, UnknownEvent};

use super::super::SqliteStore;
use super::support::batch;
use super::support::script::parse;
use super::{open, tree};

#[test]
fn events_of_unknown_types_are_kept_and_counted() {
    let (folder, store) = open();
    let event = Event::Unknown(UnknownEvent {
        event_type: "moon'phase".to_owned(),
        fields: [("type".to_owned(), "moon'phase".into()), ("full".to_owned(), true.into())].into(),
    });
    let sent = batch('A', 1, vec![event.clone(), event]);
    assert_eq!(store.append(&[sent.clone(), sent], 0).unwrap().len(), 2);
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.status().unwrap().unknown_events, [("moon'phase".to_owned(), 2)].into());
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let body: String = connection.query_row("SELECT body FROM unknown WHERE number = 2", [], |row| row.get(0)).unwrap();
    assert_eq!(body, r#"{"full":true,"type":"moon'phase"}"#);
}

#[test]
fn log_lines_of_an_unknown_process_create_no_process() {
    let (folder, store) = open();
    let said = parse("logged 1 message=hello\nlogged 1 message=again");
    let changes = store.append(&said, 0).unwrap();
    store.append(&said, 0).unwrap();
    assert!(changes.iter().all(|change| change.message.process.is_none() && change.message.root.is_some()));
    assert_eq!(tree(&store), "");
    store.append(&parse("heartbeat\nheartbeat\nstarted 1")[2..], 0).unwrap();
    assert_eq!(tree(&store), "1 running\n");
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let messages = "SELECT group_concat(message) FROM (SELECT message FROM log ORDER BY root, process, time)";
    assert_eq!(connection.query_row(messages, [], |row| row.get::<_, String>(0)).unwrap(), "hello,again");
}

#[test]
fn the_size_of_a_change_includes_all_of_its_data() {
    const FIELD_BYTES: usize = 60_000;
    let (_folder, store) = open();
    let with_field = |key: &str| {
        let mut batch = parse("updated 1").remove(0);
        let Event::ProcessUpdated(updated) = &mut batch.events[0] else { unreachable!() };
        updated.fields.insert(key.to_owned(), "x".repeat(FIELD_BYTES).into());
        batch
    };
    let mut many = with_field("a");
    many.dropped =
        (0..1_000).map(|n| Dropped { event_type: format!("type {n:100}"), reason: "memory".to_owned(), root_id: None, count: 1 }).collect();
    store.append(&[many], 0).unwrap();
    let mut progressed = parse("heartbeat\nprogressed 1 done=1").remove(1);
    let changes = store.append(&[progressed.clone()], 0).unwrap();
    let bytes = changes.tell().bytes();
    assert!((FIELD_BYTES..2 * FIELD_BYTES).contains(&bytes), "the process is shown with its field: {bytes}");
    assert!(changes[0].message.process.as_ref().unwrap().fields.contains_key("a"));
    (progressed.sequence, progressed.events) = (3, vec![Event::WorkerOffline(monitor_wire::WorkerOffline { time_us: 9, worker: None })]);
    let bytes = store.append(&[progressed], 0).unwrap().tell().bytes();
    assert!(bytes > FIELD_BYTES + 100_000, "the worker is shown with what it dropped: {bytes}");
}

#[test]
fn only_changed_drop_counts_are_written() {
    const COUNT: u64 = 50_000;
    let (folder, store) = open();
    let mut sent = batch('A', 1, Vec::new());
    let dropped = |n: u64| Dropped { event_type: format!("type {n}"), reason: "memory".to_owned(), root_id: None, count: n };
    sent.dropped = (1..=COUNT).map(dropped).collect();
    store.append(&[sent.clone()], 0).unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    // Rows that are not written again stay deleted.
    connection.execute("DELETE FROM dropped WHERE type <> 'type 7'", []).unwrap();
    sent.dropped[6].count = 70;
    store.append(&[sent], 0).unwrap();
    let rows: Vec<(String, i64)> = {
        let mut statement = connection.prepare("SELECT type, count FROM dropped").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(rows, [("type 7".to_owned(), 70)]);
    let status = store.status().unwrap();
    assert_eq!(status.dropped.iter().map(|dropped| dropped.count).sum::<u64>(), (1..=COUNT).sum::<u64>() + 63);
}
