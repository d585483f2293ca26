//! The changes of a transaction in a compact form. Stream messages are built from it only when they are read.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use monitor_wire::{RootId, StreamMessage, WorkerId};

/// A stored event and the models that it changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// Number of the change. Numbers ascend without gaps, also across restarts.
    pub seq: u64,
    /// Message that the event stream sends for this change.
    pub message: Arc<StreamMessage>,
}

/// The changes of a transaction, in order. Dereferencing to a slice builds all messages and keeps them in memory.
pub struct Changes {
    first_seq: u64,
    tell: Box<dyn Tell>,
    told: OnceLock<Vec<Change>>,
}

/// Builds the messages of a transaction on demand. Changes are addressed by index, starting at 0.
pub trait Tell: Send + Sync {
    /// Returns the number of changes.
    fn count(&self) -> usize;
    /// Returns the type of the event.
    fn type_name(&self, index: usize) -> &str;
    /// Returns the tree that the event belongs to. `None` for events about workers.
    fn root_id(&self, index: usize) -> Option<RootId>;
    /// Returns the worker that sent the event. `None` for events that the server created.
    fn sender(&self, index: usize) -> Option<WorkerId>;
    /// Builds the message with the models as they are after the transaction. Its `as_of` is not set.
    fn message(&self, index: usize) -> StreamMessage;
    /// Returns the approximate memory size of all changes in bytes, without the messages built from them.
    fn bytes(&self) -> usize;
}

impl Changes {
    /// Creates changes with consecutive numbers that begin with `first_seq`.
    pub fn new(first_seq: u64, tell: impl Tell + 'static) -> Self {
        Self { first_seq, tell: Box::new(tell), told: OnceLock::new() }
    }

    /// Returns an empty list of changes.
    pub fn none() -> Self {
        Self::new(0, Vec::new())
    }

    /// Returns the number of changes.
    pub fn count(&self) -> usize {
        self.tell.count()
    }

    /// Returns the number of the first change.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Returns the source that builds the messages.
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

/// Messages that are already built.
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
