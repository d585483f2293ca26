//! Copies a database while it is in use, restores a copy, and checks a database.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) use monitor_salvage::beside as with;
use monitor_salvage::move_aside;
use monitor_store::{Backup, StoreError};
use rusqlite::{Connection, OpenFlags};

use super::failed::{failed, failed_to_open};
use super::schema::{self, Schema};
use super::{folder, invariants, mark, retention};
use crate::space::{Room, Space};

/// Suffix of a copy that is made before a migration. The number of the old schema follows.
const BEFORE: &str = "before-schema-";
/// Start and end of the file name of a copy that is made to be sent. The time is in between, so that the name differs from files made by
/// hand.
const SENDING: (&str, &str) = (".sending-", ".db");
/// Minimum age at which a copy made before a migration is removed.
const KEPT_BEFORE: Duration = Duration::from_secs(7 * 86_400);

/// Result of [`check`].
#[derive(Debug)]
pub struct Checked {
    /// All problems; empty if the database is intact.
    pub problems: Vec<String>,
    /// Number of trees.
    pub roots: u64,
    /// Number of processes.
    pub processes: u64,
}

/// Result of [`restore`].
#[derive(Debug)]
pub struct Restored {
    /// Path of the database.
    pub database: PathBuf,
    /// Path of the previous database, if there was one.
    pub aside: Option<PathBuf>,
}

/// Copies the database of a data folder in one snapshot, also while a server uses it. Returns the size of the copy in bytes.
///
/// # Errors
/// Returns an error if there is no database, the file already exists, or the disk fails.
pub fn backup(folder: &Path, file: &Path) -> Result<u64, StoreError> {
    let database = folder::existing(folder)?;
    schema::TREES.recognize(&open(&database)?, &database)?;
    copy(&database, file)
}

/// Returns the wall-clock time in Unix microseconds. It is used only for the names and the age of files.
fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Copies the database to a new file in the data folder, which is deleted when the returned backup is dropped. Fails if the copy would
/// leave less free space than required.
pub(super) fn copy_to_send(database: &Path, space: &Space) -> Result<Backup, StoreError> {
    let name = format!("{}{}{}", SENDING.0, wall_us(), SENDING.1);
    let mut sent = Sent { path: database.with_file_name(name), file: None };
    let bytes = copy_beside(database, &sent.path, space)?;
    sent.file = Some(File::open(&sent.path).map_err(disk("read", &sent.path))?);
    Ok(Backup { bytes, media_type: "application/vnd.sqlite3", read: Box::new(sent) })
}

/// A copy in the data folder, deleted when dropped.
struct Sent {
    path: PathBuf,
    file: Option<File>,
}

impl Read for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.read(buffer))
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn copy_beside(database: &Path, file: &Path, space: &Space) -> Result<u64, StoreError> {
    let needed = size(&open(database)?).map_err(|source| failed("tell its size", source))?;
    if let Some(Room { free, least }) = space.room()
        && free < needed.saturating_add(least)
    {
        return Err(StoreError::NoRoomForBackup { path: file.to_owned(), needed, free, least });
    }
    copy(database, file)
}

/// Returns the size of a copy of the database in bytes.
fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let (page, pages, free_pages) = retention::pages(connection)?;
    Ok(((pages - free_pages) * page) as u64)
}

/// Copies a database to a new file that only its owner can read. Returns its size in bytes.
pub(super) fn copy(database: &Path, file: &Path) -> Result<u64, StoreError> {
    if file.exists() {
        return Err(StoreError::Exists { path: file.to_owned() });
    }
    // The file gets its final name only when it is complete.
    let part = beside(file, "part");
    let _ = fs::remove_file(&part);
    let _remove = Remove(&part);
    folder::open_private(&part).map_err(disk("create", &part))?;
    let connection = open(database)?;
    let name = part.to_str().ok_or_else(|| disk("name", &part)(io::Error::other("its name is no text")))?;
    let copied = connection.execute("VACUUM INTO ?1", [name]);
    copied.map_err(|source| failed("copy itself", source))?;
    let bytes = File::open(&part).and_then(|part| part.sync_all().and_then(|()| part.metadata())).map_err(disk("write", &part))?.len();
    fs::rename(&part, file).map_err(disk("create", file))?;
    sync_folder(file).map_err(disk("write the folder of", file))?;
    Ok(bytes)
}

