//! Notices when the database is not the one that batches were acknowledged for: deleted, emptied, without its log, or an older one.
//!
//! A small file beside the database, the mark, has the number of the newest change: it is written after each transaction, before anything
//! of that is acknowledged. It is not synced: after a power cut it may be older than the database, never newer. A start compares both before anything is written,
//! for `SQLite` itself begins anew without a word where a log can't be read. While a server runs it looks whether the files that it has
//! open are still those of these names.

use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};

use monitor_store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::copies::with;
use super::folder;

/// The mark of a database that is open.
pub(super) struct Mark {
    file: Option<File>,
    written: u64,
}

/// Where the mark of a database is.
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

    /// Writes the number of the newest change, if there is a newer one.
    pub(super) fn write(&mut self, seq: u64) {
        use std::io::{Seek as _, Write as _};
        if let Some(file) = &mut self.file
            && seq != self.written
            // One write of the same length, so that it is never half there.
            && file.rewind().and_then(|()| file.write_all(format!("{seq:020}\n").as_bytes())).is_ok()
        {
            self.written = seq;
        }
    }
}

/// Fails if the database lacks changes that were acknowledged. Nothing is written.
pub(super) fn check(database: &Path) -> Result<(), StoreError> {
    let mark = path_of(database);
    let acknowledged = fs::read_to_string(&mark).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    let length = |path: &Path| path.metadata().map_or(0, |file| file.len());
    let behind = |found| StoreError::Behind { path: database.to_owned(), found, acknowledged, mark: mark.clone() };
    if length(database) == 0 {
        // Without a database SQLite would delete its log.
        return if acknowledged > 0 || length(&with(database, "-wal")) > 0 { Err(behind(0)) } else { Ok(()) };
    }
    if acknowledged == 0 {
        return Ok(());
    }
    let had_log = with(database, "-wal").exists();
    let newest = newest(database);
    if !had_log {
        // Looking made an empty one.
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(with(database, suffix));
        }
    }
    match newest {
        Ok(found) if found < acknowledged => Err(behind(found)),
        // Without its log it may not even have its tables yet.
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(behind(0)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => Err(behind(0)),
        // Whoever opens it next says what is wrong with it.
        _ => Ok(()),
    }
}

/// The number of the newest change; the log is read with it, and stays as it is.
fn newest(database: &Path) -> rusqlite::Result<u64> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row("SELECT seq FROM counter", [], |row| row.get::<_, i64>(0)).map(|seq| seq.max(0) as u64)
}

/// The files that a server has open, by what tells them from others of their names.
pub(super) struct Files(Vec<(PathBuf, Option<(u64, u64)>)>);

impl Files {
    /// Those of a database that was written to since it was opened.
    pub(super) fn of(database: &Path) -> Self {
        let files = ["", "-wal", "-shm"].map(|suffix| with(database, suffix));
        Self(files.into_iter().map(|path| (path.clone(), path.metadata().ok().map(|file| identity(&file)))).collect())
    }

    /// Fails if one of them was deleted, moved away, or replaced.
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

/// An open file can't be removed.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
