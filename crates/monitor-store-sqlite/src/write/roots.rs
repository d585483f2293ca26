//! Roots of a transaction. A root shows the values of its face: its own process, or its earliest process if its own is unknown. This file
//! selects the face and the error to show.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};

use foldhash::HashMap;
use monitor_state::{AttemptNow, Failing, MOST_CHILDREN, MOST_ON_PATH, Why, decisive};
use monitor_store::RootKey;
use monitor_wire::{Attachment, Error, ProcessId, Progress, RootId, State};
use rusqlite::{Connection, OptionalExtension, Result, Statement};

use super::entries::Entry;
use super::insert::{Inserts, NewRow, insert_many};
use super::{Transaction, tally};
use crate::ids::{self, KNOWN_STATES, code};
use crate::lines;
use crate::roots::{RootRow, SECOND_US, attempt_in_file, find_row};
use crate::row::{Known, ProcessRow};

/// Finds the root's own process. Reads the whole tree, so it is used only if the previous one has a later start or a parent now.
pub(in super::super) const OWN: &str =
    "SELECT at, id FROM process WHERE root = ?1 AND parent IS NULL AND site IS NOT NULL ORDER BY at, id LIMIT 1";

/// Finds the earliest process. Reads the whole tree, so it is used only if the previous one has a later start or a parent now.
pub(in super::super) const EARLIEST: &str = "SELECT at, id FROM process WHERE root = ?1 ORDER BY at, id LIMIT 1";

/// Failed children of a process, latest end first.
pub(in super::super) const FAILED_BELOW: &str =
    "SELECT id FROM failed INDEXED BY failed_parent WHERE root = ?1 AND parent = ?2 ORDER BY ended DESC, id DESC LIMIT ?3";
/// Processes without a known parent among the failed processes with the latest ends. They are shown below the root's own process.
pub(in super::super) const FAILED_ORPHANS: &str = "SELECT id FROM \
    (SELECT id, parent FROM failed WHERE root = ?1 ORDER BY ended DESC, id DESC LIMIT ?2) AS f \
    WHERE parent IS NULL OR parent = id OR NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = ?1 AND p.id = f.parent)";

/// Process of a root with the greatest key.
pub(in super::super) const GREATEST: &str = "SELECT id FROM process WHERE root = ?1 ORDER BY id DESC LIMIT 1";

/// Maximum number of roots cached between transactions.
const MAX_REMEMBERED: usize = 50_000;

/// Recently written roots that are still running.
#[derive(Default)]
pub(super) struct RootCache {
    rows: HashMap<RootId, RootRow>,
    /// Greatest root id in the database; `None` until it is read.
    greatest: Option<RootId>,
}

impl RootCache {
    /// Removes a dropped root.
    pub(super) fn forget(&mut self, id: RootId) {
        self.rows.remove(&id);
    }

    /// True if the id is greater than all root ids in the database. This is usually the case for a new tree and saves the search for its
    /// row.
    fn is_newest(&mut self, connection: &Connection, id: RootId) -> Result<bool> {
        if self.greatest.is_none() {
            let sql = "SELECT id FROM root ORDER BY id DESC LIMIT 1";
            self.greatest = connection.prepare_cached(sql)?.query_row([], |row| ids::root(row, 0)).optional()?;
        }
        Ok(self.greatest.is_none_or(|greatest| id > greatest))
    }

    /// Adds a root that was written.
    fn add(&mut self, row: &RootRow) {
        self.greatest = self.greatest.max(Some(row.id));
        // Trees that have ended rarely receive more events.
        if row.is_running() {
            self.rows.insert(row.id, row.clone());
        }
    }

    pub(super) fn trim(&mut self) {
        if self.rows.len() > MAX_REMEMBERED {
            // Running roots are likely to be needed again.
            self.rows.retain(|_, row| row.counts[1] > 0);
            if self.rows.len() > MAX_REMEMBERED / 2 {
                self.rows.clear();
            }
        }
    }
}

