//! Gets out of a damaged database what can be read, into a new one.

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

/// Tables whose rows are copied, with the columns that number them. What somebody asked of the agent is not: it is over.
const COPIED: [(&str, &str); 9] = [
    ("task", "rowid"),
    ("version", "rowid"),
    ("ledger", "rowid"),
    ("agent", "rowid"),
    ("run", "rowid"),
    ("decision", "number"),
    ("outbox", "number"),
    ("teller", "rowid"),
    ("publication", "number"),
];

/// What was got out.
#[derive(Debug)]
pub struct Salvaged {
    /// Where it is.
    pub database: PathBuf,
    /// Rows by table.
    pub rows: Vec<(&'static str, u64)>,
    /// Tables of which not all rows could be read.
    pub damaged: Vec<&'static str>,
}

/// Gets out of a damaged database what can be read, into a new folder of an agent. `damaged` is the file, or the folder of an agent that doesn't run.
/// The file stays as it is. An agent that goes on with the new folder starts nothing that was due before now.
///
/// # Errors
/// When an agent works with the database, there is none, the new folder has one, or nothing can be read.
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

/// Opens the copy, with the tables that this version knows.
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
        data::remove(to, REBUILT)?;
        Ok(damaged)
    })?;
    // Another agent may have decided since: what was due until now is over, and what waited is given up.
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
