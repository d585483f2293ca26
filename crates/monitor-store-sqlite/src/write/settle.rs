//! Settles gathered events: decides which rows to write and updates counts, lists and sums. The SQL statements are in `rows.rs` and in the
//! files of the other tables.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt as _};
use monitor_state::ProcessFacts;
use monitor_wire::{Kind, RootId, State, UnknownEvent, WorkerId};
use rusqlite::{Result, params};

use super::changes::{Happened, NONE};
use super::entries::{Before, Entry, Item};
use super::failures::Failure;
use super::overdue::Begun;
use super::rollups::Finished;
use super::roots::RootEntry;
use super::rows::{self, ProcessRows, SideRows};
use super::timings::{Step, Timings};
use super::{Counter, Transaction, root_id, tally};
use crate::expected::Outlook;
use crate::ids::{self, KNOWN_STATES, code};
use crate::row::{Known, Plain, ProcessRow, relay};
use crate::{links, native};

/// Maximum distance between the starts of a tree's processes and its base, 32 days. Trees beyond it, for example because of a wrong clock,
/// are listed in `wide`, so that a search by time does not have to examine all trees. The database depends on this value.
const WIDE_US: i64 = 32 * 86_400 * 1_000_000;

/// Reason of events dropped because their tree has the maximum number of processes.
const FULL: &str = "full";

/// Open processes of a worker.
pub(in super::super) const LEFT: &str = "SELECT root, id FROM open WHERE worker = ?1";

