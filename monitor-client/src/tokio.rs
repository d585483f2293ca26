//! Drop-in replacements for tokio's functions that start tasks. Each task belongs to the process that started it. It is aborted at its next
//! await if that process, or every process that the task has begun, is [cancelled](crate::cancel).
//!
//! ```
//! use monitor_client::tokio::JoinSet;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut parts = JoinSet::new();
//! for n in 1..=3 {
//!     parts.spawn(async move { 10 * n });
//! }
//! assert_eq!(parts.join_all().await.iter().sum::<i32>(), 60);
//! # });
//! ```

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle, LocalSet};

use crate::cancel::tasks::task;
use crate::carried::in_current;

/// Runtime whose metrics are part of the answer to `stats`.
static SHOWN: Mutex<Option<Handle>> = Mutex::new(None);

/// Adds the metrics of a runtime to the program's answer to `stats`: the number of threads and tasks, the number of tasks that wait for a
/// thread, and the time that its threads were busy. If several runtimes are set, the last one is used.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// monitor_client::tokio::show_runtime(&tokio::runtime::Handle::current());
/// # });
/// ```
pub fn show_runtime(runtime: &Handle) {
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime.clone());
}

/// Returns the current metrics of that runtime.
#[cfg(feature = "ship")]
pub(crate) fn figures() -> serde_json::Map<String, serde_json::Value> {
    let mut figures = serde_json::Map::new();
    let Some(runtime) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return figures };
    let metrics = runtime.metrics();
    figures.insert("tokio_workers".to_owned(), metrics.num_workers().into());
    figures.insert("tokio_tasks".to_owned(), metrics.num_alive_tasks().into());
    figures.insert("tokio_waiting".to_owned(), metrics.global_queue_depth().into());
    #[cfg(target_has_atomic = "64")]
    {
        let busy: std::time::Duration = (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum();
        figures.insert("tokio_busy_ns".to_owned(), u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX).into());
    }
    figures
}

/// Calls [`tokio::spawn`]. The task's work belongs to the process that is current at the call.
///
/// # Panics
///
/// Panics if called outside of a tokio runtime, like `tokio::spawn`.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(monitor_client::tokio::spawn(async { 1 + 1 }).await.unwrap(), 2);
/// # });
/// ```
#[track_caller]
pub fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let (work, spawned) = task(work);
    let handle = tokio::spawn(work);
    spawned.of(handle.abort_handle());
    handle
}

/// Calls [`tokio::task::spawn_blocking`]. The work belongs to the process that is current at the call.
///
/// # Panics
///
/// Panics if called outside of a tokio runtime, like `tokio::task::spawn_blocking`.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(monitor_client::tokio::spawn_blocking(|| 1 + 1).await.unwrap(), 2);
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(in_current(work))
}

/// Calls [`tokio::task::spawn_local`]. The task's work belongs to the process that is current at the call.
///
/// # Panics
///
/// Panics if called outside of a `LocalSet`, like `tokio::task::spawn_local`.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let tasks = tokio::task::LocalSet::new();
/// let two = tasks.run_until(async { monitor_client::tokio::spawn_local(async { 1 + 1 }).await.unwrap() }).await;
/// assert_eq!(two, 2);
/// # });
/// ```
#[track_caller]
pub fn spawn_local<F: Future<Output: 'static> + 'static>(work: F) -> JoinHandle<F::Output> {
    let (work, spawned) = task(work);
    let handle = tokio::task::spawn_local(work);
    spawned.of(handle.abort_handle());
    handle
}

/// A [`tokio::task::JoinSet`] whose tasks belong to the process that is current when they are spawned. Its
/// other methods are available by `Deref`.
///
/// # Examples
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use monitor_client::tokio::JoinSet;
///
/// let mut tasks = JoinSet::new();
/// tasks.spawn(async { 7 });
/// assert_eq!(tasks.len(), 1); // a method of tokio's
/// assert_eq!(tasks.join_next().await.unwrap().unwrap(), 7);
/// # });
/// ```
#[derive(Debug)]
pub struct JoinSet<T>(tokio::task::JoinSet<T>);

