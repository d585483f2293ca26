//! Runtime that `cargo monitor` adds to a program: the attributes, the recorder, and a thread that writes the records to the spool. It
//! depends only on std and libc, because it becomes part of programs that did not choose it. The launcher ships the spool while the program
//! runs; without a launcher, the next shipper does.
//!
//! Not a public interface: it changes without notice.

mod programs;
mod remote;
mod tests;
mod threads;
mod to_json;
mod writer;

pub use monitor_macros::woven;

/// Items used by generated code.
#[doc(hidden)]
pub mod __private {
    pub use crate::remote::remote;
    pub use monitor_core::private::*;
}
