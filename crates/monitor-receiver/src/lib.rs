//! Receives events in a program: a receiver with handlers, a state of known tasks and workers, and cameras that store pictures of the
//! state.
//!
//! ```no_run
//! use monitor_receiver::{Receiver, State};
//!
//! # fn main() -> Result<(), monitor_receiver::Error> {
//! let mut receiver = Receiver::connect("http://127.0.0.1:60010")?
//!     .types(["task-*", "worker-*"])
//!     .with_state(State::bounded(10_000, 5_000))
//!     .on("task-failed", |event, _state| {
//!         let name = event.process.as_ref().map_or("a task", |task| &task.name);
//!         println!("{name} failed");
//!     })
//!     .on("*", |event, state| println!("{} ({} tasks known)", event.type_name(), state.tasks().count()));
//! // Without an end: no limit, no timeout; the state begins with what there is.
//! receiver.capture_blocking(None, None, true)?;
//! # Ok(())
//! # }
//! ```
//! [`Receiver::capture`] is the equivalent for async programs. A broken connection is reestablished after random delays of up to 1, 2, 4 …
//! 32 seconds and continues where it stopped: no event is missed or delivered twice. With a [position file](Receiver::position_file), that
//! is also true across restarts of the program. Events that the server no longer has by then are reported as a [`Notice::Gap`].
//!
//! Filters run on the server, so events that do not match are not sent.
//!
//! Features: `tls` (enabled by default) for https; `sqlite`, `webhook` and `mail` for the [cameras](camera) of these names.
#![forbid(unsafe_code)]

pub mod camera;
mod error;
mod handlers;
mod notice;
mod position;
mod receiver;
mod shutter;
mod state;

pub use camera::Camera;
pub use error::Error;
pub use handlers::{Handled, Received};
pub use monitor_api::{Client, InvalidSetting, Token};
pub use monitor_wire as wire;
pub use notice::Notice;
pub use receiver::{Ended, Receiver};
pub use state::{Mark, State};
