//! Changes of a transaction, as the stream sends them.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use monitor_state::{ProcessEvent, about_worker, is_about_liveness};
use monitor_store::Tell;
use monitor_store::packed::{Ending, Packed, PackedEvent, size};
use monitor_wire::{Error, Event, Process, ProcessId, Root, RootId, StreamMessage, Worker, WorkerId};
use rusqlite::{OptionalExtension, Result, params};

use super::entries::Entry;
use super::{Transaction, TransactionWords};
use crate::expected::Outlook;
use crate::ids::{self, code};
use crate::roots::{RootRow, RootWords};
use crate::row::{Known, Plain};

/// Maximum number of processes with a message of their own when their workers are lost, found or go offline. For the other processes there
/// is one message per tree and worker, with a root and without a process: it means that more processes of the tree have changed.
const MAX_LEFT: usize = 1_000;

/// Marks a missing index.
pub(super) const NONE: u32 = u32::MAX;

/// One change: an event and the models that it affects, as indexes into [`Happened`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// [`NONE`] for an event made by the server.
    pub batch: u32,
    pub event: u32,
    pub root: u32,
    pub entry: u32,
    pub worker: u32,
}

/// Data for all messages of a transaction. Implements [`Tell`], so that a message is built only when it is read.
pub(super) struct Happened {
    pub(super) batches: Vec<Arc<Packed>>,
    pub(super) own: Vec<(WorkerId, Event)>,
    pub(super) lines: Vec<Line>,
    pub(super) entries: Vec<Entry>,
    pub(super) roots: Vec<Shown>,
    pub(super) workers: Vec<Worker>,
    words: TransactionWords,
    bytes: usize,
}

/// A root with the texts of its keys.
pub(super) struct Shown {
    pub(super) row: RootRow,
    words: RootWords,
    outlook: Outlook,
}

