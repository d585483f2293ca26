//! The processes that a transaction is about.

use std::collections::HashMap;

use monitor_state::ProcessFacts;
use monitor_wire::{Process, ProcessId, WorkerId};
use rusqlite::{Connection, Result};

use super::super::dictionary::Dictionary;
use super::super::row::ProcessRow;

/// The processes of a transaction, each once.
#[derive(Default)]
pub(super) struct Processes {
    pub entries: Vec<Entry>,
    by_id: HashMap<(usize, ProcessId), usize>,
}

/// A process of a transaction.
pub(super) struct Entry {
    /// Index of its root in the transaction.
    pub root: usize,
    pub id: ProcessId,
    pub facts: ProcessFacts,
    /// Where it was; none if it was not known.
    pub before: Option<Before>,
    /// An event said something of it.
    pub is_told_of: bool,
    /// Whose change of status touches it, if none of its own events does.
    pub left_by: Option<WorkerId>,
    /// As it stands after the transaction; none if there is still nothing to show.
    pub view: Option<Process>,
}

/// What counts hold of a process from before the transaction.
pub(super) struct Before {
    pub state: i64,
    pub open_at: Vec<WorkerId>,
    pub had_error: bool,
}

impl Processes {
    /// The entry of a process, if the transaction knows it.
    pub(super) fn find(&self, root: usize, id: ProcessId) -> Option<usize> {
        self.by_id.get(&(root, id)).copied()
    }

    /// Reads these processes, given by index and number of the root, those first that stand first in the file.
    pub(super) fn load(
        &mut self,
        connection: &Connection,
        dictionary: &mut Dictionary,
        mut wanted: Vec<(i64, usize, ProcessId)>,
        is_new_root: impl Fn(usize) -> bool,
    ) -> Result<()> {
        wanted.sort_unstable();
        wanted.dedup();
        for (number, root, id) in wanted {
            if self.find(root, id).is_some() {
                continue;
            }
            let row = if is_new_root(root) { None } else { ProcessRow::find(connection, number, id)? };
            let (facts, before) = match row {
                Some(row) => {
                    let facts = row.facts(connection, dictionary)?;
                    let before = Before { state: row.state, open_at: facts.open_at(), had_error: row.error.is_some() };
                    (facts, Some(before))
                }
                None => (ProcessFacts::default(), None),
            };
            self.by_id.insert((root, id), self.entries.len());
            self.entries.push(Entry { root, id, facts, before, is_told_of: false, left_by: None, view: None });
        }
        Ok(())
    }
}
