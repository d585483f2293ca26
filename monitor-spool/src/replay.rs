//! What a dead program left, batch by batch.

use monitor_wire::{Dropped, WorkerRef};

use crate::{Parcel, SpoolError};

/// Sends what a dead program left: what was numbered before as it was, then the rest, numbered behind it. Its caller posts
/// [`next`](Self::next) and tells what became of it by [`settle`](Self::settle); at the end the folder is removed.
#[derive(Debug)]
pub struct Replay {}

/// What the server said to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored.
    Accepted,
    /// It is too large.
    TooLarge,
    /// It can't be read; which event is at fault, if the server says so.
    Unreadable(Option<u64>),
}

impl Replay {
    /// Who recorded.
    pub fn worker(&self) -> &WorkerRef {
        todo!()
    }

    /// What was dropped, by now.
    pub fn dropped(&self) -> Vec<Dropped> {
        todo!()
    }

    /// The batch that is next; `None` when all is settled.
    pub fn next(&mut self) -> Option<&Parcel> {
        todo!()
    }

    /// What became of the batch that was [`next`](Self::next). Without a verdict (nobody answered) call `next` again, later.
    ///
    /// # Errors
    /// When the disk refuses to keep it.
    pub fn settle(&mut self, verdict: Verdict) -> Result<(), SpoolError> {
        let _ = verdict;
        todo!()
    }

    /// All is settled: removes the folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<(), SpoolError> {
        todo!()
    }
}
