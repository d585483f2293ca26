//! Connections for reading. Each query runs in one snapshot.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result, Transaction};

use super::dictionary::{Dictionary, MAX_READER_BYTES};

/// Maximum number of queries that run at the same time. Further queries wait.
pub const MAX_READERS: usize = 8;

pub(super) struct Pool {
    path: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
    /// A separate connection for [`probe`](Pool::probe).
    probe: Mutex<Option<Reader>>,
    /// Incremented whenever rows were deleted that readers may have cached.
    forgotten: AtomicU64,
}

#[derive(Default)]
struct State {
    idle: Vec<Reader>,
    taken: usize,
}

struct Reader {
    connection: Connection,
    dictionary: Dictionary,
    /// Value of [`Pool::forgotten`] when the dictionary was last empty.
    forgotten: u64,
}

/// A snapshot of the database, with the dictionary of its connection.
pub(super) struct Snapshot<'a> {
    transaction: Transaction<'a>,
    pub dictionary: &'a mut Dictionary,
}

impl Deref for Snapshot<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}

impl Pool {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default(), returned: Condvar::new(), probe: Mutex::default(), forgotten: AtomicU64::new(0) }
    }

    /// Returns the path of the database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a query in one snapshot.
    pub(super) fn read<T>(&self, question: impl FnOnce(&mut Snapshot<'_>) -> T) -> Result<T> {
        let mut reader = self.take()?;
        let Reader { connection, dictionary, forgotten } = reader.reader.as_mut().expect("taken only with a reader");
        dictionary.trim(MAX_READER_BYTES);
        let before = self.forgotten.load(Ordering::Acquire);
        let transaction = connection.transaction()?;
        // SQLite takes the snapshot at the first read.
        transaction.prepare_cached("SELECT seq FROM counter")?.query_row([], |_| Ok(()))?;
        if *forgotten != self.forgotten.load(Ordering::Acquire) {
            dictionary.forget();
            *forgotten = before;
        }
        Ok(question(&mut Snapshot { transaction, dictionary }))
    }

    /// Checks that the database can be read. Uses a connection of its own, so that it doesn't wait for running queries.
    pub(super) fn probe(&self) -> Result<()> {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match probe.take() {
            Some(reader) => reader,
            None => self.open()?,
        };
        // A connection that failed is not put back.
        reader.connection.query_row("SELECT seq FROM counter", [], |_| Ok(()))?;
        *probe = Some(reader);
        Ok(())
    }

    /// Makes all readers empty their dictionaries before their next query.
    pub(super) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::Release);
    }

    fn take(&self) -> Result<ReaderSlot<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.taken >= MAX_READERS {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.taken += 1;
        let idle = state.idle.pop();
        drop(state);
        let mut place = ReaderSlot { pool: self, reader: idle };
        if place.reader.is_none() {
            place.reader = Some(self.open()?);
        }
        Ok(place)
    }

    fn open(&self) -> Result<Reader> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute_batch("PRAGMA query_only=ON; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;")?;
        super::plan_once(&connection)?;
        // Only the writer's connection writes the log back.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Reader { connection, dictionary: Dictionary::default(), forgotten: self.forgotten.load(Ordering::Acquire) })
    }
}

/// One of [`MAX_READERS`] slots, released when dropped.
struct ReaderSlot<'a> {
    pool: &'a Pool,
    reader: Option<Reader>,
}

impl Drop for ReaderSlot<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.taken -= 1;
        state.idle.extend(self.reader.take());
        self.pool.returned.notify_one();
    }
}

impl Snapshot<'_> {
    /// Returns the key of a text; `None` if it is not stored.
    pub(super) fn find_text(&mut self, text: &str) -> Result<Option<i64>> {
        self.dictionary.find_text(&self.transaction, text)
    }

    /// Returns the code of a state; `None` if no row can have it.
    pub(super) fn find_state(&mut self, state: &monitor_wire::State) -> Result<Option<i64>> {
        super::ids::find_state_code(&self.transaction, self.dictionary, state)
    }

    /// Returns the connection and its dictionary as separate borrows.
    pub(super) fn parts(&mut self) -> (&Connection, &mut Dictionary) {
        (&self.transaction, self.dictionary)
    }
}