impl Transaction<'_> {
    /// Returns one change per event, followed by one change per process that is affected by a worker's change of status. All models show
    /// the state after the transaction.
    pub(super) fn tell(&mut self, mut entries: Vec<Entry>) -> Result<Happened> {
        self.find_orphans(&mut entries)?;
        let mut lines = std::mem::take(&mut self.lines);
        let mut workers = Workers { indices: HashMap::new(), shown: Vec::new() };
        let batch_workers: Vec<(WorkerId, bool)> =
            self.batches.iter().map(|gathered| (gathered.worker, self.workers.is_new(gathered.worker))).collect();
        for line in &mut lines {
            let (batch_worker, is_new) =
                if line.batch == NONE { (self.own[line.event as usize].0, false) } else { batch_workers[line.batch as usize] };
            let event = match self.event(*line) {
                Some(event) => event,
                None if is_new => {
                    line.worker = workers.index(self.workers, batch_worker);
                    continue;
                }
                None => continue,
            };
            let worker = match ProcessEvent::of(event) {
                // Includes a worker that was created by this transaction, so that lists of workers show it even if it never announces
                // itself.
                Some(about) => Some(about.worker.map_or(batch_worker, |worker| worker.id)).filter(|worker| self.workers.is_new(*worker)),
                None => Some(about_worker(event, batch_worker).0),
            };
            line.worker = worker.map_or(NONE, |worker| workers.index(self.workers, worker));
        }
        self.left(&entries, &mut lines, &mut workers);
        self.counter.seq += lines.len() as u64;

        let mut roots = Vec::with_capacity(self.roots.entries.len());
        for root in &self.roots.entries {
            let row = root.row.clone();
            let (connection, dictionary) = (self.connection, &mut *self.dictionary);
            roots.push(Shown {
                words: RootWords::of(&row, connection, dictionary)?,
                outlook: match row.process {
                    Some(own) if row.state == code::RUNNING => Outlook {
                        expected: dictionary.expected(connection, row.name)?,
                        is_overdue: self.watch.overdue.contains(&(row.number, ids::process_key(own))),
                    },
                    _ => Outlook::default(),
                },
                row,
            });
        }
        // The views of these processes are complete, so the facts are dropped to save memory.
        for entry in entries.iter_mut().filter(|entry| matches!(entry.known, Known::Full(_))) {
            entry.known = Known::Plain(Plain::default());
        }
        let mut told = Happened {
            batches: self.batches.iter().map(|gathered| gathered.packed.clone()).collect(),
            own: std::mem::take(&mut self.own),
            lines,
            entries,
            roots,
            workers: workers.shown,
            words: std::mem::take(&mut self.words),
            bytes: 0,
        };
        told.bytes = told.size();
        Ok(told)
    }

    /// Returns the event of a line, or `None` for a packed event.
    fn event(&self, line: Line) -> Option<&Event> {
        if line.batch == NONE {
            return Some(&self.own[line.event as usize].1);
        }
        match &self.batches[line.batch as usize].packed.events[line.event as usize] {
            PackedEvent::Other(event) => Some(event),
            PackedEvent::Started(_) | PackedEvent::Ended(_) => None,
        }
    }

    /// Adds lines for processes whose worker changed its status and that no event of the transaction names.
    fn left(&self, entries: &[Entry], lines: &mut Vec<Line>, workers: &mut Workers) {
        let mut trees = HashSet::new();
        let mut told = 0;
        for worker in self.workers.changed() {
            let Some(about) = self.last_about(lines, worker) else { continue };
            let index = workers.index(self.workers, worker);
            let left = entries.iter().enumerate().filter(|(_, entry)| entry.left_by == Some(worker) && !entry.is_told_of);
            for (entry, Entry { root, .. }) in left {
                let is_told = told < MAX_LEFT;
                if !is_told && !trees.insert((*root, worker)) {
                    continue;
                }
                told += 1;
                let entry = if is_told { entry as u32 } else { NONE };
                lines.push(Line { root: *root, entry, worker: index, ..about });
            }
        }
    }

    fn last_about(&self, lines: &[Line], worker: WorkerId) -> Option<Line> {
        let is_about = |line: &&Line| {
            let batch_worker = if line.batch == NONE { self.own[line.event as usize].0 } else { self.batches[line.batch as usize].worker };
            self.event(**line).is_some_and(|event| is_about_liveness(event) && about_worker(event, batch_worker).0 == worker)
        };
        lines.iter().rev().find(is_about).copied()
    }

    /// Marks processes without a known parent. Only the process and its parent are examined: when a parent arrives later, the transaction
    /// sends the change of the parent but no changes of its children.
    fn find_orphans(&self, entries: &mut [Entry]) -> Result<()> {
        let mut known: HashMap<(u32, ProcessId), bool> = HashMap::new();
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM process WHERE root = ?1 AND id = ?2")?;
        let mut last = None;
        for index in 0..entries.len() {
            let Entry { root, id, is_there: true, .. } = entries[index] else { continue };
            let row = &self.roots.entries[root as usize].row;
            let is_orphan = match entries[index].parent_id() {
                None => !(row.is_own && row.process == Some(id)),
                Some(parent) if parent == id => true,
                Some(parent) => {
                    let is_known = match last {
                        Some((at, known)) if at == (root, parent) => known,
                        _ => {
                            if let Some(known) = known.get(&(root, parent)) {
                                *known
                            } else {
                                let is_known = self.is_among(entries, row.number, root, parent)
                                    || statement.query_row(params![row.number, ids::process_key(parent)], |_| Ok(())).optional()?.is_some();
                                known.insert((root, parent), is_known);
                                is_known
                            }
                        }
                    };
                    last = Some(((root, parent), is_known));
                    !is_known && !row.is_stood_for_by(parent)
                }
            };
            entries[index].is_orphan = is_orphan;
        }
        Ok(())
    }

    fn is_among(&self, entries: &[Entry], number: i64, root: u32, id: ProcessId) -> bool {
        self.find(entries, number, root, id).is_some_and(|index| entries[index].is_there)
    }

    /// Returns the index of a process in `entries`, if the transaction has it.
    pub(super) fn find(&self, entries: &[Entry], number: i64, root: u32, id: ProcessId) -> Option<usize> {
        let key = |entry: &Entry| (self.roots.entries[entry.root as usize].row.number, entry.id);
        let index = entries.binary_search_by_key(&(number, id), key).ok()?;
        (entries[index].root == root).then_some(index)
    }
}

