//! What only the operating system can do: folders that nobody else can have planted, room that is really there, memory in
//! files, locks that end with the program.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(crate) use other::*;

/// What `stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Device and number of the file.
    pub(crate) file: (u64, u64),
    /// It belongs to whoever runs this program.
    pub(crate) is_own: bool,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) is_regular: bool,
    pub(crate) bytes: u64,
    /// When it was last written to, in Unix microseconds.
    pub(crate) changed_us: u64,
}
