//! The last chance to send: runs on return from `main`, on `process::exit` and after a panic in `main`.

use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use super::{Command, SHIPPER};
use crate::report;

/// The operating-system process that registered, and how long its end may take.
static REGISTERED: OnceLock<(u32, Duration)> = OnceLock::new();

/// Has [`at_exit`] called at the end of the program.
#[allow(unsafe_code, reason = "only the C library knows when a program ends by process::exit")]
pub(super) fn register(timeout: Duration) {
    if REGISTERED.set((std::process::id(), timeout)).is_ok() {
        // SAFETY: `at_exit` is a plain function that doesn't unwind: it calls nothing that panics, and its body is guarded.
        unsafe { libc::atexit(at_exit) };
    }
}

extern "C" fn at_exit() {
    let _ = std::panic::catch_unwind(|| {
        let (Some((pid, timeout)), Some(shipper)) = (REGISTERED.get(), SHIPPER.get()) else { return };
        // A forked child has the registration, but not the shipper's thread.
        if *pid != std::process::id() {
            return;
        }
        let (done, answer) = mpsc::channel();
        if shipper.send(Command::Exit { done }).is_ok() && answer.recv_timeout(*timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
            report::warn(&format!(
                "the program ends before the server has taken all that was recorded (MONITOR_EXIT_TIMEOUT is {timeout:?})"
            ));
        }
    });
}
