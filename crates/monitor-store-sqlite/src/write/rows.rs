//! Statements that write rows of `process` and of its side tables: `rare`, `native`, `linked`, `failed` and `open`, which have rows for few
//! processes.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, Result, Statement, params};

use super::insert::{Inserts, NewRow, insert_many};
use crate::row::{ALL, FIND, INSERT, INSERT_SHORT, ProcessRow, SHORT, UPDATE};

/// A process without a row, with the number and the base of its tree.
struct NewProcess {
    row: ProcessRow,
    place: (i64, i64),
}

impl NewRow for NewProcess {
    const INSERT: &'static str = INSERT;

    fn insert_many() -> &'static str {
        static SQL: LazyLock<String> = LazyLock::new(|| insert_many(INSERT));
        &SQL
    }

    fn needs(&self) -> usize {
        if self.row.is_short() { SHORT } else { ALL }
    }

    fn bind(&self, statement: &mut Statement<'_>, before: usize, count: usize) -> Result<()> {
        self.row.bind(statement, before, count, self.place)
    }
}

/// Reads and writes rows of `process`. A `place` is the number and the base of a tree.
pub(super) struct ProcessRows<'a> {
    new: Inserts<'a, NewProcess>,
    find: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    insert_short: CachedStatement<'a>,
    update: CachedStatement<'a>,
}

impl<'a> ProcessRows<'a> {
    pub(super) fn prepare(connection: &'a Connection) -> Result<Self> {
        Ok(Self {
            new: Inserts::prepare(connection)?,
            find: connection.prepare_cached(FIND)?,
            insert: connection.prepare_cached(INSERT)?,
            insert_short: connection.prepare_cached(INSERT_SHORT)?,
            update: connection.prepare_cached(UPDATE)?,
        })
    }

    /// Returns the row of a process.
    pub(super) fn find(&mut self, key: i64, (root, base): (i64, i64)) -> Result<Option<ProcessRow>> {
        let mut rows = self.find.query([root, key])?;
        rows.next()?.map(|row| ProcessRow::read(row, base)).transpose()
    }

    /// Adds a process that has no row. It is written by this call or a later one.
    pub(super) fn add(&mut self, row: ProcessRow, place: (i64, i64)) -> Result<()> {
        self.new.add(NewProcess { row, place })
    }

    /// Inserts a process unless it has a row. Returns true if it was inserted.
    pub(super) fn insert(&mut self, row: &ProcessRow, place: (i64, i64)) -> Result<bool> {
        row.write(if row.is_short() { &mut self.insert_short } else { &mut self.insert }, place)
    }

    /// Updates the row of a process.
    pub(super) fn update(&mut self, row: &ProcessRow, place: (i64, i64)) -> Result<()> {
        row.write(&mut self.update, place).map(drop)
    }

    /// Writes the rows that [`Self::add`] has kept back.
    pub(super) fn finish(self) -> Result<()> {
        self.new.finish()
    }
}

/// Data of a process in side tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SideRows {
    /// Key of its kind, if that is rare.
    pub kind: Option<i64>,
    /// Hash of its id in another system.
    pub native: Option<i64>,
    /// Hashes of the processes in other trees that it links to.
    pub links: Vec<i64>,
    /// End and parent, if it failed.
    pub failed: Option<(i64, Option<i64>)>,
}

/// New rows of the side tables, except `failed` and `open`.
#[derive(Default)]
pub(super) struct NewSideRows {
    rare: Vec<NewSideRow<RARE>>,
    native: Vec<NewSideRow<NATIVE>>,
    linked: Vec<NewSideRow<LINKED>>,
}

