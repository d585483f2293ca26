//! The store on `SQLite`: one connection that writes, a few that read.

mod columns;
mod copies;
mod dictionary;
mod expected;
mod export;
mod folder;
mod ids;
mod invariants;
mod logs;
mod metrics;
mod names;
mod pool;
mod processes;
mod retention;
mod roots;
mod row;
mod schema;
mod shape;
mod stats;
mod status;
mod tree;
mod unused;
mod workers;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::HashSet;
use monitor_wire::{
    ErrorsPage, LogsPage, Process, ProcessId, ProcessesPage, Root, RootNamesPage, RootsPage, StatsPage, StatsSeries, Status, TreePage,
    Worker, WorkerId, WorkersPage,
};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

pub use self::copies::{Checked, Restored, backup, check, restore};
pub(crate) use self::dictionary::NUMEROUS;
pub(crate) use self::folder::{create_private, open_private, serve_at, served_at};
use self::pool::{Pool, Snapshot};
pub use self::unused::Unused;
use self::write::Writer;
use super::{
    Beyond, Changes, Drop, Due, ErrorsQuery, LogsQuery, NameTotals, Outline, Place, ProcessesQuery, RootKey, RootsQuery, SeriesQuery,
    Shrunk, StatsQuery, Store, StoreError, Swept, TreeColumns,
};
use crate::packed::Packed;
use crate::retention::Retention;

/// Everything in one file, `monitor.db` in the data folder.
pub struct SqliteStore {
    writer: Mutex<Writer>,
    pool: Pool,
    /// Names that have figures of their own, by their keys.
    charted: Mutex<HashSet<i64>>,
    /// No process is shown deeper in its tree.
    most_depth: u32,
    _lock: folder::Lock,
}

impl SqliteStore {
    /// Opens the store in `folder`; makes both if need be, and brings an older database up to date.
    ///
    /// # Errors
    /// If another server has the folder, or the database is newer, damaged or not ours.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = folder::lock(folder)?;
        let path = folder::database(folder)?;
        copies::remove_leftovers(&path);
        let failed = |source| StoreError::of_open(source, &path);
        let mut connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        schema::migrate(&mut connection, &path)?;
        let pragmas = "PRAGMA synchronous=FULL; PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=4000; \
                       PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY;";
        connection.execute_batch(pragmas).map_err(failed)?;
        plan_once(&connection).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        let writer = Writer::new(connection).map_err(failed)?;
        Ok(Self { writer: Mutex::new(writer), pool: Pool::new(path), charted: Mutex::default(), most_depth: u32::MAX, _lock: lock })
    }

    /// Keeps so many of the first lines of every process's log, and as many of the last; at least one.
    #[must_use]
    pub fn keep_logs(self, lines: usize) -> Self {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).keep_logs(lines);
        self
    }

    /// Keeps so many processes of each root, at least one; what is said of more is counted as dropped.
    #[must_use]
    pub fn keep_processes(self, most: u64) -> Self {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).keep_processes(most);
        self
    }

    /// Shows no process deeper than so, at least 1; those that would hang deeper hang below the root's own, and are counted.
    #[must_use]
    pub fn keep_depth(self, most: u32) -> Self {
        Self { most_depth: most.max(1), ..self }
    }

    fn write<T>(&self, action: &'static str, write: impl FnOnce(&mut Writer) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // A panic in a transaction rolls it back, and what the writer remembers is forgotten with it.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut writer).map_err(|source| StoreError::Database { action, source })
    }

    fn read<T>(&self, action: &'static str, read: impl FnOnce(&mut Snapshot<'_>) -> Result<T, ReadError>) -> Result<T, StoreError> {
        match self.pool.read(read) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(ReadError::Cursor(cursor))) => Err(StoreError::Cursor { cursor }),
            Ok(Err(ReadError::Database(source))) | Err(source) => Err(StoreError::Database { action, source }),
        }
    }
}

/// Statements are planned without a look at their values; else some are planned anew whenever these change.
fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Why a question could not be answered.
enum ReadError {
    Cursor(String),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// A cursor that is a number.
fn number_of(cursor: &str) -> Result<i64, ReadError> {
    cursor.parse().map_err(|_| ReadError::Cursor(cursor.to_owned()))
}

/// Number of the newest change that the snapshot knows.
fn as_of(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT seq FROM counter")?.query_row([], |row| row.get::<_, i64>(0).map(|seq| seq as u64))
}

impl Store for SqliteStore {
    fn probe(&self) -> Result<(), StoreError> {
        self.pool.probe().map_err(|source| StoreError::Database { action: "read", source })
    }

