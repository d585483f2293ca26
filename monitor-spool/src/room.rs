//! The bound of a folder, shared by all that is kept in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of one program's folder, bounded.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: AtomicU64,
}

impl Room {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Inner { limit, used: AtomicU64::new(0) }))
    }

    pub(crate) fn limit(&self) -> u64 {
        self.0.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Takes so many bytes, if they are left.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        self.take_within(bytes, self.0.limit)
    }

    /// Takes so many bytes, if then no more than `limit` are taken.
    pub(crate) fn take_within(&self, bytes: u64, limit: u64) -> bool {
        let take = |used: u64| used.checked_add(bytes).filter(|used| *used <= limit);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}
