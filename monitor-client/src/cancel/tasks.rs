//! Tokio tasks that end when their processes are cancelled.
//!
//! A task is added to the list when it is spawned, with its process. If that process is cancelled, `abort` aborts the task. If a process
//! inside the task is cancelled, the task has to detect it: `abort` wakes the task, which polls its future, and is aborted if all processes
//! that it has begun itself are cancelled.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{self, Waker};

use monitor_core::own::Own;
use monitor_core::{Context, InCurrent, cancel};
use tokio::task::AbortHandle;

static LIST: Own<Mutex<List>> = Own::new();
/// Minimum length at which ended tasks are removed from the list.
const SMALL: usize = 256;

/// All running tasks, and some tasks that have ended.
#[derive(Debug)]
struct List {
    tasks: Vec<Weak<Task>>,
    /// Length at which ended tasks are removed.
    full: usize,
}

#[derive(Debug)]
struct Task {
    context: Context,
    abort: OnceLock<AbortHandle>,
    waker: Mutex<Option<Waker>>,
}

/// A task that is about to be spawned. Empty if no process is current.
#[derive(Debug)]
pub(crate) struct Spawned(Weak<Task>);

impl Spawned {
    /// Stores the handle that aborts the task. Called after the task was spawned.
    pub(crate) fn of(self, abort: AbortHandle) -> AbortHandle {
        if let Some(task) = self.0.upgrade() {
            let _ = task.abort.set(abort.clone());
        }
        abort
    }
}

/// Wraps `work` so that it belongs to the current process and ends with it. Returns the future to spawn, and the list
/// entry that needs its abort handle.
pub(crate) fn task<F: Future>(work: F) -> (impl Future<Output = F::Output>, Spawned) {
    let task = Context::current().map(|context| Arc::new(Task { context, abort: OnceLock::new(), waker: Mutex::default() }));
    let spawned = Spawned(task.as_ref().map_or_else(Weak::new, Arc::downgrade));
    if let Some(task) = &task {
        list(task);
    }
    let work = work.in_current();
    let cancellable = async move {
        let mut work = pin!(work);
        poll_fn(|cx| match &task {
            None => work.as_mut().poll(cx),
            Some(task) => {
                let (polled, is_meant) = cancel::polled(|| work.as_mut().poll(cx));
                if polled.is_pending() {
                    task.waits(cx, is_meant);
                }
                polled
            }
        })
        .await
    };
    (cancellable, spawned)
}

fn list(task: &Arc<Task>) {
    if LIST.get().is_none() {
        LIST.set(Mutex::new(List { tasks: Vec::new(), full: SMALL }));
    }
    let Some(list) = LIST.get() else { return };
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if list.tasks.len() >= list.full {
        list.tasks.retain(|task| task.strong_count() > 0);
        list.full = SMALL.max(2 * list.tasks.len());
    }
    list.tasks.push(Arc::downgrade(task));
}

/// Aborts tasks whose processes are cancelled and wakes all others, which then check their own processes.
/// Returns the number of tasks aborted.
#[cfg(feature = "ship")]
pub(crate) fn abort() -> usize {
    let Some(list) = LIST.get() else { return 0 };
    let tasks: Vec<Arc<Task>> = list.lock().unwrap_or_else(PoisonError::into_inner).tasks.iter().filter_map(Weak::upgrade).collect();
    let mut aborted = 0;
    for task in tasks {
        match task.abort.get() {
            Some(abort) if cancel::is_meant(task.context) => {
                abort.abort();
                aborted += 1;
            }
            _ => task.wake(),
        }
    }
    aborted
}

/// Clears the list in a forked child, which has none of its parent's tasks.
#[cfg(feature = "ship")]
pub(crate) fn forget() {
    LIST.forget();
}

impl Task {
    /// Handles a poll that returned `Pending`. `is_meant`: the processes that the task has begun are cancelled.
    fn waits(&self, cx: &task::Context<'_>, is_meant: bool) {
        if is_meant || cancel::is_meant(self.context) {
            match self.abort.get() {
                Some(abort) => abort.abort(),
                // The caller of `task` is about to store the handle.
                None => cx.waker().wake_by_ref(),
            }
        }
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    #[cfg(feature = "ship")]
    fn wake(&self) {
        // Release the lock before waking: the waker may run any code, including code that ends the task.
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
