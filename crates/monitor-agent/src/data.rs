//! The agent's database: tasks and their versions, decisions, runs, publications, events for the server, and requests to the agent.

mod forget;
mod write;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use monitor_tasks::plan::given_up;
use monitor_tasks::{Definition, Ledger, Paused, RunId, Trigger};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde_json::Value;

use crate::defaults::Defaults;
use crate::error::AgentError;
use crate::folder::{DATABASE, open_private};
use crate::rebuilt::{REBUILT, Rebuilt};
use crate::request::{Answer, Request};

pub(crate) use self::forget::write_forgotten;
pub(crate) use self::write::{
    remove, remove_task, set, write_answer, write_ended, write_found, write_ledger, write_paused, write_plan, write_started, write_task,
    write_version,
};

/// SQLite's `application_id` of an agent's database: `PMag` in ASCII.
const APPLICATION: i64 = 0x504d_6167;
/// Statements that create the tables, followed by one migration step for each later change. `user_version` is [`FIRST`] after the first step and
/// increases by one with each further step. A released step is never changed; a new step is added instead.
const SCHEMA: [&str; 3] = [include_str!("schema.sql"), include_str!("jobs.sql"), include_str!("job_root.sql")];
/// Number of the oldest supported schema.
const FIRST: usize = 4;
/// Number of the newest schema of an agent's database, which this build reads and writes.
pub const NEWEST_SCHEMA: usize = FIRST + SCHEMA.len() - 1;
/// Maximum time to wait for a database that another connection has locked.
const BUSY: Duration = Duration::from_secs(10);

/// Key of the agent's name.
pub(crate) const NAME: &str = "name";
/// Key of the defaults for all tasks, as JSON.
pub(crate) const DEFAULTS: &str = "defaults";
/// Key of the mistakes in task files, as a JSON list.
pub(crate) const MISTAKES: &str = "mistakes";
/// Key of the server's address.
pub(crate) const SERVER: &str = "server";

/// The database of an agent's folder.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
}

/// A task in the agent's database.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// File that defines the task. `None` if the server keeps it.
    pub file: Option<String>,
    /// Number of the current version.
    pub version: u64,
    /// Time since which this version is in effect.
    pub since: Timestamp,
    /// The current pause. `None` if the task is not paused.
    pub paused: Option<Paused>,
    /// Definition of the current version.
    pub definition: Definition,
}

/// A run in the agent's database.
#[derive(Debug, Clone, Serialize)]
pub struct RunRow {
    /// Id of the run.
    pub id: String,
    /// Name of the task.
    pub task: String,
    /// Due time in Unix microseconds.
    pub due_us: i64,
    /// Version of the task.
    pub version: i64,
    /// Trigger of the run, as one word.
    pub trigger: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Start time of the command, in Unix microseconds.
    pub started_us: Option<i64>,
    /// End time of the run, in Unix microseconds.
    pub ended_us: Option<i64>,
    /// Outcome: `ok`, `warn`, `fail`, `retry` or `idle`.
    pub outcome: Option<String>,
    /// Exit code of the command.
    pub exit_code: Option<i32>,
    /// Result code of the run.
    pub result_code: Option<i32>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
    /// Reason for the outcome, as one word.
    pub reason: Option<String>,
    /// Reason for the outcome, as text for people.
    pub words: Option<String>,
}

/// State that an agent loads from its database when it starts.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) tasks: Vec<TaskRow>,
    pub(crate) ledger: Ledger,
    pub(crate) paused: Option<Paused>,
    /// Work that is left since the previous database was lost.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// Reported mistakes in task files.
    pub(crate) mistakes: Vec<String>,
}

