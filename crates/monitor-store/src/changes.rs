//! What a transaction changed, kept small: it becomes messages when somebody reads them.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use monitor_wire::{RootId, StreamMessage, WorkerId};

/// A stored event and what it made of things.
#[derive(Debug, Clone)]
pub struct Change {
    /// Ascending without gaps, over restarts too.
    pub seq: u64,
    /// As the stream tells it.
    pub message: Arc<StreamMessage>,
}

/// The changes of a transaction, in order. As a slice they are all told, which takes memory.
pub struct Changes {
    first_seq: u64,
    tell: Box<dyn Tell>,
    told: OnceLock<Vec<Change>>,
}

/// Tells changes by their place, from 0.
pub trait Tell: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Type of the event.
    fn type_name(&self, index: usize) -> &str;
    /// Its tree; none for events of workers.
    fn root_id(&self, index: usize) -> Option<RootId>;
    /// The worker that told it; none if the server did.
    fn sender(&self, index: usize) -> Option<WorkerId>;
    /// All of it, as after the transaction; of which number that is isn't said.
    fn message(&self, index: usize) -> StreamMessage;
    /// About how many bytes all of them hold, untold.
    fn bytes(&self) -> usize;
}

impl Changes {
    /// Changes from number `first_seq` on.
    pub fn new(first_seq: u64, tell: impl Tell + 'static) -> Self {
        Self { first_seq, tell: Box::new(tell), told: OnceLock::new() }
    }

    /// Nothing changed.
    pub fn none() -> Self {
        Self::new(0, Vec::new())
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.tell.count()
    }

    /// Number of the first.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Who tells them.
    pub fn tell(&self) -> &dyn Tell {
        &*self.tell
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Deref for Changes {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        self.told.get_or_init(|| {
            let change = |(index, seq)| Change { seq, message: Arc::new(self.tell.message(index)) };
            (0..self.count()).zip(self.first_seq..).map(change).collect()
        })
    }
}

/// Messages that are there already.
impl Tell for Vec<StreamMessage> {
    fn count(&self) -> usize {
        self.len()
    }

    fn type_name(&self, index: usize) -> &str {
        self[index].event.type_name()
    }

    fn root_id(&self, index: usize) -> Option<RootId> {
        self[index].event.root_id()
    }

    fn sender(&self, _: usize) -> Option<WorkerId> {
        None
    }

    fn message(&self, index: usize) -> StreamMessage {
        self[index].clone()
    }

    fn bytes(&self) -> usize {
        self.len() * size_of::<StreamMessage>()
    }
}
