//! The schema and its migrations.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// One step each from schema n to n + 1, the first from nothing to [`FIRST`]. A step that was released is never changed, only
/// followed.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// The oldest schema that is read: those before it were never released.
pub(super) const FIRST: u32 = 5;

/// Marks the file as this program's: `PMon`.
const APPLICATION_ID: i32 = 0x504d_6f6e;

/// Brings the database to the newest schema; an empty file gets all of it.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate_by(MIGRATIONS, connection, path)
}

fn migrate_by(steps: &[&str], connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::of_open(source, path);
    // Before the first table, or they have no effect.
    connection.execute_batch("PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;").map_err(failed)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let application: i32 = transaction.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let known = FIRST + steps.len() as u32 - 1;
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    if found > 0 && found < FIRST {
        return Err(StoreError::TooOld { path: path.to_owned(), found, oldest: FIRST });
    }
    let done = if found == 0 { 0 } else { found - FIRST + 1 };
    for step in &steps[done as usize..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &tempfile::TempDir) -> (Connection, std::path::PathBuf) {
        let path = folder.path().join("a.db");
        (Connection::open(&path).unwrap(), path)
    }

    #[test]
    fn an_older_database_is_migrated_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        let first = "CREATE TABLE a(x); INSERT INTO a VALUES(1)";
        migrate_by(&[first], &mut connection, &path).unwrap();
        migrate_by(&[first, "ALTER TABLE a ADD COLUMN y DEFAULT 2"], &mut connection, &path).unwrap();
        let row = connection.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, (1, 2));
    }

    #[test]
    fn a_step_that_fails_leaves_the_database_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        migrate_by(&["CREATE TABLE a(x)"], &mut connection, &path).unwrap();
        let error = migrate_by(&["", "CREATE TABLE b(x); nonsense"], &mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
        migrate_by(&["CREATE TABLE a(x)", "CREATE TABLE b(x)"], &mut connection, &path).unwrap();
    }

    #[test]
    fn a_newer_database_is_refused_with_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        migrate_by(&["CREATE TABLE a(x)", "CREATE TABLE b(x)"], &mut connection, &path).unwrap();
        let error = migrate_by(&["CREATE TABLE a(x)"], &mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::TooNew { found, known, .. } if (found, known) == (FIRST + 1, FIRST)), "{error:?}");
    }

    #[test]
    fn a_database_from_before_the_first_release_is_refused_with_words() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        migrate(&mut connection, &path).unwrap();
        connection.pragma_update(None, "user_version", FIRST - 1).unwrap();
        let error = migrate(&mut connection, &path).unwrap_err();
        let words = format!("schema {}, this build reads {FIRST} and later", FIRST - 1);
        assert!(error.to_string().contains(&words), "{error}");
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        connection.execute_batch("CREATE TABLE theirs(x)").unwrap();
        let error = migrate(&mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
}
