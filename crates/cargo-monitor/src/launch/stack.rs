//! Room for deep recursion: a woven call takes more of the stack than a plain one.

use std::process::Command;

/// So many times the stack of a plain program is given to a woven one: a call that does hardly anything takes up to five times as much
/// of it (`tests/weave/deep.rs` measures that).
const FACTOR: u64 = 6;
/// The stack that std gives a thread without being told.
const OF_A_THREAD: u64 = 2 << 20;
/// What the program's own setting of std is.
const VARIABLE: &str = "RUST_MIN_STACK";

/// Widens the stack of the program's first thread, within what the system allows, and of the threads that std makes for it.
pub(super) fn widen(command: &mut Command) {
    let said = std::env::var(VARIABLE).ok().and_then(|said| said.parse().ok());
    command.env(VARIABLE, said.unwrap_or(OF_A_THREAD).saturating_mul(FACTOR).to_string());
    widen_first();
}

#[allow(unsafe_code, reason = "std has no words for the limits of a process")]
fn widen_first() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the system writes to a place that is this function's own.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return;
    }
    limit.rlim_cur = limit.rlim_cur.saturating_mul(FACTOR).min(limit.rlim_max);
    // SAFETY: it only reads what is passed. Where it is refused, the program has the stack of a plain one.
    unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) };
}
