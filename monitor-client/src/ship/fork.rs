//! A forked child is a program of its own: it gets its own identity, queue and shipper, when it first records.

use std::sync::atomic::{AtomicBool, Ordering};

use super::SHIPPER;

/// Has [`in_child`] called in every child that is forked from here on, and in their children.
#[allow(unsafe_code, reason = "only the C library knows when a program forks; to ask for the pid would cost every call")]
pub(super) fn register() {
    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);

    if !IS_REGISTERED.swap(true, Ordering::AcqRel) {
        // SAFETY: `in_child` is a plain function that lives as long as the program. It only stores to atomics and to
        // thread-locals that need no set-up, so it may run in a child whose other threads are gone, and it doesn't unwind.
        // Without memory for one more handler a child records nothing, which harms nobody.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}

/// Runs in children that only mean to `exec` as well, as those of a `Command` with `pre_exec` do: it does no more than forget.
extern "C" fn in_child() {
    SHIPPER.forget();
    monitor_core::switch::forked();
}
