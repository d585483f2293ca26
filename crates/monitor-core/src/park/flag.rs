//! The flag that says whether anybody sleeps.

use super::atomic::{AtomicU8, Ordering, compiler_fence, fence};

/// Somebody sleeps.
const UP: u8 = 1;
/// Recorders need a barrier of their own.
const FENCED: u8 = 2;

/// Shares its cache line with nothing that is written to.
#[repr(align(128))]
pub(super) struct Flag(pub(super) AtomicU8);

impl Flag {
    /// The system has no barrier for all threads at once.
    pub(super) fn need_fences(&self) {
        self.0.fetch_or(FENCED, Ordering::SeqCst);
    }

    /// Whether recorders pass barriers of their own.
    pub(super) fn is_fenced(&self) -> bool {
        self.0.load(Ordering::Relaxed) & FENCED != 0
    }

    /// Passes a barrier, if recorders have to.
    #[inline]
    pub(super) fn order(&self) {
        compiler_fence(Ordering::SeqCst);
        if self.is_fenced() {
            fence(Ordering::SeqCst);
        }
    }

    /// For the recorder, after its record: whether to [`take`](Self::take) it. One relaxed load.
    #[inline]
    pub(super) fn may_be_up(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Lowers it for the one who was faster than all others: it wakes the sleeper.
    pub(super) fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) & UP != 0 && self.0.fetch_and(!UP, Ordering::SeqCst) & UP != 0
    }

    /// For the sleeper, before it makes all pass a barrier and looks for the last time.
    pub(super) fn raise(&self) {
        self.0.fetch_or(UP, Ordering::SeqCst);
    }

    pub(super) fn lower(&self) {
        self.0.fetch_and(!UP, Ordering::SeqCst);
    }
}
