//! Detects a database that lacks acknowledged changes, because it was deleted, emptied, separated from its log, or replaced with an older
//! copy.
//!
//! A small file next to the database, the mark, contains the number of the newest change. It is written after each transaction, before the
//! transaction is acknowledged. It is not synced: after a power failure it may be older than the database, but never newer. A start
//! compares both before it writes anything, because `SQLite` silently begins a new log if it can't read the old one. A running server
//! checks that the paths still belong to the files that it has open.

use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};

use monitor_store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::copies::with;
use super::folder;

/// The mark of an open database.
pub(super) struct Mark {
    file: Option<File>,
    written: u64,
}

/// Returns the path of a database's mark.
pub(super) fn path_of(database: &Path) -> PathBuf {
    with(database, ".mark")
}

impl Mark {
    pub(super) fn open(database: &Path) -> Self {
        let path = path_of(database);
        let file = folder::open_private(&path);
        if let Err(error) = &file {
            tracing::debug!(%error, path = %path.display(), "could not open the mark");
        }
        Self { file: file.ok(), written: 0 }
    }

    /// Writes the number of the newest change, if it differs from the one written before.
    pub(super) fn write(&mut self, seq: u64) {
        use std::io::{Seek as _, Write as _};
        if let Some(file) = &mut self.file
            && seq != self.written
            // A single write of fixed length, so that the mark is never incomplete.
            && file.rewind().and_then(|()| file.write_all(format!("{seq:020}\n").as_bytes())).is_ok()
        {
            self.written = seq;
        }
    }
}

/// Fails if the database lacks acknowledged changes. Does not change the database.
pub(super) fn check(database: &Path) -> Result<(), StoreError> {
    let mark = path_of(database);
    let acknowledged = fs::read_to_string(&mark).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    let length = |path: &Path| path.metadata().map_or(0, |file| file.len());
    let behind = |found| StoreError::Behind { path: database.to_owned(), found, acknowledged, mark: mark.clone() };
    if length(database) == 0 {
        // SQLite would delete the log of an empty database.
        return if acknowledged > 0 || length(&with(database, "-wal")) > 0 { Err(behind(0)) } else { Ok(()) };
    }
    if acknowledged == 0 {
        return Ok(());
    }
    let had_log = with(database, "-wal").exists();
    let newest = newest(database);
    if !had_log {
        // Opening the database has created an empty log.
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(with(database, suffix));
        }
    }
    match newest {
        Ok(found) if found < acknowledged => Err(behind(found)),
        // Without its log the database may not even have its tables.
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(behind(0)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => Err(behind(0)),
        // Other errors are reported when the store opens the database.
        _ => Ok(()),
    }
}

/// Returns the number of the newest change. The log is read, but not written back.
fn newest(database: &Path) -> rusqlite::Result<u64> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row("SELECT seq FROM counter", [], |row| row.get::<_, i64>(0)).map(|seq| seq.max(0) as u64)
}

/// Paths of the open database files, each with the device and inode of its file.
pub(super) struct Files(Vec<(PathBuf, Option<(u64, u64)>)>);

impl Files {
    /// Records the files of an open database. All of them exist after its first transaction.
    pub(super) fn of(database: &Path) -> Self {
        let files = ["", "-wal", "-shm"].map(|suffix| with(database, suffix));
        Self(files.into_iter().map(|path| (path.clone(), path.metadata().ok().map(|file| identity(&file)))).collect())
    }

    /// Fails if one of the files was deleted, moved away, or replaced.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, opened) in &self.0 {
            if path.metadata().ok().map(|file| identity(&file)) != *opened {
                return Err(StoreError::Removed { path: path.clone() });
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn identity(file: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// Open files can't be removed on these systems.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
