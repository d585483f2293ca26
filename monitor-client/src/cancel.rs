//! Cancellation of running processes, as requested by `monitor cancel`, the page, or `POST /api/v1/roots/{root}/cancel`.
//!
//! A program accepts these requests if `MONITOR_COMMANDS` allows it: `all`, or `read,cancel`. Nothing is ended by force. A tokio task that
//! was spawned by [`spawn_task`](crate::spawn_task) or [`JoinSet`](crate::tokio::JoinSet) is aborted at its next await. Code that doesn't
//! await checks for cancellation and ends in its own way.
//!
//! # Examples
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

/// Callback for cancellation requests, set by [`on_request`].
static LISTENER: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Returns true if the current process, or one of its callers across threads and programs, was cancelled. Costs one relaxed
/// load until the first cancellation.
///
/// # Examples
///
/// ```
/// let found = (0..1_000).take_while(|_| !monitor_client::cancel::requested()).find(|n| n * n > 50);
/// assert_eq!(found, Some(8));
/// ```
pub fn requested() -> bool {
    monitor_core::cancel::is_requested()
}

/// Returns true if this process or its run was cancelled.
///
/// For programs that start commands, whose processes are not current on any thread of the program. Elsewhere, use [`requested()`].
///
/// # Examples
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

/// Calls `listener` on a thread of the recorder for each cancellation request, for example to wake a thread that checks [`requested()`].
/// Only the first listener of a program is called.
///
/// # Examples
///
/// ```
/// let (wake, woken) = std::sync::mpsc::channel();
/// monitor_client::cancel::on_request(move || drop(wake.send(())));
/// assert!(woken.try_recv().is_err()); // nothing was cancelled
/// ```
pub fn on_request(listener: impl Fn() + Send + Sync + 'static) {
    let _ = LISTENER.set(Box::new(listener));
}

/// Cancels processes of a tree: those with the given ids, or all. Returns the number of tasks that were aborted immediately.
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
