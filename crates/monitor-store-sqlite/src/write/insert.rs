//! Inserts new rows with one statement per [`ROWS`] rows. Starting and ending a statement is half of its cost.

use rusqlite::{CachedStatement, Connection, Result, Statement};

/// Number of rows per statement. Twice as many are no faster.
const ROWS: usize = 16;

/// A row of a table.
pub(super) trait NewRow {
    /// SQL statement that inserts one row. Its parameters are numbered.
    const INSERT: &'static str;
    /// Returns the result of [`insert_many`] for [`Self::INSERT`].
    fn insert_many() -> &'static str;
    /// Number of parameters of [`Self::INSERT`] to bind; the rest are null.
    fn needs(&self) -> usize;
    /// Binds the first `count` parameters of [`Self::INSERT`] to the parameters after `before`.
    fn bind(&self, statement: &mut Statement<'_>, before: usize, count: usize) -> Result<()>;
}

/// Returns the statement that inserts [`ROWS`] rows.
pub(super) fn insert_many(insert: &str) -> String {
    let (head, values) = insert.split_once("VALUES").expect("it has values");
    let columns = values.matches('?').count();
    let row = |row: usize| {
        let parameters: Vec<_> = (1..=columns).map(|column| format!("?{}", row * columns + column)).collect();
        format!("({})", parameters.join(", "))
    };
    // `OR FAIL` spares SQLite the statement journal, with a copy of each changed page. The caller rolls back the transaction after an
    // error.
    let table = head.split_once("INTO").expect("it has a table").1;
    format!("INSERT OR FAIL INTO{table}VALUES {}", (0..ROWS).map(row).collect::<Vec<_>>().join(", "))
}

/// Inserts rows into a table in the given order.
pub(super) struct Inserts<'a, R> {
    many: CachedStatement<'a>,
    one: CachedStatement<'a>,
    rows: Vec<R>,
    /// Number of parameters bound for each row by the previous execution. SQLite keeps them, so the next execution must overwrite as many.
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

    /// Adds a row that the table does not contain. It is written by this call or a later one.
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

    /// Writes the remaining rows.
    pub(super) fn finish(mut self) -> Result<()> {
        let columns = self.one.parameter_count();
        for row in self.rows.drain(..) {
            row.bind(&mut self.one, 0, columns)?;
            self.one.raw_execute()?;
        }
        Ok(())
    }
}
