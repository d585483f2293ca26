//! The store in an `SQLite` database, with one connection for writing and a few for reading.

mod alerts;
mod batch;
mod columns;
mod copies;
mod dictionary;
mod event_log;
mod expected;
mod export;
mod failed;
mod folder;
mod heartbeat;
mod house;
mod ids;
mod invariants;
mod jobs;
mod lines;
mod links;
mod logs;
mod mark;
mod metrics;
mod more;
mod names;
mod native;
mod pool;
mod processes;
mod queue;
mod retention;
mod roots;
mod row;
mod salvage;
mod schema;
pub mod space;
mod stats;
mod status;
mod subject;
mod tree;
mod unused;
mod workers;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use foldhash::HashSet;
use monitor_store::packed::Packed;
use monitor_store::{
    AlertsChange, CausesQuery, Changes, Cursor, ErrorsQuery, HeartbeatEdit, Intake, KeepEvents, Logged, LogsQuery, MissedPing, Models,
    NameTotals, Outline, ProcessesQuery, Queries, ReadTree, RootKey, RootsQuery, SeriesQuery, StatsQuery, StoreError, Subject, TaskChange,
    TasksChanged, TreeColumns, Watched,
};
use monitor_wire::{
    CausesPage, ErrorsPage, LinkedFrom, LogsPage, Process, ProcessId, ProcessesPage, Root, RootId, RootNamesPage, RootsPage, StatsPage,
    StatsSeries, Status, Worker, WorkerId, WorkersPage,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

pub use self::copies::{Checked, Restored, backup, check, restore};
use self::failed::{failed, failed_to_open, is_damage};
pub use self::folder::{create_private, open_private, serve_at, served_at, write_private};
use self::house::{DropTrees, House};
pub use self::jobs::{SCHEMA as JOBS, SqliteJobs};
use self::mark::{Files, Mark};
pub use self::pool::MAX_READERS;
use self::pool::{Pool, Snapshot};
pub use self::salvage::{Salvaged, salvage};
pub use self::schema::{Schema, TREES};
pub use self::subject::{Durability, SubjectFile};
use self::write::Writer;
use crate::space::{Outlook, Reserve, Space, with_reserve};

/// A store that keeps all data in one file, `monitor.db`, in the data folder.
pub struct SqliteStore {
    /// Declared before `writer`, so that it is dropped first: the writer's connection writes the log back if it is the last one to close.
    pool: Pool,
    writer: Mutex<Writer>,
    mark: Mutex<Mark>,
    files: Files,
    /// SQLite's message about the first write that found the database damaged.
    damage: OnceLock<String>,
    opened: Opened,
    house: House,
    /// Keys of the names that [`Queries::name_totals`] has listed.
    charted: Mutex<HashSet<i64>>,
    /// Maximum depth at which a process is shown in its tree.
    most_depth: u32,
    space: Space,
    /// Number of the newest sign, an event that may matter to an alert rule.
    last_sign: AtomicU64,
    /// True while the disk has little free space. Freed pages are then returned to the file system at once, and the log is kept short.
    is_sparing: AtomicBool,
    _lock: folder::Lock,
}

/// Schema numbers found when a store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Number of the database's schema, after a migration if there was one.
    pub schema: u32,
    /// Number of the schema before the migration. `None` if the database was up to date.
    pub migrated_from: Option<u32>,
}

