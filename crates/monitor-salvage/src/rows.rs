//! The rows of a damaged table that can be read.

use rusqlite::types::Value;
use rusqlite::{Connection, Result, Row, Statement, params_from_iter};

/// Number of places behind an unreadable row at which the next readable one is searched, each twice as far away as the one before.
const LOOKS: u32 = 62;

/// Copies the readable rows of a table. After an unreadable row, it continues with the next readable row. `key` is the table's rowid, or the first
/// column of its key if that column is a number. Returns true if all rows could be read.
///
/// # Errors
/// If the new database fails.
pub fn copy_table(from: &Connection, to: &Connection, table: &str, key: &str) -> Result<bool> {
    let columns = columns(to, table)?;
    let mut insert = Insert::new(to, table, &columns)?;
    let sql = format!("SELECT {key}, {} FROM {table} NOT INDEXED WHERE {key} >= ?1 ORDER BY {key}", columns.join(", "));
    let (mut next, mut is_whole, mut looks) = (i64::MIN, true, 0);
    // A table that isn't there can't be read at any place.
    while looks < LOOKS {
        let mut reached = None;
        let copied = (|| {
            let mut statement = from.prepare(&sql)?;
            let mut rows = statement.query([next])?;
            while let Some(row) = rows.next()? {
                insert.row(row, 1)?;
                reached = Some(row.get::<_, i64>(0)?);
            }
            Ok::<_, rusqlite::Error>(())
        })();
        if copied.is_ok() {
            return Ok(is_whole);
        }
        is_whole = false;
        match reached {
            Some(reached) if reached >= next => (next, looks) = (reached.saturating_add(1), 0),
            // Keys are 0 or greater in all tables. `i64::MIN` means the start of the table.
            _ => {
                next = next.max(0).saturating_add(1 << looks);
                looks += 1;
            }
        }
    }
    Ok(false)
}

/// Copies the readable rows of a table whose key has no number in its first column: from the first row up to an unreadable one, and from the last row
/// back to an unreadable one. `key` contains the columns of the key. Returns true if all rows could be read.
///
/// # Errors
/// If the new database fails.
pub fn copy_named_table(from: &Connection, to: &Connection, table: &str, key: &[&str]) -> Result<bool> {
    let columns = columns(to, table)?;
    let mut insert = Insert::new(to, table, &columns)?;
    let mut copy = |direction: &str| {
        let order: Vec<String> = key.iter().map(|column| format!("{column} {direction}")).collect();
        let mut statement =
            from.prepare(&format!("SELECT {} FROM {table} NOT INDEXED ORDER BY {}", columns.join(", "), order.join(", ")))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            insert.row(row, 0)?;
        }
        Ok::<_, rusqlite::Error>(())
    };
    let is_whole = copy("ASC").is_ok();
    if !is_whole {
        // It ends at an unreadable row as well.
        let _ = copy("DESC");
    }
    Ok(is_whole)
}

/// Returns the columns of a table in the new database, each in quotes.
fn columns(to: &Connection, table: &str) -> Result<Vec<String>> {
    let mut statement = to.prepare("SELECT name FROM pragma_table_info(?1)")?;
    statement.query_map([table], |row| Ok(format!("\"{}\"", row.get::<_, String>(0)?)))?.collect()
}

/// Inserts rows into a table of the new database.
struct Insert<'a> {
    statement: Statement<'a>,
    columns: usize,
}

impl<'a> Insert<'a> {
    fn new(to: &'a Connection, table: &str, columns: &[String]) -> Result<Self> {
        let marks = vec!["?"; columns.len()].join(", ");
        let statement = to.prepare(&format!("INSERT OR IGNORE INTO {table}({}) VALUES({marks})", columns.join(", ")))?;
        Ok(Self { statement, columns: columns.len() })
    }

    /// Inserts a row whose columns begin at `first`. Fails if the row can't be read.
    fn row(&mut self, row: &Row<'_>, first: usize) -> Result<()> {
        let values = (first..first + self.columns).map(|column| row.get(column)).collect::<Result<Vec<Value>>>()?;
        // A row that violates a constraint of the table is damaged, and is left out.
        let _ = self.statement.execute(params_from_iter(values));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const ROWS: usize = 4_000;
    const PAGE: usize = 4_096;

    fn database(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("CREATE TABLE a(name TEXT NOT NULL, \"to\" INTEGER, text TEXT, PRIMARY KEY(name, \"to\")) WITHOUT ROWID")
            .unwrap();
        connection
    }

    /// Copies a table of many pages after these bytes of the file were overwritten. Returns if all could be read, and the names that were.
    fn copied(damaged: std::ops::Range<usize>) -> (bool, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("from.db");
        let from = database(&path);
        from.execute_batch("BEGIN").unwrap();
        for number in 0..ROWS {
            from.execute("INSERT INTO a VALUES(?1, ?2, ?3)", (format!("{number:05}"), number as i64, "x".repeat(100))).unwrap();
        }
        from.execute_batch("COMMIT").unwrap();
        drop(from);
        let mut bytes = fs::read(&path).unwrap();
        let end = damaged.end.min(bytes.len());
        bytes[damaged.start.min(end)..end].fill(0x5a);
        fs::write(&path, bytes).unwrap();
        let to = database(&folder.path().join("to.db"));
        let is_whole = copy_named_table(&Connection::open(&path).unwrap(), &to, "a", &["name", "\"to\""]).unwrap();
        let names = to.prepare("SELECT name FROM a ORDER BY name").unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_>>();
        (is_whole, names.unwrap())
    }

    #[test]
    fn all_rows_of_a_whole_table_without_numbers_are_copied() {
        let (is_whole, names) = copied(0..0);
        assert!(is_whole && names.len() == ROWS);
    }

    #[test]
    fn rows_before_and_after_damaged_pages_are_copied() {
        let (is_whole, names) = copied(60 * PAGE..63 * PAGE);
        assert!(!is_whole && names.len() > ROWS * 9 / 10 && names.len() < ROWS, "{} rows", names.len());
        let (first, last) = (format!("{:05}", 0), format!("{:05}", ROWS - 1));
        assert_eq!((names.first(), names.last()), (Some(&first), Some(&last)));
    }

    #[test]
    fn a_table_that_cannot_be_found_gives_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (Connection::open_in_memory().unwrap(), database(&folder.path().join("to.db")));
        assert!(!copy_named_table(&from, &to, "a", &["name"]).unwrap());
    }
}