impl Database {
    /// Opens the database in an agent's folder. Creates it if it doesn't exist.
    ///
    /// # Errors
    /// When the database can't be used, or is not an agent's.
    pub(crate) fn open(data: &Path) -> Result<Self, AgentError> {
        let path = data.join(DATABASE);
        open_private(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => AgentError::Foreign {
                path: path.clone(),
                why: "may not be opened by this user: give it to the user that the agent runs as, by chown".to_owned(),
            },
            _ => AgentError::disk("open", &path)(error),
        })?;
        Self::connect(&path)
    }

    /// Opens an existing database of an agent, to send requests to the agent or to read its state.
    ///
    /// # Errors
    /// When the folder has no database, or the database can't be used or is not an agent's.
    pub fn existing(data: &Path) -> Result<Self, AgentError> {
        let path = data.join(DATABASE);
        if path.is_file() { Self::connect(&path) } else { Err(AgentError::NoAgent { path: data.to_owned() }) }
    }

    /// Opens the database, and retries while it is busy. If two connections switch a new database to WAL mode at the same time, each waits for
    /// the other's lock. SQLite then reports `SQLITE_BUSY` immediately, without waiting for the busy timeout.
    fn connect(path: &Path) -> Result<Self, AgentError> {
        let begun = Instant::now();
        loop {
            match Self::connect_once(path.to_owned()) {
                Err(AgentError::Database { source, .. }) if is_busy(&source) && begun.elapsed() < BUSY => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                ended => return ended,
            }
        }
    }

    fn connect_once(path: PathBuf) -> Result<Self, AgentError> {
        let failed = |source| AgentError::database(&path, source);
        let mut connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        steps_done(&connection, &path)?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256;")
            .map_err(failed)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        migrate(&transaction, &path)?;
        transaction.commit().map_err(failed)?;
        Ok(Self { connection, path })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> AgentError + use<> {
        let path = self.path.clone();
        move |source| AgentError::database(&path, source)
    }

    /// Reads from the database.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, AgentError> {
        read(&self.connection).map_err(self.failed())
    }

    /// Writes in one transaction. The transaction is durable on the disk when this function returns.
    pub(crate) fn write<T>(&mut self, write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, AgentError> {
        let failed = self.failed();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let written = write(&transaction).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(written)
    }

    /// Name that the agent had at its last start.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn name(&self) -> Result<Option<String>, AgentError> {
        self.read(|connection| value(connection, NAME))
    }

    /// Mistakes in the agent's task files, each with its file, line and column. At most 20.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn mistakes(&self) -> Result<Vec<String>, AgentError> {
        self.read(mistakes)
    }

    /// Copies the whole database, including its write-ahead log, to another file.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), AgentError> {
        let _ = std::fs::remove_file(path);
        // SQLite accepts an empty file as the target. The file already has its private mode.
        let new = open_private(path).map_err(AgentError::disk("open", path))?;
        self.read(|connection| connection.execute("VACUUM INTO ?", [path.to_string_lossy()]).map(drop))?;
        new.sync_all().map_err(AgentError::disk("write", path))
    }

    /// Checks the database. Returns a description of the first damage, or `None` if the database is sound.
    pub(crate) fn damage(&self) -> Result<Option<String>, AgentError> {
        let found: String = self.read(|connection| connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)))?;
        Ok((found != "ok").then(|| found.replace('\n', " ")))
    }

    /// The address of the server that the agent reports to.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn server(&self) -> Result<Option<String>, AgentError> {
        self.read(|connection| value(connection, SERVER))
    }

    /// Loads the state that the agent continues with. Logs and skips ledger entries and definitions that can't be read.
    pub(crate) fn load(&self) -> Result<Stored, AgentError> {
        let tasks = self.tasks()?;
        self.read(|connection| {
            let mut ledger = Ledger { boot: value(connection, "boot")?, ..Ledger::default() };
            let mut rows = connection.prepare("SELECT task, state FROM ledger")?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let (task, state): (String, String) = (row.get(0)?, row.get(1)?);
                match serde_json::from_str(&state) {
                    Ok(state) => drop(ledger.tasks.insert(task, state)),
                    Err(error) => tracing::error!(task, %error, "the state of a task can't be read: the task starts without it"),
                }
            }
            let paused = value(connection, "paused")?.and_then(|paused| serde_json::from_str(&paused).ok());
            let rebuilt = value(connection, REBUILT)?.and_then(|rebuilt| serde_json::from_str(&rebuilt).ok());
            Ok(Stored { tasks, ledger, paused, rebuilt, mistakes: mistakes(connection)? })
        })
    }

    /// All tasks, sorted by name.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn tasks(&self) -> Result<Vec<TaskRow>, AgentError> {
        let sql = "SELECT t.name, nullif(t.file, ''), t.version, t.since_us, t.paused_from_us, t.paused_until_us, v.definition
                   FROM task t JOIN version v ON v.task = t.name AND v.version = t.version ORDER BY t.name";
        self.read(|connection| {
            let mut rows = connection.prepare(sql)?;
            let rows = rows.query_map([], |row| {
                let name: String = row.get(0)?;
                let Some(definition) = definition(&name, &row.get::<_, String>(6)?) else { return Ok(None) };
                let paused = row.get::<_, Option<i64>>(4)?.map(time);
                let until = row.get::<_, Option<i64>>(5)?.map(time);
                Ok(Some(TaskRow {
                    file: row.get(1)?,
                    version: row.get::<_, i64>(2)? as u64,
                    since: time(row.get(3)?),
                    paused: paused.map(|from| Paused { from, until }),
                    definition,
                }))
            })?;
            rows.filter_map(Result::transpose).collect()
        })
    }

    /// Definition of a task in the given version.
    pub(crate) fn definition(&self, task: &str, version: u64) -> Result<Option<Definition>, AgentError> {
        let sql = "SELECT definition FROM version WHERE task = ? AND version = ?";
        let text = self.read(|connection| {
            connection.prepare_cached(sql)?.query_row(params![task, version as i64], |row| row.get::<_, String>(0)).optional()
        })?;
        Ok(text.and_then(|text| definition(task, &text)))
    }

    /// Definition of a task in its newest version.
    pub(crate) fn newest_definition(&self, task: &str) -> Result<Option<Definition>, AgentError> {
        let sql = "SELECT definition FROM version WHERE task = ? ORDER BY version DESC LIMIT 1";
        let text = self.read(|connection| connection.prepare_cached(sql)?.query_row([task], |row| row.get::<_, String>(0)).optional())?;
        Ok(text.and_then(|text| definition(task, &text)))
    }

    /// Definition of a task in the given version, with the agent's defaults.
    pub(crate) fn whole_definition(&self, task: &str, version: u64) -> Result<Option<Definition>, AgentError> {
        self.definition(task, version)?.map(|definition| self.whole(definition)).transpose()
    }

    /// Adds the agent's defaults to a definition.
    pub(crate) fn whole(&self, mut definition: Definition) -> Result<Definition, AgentError> {
        let defaults = self.read(|connection| value(connection, DEFAULTS))?;
        let defaults = defaults.and_then(|defaults| Defaults::read(serde_json::from_str::<Value>(&defaults).ok()?.as_object()?).ok());
        defaults.unwrap_or_default().apply(&mut definition);
        Ok(definition)
    }

    /// Newest runs, newest first. At most `limit` runs, and only runs of `task` if it is given.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn runs(&self, task: Option<&str>, limit: u32) -> Result<Vec<RunRow>, AgentError> {
        let sql =
            "SELECT id, task, due_us, version, cause, attempt, started_us, ended_us, outcome, exit_code, result_code, signal, reason, words
                   FROM run WHERE ?1 IS NULL OR task = ?1 ORDER BY told_us DESC, rowid DESC LIMIT ?2";
        self.read(|connection| connection.prepare(sql)?.query_map(params![task, limit], run_row)?.collect())
    }

    /// Id of a run that the agent decided to start, version of its task, and its trigger.
    pub(crate) fn past_run(&self, run: &str) -> Result<Option<(RunId, u64, Trigger)>, AgentError> {
        let sql = "SELECT version, cause FROM run WHERE id = ?";
        let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let found = self.read(|connection| connection.prepare_cached(sql)?.query_row([run], row).optional())?;
        Ok(found.and_then(|(version, cause)| Some((run.parse().ok()?, version as u64, serde_json::from_str(&cause).ok()?))))
    }

    /// Highest `part` of the stored runs with the same task and due time. 0 if there are none.
    pub(crate) fn last_part(&self, of: &RunId) -> Result<u32, AgentError> {
        let sql = "SELECT id FROM run WHERE task = ? AND due_us = ?";
        let ids: Vec<String> =
            self.read(|connection| connection.prepare_cached(sql)?.query_map(params![of.task, us(of.due)], |row| row.get(0))?.collect())?;
        Ok(ids.iter().filter_map(|id| Some(id.parse::<RunId>().ok()?.part)).max().unwrap_or_default())
    }

    /// Outcome of a run. `None` if the run has not ended.
    pub(crate) fn outcome(&self, run: &str) -> Result<Option<String>, AgentError> {
        let sql = "SELECT outcome FROM run WHERE id = ? AND outcome IS NOT NULL";
        self.read(|connection| connection.prepare_cached(sql)?.query_row([run], |row| row.get(0)).optional())
    }

    /// Reason why a run was given up before its start, as text for people. `None` if it was not given up.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn given_up(&self, run: &RunId) -> Result<Option<String>, AgentError> {
        let sql = "SELECT what, reason, blocked_by FROM decision WHERE task = ? AND first_due_us = ? AND run = ?";
        let of = params![run.task, us(run.due), run.to_string()];
        let words = |row: &Row<'_>| {
            let (what, reason, blocked_by): (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(given_up(&what, &reason, blocked_by.as_deref()))
        };
        self.read(|connection| connection.prepare_cached(sql)?.query_row(of, words).optional())
    }

    /// Sends a request to the agent. The request is valid until `until`. Returns the number of the request for [`answer`](Self::answer).
    ///
    /// # Errors
    /// When the database can't be written.
    pub fn ask(&mut self, by: &str, request: &Request, until: Timestamp) -> Result<i64, AgentError> {
        let request = serde_json::to_string(request).unwrap_or_default();
        self.write(|transaction| {
            transaction.execute("INSERT INTO request(until_us, by, request) VALUES(?, ?, ?)", params![us(until), by, request])?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// Answer of the agent to a request. `None` until the agent has answered.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn answer(&self, number: i64) -> Result<Option<Answer>, AgentError> {
        let sql = "SELECT answer FROM request WHERE number = ?";
        let answer = self.read(|connection| connection.query_row(sql, [number], |row| row.get::<_, Option<String>>(0)).optional())?;
        Ok(answer.flatten().and_then(|answer| serde_json::from_str(&answer).ok()))
    }

    /// Withdraws a request that has no answer. Returns false if it has an answer.
    ///
    /// # Errors
    /// When the database can't be written.
    pub fn take_back(&mut self, number: i64) -> Result<bool, AgentError> {
        let sql = "DELETE FROM request WHERE number = ? AND answer IS NULL";
        self.write(|transaction| Ok(transaction.execute(sql, [number])? > 0))
    }

    /// Number that changes whenever another connection writes to the database.
    pub(crate) fn others_version(&self) -> Result<i64, AgentError> {
        self.read(|connection| connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0)))
    }

    /// Requests without an answer, oldest first: number, deadline, sender, and request as JSON.
    pub(crate) fn requests(&self) -> Result<Vec<(i64, Timestamp, String, String)>, AgentError> {
        let sql = "SELECT number, until_us, by, request FROM request WHERE answer IS NULL ORDER BY number";
        self.read(|connection| {
            let mut rows = connection.prepare_cached(sql)?;
            rows.query_map([], |row| Ok((row.get(0)?, time(row.get(1)?), row.get(2)?, row.get(3)?)))?.collect()
        })
    }
}

