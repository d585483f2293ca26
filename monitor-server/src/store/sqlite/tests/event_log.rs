//! What the stream has told can be told again.

use std::time::Duration;

use monitor_wire::{Event, StreamMessage};
use proptest::prelude::*;

use super::super::SqliteStore;
use super::super::house::Drop;
use super::super::write::event_log::move_cursor;
use super::support::generate::{delivery, history};
use super::support::script::parse;
use super::{joined, open};
use crate::store::{Change, Cursor, Intake, KeepEvents, Queries, RootKey, Subject};

/// All events after a number as the log tells them, with what it says they are about.
fn told(store: &SqliteStore, mut after: u64) -> Vec<(u64, StreamMessage, Subject)> {
    let mut told = Vec::new();
    while let Some(piece) = store.logged(after).unwrap() {
        assert!((piece.first_seq()..=piece.last_seq()).contains(&(after + 1)));
        for place in (after + 1 - piece.first_seq()) as usize..piece.count() {
            let event = piece.event(place);
            assert_eq!((piece.type_name(place), piece.root_id(place)), (event.type_name(), event.root_id()));
            let message = StreamMessage { event, root: None, process: None, worker: None, log: piece.log(place), as_of: 0 };
            told.push((piece.first_seq() + place as u64, message, piece.about(place)));
        }
        after = piece.last_seq();
    }
    told
}

/// The facts of both are the same, one by one, and they are about the same.
fn assert_told(store: &SqliteStore, changes: &[Change]) {
    let told = told(store, changes.first().map_or(0, |change| change.seq - 1));
    assert_eq!(told.len(), changes.len());
    for ((seq, again, about), change) in told.iter().zip(changes) {
        let first = &*change.message;
        assert_eq!((*seq, &again.event, &again.log), (change.seq, &first.event, &first.log));
        if let Some(root) = &first.root {
            assert_eq!(about.root_id, Some(root.root_id));
        }
        if let Some(process) = &first.process {
            assert_eq!(about.process_id, Some(process.id));
        }
        assert_eq!(about.worker_id, first.worker.as_ref().map(|worker| worker.id));
    }
}

fn small(store: SqliteStore, bytes: u64) -> SqliteStore {
    store.keep_events(KeepEvents { bytes, ..KeepEvents::DEFAULT })
}

