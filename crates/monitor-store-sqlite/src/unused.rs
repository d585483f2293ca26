//! Finds texts, origins and workers that nothing refers to any more, because their trees were deleted.
//!
//! A search scans all tables with references in steps and sets a bit for each key that is referred to. The writer may add references
//! between two steps. It empties its dictionary when the search begins and records each key that it looks up from then on; these keys are
//! not deleted. A reference may also be copied from one table to another. The source of a copy is scanned before its target, so that no
//! reference is missed.

use rusqlite::{Connection, Result, params_from_iter};

use super::dictionary::Touched;

/// Maximum number of rows scanned in a step, so that no snapshot is held for long.
const LOOKED_AT: usize = 100_000;
/// Maximum number of keys checked in a step, so that no batch waits for long.
const JUDGED: usize = 4_000;

/// A search. It first scans all references and then deletes the rows that nothing refers to.
pub(super) struct Unused {
    texts: Used,
    origins: Used,
    workers: Used,
    /// Index of the table in [`TABLES`] that is scanned.
    table: usize,
    /// Key of the last scanned row of that table.
    after: Vec<i64>,
}

/// Keys that existed when the search began, with a bit for each key that something refers to.
struct Used {
    bits: Vec<u64>,
    /// Greatest of these keys. Its row is never deleted, because a new row would get the same key.
    most: i64,
    /// Last key that has been checked.
    judged: i64,
}

/// A table with references.
struct Table {
    name: &'static str,
    /// Numeric columns of its key. Empty for a small table, which is scanned as a whole.
    key: &'static [&'static str],
    /// Columns or expressions with keys of texts, null if there is no text.
    texts: &'static [&'static str],
    origins: &'static [&'static str],
    workers: &'static [&'static str],
}

/// Key of the text of a state that this build doesn't know. The codes of these states begin at 16.
macro_rules! other_state {
    () => {
        "iif(state >= 16, state - 16, NULL)"
    };
}

const TABLES: [Table; 14] = [
    Table {
        name: "process",
        key: &["root", "id"],
        texts: &["error", "cause", "batch", other_state!()],
        origins: &["origin"],
        workers: &[],
    },
    Table {
        name: "root",
        key: &["number"],
        texts: &["name", "batch", "error", "cause", "line", other_state!()],
        origins: &[],
        workers: &["worker"],
    },
    Table {
        name: "log",
        key: &["root", "process", "time", "worker", "number"],
        texts: &["level", "target", "stream"],
        origins: &[],
        workers: &["worker", "about"],
    },
    Table { name: "waiting", key: &["id", "native", "worker", "number"], texts: &[], origins: &[], workers: &["worker"] },
    Table {
        name: "queue_task",
        key: &["key"],
        texts: &["name", other_state!(), "iif(phase >= 16, phase - 16, NULL)"],
        origins: &[],
        workers: &["worker"],
    },
    Table { name: "queue_count", key: &[], texts: &["name", other_state!()], origins: &[], workers: &[] },
    Table { name: "open", key: &["worker", "root", "id"], texts: &[], origins: &[], workers: &["worker"] },
    Table { name: "site", key: &[], texts: &["name", "kind", "file"], origins: &[], workers: &[] },
    Table { name: "origin", key: &[], texts: &["thread"], origins: &[], workers: &["relay"] },
    Table { name: "failure", key: &[], texts: &["shape", "name", "message"], origins: &[], workers: &[] },
    Table { name: "rollup", key: &[], texts: &["name", other_state!()], origins: &[], workers: &[] },
    Table { name: "root_count", key: &[], texts: &["name", other_state!()], origins: &[], workers: &[] },
    Table { name: "worker_events", key: &[], texts: &["type"], origins: &[], workers: &[] },
    // Roots and processes by state, and unknown events by type.
    Table {
        name: "tally",
        key: &[],
        texts: &["iif(what = 3, of, NULL)", "iif(what < 2 AND of >= 16, of - 16, NULL)"],
        origins: &[],
        workers: &[],
    },
];

impl Table {
    fn sql(&self) -> String {
        let columns: Vec<_> = [self.key, self.texts, self.origins, self.workers].concat();
        let all = format!("SELECT {} FROM {}", columns.join(", "), self.name);
        if self.key.is_empty() {
            return all;
        }
        let (key, values) = (self.key.join(", "), vec!["?"; self.key.len()].join(", "));
        format!("{all} WHERE ({key}) > ({values}) ORDER BY {key} LIMIT {LOOKED_AT}")
    }
}

