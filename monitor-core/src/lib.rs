//! What runs inside a monitored function: who is current, when something began and how it ended.
//!
//! Facts leave through [`queue`]. This crate knows no wire format, no settings and nobody who drains it; everything that
//! a user calls is re-exported by `monitor-client`.

#[doc(hidden)]
pub mod brief;
pub mod context;
pub mod exit;
pub mod fold;
pub mod fork;
pub mod home;
pub mod inside;
pub mod keep;
pub mod own;
pub mod process;
pub mod queue;
pub mod record;
pub mod strays;
pub mod switch;
pub mod warn;

mod attach;
mod clock;
mod crowds;
mod drain;
mod future;
mod ids;
mod live;
mod log;
mod outcome;
mod panic;
mod park;
mod ring;
#[cfg(feature = "record")]
mod section;
mod site;
mod thread;
mod trees;
mod value;

#[doc(hidden)]
pub mod private;

pub use context::{Context, CurrentGuard, set_inherited};
pub use future::InCurrent;
pub use log::{Level, log};
pub use outcome::Reported;
pub use process::{Entered, Exit, Process, ProcessBuilder};
pub use record::Retry;
pub use record::Value;
#[doc(hidden)]
pub use ring::image;
pub use site::registered;