/// Migrates an agent's database to the newest schema. Creates the tables in an empty file.
pub(crate) fn migrate(connection: &Connection, path: &Path) -> Result<(), AgentError> {
    let failed = |source| AgentError::database(path, source);
    let steps = &SCHEMA[steps_done(connection, path)?..];
    if steps.is_empty() {
        return Ok(());
    }
    steps.iter().try_for_each(|step| connection.execute_batch(step)).map_err(failed)?;
    connection.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    connection.pragma_update(None, "user_version", NEWEST_SCHEMA as i64).map_err(failed)
}

/// Number of the steps of [`SCHEMA`] that a database contains. 0 for an empty file.
///
/// If the database is refused, its connection doesn't checkpoint the write-ahead log when it is closed, so that the files stay unchanged.
pub(crate) fn steps_done(connection: &Connection, path: &Path) -> Result<usize, AgentError> {
    let foreign = |why: String| AgentError::Foreign { path: path.to_owned(), why };
    let failed = |source| AgentError::database(path, source);
    let keep_log = |is_on| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_on).map_err(failed);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    keep_log(true)?;
    let is_empty = connection.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())).optional().map_err(failed)?.is_none();
    let found = pragma("user_version")? as usize;
    if !is_empty && pragma("application_id")? != APPLICATION {
        return Err(foreign("is the database of another program: move it away, or give the agent another folder (--data)".to_owned()));
    }
    if !is_empty && found > NEWEST_SCHEMA {
        let why = "was written by a newer version of the agent: run that version, or give this one another folder (--data)";
        return Err(foreign(why.to_owned()));
    }
    if !is_empty && found < FIRST {
        return Err(foreign(format!(
            "has schema {found}, and version {} reads schema {FIRST} and later; nothing was changed. To start afresh, move the folder away, or \
             give the agent another one (--data); to see its runs, use the version that wrote it",
            env!("CARGO_PKG_VERSION")
        )));
    }
    keep_log(false)?;
    Ok(if is_empty { 0 } else { found - FIRST + 1 })
}

