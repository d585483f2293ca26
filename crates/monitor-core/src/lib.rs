//! The code that runs inside a monitored function: keeps the current process, and records starts and outcomes.
//!
//! Records leave the crate through [`queue`]. The crate knows neither the wire format, nor settings, nor the drainer. `monitor-client`
//! re-exports everything that users call.

#[cfg(all(target_family = "wasm", feature = "record"))]
compile_error!(
    "Process Monitor can't record in WebAssembly, which has neither threads, files nor signals as it needs them: depend on monitor-client \
     with default-features = false there, and the attributes do nothing"
);

#[doc(hidden)]
pub mod brief;
#[doc(hidden)]
pub mod cancel;
pub mod context;
#[doc(hidden)]
pub mod error_texts;
pub mod exit;
pub mod filter;
pub mod fold;
pub mod fork;
pub mod home;
pub mod inside;
pub mod keep;
pub mod levels;
pub mod own;
pub mod process;
pub mod record;
#[doc(hidden)]
pub mod span;
#[doc(hidden)]
pub mod starter;
pub mod strays;
pub mod switch;
#[doc(hidden)]
pub mod task;
pub mod warn;

/// The interface for the drainer, which takes records out of the monitored functions.
pub mod queue {
    pub use crate::budget::{DropKey, has_room, hold, is_filling, release};
    pub use crate::clock::Clock;
    pub use crate::drain::{Mark, Receiver, Taken, dropped, open, open_with};
    pub use crate::sending::Entry;
}

mod attach;
mod budget;
mod clock;
mod current;
mod done;
mod drain;
mod enrich;
mod future;
mod ids;
mod live;
mod log;
mod memory;
mod outcome;
mod panic;
mod park;
mod progress;
mod queue_folds;
#[cfg_attr(not(feature = "record"), allow(dead_code))]
mod quiet;
mod ring;
mod running;
#[cfg(feature = "record")]
mod section;
mod sending;
mod site;
mod thread;
mod told;
mod trees;
mod value;
mod verdict;

#[doc(hidden)]
pub mod private;

pub use attach::parent_of_program;
pub use context::Context;
pub use current::{CurrentGuard, set_inherited};
pub use enrich::{fail, field, rename};
pub use future::InCurrent;
pub use log::log;
#[doc(hidden)]
pub use log::{Line, log_line, set_level as set_log_level};
pub use outcome::Reported;
pub use process::{Entered, Process, ProcessBuilder};
pub use progress::progress;
pub use record::{Exit, Level, Retry, Value};
#[doc(hidden)]
pub use ring::image;
pub use running::Running;
pub use site::registered;
pub use value::Amount;
