//! Finds processes that run longer than expected. The limit is the timeout of the process, or else three times the 99th percentile of past
//! successful runs with the same name.
//!
//! The limit is computed once, when a process starts. A heap sorted by due time holds the running processes, so no scan of the database is
//! needed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use foldhash::{HashMap, HashSet};
use monitor_store::Changes;
use monitor_wire::{Event, ProcessOverdue, WorkerId};
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::changes::{Line, NONE};
use super::entries::Item;
use super::{Transaction, Writer};
use crate::batch::long_pauses;
use crate::dictionary::Dictionary;
use crate::ids::{self, code};
use crate::row::{Known, ProcessRow};

/// Maximum number of watched processes. Beyond it, overdue processes are not reported.
const MAX_WATCHED: usize = 1_000_000;
/// Limits of a search: processes found, processes looked up in the database, and heap entries of ended processes. The next search, about a
/// second later, continues with the rest.
const MAX_FOUND: usize = 1_000;
const MAX_LOOKED_UP: usize = 10_000;
const MAX_ENDED: usize = 100_000;
/// The heap may contain up to this many more ended than running processes.
const SPARE: usize = 1_000;
/// Open processes when the server starts, with the columns that their limits depend on; at most ?1.
pub(in super::super) const OPEN: &str = "SELECT process.id, parent, site, origin, process.at, skew, process.elapsed, process.state, \
    start_no, end_no, process.error, process.cause, process.batch, more, open.root, root.base, open.worker, site.name FROM open \
    CROSS JOIN process ON process.root = open.root AND process.id = open.id CROSS JOIN root ON root.number = open.root \
    CROSS JOIN site ON site.id = process.site LIMIT ?1";

/// Processes recorded as overdue.
pub(in super::super) const OVERDUE: &str = "SELECT root, id FROM overdue";

/// A process that has started, with the values that its limit depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// Root number and process key.
    pub of: (i64, i64),
    /// Start time by the server's clock, if the offset of the worker's clock is known.
    pub began_us: i64,
    pub name: Option<i64>,
    pub timeout_ms: Option<u64>,
}

/// Time at which a process becomes overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_us: i64,
    of: (i64, i64),
    limit_ns: u64,
    /// True if the limit is the timeout of the process.
    by_timeout: bool,
}

/// Running processes with a limit.
#[derive(Default)]
pub(super) struct Watch {
    /// Sorted by due time. May contain processes that have ended.
    heap: BinaryHeap<Reverse<Due>>,
    /// Due times of the processes in the heap that have not ended.
    running: HashMap<(i64, i64), i64>,
    /// Processes recorded as overdue.
    pub overdue: HashSet<(i64, i64)>,
    is_loaded: bool,
    is_full: bool,
}

impl Watch {
    /// Watches a process that has started, if it has a limit.
    pub(super) fn add(&mut self, connection: &Connection, dictionary: &mut Dictionary, begun: Begun) -> Result<()> {
        let by_timeout = begun.timeout_ms.map(|timeout| timeout.saturating_mul(1_000_000));
        let limit = match (by_timeout, begun.name) {
            (Some(limit), _) => Some(limit),
            (None, Some(name)) => dictionary.expected(connection, name)?.and_then(|expected| expected.limit_ns()),
            (None, None) => None,
        };
        if let Some(limit) = limit {
            let at_us = begun.began_us.saturating_add((limit / 1_000) as i64);
            self.push(Due { at_us, of: begun.of, limit_ns: limit, by_timeout: by_timeout.is_some() });
        }
        Ok(())
    }

