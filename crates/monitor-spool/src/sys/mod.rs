//! Operating-system interface: opening folders safely against other users, allocating disk space, mapping files, and locks that end with
//! the program.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(crate) use other::*;

/// Result of `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Device and inode number.
    pub(crate) file: (u64, u64),
    /// True if the file belongs to this user.
    pub(crate) is_own: bool,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) is_regular: bool,
    pub(crate) bytes: u64,
    /// Time of the last modification, in Unix microseconds.
    pub(crate) changed_us: u64,
}
