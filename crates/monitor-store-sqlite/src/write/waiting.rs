//! Events that do not name the tree of their process.
//!
//! Such an event has an id of another system. Its tree is the tree of another event with the same process and id. The event waits up to a
//! day for such an event. If it does not arrive, or if too many events wait, the event is given up and counted as dropped for its sender.

use monitor_state::ProcessEvent;
use monitor_store::packed::PackedEvent;
use monitor_wire::{Event, ProcessId, RootId, Unplaced, WorkerId};
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::changes::NONE;
use super::entries::{Entry, Item};
use super::{Transaction, tally};
use crate::dictionary::hash;
use crate::ids;
use crate::row::Known;

/// Maximum number of waiting events. Further events are given up at once.
pub(super) const MOST: i64 = 100_000;
/// Maximum waiting time.
const AGE_US: u64 = 86_400 * 1_000_000;
/// Maximum number of expired events given up per transaction.
const GIVEN_UP: i64 = 10_000;
/// Reason under which they are counted as dropped.
const NO_TREE: &str = "no-tree";

/// Oldest tree with process ?2, by the hash ?1 of its id in another system.
pub(in super::super) const TREE_OF: &str = "SELECT root.id FROM native JOIN root ON root.number = native.root WHERE native.hash = ?1 AND native.id = ?2 ORDER BY native.root LIMIT 1";
/// Events that wait for a process.
pub(in super::super) const WAITING_FOR: &str = "SELECT worker, number, event FROM waiting WHERE id = ?1 AND native = ?2";
/// Events that have waited since before ?1.
pub(in super::super) const OLD: &str = "SELECT id, native, worker, number, event FROM waiting WHERE since < ?1 ORDER BY since LIMIT ?2";

/// An event whose tree was found.
pub(super) struct Placed {
    root: u32,
    id: ProcessId,
    /// Line of the event; [`NONE`] if an earlier transaction received it.
    line: u32,
    worker: WorkerId,
    number: u64,
    event: Event,
}

