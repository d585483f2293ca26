//! The rows of a damaged table that can be read.

use rusqlite::types::Value;
use rusqlite::{Connection, Result, params_from_iter};

/// Number of places behind an unreadable row at which the next readable one is searched, each twice as far away as the one before.
const LOOKS: u32 = 62;

/// Copies the rows of a table that can be read: from the first one up to one that can't be read, and on behind that. `key` is the table's number,
/// or the first column of its key if that is a number. Returns true if all rows could be read.
///
/// # Errors
/// When the new database fails.
pub fn copy_table(from: &Connection, to: &Connection, table: &str, key: &str) -> Result<bool> {
    let columns: Vec<String> = {
        let mut statement = to.prepare("SELECT name FROM pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect::<Result<_>>()?
    };
    let (list, marks) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
    let mut insert = to.prepare(&format!("INSERT OR IGNORE INTO {table}({list}) VALUES({marks})"))?;
    let sql = format!("SELECT {key}, {list} FROM {table} NOT INDEXED WHERE {key} >= ?1 ORDER BY {key}");
    let (mut next, mut is_whole, mut looks) = (i64::MIN, true, 0);
    // A table that isn't there can't be read at any place.
    while looks < LOOKS {
        let mut reached = None;
        let copied = (|| {
            let mut statement = from.prepare(&sql)?;
            let mut rows = statement.query([next])?;
            while let Some(row) = rows.next()? {
                let values = (1..=columns.len()).map(|column| row.get(column)).collect::<Result<Vec<Value>>>()?;
                reached = Some(row.get::<_, i64>(0)?);
                // What its own table doesn't allow was no row.
                let _ = insert.execute(params_from_iter(values));
            }
            Ok::<_, rusqlite::Error>(())
        })();
        if copied.is_ok() {
            return Ok(is_whole);
        }
        is_whole = false;
        match reached {
            Some(reached) if reached >= next => (next, looks) = (reached.saturating_add(1), 0),
            // Keys are no less than 0 in all tables, the smallest number stands for the beginning.
            _ => {
                next = next.max(0).saturating_add(1 << looks);
                looks += 1;
            }
        }
    }
    Ok(false)
}