/// The roots of a transaction, each once.
#[derive(Default)]
pub(super) struct Roots {
    pub entries: Vec<RootEntry>,
    by_id: HashMap<RootId, u32>,
    last: Option<(RootId, u32)>,
    /// Changes to the number of roots, by name and state.
    by_name: BTreeMap<(i64, i64), i64>,
    /// Changes to the number of processes, by state code.
    pub states: [i64; KNOWN_STATES],
}

/// A root of a transaction.
pub(super) struct RootEntry {
    pub row: RootRow,
    /// Values of the indexed columns before the transaction; `None` for a new root.
    pub before: Option<Indexed>,
    /// Greatest process key before the transaction; `None` until it is needed.
    greatest: Option<i64>,
    /// True if the start of a process is more than 32 days from the root's base.
    pub is_wide: bool,
}

impl RootEntry {
    /// True if the key is greater than all process keys of the root in the database, so that the process must be new.
    pub(super) fn is_beyond(&mut self, connection: &Connection, key: i64) -> Result<bool> {
        let greatest = match self.greatest.or(self.row.greatest) {
            Some(greatest) => greatest,
            None => connection.prepare_cached(GREATEST)?.query_row([self.row.number], |row| row.get(0)).optional()?.unwrap_or(i64::MIN),
        };
        self.greatest = Some(greatest);
        self.row.greatest.get_or_insert(greatest);
        Ok(key > greatest)
    }
}

/// Values of the columns whose indexes must be updated with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Indexed {
    state: i64,
    name: i64,
    batch: Option<i64>,
    worker: Option<i64>,
    error: ErrorKeys,
    begin_us: u64,
    own: (bool, bool),
}

/// Start and id of a process that is the face of a root.
type Face = (u64, ProcessId);

/// Keys of an error's message and of its other parts.
type ErrorKeys = Option<(i64, i64)>;