    fn push(&mut self, due: Due) {
        if self.running.len() >= MAX_WATCHED {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::warn!("more than {MAX_WATCHED} processes run at a time: further processes are not reported when they are overdue");
            }
            return;
        }
        // A process that was lost and found again is still watched.
        if self.running.contains_key(&due.of) {
            return;
        }
        self.running.insert(due.of, due.at_us);
        self.heap.push(Reverse(due));
        if self.heap.len() > 2 * self.running.len() + SPARE {
            let running = &self.running;
            self.heap.retain(|Reverse(due)| running.get(&due.of) == Some(&due.at_us));
        }
    }

    /// Stops watching a process. Returns true if it was overdue.
    fn forget(&mut self, of: (i64, i64)) -> bool {
        self.running.remove(&of);
        self.overdue.remove(&of)
    }

    /// Creates a watch with the recorded overdue processes. [`Self::load`] adds the running processes.
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let mut statement = connection.prepare(OVERDUE)?;
        let overdue = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
        Ok(Self { overdue, ..Self::default() })
    }

    /// Adds the processes that were running when the server started.
    fn load(&mut self, connection: &Connection, dictionary: &mut Dictionary) -> Result<()> {
        let mut statement = connection.prepare(OPEN)?;
        let mut rows = statement.query([MAX_WATCHED as i64])?;
        while let Some(row) = rows.next()? {
            let offset_us = clock_offset_us(connection, row.get(16)?)?.unwrap_or(0);
            let process = ProcessRow::read(row, row.get(15)?)?;
            let timeout_ms = match process.known(connection, dictionary)? {
                Known::Full(facts) => facts.timeout_ms(),
                Known::Plain(_) => None,
            };
            let (of, began_us) = ((row.get(14)?, process.id), process.at.saturating_sub(offset_us));
            let begun = Begun { of, began_us, name: row.get(17)?, timeout_ms };
            self.add(connection, dictionary, begun)?;
        }
        self.is_loaded = true;
        Ok(())
    }

    /// Removes due processes from the heap. Returns those that still run and are not recorded as overdue.
    fn due(&mut self, connection: &Connection, now_us: i64) -> Result<Vec<Due>> {
        let mut found: Vec<Due> = Vec::new();
        let (mut looked_up, mut ended) = (0, 0);
        while let Some(Reverse(due)) = self.heap.peek().copied()
            && due.at_us <= now_us
            && found.len() < MAX_FOUND
            && looked_up < MAX_LOOKED_UP
            && ended < MAX_ENDED
        {
            self.heap.pop();
            if self.running.get(&due.of) != Some(&due.at_us) {
                ended += 1;
                continue;
            }
            looked_up += 1;
            // Allows the process to be added again if it is lost and found.
            self.running.remove(&due.of);
            let sql = "SELECT state FROM process WHERE root = ?1 AND id = ?2";
            let state: Option<i64> = connection.prepare_cached(sql)?.query_row([due.of.0, due.of.1], |row| row.get(0)).optional()?;
            if state == Some(code::RUNNING) && !self.overdue.contains(&due.of) {
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
    /// Records processes that have become overdue, and the start and end of long pauses of batch tasks.
    pub(in super::super) fn find_overdue(&mut self, now_us: u64) -> Result<Changes> {
        if !self.is_trusted {
            self.transaction(now_us, |_| Ok(()))?;
        }
        if !self.watch.is_loaded {
            self.watch.load(&self.connection, &mut self.dictionary)?;
        }
        let due = self.watch.due(&self.connection, now_us as i64)?;
        let paused = long_pauses(&self.connection, now_us, MAX_FOUND)?;
        if due.is_empty() && paused.is_empty() {
            return Ok(Changes::none());
        }
        self.transaction(now_us, |transaction| {
            paused.iter().try_for_each(|(task, is_over)| transaction.tell_pause(task, *is_over))?;
            due.iter().try_for_each(|due| transaction.tell_overdue(*due, now_us))
        })
    }
}

impl Transaction<'_> {
    fn tell_overdue(&mut self, Due { of, limit_ns, by_timeout, .. }: Due, now_us: u64) -> Result<()> {
        let (number, key) = of;
        // The tree has been dropped.
        let Some(root_id) = super::root_id(self.connection, number)? else { return Ok(()) };
        let root = self.root(root_id)?;
        let id = ids::process_id(key)?;
        let sql = "INSERT OR IGNORE INTO overdue(root, id, since) VALUES(?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute(params![number, key, now_us as i64])?;
        self.watch.overdue.insert(of);
        let reason = if by_timeout { "timeout" } else { "history" }.to_owned();
        let event = Event::ProcessOverdue(ProcessOverdue { root_id, id, time_us: now_us, limit_ns, reason });
        self.items.push(Item { number, id, root, line: self.lines.len() as u32 });
        self.lines.push(Line { batch: NONE, event: self.own.len() as u32, root, entry: NONE, worker: NONE });
        self.own.push((WorkerId::new(1).expect("not zero"), event));
        self.sign_of_overdue(of, root, id, (by_timeout, limit_ns))
    }

    /// Removes the overdue mark of a process that has ended or waits for its next attempt.
    pub(super) fn no_longer_overdue(&mut self, of: (i64, i64)) -> Result<()> {
        if self.watch.forget(of) {
            self.connection.prepare_cached("DELETE FROM overdue WHERE root = ?1 AND id = ?2")?.execute([of.0, of.1])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_processes_are_removed_and_running_processes_stay_in_order() {
        let mut watch = Watch::default();
        let due = |id: i64| Due { at_us: 1_000_000 - id, of: (1, id), limit_ns: 1, by_timeout: true };
        for id in 0..100_000 {
            watch.push(due(id));
            // Adding a process again has no effect.
            watch.push(Due { at_us: 0, ..due(id) });
            if id % 10 != 0 {
                watch.forget((1, id));
            }
        }
        assert_eq!(watch.running.len(), 10_000);
        assert!(watch.heap.len() <= 2 * 10_000 + SPARE, "{}", watch.heap.len());
        let kept: Vec<i64> = std::iter::from_fn(|| watch.heap.pop()).map(|Reverse(due)| due.of.1).filter(|id| id % 10 == 0).collect();
        assert_eq!(kept, (0..10_000).rev().map(|n| n * 10).collect::<Vec<_>>());
    }
}
