//! Running processes, for the command `active`.

use std::collections::HashMap;

use crate::record::Started;

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Id of the process.
    pub id: u64,
    /// Id of the tree.
    pub root: u128,
    /// Name of the process.
    pub name: String,
    /// Start in Unix microseconds.
    pub time_us: u64,
}

/// Processes with a start in the queue and no end yet. Running processes of the rings are found in the rings.
#[derive(Debug, Default)]
pub(crate) struct Begun(HashMap<u64, Running>);

impl Begun {
    pub(crate) fn add(&mut self, started: &Started) {
        let Started { id, root, time_us, ref origin, .. } = *started;
        self.0.insert(id, Running { id, root, name: origin.name().to_owned(), time_us });
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.0.remove(&id);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Running> {
        self.0.values().cloned()
    }
}
