//! Connections that read. Each question is answered from one snapshot.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result, Transaction};

use super::dictionary::{Dictionary, MAX_READER_BYTES};

/// At most so many questions are answered at a time; more wait.
pub const MAX_READERS: usize = 8;

pub(super) struct Pool {
    path: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
    /// A connection beside those of the readers, for [`probe`](Pool::probe).
    probe: Mutex<Option<Reader>>,
    /// Rises whenever rows went that readers may remember.
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
    /// The pool's, when the dictionary was new.
    forgotten: u64,
}

/// One snapshot of the database.
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

    /// The database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Answers a question from one snapshot.
    pub(super) fn read<T>(&self, question: impl FnOnce(&mut Snapshot<'_>) -> T) -> Result<T> {
        let mut reader = self.take()?;
        let Reader { connection, dictionary, forgotten } = reader.reader.as_mut().expect("taken only with a reader");
        dictionary.trim(MAX_READER_BYTES);
        let before = self.forgotten.load(Ordering::Acquire);
        let transaction = connection.transaction()?;
        // The snapshot is that of the first look.
        transaction.prepare_cached("SELECT seq FROM counter")?.query_row([], |_| Ok(()))?;
        if *forgotten != self.forgotten.load(Ordering::Acquire) {
            dictionary.forget();
            *forgotten = before;
        }
        Ok(question(&mut Snapshot { transaction, dictionary }))
    }

    /// Reads the smallest thing that there is, beside all readers: whoever wants to know whether the database can be read doesn't wait
    /// for their answers.
    pub(super) fn probe(&self) -> Result<()> {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match probe.take() {
            Some(reader) => reader,
            None => self.open()?,
        };
        // One that failed is not used again.
        reader.connection.query_row("SELECT seq FROM counter", [], |_| Ok(()))?;
        *probe = Some(reader);
        Ok(())
    }

    /// Readers forget what they remember, before they answer again.
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
        // The log is the writer's.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Reader { connection, dictionary: Dictionary::default(), forgotten: self.forgotten.load(Ordering::Acquire) })
    }
}

/// A place among the readers, given back when dropped.
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
    /// The key of a text, if it is there.
    pub(super) fn find_text(&mut self, text: &str) -> Result<Option<i64>> {
        self.dictionary.find_text(&self.transaction, text)
    }

    /// The code of a state, if any row can have it.
    pub(super) fn find_state(&mut self, state: &monitor_wire::State) -> Result<Option<i64>> {
        super::ids::find_state_code(&self.transaction, self.dictionary, state)
    }

    /// The connection and what is remembered of it, apart.
    pub(super) fn parts(&mut self) -> (&Connection, &mut Dictionary) {
        (&self.transaction, self.dictionary)
    }
}
