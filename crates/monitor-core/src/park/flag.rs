//! The flag that is raised while the drainer sleeps.

use super::atomic::{AtomicU8, Ordering, compiler_fence, fence};

/// The drainer sleeps.
const UP: u8 = 1;
/// Recorders need fences of their own.
const FENCED: u8 = 2;

/// Aligned so that its cache line contains nothing that is written to.
#[repr(align(128))]
pub(super) struct Flag(pub(super) AtomicU8);

impl Flag {
    /// Records that the system has no barrier for all threads at once.
    pub(super) fn need_fences(&self) {
        self.0.fetch_or(FENCED, Ordering::SeqCst);
    }

    /// Returns true if recorders execute fences of their own.
    pub(super) fn is_fenced(&self) -> bool {
        self.0.load(Ordering::Relaxed) & FENCED != 0
    }

    /// Executes a fence, if recorders need one.
    #[inline]
    pub(super) fn order(&self) {
        compiler_fence(Ordering::SeqCst);
        if self.is_fenced() {
            fence(Ordering::SeqCst);
        }
    }

    /// Returns true if the recorder should [`take`](Self::take) the flag. Called after each record; one relaxed load.
    #[inline]
    pub(super) fn may_be_up(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Lowers the flag. Returns true for a single recorder, which then wakes the drainer.
    pub(super) fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) & UP != 0 && self.0.fetch_and(!UP, Ordering::SeqCst) & UP != 0
    }

    /// Raises the flag. The drainer then makes all threads pass a barrier and checks for records a last time.
    pub(super) fn raise(&self) {
        self.0.fetch_or(UP, Ordering::SeqCst);
    }

    pub(super) fn lower(&self) {
        self.0.fetch_and(!UP, Ordering::SeqCst);
    }
}
