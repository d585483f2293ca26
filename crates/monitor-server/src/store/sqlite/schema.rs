//! The schema and its migrations.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::failed::failed_to_open;
use super::queue::ids as queue_ids;
use super::{lines, links, native};
use crate::store::StoreError;

/// Called with the schema that a database had, when its steps are done.
type Fill = fn(&Connection, u32) -> rusqlite::Result<()>;

/// One step each from schema n to n + 1, the first from nothing to [`FIRST`]. A step that was released is never changed, only
/// followed.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
    include_str!("schema_11.sql"),
    include_str!("schema_12.sql"),
    include_str!("schema_13.sql"),
    include_str!("schema_14.sql"),
    include_str!("schema_15.sql"),
    include_str!("schema_16.sql"),
    include_str!("schema_17.sql"),
    include_str!("schema_18.sql"),
    include_str!("schema_19.sql"),
    include_str!("schema_20.sql"),
    include_str!("schema_21.sql"),
    include_str!("schema_22.sql"),
    include_str!("schema_23.sql"),
    include_str!("schema_24.sql"),
    include_str!("schema_25.sql"),
];

/// The oldest schema that is read: those before it were never released.
pub(super) const FIRST: u32 = 6;

/// The newest schema, which this build reads and writes.
pub(super) const KNOWN: u32 = FIRST + MIGRATIONS.len() as u32 - 1;

/// Marks the file as this program's: `PMon`.
const APPLICATION_ID: i32 = 0x504d_6f6e;

/// Brings the database to the newest schema; an empty file gets all of it.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate_by(MIGRATIONS, fill, connection, path)
}

/// Fills in what a step can't say in SQL, given the schema that the database had.
fn fill(connection: &Connection, found: u32) -> rusqlite::Result<()> {
    if (FIRST..11).contains(&found) {
        lines::fill(connection)?;
    }
    if (FIRST..13).contains(&found) {
        native::fill(connection)?;
    }
    if (FIRST..19).contains(&found) {
        links::fill(connection)?;
    }
    if (FIRST..25).contains(&found) { queue_ids::fill(connection) } else { Ok(()) }
}

/// Fails unless this is a database that this build reads as it is.
pub(super) fn recognize(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version(connection, KNOWN, path)?;
    if found == 0 { Err(StoreError::Foreign { path: path.to_owned() }) } else { Ok(()) }
}

/// The schema of a database that is to be brought up to date; none of a new one.
pub(super) fn outdated(connection: &Connection, path: &Path) -> Result<Option<u32>, StoreError> {
    Ok(Some(version(connection, KNOWN, path)?).filter(|found| (FIRST..KNOWN).contains(found)))
}

/// The schema's number, 0 for an empty file; fails for what is not read.
fn version(connection: &Connection, known: u32, path: &Path) -> Result<u32, StoreError> {
    let failed = |source| failed_to_open(source, path);
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(failed)?;
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    if found > 0 && found < FIRST {
        return Err(StoreError::TooOld { path: path.to_owned(), found, oldest: FIRST });
    }
    Ok(found)
}

fn migrate_by(steps: &[&str], fill: Fill, connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| failed_to_open(source, path);
    // Before the first table, or they have no effect.
    connection.execute_batch("PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;").map_err(failed)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let known = FIRST + steps.len() as u32 - 1;
    let found = version(&transaction, known, path)?;
    if found == known {
        // A start writes nothing that needn't be: the disk may be full.
        return Ok(());
    }
    let done = if found == 0 { 0 } else { found - FIRST + 1 };
    for step in &steps[done as usize..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    fill(&transaction, found).map_err(failed)?;
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
        migrate_by(&[first], |_, _| Ok(()), &mut connection, &path).unwrap();
        migrate_by(&[first, "ALTER TABLE a ADD COLUMN y DEFAULT 2"], |_, _| Ok(()), &mut connection, &path).unwrap();
        let row = connection.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, (1, 2));
    }

    #[test]
    fn a_database_of_the_oldest_schema_knows_afterwards_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        migrate_by(&MIGRATIONS[..1], |_, _| Ok(()), &mut connection, &path).unwrap();
        let rows = "INSERT INTO root(number, id, base, last, own, at, name, state, ended, pending, running, succeeded, failed, cancelled, \
                    lost, other, pinned) VALUES (1, x'01', 7, 5000000, 1, 0, 1, 0, 9000000, 0, 0, 1, 0, 0, 0, 0, 0), \
                    (2, x'02', 7, 9000000000000, 1, 0, 1, 0, NULL, 0, 0, 1, 0, 0, 0, 0, 0); \
                    INSERT INTO worker(id, state, last_seen, open, applied, facts) VALUES(x'01', 0, 5, 0, x'', CAST('{}' AS BLOB)), \
                    (x'02', 0, 5, 1, x'', CAST('{}' AS BLOB)), (x'03', 0, 5, 0, x'', CAST('{\"online\":[1,{}]}' AS BLOB)), \
                    (x'04', 1, 5, 0, x'', CAST('{}' AS BLOB)); \
                    UPDATE counter SET longest = 9000000000000, earliest = 3; \
                    INSERT INTO dropped VALUES(1, 'a', 'b', x'', 9223372036854775807), (2, 'a', 'b', x'', 9223372036854775807), (2, 'c', 'b', x'', 4)";
        connection.execute_batch(rows).unwrap();
        migrate(&mut connection, &path).unwrap();
        let all = |sql: &str| -> Vec<(i64, i64)> {
            let mut statement = connection.prepare(sql).unwrap();
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(all("SELECT number, heard FROM root"), [(1, 9), (2, 9_000_000)]);
        assert_eq!(all("SELECT root, 0 FROM wide"), [(2, 0)]);
        assert_eq!(all("SELECT key, due FROM worker WHERE due IS NOT NULL"), [(1, 900_000_005)]);
        assert_eq!(all("SELECT longest, earliest FROM counter"), [(32 * 86_400_000_000, 3)]);
        assert_eq!(all("SELECT count, type = 'a' FROM dropped_sum ORDER BY type"), [(9_200_000_000_000_000_000, 1), (4, 0)]);
    }

    #[test]
    fn a_step_that_fails_leaves_the_database_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        migrate_by(&["CREATE TABLE a(x)"], |_, _| Ok(()), &mut connection, &path).unwrap();
        let error = migrate_by(&["", "CREATE TABLE b(x); nonsense"], |_, _| Ok(()), &mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
        migrate_by(&["CREATE TABLE a(x)", "CREATE TABLE b(x)"], |_, _| Ok(()), &mut connection, &path).unwrap();
    }

    #[test]
    fn a_newer_database_is_refused_with_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let (mut connection, path) = open(&folder);
        migrate_by(&["CREATE TABLE a(x)", "CREATE TABLE b(x)"], |_, _| Ok(()), &mut connection, &path).unwrap();
        let error = migrate_by(&["CREATE TABLE a(x)"], |_, _| Ok(()), &mut connection, &path).unwrap_err();
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
