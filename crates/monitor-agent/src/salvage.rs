//! Copies the readable rows of a damaged database to a new one.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use monitor_salvage::{Copy, copy_table};
use monitor_tasks::State;
use rusqlite::{Connection, OpenFlags};

use crate::data::{self, Database};
use crate::error::AgentError;
use crate::folder::{self, DATABASE, is_running};
use crate::rebuilt::REBUILT;

/// Tables whose rows are copied, with the columns that number them. Requests to the agent are not copied, because their senders no longer wait.
const COPIED: [(&str, &str); 11] = [
    ("task", "rowid"),
    ("version", "rowid"),
    ("ledger", "rowid"),
    ("agent", "rowid"),
    ("run", "rowid"),
    ("decision", "number"),
    ("outbox", "number"),
    ("teller", "rowid"),
    ("publication", "number"),
    ("job_run", "rowid"),
    ("job_report", "number"),
];

/// Result of [`salvage`].
#[derive(Debug)]
pub struct Salvaged {
    /// Path of the new database.
    pub database: PathBuf,
    /// Number of copied rows by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Tables with rows that could not be read.
    pub damaged: Vec<&'static str>,
}

/// Copies the readable rows of a damaged database to a new agent folder. `damaged` is the path of the database file, or of the folder of an
/// agent that isn't running. The damaged file is not changed. An agent that is started with the new folder starts no run that was due before
/// now.
///
/// # Errors
/// Returns an error if an agent uses the database, there is no database, the new folder already contains one, or nothing can be read.
pub fn salvage(damaged: &Path, into: &Path) -> Result<Salvaged, AgentError> {
    let file = if damaged.is_dir() { damaged.join(DATABASE) } else { damaged.to_owned() };
    let foreign = |path: &Path, why: &str| AgentError::Foreign { path: path.to_owned(), why: why.to_owned() };
    if !file.is_file() {
        return Err(foreign(&file, "is no file: name the damaged database, such as agent.db.damaged-1795565706"));
    }
    if file.file_name().is_some_and(|name| name == DATABASE) && file.parent().is_some_and(is_running) {
        return Err(foreign(&file, "is used by an agent: stop that one first"));
    }
    let _lock = folder::lock(into)?;
    let new = into.join(DATABASE);
    if new.exists() {
        return Err(foreign(&new, "exists: name a new folder"));
    }
    let copy = Copy::of(&file, into.join("damaged.db")).map_err(|(path, source)| AgentError::Disk { action: "copy", path, source })?;
    let from = copy.open(|copy| open(copy, &file))?;
    let result = copy_all(&from, into);
    if result.is_err() {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(monitor_salvage::beside(&new, suffix));
        }
    }
    result
}

/// Opens the copy and migrates it to the current schema.
fn open(copy: &Path, file: &Path) -> Result<Connection, AgentError> {
    let failed = |source| AgentError::database(file, source);
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    if data::steps_done(&connection, file)? == 0 {
        return Err(AgentError::Foreign { path: file.to_owned(), why: "is no database of an agent".to_owned() });
    }
    data::migrate(&connection, file)?;
    connection.execute_batch("PRAGMA query_only=ON; PRAGMA cell_size_check=OFF;").map_err(failed)?;
    Ok(connection)
}

fn copy_all(from: &Connection, into: &Path) -> Result<Salvaged, AgentError> {
    let mut database = Database::open(into)?;
    let damaged = database.write(|to| {
        let mut damaged = Vec::new();
        for (table, key) in COPIED {
            if !copy_table(from, to, table, key)? {
                damaged.push(table);
            }
        }
        // Accepted scripts may have been started since the damage: without a folder, they count as lost.
        to.execute("UPDATE job_run SET state = 'started' WHERE state = 'accepted'", [])?;
        data::remove(to, REBUILT)?;
        Ok(damaged)
    })?;
    // Another agent may have made decisions since the damage. Therefore due times up to now count as decided, and waiting runs are given up.
    let (mut ledger, now) = (database.load()?.ledger, Timestamp::now());
    for task in ledger.tasks.values_mut() {
        task.until = task.until.max(now);
        task.runs.retain(|run| !matches!(run.state, State::Asked | State::Waiting { .. }));
    }
    let rows = database.write(|to| {
        data::write_ledger(to, &ledger, ledger.tasks.keys().map(String::as_str))?;
        let count = |table| Ok((table, to.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))? as u64));
        COPIED.iter().map(|(table, _)| count(*table)).collect::<rusqlite::Result<Vec<_>>>()
    })?;
    Ok(Salvaged { database: into.join(DATABASE), rows, damaged })
}
