//! Schemas of databases, and the steps that bring an older database up to date.

use std::path::Path;

use monitor_store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::failed::failed_to_open;

/// The tables of a database as a list of steps. `user_version` in its file is the number of its schema.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Identifies the file as a database of this kind.
    pub application_id: i32,
    /// Number of the schema that the first step creates. Databases with a lower number are refused.
    pub first: u32,
    /// The first step creates the tables in an empty file. Each further step leads to the next schema. A step that was released is never
    /// changed; another step follows it.
    pub steps: &'static [&'static str],
}

/// The schema of the runs, in `monitor.db`.
pub const TREES: Schema = Schema {
    // `PMon`.
    application_id: 0x504d_6f6e,
    first: 26,
    steps: &[include_str!("schema.sql"), include_str!("queue/schema.sql")],
};

impl Schema {
    /// Number of the newest schema, which this build reads and writes.
    pub const fn known(&self) -> u32 {
        self.first + self.steps.len() as u32 - 1
    }

    /// Brings the database to the newest schema in one transaction; an empty file gets all steps.
    pub(super) fn migrate(&self, connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
        let failed = |source| failed_to_open(source, path);
        self.version(connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let found = self.version(&transaction, path)?;
        if found == self.known() {
            // The start of a server must succeed on a full disk, so it writes nothing that is there already.
            return Ok(());
        }
        let done = if found == 0 { 0 } else { found - self.first + 1 };
        for step in &self.steps[done as usize..] {
            transaction.execute_batch(step).map_err(failed)?;
        }
        transaction.pragma_update(None, "application_id", self.application_id).map_err(failed)?;
        transaction.pragma_update(None, "user_version", self.known()).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// Fails unless the database can be read, with or without further steps.
    pub(super) fn recognize(&self, connection: &Connection, path: &Path) -> Result<(), StoreError> {
        if self.version(connection, path)? == 0 { Err(StoreError::Foreign { path: path.to_owned() }) } else { Ok(()) }
    }

    /// Number of the schema of a database that needs further steps. `None` for a new database and for one that is up to date.
    pub(super) fn outdated(&self, connection: &Connection, path: &Path) -> Result<Option<u32>, StoreError> {
        Ok(Some(self.version(connection, path)?).filter(|found| (self.first..self.known()).contains(found)))
    }

    /// Number of the database's schema, 0 for an empty file.
    ///
    /// The connection of a database that is refused does not write its log into it when it is closed, so the files keep their contents.
    fn version(&self, connection: &Connection, path: &Path) -> Result<u32, StoreError> {
        let failed = |source| failed_to_open(source, path);
        let keep_log = |is_on| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_on).map_err(failed);
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
        keep_log(true)?;
        // The tables first: another process that creates them sets the numbers in the same transaction.
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
        let (application, found) = (pragma("application_id")?, pragma("user_version")? as u32);
        let (path, known) = (|| path.to_owned(), self.known());
        if tables > 0 && application != i64::from(self.application_id) {
            return Err(StoreError::Foreign { path: path() });
        }
        if found > known {
            return Err(StoreError::TooNew { path: path(), found, known });
        }
        if tables > 0 && found < self.first {
            return Err(StoreError::TooOld { path: path(), found, oldest: self.first });
        }
        keep_log(false)?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Schema = Schema { application_id: 7, first: 3, steps: &["CREATE TABLE a(x); INSERT INTO a VALUES(1)"] };
    const NEW: Schema = Schema { steps: &[OLD.steps[0], "ALTER TABLE a ADD COLUMN y DEFAULT 2"], ..OLD };
    const BROKEN: Schema = Schema { steps: &[OLD.steps[0], "CREATE TABLE b(x); nonsense"], ..OLD };

    #[test]
    fn an_older_database_is_migrated_as_a_whole_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut connection = Connection::open(&path).unwrap();
        OLD.migrate(&mut connection, &path).unwrap();
        assert_eq!(NEW.outdated(&connection, &path).unwrap(), Some(3));
        let error = BROKEN.migrate(&mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
        for _ in 0..2 {
            NEW.migrate(&mut connection, &path).unwrap();
            let row = connection.query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!((row, NEW.outdated(&connection, &path).unwrap()), ((1, 2), None));
        }
        let error = OLD.migrate(&mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::TooNew { found: 4, known: 3, .. }), "{error:?}");
        let error = Schema { first: 5, ..OLD }.migrate(&mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::TooOld { found: 4, oldest: 5, .. }), "{error:?}");
        let error = Schema { application_id: 8, ..NEW }.migrate(&mut connection, &path).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    }
}
