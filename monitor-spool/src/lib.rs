//! What a program has recorded, in files that outlive it: after `kill -9` it is found and shipped by whoever comes next.
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
//! The writing side is [`Spool::begin`] and the [`Begun`] parts; the reading side [`Spool::list`], [`Spool::claim`] and
//! [`Replay`]. `docs/spool.md` has the formats, and when what is lost.

mod block;
mod body;
mod error;
mod fold;
mod folder;
mod journal;
mod lane;
mod lock;
mod piece;
mod program;
mod reader;
mod replay;
mod room;
mod spool;
mod sys;

pub use body::{Head, Parcel, Rejected};
pub use error::SpoolError;
pub use fold::fold_id;
pub use folder::Folder;
pub use journal::{Journal, Meta};
pub use lane::{Entry, Lane};
pub use piece::Pieces;
pub use program::{About, Calibration, ClockSample, Marks, Program};
#[doc(hidden)]
pub use reader::fuzz;
pub use replay::{Replay, Verdict};
pub use spool::{Begun, Found, Life, Spool, default_dir, dir_of};
