//! What the stream is told, and what is counted.

use monitor_wire::{Dropped, Event, UnknownEvent};

use super::super::SqliteStore;
use super::support::script::parse;
use super::support::{batch, root, worker};
use super::{any, joined, open, page, tree};
use crate::store::Queries;

#[test]
fn changes_are_numbered_without_gaps_over_restarts_and_reads_say_where_they_stand() {
    let (folder, store) = open();
    let parts = parse("started 1\nstarted 2 parent=1\nended 2 ok\nended 1 ok");
    let seqs: Vec<_> = store.append(&parts[..2], 0).unwrap().iter().map(|change| change.seq).collect();
    assert_eq!(seqs, [1, 2]);
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    let seqs: Vec<_> = store.append(&parts[1..], 0).unwrap().iter().map(|change| change.seq).collect();
    assert_eq!(seqs, [3, 4]);
    assert_eq!((page(&store).as_of, store.roots(&any()).unwrap().as_of, store.status().unwrap().as_of), (4, 4, 4));
}

#[test]
fn a_change_carries_what_the_event_made_of_things() {
    let (_folder, store) = open();
    let changes =
        store.append(&[joined(&parse("started 1 name=build batch=b\nstarted 2 parent=1\nended 2 failed error=boom"))], 0).unwrap();
    let message = &changes[2].message;
    let root = message.root.as_ref().unwrap();
    assert_eq!((&*root.title, root.counts.failed, root.counts.running), ("build <b:1>", 1, 1));
    assert_eq!(root.error, None, "the root runs: it may be handled");
    let process = message.process.as_ref().unwrap();
    assert_eq!((process.id.get(), process.state.as_str(), process.orphan), (2, "failed", false));
    assert!(message.worker.is_some(), "the worker is new");
    let later = store.append(&parse("heartbeat\nheartbeat\nheartbeat\nended 1 ok")[3..], 1).unwrap();
    assert!(later[0].message.worker.is_none());
    let shown = page(&store);
    let orphan = store.append(&parse("B: started 7 parent=99")[..], 1).unwrap();
    assert!(orphan[0].message.process.as_ref().unwrap().orphan);
    assert_eq!(shown.root, *later[0].message.root.as_ref().unwrap());
}

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
fn dropped_counts_are_cumulative_so_the_greatest_counts() {
    let (folder, store) = open();
    let dropped = |reason: &str, tree: Option<u8>, count| Dropped {
        event_type: "process-logged".to_owned(),
        reason: reason.to_owned(),
        root_id: tree.map(root),
        count,
    };
    for counts in [vec![dropped("memory", None, 12)], vec![dropped("memory", None, 7), dropped("memory", Some(1), 2)]] {
        let mut sent = batch('A', 1, Vec::new());
        sent.dropped = counts;
        store.append(&[sent], 0).unwrap();
    }
    let mut other = batch('B', 1, Vec::new());
    other.dropped = vec![dropped("memory", None, 100), dropped("rejected", None, u64::MAX)];
    store.append(&[other], 0).unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    let shown = store.worker(worker('A')).unwrap().unwrap().dropped;
    assert_eq!(shown, [dropped("memory", None, 12), dropped("memory", Some(1), 2)]);
    assert_eq!(store.status().unwrap().dropped, [dropped("memory", None, 114), dropped("rejected", None, i64::MAX as u64)]);
}

#[test]
fn a_tree_tells_what_all_its_workers_dropped_of_it() {
    let (_folder, store) = open();
    store.append(&parse("started 1 root=1 at=5"), 0).unwrap();
    let dropped = |reason: &str, tree: u8, count| Dropped {
        event_type: "process-started".to_owned(),
        reason: reason.to_owned(),
        root_id: Some(root(tree)),
        count,
    };
    for (name, counts) in [
        ('B', vec![dropped("memory", 1, 5), dropped("spool", 1, u64::MAX)]),
        ('C', vec![dropped("memory", 1, 7), dropped("memory", 2, 1), dropped("spool", 1, u64::MAX)]),
    ] {
        let mut sent = batch(name, 1, Vec::new());
        sent.dropped = counts;
        store.append(&[sent], 0).unwrap();
    }
    let twice = 2 * (i64::MAX as u64);
    assert_eq!(page(&store).dropped, [dropped("memory", 1, 12), dropped("spool", 1, twice)]);
}

#[test]
fn names_of_any_kind_are_data() {
    let (_folder, store) = open();
    let nasty = ["'; DROP TABLE root; --", "<script>alert(1)</script>", "a\0b", "\u{202e}一个测试根任务", "", "%_\\"];
    for (index, name) in nasty.iter().enumerate() {
        let mut sent = parse(&format!("started 170 root={} at=5", index + 1)).remove(0);
        sent.sequence = index as u64 + 1;
        let Event::ProcessStarted(started) = &mut sent.events[0] else { unreachable!() };
        started.name = (*name).to_owned();
        started.thread = Some((*name).to_owned());
        store.append(&[sent], 0).unwrap();
    }
    let names: Vec<_> = store.roots(&any()).unwrap().roots.into_iter().rev().map(|root| root.name).collect();
    assert_eq!(names, nasty);
    let first = &page(&store).processes[0];
    assert_eq!((first.thread.as_deref(), first.id.get()), (Some(nasty[0]), 0xaa | 1 << 63));
}

#[test]
fn what_an_unknown_process_logs_makes_no_process() {
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
fn what_is_told_counts_with_all_that_it_holds() {
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
fn however_many_are_counted_apart_only_what_rose_is_written() {
    const COUNT: u64 = 50_000;
    let (folder, store) = open();
    let mut sent = batch('A', 1, Vec::new());
    let dropped = |n: u64| Dropped { event_type: format!("type {n}"), reason: "memory".to_owned(), root_id: None, count: n };
    sent.dropped = (1..=COUNT).map(dropped).collect();
    store.append(&[sent.clone()], 0).unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    // Whatever is not written again stays away.
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
