//! A separate database for one subject, in a file next to that of the trees. The folder of the subject's code has the file name, the
//! subject's [`Schema`], its queries, and the trait that they implement.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use monitor_store::StoreError;
use rusqlite::{Connection, TransactionBehavior};

use super::failed::{failed, may_be_full};
use super::retention::cut_log;
use super::schema::Schema;
use crate::space::{Reserve, with_reserve};
use crate::{create_private, open_private};

/// Number of pages at which the log is written back. The log stays short, because deletions of trees on a full disk write to it, too.
const LOG_PAGES: i64 = 64;

/// Failure that a transaction survives once the write has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine: the transaction is synced to the disk.
    Machine,
    /// A kill of the server, but not a crash of the machine.
    Kill,
}

/// The open database of a subject. Other programs may have it open as well.
pub struct SubjectFile {
    folder: PathBuf,
    /// A separate connection, so that queries don't wait for writes.
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
}

impl SubjectFile {
    /// Opens the file in a data folder. Creates both if they don't exist, readable only by their owner, and migrates older tables.
    ///
    /// # Errors
    /// Returns an error if the file can't be opened, is damaged, or has a schema that is newer or unknown.
    pub fn open(folder: &Path, name: &str, schema: &Schema) -> Result<Self, StoreError> {
        let path = folder.join(name);
        let disk = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Disk { action, path, source }
        };
        create_private(folder).map_err(disk("create the data folder", folder))?;
        open_private(&path).map_err(disk("open", &path))?;
        let broken = |source| failed("open", source);
        let open = || {
            let mut writer = connect(&path).map_err(broken)?;
            schema.migrate(&mut writer, &path)?;
            let reader = connect(&path).map_err(broken)?;
            reader.pragma_update(None, "query_only", true).map_err(broken)?;
            Ok(Self { folder: folder.to_owned(), reader: Mutex::new(reader), writer: Mutex::new(writer) })
        };
        with_reserve(folder, Reserve::Small, open, StoreError::may_be_full)
    }

    /// Runs a query.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|source| failed("read", source))
    }

    /// Runs `write` in one transaction, which is synced to the disk before this returns. On a full disk, frees space in the log and then
    /// parts of the reserve, and calls `write` again.
    ///
    /// # Errors
    /// Returns an error if the database fails, or the disk is full.
    pub fn write<T>(&self, write: impl FnMut(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.write_by(Durability::Machine, write)
    }

    /// Runs `write` in one transaction. On a full disk, frees space in the log and then parts of the reserve, and calls `write` again.
    ///
    /// # Errors
    /// Returns an error if the database fails, or the disk is full.
    pub fn write_by<T>(&self, durability: Durability, mut write: impl FnMut(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let synchronous = match durability {
            Durability::Machine => "FULL",
            Durability::Kill => "NORMAL",
        };
        let mut transact = || {
            writer.pragma_update(None, "synchronous", synchronous)?;
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let written = write(&transaction)?;
            transaction.commit()?;
            Ok(written)
        };
        let written = || {
            let written = transact();
            if !written.as_ref().is_err_and(may_be_full) {
                return written;
            }
            // The space of the log is used before the reserve.
            if let Err(error) = cut_log(&self.reader.lock().unwrap_or_else(PoisonError::into_inner)) {
                tracing::debug!(%error, "the log of a subject's database could not be cut now");
            }
            transact()
        };
        let written = with_reserve(&self.folder, Reserve::Small, written, may_be_full);
        written.map_err(|source| failed("write", source))
    }

    /// Returns a number that changes whenever this or another program has written to the database.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn version(&self) -> Result<u64, StoreError> {
        // `data_version` of the reader changes when another connection commits, such as the writer.
        let version: i64 = self.read(|reader| reader.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0)))?;
        Ok(version as u64)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema { application_id: 7, first: 1, steps: &["CREATE TABLE a(x)"] };

    #[test]
    fn a_failed_write_leaves_nothing_and_a_write_changes_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let open = || SubjectFile::open(folder.path(), "a.db", &SCHEMA);
        let (one, other) = (open().unwrap(), open().unwrap());
        let count = || one.read(|from| from.query_row("SELECT count(*) FROM a", [], |row| row.get::<_, i64>(0))).unwrap();
        let before = one.version().unwrap();
        let failed = one.write(|to| {
            to.execute("INSERT INTO a VALUES(1)", [])?;
            to.execute("INSERT INTO b VALUES(1)", [])
        });
        assert!(matches!(failed, Err(StoreError::Database { action: "write", .. })), "{failed:?}");
        assert_eq!((count(), one.version().unwrap()), (0, before));
        other.write(|to| to.execute("INSERT INTO a VALUES(1)", [])).unwrap();
        assert_ne!(one.version().unwrap(), before);
        let before = one.version().unwrap();
        one.write(|to| to.execute("INSERT INTO a VALUES(1)", [])).unwrap();
        assert_ne!(one.version().unwrap(), before, "what is written here counts as well");
        assert_eq!(count(), 2);
    }
}
