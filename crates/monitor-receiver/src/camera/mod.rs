//! Cameras store pictures of a [`State`] in a file, a database, a mail, or any other place.
//!
//! The cameras in this module include only the changes since their previous picture, so a picture does not grow with the state, and several
//! cameras do not affect each other. A custom camera needs only a few lines:
//!
//! ```
//! use monitor_receiver::{Camera, State, camera::Result};
//!
//! /// Prints how many tasks there are in which state.
//! struct Tally;
//!
//! impl Camera for Tally {
//!     fn shutter(&mut self, state: &State) -> Result {
//!         let running = state.tasks().filter(|task| task.state.as_str() == "running").count();
//!         println!("{running} of {} tasks run", state.tasks().count());
//!         Ok(())
//!     }
//! }
//! ```

mod command;
mod file;
#[cfg(feature = "mail")]
mod mail;
mod picture;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "webhook")]
mod webhook;

pub use command::CommandCamera;
pub use file::FileCamera;
#[cfg(feature = "mail")]
pub use mail::MailCamera;
pub use picture::Picture;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteCamera;
#[cfg(feature = "webhook")]
pub use webhook::WebhookCamera;

use crate::state::State;

/// Reason why a camera failed: any error.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Result of a camera.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Runs a future to completion on a new thread. The current thread may belong to an async runtime, which can't be entered twice.
#[cfg(any(feature = "mail", feature = "webhook"))]
fn wait_for<T: Send>(sending: impl Future<Output = T> + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(sending)));
        sender.join().expect("sending doesn't panic")
    })
}

/// Takes pictures of a state at the interval given to [`Receiver::camera`](crate::Receiver::camera), if the state has changed.
pub trait Camera: Send {
    /// Takes a picture. No events are received during the call; the server keeps them.
    ///
    /// # Errors
    /// Any error. It is reported as a [`Notice`](crate::Notice), and the next picture is taken at its usual time.
    fn shutter(&mut self, state: &State) -> Result;

    /// Returns true if the state must be [cleared](State::clear) after each successful picture. Do not combine with other cameras, which
    /// would miss the cleared data.
    fn clear_after(&self) -> bool {
        false
    }

    /// Returns the name of the camera in notices.
    fn name(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}
