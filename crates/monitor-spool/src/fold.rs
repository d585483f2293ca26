//! Ids of folds. The core identifies a fold by a mark. On the wire, the id is derived from parent and name, so that folds of several
//! threads and programs with equal parent and name have the same id.

use std::collections::{HashMap, VecDeque};

use monitor_core::record::Folded;

use crate::sha256;
use crate::wire::ProcessId;

/// Derives the id: the first 8 bytes of the SHA-256 of the parent as 16 hex digits, a NUL and the name.
pub fn fold_id(parent: ProcessId, name: &str) -> ProcessId {
    let digest = sha256::digest(format!("{parent}\0{name}").as_bytes());
    let first: u64 = digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
    // Zero is not a valid id.
    ProcessId::new(first.max(1)).expect("not zero")
}

/// Number of closed folds that are remembered, because processes started in a fold may outlive it.
const KEPT: usize = 100_000;

/// Mapping from marks to ids.
#[derive(Debug, Default)]
pub struct Folds {
    ids: HashMap<u64, u64>,
    over: VecDeque<u64>,
}

impl Folds {
    /// Returns the id of a parent, which may be the mark of a fold.
    pub fn parent(&self, parent: u64) -> Option<ProcessId> {
        ProcessId::new(self.ids.get(&parent).copied().unwrap_or(parent))
    }

    /// Returns the id of a fold, and remembers it by the fold's mark.
    pub fn id(&mut self, folded: &Folded) -> Option<ProcessId> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_parent_and_name() {
        // printf 'a3ce929d0e0e4736\0load row' | sha256sum
        assert_eq!(fold_id("a3ce929d0e0e4736".parse().unwrap(), "load row").to_string(), "3706ffeb56d14582");
    }
}
