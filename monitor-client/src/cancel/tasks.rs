//! Tasks of tokio's that end when what they belong to is cancelled.
//!
//! A task is listed where it is spawned, with the process that it belongs to. If that one is cancelled, the task is aborted. If a process
//! within the task is, the task has to find that out: it is woken, polls what it is made of, and is aborted if all processes that it has
//! begun itself are to end.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{self, Waker};

use monitor_core::own::Own;
use monitor_core::{Context, InCurrent, cancel};
use tokio::task::AbortHandle;

static LIST: Own<Mutex<List>> = Own::new();
/// A list that is shorter is not looked through for tasks that have ended.
const SMALL: usize = 256;

/// All tasks that run, and some that have ended.
#[derive(Debug)]
struct List {
    tasks: Vec<Weak<Task>>,
    /// At this length it is looked through.
    full: usize,
}

#[derive(Debug)]
struct Task {
    context: Context,
    abort: OnceLock<AbortHandle>,
    waker: Mutex<Option<Waker>>,
}

/// A task that is about to be spawned; none if nothing is recorded where that is done.
#[derive(Debug)]
pub(crate) struct Spawned(Weak<Task>);

impl Spawned {
    /// The task is spawned, and this is how it is aborted.
    pub(crate) fn of(self, abort: AbortHandle) -> AbortHandle {
        if let Some(task) = self.0.upgrade() {
            let _ = task.abort.set(abort.clone());
        }
        abort
    }
}

/// What a task is to be made of, so that it belongs to what is current and ends with it.
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

/// Aborts tasks whose processes are to end, and has all others look. Returns how many are aborted at once.
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

/// A forked child has none of its parent's tasks.
#[cfg(feature = "ship")]
pub(crate) fn forget() {
    LIST.forget();
}

impl Task {
    /// It was polled and waits. `is_meant`: what it has begun is to end.
    fn waits(&self, cx: &task::Context<'_>, is_meant: bool) {
        if is_meant || cancel::is_meant(self.context) {
            match self.abort.get() {
                Some(abort) => abort.abort(),
                // Whoever spawns it is about to say.
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
        // It may have ended meanwhile, and waking it may call anything: not within the lock.
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
