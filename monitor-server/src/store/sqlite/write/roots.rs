//! The roots that a transaction is about: which process is a root's face, and which error it shows.

use std::collections::HashMap;

use monitor_state::title;
use monitor_wire::{Counts, Process, ProcessId, Root, RootId, State};
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::super::roots::{RootRow, find_row};
use super::super::row::ProcessRow;
use super::super::{RootKey, ids};
use super::processes::Entry;
use super::{Transaction, tally};

/// The root's own process.
pub(in super::super) const OWN: &str = "SELECT at, id FROM process INDEXED BY process_top \
    WHERE root = ?1 AND parent IS NULL AND site IS NOT NULL ORDER BY at, id LIMIT 1";

/// The earliest process: it is looked for in the whole tree, but only when the one before it is no longer the earliest.
const EARLIEST: &str = "SELECT at, id FROM process WHERE root = ?1 ORDER BY at, id LIMIT 1";

/// The earliest failed process without a failed child.
pub(in super::super) const LEAF: &str = "SELECT id FROM process AS leaf INDEXED BY process_failed \
    WHERE root = ?1 AND error IS NOT NULL AND NOT EXISTS \
    (SELECT 1 FROM process AS child INDEXED BY process_failed_parent \
     WHERE child.root = leaf.root AND child.parent = leaf.id AND child.error IS NOT NULL) \
    ORDER BY ended, id LIMIT 1";

/// The roots of a transaction, each once.
#[derive(Default)]
pub(super) struct Roots {
    pub entries: Vec<RootEntry>,
    by_id: HashMap<RootId, usize>,
}

/// A root of a transaction.
pub(super) struct RootEntry {
    pub row: RootRow,
    /// Where it was; none if it was not known.
    pub before: Option<State>,
    /// Indices of its processes in the transaction.
    pub processes: Vec<usize>,
}

/// Which process is a root's face, and why.
type Face = (u64, ProcessId);

impl Transaction<'_> {
    /// The index of a root, which gets its number if it is new.
    pub(super) fn root(&mut self, id: RootId) -> Result<usize> {
        if let Some(index) = self.roots.by_id.get(&id) {
            return Ok(*index);
        }
        let found = find_row(self.connection, self.dictionary, RootKey::Id(id))?;
        let before = found.as_ref().map(|row| row.root.state.clone());
        let row = found.unwrap_or_else(|| {
            self.counter.root += 1;
            RootRow::new(id, self.counter.root as u64)
        });
        let index = self.roots.entries.len();
        self.roots.by_id.insert(id, index);
        self.roots.entries.push(RootEntry { row, before, processes: Vec::new() });
        Ok(index)
    }

    /// Brings a root up to date with its processes, which are written, and writes it.
    pub(super) fn settle_root(&mut self, index: usize) -> Result<()> {
        let number = self.roots.entries[index].row.root.number as i64;
        let old = self.roots.entries[index].row.face();
        let (face, is_own) = self.face(index, number)?;
        let indices = std::mem::take(&mut self.roots.entries[index].processes);
        let touches = |entry: &Entry| face.is_some_and(|(_, id)| entry.id == id) || has_error(entry);
        if face != old || indices.iter().any(|at| touches(&self.processes.entries[*at])) {
            let view = face.map(|(_, id)| self.view_of(index, number, id)).transpose()?.flatten();
            let error = match view.as_ref().and_then(|(view, _)| view.error.clone()) {
                Some(error) => Some(error),
                None => self
                    .earliest_failed_leaf(number)?
                    .map(|id| self.view_of(index, number, id))
                    .transpose()?
                    .flatten()
                    .and_then(|(view, _)| view.error),
            };
            let row = &mut self.roots.entries[index].row;
            row.show(face, is_own, view, error);
        }
        self.roots.entries[index].processes = indices;
        self.write_root(index)
    }

    /// The root's own process, or else the earliest; and whether it is its own.
    fn face(&self, index: usize, number: i64) -> Result<(Option<Face>, bool)> {
        let root = &self.roots.entries[index];
        let entries = || root.processes.iter().map(|at| &self.processes.entries[*at]).filter(|entry| entry.view.is_some());
        let place = |entry: &Entry| (entry.facts.at_us(), entry.id);
        let is_top = |entry: &&Entry| entry.facts.is_defined() && entry.view.as_ref().is_some_and(|view| view.parent_id.is_none());
        let own = entries().filter(is_top).map(place).min();
        let old = root.row.face();
        let is_old_touched =
            old.is_some_and(|(_, id)| self.processes.find(index, id).is_some_and(|at| self.processes.entries[at].view.is_some()));

        if root.row.is_own && !is_old_touched {
            return Ok((old.into_iter().chain(own).min(), true));
        }
        if (own.is_some() || root.row.is_own)
            && let Some(own) = self.find_face(OWN, number)?
        {
            return Ok((Some(own), true));
        }
        if root.before.is_none() || !is_old_touched && !root.row.is_own {
            return Ok((entries().map(place).chain(old).min(), false));
        }
        Ok((self.find_face(EARLIEST, number)?, false))
    }

    fn find_face(&self, sql: &str, number: i64) -> Result<Option<Face>> {
        let face = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, ids::process_id(row.get(1)?)?));
        self.connection.prepare_cached(sql)?.query_row([number], face).optional()
    }

    fn earliest_failed_leaf(&self, number: i64) -> Result<Option<ProcessId>> {
        self.connection.prepare_cached(LEAF)?.query_row([number], |row| ids::process_id(row.get(0)?)).optional()
    }

    /// A process of the transaction or of the file, and its batch mark.
    fn view_of(&mut self, index: usize, number: i64, id: ProcessId) -> Result<Option<(Process, Option<String>)>> {
        if let Some(at) = self.processes.find(index, id) {
            let Entry { view, facts, .. } = &self.processes.entries[at];
            if let Some(view) = view {
                return Ok(Some((view.clone(), facts.batch().map(str::to_owned))));
            }
        }
        let Some(row) = ProcessRow::find(self.connection, number, id)? else { return Ok(None) };
        let facts = row.facts(self.connection, self.dictionary)?;
        for worker in facts.open_at() {
            self.workers.load(self.connection, &mut self.tallies, worker)?;
        }
        let view = facts.view(self.roots.entries[index].row.root.root_id, id, &mut |worker| self.workers.status(worker));
        Ok(Some((view, facts.batch().map(str::to_owned))))
    }

    fn write_root(&mut self, index: usize) -> Result<()> {
        let RootEntry { row, before, .. } = &self.roots.entries[index];
        let (root, before) = (&row.root, before.clone());
        let worker = match root.worker_id {
            Some(id) => Some(self.workers.get(self.connection, &mut self.tallies, id)?.key),
            None => None,
        };
        let state = ids::state_code(self.connection, self.dictionary, &root.state)?;
        let name = self.dictionary.text_key(self.connection, &root.name)?;
        let text = |text: &String| self.dictionary.text_key(self.connection, text);
        let batch = root.batch.as_ref().map(text).transpose()?;
        let message = root.error.as_ref().map(|error| self.dictionary.text_key(self.connection, &error.message)).transpose()?;
        write(self.connection, row, [Some(name), batch, worker, Some(state), message])?;
        let after = root.state.clone();
        if before.as_ref() != Some(&after) {
            self.count(tally::ROOTS, state, 1);
            if let Some(before) = before {
                let before = self.state_code(&before)?;
                self.count(tally::ROOTS, before, -1);
            }
        }
        Ok(())
    }
}

