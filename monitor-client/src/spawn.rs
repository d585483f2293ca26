//! Starting other threads and tasks without losing the tree.

use std::thread::JoinHandle;

use monitor_core::Context;

use crate::InCurrent;

/// As [`std::thread::spawn`]; what runs in the thread belongs to the process that spawned it.
///
/// # Panics
/// When no thread can be started, as `std::thread::spawn` does.
///
/// ```
/// let sum = monitor_client::spawn(|| 1 + 1).join().unwrap();
/// assert_eq!(sum, 2);
/// ```
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let context = Context::current();
    std::thread::spawn(move || {
        let _current = context.map(Context::enter);
        work()
    })
}

/// As [`tokio::spawn`]; what runs in the task belongs to the process that spawned it.
///
/// # Panics
/// Outside a tokio runtime, as `tokio::spawn` does.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(monitor_client::spawn_task(async { 1 + 1 }).await.unwrap(), 2);
/// # });
/// ```
#[track_caller]
pub fn spawn_task<F>(work: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(work.in_current())
}

/// As [`tokio::task::spawn_blocking`]; what runs there belongs to the process that spawned it.
///
/// # Panics
/// Outside a tokio runtime, as `tokio::task::spawn_blocking` does.
#[track_caller]
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> tokio::task::JoinHandle<T> {
    let context = Context::current();
    tokio::task::spawn_blocking(move || {
        let _current = context.map(Context::enter);
        work()
    })
}
