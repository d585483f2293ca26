//! Rows that are surely new, many by one statement: half of what a statement costs is its beginning and its end.

use rusqlite::{CachedStatement, Connection, Result, Statement};

/// So many rows have a statement; twice as many gain nothing more.
const ROWS: usize = 16;

/// A row of a table.
pub(super) trait NewRow {
    /// Writes one row; its parameters are numbered.
    const INSERT: &'static str;
    /// [`insert_many`] of it.
    fn insert_many() -> &'static str;
    /// How many parameters of [`Self::INSERT`] it needs; those behind them are null.
    fn needs(&self) -> usize;
    /// Binds the first `count` parameters of [`Self::INSERT`], those after `before` here.
    fn bind(&self, statement: &mut Statement<'_>, before: usize, count: usize) -> Result<()>;
}

/// The statement that writes as many rows as one takes.
pub(super) fn insert_many(insert: &str) -> String {
    let (head, values) = insert.split_once("VALUES").expect("it has values");
    let columns = values.matches('?').count();
    let row = |row: usize| {
        let parameters: Vec<_> = (1..=columns).map(|column| format!("?{}", row * columns + column)).collect();
        format!("({})", parameters.join(", "))
    };
    // A failure ends the transaction: so no page need be copied before the statement changes it.
    let table = head.split_once("INTO").expect("it has a table").1;
    format!("INSERT OR FAIL INTO{table}VALUES {}", (0..ROWS).map(row).collect::<Vec<_>>().join(", "))
}

/// Writes rows in the order in which it gets them.
pub(super) struct Inserts<'a, R> {
    many: CachedStatement<'a>,
    one: CachedStatement<'a>,
    rows: Vec<R>,
    /// How many parameters of each row are bound since the last time: what is bound stays so.
    bound: [usize; ROWS],
}

impl<'a, R: NewRow> Inserts<'a, R> {
    pub(super) fn prepare(connection: &'a Connection) -> Result<Self> {
        Ok(Self {
            many: connection.prepare_cached(R::insert_many())?,
            one: connection.prepare_cached(R::INSERT)?,
            rows: Vec::with_capacity(ROWS),
            bound: [0; ROWS],
        })
    }

    /// Writes a row that is not there, now or with one of the next.
    pub(super) fn add(&mut self, row: R) -> Result<()> {
        self.rows.push(row);
        if self.rows.len() < ROWS {
            return Ok(());
        }
        let columns = self.one.parameter_count();
        for (index, row) in self.rows.drain(..).enumerate() {
            let needs = row.needs();
            row.bind(&mut self.many, index * columns, needs.max(self.bound[index]))?;
            self.bound[index] = needs;
        }
        self.many.raw_execute()?;
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        let columns = self.one.parameter_count();
        for row in self.rows.drain(..) {
            row.bind(&mut self.one, 0, columns)?;
            self.one.raw_execute()?;
        }
        Ok(())
    }
}