/// Sends a few events, so many times.
fn send(store: &SqliteStore, times: u64) -> Vec<Change> {
    (0..times)
        .flat_map(|time| {
            let sent = parse(&format!("started {0} name=n\nended {0} ok", time + 2));
            let sent = monitor_wire::Batch { sequence: 1 + time * 2, ..joined(&sent) };
            store.append(&[sent], time).unwrap().to_vec()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_was_told_is_told_again(batches in history().prop_flat_map(|history| delivery(&history)), at in 0..8_usize) {
        let (folder, mut store) = open();
        let mut changes = Vec::new();
        for (place, batch) in batches.into_iter().enumerate() {
            changes.extend(store.append(std::slice::from_ref(&batch), place as u64).unwrap().to_vec());
            if place == at {
                changes.extend(store.lose_workers(u64::MAX / 4, 0).unwrap().to_vec());
                drop(store);
                store = SqliteStore::open(folder.path()).unwrap();
            }
        }
        assert_told(&store, &changes);
        prop_assert_eq!(store.status().unwrap().stream_log_from, changes.first().map(|change| change.seq));
    }
}

#[test]
fn what_the_server_makes_itself_has_numbers_and_is_told_again() {
    let (folder, store) = open();
    let mut sent = parse("online interval=1000\nstarted 1\nstarted 2 parent=1");
    let Event::ProcessStarted(started) = &mut sent[1].events[0] else { unreachable!("it is one") };
    started.timeout_ms = Some(1);
    let mut changes = store.append(&sent, 1_000_000).unwrap().to_vec();
    changes.extend(store.find_overdue(u64::MAX / 8).unwrap().to_vec());
    changes.extend(store.lose_workers(u64::MAX / 4, 0).unwrap().to_vec());
    changes.extend(store.append(&parse("A: heartbeat")[..1], u64::MAX / 4).unwrap().to_vec());
    changes.extend(store.pin(RootKey::Number(1), true, 7).unwrap().unwrap().to_vec());
    changes.extend(store.pin(RootKey::Number(1), false, 8).unwrap().unwrap().to_vec());
    let drop_it = Drop { numbers: &[1], reason: "asked", may_run: true };
    changes.extend(store.drop_roots(&drop_it, 9).unwrap().1.to_vec());
    assert_eq!(changes.iter().map(|change| change.seq).collect::<Vec<_>>(), (1..=changes.len() as u64).collect::<Vec<_>>());
    assert_told(&store, &changes);
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_told(&store, &changes);
    let types: Vec<_> = told(&store, 0).iter().map(|(_, message, _)| message.event.type_name().to_owned()).collect();
    for expected in ["process-overdue", "worker-lost", "root-pinned", "root-unpinned", "roots-dropped"] {
        assert!(types.iter().any(|name| name == expected), "{expected}: {types:?}");
    }
    let (models, as_of) = store.models(&[told(&store, 0)[1].2]).unwrap();
    assert_eq!((models[0].root.as_ref(), as_of), (None, changes.len() as u64), "the tree is gone, the fact is told");
}

#[test]
fn models_beside_what_is_told_again_are_those_of_now() {
    let (_folder, store) = open();
    store.append(&[joined(&parse("started 1 name=build\nstarted 2 parent=1\nstarted 3 parent=9"))], 0).unwrap();
    store.append(&parse("started 1\nstarted 2\nstarted 3\nended 1 ok")[3..], 1).unwrap();
    let abouts: Vec<_> = told(&store, 0).iter().map(|(_, _, about)| *about).collect();
    let (models, as_of) = store.models(&abouts).unwrap();
    assert_eq!(as_of, 4);
    let root = models[0].root.as_ref().unwrap();
    assert_eq!((root.state.as_str(), root.name.as_str()), ("succeeded", "build"), "it had begun then, and has ended now");
    assert_eq!(models[0].process.as_ref().unwrap().state.as_str(), "succeeded");
    assert_eq!([1, 2].map(|at: usize| models[at].process.as_ref().unwrap().orphan), [false, true]);
    assert!(models[0].worker.is_some() && models[3].worker.is_none(), "the worker was new");
}

#[test]
fn the_log_is_trimmed_in_whole_pieces_and_says_where_it_begins() {
    let (folder, store) = open();
    let store = small(store, 2_000);
    let changes = send(&store, 100);
    let status = store.status().unwrap();
    let from = status.stream_log_from.unwrap();
    assert!(from > 1 && (1..=2_000).contains(&status.stream_log_bytes), "{status:?}");
    assert!(store.logged(from - 2).unwrap().is_none(), "what went is not there");
    assert_told(&store, &changes[from as usize - 1..]);
    assert_eq!(changes[from as usize - 1].message.event.type_name(), "process-started", "a piece is a transaction");

    // What is in the file is what is counted.
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let sql = "SELECT sum(length(piece) + 32), (SELECT logged FROM counter) FROM event_log";
    let (held, counted): (i64, i64) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!((held, counted as u64), (counted, status.stream_log_bytes));

    // A bound that became smaller, and none at all.
    let store = small(store, 500);
    while store.trim_events(0).unwrap() {}
    assert!(store.status().unwrap().stream_log_bytes <= 500);
    let store = small(store, 0);
    while store.trim_events(0).unwrap() {}
    let (status, last) = (store.status().unwrap(), changes.last().unwrap().seq);
    assert_eq!((status.stream_log_bytes, status.stream_log_from), (0, None));
    store.append(&parse("A: heartbeat\nA: heartbeat")[1..], 0).unwrap();
    assert!(store.logged(last).unwrap().is_none(), "nothing is written without a log");
}

#[test]
fn pieces_go_by_age_and_a_gap_is_never_told_over() {
    let (_folder, store) = open();
    let store = store.keep_events(KeepEvents { age: Duration::from_micros(10), ..KeepEvents::DEFAULT });
    let changes = send(&store, 50);
    assert!(!store.trim_events(10).unwrap(), "none is older than that");
    assert_eq!(store.status().unwrap().stream_log_from, Some(1));
    assert!(!store.trim_events(40).unwrap());
    let from = store.status().unwrap().stream_log_from.unwrap();
    assert_eq!(from, 61, "those of the first 30");
    assert_told(&store, &changes[60..]);
    // Off for a while: what comes then is not in it, and what was there before can't be joined to what comes later.
    let store = small(store, 0);
    store.append(&parse("B: heartbeat"), 60).unwrap();
    let store = small(store, 1 << 20);
    let later = store.append(&parse("B: heartbeat\nB: heartbeat")[1..], 61).unwrap().to_vec();
    assert!(store.logged(changes.last().unwrap().seq).unwrap().is_none());
    assert_told(&store, &later);
}

#[test]
fn a_database_from_before_the_log_begins_with_an_empty_one() {
    let (folder, store) = open();
    send(&store, 3);
    drop(store);
    let path = folder.path().join("monitor.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let older =
        "DROP TABLE native; DROP TABLE event_log; DROP TABLE cursor; ALTER TABLE counter DROP COLUMN logged; PRAGMA user_version = 11;";
    connection.execute_batch(older).unwrap();
    drop(connection);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.opened().migrated_from, Some(11));
    assert!(store.logged(0).unwrap().is_none() && store.logged(6).unwrap().is_none());
    let later = store.append(&parse("B: heartbeat"), 60).unwrap().to_vec();
    assert_eq!((later[0].seq, store.status().unwrap().stream_log_from), (7, Some(7)));
    assert_told(&store, &later);
}

#[test]
fn a_cursor_moves_with_what_was_done_and_says_when_it_missed_something() {
    let (folder, store) = open();
    let store = small(store, 2_000);
    assert_eq!(store.cursor("alerts").unwrap(), None);
    assert!(store.move_cursor("alerts", None, 0).unwrap());
    assert!(!store.move_cursor("alerts", None, 5).unwrap(), "it is somewhere already");
    assert_eq!(store.cursor("alerts").unwrap(), Some(Cursor { seq: 0, is_behind: false }));
    send(&store, 2);
    assert!(!store.cursor("alerts").unwrap().unwrap().is_behind, "all is still there");
    assert!(!store.move_cursor("alerts", Some(1), 2).unwrap(), "it is not where it is said to be");
    assert!(store.move_cursor("alerts", Some(0), 2).unwrap());
    drop(store);
    let store = small(SqliteStore::open(folder.path()).unwrap(), 2_000);
    assert_eq!(store.cursor("alerts").unwrap(), Some(Cursor { seq: 2, is_behind: false }));

    // What was done and the cursor are one transaction.
    let mut connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let transaction = connection.transaction().unwrap();
    assert!(move_cursor(&transaction, "alerts", Some(2), 3).unwrap());
    transaction.rollback().unwrap();
    assert_eq!(store.cursor("alerts").unwrap().unwrap().seq, 2);

    send(&store, 200);
    assert_eq!(store.cursor("alerts").unwrap(), Some(Cursor { seq: 2, is_behind: true }));
    let newest = store.status().unwrap().as_of;
    assert!(store.move_cursor("alerts", Some(2), newest).unwrap());
    assert_eq!(store.cursor("alerts").unwrap(), Some(Cursor { seq: newest, is_behind: false }));
    let empty = small(store, 0);
    while empty.trim_events(0).unwrap() {}
    assert!(!empty.cursor("alerts").unwrap().unwrap().is_behind, "it has seen all that there was");
}

#[test]
fn a_piece_that_is_damaged_is_an_error_and_not_another_story() {
    let (folder, store) = open();
    send(&store, 1);
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    for (sql, words) in [
        ("UPDATE event_log SET piece = x''", "it ends early"),
        ("UPDATE event_log SET piece = x'09'", "its format is unknown"),
        ("UPDATE event_log SET piece = x'01000000'", "it has other events than it says"),
    ] {
        connection.execute(sql, []).unwrap();
        let error = store.logged(0).unwrap_err();
        assert!(crate::causes(&error).contains(words), "{}", crate::causes(&error));
    }
}
