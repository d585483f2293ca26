//! Ids of folds. The core names a fold by a mark; on the wire its id follows from its parent and its name, so that those of
//! several threads and programs are the same.

use std::collections::{HashMap, VecDeque};

use monitor_core::record::Folded;
use monitor_spool::fold_id;
use monitor_wire::ProcessId;

/// Folds that are over and still known: what began in one may outlive it.
const KEPT: usize = 100_000;

/// The id of each mark.
#[derive(Debug, Default)]
pub(super) struct Folds {
    ids: HashMap<u64, u64>,
    over: VecDeque<u64>,
}

impl Folds {
    /// The parent of a process, which may be the mark of a fold.
    pub(super) fn parent(&self, parent: u64) -> Option<ProcessId> {
        ProcessId::new(self.ids.get(&parent).copied().unwrap_or(parent))
    }

    /// The id of a fold, which is known by its mark from here on.
    pub(super) fn id(&mut self, folded: &Folded) -> Option<ProcessId> {
        let id = match self.ids.get(&folded.mark) {
            Some(id) => *id,
            None => fold_id(self.parent(folded.parent)?, folded.origin.name()).get(),
        };
        self.ids.insert(folded.mark, id);
        if folded.is_last {
            self.over.push_back(folded.mark);
            if self.over.len() > KEPT
                && let Some(oldest) = self.over.pop_front()
            {
                self.ids.remove(&oldest);
            }
        }
        ProcessId::new(id)
    }
}
