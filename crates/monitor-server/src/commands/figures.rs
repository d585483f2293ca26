//! How many commands and replies there were since the server began.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a reply of a worker turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Somebody waited for it.
    Taken,
    /// Nobody waits for it any more.
    Late,
    /// The worker has answered before.
    Double,
    /// It can't be read, or it is none of this worker's commands.
    Garbage,
}

impl Reply {
    /// All of them, with their words.
    pub(crate) const ALL: [(Self, &'static str); 4] =
        [(Self::Taken, "taken"), (Self::Late, "late"), (Self::Double, "double"), (Self::Garbage, "garbage")];
}

/// The counters.
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

    /// A number that no channel has had.
    pub(super) fn next_serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a reply.
    pub(crate) fn count(&self, reply: Reply) {
        self.replies[reply as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many commands were asked.
    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// How many replies were of this kind.
    pub(crate) fn replies(&self, reply: Reply) -> u64 {
        self.replies[reply as usize].load(Ordering::Relaxed)
    }
}