impl SqliteStore {
    /// Opens the store in `folder`. Creates both if they don't exist. Migrates an older database and keeps a copy of it.
    ///
    /// # Errors
    /// Returns an error if another server uses the folder, or if the database is newer, damaged, of another program, or lacks acknowledged
    /// changes.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, true)
    }

    /// Like [`SqliteStore::open`]. `keeps_copy` is true if an older database must be copied before it is migrated.
    ///
    /// # Errors
    /// Returns the errors of [`SqliteStore::open`], and an error if there is no room for the copy.
    pub fn open_with(folder: &Path, keeps_copy: bool) -> Result<Self, StoreError> {
        Self::open_by(folder, keeps_copy, &TREES)
    }

    fn open_by(folder: &Path, keeps_copy: bool, schema: &Schema) -> Result<Self, StoreError> {
        let lock = folder::lock(folder)?;
        mark::check(&folder::path(folder))?;
        let path = folder::database(folder)?;
        let failed = |source| failed_to_open(source, &path);
        let mut connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        let migrated_from = schema.outdated(&connection, &path)?;
        copies::remove_leftovers(&path);
        match migrated_from {
            Some(found) if keeps_copy => copies::keep_before_migration(&connection, &path, found)?,
            _ => copies::remove_old(&path, schema),
        }
        // These pragmas have an effect only before the first table is created.
        connection.execute_batch("PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL;").map_err(failed)?;
        schema.migrate(&mut connection, &path)?;
        let pragmas = "PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY;";
        connection.execute_batch(pragmas).map_err(failed)?;
        plan_once(&connection).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        let space = Space::new(folder);
        let writer = Writer::new(connection, space.log_bytes()).map_err(failed)?;
        let last_sign = AtomicU64::new(writer.last_sign());
        Ok(Self {
            mark: Mutex::new(Mark::open(&path)),
            files: Files::of(&path),
            damage: OnceLock::new(),
            opened: Opened { schema: schema.known(), migrated_from },
            house: House::default(),
            writer: Mutex::new(writer),
            pool: Pool::new(path),
            charted: Mutex::default(),
            most_depth: u32::MAX,
            space,
            last_sign,
            is_sparing: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Sets the number of bytes that must stay free on the disk; 0 for none. Below it [`Intake::append`] refuses batches and
    /// [`Intake::look`] returns an error. Default: 256 MiB, or a tenth of a small disk.
    #[must_use]
    pub fn keep_free(mut self, least: Option<u64>) -> Self {
        self.space.keep(least);
        self
    }

    /// Returns the schema numbers found when the store was opened.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// Sets the number of log lines to keep from each end of a process's log, at least 1.
    #[must_use]
    pub fn keep_logs(self, lines: usize) -> Self {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).keep_logs(lines);
        self
    }

    /// Sets the limits of the event log.
    #[must_use]
    pub fn keep_events(self, keep: KeepEvents) -> Self {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).keep_events(keep);
        self
    }

    /// Sets the maximum number of processes to keep of each root, at least 1. Events of further processes are counted as dropped.
    #[must_use]
    pub fn keep_processes(self, most: u64) -> Self {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).keep_processes(most);
        self
    }

    /// Sets the maximum depth of processes in their tree, at least 1. A deeper process is shown below the root's own process instead, and
    /// is counted.
    #[must_use]
    pub fn keep_depth(mut self, most: u32) -> Self {
        self.most_depth = most.max(1);
        self
    }

    fn write<T>(&self, action: &'static str, write: impl FnOnce(&mut Writer) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // A panic in a transaction rolls it back, and the writer then discards its caches, so a poisoned lock can still be used.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = write(&mut writer).map_err(|source| self.failed(action, source))?;
        // A commit to a file that was deleted or replaced must not be acknowledged.
        self.files.check()?;
        self.mark.lock().unwrap_or_else(PoisonError::into_inner).write(writer.seq());
        self.last_sign.store(writer.last_sign(), Ordering::Release);
        Ok(written)
    }

    /// Converts the error of a write. Records it in `damage` if the database is damaged.
    fn failed(&self, action: &'static str, source: rusqlite::Error) -> StoreError {
        if is_damage(&source) {
            let problem = self.damage.get_or_init(|| source.to_string()).clone();
            return StoreError::Broken { path: self.pool.path().to_owned(), problem };
        }
        failed(action, source)
    }

    /// Runs a write that must also succeed on a full disk. If the disk is full, this cuts the log, which may use the last free bytes, and
    /// tries again, and then releases parts of the reserve. A repeated `write` may do less.
    fn free<T>(&self, action: &'static str, mut write: impl FnMut(&mut Writer) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut write = || {
            let written = self.write(action, &mut write);
            if !written.as_ref().is_err_and(StoreError::is_full) {
                return written;
            }
            if let Err(error) = self.write("cut its log", Writer::cut_log) {
                tracing::debug!(%error, "the log of the database could not be cut now");
            }
            self.write(action, &mut write)
        };
        with_reserve(self.space.folder(), Reserve::Large, &mut write, StoreError::is_full)
    }

    /// Returns the number of bytes that a checkpoint of the log adds to the database file; 0 if it can't be determined.
    fn unwritten_bytes(&self, writer: &Writer) -> u64 {
        let file = self.pool.path().metadata().map_or(0, |file| file.len());
        writer.size_bytes().map_or(0, |size| size.saturating_sub(file))
    }

    /// Starts or stops saving disk space, if `is_sparing` differs from the current state.
    fn spare(&self, is_sparing: bool) {
        if self.is_sparing.load(Ordering::Relaxed) != is_sparing
            && let Err(error) = self.write("keep its log short", |writer| writer.spare(is_sparing))
        {
            tracing::debug!(%error, "the log of the database could not be cut now");
        }
        self.is_sparing.store(is_sparing, Ordering::Relaxed);
    }

    fn read<T>(&self, action: &'static str, read: impl FnOnce(&mut Snapshot<'_>) -> Result<T, ReadError>) -> Result<T, StoreError> {
        match self.pool.read(read) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(ReadError::Cursor(cursor))) => Err(StoreError::Cursor { cursor }),
            Ok(Err(ReadError::Database(source))) | Err(source) => Err(failed(action, source)),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.files.check().is_err() {
            // When it closes, SQLite deletes the log by its path, which may now belong to another database.
            self.writer.lock().unwrap_or_else(PoisonError::into_inner).leave_log();
        }
    }
}

