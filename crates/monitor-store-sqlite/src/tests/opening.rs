//! Tests of opening a store, and of the errors if it can't be opened.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monitor_store::{Intake as _, Queries as _, StoreError};
use rusqlite::Connection;

use super::super::schema::{self, Schema};
use super::super::{Opened, SqliteStore, backup, check, restore, salvage};
use super::support::script::parse;
use super::{open, page};

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

/// Returns the files of a folder with their contents, except the lock file and the WAL index, which SQLite creates anew.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_data = |path: &PathBuf| !path.ends_with("server.lock") && path.extension().is_none_or(|suffix| suffix != "db-shm");
    files.filter(is_data).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Creates a folder as a killed server leaves it: the WAL contains changes that are not in the database yet. `PRAGMA user_version` is
/// `version`.
fn killed(version: u32) -> tempfile::TempDir {
    let (folder, store) = open();
    store.append(&parse("started 1\nended 1 ok"), 0).unwrap();
    let other = Connection::open(folder.path().join("monitor.db")).unwrap();
    other.pragma_update(None, "user_version", version).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in contents(folder.path()) {
        fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    assert!(fs::metadata(copy.path().join("monitor.db-wal")).unwrap().len() > 0);
    copy
}

#[test]
fn a_database_with_another_schema_is_refused_and_left_unchanged() {
    let Schema { first, .. } = schema::TREES;
    let known = schema::TREES.known();
    for (version, words) in [
        (99, format!("schema 99, this build knows {known}")),
        (25, format!("has schema 25, and version {} reads schema {first} and later", env!("CARGO_PKG_VERSION"))),
        (0, "has schema 0".to_owned()),
    ] {
        let folder = killed(version);
        let (path, other) = (folder.path(), tempfile::tempdir().unwrap());
        let database = path.join("monitor.db");
        let before = contents(path);
        let refused = [
            ("open", SqliteStore::open(path).err()),
            ("check", check(path).err()),
            ("backup", backup(path, &other.path().join("backup.db")).err()),
            ("restore", restore(&database, other.path()).err()),
            ("salvage", salvage(path, &other.path().join("new")).err()),
        ];
        for (action, error) in refused {
            let error = error.unwrap_or_else(|| panic!("{action} must fail")).to_string();
            assert!(error.contains(&words) && error.contains(database.to_str().unwrap()), "{action}: {error}");
        }
        assert!(contents(path) == before, "the files of schema {version} have changed");
    }
}

#[test]
fn a_copy_is_kept_before_a_migration_and_removed_a_week_later() {
    let steps = [schema::TREES.steps, &["ALTER TABLE cursor ADD COLUMN next INTEGER"]].concat();
    let next = Schema { steps: steps.leak(), ..schema::TREES };
    let (folder, store) = open();
    store.append(&parse("started 1\nended 1 ok"), 0).unwrap();
    drop(store);
    let known = schema::TREES.known();
    let migrated = |schema: &Schema| {
        let store = SqliteStore::open_by(folder.path(), true, schema).unwrap();
        assert_eq!(store.status().unwrap().processes.succeeded, 1);
        store.opened()
    };
    assert_eq!(migrated(&schema::TREES), Opened { schema: known, migrated_from: None });
    assert_eq!(migrated(&next), Opened { schema: known + 1, migrated_from: Some(known) });
    let copy = folder.path().join(format!("monitor.db.before-schema-{known}"));
    let version: u32 = Connection::open(&copy).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, known, "the version before can read it");
    assert_eq!(migrated(&next).migrated_from, None);
    assert!(copy.exists(), "it is kept for a week");
    let file = fs::OpenOptions::new().write(true).open(&copy).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap() - Duration::from_hours(8 * 24)).unwrap();
    migrated(&next);
    assert!(!copy.exists());
}

#[test]
fn a_file_that_is_not_a_database_is_reported_as_damaged() {
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
fn a_new_database_has_the_intended_page_size_and_journal_mode() {
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

#[test]
fn a_restore_that_was_killed_begins_no_empty_database_and_can_be_repeated() {
    let (folder, store) = open();
    store.append(&parse("started 1"), 0).unwrap();
    let database = folder.path().join("monitor.db");
    let copy = folder.path().join("copy.db");
    backup(folder.path(), &copy).unwrap();
    drop(store);
    // The state after the previous database was moved aside.
    monitor_salvage::move_aside(&database, "before", 1).unwrap().unwrap();
    let refused = SqliteStore::open(folder.path()).err().unwrap();
    assert!(matches!(refused, StoreError::Behind { found: 0, acknowledged: 1.., .. }), "{refused}");
    assert!(!database.exists());
    restore(&copy, folder.path()).unwrap();
    assert_eq!(page(&SqliteStore::open(folder.path()).unwrap()).processes.len(), 1);
}

#[test]
fn a_check_of_a_store_in_trouble_really_writes() {
    let (folder, store) = open();
    let written = || folder.path().join("monitor.db-wal").metadata().unwrap().len();
    for _ in 0..2 {
        let before = written();
        store.look(false).unwrap();
        assert!(written() > before);
    }
    let before = written();
    store.look(true).unwrap();
    assert_eq!(written(), before);
}
