//! Cameras take pictures of a [`State`]: into a file, a database, a mail, wherever a program wants them.
//!
//! Those here take with each picture what changed since their latest one, so that none of them grows with what is known, and several of
//! them don't disturb each other. One of your own is a few lines:
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

/// Why a camera took no picture: any error.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a camera returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Waits for a sender. The sender runs on a thread of its own, because this thread may be one of an async runtime's, which can't be entered twice.
#[cfg(any(feature = "mail", feature = "webhook"))]
fn wait_for<T: Send>(sending: impl Future<Output = T> + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(sending)));
        sender.join().expect("sending doesn't panic")
    })
}

/// Takes pictures of a state, as often as [`Receiver::camera`](crate::Receiver::camera) says, if anything happened meanwhile.
pub trait Camera: Send {
    /// Takes a picture. Nothing is received meanwhile, and nothing is lost: the server keeps what comes.
    ///
    /// # Errors
    /// Any. It is told as a [`Notice`](crate::Notice), and the next picture is taken as usual.
    fn shutter(&mut self, state: &State) -> Result;

    /// Returns true if the state is [cleared](State::clear) after each picture that was taken. Not beside other cameras: they would miss what
    /// was cleared.
    fn clear_after(&self) -> bool {
        false
    }

    /// What it is called in notices.
    fn name(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}
