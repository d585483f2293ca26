//! Size limit of a folder, shared by all its files.
//!
//! Recording memory (rings, lane) uses at most half of the limit, the journal at most three quarters, so that neither can take all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes used by a program's folder, with a limit.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: AtomicU64,
    memory: AtomicU64,
    journal: AtomicU64,
}

impl Room {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Inner { limit, used: AtomicU64::new(0), memory: AtomicU64::new(0), journal: AtomicU64::new(0) }))
    }

    pub(crate) fn limit(&self) -> u64 {
        self.0.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Reserves bytes for recording memory. Returns false if they are not available.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        self.take_from(&self.0.memory, self.0.limit / 2, bytes)
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        give_back(&self.0.memory, bytes);
        give_back(&self.0.used, bytes);
    }

    /// Returns the maximum size of the journal.
    pub(crate) fn journal_limit(&self) -> u64 {
        self.0.limit - self.0.limit / 4
    }

    /// Reserves bytes for the journal. Returns false if they are not available.
    pub(crate) fn take_for_journal(&self, bytes: u64) -> bool {
        self.take_from(&self.0.journal, self.journal_limit(), bytes)
    }

    pub(crate) fn give_back_of_journal(&self, bytes: u64) {
        give_back(&self.0.journal, bytes);
        give_back(&self.0.used, bytes);
    }

    fn take_from(&self, part: &AtomicU64, limit: u64, bytes: u64) -> bool {
        if !take(part, limit, bytes) {
            return false;
        }
        let is_taken = take(&self.0.used, self.0.limit, bytes);
        if !is_taken {
            give_back(part, bytes);
        }
        is_taken
    }
}

fn take(used: &AtomicU64, limit: u64, bytes: u64) -> bool {
    let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= limit);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

fn give_back(used: &AtomicU64, bytes: u64) {
    let less = |used: u64| Some(used.saturating_sub(bytes));
    let _ = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
}
