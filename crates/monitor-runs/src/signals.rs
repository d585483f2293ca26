//! Signals that order a launcher to end its run, and functions to send signals.

#![allow(unsafe_code, reason = "calls of the C library that no crate of ours wraps")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Signal that orders a launcher to end the whole tree of its command.
pub fn end_tree() -> i32 {
    libc::SIGRTMIN() + 1
}

/// Signal that orders a launcher to kill the whole tree of its command.
pub fn kill_tree() -> i32 {
    libc::SIGRTMIN() + 2
}

/// Sends a signal to a process, or to a process group if `pid` is negative. Ignores errors such as a missing process.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(pid, signal) };
}

/// Sends a signal to the process of a pidfd.
///
/// # Errors
/// If the process has ended, or the system call fails.
pub fn signal_by_file(process: &OwnedFd, signal: i32) -> io::Result<()> {
    // SAFETY: takes numbers, and no address.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
