//! Sends the remaining events at the end of the program: on return from `main`, on `process::exit` and after a panic in `main`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Command, Handle, SHIPPER};
use crate::report;
use monitor_spool::now_us;

/// Registers [`at_exit`] to be called at the end of the program and of its forked children.
pub(super) fn register() {
    monitor_core::exit::register(at_exit);
}

fn at_exit(code: Option<i32>) {
    let _ = std::panic::catch_unwind(|| {
        let Some(shipper) = SHIPPER.get().filter(|shipper| is_own(shipper)) else { return };
        monitor_core::exit::ended_by(code);
        // Other threads may run until the very end; records that they make from here on are not waited for. A shipper that
        // has already ended will not answer.
        if monitor_core::switch::turn_off() {
            say_goodbye(shipper);
        }
    });
}

/// Returns true if the caller may wait for the shipper. A child process that was created without the C library's fork has a copy of the
/// handle, but no shipper thread. A shipper whose panic hook or subscriber ends the program would wait for itself.
pub(super) fn is_own(shipper: &Handle) -> bool {
    shipper.pid == std::process::id() && !monitor_core::inside::is_inside()
}

/// Additional time, after the exit timeout, in which records in memory are written to the spool. Records that are still left are counted.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Additional time for counting the records that are left.
const LAST_COUNT: Duration = Duration::from_secs(5);

/// Waits until the server has stored everything, or until the exit timeout.
pub(super) fn say_goodbye(shipper: &Handle) {
    let (done, answer) = mpsc::channel();
    let timeout = shipper.exit_timeout;
    // With an exit timeout of zero, records in memory are counted immediately.
    let last_words = if timeout.is_zero() { Duration::ZERO } else { LAST_WORDS };
    let until = Instant::now() + timeout;
    if let Some((_, keeper)) = &shipper.kept {
        // Note the end now, in case there is no time to send the offline event.
        keeper.ended(now_us());
    }
    let is_late = |timeout| answer.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout);
    if shipper.commands.send(Command::Exit { done, until, late: until + last_words }).is_err() || !is_late(timeout) {
        return;
    }
    let what = format!("the program ends before the server has taken all that was recorded (MONITOR_EXIT_TIMEOUT is {timeout:?})");
    match &shipper.kept {
        Some((_, keeper)) if keeper.is_whole() => report::info(&format!("{what}: the rest is kept in the spool")),
        // A part of the records is not in the spool yet.
        Some(_) => {
            if is_late(last_words + LAST_COUNT) {
                report::warn(&format!("{what}: the spool could not keep all of the rest"));
            }
        }
        None => report::warn(&what),
    }
}