/// Returns the statements for the tables that are scanned in parts, with the number of their values.
#[cfg(test)]
pub(super) fn statements() -> impl Iterator<Item = (String, usize)> {
    TABLES.iter().filter(|table| !table.key.is_empty()).map(|table| (table.sql(), table.key.len()))
}

impl Used {
    fn begin(connection: &Connection, table: &str, key: &str) -> Result<Self> {
        let most = connection.query_row(&format!("SELECT coalesce(max({key}), 0) FROM {table}"), [], |row| row.get(0))?;
        Ok(Self { bits: vec![0; most as usize / 64 + 1], most, judged: 0 })
    }

    fn mark(&mut self, key: i64) {
        if let Some(bits) = usize::try_from(key).ok().and_then(|key| self.bits.get_mut(key / 64)) {
            *bits |= 1 << (key % 64);
        }
    }

    /// Checks up to `rest` keys, subtracts their number from `rest`, and returns those that nothing refers to.
    fn judge(&mut self, rest: &mut usize) -> Vec<i64> {
        let first = self.judged + 1;
        let last = self.judged.saturating_add(*rest as i64).min(self.most - 1);
        *rest -= usize::try_from(last - self.judged).unwrap_or(0);
        self.judged = self.judged.max(last);
        (first..=last).filter(|key| self.bits[*key as usize / 64] & (1 << (key % 64)) == 0).collect()
    }

    fn is_judged(&self) -> bool {
        self.judged >= self.most - 1
    }
}

impl Unused {
    /// Begins a search. The writer must record the keys that it looks up from now on.
    pub(super) fn begin(connection: &Connection) -> Result<Self> {
        Ok(Self {
            texts: Used::begin(connection, "text", "id")?,
            origins: Used::begin(connection, "origin", "id")?,
            workers: Used::begin(connection, "worker", "key")?,
            table: 0,
            after: Vec::new(),
        })
    }

    /// Scans more references. Returns true if there are more.
    pub(super) fn look(&mut self, connection: &Connection) -> Result<bool> {
        let Some(table) = TABLES.get(self.table) else { return Ok(false) };
        let mut statement = connection.prepare_cached(&table.sql())?;
        self.after.resize(table.key.len(), i64::MIN);
        let mut rows = statement.query(params_from_iter(&self.after))?;
        let (mut looked_at, key) = (0, table.key.len());
        while let Some(row) = rows.next()? {
            looked_at += 1;
            for (column, after) in self.after.iter_mut().enumerate() {
                *after = row.get(column)?;
            }
            let lists = [(table.texts, &mut self.texts), (table.origins, &mut self.origins), (table.workers, &mut self.workers)];
            let mut column = key;
            for (columns, used) in lists {
                for _ in columns {
                    row.get::<_, Option<i64>>(column)?.into_iter().for_each(|key| used.mark(key));
                    column += 1;
                }
            }
        }
        if key == 0 || looked_at < LOOKED_AT {
            self.table += 1;
            self.after.clear();
        }
        Ok(self.table < TABLES.len())
    }

    /// Deletes some of the rows that nothing refers to and whose keys were not looked up since the search began. Returns true if there are
    /// more. `drop_worker` deletes a worker unless it may still send events.
    pub(super) fn drop_some(
        &mut self,
        connection: &Connection,
        touched: &Touched,
        mut drop_worker: impl FnMut(i64) -> Result<()>,
    ) -> Result<bool> {
        let mut rest = JUDGED;
        let mut statement = connection.prepare_cached("SELECT value FROM text WHERE id = ?1 AND found")?;
        let mut parts = connection.prepare_cached("INSERT INTO text_parts(text_parts, rowid, value) VALUES('delete', ?1, ?2)")?;
        let mut delete = connection.prepare_cached("DELETE FROM text WHERE id = ?1")?;
        for key in self.texts.judge(&mut rest).into_iter().filter(|key| !touched.texts.contains(key)) {
            if let Some(row) = statement.query([key])?.next()? {
                parts.execute((key, row.get_ref(0)?.as_str()?))?;
            }
            delete.execute([key])?;
        }
        let mut delete = connection.prepare_cached("DELETE FROM origin WHERE id = ?1")?;
        for key in self.origins.judge(&mut rest).into_iter().filter(|key| !touched.origins.contains(key)) {
            delete.execute([key])?;
        }
        for key in self.workers.judge(&mut rest) {
            drop_worker(key)?;
        }
        Ok(![&self.texts, &self.origins, &self.workers].into_iter().all(Used::is_judged))
    }
}
