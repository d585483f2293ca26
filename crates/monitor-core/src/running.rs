//! What runs now, for whoever asks a program.

use std::collections::HashMap;

use crate::record::Started;

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its own id.
    pub id: u64,
    /// Its tree.
    pub root: u128,
    /// Its name.
    pub name: String,
    /// When it began, in Unix microseconds.
    pub time_us: u64,
}

/// Processes whose starts came by the queue, and whose ends did not yet. Those of the rings stand there as long as they run.
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
