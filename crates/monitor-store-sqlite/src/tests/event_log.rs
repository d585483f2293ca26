//! Tests of the event log, which stores the events of the stream.

use std::time::Duration;

use monitor_store::suite::event_log::assert_told;
use monitor_store::{Change, Cursor, Intake, KeepEvents, Queries};

use super::super::SqliteStore;
use super::super::write::event_log::move_cursor;
use super::support::script::parse;
use super::{joined, open};

fn small(store: SqliteStore, bytes: u64) -> SqliteStore {
    store.keep_events(KeepEvents { bytes, ..KeepEvents::DEFAULT })
}

/// Appends `times` batches with a start and an end each.
fn send(store: &SqliteStore, times: u64) -> Vec<Change> {
    (0..times)
        .flat_map(|time| {
            let sent = parse(&format!("started {0} name=n\nended {0} ok", time + 2));
            let sent = monitor_wire::Batch { sequence: 1 + time * 2, ..joined(&sent) };
            store.append(&[sent], time).unwrap().to_vec()
        })
        .collect()
}

#[test]
fn the_log_is_trimmed_in_whole_pieces_and_reports_its_first_event() {
    let (folder, store) = open();
    let store = small(store, 2_000);
    let changes = send(&store, 100);
    let status = store.status().unwrap();
    let from = status.stream_log_from.unwrap();
    assert!(from > 1 && (1..=2_000).contains(&status.stream_log_bytes), "{status:?}");
    assert!(store.logged(from - 2).unwrap().is_none(), "what went is not there");
    assert_told(&store, &changes[from as usize - 1..]);
    assert_eq!(changes[from as usize - 1].message.event.type_name(), "process-started", "a piece is a transaction");

    // The counted size is the size in the file.
    let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
    let sql = "SELECT sum(length(piece) + 32), (SELECT logged FROM counter) FROM event_log";
    let (held, counted): (i64, i64) = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!((held, counted as u64), (counted, status.stream_log_bytes));

    // A smaller limit, and then a limit of zero, which disables the log.
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
fn pieces_are_removed_by_age_and_a_gap_is_never_bridged() {
    let (_folder, store) = open();
    let store = store.keep_events(KeepEvents { age: Duration::from_micros(10), ..KeepEvents::DEFAULT });
    let changes = send(&store, 50);
    assert!(!store.trim_events(10).unwrap(), "none is older than that");
    assert_eq!(store.status().unwrap().stream_log_from, Some(1));
    assert!(!store.trim_events(40).unwrap());
    let from = store.status().unwrap().stream_log_from.unwrap();
    assert_eq!(from, 61, "those of the first 30");
    assert_told(&store, &changes[60..]);
    // Events that arrive while the log is off are not in it, and the log does not bridge the gap that they leave.
    let store = small(store, 0);
    store.append(&parse("B: heartbeat"), 60).unwrap();
    let store = small(store, 1 << 20);
    let later = store.append(&parse("B: heartbeat\nB: heartbeat")[1..], 61).unwrap().to_vec();
    assert!(store.logged(changes.last().unwrap().seq).unwrap().is_none());
    assert_told(&store, &later);
}

#[test]
fn a_cursor_moves_after_processing_and_reports_missed_events() {
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

    // The cursor moves in the caller's transaction, so that a rollback undoes the move as well.
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
fn a_damaged_piece_is_an_error() {
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
        assert!(monitor_http::with_causes(&error).contains(words), "{}", monitor_http::with_causes(&error));
    }
}
