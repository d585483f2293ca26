//! State of a store that can't store batches. The cause is logged once and available to all callers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monitor_http::with_causes;
use monitor_store::StoreError;

/// State shared by the writer thread, which sets it, and the senders, which read it.
#[derive(Default)]
pub(super) struct Trouble {
    state: Mutex<State>,
    /// True if batches are refused without trying to store them.
    is_shut: AtomicBool,
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    cause: Option<Arc<str>>,
    /// True if the disk is full.
    is_full: bool,
    /// Number of refused batches at the beginning of the trouble.
    refused_before: u64,
}

impl Trouble {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a batch that must be sent again.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of batches that had to be sent again.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns the reason if nothing can be stored now.
    pub(super) fn cause(&self) -> Option<Arc<str>> {
        self.lock().cause.clone()
    }

    /// Returns the reason if nothing can be stored now because the disk is full.
    pub(super) fn full(&self) -> Option<Arc<str>> {
        let state = self.lock();
        state.cause.clone().filter(|_| state.is_full)
    }

    /// Returns the reason if batches are refused without trying to store them.
    pub(super) fn shut(&self) -> Option<Arc<str>> {
        if self.is_shut.load(Ordering::Relaxed) { self.cause() } else { None }
    }

    /// Records a failure. Returns true if the trouble was already known.
    pub(super) fn begin(&self, error: &StoreError) -> bool {
        let mut state = self.lock();
        let is_known = state.cause.is_some();
        let cause = with_causes(error);
        if !is_known {
            tracing::warn!("batches are answered 503, and nothing of them is stored: {cause}");
            state.refused_before = self.refused();
        }
        state.cause = Some(cause.into());
        state.is_full = error.is_for_room();
        if error.is_lasting() {
            self.is_shut.store(true, Ordering::Relaxed);
        }
        is_known
    }

    /// Records that storing works again.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        if state.cause.take().is_some() {
            let refused = self.refused() - state.refused_before;
            tracing::info!(refused, "batches are stored again");
            self.is_shut.store(false, Ordering::Relaxed);
        }
    }
}
