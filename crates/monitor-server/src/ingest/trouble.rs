//! Why batches can't be stored, as long as they can't: said once in the log, and told to whoever asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monitor_http::with_causes;
use monitor_store::StoreError;

/// What the writer knows, and those who bring batches look at.
#[derive(Default)]
pub(super) struct Trouble {
    state: Mutex<State>,
    /// Batches are refused before they are tried.
    is_shut: AtomicBool,
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    cause: Option<Arc<str>>,
    /// The disk has no room.
    is_full: bool,
    /// How many batches had been refused when it began.
    refused_before: u64,
}

impl Trouble {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a batch that has to come again.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of batches that had to come again.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Why nothing can be stored now, if that is so.
    pub(super) fn cause(&self) -> Option<Arc<str>> {
        self.lock().cause.clone()
    }

    /// Why nothing can be stored now, if that is because the disk has no room.
    pub(super) fn full(&self) -> Option<Arc<str>> {
        let state = self.lock();
        state.cause.clone().filter(|_| state.is_full)
    }

    /// Why batches need not be tried, if that is so.
    pub(super) fn shut(&self) -> Option<Arc<str>> {
        if self.is_shut.load(Ordering::Relaxed) { self.cause() } else { None }
    }

    /// Notes that something could not be stored. Returns true if that is known already.
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

    /// Notes that it is over.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        if state.cause.take().is_some() {
            let refused = self.refused() - state.refused_before;
            tracing::info!(refused, "batches are stored again");
            self.is_shut.store(false, Ordering::Relaxed);
        }
    }
}
