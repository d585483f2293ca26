//! Signals: those by which a launcher is asked to end its run, and how any is sent.

#![allow(unsafe_code, reason = "calls of the C library that no crate of ours wraps")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Asks a launcher to end all that its command has started.
pub fn end_tree() -> i32 {
    libc::SIGRTMIN() + 1
}

/// Asks a launcher to kill all that its command has started.
pub fn kill_tree() -> i32 {
    libc::SIGRTMIN() + 2
}

/// Sends a signal; to a group if `pid` is negative. One that is gone is no error.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(pid, signal) };
}

/// Sends a signal to the process of a pidfd.
///
/// # Errors
/// When it has ended, or the system refuses.
pub fn signal_by_file(process: &OwnedFd, signal: i32) -> io::Result<()> {
    // SAFETY: takes numbers, and no address.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
