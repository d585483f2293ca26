//! Opening, or saying why not.

use std::error::Error as _;
use std::fs;

use rusqlite::Connection;

use super::super::SqliteStore;
use super::open;
use crate::store::StoreError;

fn error(folder: &tempfile::TempDir) -> StoreError {
    SqliteStore::open(folder.path()).err().expect("must not open")
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let (folder, store) = open();
    assert!(matches!(error(&folder), StoreError::Locked { path } if path == folder.path()));
    drop(store);
    SqliteStore::open(folder.path()).unwrap();
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (folder, store) = open();
    drop(store);
    let path = folder.path().join("monitor.db");
    let version = || -> u32 { Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap() };
    let this = version();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = error(&folder);
    assert!(matches!(error, StoreError::TooNew { found: 99, known, .. } if known == this), "{error:?}");
    assert!(error.to_string().contains(&format!("schema 99, this build knows {this}")), "{error}");
    assert_eq!(version(), 99);
}

#[test]
fn what_is_no_database_is_said_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("monitor.db"), "a letter, not a database, and long enough to be one".repeat(100)).unwrap();
    let error = error(&folder);
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("monitor.db") && error.source().is_some());
}

#[test]
fn a_truncated_database_is_an_error() {
    let (folder, store) = open();
    drop(store);
    let path = folder.path().join("monitor.db");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = error(&folder);
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/data");
    let error = SqliteStore::open(&path).err().expect("must not open");
    assert!(matches!(&error, StoreError::Disk { path: named, .. } if *named == path), "{error:?}");
}

#[test]
fn the_file_is_laid_out_for_what_is_to_come() {
    let (folder, _store) = open();
    let connection = Connection::open(folder.path().join("monitor.db")).unwrap();
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(pragma("page_size"), 8_192.into());
    assert_eq!(pragma("auto_vacuum"), 2.into(), "incremental");
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_look_into_the_data_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/data");
    let _store = SqliteStore::open(&path).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.clone()), 0o700);
    for file in ["monitor.db", "monitor.db-wal", "server.lock"] {
        assert_eq!(mode(path.join(file)), 0o600, "{file}");
    }
}
