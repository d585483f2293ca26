//! From a task that was received to the end of its work.

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

/// A task that the program has received and that waits for its turn. It is listed by `reserved`, or by `scheduled` before its time.
#[must_use = "the task waits until `start` or `ready` is called"]
pub struct Held {
    pub(super) listed: Listed,
    pub(super) received: Received,
}

/// A task's place in the list, until it is dropped.
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
    /// It is not to begin before.
    pub fn not_before(self, eta: SystemTime) -> Self {
        if let Some(task) = self.listed.inner.state().entry(self.listed.id) {
            task.eta = Some(eta);
        }
        self
    }

    /// Waits for its turn: for its time, the end of a pause, its rate, and a place in the pool.
    ///
    /// # Errors
    /// If it is not to be run. That is told then: as revoked, or, if the worker ends, as given back to its queue.
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

    /// Like [`start`](Self::start), in a task of an executor.
    ///
    /// # Errors
    /// If it is not to be run. That is told then: as revoked, or, if the worker ends, as given back to its queue.
    pub async fn ready(self) -> Result<Turn, Stop> {
        self.ready_unless(|_| false).await
    }

    /// Like [`ready`](Self::ready), but the task is given back to its queue as soon as `is_ending` says that whoever took it ends. That is
    /// asked at first, and whenever the task is woken: it may keep the waker.
    ///
    /// # Errors
    /// If it is not to be run. That is told then: as revoked, or, if the worker ends, as given back to its queue.
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

/// A task whose turn has come.
#[must_use = "the task begins when `run`, `instrument` or `begin` is called"]
pub struct Turn {
    received: Received,
    permit: Permit,
}

impl Turn {
    /// Calls `work` as the task. An `Err` or a panic is its failure. Long work asks the permit, or `cancel::requested()`, whether it is to end.
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce(&Permit) -> R) -> R {
        let permit = self.permit;
        self.received.run(|| work(&permit))
    }

    /// Makes the task of a future. If it is to end, the future is dropped, and the task was cancelled.
    ///
    /// # Errors
    /// Why it was dropped.
    pub async fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> Result<F::Output, Stop> {
        let permit = self.permit;
        permit.run.until_stopped(self.received.instrument(future)).await
    }

    /// Starts to work on it, by hand. The permit is its place in the pool.
    pub fn begin(self) -> (Work, Permit) {
        (self.received.begin(), self.permit)
    }
}

/// A place in the pool, until it is dropped.
#[must_use = "the place in the pool is free again once the permit is dropped"]
pub struct Permit {
    run: Arc<Run>,
    _listed: Listed,
}

impl Permit {
    /// Why the task is to end; none if it may go on.
    pub fn stopped(&self) -> Option<Stop> {
        self.run.stopped().or_else(|| {
            let is_over = self.run.hard.is_some_and(|hard| Instant::now() >= hard);
            is_over.then_some(Stop::TimeLimit)
        })
    }

    /// Does work of the task until it is done or the task is to end; then the future is dropped.
    ///
    /// # Errors
    /// Why it was dropped.
    pub async fn until_stopped<F: Future>(&self, work: F) -> Result<F::Output, Stop> {
        self.run.until_stopped(work).await
    }

    /// Returns true if the task has run for longer than its soft time limit: it had better come to an end by itself.
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
    /// Is ready when there is room for one more task of this queue (of any, if none is named): the worker takes tasks from it, isn't paused
    /// and isn't about to end, and has fewer tasks than may run at once. Whoever asks is woken, ready or not, when something has changed.
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

    /// Takes a task that was received: it is told as received, and listed until it has its turn.
    pub fn accept(&self, receive: crate::task::Receive) -> Held {
        let (name, queue) = receive.about();
        let received = receive.accept();
        let (uuid, context) = received.ids();
        let task = Entry { uuid, name, queue, context, received_us: micros(SystemTime::now()), eta: None, run: None };
        let id = self.inner.state().add(task);
        Held { listed: Listed { inner: self.inner.clone(), id }, received }
    }
}