fn value(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM agent WHERE key = ?", [key], |row| row.get(0)).optional()
}

fn mistakes(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    Ok(value(connection, MISTAKES)?.and_then(|mistakes| serde_json::from_str(&mistakes).ok()).unwrap_or_default())
}

fn definition(task: &str, text: &str) -> Option<Definition> {
    let read = serde_json::from_str(text).map_err(|error| error.to_string());
    let read = read.and_then(|value| {
        let told = |mistakes: Vec<_>| mistakes.first().map(ToString::to_string).unwrap_or_default();
        Definition::from_json(value).map_err(|mistakes: Vec<monitor_tasks::Mistake>| told(mistakes))
    });
    read.inspect_err(|error| tracing::error!(task, %error, "the definition of a task can't be read any more: it is left out")).ok()
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let cause: String = row.get(4)?;
    let trigger = serde_json::from_str::<Trigger>(&cause).map_or("", |trigger| trigger.word()).to_owned();
    Ok(RunRow {
        id: row.get(0)?,
        task: row.get(1)?,
        due_us: row.get(2)?,
        version: row.get(3)?,
        trigger,
        attempt: row.get(5)?,
        started_us: row.get(6)?,
        ended_us: row.get(7)?,
        outcome: row.get(8)?,
        exit_code: row.get(9)?,
        result_code: row.get(10)?,
        signal: row.get(11)?,
        reason: row.get(12)?,
        words: row.get(13)?,
    })
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

fn us(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn time(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use monitor_wire::AgentOrder;

    use super::*;

    #[test]
    fn a_file_that_is_no_database_of_an_agent_is_refused_unchanged() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(DATABASE);
        let refused = || Database::existing(data.path()).unwrap_err().to_string();
        assert!(refused().contains("there is no agent in"));
        std::fs::write(&path, "no database at all, but long enough to be looked at as if it were one".repeat(100)).unwrap();
        assert!(refused().contains("is damaged: file is not a database"), "{}", refused());
        std::fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE a(x)").unwrap();
        assert!(refused().contains("of another program"), "{}", refused());
        std::fs::remove_file(&path).unwrap();
        drop(Database::open(data.path()).unwrap());
        // The write-ahead log of a killed agent contains the newest transactions.
        let killed = Connection::open(&path).unwrap();
        killed.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        let files = || ["", "-wal"].map(|suffix| std::fs::read(monitor_salvage::beside(&path, suffix)).unwrap());
        let (oldest, newest) = (FIRST, FIRST + SCHEMA.len() - 1);
        for (version, words) in [(newest + 1, "newer version".to_owned()), (oldest - 1, format!("reads schema {oldest} and later"))] {
            killed.pragma_update(None, "user_version", version as i64).unwrap();
            let before = files();
            assert!(!before[1].is_empty());
            assert!(refused().contains(&words), "{}", refused());
            assert!(Database::open(data.path()).is_err() && files() == before);
        }
    }

    #[test]
    fn opening_the_database_during_its_creation_does_no_harm() {
        for _ in 0..100 {
            let data = tempfile::tempdir().unwrap();
            let there = std::sync::Barrier::new(4);
            std::thread::scope(|threads| {
                for _ in 0..3 {
                    threads.spawn(|| {
                        there.wait();
                        match Database::existing(data.path()) {
                            Ok(_) | Err(AgentError::NoAgent { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    });
                }
                there.wait();
                Database::open(data.path()).unwrap();
            });
        }
    }

    #[test]
    fn a_task_has_versions_and_a_request_is_answered_once() {
        let data = tempfile::tempdir().unwrap();
        let mut database = Database::open(data.path()).unwrap();
        let definition = |shell: &str| Definition::from_toml(&format!("name = \"gold\"\nshell = \"{shell}\"")).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        for (version, shell) in [(1, "a"), (2, "b")] {
            assert_eq!(database.write(|to| write_task(to, Some("gold.toml"), &definition(shell), None, at(1))).unwrap(), version);
        }
        database.write(|to| remove_task(to, "gold")).unwrap();
        assert!(database.tasks().unwrap().is_empty());
        assert_eq!(database.definition("gold", 1).unwrap(), Some(definition("a")), "older versions stay");
        assert_eq!(
            database.write(|to| write_task(to, Some("gold.toml"), &definition("c"), None, at(2))).unwrap(),
            3,
            "no number comes twice"
        );
        let mut asking = Database::existing(data.path()).unwrap();
        let before = database.others_version().unwrap();
        let number = asking.ask("ada", &Request::Order(AgentOrder::Ping), at(9)).unwrap();
        assert_ne!(database.others_version().unwrap(), before);
        assert_eq!(database.requests().unwrap().len(), 1);
        database.write(|to| write_answer(to, number, &Answer::Done { runs: Vec::new() })).unwrap();
        assert_eq!(asking.answer(number).unwrap(), Some(Answer::Done { runs: Vec::new() }));
        assert!(!asking.take_back(number).unwrap() && database.requests().unwrap().is_empty());
    }
}
