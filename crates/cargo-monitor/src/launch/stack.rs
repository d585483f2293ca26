//! Enlarges the stack for deep recursion, because a woven call needs more of it than a plain call.

use std::process::Command;

/// Factor for the stack size. A woven call of a small function needs up to five times the stack of a plain call (measured in
/// `tests/weave/deep.rs`).
const FACTOR: u64 = 6;
/// Default stack size of threads that std spawns.
const OF_A_THREAD: u64 = 2 << 20;
/// Environment variable that sets std's default stack size.
const VARIABLE: &str = "RUST_MIN_STACK";

/// Enlarges the stack of the program's first thread, within the hard limit of the system, and the default stack of the threads that std
/// spawns in it.
pub(super) fn widen(command: &mut Command) {
    let said = std::env::var(VARIABLE).ok().and_then(|said| said.parse().ok());
    command.env(VARIABLE, said.unwrap_or(OF_A_THREAD).saturating_mul(FACTOR).to_string());
    widen_first();
}

#[allow(unsafe_code, reason = "std has no words for the limits of a process")]
fn widen_first() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is valid for writes; `limit` is a local variable.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return;
    }
    limit.rlim_cur = limit.rlim_cur.saturating_mul(FACTOR).min(limit.rlim_max);
    // SAFETY: the pointer is valid for reads. On failure the program keeps its normal stack size.
    unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) };
}