/// Makes `SQLite` plan statements without regard to bound values. Otherwise it plans some statements again whenever their values change.
fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// An error of a query.
enum ReadError {
    Cursor(String),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Parses a cursor that is a number.
fn number_of(cursor: &str) -> Result<i64, ReadError> {
    cursor.parse().map_err(|_| ReadError::Cursor(cursor.to_owned()))
}

/// Returns the number of the newest change in the snapshot.
fn as_of(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT seq FROM counter")?.query_row([], |row| row.get::<_, i64>(0).map(|seq| seq as u64))
}

impl Intake for SqliteStore {
    fn append(&self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes, StoreError> {
        let bytes = batches.iter().map(|batch| batch.bytes as u64).sum();
        let unwritten = self.unwritten_bytes(&self.writer.lock().unwrap_or_else(PoisonError::into_inner));
        self.space.admit(bytes, unwritten, batches.len() == 1)?;
        self.write("store events", |writer| writer.append(batches, now_us))
    }

    fn lose_workers(&self, now_us: u64, since_us: u64) -> Result<Changes, StoreError> {
        self.write("record lost workers", |writer| writer.lose_workers(now_us, since_us))
    }

    fn find_overdue(&self, now_us: u64) -> Result<Changes, StoreError> {
        self.write("record what is overdue", |writer| writer.find_overdue(now_us))
    }

    fn pin(&self, root: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>, StoreError> {
        self.free("pin a tree", |writer| writer.pin(root, is_pinned, now_us))
    }

    fn drop_root(&self, root: RootKey, may_run: bool, now_us: u64) -> Result<Option<Changes>, StoreError> {
        let found = self.read("look for a root", |snapshot| Ok(roots::find_row(snapshot, root)?.map(|row| row.number as u64)))?;
        let Some(number) = found else { return Ok(None) };
        Ok(Some(self.drop_roots(&DropTrees { numbers: &[number], reason: "asked", may_run }, now_us)?.1))
    }

    fn move_cursor(&self, name: &str, from: Option<u64>, to: u64) -> Result<bool, StoreError> {
        self.write("move a cursor", |writer| writer.move_cursor(name, from, to))
    }

    fn change_tasks(&self, changes: &[TaskChange], now_us: u64) -> Result<(TasksChanged, Changes), StoreError> {
        self.write("change batch tasks", |writer| writer.change_tasks(changes, now_us))
    }

    fn change_heartbeat(&self, edit: HeartbeatEdit, now_us: u64) -> Result<(bool, Changes), StoreError> {
        self.write("change a heartbeat", |writer| writer.change_heartbeat(edit, now_us))
    }

    fn miss_pings(&self, missed: &[MissedPing], now_us: u64) -> Result<Changes, StoreError> {
        self.write("record missing pings", |writer| writer.miss_pings(missed, now_us))
    }

    fn watch(&self, watched: Watched) -> Result<(), StoreError> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).watch(watched);
        Ok(())
    }

