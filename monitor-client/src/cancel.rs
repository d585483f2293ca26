//! The end of what runs, because somebody asked for it: `monitor cancel`, the page, or `POST /api/v1/roots/{root}/cancel`.
//!
//! A program does so where `MONITOR_COMMANDS` allows it: `all`, or `read,cancel`. Nothing is ended by force. A task of tokio's that was
//! spawned by [`spawn_task`](crate::spawn_task) or [`JoinSet`](crate::tokio::JoinSet) is aborted at its next await. Code that doesn't
//! await asks, and ends in its own way:
//!
//! ```
//! use monitor_client::{cancel, normal_task};
//!
//! #[normal_task]
//! fn import(rows: &[u32]) -> Result<u32, &'static str> {
//!     let mut sum = 0;
//!     for row in rows {
//!         if cancel::requested() {
//!             return Err("cancelled");
//!         }
//!         sum += row;
//!     }
//!     Ok(sum)
//! }
//!
//! assert_eq!(import(&[1, 2]), Ok(3));
//! ```

#[cfg(feature = "tokio")]
pub(crate) mod tasks;

use std::sync::OnceLock;

use monitor_core::Context;

/// What else is to be told that something is to end.
static LISTENER: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Returns true if what runs here and now is to end: it was cancelled itself, or something that it was called by, across threads and
/// programs. It costs one relaxed load as long as nothing was cancelled.
///
/// ```
/// let found = (0..1_000).take_while(|_| !monitor_client::cancel::requested()).find(|n| n * n > 50);
/// assert_eq!(found, Some(8));
/// ```
pub fn requested() -> bool {
    monitor_core::cancel::is_requested()
}

/// Returns true if this process is to end, or its tree. A launcher of commands asks so for what isn't current on any thread of its own.
///
/// ```
/// use monitor_client::{Process, cancel};
///
/// let part = Process::builder("part").begin();
/// let is_cancelled = part.context().is_some_and(cancel::requested_of);
/// assert!(!is_cancelled);
/// ```
pub fn requested_of(process: Context) -> bool {
    monitor_core::cancel::is_meant(process)
}

/// Calls `listener` on a thread of the recorder's whenever something is to end, so that it may wake whoever asks. Only the first listener
/// of a program is called.
///
/// ```
/// let (wake, woken) = std::sync::mpsc::channel();
/// monitor_client::cancel::on_request(move || drop(wake.send(())));
/// assert!(woken.try_recv().is_err()); // nothing is to end
/// ```
pub fn on_request(listener: impl Fn() + Send + Sync + 'static) {
    let _ = LISTENER.set(Box::new(listener));
}

/// Has processes of a tree end: those of these ids, or all. Returns how many tasks were aborted at once.
#[cfg(feature = "commands")]
pub(crate) fn request(root: u128, ids: Option<&[u64]>) -> usize {
    monitor_core::cancel::request(root, ids);
    if let Some(listener) = LISTENER.get() {
        listener();
    }
    #[cfg(feature = "tokio")]
    return tasks::abort();
    #[cfg(not(feature = "tokio"))]
    0
}