impl<T> JoinSet<T> {
    /// Creates an empty set.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(monitor_client::tokio::JoinSet::<u32>::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self(tokio::task::JoinSet::new())
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task as [`tokio::task::JoinSet::spawn`] does.
    ///
    /// # Panics
    ///
    /// Panics if called outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut tasks = monitor_client::tokio::JoinSet::new();
    /// tasks.spawn(async { 7 });
    /// assert_eq!(tasks.join_all().await, [7]);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn<F: Future<Output = T> + Send + 'static>(&mut self, work: F) -> AbortHandle
    where
        T: Send,
    {
        let (work, spawned) = task(work);
        spawned.of(self.0.spawn(work))
    }

    /// Spawns a task as [`tokio::task::JoinSet::spawn_on`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut tasks = monitor_client::tokio::JoinSet::new();
    /// tasks.spawn_on(async { 7 }, &tokio::runtime::Handle::current());
    /// assert_eq!(tasks.join_all().await, [7]);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_on<F: Future<Output = T> + Send + 'static>(&mut self, work: F, handle: &Handle) -> AbortHandle
    where
        T: Send,
    {
        let (work, spawned) = task(work);
        spawned.of(self.0.spawn_on(work, handle))
    }

    /// Spawns a task as [`tokio::task::JoinSet::spawn_local`] does.
    ///
    /// # Panics
    ///
    /// Panics if called outside of a `LocalSet`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let local = tokio::task::LocalSet::new();
    /// let numbers = local.run_until(async {
    ///     let mut tasks = monitor_client::tokio::JoinSet::new();
    ///     tasks.spawn_local(async { 7 });
    ///     tasks.join_all().await
    /// });
    /// assert_eq!(numbers.await, [7]);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_local<F: Future<Output = T> + 'static>(&mut self, work: F) -> AbortHandle {
        let (work, spawned) = task(work);
        spawned.of(self.0.spawn_local(work))
    }

    /// Spawns a task as [`tokio::task::JoinSet::spawn_local_on`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (local, mut tasks) = (tokio::task::LocalSet::new(), monitor_client::tokio::JoinSet::new());
    /// tasks.spawn_local_on(async { 7 }, &local);
    /// assert_eq!(local.run_until(tasks.join_all()).await, [7]);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F: Future<Output = T> + 'static>(&mut self, work: F, tasks: &LocalSet) -> AbortHandle {
        let (work, spawned) = task(work);
        spawned.of(self.0.spawn_local_on(work, tasks))
    }

    /// Runs a closure as [`tokio::task::JoinSet::spawn_blocking`] does.
    ///
    /// # Panics
    ///
    /// Panics if called outside of a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut tasks = monitor_client::tokio::JoinSet::new();
    /// tasks.spawn_blocking(|| 7);
    /// assert_eq!(tasks.join_all().await, [7]);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F: FnOnce() -> T + Send + 'static>(&mut self, work: F) -> AbortHandle
    where
        T: Send,
    {
        self.0.spawn_blocking(in_current(work))
    }

    /// Waits for all tasks as [`tokio::task::JoinSet::join_all`] does.
    ///
    /// # Panics
    ///
    /// Panics if one of the tasks panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut tasks = monitor_client::tokio::JoinSet::new();
    /// tasks.spawn(async { 7 });
    /// assert_eq!(tasks.join_all().await, [7]);
    /// # });
    /// ```
    pub async fn join_all(self) -> Vec<T> {
        self.0.join_all().await
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<tokio::task::JoinSet<T>> for JoinSet<T> {
    fn from(tasks: tokio::task::JoinSet<T>) -> Self {
        Self(tasks)
    }
}

impl<T> Deref for JoinSet<T> {
    type Target = tokio::task::JoinSet<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
