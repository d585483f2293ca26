//! Functions that start threads and carry the current process to them.

use std::thread::{JoinHandle, ScopedJoinHandle};

use crate::carried::in_current;

#[cfg(feature = "tokio")]
pub use crate::tokio::{spawn as spawn_task, spawn_blocking};

/// Calls [`std::thread::spawn`]. The thread's work belongs to the process that is current at the call.
///
/// # Panics
///
/// Panics if the operating system fails to create a thread, like `std::thread::spawn`.
///
/// # Examples
///
/// ```
/// let sum = monitor_client::spawn_thread(|| 1 + 1).join().unwrap();
/// assert_eq!(sum, 2);
/// ```
pub fn spawn_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(in_current(work))
}

/// The former name of [`spawn_thread`].
///
/// # Panics
///
/// Panics if the operating system fails to create a thread.
///
/// # Examples
///
/// ```
/// #[allow(deprecated)]
/// let thread = monitor_client::spawn(|| 1 + 1);
/// assert_eq!(thread.join().unwrap(), 2);
/// ```
#[deprecated(note = "named `spawn_thread` now: `monitor_client::tokio::spawn` spawns a task")]
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn_thread(work)
}

/// Calls [`std::thread::scope`]. The work of its threads belongs to the process that is current when they are spawned.
///
/// # Examples
///
/// ```
/// let words = ["one", "three"];
/// let lengths = monitor_client::scope(|scope| {
///     let threads = words.each_ref().map(|word| scope.spawn(|| word.len()));
///     threads.map(|thread| thread.join().unwrap())
/// });
/// assert_eq!(lengths, [3, 5]);
/// ```
pub fn scope<'env, F, T>(work: F) -> T
where
    F: for<'scope> FnOnce(Scope<'scope, 'env>) -> T,
{
    std::thread::scope(|scope| work(Scope(scope)))
}

/// A scope whose threads end before [`scope`] returns. A thread that spawns other threads captures it by `move`.
///
/// # Examples
///
/// ```
/// let text = &"one two".to_owned();
/// let length = monitor_client::scope(|scope| {
///     let outer = scope.spawn(move || scope.spawn(move || text.len()).join().unwrap());
///     outer.join().unwrap()
/// });
/// assert_eq!(length, 7);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Scope<'scope, 'env: 'scope>(&'scope std::thread::Scope<'scope, 'env>);

impl<'scope> Scope<'scope, '_> {
    /// Calls [`std::thread::Scope::spawn`]. The thread's work belongs to the process that is current at the call.
    ///
    /// # Panics
    ///
    /// Panics if the operating system fails to create a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// let text = "one".to_owned();
    /// let length = monitor_client::scope(|scope| scope.spawn(|| text.len()).join().unwrap());
    /// assert_eq!(length, 3);
    /// ```
    pub fn spawn<T: Send + 'scope>(&self, work: impl FnOnce() -> T + Send + 'scope) -> ScopedJoinHandle<'scope, T> {
        self.0.spawn(in_current(work))
    }
}