impl Transaction<'_> {
    pub(super) fn count_root(&mut self, name: i64, state: i64, change: i64) {
        self.count(tally::ROOTS, state, change);
        *self.roots.by_name.entry((name, state)).or_default() += change;
    }

    /// Writes the changed numbers of roots by name and state.
    pub(super) fn write_root_counts(&self) -> Result<()> {
        let sql = "INSERT INTO root_count(name, state, count) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + ?3";
        let mut write = self.connection.prepare_cached(sql)?;
        let mut clear = self.connection.prepare_cached("DELETE FROM root_count WHERE name = ?1 AND state = ?2 AND count = 0")?;
        for ((name, state), change) in self.roots.by_name.iter().filter(|(_, change)| **change != 0) {
            write.execute([*name, *state, *change])?;
            if *change < 0 {
                clear.execute([*name, *state])?;
            }
        }
        Ok(())
    }

    /// Returns the index of a root in the transaction. Assigns a number to a new root.
    pub(super) fn root(&mut self, id: RootId) -> Result<u32> {
        if let Some((last, index)) = self.roots.last
            && last == id
        {
            return Ok(index);
        }
        let index = match self.roots.by_id.get(&id) {
            Some(index) => *index,
            None => self.new_root(id)?,
        };
        self.roots.last = Some((id, index));
        Ok(index)
    }

    fn new_root(&mut self, id: RootId) -> Result<u32> {
        let found = match self.cache.rows.remove(&id) {
            Some(row) => Some(row),
            None if self.cache.is_newest(self.connection, id)? => None,
            None => match find_row(self.connection, RootKey::Id(id))? {
                Some(row) => Some(RootRow { attempt: attempt_in_file(self.connection, self.dictionary, &row)?, ..row }),
                None => None,
            },
        };
        let before = found.as_ref().map(RootRow::indexed);
        let mut row = if let Some(row) = found {
            row
        } else {
            self.counter.root += 1;
            let name = self.dictionary.searched_key(self.connection, "")?;
            RootRow {
                number: self.counter.root,
                id,
                base_us: i64::MAX,
                last_us: i64::MIN,
                process: None,
                is_own: false,
                is_unattached: false,
                at_us: 0,
                name,
                batch: None,
                worker: None,
                state: code::PENDING,
                started_us: None,
                ended_us: None,
                elapsed_ns: None,
                error: None,
                line: None,
                progress: None,
                attempt: AttemptNow::default(),
                counts: [0; KNOWN_STATES + 1],
                is_pinned: false,
                heard_us: 0,
                greatest: Some(i64::MIN),
            }
        };
        row.heard_us = row.heard_us.max(self.heard_us.unwrap_or(0));
        let index = self.roots.entries.len() as u32;
        self.roots.by_id.insert(id, index);
        self.roots.entries.push(RootEntry { greatest: row.greatest, row, before, is_wide: false });
        Ok(index)
    }

    /// Sets the base of new roots to the earliest known time. Process times are stored relative to the base.
    pub(super) fn settle_bases(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.is_told_of) {
            let root = &mut self.roots.entries[entry.root as usize];
            if root.before.is_none() {
                root.row.base_us = root.row.base_us.min(entry.at_us() as i64);
            }
        }
        for root in &mut self.roots.entries {
            if root.row.base_us == i64::MAX {
                root.row.base_us = 0;
            }
            root.row.last_us = root.row.last_us.max(root.row.base_us);
        }
    }

    /// Updates the roots from their processes, whose rows must have been written, and writes them.
    pub(super) fn settle_roots(&mut self, entries: &[Entry]) -> Result<()> {
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let (own, others) = rest.split_at(rest.partition_point(|entry| entry.root == first.root));
            self.settle_root(first.root, own)?;
            rest = others;
        }
        let mut inserts = Inserts::prepare(self.connection)?;
        let mut order: Vec<usize> = (0..self.roots.entries.len()).collect();
        order.sort_unstable_by_key(|index| self.roots.entries[*index].row.number);
        for index in order {
            self.write_root(index, &mut inserts)?;
        }
        inserts.finish()?;
        self.write_root_counts()?;
        for code in 0..KNOWN_STATES {
            self.count(tally::PROCESSES, code as i64, self.roots.states[code]);
        }
        Ok(())
    }

    fn settle_root(&mut self, index: u32, entries: &[Entry]) -> Result<()> {
        let row = &self.roots.entries[index as usize].row;
        let old = row.face();
        let (face, is_own) = self.face(index, entries)?;
        let Some((at_us, id)) = face else { return Ok(()) };
        // Any written process can change the failing path. For example, a parent that arrives late may have succeeded.
        let had_failed = row.state == code::FAILED;
        let is_touched = |entry: &Entry| entry.is_written && (entry.id == id || had_failed);
        if face == old && !entries.iter().any(is_touched) {
            return Ok(());
        }
        let place = row.place();
        let shown = match entries.binary_search_by_key(&id, |entry| entry.id) {
            Ok(at) if entries[at].is_there => self.face_of(&entries[at].known, entries[at].status, index, id)?,
            _ => self.face_in_file(index, place, id)?,
        };
        let error = if shown.state == code::FAILED { self.error_of_path(place, id, is_own)? } else { shown.error };
        let row = &self.roots.entries[index as usize].row;
        let line = if error == row.error { row.line } else { self.line_of(error)? };
        let row = &mut self.roots.entries[index as usize].row;
        *row = RootRow { process: Some(id), at_us, is_own, error, line, progress: shown.progress, ..row.clone() };
        (row.name, row.batch, row.worker, row.state) = (shown.name, shown.batch, shown.worker, shown.state);
        row.is_unattached = is_own && shown.is_unattached;
        row.attempt = shown.attempt;
        (row.started_us, row.ended_us, row.elapsed_ns) = (shown.started_us, shown.ended_us, shown.elapsed_ns);
        Ok(())
    }

    /// Returns the root's own process, or else the earliest process, and true if it is the root's own.
    fn face(&self, index: u32, entries: &[Entry]) -> Result<(Option<Face>, bool)> {
        let row = &self.roots.entries[index as usize].row;
        let there = || entries.iter().filter(|entry| entry.is_there);
        let place = |entry: &Entry| (entry.at_us(), entry.id);
        let own = there().filter(|entry| entry.is_top()).map(place).min();
        let Some(old) = row.face() else {
            return Ok(match own {
                Some(own) => (Some(own), true),
                None => (there().map(place).min(), false),
            });
        };
        // If the old face was not touched or did not move to a later time, it still precedes all processes that the transaction does not
        // touch.
        let touched = there().find(|entry| entry.id == old.1);
        let stays = touched.is_none_or(|entry| place(entry) <= old && (entry.is_top() || !row.is_own));
        if row.is_own {
            if stays {
                return Ok((Some(old).filter(|_| touched.is_none()).into_iter().chain(own).min(), true));
            }
            return Ok(match self.find_face(OWN, row.place())? {
                Some(own) => (Some(own), true),
                None => (self.find_face(EARLIEST, row.place())?, false),
            });
        }
        if let Some(own) = own {
            return Ok((Some(own), true));
        }
        if stays {
            return Ok((Some(old).filter(|_| touched.is_none()).into_iter().chain(there().map(place).min()).min(), false));
        }
        Ok((self.find_face(EARLIEST, row.place())?, false))
    }

    fn find_face(&self, sql: &str, (number, base): (i64, i64)) -> Result<Option<Face>> {
        let face = |row: &rusqlite::Row<'_>| Ok(((row.get::<_, i64>(0)? + base) as u64, ids::process_id(row.get(1)?)?));
        self.connection.prepare_cached(sql)?.query_row([number], face).optional()
    }

    /// Returns the error of a failed root: the first error on its failing path that names a reason, or else the first error. The path
    /// starts at the face.
    fn error_of_path(&mut self, place: (i64, i64), face: ProcessId, is_own: bool) -> Result<ErrorKeys> {
        let mut why = Why::default();
        let (mut seen, mut next) = (HashSet::from([face]), self.failing(place, face)?);
        for _ in 0..MOST_ON_PATH {
            let Some((last, keys)) = next.take() else { break };
            if why.take(last.error.as_deref(), || keys) {
                break;
            }
            let mut ids = self.ids_of(FAILED_BELOW, [place.0, ids::process_key(last.id), MOST_CHILDREN as i64])?;
            if is_own && last.id == face {
                ids.extend(self.ids_of(FAILED_ORPHANS, [place.0, MOST_CHILDREN as i64])?);
            }
            let mut children = Vec::with_capacity(ids.len());
            for id in ids.into_iter().filter(|id| seen.insert(*id)) {
                children.extend(self.failing(place, id)?);
            }
            let Some(chosen) = decisive(&last, children.iter().map(|(child, _)| child.clone())) else { break };
            next = children.into_iter().find(|(child, _)| child.id == chosen.id);
        }
        Ok(why.found().flatten())
    }

    /// Returns the text key of the line that lists show for an error. `None` if it is the message alone.
    fn line_of(&mut self, error: ErrorKeys) -> Result<Option<i64>> {
        let Some(keys) = error else { return Ok(None) };
        let error = self.dictionary.error(self.connection, keys)?;
        lines::line(&error).map(|line| self.dictionary.searched_key(self.connection, &line)).transpose()
    }

    fn ids_of(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<ProcessId>> {
        self.connection.prepare_cached(sql)?.query_map(values, |row| ids::process_id(row.get(0)?))?.collect()
    }

    /// Reads a failed process for the failing path, with the keys of its error.
    fn failing(&mut self, place: (i64, i64), id: ProcessId) -> Result<Option<(Failing<'static>, ErrorKeys)>> {
        let Some(row) = ProcessRow::find(self.connection, place, id)? else { return Ok(None) };
        let (keys, begun_us) = match row.known(self.connection, self.dictionary)? {
            Known::Plain(plain) => (plain.end.and_then(|end| end.error()), None),
            Known::Full(facts) => {
                let keys = facts.error().map(|error| self.dictionary.error_keys(self.connection, error)).transpose()?;
                (keys, facts.first_start_us())
            }
        };
        let error = keys.map(|keys| self.dictionary.error(self.connection, keys)).transpose()?;
        let error = error.map(|error| Cow::Owned(Error::clone(&error)));
        let time_us = row.ended.map(|ended| ended as u64).or(begun_us).unwrap_or(0);
        Ok(Some((Failing { id, state: Cow::Owned(State::FAILED), time_us, error }, keys)))
    }

    fn face_in_file(&mut self, index: u32, place: (i64, i64), id: ProcessId) -> Result<ShownFace> {
        let row = ProcessRow::find(self.connection, place, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let known = row.known(self.connection, self.dictionary)?;
        let mut status = monitor_state::WorkerStatus::Online;
        match &known {
            Known::Plain(plain) => {
                let words = plain.words(self.connection, self.dictionary)?;
                self.workers.load(self.connection, &mut self.tallies, words.worker)?;
                status = self.workers.status(words.worker);
                self.words.learn(plain, words);
            }
            Known::Full(facts) => {
                for worker in facts.open_at() {
                    self.workers.load(self.connection, &mut self.tallies, worker)?;
                }
            }
        }
        self.face_of(&known, status, index, id)
    }

    fn face_of(&mut self, known: &Known, status: monitor_state::WorkerStatus, index: u32, id: ProcessId) -> Result<ShownFace> {
        let root = self.roots.entries[index as usize].row.id;
        let (connection, dictionary) = (self.connection, &mut *self.dictionary);
        let plain = match known {
            Known::Plain(plain) => plain,
            Known::Full(facts) => {
                let view = facts.view(root, id, &mut |worker| self.workers.status(worker));
                let attempt = AttemptNow::of(&view);
                let worker = match view.worker_id {
                    Some(worker) => Some(self.workers.get(connection, &mut self.tallies, worker)?.key),
                    None => None,
                };
                return Ok(ShownFace {
                    name: dictionary.searched_key(connection, &view.name)?,
                    batch: facts.batch().map(|batch| dictionary.searched_key(connection, batch)).transpose()?,
                    worker,
                    state: ids::state_code(connection, dictionary, &view.state)?,
                    started_us: view.started_us,
                    ended_us: view.ended_us,
                    elapsed_ns: view.elapsed_ns,
                    error: facts.error().map(|error| dictionary.error_keys(connection, error)).transpose()?,
                    is_unattached: view.attachment == Attachment::UNATTACHED,
                    progress: view.progress.map(Arc::new),
                    attempt,
                });
            }
        };
        let name = match plain.start {
            Some(start) => self.words.sites[&start.site].name_key,
            None => dictionary.searched_key(connection, "")?,
        };
        let (ended_us, elapsed_ns) = plain.ended(status);
        Ok(ShownFace {
            name,
            batch: plain.start.and_then(|start| start.batch),
            worker: Some(plain.worker),
            state: ids::known_code(&plain.state(status)).expect("a plain process is in a state that is known"),
            started_us: plain.start.map(|start| start.time_us),
            ended_us,
            elapsed_ns,
            error: plain.end.and_then(|end| end.error()),
            is_unattached: false,
            progress: None,
            attempt: AttemptNow::default(),
        })
    }

    fn write_root(&mut self, index: usize, inserts: &mut Inserts<'_, RootRow>) -> Result<()> {
        let RootEntry { row, before, is_wide, .. } = &self.roots.entries[index];
        if *is_wide {
            self.connection.prepare_cached("INSERT OR IGNORE INTO wide(root) VALUES(?1)")?.execute([row.number])?;
        }
        let (state, before) = (row.state, *before);
        match before {
            None => inserts.add(row.clone())?,
            Some(before) => {
                let sql = if before == row.indexed() { UPDATE_COUNTS } else { UPDATE };
                let mut statement = self.connection.prepare_cached(sql)?;
                let count = statement.parameter_count();
                row.bind(&mut statement, 0, count)?;
                statement.raw_execute()?;
            }
        }
        let name = row.name;
        self.cache.add(row);
        let before = before.map(|before| (before.name, before.state));
        if before != Some((name, state)) {
            self.count_root(name, state, 1);
            if let Some((name, state)) = before {
                self.count_root(name, state, -1);
            }
        }
        Ok(())
    }
}

/// Values that a root copies from its face.
struct ShownFace {
    name: i64,
    batch: Option<i64>,
    worker: Option<i64>,
    state: i64,
    started_us: Option<u64>,
    ended_us: Option<u64>,
    elapsed_ns: Option<u64>,
    error: ErrorKeys,
    is_unattached: bool,
    progress: Option<Arc<Progress>>,
    attempt: AttemptNow,
}

impl RootRow {
    fn indexed(&self) -> Indexed {
        let Self { state, name, batch, worker, error, at_us: begin_us, is_own, is_unattached, .. } = *self;
        Indexed { state, name, batch, worker, error, begin_us, own: (is_own, is_unattached) }
    }

    fn face(&self) -> Option<Face> {
        self.process.map(|id| (self.at_us, id))
    }
}

impl NewRow for RootRow {
    const INSERT: &'static str = "INSERT INTO root(number, id, base, last, process, started, ended, elapsed, pending, running, \
        succeeded, failed, cancelled, lost, other, heard, progress, own, at, name, batch, worker, state, error, cause, line, pinned) \
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)";

    fn insert_many() -> &'static str {
        static SQL: LazyLock<String> = LazyLock::new(|| insert_many(RootRow::INSERT));
        &SQL
    }

    fn needs(&self) -> usize {
        27
    }

    fn bind(&self, statement: &mut Statement<'_>, before: usize, count: usize) -> Result<()> {
        let [succeeded, running, pending, failed, cancelled, lost, other] = self.counts.map(|count| count as i64);
        let time = |time: Option<u64>| time.map(|time| time as i64 - self.base_us);
        let heard = (self.heard_us - self.base_us).div_euclid(SECOND_US);
        let (number, process) = (Some(self.number), self.process.map(ids::process_key));
        let first = [Some(self.base_us), Some(self.last_us - self.base_us), process];
        let times = [time(self.started_us), time(self.ended_us), self.elapsed_ns.map(|elapsed| elapsed as i64)];
        let counts = [pending, running, succeeded, failed, cancelled, lost, other, heard].map(Some);
        statement.raw_bind_parameter(before + 1, number)?;
        statement.raw_bind_parameter(before + 2, ids::root_key(self.id))?;
        for (index, number) in first.into_iter().chain(times).chain(counts).enumerate() {
            statement.raw_bind_parameter(before + 3 + index, number)?;
        }
        statement.raw_bind_parameter(before + PROGRESS, self.progress.as_deref().map(ids::to_json))?;
        let (message, cause) = self.error.unzip();
        let own = i64::from(self.is_own) + i64::from(self.is_unattached);
        let face = [Some(own), Some(self.at_us as i64 - self.base_us), Some(self.name), self.batch, self.worker, Some(self.state)];
        let indexed = face.into_iter().chain([message, cause, self.line, Some(self.is_pinned.into())]);
        for (index, number) in indexed.enumerate().take(count - PROGRESS) {
            statement.raw_bind_parameter(before + PROGRESS + 1 + index, number)?;
        }
        Ok(())
    }
}

/// Parameter number of the progress. [`UPDATE_COUNTS`] does not set the columns after it.
const PROGRESS: usize = 17;
/// Updates a root whose indexed columns are unchanged.
const UPDATE_COUNTS: &str = "UPDATE root SET last = ?4, process = ?5, started = ?6, ended = ?7, elapsed = ?8, pending = ?9, running = ?10, \
    succeeded = ?11, failed = ?12, cancelled = ?13, lost = ?14, other = ?15, heard = ?16, progress = ?17 WHERE number = ?1";
const UPDATE: &str = "UPDATE root SET last = ?4, process = ?5, started = ?6, ended = ?7, elapsed = ?8, pending = ?9, running = ?10, \
    succeeded = ?11, failed = ?12, cancelled = ?13, lost = ?14, other = ?15, heard = ?16, progress = ?17, own = ?18, at = ?19, name = ?20, \
    batch = ?21, worker = ?22, state = ?23, error = ?24, cause = ?25, line = ?26 WHERE number = ?1";
