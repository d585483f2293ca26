//! A task from its arrival at the worker to its end.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::{Instant, SystemTime};

use monitor_core::Reported;

use super::run::{Run, Stop};
use super::state::{Entry, Step, micros};
use super::{Inner, TaskControl};
use crate::task::{Received, Work};

/// A received task that waits for its turn. `reserved` lists it, or `scheduled` before its earliest start.
#[must_use = "the task waits until `start` or `ready` is called"]
pub struct Held {
    pub(super) listed: Listed,
    pub(super) received: Received,
}

/// Entry of a task in the list. Dropping it removes the entry.
pub(super) struct Listed {
    pub(super) inner: Arc<Inner>,
    pub(super) id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.inner.state().remove(self.id);
        self.inner.changed();
    }
}

impl Held {
    /// Sets the earliest start of the task.
    pub fn not_before(self, eta: SystemTime) -> Self {
        if let Some(task) = self.listed.inner.state().entry(self.listed.id) {
            task.eta = Some(eta);
        }
        self
    }

    /// Blocks until the task may start: after its earliest start, the end of a pause, and its rate limit,
    /// and with a free place in the pool.
    ///
    /// # Errors
    /// When the task must not run. It is then reported as revoked, or as returned to its queue if the worker ends.
    pub fn start(self) -> Result<Turn, Stop> {
        let inner = self.listed.inner.clone();
        let mut state = inner.state();
        loop {
            let until = match state.step(self.listed.id) {
                Step::Go(run) => {
                    drop(state);
                    return Ok(self.begins(run));
                }
                Step::Never(why) => {
                    drop(state);
                    return Err(self.never(why));
                }
                Step::Wait(until) => until,
            };
            state = inner.wait(state, until);
        }
    }

    /// Waits like [`start`](Self::start), asynchronously.
    ///
    /// # Errors
    /// When the task must not run. It is then reported as revoked, or as returned to its queue if the worker ends.
    pub async fn ready(self) -> Result<Turn, Stop> {
        self.ready_unless(|_| false).await
    }

    /// Waits like [`ready`](Self::ready), and returns the task to its queue when `is_ending` returns true. `is_ending` is called at every
    /// poll and can keep the waker to wake the task.
    ///
    /// # Errors
    /// When the task must not run. It is then reported as revoked, or as returned to its queue if the worker ends.
    pub async fn ready_unless(self, is_ending: impl Fn(&Waker) -> bool) -> Result<Turn, Stop> {
        let inner = self.listed.inner.clone();
        let step = poll_fn(|cx| {
            if is_ending(cx.waker()) {
                return Poll::Ready(Err(Stop::Shutdown));
            }
            let mut state = inner.state();
            let until = match state.step(self.listed.id) {
                Step::Go(run) => return Poll::Ready(Ok(run)),
                Step::Never(why) => return Poll::Ready(Err(why)),
                Step::Wait(until) => until,
            };
            state.wake_later(cx.waker());
            drop(state);
            if let Some(until) = until {
                inner.alarm(until);
            }
            Poll::Pending
        });
        match step.await {
            Ok(run) => Ok(self.begins(run)),
            Err(why) => Err(self.never(why)),
        }
    }

    fn begins(self, run: Arc<Run>) -> Turn {
        if let Some(hard) = run.hard {
            self.listed.inner.alarm(hard);
        }
        Turn { received: self.received, permit: Permit { run, _listed: self.listed } }
    }

    fn never(self, why: Stop) -> Stop {
        match why {
            Stop::Revoked => self.received.revoke(false),
            _ => self.received.reject(true),
        }
        why
    }
}

/// A task that may start now.
#[must_use = "the task begins when `run`, `instrument` or `begin` is called"]
pub struct Turn {
    received: Received,
    permit: Permit,
}

impl Turn {
    /// Calls `work` as the task. The task fails if `work` returns an `Err` or panics. Long work should check the permit or
    /// `cancel::requested()` to see if the task must end.
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce(&Permit) -> R) -> R {
        let permit = self.permit;
        self.received.run(|| work(&permit))
    }

    /// Runs a future as the task. If the task must end, the future is dropped and the task is cancelled.
    ///
    /// # Errors
    /// When the task had to end before the future was ready. The error is the reason.
    pub async fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> Result<F::Output, Stop> {
        let permit = self.permit;
        permit.run.until_stopped(self.received.instrument(future)).await
    }

    /// Starts the task. The caller ends it through [`Work`]. The permit is its place in the pool.
    pub fn begin(self) -> (Work, Permit) {
        (self.received.begin(), self.permit)
    }
}

/// A place in the pool, which is free again when the permit is dropped.
#[must_use = "the place in the pool is free again once the permit is dropped"]
pub struct Permit {
    run: Arc<Run>,
    _listed: Listed,
}

impl Permit {
    /// Returns the reason why the task must end. `None` if it may continue.
    pub fn stopped(&self) -> Option<Stop> {
        self.run.stopped().or_else(|| {
            let is_over = self.run.hard.is_some_and(|hard| Instant::now() >= hard);
            is_over.then_some(Stop::TimeLimit)
        })
    }

    /// Polls work of the task until it is ready or the task must end. In the latter case, the future is dropped.
    ///
    /// # Errors
    /// When the task had to end before the future was ready. The error is the reason.
    pub async fn until_stopped<F: Future>(&self, work: F) -> Result<F::Output, Stop> {
        self.run.until_stopped(work).await
    }

    /// Returns true if the task has exceeded its soft time limit and should end by itself.
    pub fn is_late(&self) -> bool {
        self.run.is_late()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.run.close();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.received).finish()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.received).finish()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.run).finish()
    }
}

impl TaskControl {
    /// Is ready if one more task of this queue (of any queue for `None`) can be accepted: the worker reads from the queue, is neither
    /// paused nor ending, and has fewer tasks than may run at once. The caller is woken after every change, even if this returned ready.
    pub fn poll_room(&self, queue: Option<&str>, cx: &mut task::Context<'_>) -> Poll<()> {
        let (has_room, until) = {
            let mut state = self.inner.state();
            state.wake_later(cx.waker());
            state.room(queue, Instant::now())
        };
        if has_room {
            return Poll::Ready(());
        }
        if let Some(until) = until {
            self.inner.alarm(until);
        }
        Poll::Pending
    }

    /// Accepts a received task: reports it as received, and lists it until it starts.
    pub fn accept(&self, receive: crate::task::Receive) -> Held {
        let (name, queue) = receive.about();
        let received = receive.accept();
        let (uuid, context) = received.ids();
        let task = Entry { uuid, name, queue, context, received_us: micros(SystemTime::now()), eta: None, run: None };
        let id = self.inner.state().add(task);
        Held { listed: Listed { inner: self.inner.clone(), id }, received }
    }
}
