//! Tests of a damaged database: reads return an error, and don't allocate memory for data that isn't there.

use std::sync::Arc;

use monitor_store::packed::Packed;
use monitor_store::{Intake, Queries, RootKey, StoreError};
use monitor_store_sqlite::SqliteStore;
use monitor_wire::{Batch, Event, Fields, Kind, ProcessStarted};
use rusqlite::Connection;

use crate::{largest, support};

/// Limit for a single allocation while the process of a test is read, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// The length 1 GiB with seven bits per byte: allowed by the format, but longer than any data in the test.
const GIBIBYTE: [u8; 5] = [0x80, 0x80, 0x80, 0x80, 0x04];
/// 1 GiB as the event log stores it: the length plus 1, because 0 means uncompressed.
const GIBIBYTE_OF_WORDS: [u8; 5] = [0x81, 0x80, 0x80, 0x80, 0x04];

/// Creates a store with one process, whose fields are stored in `more` because they have no columns.
fn store(folder: &std::path::Path) -> SqliteStore {
    let store = SqliteStore::open(folder).unwrap();
    let fields = Fields::from([("args".to_owned(), "[1, 2, 3] ".repeat(40).into())]);
    let started = ProcessStarted::new(support::root(1), support::process(1), 1_763_600_000_000_000, Kind::TASK, "send".to_owned());
    let batch = Batch { sequence: 1, ..support::batch('A', 1, vec![Event::ProcessStarted(ProcessStarted { fields, ..started })]) };
    store.append(&[Arc::new(Packed::from(batch))], 1).unwrap();
    store
}

/// A zstd frame that contains "abcd".
const FRAME: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x04, 0x21, 0x00, 0x00, b'a', b'b', b'c', b'd'];

fn damage(folder: &std::path::Path, sql: &str, bytes: &[u8]) {
    let connection = Connection::open(folder.join("monitor.db")).unwrap();
    assert_eq!(connection.execute(sql, [bytes]).unwrap(), 1, "{sql}");
}

/// Asserts that a query fails because of damage, and makes no large allocation.
fn check<T: std::fmt::Debug>(ask: impl FnOnce() -> Result<T, StoreError>) {
    let (answer, bytes) = largest::of(ask);
    let error = answer.unwrap_err();
    let why = std::iter::successors(std::error::Error::source(&error), |error| error.source()).last().unwrap().to_string();
    assert!(why.contains("damaged"), "{error}: {why}");
    assert!(bytes < MAX_BYTES, "{bytes} bytes were asked for at once");
}

#[test]
fn facts_with_a_forged_length_of_a_gibibyte_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    damage(folder.path(), "UPDATE process SET more = ?1 WHERE more IS NOT NULL", &[&[2][..], &GIBIBYTE, FRAME].concat());
    check(|| store.tree(RootKey::Id(support::root(1)), 100, None));
    assert!(store.status().is_ok(), "all else is answered");
}

#[test]
fn a_logged_batch_with_a_forged_length_of_a_gibibyte_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let worker = support::worker('A').get().to_be_bytes();
    let batch = [&worker[..], &[1, 0], &GIBIBYTE_OF_WORDS, &[FRAME.len() as u8], FRAME, &[0]].concat();
    let piece = [&[1, 1, batch.len() as u8][..], &batch, &[0, 0]].concat();
    damage(folder.path(), "UPDATE event_log SET piece = ?1", &piece);
    check(|| store.logged(0));
}
