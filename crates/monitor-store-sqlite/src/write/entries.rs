//! Processes of a transaction, with the facts folded from their events.

use monitor_state::{ProcessEvent, WorkerStatus};
use monitor_store::packed::PackedEvent;
use monitor_wire::{Fold, Process, ProcessId, WorkerId};

use super::changes::NONE;
use super::failures::Failure;
use super::rollups::Finished;
use super::rows::SideRows;
use super::{Gathered, Transaction};
use crate::expected::Outlook;
use crate::row::{End, Known, Plain, Start};

/// Assigns an event to a process. An item with the line [`NONE`] only adds the process to the transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Root number, the first sort key.
    pub number: i64,
    pub id: ProcessId,
    /// Index of the root in the transaction.
    pub root: u32,
    pub line: u32,
}

/// A process of a transaction.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each says another thing, and none depends on another")]
pub(super) struct Entry {
    pub root: u32,
    pub id: ProcessId,
    /// Facts after the transaction.
    pub known: Known,
    /// True if an event of the transaction reports on its state.
    pub is_told_of: bool,
    /// True if the process is not stored because its tree is full.
    pub is_refused: bool,
    /// Worker whose change of status affects the process.
    pub left_by: Option<WorkerId>,
    /// True if the process is stored.
    pub is_there: bool,
    /// True if its row was written in this transaction.
    pub is_written: bool,
    pub is_orphan: bool,
    /// Status of its worker, for an open plain process.
    pub status: WorkerStatus,
    /// View of a process that is not plain.
    pub view: Option<Box<Process>>,
    /// Expected duration and overdue mark, for a running process that has at least one of them.
    pub outlook: Option<Box<Outlook>>,
}

/// State of a process before the transaction. Counts, lists and sums are updated by the difference.
#[derive(Default)]
pub(super) struct Before {
    pub state: i64,
    /// True if the start was known. A process without a known start has no sign yet.
    pub is_defined: bool,
    pub open_at: Vec<WorkerId>,
    pub finished: Option<Finished>,
    pub failure: Option<Failure>,
    /// Counts of a fold.
    pub fold: Option<Fold>,
    pub side_rows: SideRows,
}

impl Entry {
    /// Returns the start time, as far as it is known.
    pub(super) fn at_us(&self) -> u64 {
        match &self.known {
            Known::Plain(plain) => plain.at_us(),
            Known::Full(facts) => facts.at_us(),
        }
    }

    /// True if the process can be the root's own process: its start is known and it has no parent.
    pub(super) fn is_top(&self) -> bool {
        match &self.known {
            Known::Plain(plain) => plain.start.is_some_and(|start| start.parent_id.is_none()),
            Known::Full(facts) => facts.is_defined() && self.view.as_ref().is_some_and(|view| view.parent_id.is_none()),
        }
    }

    /// Returns the reported parent.
    pub(super) fn parent_id(&self) -> Option<ProcessId> {
        match &self.known {
            Known::Plain(plain) => plain.start.and_then(|start| start.parent_id),
            Known::Full(_) => self.view.as_ref().and_then(|view| view.parent_id),
        }
    }
}

impl Transaction<'_> {
    /// Folds the events of each process. Returns the processes in the order of root number and id.
    pub(super) fn fold(&mut self) -> Vec<Entry> {
        let mut items = std::mem::take(&mut self.items);
        items.sort_unstable_by_key(|item| (item.number, item.id, item.line));
        let mut entries: Vec<Entry> = Vec::with_capacity(items.len() / 2 + 1);
        for item in items {
            if entries.last().is_none_or(|last| (last.root, last.id) != (item.root, item.id)) {
                entries.push(Entry {
                    root: item.root,
                    id: item.id,
                    known: Known::Plain(Plain::default()),
                    is_told_of: false,
                    is_refused: false,
                    left_by: None,
                    is_there: false,
                    is_written: false,
                    is_orphan: false,
                    status: WorkerStatus::Online,
                    view: None,
                    outlook: None,
                });
            }
            let index = entries.len() - 1;
            if item.line != NONE {
                self.lines[item.line as usize].entry = index as u32;
                self.apply(&mut entries[index], item.line);
            }
        }
        entries
    }

    fn apply(&self, entry: &mut Entry, line: u32) {
        let line = self.lines[line as usize];
        if line.batch == NONE {
            // Events made by the server contain no facts about processes.
            return;
        }
        let gathered = &self.batches[line.batch as usize];
        let number = gathered.packed.sequence + u64::from(line.event);
        let said = match &gathered.packed.events[line.event as usize] {
            PackedEvent::Other(event) => {
                let Some(about) = ProcessEvent::of(event).filter(ProcessEvent::is_fact) else { return };
                entry.is_told_of = true;
                if let Known::Plain(plain) = entry.known {
                    entry.known = Known::Full(Box::new(self.facts(&plain)));
                }
                if let Known::Full(facts) = &mut entry.known {
                    facts.apply(number, gathered.worker, &about);
                }
                return;
            }
            PackedEvent::Started(_) | PackedEvent::Ended(_) => plain(gathered, line.event, number),
        };
        entry.is_told_of = true;
        self.merge(&mut entry.known, &Known::Plain(said));
    }

    /// Merges `other` into the known facts.
    pub(super) fn merge(&self, known: &mut Known, other: &Known) {
        if let (Known::Plain(plain), Known::Plain(other)) = (&mut *known, other)
            && plain.merge(other)
        {
            return;
        }
        let other = match other {
            Known::Plain(other) => self.facts(other),
            Known::Full(other) => (**other).clone(),
        };
        match known {
            Known::Full(facts) => facts.merge(other),
            Known::Plain(plain) => {
                let mut facts = self.facts(plain);
                facts.merge(other);
                *known = Known::Full(Box::new(facts));
            }
        }
    }

    /// Converts a plain process to full facts.
    pub(super) fn facts(&self, plain: &Plain) -> monitor_state::ProcessFacts {
        if plain.is_nothing() { monitor_state::ProcessFacts::default() } else { plain.facts(&self.words.of(plain)) }
    }
}

/// Converts a packed event to a plain process.
fn plain(gathered: &Gathered, index: u32, number: u64) -> Plain {
    let worker = gathered.worker_key;
    match &gathered.packed.events[index as usize] {
        PackedEvent::Started(started) => Plain {
            worker,
            origin: gathered.origin(started.thread),
            start: Some(Start {
                time_us: started.time_us,
                number,
                parent_id: started.parent_id,
                site: gathered.sites[started.site as usize],
                batch: gathered.marks.get(started.mark as usize).copied(),
            }),
            end: None,
        },
        PackedEvent::Ended(ended) => Plain {
            worker,
            origin: gathered.origin,
            start: None,
            end: Some(End {
                time_us: ended.time_us,
                number,
                elapsed_ns: ended.elapsed_ns,
                outcome: ended.outcome,
                ending: gathered.endings.get(ended.ending as usize).copied(),
            }),
        },
        PackedEvent::Other(_) => Plain::default(),
    }
}
