//! Finds what runs for longer than it should: by its own timeout, or by three times what the slowest of its name took.
//!
//! What begins is judged once, by the history of that time, and waits in a heap for its limit; nothing is scanned.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use monitor_wire::{Event, ProcessOverdue, WorkerId};
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::changes::{Line, NONE};
use super::entries::Item;
use super::{Transaction, Writer};
use crate::store::Changes;
use crate::store::sqlite::dictionary::Dictionary;
use crate::store::sqlite::expected::RUNNING;
use crate::store::sqlite::ids;

/// So many that run are watched; for more nothing is said.
const MAX_WATCHED: usize = 1_000_000;
/// So many are found at a time; the others are in a second.
const MAX_FOUND: usize = 1_000;
/// What is open at the start, by what its limit depends on; at most ?1.
pub(in super::super) const OPEN: &str = "SELECT open.root, open.id, open.worker, process.at + root.base, site.name, \
    json_extract(CAST(process.more AS TEXT), '$.started.what.timeout_ms') FROM open \
    CROSS JOIN process ON process.root = open.root AND process.id = open.id CROSS JOIN root ON root.number = open.root \
    CROSS JOIN site ON site.id = process.site LIMIT ?1";

/// A process that began, and what its limit depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// Number of the root, and key of the process.
    pub of: (i64, i64),
    /// By the server's clock, as far as that of the worker is known.
    pub began_us: i64,
    pub name: Option<i64>,
    pub timeout_ms: Option<u64>,
}

/// By when a process is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_us: i64,
    of: (i64, i64),
    limit_ns: u64,
    /// By its own timeout.
    by_timeout: bool,
}

/// What runs and has a limit.
#[derive(Default)]
pub(super) struct Watch {
    heap: BinaryHeap<Reverse<Due>>,
    /// Those that are known to be overdue.
    pub overdue: HashSet<(i64, i64)>,
    is_loaded: bool,
}

impl Watch {
    /// Takes what a transaction began.
    pub(super) fn add(&mut self, connection: &Connection, dictionary: &mut Dictionary, begun: Begun) -> Result<()> {
        let by_timeout = begun.timeout_ms.map(|timeout| timeout.saturating_mul(1_000_000));
        let limit = match (by_timeout, begun.name) {
            (Some(limit), _) => Some(limit),
            (None, Some(name)) => dictionary.expected(connection, name)?.and_then(|expected| expected.limit_ns()),
            (None, None) => None,
        };
        if let Some(limit) = limit.filter(|_| self.heap.len() < MAX_WATCHED) {
            let at_us = begun.began_us.saturating_add((limit / 1_000) as i64);
            self.heap.push(Reverse(Due { at_us, of: begun.of, limit_ns: limit, by_timeout: by_timeout.is_some() }));
        }
        Ok(())
    }

    /// What ran before this server began.
    fn load(&mut self, connection: &Connection, dictionary: &mut Dictionary) -> Result<()> {
        let mut statement = connection.prepare("SELECT root, id FROM overdue")?;
        self.overdue = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
        let mut statement = connection.prepare(OPEN)?;
        let mut rows = statement.query([MAX_WATCHED as i64])?;
        while let Some(row) = rows.next()? {
            let offset_us = clock_offset_us(connection, row.get(2)?)?.unwrap_or(0);
            let begun = Begun {
                of: (row.get(0)?, row.get(1)?),
                began_us: row.get::<_, i64>(3)?.saturating_sub(offset_us),
                name: row.get(4)?,
                timeout_ms: row.get::<_, Option<i64>>(5)?.map(|timeout| timeout as u64),
            };
            self.add(connection, dictionary, begun)?;
        }
        self.is_loaded = true;
        Ok(())
    }

    /// Those whose time is up, most of which have ended long ago.
    fn due(&mut self, connection: &Connection, now_us: i64) -> Result<Vec<Due>> {
        let mut found: Vec<Due> = Vec::new();
        while let Some(Reverse(due)) = self.heap.peek().copied()
            && due.at_us <= now_us
            && found.len() < MAX_FOUND
        {
            self.heap.pop();
            let sql = "SELECT state FROM process WHERE root = ?1 AND id = ?2";
            let state: Option<i64> = connection.prepare_cached(sql)?.query_row([due.of.0, due.of.1], |row| row.get(0)).optional()?;
            if state == Some(RUNNING) && !self.overdue.contains(&due.of) && found.iter().all(|other| other.of != due.of) {
                found.push(due);
            }
        }
        Ok(found)
    }
}

fn clock_offset_us(connection: &Connection, worker: i64) -> Result<Option<i64>> {
    let sql = "SELECT lag FROM worker WHERE key = ?1";
    let lag: Option<i64> = connection.prepare_cached(sql)?.query_row([worker], |row| row.get(0)).optional()?.flatten();
    Ok(lag.map(|lag: i64| -lag))
}

impl Writer {
    /// Tells of what is overdue since the last time.
    pub(in super::super) fn find_overdue(&mut self, now_us: u64) -> Result<Changes> {
        if !self.is_trusted {
            self.transaction(|_| Ok(()))?;
        }
        if !self.watch.is_loaded {
            self.watch.load(&self.connection, &mut self.dictionary)?;
        }
        let due = self.watch.due(&self.connection, now_us as i64)?;
        if due.is_empty() {
            return Ok(Changes::none());
        }
        self.transaction(|transaction| due.iter().try_for_each(|due| transaction.tell_overdue(*due, now_us)))
    }
}

impl Transaction<'_> {
    fn tell_overdue(&mut self, Due { of, limit_ns, by_timeout, .. }: Due, now_us: u64) -> Result<()> {
        let (number, key) = of;
        let root = self.root(super::root_id(self.connection, number)?)?;
        let id = ids::process_id(key)?;
        let sql = "INSERT OR IGNORE INTO overdue(root, id, since) VALUES(?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute(params![number, key, now_us as i64])?;
        self.watch.overdue.insert(of);
        let reason = if by_timeout { "timeout" } else { "history" }.to_owned();
        let root_id = self.roots.entries[root as usize].row.id;
        let event = Event::ProcessOverdue(ProcessOverdue { root_id, id, time_us: now_us, limit_ns, reason });
        self.items.push(Item { number, id, root, line: self.lines.len() as u32 });
        self.lines.push(Line { batch: NONE, event: self.own.len() as u32, root, entry: NONE, worker: NONE });
        self.own.push((WorkerId::new(1).expect("not zero"), event));
        Ok(())
    }

    /// It no longer runs.
    pub(super) fn no_longer_overdue(&mut self, of: (i64, i64)) -> Result<()> {
        if self.watch.overdue.remove(&of) {
            self.connection.prepare_cached("DELETE FROM overdue WHERE root = ?1 AND id = ?2")?.execute([of.0, of.1])?;
        }
        Ok(())
    }
}