impl NewSideRows {
    /// Deletes side rows that no longer apply, and keeps new rows for [`Self::write`]. Rows of `failed` are inserted at once. The arguments
    /// are the number and base of the tree, and the process key.
    pub(super) fn change(
        &mut self,
        connection: &Connection,
        ((root, base), id): ((i64, i64), i64),
        before: &SideRows,
        after: &SideRows,
    ) -> Result<()> {
        if before.kind != after.kind {
            if let Some(kind) = before.kind {
                connection.prepare_cached(DELETE_RARE)?.execute([kind, root, id])?;
            }
            self.rare.extend(after.kind.map(|kind| NewSideRow(kind, root, id)));
        }
        if before.native != after.native {
            if let Some(hash) = before.native {
                connection.prepare_cached(DELETE_NATIVE)?.execute([hash, root, id])?;
            }
            self.native.extend(after.native.map(|hash| NewSideRow(hash, root, id)));
        }
        if before.links != after.links {
            for hash in before.links.iter().filter(|hash| !after.links.contains(hash)) {
                connection.prepare_cached(DELETE_LINKED)?.execute([*hash, root, id])?;
            }
            let new = after.links.iter().filter(|hash| !before.links.contains(hash));
            self.linked.extend(new.map(|hash| NewSideRow(*hash, root, id)));
        }
        if before.failed != after.failed {
            if let Some((ended, _)) = before.failed {
                let sql = "DELETE FROM failed WHERE root = ?1 AND ended = ?2 AND id = ?3";
                connection.prepare_cached(sql)?.execute([root, ended - base, id])?;
            }
            if let Some((ended, parent)) = after.failed {
                let sql = "INSERT INTO failed(root, ended, id, parent) VALUES(?1, ?2, ?3, ?4)";
                connection.prepare_cached(sql)?.execute(params![root, ended - base, id, parent])?;
            }
        }
        Ok(())
    }

    /// Writes the new rows.
    pub(super) fn write(self, connection: &Connection) -> Result<()> {
        insert_sorted(connection, self.rare)?;
        insert_sorted(connection, self.native)?;
        insert_sorted(connection, self.linked)
    }
}

/// Indexes in [`SIDE_INSERTS`].
const RARE: usize = 0;
const NATIVE: usize = 1;
const LINKED: usize = 2;

const SIDE_INSERTS: [&str; 3] = [
    "INSERT INTO rare(kind, root, id) VALUES(?1, ?2, ?3)",
    "INSERT INTO native(hash, root, id) VALUES(?1, ?2, ?3)",
    "INSERT INTO linked(hash, root, id) VALUES(?1, ?2, ?3)",
];

/// Deletes the row of a process whose kind has changed.
const DELETE_RARE: &str = "DELETE FROM rare WHERE kind = ?1 AND root = ?2 AND id = ?3";
/// Deletes the row of a process whose id in another system has changed.
pub(super) const DELETE_NATIVE: &str = "DELETE FROM native WHERE hash = ?1 AND root = ?2 AND id = ?3";

/// Deletes the row of a link.
pub(super) const DELETE_LINKED: &str = "DELETE FROM linked WHERE hash = ?1 AND root = ?2 AND id = ?3";

/// A new row of a side table: kind or hash, root number and process key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NewSideRow<const TABLE: usize>(i64, i64, i64);

impl<const TABLE: usize> NewRow for NewSideRow<TABLE> {
    const INSERT: &'static str = SIDE_INSERTS[TABLE];

    fn insert_many() -> &'static str {
        static SQL: LazyLock<Vec<String>> = LazyLock::new(|| SIDE_INSERTS.map(insert_many).to_vec());
        &SQL[TABLE]
    }

    fn needs(&self) -> usize {
        3
    }

    fn bind(&self, statement: &mut Statement<'_>, before: usize, _: usize) -> Result<()> {
        for (index, number) in [self.0, self.1, self.2].into_iter().enumerate() {
            statement.raw_bind_parameter(before + index + 1, number)?;
        }
        Ok(())
    }
}

/// Inserts rows in key order.
fn insert_sorted<const TABLE: usize>(connection: &Connection, mut new: Vec<NewSideRow<TABLE>>) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    new.sort_unstable();
    let mut inserts = Inserts::prepare(connection)?;
    for row in new {
        inserts.add(row)?;
    }
    inserts.finish()
}

/// Inserts or deletes the row of an open process, whose state depends on a worker. `place` is the worker key, root number and process key.
pub(super) fn set_open(connection: &Connection, place: (i64, i64, i64), is_open: bool) -> Result<usize> {
    let sql = if is_open {
        "INSERT INTO open(worker, root, id) VALUES(?1, ?2, ?3)"
    } else {
        "DELETE FROM open WHERE worker = ?1 AND root = ?2 AND id = ?3"
    };
    connection.prepare_cached(sql)?.execute(place)
}