/// The workers to include in messages, each once.
struct Workers {
    indices: HashMap<WorkerId, u32>,
    shown: Vec<Worker>,
}

impl Workers {
    fn index(&mut self, workers: &super::Workers, id: WorkerId) -> u32 {
        if let Some(index) = self.indices.get(&id) {
            return *index;
        }
        let Some(view) = workers.view(id) else { return NONE };
        self.shown.push(view);
        let index = self.shown.len() as u32 - 1;
        self.indices.insert(id, index);
        index
    }
}

impl Happened {
    /// Returns the approximate size in bytes.
    fn size(&self) -> usize {
        let views = self.entries.iter().filter_map(|entry| entry.view.as_deref());
        let errors = self.roots.iter().filter_map(|root| root.words.error.as_ref());
        let endings = self.words.endings.values();
        self.lines.len() * size_of::<Line>()
            + self.entries.len() * size_of::<Entry>()
            + self.roots.len() * size_of::<Shown>()
            + self.workers.iter().map(|worker| size_of::<Worker>() + size::of_worker(worker)).sum::<usize>()
            + views.map(|view| size_of::<Process>() + size::of_process(view)).sum::<usize>()
            + errors.map(|error| size_of::<Error>() + size::error(error)).sum::<usize>()
            + endings.map(|ending| size_of::<Ending>() + size::ending(ending)).sum::<usize>()
            + self.batches.iter().map(|batch| batch.bytes).sum::<usize>()
    }

    fn process(&self, index: u32) -> Option<Process> {
        let entry = self.entries.get(index as usize).filter(|entry| entry.is_there)?;
        let mut process = match (&entry.view, &entry.known) {
            (Some(view), _) => (**view).clone(),
            (None, Known::Plain(plain)) => {
                plain.view(&self.words.of(plain), self.roots[entry.root as usize].row.id, entry.id, entry.status)
            }
            (None, Known::Full(_)) => return None,
        };
        process.orphan = entry.is_orphan;
        if let Some(outlook) = &entry.outlook {
            outlook.tell(&mut process);
        }
        Some(process)
    }
}

impl Shown {
    fn root(&self) -> Root {
        self.words.root(&self.row, self.outlook)
    }
}

impl Tell for Happened {
    fn count(&self) -> usize {
        self.lines.len()
    }

    fn type_name(&self, index: usize) -> &str {
        let line = self.lines[index];
        match self.batches.get(line.batch as usize) {
            Some(batch) => batch.type_name(line.event as usize),
            None => self.own[line.event as usize].1.type_name(),
        }
    }

    fn root_id(&self, index: usize) -> Option<RootId> {
        let line = self.lines[index];
        match self.batches.get(line.batch as usize).map(|batch| &batch.events[line.event as usize]) {
            // A line for a process affected by its worker's change of status has an event about the worker, which names no tree.
            Some(PackedEvent::Other(event)) => match &**event {
                Event::Unplaced(_) => self.roots.get(line.root as usize).map(|root| root.row.id),
                event => event.root_id(),
            },
            Some(PackedEvent::Started(_) | PackedEvent::Ended(_)) => self.roots.get(line.root as usize).map(|root| root.row.id),
            None => self.own[line.event as usize].1.root_id(),
        }
    }

    fn sender(&self, index: usize) -> Option<WorkerId> {
        self.batches.get(self.lines[index].batch as usize).map(|batch| batch.worker.id)
    }

    fn message(&self, index: usize) -> StreamMessage {
        let line = self.lines[index];
        let (event, log) = match self.batches.get(line.batch as usize) {
            Some(batch) => (batch.event(line.event as usize), batch.log(line.event as usize)),
            None => (self.own[line.event as usize].1.clone(), None),
        };
        StreamMessage {
            event,
            root: self.roots.get(line.root as usize).map(Shown::root),
            process: self.process(line.entry),
            worker: self.workers.get(line.worker as usize).cloned(),
            log,
            as_of: 0,
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
