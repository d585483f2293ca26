//! What `cargo monitor` weaves into a program: the attributes, the recorder, and a thread that writes what is recorded to the spool.
//! By std and libc alone: it becomes part of programs that never asked for it. Whoever started the program ships the spool, while it
//! runs; else the next one who ships.
//!
//! Not for users: it changes without notice.

mod programs;
mod remote;
mod tests;
mod threads;
mod to_json;
mod writer;

pub use monitor_macros::woven;

/// What generated code calls.
#[doc(hidden)]
pub mod __private {
    pub use crate::remote::remote;
    pub use monitor_core::private::*;
}