    fn change_alerts(&self, change: &AlertsChange, now_us: u64) -> Result<bool, StoreError> {
        // One of the alerts reports that the disk is full, so this must succeed on a full disk.
        self.free("change alerts", |writer| writer.change_alerts(change, now_us))
    }

    fn look(&self, is_well: bool) -> Result<(), StoreError> {
        self.files.check()?;
        if let Some(problem) = self.damage.get() {
            return Err(StoreError::Broken { path: self.pool.path().to_owned(), problem: problem.clone() });
        }
        let (seq, unwritten) = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            (writer.seq(), self.unwritten_bytes(&writer))
        };
        // Creates or updates the mark if it was missing or outdated when the store was opened.
        self.mark.lock().unwrap_or_else(PoisonError::into_inner).write(seq);
        let looked = self.space.check(unwritten);
        self.spare(!matches!(looked, Outlook::Well));
        if let Outlook::Low(error) = looked {
            return Err(error);
        }
        if is_well { Ok(()) } else { self.write("write", Writer::try_to_write) }
    }
}

impl Queries for SqliteStore {
    fn probe(&self) -> Result<(), StoreError> {
        self.pool.probe().map_err(|source| failed("read", source))
    }

    fn status(&self) -> Result<Status, StoreError> {
        let status = self.read("read the status", |snapshot| Ok(status::read(snapshot)?))?;
        let wal = copies::with(self.pool.path(), "-wal").metadata();
        let room = self.space.room();
        Ok(Status {
            wal_bytes: wal.map_or(0, |wal| wal.len()),
            disk_free_bytes: room.map(|room| room.free),
            min_free_bytes: room.map(|room| room.least),
            ..status
        })
    }

    fn root(&self, root: RootKey) -> Result<Option<Root>, StoreError> {
        self.read("read a root", |snapshot| {
            let (connection, dictionary) = snapshot.parts();
            Ok(roots::find_row(connection, root)?.map(|row| row.show(connection, dictionary)).transpose()?)
        })
    }

    fn newest_us(&self) -> Result<Option<u64>, StoreError> {
        self.read("look for the newest tree", |snapshot| {
            let newest = snapshot.prepare_cached(retention::NEWEST)?.query_row([], |row| row.get::<_, i64>(0)).optional()?;
            Ok(newest.map(|us| us.max(0) as u64))
        })
    }

    fn is_dropped(&self, number: u64) -> Result<bool, StoreError> {
        let sql = "SELECT ?1 BETWEEN 1 AND root AND NOT EXISTS (SELECT 1 FROM root WHERE number = ?1) FROM counter";
        self.read("look for a root", |snapshot| Ok(snapshot.prepare_cached(sql)?.query_row([number as i64], |row| row.get(0))?))
    }

    fn roots(&self, query: &RootsQuery) -> Result<RootsPage, StoreError> {
        self.read("list roots", |snapshot| roots::list(snapshot, query))
    }

    fn root_names(&self, text: Option<&str>, limit: usize, cursor: Option<&str>) -> Result<RootNamesPage, StoreError> {
        self.read("list names", |snapshot| names::list(snapshot, text, limit, cursor))
    }

    fn read_tree(&self, root: RootKey, limit: usize, cursor: Option<&str>, read: ReadTree<'_>) -> Result<bool, StoreError> {
        self.read("read a tree", |snapshot| tree::read(snapshot, root, (limit, cursor), self.most_depth, read))
    }

    fn tree_columns(&self, root: RootKey) -> Result<Option<TreeColumns>, StoreError> {
        self.read("read a tree", |snapshot| Ok(columns::read(snapshot, root, self.most_depth)?))
    }

    fn outline(&self, root: RootKey) -> Result<Option<Outline>, StoreError> {
        self.read("read a tree's order", |snapshot| Ok(export::outline(snapshot, root, self.most_depth)?))
    }

