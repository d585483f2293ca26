//! Ids of other systems: which hash they are found by, and finding them in a database from before they were.

use monitor_state::ProcessFacts;
use rusqlite::{Connection, Result};

use super::dictionary::hash;
use super::row::Known;

/// The hash by which a process is found; none without an id of another system.
pub(super) fn hash_of(known: &Known) -> Option<i64> {
    match known {
        Known::Plain(_) => None,
        Known::Full(facts) => native_id(facts).map(hash),
    }
}

/// The id that another system gave a process.
pub(super) fn native_id(facts: &ProcessFacts) -> Option<&str> {
    facts.native_id.as_ref().map(|(_, native_id)| native_id.as_str())
}

/// Fills the table of a database whose facts are JSON.
pub(super) fn fill(connection: &Connection) -> Result<()> {
    let sql = "SELECT root, id, json_extract(CAST(more AS TEXT), '$.native_id[1]') AS native FROM process \
               WHERE more IS NOT NULL AND native IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut insert = connection.prepare("INSERT OR IGNORE INTO native(hash, root, id) VALUES(?1, ?2, ?3)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        insert.execute([hash(row.get_ref(2)?.as_str()?), row.get(0)?, row.get(1)?])?;
    }
    Ok(())
}
