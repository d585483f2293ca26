//! Rows of processes that are surely new, many by one statement: half of what a statement costs is its beginning and its end.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, Result};

use crate::store::sqlite::row::{ALL, INSERT, ProcessRow, SHORT};

/// So many rows have a statement; twice as many gain nothing more.
const ROWS: usize = 16;

static INSERT_MANY: LazyLock<String> = LazyLock::new(|| {
    let row = |row: usize| {
        let parameters: Vec<_> = (1..=ALL).map(|column| format!("?{}", row * ALL + column)).collect();
        format!("({})", parameters.join(", "))
    };
    // A failure ends the transaction: so no page need be copied before the statement changes it.
    let head = INSERT.split("VALUES").next().expect("it has values").replace(" OR IGNORE", " OR FAIL");
    format!("{head}VALUES {}", (0..ROWS).map(row).collect::<Vec<_>>().join(", "))
});

/// Writes rows in the order in which it gets them.
pub(super) struct Inserts<'a> {
    many: CachedStatement<'a>,
    one: CachedStatement<'a>,
    rows: Vec<(ProcessRow, (i64, i64))>,
    /// Whether more than the short part of a row is bound since the last time.
    is_long: [bool; ROWS],
}

impl<'a> Inserts<'a> {
    pub(super) fn prepare(connection: &'a Connection) -> Result<Self> {
        Ok(Self {
            many: connection.prepare_cached(&INSERT_MANY)?,
            one: connection.prepare_cached(INSERT)?,
            rows: Vec::with_capacity(ROWS),
            is_long: [false; ROWS],
        })
    }

    /// Writes the row of a process that is not there, of the tree of this number and base, now or with one of the next.
    pub(super) fn add(&mut self, row: ProcessRow, place: (i64, i64)) -> Result<()> {
        self.rows.push((row, place));
        if self.rows.len() < ROWS {
            return Ok(());
        }
        for (index, (row, place)) in self.rows.drain(..).enumerate() {
            let is_long = !row.is_short();
            // What is bound stays so.
            let count = if is_long || self.is_long[index] { ALL } else { SHORT };
            row.bind(&mut self.many, index * ALL, count, place)?;
            self.is_long[index] = is_long;
        }
        self.many.raw_execute()?;
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        for (row, place) in self.rows.drain(..) {
            row.write(&mut self.one, place)?;
        }
        Ok(())
    }
}