/// Copies a database before a migration to a file next to it, so that it can be restored for the previous version. The file name has the
/// number of the old schema. An existing copy is not replaced.
pub(super) fn keep_before_migration(connection: &Connection, database: &Path, found: u32) -> Result<(), StoreError> {
    let path = beside(database, &format!("{BEFORE}{found}"));
    if path.exists() {
        return Ok(());
    }
    let needed = size(connection).map_err(|source| failed_to_open(source, database))?;
    let room = database.parent().and_then(|folder| Space::new(folder).room());
    // The migration itself needs free space, too.
    if let Some(Room { free, least }) = room
        && free < needed.saturating_add(least)
    {
        return Err(StoreError::NoRoomToCopy { path, found, needed: needed.saturating_add(least), free });
    }
    let bytes = copy(database, &path)?;
    tracing::info!(schema = found, bytes, path = %path.display(), "kept a copy of the database as it was before it is brought up to date");
    Ok(())
}

/// Removes copies that were made before a migration and are at least a week old.
pub(super) fn remove_old(database: &Path, schema: &Schema) {
    for found in schema.first..schema.known() {
        let path = beside(database, &format!("{BEFORE}{found}"));
        let made = path.metadata().and_then(|file| file.modified());
        if made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age >= KEPT_BEFORE)) {
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "removed the copy of the database as it was before it was brought up to date");
                }
                Err(error) => tracing::warn!(%error, path = %path.display(), "could not remove an old copy of the database"),
            }
        }
    }
}

/// Replaces the database of a data folder with a copy. The previous database is moved aside.
///
/// # Errors
/// Returns an error if a server uses the folder, the copy is damaged or of another version, or the disk fails. The previous database is
/// still in its place then, unless the disk failed while it was moved aside or later.
pub fn restore(file: &Path, data: &Path) -> Result<Restored, StoreError> {
    if !file.is_file() {
        return Err(StoreError::Missing { path: file.to_owned() });
    }
    let _lock = folder::lock(data)?;
    let database = folder::path(data);
    remove_leftovers(&database);
    let new = beside(&database, "new");
    let _remove = Remove(&new);
    // The log is copied as well: a database that was moved aside, or whose server was killed, has its newest transactions there. `check`
    // opens the copy and writes them into it.
    let (log, new_log) = (with(file, "-wal"), with(&new, "-wal"));
    for (from, to) in [(file, &new), (&log, &new_log)] {
        if from.exists() {
            drop(folder::open_private(to).map_err(disk("create", to))?);
            fs::copy(from, to).map_err(disk("copy", from))?;
            folder::make_private(to).map_err(disk("write", to))?;
        }
    }
    if let Some(problem) = check(&new).map_err(|error| of_file(error, file))?.problems.into_iter().next() {
        return Err(StoreError::Unsound { path: file.to_owned(), problem });
    }
    if new_log.exists() {
        let problem = "its log could not be written into it".to_owned();
        return Err(StoreError::Unsound { path: file.to_owned(), problem });
    }
    File::open(&new).and_then(|new| new.sync_all()).map_err(disk("write", &new))?;
    let seconds = wall_us() / 1_000_000;
    let moved = if database.exists() { move_aside(&database, "before", seconds) } else { Ok(None) };
    let aside = moved.map_err(|(path, source)| StoreError::Disk { action: "move aside", path, source })?;
    fs::rename(&new, &database).map_err(disk("create", &database))?;
    sync_folder(&database).map_err(disk("write the folder of", &database))?;
    // The mark belongs to the previous database. It is removed last: if the restore is killed before, a start finds the mark, and refuses the
    // folder instead of beginning an empty database.
    let _ = fs::remove_file(mark::path_of(&database));
    sync_folder(&database).map_err(disk("write the folder of", &database))?;
    Ok(Restored { database, aside })
}

