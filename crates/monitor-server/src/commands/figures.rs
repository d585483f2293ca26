//! Numbers of commands and replies since the server started.

use std::sync::atomic::{AtomicU64, Ordering};

/// Classification of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The reply was expected.
    Taken,
    /// The reply arrived too late.
    Late,
    /// The worker had replied before.
    Double,
    /// The reply is invalid, or not for one of this worker's commands.
    Garbage,
}

impl Reply {
    /// All kinds, with their names.
    pub(crate) const ALL: [(Self, &'static str); 4] =
        [(Self::Taken, "taken"), (Self::Late, "late"), (Self::Double, "double"), (Self::Garbage, "garbage")];
}

/// Counters.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    commands: AtomicU64,
    serials: AtomicU64,
    replies: [AtomicU64; 4],
}

impl Figures {
    pub(super) fn asked(&self) {
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns a new serial number for a channel.
    pub(super) fn next_serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a reply.
    pub(crate) fn count(&self, reply: Reply) {
        self.replies[reply as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of commands.
    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// Returns the number of replies of this kind.
    pub(crate) fn replies(&self, reply: Reply) -> u64 {
        self.replies[reply as usize].load(Ordering::Relaxed)
    }
}
