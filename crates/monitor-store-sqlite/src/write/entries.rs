//! The processes that a transaction is about.

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

/// An event about a process, or with [`NONE`] as its line the process alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Number of the root, by which rows are ordered.
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
    /// As it stands after the transaction.
    pub known: Known,
    /// An event said something of it.
    pub is_told_of: bool,
    /// Nothing is kept of it, for its tree is full.
    pub is_refused: bool,
    /// Whose change of status touches it, if none of its own events does.
    pub left_by: Option<WorkerId>,
    /// It is there: something is known of it.
    pub is_there: bool,
    /// It is another than before the transaction.
    pub is_written: bool,
    pub is_orphan: bool,
    /// Of the worker that runs it, if it is plain.
    pub status: WorkerStatus,
    /// As it is shown, if it is not plain.
    pub view: Option<Box<Process>>,
    /// What is said of it, if it runs and there is something to say.
    pub outlook: Option<Box<Outlook>>,
}

/// What counts hold of a process from before the transaction.
#[derive(Default)]
pub(super) struct Before {
    pub state: i64,
    /// Its start was known: before that, an end is a sign of nothing.
    pub is_defined: bool,
    pub open_at: Vec<WorkerId>,
    pub finished: Option<Finished>,
    pub failure: Option<Failure>,
    /// What it counted.
    pub fold: Option<Fold>,
    pub side_rows: SideRows,
}

impl Entry {
    /// When it began, as far as is known.
    pub(super) fn at_us(&self) -> u64 {
        match &self.known {
            Known::Plain(plain) => plain.at_us(),
            Known::Full(facts) => facts.at_us(),
        }
    }

    /// Whether it may be the root's own process.
    pub(super) fn is_top(&self) -> bool {
        match &self.known {
            Known::Plain(plain) => plain.start.is_some_and(|start| start.parent_id.is_none()),
            Known::Full(facts) => facts.is_defined() && self.view.as_ref().is_some_and(|view| view.parent_id.is_none()),
        }
    }

    /// Its parent as it was told.
    pub(super) fn parent_id(&self) -> Option<ProcessId> {
        match &self.known {
            Known::Plain(plain) => plain.start.and_then(|start| start.parent_id),
            Known::Full(_) => self.view.as_ref().and_then(|view| view.parent_id),
        }
    }
}

impl Transaction<'_> {
    /// Folds the events of each process; in the order of their keys.
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
            // What the server says of a process changes nothing of it.
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

    /// Takes what else is known of a process.
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

    /// All facts of a plain process.
    pub(super) fn facts(&self, plain: &Plain) -> monitor_state::ProcessFacts {
        if plain.is_nothing() { monitor_state::ProcessFacts::default() } else { plain.facts(&self.words.of(plain)) }
    }
}

/// What a packed event says.
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
