//! Events for programs: a receiver with handlers, a state of what is known, and cameras that take pictures of it.
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
//!
//! [`Receiver::capture`] is the same for async programs. A connection that breaks is made again, after 1, 2, 4 … 32 seconds by chance, and
//! goes on where it was: nothing is missed and nothing told twice. With a [position file](Receiver::position_file) this holds over restarts of the program,
//! too. What the server itself has forgotten by then is told as a [`Notice::Gap`].
//!
//! Filters run on the server: what isn't wanted isn't sent.
//!
//! Features: `tls` (on by default) for https; `sqlite`, `webhook` and `mail` for the [cameras](camera) of these names.
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
