//! Stores a program's records in files that outlive it. After `kill -9`, another process finds and ships them.
//!
//! ```text
//! <spool>/                  one per user
//! └─ <worker id>/           one per operating-system process
//!    ├─ lock                held while the program lives
//!    ├─ program             who it is, its call sites, its clock, how far the server has taken it
//!    ├─ region-… segment-…  the memory that calls are recorded into
//!    ├─ lane-…              what is rare or large, as it is recorded
//!    └─ journal-…           what is numbered and not yet acknowledged
//! ```
//! The writing side is [`Spool::begin`] and the parts of [`Begun`]. The reading side is [`Spool::list`], [`Spool::claim`] and [`Replay`].
//! [`send_all`] sends the batches of both. `docs/internals/spool.md` describes the formats, and which failures lose which data. The settings of a
//! recording program, such as the path of the spool, are read in [`settings`].
//!
//! Without the feature `read`, the crate contains only the writing side, which depends only on std and libc.

#![cfg_attr(not(feature = "read"), allow(dead_code, reason = "what is read is also written by its readers"))]

mod block;
#[cfg(any(test, not(feature = "read")))]
mod crc;
mod error;
mod events;
mod fold;
mod folder;
mod journal;
pub mod json;
mod keeper;
mod lane;
mod lock;
mod lost;
mod parcel;
mod piece;
mod program;
mod room;
pub mod settings;
mod sha256;
mod size;
mod spool;
mod sys;
pub mod wire;

#[cfg(feature = "read")]
mod answer;
#[cfg(feature = "read")]
mod body;
#[cfg(feature = "read")]
mod encoding;
#[cfg(feature = "read")]
mod follow;
#[cfg(feature = "read")]
mod found;
#[cfg(feature = "read")]
mod passed_tests;
#[cfg(feature = "read")]
mod reader;
#[cfg(feature = "read")]
mod replay;
#[cfg(feature = "read")]
mod reserved;
#[cfg(feature = "read")]
mod sending;

pub use error::SpoolError;
pub use fold::{Folds, fold_id};
pub use folder::Folder;
pub use journal::{Journal, Meta};
pub use keeper::SpoolKeeper;
pub use lane::{Entry, Lane};
pub use lost::Lost;
pub use parcel::{Parcel, Rejected};
pub use piece::Pieces;
pub use program::{About, Calibration, ClockSample, Marks, Program};
pub use size::bytes;
pub use spool::{Begun, Spool, default_dir, dir_of};

/// Returns the current time in Unix microseconds.
pub fn now_us() -> u64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Returns the name of this machine.
pub fn hostname() -> String {
    sys::hostname()
}

#[cfg(feature = "read")]
pub use answer::{Answer, Backoff, Sent};
#[cfg(feature = "read")]
pub use body::Head;
#[cfg(feature = "read")]
pub use encoding::content_encoding;
#[cfg(feature = "read")]
pub use follow::{Follower, FollowerOfTests};
#[cfg(feature = "read")]
pub use found::{Found, Life};
#[cfg(feature = "read")]
pub use passed_tests::PassedTests;
#[doc(hidden)]
#[cfg(feature = "read")]
pub use reader::fuzz;
#[cfg(feature = "read")]
pub use replay::Replay;
#[cfg(feature = "read")]
pub use reserved::Reserved;
#[cfg(feature = "read")]
pub use sending::{Answered, Batches, Next, Settled, Way, send_all};

/// Version of the memory layout of rings in this build. Rings with another layout can be read only by a build with that layout.
pub const LAYOUT: u64 = monitor_core::image::LAYOUT as u64;