    fn some_processes(&self, root: RootKey, ids: &[ProcessId]) -> Result<Vec<(usize, Process)>, StoreError> {
        self.read("read processes", |snapshot| Ok(export::some(snapshot, root, ids)?))
    }

    fn process(&self, root: RootKey, id: ProcessId) -> Result<Option<Process>, StoreError> {
        self.read("read a process", |snapshot| Ok(processes::one(snapshot, root, id)?))
    }

    fn linked_from(&self, root: RootId, id: ProcessId, limit: usize) -> Result<LinkedFrom, StoreError> {
        self.read("look for links", |snapshot| Ok(links::from(snapshot, (root, id), limit)?))
    }

    fn processes_of_ids(&self, ids: (ProcessId, ProcessId), limit: usize) -> Result<ProcessesPage, StoreError> {
        let action = "look for a process";
        let shares = self.read(action, |snapshot| Ok(processes::shares(snapshot)?))?;
        let search = |share| self.read(action, |snapshot| Ok(processes::trees_with(snapshot, ids, share, limit)?));
        let found = std::thread::scope(|scope| {
            let searchers: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || search(share))).collect();
            let found = searchers.into_iter().map(|searcher| searcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            found.collect::<Result<Vec<_>, _>>()
        })?;
        self.read(action, |snapshot| Ok(processes::of_ids(snapshot, ids, found.into_iter().flatten(), limit)?))
    }

    fn processes(&self, query: &ProcessesQuery) -> Result<ProcessesPage, StoreError> {
        self.read("list processes", |snapshot| processes::list(snapshot, query))
    }

    fn logs(&self, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, StoreError> {
        self.read("read a log", |snapshot| logs::page(snapshot, root, query))
    }

    fn workers(&self, limit: usize, cursor: Option<&str>) -> Result<WorkersPage, StoreError> {
        self.read("list workers", |snapshot| workers::list(snapshot, limit, cursor))
    }

    fn online(&self) -> Result<Vec<(WorkerId, u64)>, StoreError> {
        self.read("list the workers that are online", |snapshot| Ok(workers::online(snapshot)?))
    }

    fn running_in(&self, root: RootKey, workers: &[WorkerId]) -> Result<Vec<WorkerId>, StoreError> {
        self.read("look who works on a tree", |snapshot| Ok(workers::running_in(snapshot, root, workers)?))
    }

    fn worker(&self, id: WorkerId) -> Result<Option<Worker>, StoreError> {
        self.read("read a worker", |snapshot| Ok(workers::one(snapshot, id)?))
    }

    fn stats(&self, query: &StatsQuery) -> Result<StatsPage, StoreError> {
        self.read("read statistics", |snapshot| stats::by_name(snapshot, query))
    }

    fn stats_series(&self, query: &SeriesQuery) -> Result<StatsSeries, StoreError> {
        self.read("read statistics", |snapshot| stats::series(snapshot, query))
    }

    fn stats_errors(&self, query: &ErrorsQuery) -> Result<ErrorsPage, StoreError> {
        self.read("read the errors", |snapshot| stats::errors(snapshot, query))
    }

    fn stats_causes(&self, query: &CausesQuery) -> Result<CausesPage, StoreError> {
        self.read("read the causes", |snapshot| stats::causes(snapshot, query))
    }

    fn name_totals(&self, most: usize) -> Result<Vec<NameTotals>, StoreError> {
        let mut chosen = self.charted.lock().unwrap_or_else(PoisonError::into_inner);
        self.read("sum up by name", |snapshot| Ok(metrics::totals(snapshot, most, &mut chosen)?))
    }

    fn logged(&self, after: u64) -> Result<Option<Logged>, StoreError> {
        let action = "read the log of events";
        let piece = self.read(action, |snapshot| Ok(event_log::piece(snapshot, after)?))?;
        piece.map(|piece| piece.read()).transpose().map_err(|source| failed(action, source))
    }

    fn models(&self, of: &[Subject]) -> Result<(Vec<Models>, u64), StoreError> {
        self.read("read what events are about", |snapshot| Ok(event_log::models(snapshot, of)?))
    }

    fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError> {
        self.read("read a cursor", |snapshot| Ok(event_log::cursor(snapshot, name)?))
    }
}
