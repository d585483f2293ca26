//! The last chance to send: runs on return from `main`, on `process::exit` and after a panic in `main`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Command, Handle, SHIPPER};
use crate::report;
use monitor_spool::now_us;

/// Has [`at_exit`] called at the end of the program, and of its forked children.
pub(super) fn register() {
    monitor_core::exit::register(at_exit);
}

fn at_exit(code: Option<i32>) {
    let _ = std::panic::catch_unwind(|| {
        let Some(shipper) = SHIPPER.get().filter(|shipper| is_own(shipper)) else { return };
        monitor_core::exit::ended_by(code);
        // Other threads may go on until the very end: what they record from here on isn't waited for. And a shipper that has
        // ended before will not answer.
        if monitor_core::switch::turn_off() {
            say_goodbye(shipper);
        }
    });
}

/// A child that was made behind the C library's back has a copy of all this, but no thread. And a shipper whose panic hook or
/// subscriber ends the program would wait for itself.
pub(super) fn is_own(shipper: &Handle) -> bool {
    shipper.pid == std::process::id() && !monitor_core::inside::is_inside()
}

/// What is in memory alone is put into the spool within this time, beyond that in which it may be sent. What remains then is counted.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Counting may take so long again.
const LAST_COUNT: Duration = Duration::from_secs(5);

/// Waits until the server has what was recorded, or as long as the program's end may take.
pub(super) fn say_goodbye(shipper: &Handle) {
    let (done, answer) = mpsc::channel();
    let timeout = shipper.exit_timeout;
    // A program that is not to wait at all has what is in memory counted at once.
    let last_words = if timeout.is_zero() { Duration::ZERO } else { LAST_WORDS };
    let until = Instant::now() + timeout;
    if let Some((_, keeper)) = &shipper.kept {
        // For the case that there is no time for the goodbye.
        keeper.ended(now_us());
    }
    let is_late = |timeout| answer.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout);
    if shipper.commands.send(Command::Exit { done, until, late: until + last_words }).is_err() || !is_late(timeout) {
        return;
    }
    let what = format!("the program ends before the server has taken all that was recorded (MONITOR_EXIT_TIMEOUT is {timeout:?})");
    match &shipper.kept {
        Some((_, keeper)) if keeper.is_whole() => report::info(&format!("{what}: the rest is kept in the spool")),
        // Not all of it is there yet.
        Some(_) => {
            if is_late(last_words + LAST_COUNT) {
                report::warn(&format!("{what}: the spool could not keep all of the rest"));
            }
        }
        None => report::warn(&what),
    }
}