impl Transaction<'_> {
    /// Finds the trees of new events that name none, and the waiting events whose trees this transaction names.
    pub(super) fn place(&mut self) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        for line in std::mem::take(&mut self.unplaced) {
            let of = self.lines[line as usize];
            let gathered = &self.batches[of.batch as usize];
            let (worker, number) = (gathered.worker, gathered.packed.sequence + u64::from(of.event));
            let packed = gathered.packed.clone();
            let PackedEvent::Other(event) = &packed.events[of.event as usize] else { continue };
            let Event::Unplaced(unplaced) = &**event else { continue };
            let id = unplaced.id.unwrap_or_else(|| monitor_store::native::process_id(&unplaced.native_source, unplaced.native_id()));
            match self.tree_of(id, hash(unplaced.native_id()))? {
                Some(root) => {
                    self.lines[line as usize].root = root;
                    self.push_placed(&mut placed, (root, id), line, (worker, number), unplaced);
                }
                None => self.keep_waiting(id, (worker, number), unplaced)?,
            }
        }
        let mut named: Vec<_> = std::mem::take(&mut self.named).into_iter().collect();
        named.sort_unstable();
        if !named.is_empty() && self.is_any_waiting()? {
            for ((id, native), root) in named {
                self.take_waiting(id, native, root, &mut placed)?;
            }
        }
        Ok(placed)
    }

    fn push_placed(
        &mut self,
        placed: &mut Vec<Placed>,
        (root, id): (u32, ProcessId),
        line: u32,
        (worker, number): (WorkerId, u64),
        unplaced: &Unplaced,
    ) {
        let row = &self.roots.entries[root as usize].row;
        self.items.push(Item { number: row.number, id, root, line: NONE });
        placed.push(Placed { root, id, line, worker, number, event: unplaced.place(row.id, id) });
    }

    /// Returns the tree of a process, if an event of this transaction or the database names it.
    fn tree_of(&mut self, id: ProcessId, native: i64) -> Result<Option<u32>> {
        if let Some(root) = self.named.get(&(id, native)) {
            return Ok(Some(*root));
        }
        let mut statement = self.connection.prepare_cached(TREE_OF)?;
        let found: Option<RootId> = statement.query_row([native, ids::process_key(id)], |row| ids::root(row, 0)).optional()?;
        found.map(|root| self.root(root)).transpose()
    }

    fn is_any_waiting(&self) -> Result<bool> {
        let found = self.connection.prepare_cached("SELECT 1 FROM waiting LIMIT 1")?.query_row([], |_| Ok(())).optional()?;
        Ok(found.is_some())
    }

    fn keep_waiting(&mut self, id: ProcessId, (worker, number): (WorkerId, u64), unplaced: &Unplaced) -> Result<()> {
        let sql = "SELECT coalesce(sum(count), 0) FROM tally WHERE what = ?1";
        let before: i64 = self.connection.prepare_cached(sql)?.query_row([tally::WAITING], |row| row.get(0))?;
        if before + self.tallies.get(&(tally::WAITING, 0)).copied().unwrap_or(0) >= self.most_waiting {
            tracing::warn!(most = self.most_waiting, "too many events wait for the trees of their processes: gave up one more");
            return self.give_up_waiting(worker, unplaced.event());
        }
        let key = self.workers.get(self.connection, &mut self.tallies, worker)?.key;
        let event = serde_json::to_string(unplaced).expect("plain data with text keys is JSON");
        let values = params![ids::process_key(id), hash(unplaced.native_id()), key, number as i64, self.now_us as i64, event];
        let sql = "INSERT INTO waiting(id, native, worker, number, since, event) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
        self.connection.prepare_cached(sql)?.execute(values)?;
        self.count(tally::WAITING, 0, 1);
        Ok(())
    }

    fn take_waiting(&mut self, id: ProcessId, native: i64, root: u32, placed: &mut Vec<Placed>) -> Result<()> {
        let key = ids::process_key(id);
        let mut statement = self.connection.prepare_cached(WAITING_FOR)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?));
        let found = statement.query_map([key, native], row)?.collect::<Result<Vec<_>>>()?;
        for (worker, number, event) in &found {
            let worker = self.dictionary.worker_id(self.connection, *worker)?;
            let unplaced: Unplaced = ids::from_json(2, event.as_bytes())?;
            self.push_placed(placed, (root, id), NONE, (worker, *number as u64), &unplaced);
        }
        if !found.is_empty() {
            self.connection.prepare_cached("DELETE FROM waiting WHERE id = ?1 AND native = ?2")?.execute([key, native])?;
            self.count(tally::WAITING, 0, -(found.len() as i64));
        }
        Ok(())
    }

    /// Folds the events whose trees were found.
    pub(super) fn apply_placed(&mut self, placed: &[Placed], entries: &mut [Entry]) {
        for Placed { root, id, line, worker, number, event } in placed {
            let Some(about) = ProcessEvent::of(event) else { continue };
            let of = self.roots.entries[*root as usize].row.number;
            let Some(index) = self.find(entries, of, *root, *id) else { continue };
            let entry = &mut entries[index];
            entry.is_told_of = true;
            if let Known::Plain(plain) = entry.known {
                entry.known = Known::Full(Box::new(self.facts(&plain)));
            }
            if let Known::Full(facts) = &mut entry.known {
                facts.apply(*number, *worker, &about);
            }
            if *line != NONE {
                self.lines[*line as usize].entry = index as u32;
            }
        }
    }

    fn give_up_waiting(&mut self, worker: WorkerId, event: &Event) -> Result<()> {
        self.workers.get(self.connection, &mut self.tallies, worker)?.drop_more(event.type_name(), NO_TREE, None, 1);
        Ok(())
    }

    /// Gives up expired events.
    pub(super) fn give_up_old(&mut self, now_us: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(OLD)?;
        let row = |row: &rusqlite::Row<'_>| {
            let key: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((key, row.get::<_, String>(4)?))
        };
        let old = statement.query_map([before(now_us), GIVEN_UP], row)?.collect::<Result<Vec<_>>>()?;
        for (key, event) in &old {
            let worker = self.dictionary.worker_id(self.connection, key[2])?;
            let unplaced: Unplaced = ids::from_json(4, event.as_bytes())?;
            self.give_up_waiting(worker, unplaced.event())?;
            let sql = "DELETE FROM waiting WHERE id = ?1 AND native = ?2 AND worker = ?3 AND number = ?4";
            self.connection.prepare_cached(sql)?.execute(*key)?;
        }
        self.count(tally::WAITING, 0, -(old.len() as i64));
        tracing::warn!(events = old.len(), "gave up events without a tree: within a day, no other event named their tree");
        Ok(())
    }
}

#[cfg(test)]
impl super::Writer {
    /// Sets the maximum number of waiting events.
    pub(in super::super) fn keep_waiting(&mut self, most: i64) {
        self.most_waiting = most;
    }
}

/// Events received before this time have expired.
fn before(now_us: u64) -> i64 {
    now_us.saturating_sub(AGE_US).min(i64::MAX as u64) as i64
}

/// True if a waiting event has expired.
pub(super) fn is_old(connection: &Connection, now_us: u64) -> Result<bool> {
    let sql = "SELECT 1 FROM waiting WHERE since < ?1 LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([before(now_us)], |_| Ok(())).optional()?.is_some())
}