fn has_error(entry: &Entry) -> bool {
    entry.before.as_ref().is_some_and(|before| before.had_error) || entry.view.as_ref().is_some_and(|view| view.error.is_some())
}

impl RootRow {
    fn new(root_id: RootId, number: u64) -> Self {
        let root = Root {
            root_id,
            number,
            name: String::new(),
            batch: None,
            title: title("", None, number),
            state: State::PENDING,
            started_us: None,
            ended_us: None,
            elapsed_ns: None,
            worker_id: None,
            counts: Counts::default(),
            error: None,
        };
        Self { root, process: None, is_own: false, at_us: 0 }
    }

    fn face(&self) -> Option<Face> {
        self.process.map(|id| (self.at_us, id))
    }

    fn show(&mut self, face: Option<Face>, is_own: bool, view: Option<(Process, Option<String>)>, error: Option<monitor_wire::Error>) {
        let Some(((at_us, id), (view, batch))) = face.zip(view) else { return };
        (self.process, self.at_us, self.is_own) = (Some(id), at_us, is_own);
        let root = &mut self.root;
        root.title = title(&view.name, batch.as_deref(), root.number);
        root.name = view.name;
        root.batch = batch;
        root.state = view.state;
        root.started_us = view.started_us;
        root.ended_us = view.ended_us;
        root.elapsed_ns = view.elapsed_ns;
        root.worker_id = view.worker_id;
        root.error = error;
    }
}

/// `keys` are those of name, batch, worker, state and error.
fn write(connection: &Connection, row: &RootRow, [name, batch, worker, state, error]: [Option<i64>; 5]) -> Result<()> {
    let sql = "INSERT INTO root(number, id, process, own, at, name, batch, worker, state, started, ended, elapsed, error, error_more, \
               pending, running, succeeded, failed, cancelled, lost, other) \
               VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) \
               ON CONFLICT(number) DO UPDATE SET process = ?3, own = ?4, at = ?5, name = ?6, batch = ?7, worker = ?8, state = ?9, \
               started = ?10, ended = ?11, elapsed = ?12, error = ?13, error_more = ?14, pending = ?15, running = ?16, \
               succeeded = ?17, failed = ?18, cancelled = ?19, lost = ?20, other = ?21";
    let root = &row.root;
    let Counts { pending, running, succeeded, failed, cancelled, lost, other } = root.counts;
    let signed = |value: Option<u64>| value.map(|value| value as i64);
    connection.prepare_cached(sql)?.execute(params![
        root.number as i64,
        ids::root_key(root.root_id),
        row.process.map(ids::process_key),
        row.is_own,
        row.at_us as i64,
        name,
        batch,
        worker,
        state,
        signed(root.started_us),
        signed(root.ended_us),
        signed(root.elapsed_ns),
        error,
        root.error.as_ref().map(ids::to_json),
        pending as i64,
        running as i64,
        succeeded as i64,
        failed as i64,
        cancelled as i64,
        lost as i64,
        other as i64
    ])?;
    Ok(())
}