/// Removes unchecked copies of a `restore` that was killed, and copies of a server that died while it made or sent them. The caller must
/// hold the lock of the data folder.
pub(super) fn remove_leftovers(database: &Path) {
    for entry in database.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_sent) {
            continue;
        }
        let path = entry.path();
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed a copy that was not sent to its end"),
            Err(error) => tracing::warn!(%error, path = %path.display(), "could not remove a copy that was not sent to its end"),
        }
    }
    let new = beside(database, "new");
    if new.exists() {
        drop(Remove(&new));
        tracing::info!(path = %new.display(), "removed a copy that was not put in the database's place to its end");
    }
}

/// Checks whether a database is intact, also while a server uses it. `path` is the database or its data folder.
///
/// # Errors
/// Returns an error if there is no database, it is of another version, or it can't be read at all.
pub fn check(path: &Path) -> Result<Checked, StoreError> {
    let database = if path.is_dir() { folder::existing(path)? } else { path.to_owned() };
    if !database.is_file() {
        return Err(StoreError::Missing { path: database });
    }
    let connection = open(&database)?;
    schema::TREES.recognize(&connection, &database)?;
    let failed = |source| failed_to_open(source, &database);
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let problems = invariants::problems(&transaction).map_err(failed)?;
    let count = |table: &str| transaction.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
    let (roots, processes) = (count("root").map_err(failed)? as u64, count("process").map_err(failed)? as u64);
    Ok(Checked { problems, roots, processes })
}

/// Replaces the path in an error about a copy with the path of the original file.
fn of_file(mut error: StoreError, file: &Path) -> StoreError {
    use StoreError::{Damaged, Foreign, TooNew, TooOld};
    if let Damaged { path, .. } | Foreign { path } | TooNew { path, .. } | TooOld { path, .. } = &mut error {
        file.clone_into(path);
    }
    error
}

/// Opens a database for reading, with its log, also while a server uses it.
fn open(database: &Path) -> Result<Connection, StoreError> {
    let failed = |source| failed_to_open(source, database);
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.execute_batch("PRAGMA cache_size=-32768; PRAGMA temp_store=FILE;").map_err(failed)?;
    Ok(connection)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    with(path, &format!(".{suffix}"))
}

fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Disk { action, path, source }
}

/// Syncs the folder of a file, which makes the file's name durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Deletes a file and the files that `SQLite` creates next to it when dropped, if the file was not renamed before.
struct Remove<'a>(&'a Path);

impl Drop for Remove<'_> {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(with(self.0, suffix));
        }
    }
}

/// Returns true for the name of a copy that is made to be sent, and for names of files that `SQLite` creates next to one.
fn is_sent(name: &str) -> bool {
    let digits = |name: &str| {
        let (digits, beside) = name.strip_prefix(SENDING.0)?.split_once(SENDING.1)?;
        let beside = beside.strip_prefix(".part").unwrap_or(beside);
        Some(matches!(beside, "" | "-journal" | "-wal" | "-shm") && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    digits(name).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_left_by_a_server_count_as_its_own() {
        for (name, expected) in [
            (".sending-1763600000123456.db", true),
            (".sending-1763600000123456.db.part", true),
            (".sending-1763600000123456.db.part-journal", true),
            (".sending-1763600000123456.db-wal", true),
            ("backup-2026-11-20.db", false),
            (".sending-.db", false),
            (".sending-2026-11-20.db", false),
            (".sending-1.db.old", false),
            ("sending-1.db", false),
            ("monitor.db", false),
        ] {
            assert_eq!(is_sent(name), expected, "{name}");
        }
    }
}