impl Transaction<'_> {
    /// Folds the gathered events, writes the results, and returns the changes, the new counters, the timings and the number of the last
    /// sign.
    pub(super) fn settle(mut self) -> Result<(Happened, Counter, Timings, Option<u64>)> {
        self.counter.events += self.lines.iter().filter(|line| line.batch != NONE).count() as u64;
        let left = self.gather_left()?;
        let placed = self.place()?;
        let mut entries = self.fold();
        self.apply_placed(&placed, &mut entries);
        self.settle_bases(&entries);
        self.timings.done(Step::Fold);
        let mut rows = ProcessRows::prepare(self.connection)?;
        for entry in &mut entries {
            entry.left_by = left.get(&(entry.root, entry.id)).copied();
            self.settle_process(entry, &mut rows)?;
        }
        rows.finish()?;
        std::mem::take(&mut self.side_rows).write(self.connection)?;
        self.count_refused(&entries)?;
        self.settle_logs()?;
        let signed = self.write_signs()?;
        self.timings.done(Step::Rows);
        self.settle_roots(&entries)?;
        self.timings.done(Step::Roots);
        self.failures.write(self.connection)?;
        self.counter.rolled = self.rollups.write(self.connection, self.counter.rolled, self.now_us)?;
        self.workers.write(self.connection, &mut self.tallies)?;
        self.timings.done(Step::Sums);
        let told = self.tell(entries)?;
        self.timings.done(Step::Tell);
        self.log_events(&told)?;
        self.timings.done(Step::Log);
        self.write_sums()?;
        self.write_counts()?;
        for begun in self.begun {
            self.watch.add(self.connection, self.dictionary, begun)?;
        }
        self.timings.done(Step::Sums);
        self.timings.full_text = self.dictionary.take_full_text();
        Ok((told, self.counter, self.timings, signed))
    }

    /// Returns the open processes of workers whose status has changed, with their workers.
    fn gather_left(&mut self) -> Result<HashMap<(u32, monitor_wire::ProcessId), WorkerId>> {
        let mut left = HashMap::new();
        for worker in self.workers.changed() {
            let key = self.workers.known(worker).map(|row| row.key);
            let mut statement = self.connection.prepare_cached(LEFT)?;
            let mut rows = statement.query([key])?;
            let mut last = None;
            while let Some(row) = rows.next()? {
                let (number, id): (i64, i64) = (row.get(0)?, row.get(1)?);
                let root = match last {
                    Some((last, root)) if last == number => root,
                    _ => match root_id(self.connection, number)? {
                        Some(id) => Some(self.root(id)?),
                        None => None,
                    },
                };
                last = Some((number, root));
                // Remaining rows of a dropped tree have no state.
                let Some(root) = root else { continue };
                let id = ids::process_id(id)?;
                left.entry((root, id)).or_insert(worker);
                self.items.push(Item { number, id, root, line: NONE });
            }
        }
        Ok(left)
    }

    /// Merges a process with its stored row, updates the counts, and writes it.
    fn settle_process(&mut self, entry: &mut Entry, rows: &mut ProcessRows<'_>) -> Result<()> {
        let key = ids::process_key(entry.id);
        let root = &mut self.roots.entries[entry.root as usize];
        let (tree, place) = (root.row.id, root.row.place());
        let may_be_new = root.before.is_none() || matches!(&entry.known, Known::Plain(plain) if plain.start.is_some());
        let mut before = None;
        // Stored processes of a full tree are still updated.
        let is_full = root.row.processes() >= self.most_processes;
        if entry.is_told_of && root.is_beyond(self.connection, key)? {
            if is_full {
                self.refuse(entry);
                return Ok(());
            }
            let row = self.row(entry)?;
            self.settled(entry, &row, None)?;
            return rows.add(row, place);
        }
        if entry.is_told_of && may_be_new && !is_full {
            let row = self.row(entry)?;
            if rows.insert(&row, place)? {
                return self.settled(entry, &row, None);
            }
        }
        let found = rows.find(key, place)?;
        if let Some(row) = &found {
            let known = row.known(self.connection, self.dictionary)?;
            before = Some(self.before((tree, place.0), row, &known)?);
            self.merge(&mut entry.known, &known);
        } else if is_full {
            self.refuse(entry);
            return Ok(());
        } else if !entry.is_told_of {
            // The process has only log lines so far, and no row.
            return Ok(());
        }
        if entry.is_told_of || entry.left_by.is_some() {
            let row = self.row(entry)?;
            if found.is_some() {
                rows.update(&row, place)?;
            } else {
                rows.insert(&row, place)?;
            }
            return self.settled(entry, &row, before);
        }
        self.row(entry)?;
        entry.is_there = true;
        Ok(())
    }

    /// Discards the facts of a process that is not stored.
    fn refuse(&mut self, entry: &mut Entry) {
        entry.known = Known::Plain(Plain::default());
        entry.is_told_of = false;
        entry.is_refused = true;
        self.refused.insert((self.roots.entries[entry.root as usize].row.number, ids::process_key(entry.id)));
    }

    /// Counts the events of discarded processes as dropped, for their senders.
    fn count_refused(&mut self, entries: &[Entry]) -> Result<()> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let mut counts = BTreeMap::<(WorkerId, u32, &str), u64>::new();
        for line in self.lines.iter().filter(|line| line.batch != NONE) {
            if let Some(entry) = entries.get(line.entry as usize).filter(|entry| entry.is_refused) {
                let of = &self.batches[line.batch as usize];
                *counts.entry((of.worker, entry.root, of.packed.type_name(line.event as usize))).or_default() += 1;
            }
        }
        for ((worker, root, event_type), count) in counts {
            let root = self.roots.entries[root as usize].row.id;
            self.workers.get(self.connection, &mut self.tallies, worker)?.drop_more(event_type, FULL, Some(root), count);
        }
        Ok(())
    }

    /// Returns the new row of a process. Sets its view and its outlook.
    fn row(&mut self, entry: &mut Entry) -> Result<ProcessRow> {
        let row = self.plain_row(entry)?;
        if let Some(site) = row.site.filter(|_| row.state == code::RUNNING) {
            let number = self.roots.entries[entry.root as usize].row.number;
            let name = self.dictionary.site(self.connection, site)?.name_key;
            let expected = self.dictionary.expected(self.connection, name)?;
            let outlook = Outlook { expected, is_overdue: self.watch.overdue.contains(&(number, row.id)) };
            entry.outlook = (outlook.is_overdue || expected.is_some()).then(|| Box::new(outlook));
        }
        Ok(row)
    }

    fn plain_row(&mut self, entry: &mut Entry) -> Result<ProcessRow> {
        match &entry.known {
            Known::Plain(plain) => {
                if plain.is_open() {
                    let worker = self.words.origins[&plain.origin].0;
                    self.workers.load(self.connection, &mut self.tallies, worker)?;
                    entry.status = self.workers.status(worker);
                }
                let state = ids::known_code(&plain.state(entry.status)).expect("a plain process is in a state that is known");
                Ok(ProcessRow::plain(entry.id, plain, state))
            }
            Known::Full(facts) => {
                for worker in facts.open_at() {
                    self.workers.load(self.connection, &mut self.tallies, worker)?;
                }
                let root = self.roots.entries[entry.root as usize].row.id;
                let view = facts.view(root, entry.id, &mut |worker| self.workers.status(worker));
                let worker = match view.worker_id {
                    Some(worker) => Some(self.workers.get(self.connection, &mut self.tallies, worker)?.key),
                    None => None,
                };
                let relay = self.worker_key(relay(facts, &view))?;
                let row = ProcessRow::full(self.connection, self.dictionary, facts, &view, worker, relay)?;
                entry.view = Some(Box::new(view));
                Ok(row)
            }
        }
    }

    /// Returns the key of a worker, 0 if there is none.
    pub(super) fn worker_key(&mut self, worker: Option<WorkerId>) -> Result<i64> {
        worker.map_or(Ok(0), |worker| Ok(self.workers.get(self.connection, &mut self.tallies, worker)?.key))
    }

    /// Updates counts, lists, sums and signs after a process was written.
    fn settled(&mut self, entry: &mut Entry, row: &ProcessRow, before: Option<Before>) -> Result<()> {
        entry.is_there = true;
        entry.is_written = true;
        let is_known = before.is_some();
        let before = before.unwrap_or_default();
        let RootEntry { row: root, is_wide, .. } = &mut self.roots.entries[entry.root as usize];
        let (tree, number, place) = (root.id, root.number, root.place());
        root.last_us = root.last_us.max(row.at);
        root.greatest = root.greatest.map(|greatest| greatest.max(row.id));
        let after = row.at - root.base_us;
        if after.abs() > WIDE_US {
            *is_wide = true;
        } else {
            self.counter.longest = self.counter.longest.max(after);
            self.counter.earliest = self.counter.earliest.max(-after);
        }
        if !is_known || before.state != row.state {
            if is_known {
                *root.count(before.state) -= 1;
            }
            *root.count(row.state) += 1;
            for (code, change) in [(before.state, -i64::from(is_known)), (row.state, 1)] {
                self.count_state(code, change);
            }
        }
        let side_rows = self.side_rows(tree, row, &entry.known)?;
        let is_renamed = is_known && before.side_rows.native != side_rows.native;
        if before.side_rows != side_rows {
            self.side_rows.change(self.connection, (place, row.id), &before.side_rows, &side_rows)?;
        }
        let finished = self.finished(&entry.known, entry.view.as_deref(), row.state)?;
        let failure = self.failure(finished, row.error, (number, row.id))?;
        self.failures.change(before.failure, failure);
        self.rollups.change(before.finished, finished);
        if let (Known::Full(facts), Some(view)) = (&entry.known, &entry.view)
            && let Some((fold, told_us)) = facts.counted()
        {
            let name = self.dictionary.searched_key(self.connection, &view.name)?;
            self.rollups.grow(before.fold.as_ref(), &fold, told_us, name);
        }
        if let Some(view) = &mut entry.view {
            self.settle_run(view)?;
            self.settle_task(number, row, view, is_renamed)?;
        }
        let signed = Some(before.state).filter(|_| before.is_defined);
        if signed != Some(row.state) {
            self.sign_of_process(entry, row, signed)?;
        }
        let open_at = self.open_at(&entry.known);
        let is_retrying = row.state == code::RETRYING;
        if (open_at.is_empty() || is_retrying) && !before.open_at.is_empty() {
            self.no_longer_overdue((number, row.id))?;
        } else if is_retrying {
            // A process that waits for its next attempt can't be overdue.
        } else if let Some(worker) = open_at
            .first()
            .filter(|_| before.open_at.is_empty() || matches!((before.state, row.state), (code::LOST | code::RETRYING, code::RUNNING)))
        {
            self.begin(entry, (number, row), *worker)?;
        }
        for (workers, others, is_open) in [(&before.open_at, &open_at, false), (&open_at, &before.open_at, true)] {
            for worker in workers.iter().filter(|worker| !others.contains(worker)) {
                let worker = self.workers.get(self.connection, &mut self.tallies, *worker)?;
                worker.open += if is_open { 1 } else { -1 };
                rows::set_open(self.connection, (worker.key, number, row.id), is_open)?;
            }
        }
        Ok(())
    }

    /// Notes that a process has started, so that its limit is watched.
    fn begin(&mut self, entry: &Entry, (number, row): (i64, &ProcessRow), worker: WorkerId) -> Result<()> {
        let offset_us = self.workers.known(worker).map_or(0, super::workers::WorkerRow::clock_offset_us);
        let (timeout_ms, at) = match &entry.known {
            Known::Full(facts) => (facts.timeout_ms(), facts.attempt_at_us() as i64),
            Known::Plain(_) => (None, row.at),
        };
        let name = match row.site {
            Some(site) => Some(self.dictionary.site(self.connection, site)?.name_key),
            None => None,
        };
        self.begun.push(Begun { of: (number, row.id), began_us: at.saturating_sub(offset_us), name, timeout_ms });
        Ok(())
    }

    /// Returns the data of a process in side tables.
    fn side_rows(&mut self, tree: RootId, row: &ProcessRow, known: &Known) -> Result<SideRows> {
        let site = match row.site {
            Some(key) => Some(self.words.sites.get(&key).cloned().map_or_else(|| self.dictionary.site(self.connection, key), Ok)?),
            None => None,
        };
        let is_queued = matches!(known, Known::Full(facts) if facts.task.is_some());
        let kind = site.filter(|site| !(is_queued && site.kind == Kind::TASK)).and_then(|site| site.rare_kind);
        let has_failed = row.state == code::FAILED;
        Ok(SideRows {
            kind,
            native: native::hash_of(known),
            links: links::hashes_of(known, Some(tree)),
            failed: has_failed.then(|| (row.ended.unwrap_or(row.at), row.parent)),
        })
    }

    pub(super) fn count_state(&mut self, code: i64, change: i64) {
        match self.roots.states.get_mut(code as usize).filter(|_| (code as usize) < KNOWN_STATES) {
            Some(count) => *count += change,
            None => self.count(tally::PROCESSES, code, change),
        }
    }

    fn before(&mut self, (tree, number): (RootId, i64), row: &ProcessRow, known: &Known) -> Result<Before> {
        if let Known::Plain(plain) = known {
            let words = plain.words(self.connection, self.dictionary)?;
            self.words.learn(plain, words);
        }
        let view = match known {
            Known::Plain(_) => None,
            Known::Full(facts) => Some(plain_view(facts)),
        };
        let finished = self.finished(known, view.as_ref(), row.state)?;
        let (open_at, side_rows) = (self.open_at(known), self.side_rows(tree, row, known)?);
        let failure = self.failure(finished, row.error, (number, row.id))?;
        let fold = if let Known::Full(facts) = known { facts.counted().map(|(fold, _)| fold) } else { None };
        Ok(Before { state: row.state, is_defined: row.site.is_some(), open_at, finished, failure, fold, side_rows })
    }

    fn failure(&mut self, finished: Option<Finished>, message: Option<i64>, place: (i64, i64)) -> Result<Option<Failure>> {
        let Some((finished, message)) = finished.filter(|finished| finished.state == code::FAILED).zip(message) else { return Ok(None) };
        let shape = self.dictionary.shape_key(self.connection, message)?;
        Ok(Some(Failure { finished, message, shape, place }))
    }

    /// Returns the contribution of a process to the roll-ups.
    fn finished(&mut self, known: &Known, view: Option<&monitor_wire::Process>, state: i64) -> Result<Option<Finished>> {
        match known {
            // Counted at the start, because a later event may change the time of the loss.
            Known::Plain(Plain { start: Some(start), .. }) if state == code::LOST => {
                let name = self.words.sites[&start.site].name_key;
                Ok(Some(Finished { ended_us: start.time_us, name, state, elapsed_ns: 0 }))
            }
            Known::Full(facts) if state == code::LOST && facts.finished().is_none() => {
                let Some(view) = view.filter(|_| facts.is_defined()) else { return Ok(None) };
                let name = self.dictionary.searched_key(self.connection, &view.name)?;
                Ok(Some(Finished { ended_us: facts.at_us(), name, state, elapsed_ns: 0 }))
            }
            Known::Plain(plain @ Plain { start: Some(start), end: Some(end), .. }) => Ok(Some(Finished {
                ended_us: end.time_us,
                name: self.words.sites[&start.site].name_key,
                state: ids::known_code(&end.outcome.state()).expect("a plain outcome is known"),
                elapsed_ns: plain.elapsed_ns().unwrap_or(0),
            })),
            Known::Plain(_) => Ok(None),
            Known::Full(facts) => {
                let (Some((_, ended)), Some(view)) = (facts.finished(), view) else { return Ok(None) };
                let state = State::from(ended.what.outcome.as_str());
                Ok(Some(Finished {
                    ended_us: ended.stamp.time_us,
                    name: self.dictionary.searched_key(self.connection, &view.name)?,
                    state: ids::state_code(self.connection, self.dictionary, &state)?,
                    elapsed_ns: view.elapsed_ns.unwrap_or(0),
                }))
            }
        }
    }

    /// Returns the workers that the state of a process depends on.
    fn open_at(&self, known: &Known) -> Vec<WorkerId> {
        match known {
            Known::Plain(plain) if plain.is_open() => vec![self.words.origins[&plain.origin].0],
            Known::Plain(_) => Vec::new(),
            Known::Full(facts) => facts.open_at(),
        }
    }

    pub(super) fn keep_unknown(&mut self, number: u64, batch_worker: WorkerId, unknown: &UnknownEvent) -> Result<()> {
        let worker = self.workers.get(self.connection, &mut self.tallies, batch_worker)?.key;
        let kind = self.dictionary.text_key(self.connection, &unknown.event_type)?;
        self.count(tally::UNKNOWN, kind, 1);
        let body = serde_json::to_string(unknown).expect("plain data with text keys is JSON");
        let sql = "INSERT OR IGNORE INTO unknown(worker, number, type, body) VALUES(?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(params![worker, number as i64, kind, body])?;
        Ok(())
    }
}

/// Returns the view of a process as if all its workers were online. The values of finished processes do not depend on them.
fn plain_view(facts: &ProcessFacts) -> monitor_wire::Process {
    let nowhere = RootId::new(1).expect("not zero");
    facts.view(nowhere, monitor_wire::ProcessId::new(1).expect("not zero"), &mut |_| monitor_state::WorkerStatus::Online)
}