    fn append(&self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes, StoreError> {
        self.write("store events", |writer| writer.append(batches, now_us))
    }

    fn find_overdue(&self, now_us: u64) -> Result<Changes, StoreError> {
        self.write("record what is overdue", |writer| writer.find_overdue(now_us))
    }

    fn lose_workers(&self, now_us: u64, since_us: u64) -> Result<Changes, StoreError> {
        self.write("record lost workers", |writer| writer.lose_workers(now_us, since_us))
    }

    fn pin(&self, root: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>, StoreError> {
        self.write("pin a tree", |writer| writer.pin(root, is_pinned, now_us))
    }

    fn drop_roots(&self, drop: &Drop<'_>, now_us: u64) -> Result<(usize, Changes), StoreError> {
        self.write("drop trees", |writer| writer.drop_roots(drop, now_us))
    }

    fn sweep(&self, rows: usize) -> Result<Swept, StoreError> {
        self.write("delete what was dropped", |writer| writer.sweep(rows))
    }

    fn due(&self, retention: &Retention, now_us: u64, from: Place, limit: usize) -> Result<Due, StoreError> {
        self.read("look for what is due", |snapshot| retention::due(snapshot, retention, now_us, from, limit))
    }

    fn oldest_beyond(&self, bytes: u64, most: usize) -> Result<Beyond, StoreError> {
        self.read("look for the oldest trees", |snapshot| Ok(retention::oldest_beyond(snapshot, bytes, most)?))
    }

    fn trim_unknown(&self, heard_before_us: u64, after: i64) -> Result<Option<i64>, StoreError> {
        self.write("delete events of unknown types", |writer| writer.trim_unknown(heard_before_us, after))
    }

    fn trim_sums(&self, now_us: u64) -> Result<bool, StoreError> {
        self.write("delete old sums", |writer| writer.trim_sums(now_us))
    }

    fn begin_unused(&self) -> Result<Unused, StoreError> {
        self.write("look for what is unused", Writer::begin_unused)
    }

    fn find_unused(&self, unused: &mut Unused) -> Result<bool, StoreError> {
        self.read("look for what is unused", |snapshot| Ok(unused.look(snapshot)?))
    }

    fn drop_unused(&self, unused: &mut Unused, heard_before_us: u64) -> Result<bool, StoreError> {
        self.write("delete what is unused", |writer| {
            let is_more = writer.drop_unused(unused, heard_before_us);
            // Before anyone can write a word anew, under another key.
            self.pool.forget();
            is_more
        })
    }

    fn shrink(&self) -> Result<Shrunk, StoreError> {
        self.write("give space back", Writer::shrink)
    }

    fn backup(&self, file: &Path) -> Result<u64, StoreError> {
        copies::copy(self.pool.path(), file)
    }

    fn root(&self, root: RootKey) -> Result<Option<Root>, StoreError> {
        self.read("read a root", |snapshot| {
            let (connection, dictionary) = snapshot.parts();
            Ok(roots::find_row(connection, root)?.map(|row| row.show(connection, dictionary)).transpose()?)
        })
    }

    fn is_dropped(&self, number: u64) -> Result<bool, StoreError> {
        let sql = "SELECT ?1 BETWEEN 1 AND root AND NOT EXISTS (SELECT 1 FROM root WHERE number = ?1) FROM counter";
        self.read("look for a root", |snapshot| Ok(snapshot.prepare_cached(sql)?.query_row([number as i64], |row| row.get(0))?))
    }

    fn roots(&self, query: &RootsQuery) -> Result<RootsPage, StoreError> {
        self.read("list roots", |snapshot| roots::list(snapshot, query))
    }

    fn tree(&self, root: RootKey, limit: usize, cursor: Option<&str>) -> Result<Option<TreePage>, StoreError> {
        self.read("read a tree", |snapshot| tree::page(snapshot, root, (limit, cursor), self.most_depth))
    }

    fn tree_json(&self, root: RootKey, limit: usize, cursor: Option<&str>) -> Result<Option<Vec<u8>>, StoreError> {
        self.read("read a tree", |snapshot| tree::json(snapshot, root, (limit, cursor), self.most_depth))
    }

    fn tree_columns(&self, root: RootKey) -> Result<Option<TreeColumns>, StoreError> {
        self.read("read a tree", |snapshot| Ok(columns::read(snapshot, root, self.most_depth)?))
    }

    fn process(&self, root: RootKey, id: ProcessId) -> Result<Option<Process>, StoreError> {
        self.read("read a process", |snapshot| Ok(processes::one(snapshot, root, id)?))
    }

    fn processes_of_id(&self, id: ProcessId, limit: usize) -> Result<ProcessesPage, StoreError> {
        self.read("look for a process", |snapshot| Ok(processes::of_id(snapshot, id, limit)?))
    }

    fn processes(&self, query: &ProcessesQuery) -> Result<ProcessesPage, StoreError> {
        self.read("list processes", |snapshot| processes::list(snapshot, query))
    }

    fn logs(&self, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, StoreError> {
        self.read("read a log", |snapshot| logs::page(snapshot, root, query))
    }

    fn outline(&self, root: RootKey) -> Result<Option<Outline>, StoreError> {
        self.read("read a tree's order", |snapshot| Ok(export::outline(snapshot, root, self.most_depth)?))
    }

    fn some_processes(&self, root: RootKey, ids: &[ProcessId]) -> Result<Vec<(usize, Process)>, StoreError> {
        self.read("read processes", |snapshot| Ok(export::some(snapshot, root, ids)?))
    }

    fn name_totals(&self, most: usize) -> Result<Vec<NameTotals>, StoreError> {
        let mut chosen = self.charted.lock().unwrap_or_else(PoisonError::into_inner);
        self.read("sum up by name", |snapshot| Ok(metrics::totals(snapshot, most, &mut chosen)?))
    }

    fn workers(&self, limit: usize, cursor: Option<&str>) -> Result<WorkersPage, StoreError> {
        self.read("list workers", |snapshot| workers::list(snapshot, limit, cursor))
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

    fn root_names(&self, text: Option<&str>, limit: usize, cursor: Option<&str>) -> Result<RootNamesPage, StoreError> {
        self.read("list names", |snapshot| names::list(snapshot, text, limit, cursor))
    }

    fn status(&self) -> Result<Status, StoreError> {
        let status = self.read("read the status", |snapshot| Ok(status::read(snapshot)?))?;
        let wal = copies::with(self.pool.path(), "-wal").metadata();
        Ok(Status { wal_bytes: wal.map_or(0, |wal| wal.len()), ..status })
    }
}
