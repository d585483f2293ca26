//! The camera that writes to an SQLite database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use monitor_wire::{Process, Worker};
use rusqlite::{Connection, Transaction, params};

use super::{Camera, Picture, Result};
use crate::state::{Mark, State};

/// Application id in the file's header, which identifies databases of this camera.
const APPLICATION_ID: i32 = 0x4d4f_4e43;
/// Maximum time to wait while another program locks the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const TABLES: &str = "
CREATE TABLE picture (time_us INTEGER NOT NULL, as_of INTEGER NOT NULL, event_count INTEGER NOT NULL, task_count INTEGER NOT NULL);
CREATE TABLE task (
    root_id TEXT NOT NULL, id TEXT NOT NULL, native_id TEXT, name TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL,
    worker_id TEXT, started_us INTEGER, ended_us INTEGER, elapsed_ns INTEGER, error TEXT, json TEXT NOT NULL, PRIMARY KEY (root_id, id)
) WITHOUT ROWID;
CREATE TABLE worker (
    id TEXT NOT NULL PRIMARY KEY, program TEXT NOT NULL, hostname TEXT NOT NULL, pid INTEGER NOT NULL, state TEXT NOT NULL,
    last_seen_us INTEGER NOT NULL, json TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE count (worker_id TEXT NOT NULL, type TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (worker_id, type)) WITHOUT ROWID;
";

/// Stores the state in an SQLite database: `task` and `worker` with their latest versions, `count` with the number of events by worker and
/// type, and a row of `picture` for each picture. Rows are never deleted; that is left to the users of the database.
///
/// ```
/// use monitor_receiver::{Camera, State, camera::SqliteCamera};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("pictures.db");
/// let mut camera = SqliteCamera::new(&path);
/// camera.shutter(&State::default())?;
/// let pictures: u32 = rusqlite::Connection::open(&path)?.query_row("SELECT count(*) FROM picture", [], |row| row.get(0))?;
/// assert_eq!(pictures, 1);
/// # Ok::<(), monitor_receiver::camera::Failure>(())
/// ```
#[derive(Debug)]
pub struct SqliteCamera {
    path: PathBuf,
    /// Opened with the first picture.
    connection: Option<Connection>,
    mark: Mark,
}

impl SqliteCamera {
    /// Creates a camera that writes to this database. The file is created if it does not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), connection: None, mark: Mark::default() }
    }

    fn take(&mut self, state: &State) -> Result {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(open(&self.path)?),
        };
        let picture = Picture::since(state, self.mark);
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO picture VALUES (?1, ?2, ?3, ?4)",
            params![number(picture.time_us), number(picture.as_of), number(picture.event_count), number(picture.task_count)],
        )?;
        picture.tasks.iter().try_for_each(|task| put_task(&transaction, task))?;
        picture.workers.iter().try_for_each(|worker| put_worker(&transaction, worker))?;
        for (worker, counts) in &picture.counts {
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO count VALUES (?1, ?2, ?3)")?;
            for (name, count) in *counts {
                put.execute(params![worker, name, number(*count)])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn open(path: &Path) -> Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 = transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    match (found, tables) {
        (APPLICATION_ID, _) => {}
        (0, 0) => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        }
        _ => return Err("it is another program's database: name another file".into()),
    }
    transaction.commit()?;
    Ok(connection)
}

/// Converts to SQLite's signed integers.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn put_task(transaction: &Transaction<'_>, task: &Process) -> Result {
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO task VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")?;
    put.execute(params![
        task.root_id.to_string(),
        task.id.to_string(),
        task.native_id,
        task.name,
        task.kind.as_str(),
        task.state.as_str(),
        task.attempt,
        task.worker_id.map(|id| id.to_string()),
        task.started_us.map(number),
        task.ended_us.map(number),
        task.elapsed_ns.map(number),
        task.error.as_ref().map(|error| &error.message),
        serde_json::to_string(task)?,
    ])?;
    Ok(())
}

fn put_worker(transaction: &Transaction<'_>, worker: &Worker) -> Result {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO worker VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    put.execute(params![
        worker.id.to_string(),
        worker.program,
        worker.hostname,
        worker.pid,
        worker.state.as_str(),
        number(worker.last_seen_us),
        serde_json::to_string(worker)?,
    ])?;
    Ok(())
}

impl Camera for SqliteCamera {
    fn shutter(&mut self, state: &State) -> Result {
        self.take(state).map_err(|error| format!("could not write {}: {error}", self.path.display()))?;
        self.mark = state.mark();
        Ok(())
    }

    fn name(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_programs_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let mut camera = SqliteCamera::new(&path);
        let error = camera.shutter(&State::default()).unwrap_err().to_string();
        assert!(error.contains("other.db: it is another program's database"), "{error}");
        std::fs::write(&path, "no database at all, but long enough to look at it as if it were one").unwrap();
        assert!(SqliteCamera::new(&path).shutter(&State::default()).is_err());
    }
}
