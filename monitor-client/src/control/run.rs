//! A running task and the possible reasons to end it.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use monitor_core::Context;

/// Reason why a task must end, or isn't started.
///
/// # Examples
///
/// ```
/// use monitor_client::control::Stop;
///
/// assert_eq!(Stop::Revoked.to_string(), "the task was revoked");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The task was revoked.
    Revoked,
    /// The task has exceeded its time limit.
    TimeLimit,
    /// The worker ends.
    Shutdown,
}

impl Stop {
    const ALL: [Self; 3] = [Self::Revoked, Self::TimeLimit, Self::Shutdown];
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Revoked => "the task was revoked",
            Self::TimeLimit => "the time limit is over",
            Self::Shutdown => "the worker ends",
        })
    }
}

impl std::error::Error for Stop {}

#[derive(Debug)]
pub(super) struct Run {
    context: Option<Context>,
    soft: Option<Instant>,
    pub(super) hard: Option<Instant>,
    /// Zero, or one more than the index in [`Stop::ALL`].
    why: AtomicU8,
    /// True after the end of the task.
    is_over: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Run {
    pub(super) fn new(context: Option<Context>, soft: Option<Instant>, hard: Option<Instant>) -> Self {
        Self { context, soft, hard, why: AtomicU8::new(0), is_over: AtomicBool::new(false), waker: Mutex::default() }
    }

    pub(super) fn stopped(&self) -> Option<Stop> {
        let why = self.why.load(Ordering::Acquire);
        why.checked_sub(1).and_then(|at| Stop::ALL.get(usize::from(at)).copied())
    }

    pub(super) fn is_late(&self) -> bool {
        self.soft.is_some_and(|soft| Instant::now() >= soft)
    }

    /// Records why the task must end. The first reason is kept.
    pub(super) fn note(&self, why: Stop) {
        let at = Stop::ALL.iter().position(|other| *other == why).unwrap_or(0) as u8;
        let _ = self.why.compare_exchange(0, at + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Cancels the task: `cancel::requested()` returns true in it, and its async tasks are aborted. Wakes code of the program.
    pub(super) fn end(&self) {
        if let Some(context) = self.context {
            crate::cancel::request(context.root(), Some(&[context.process()]));
        }
        if self.is_over.load(Ordering::SeqCst) {
            self.withdraw();
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Records the end of the task and withdraws its cancellation, so that the next attempt of the same task is not cancelled.
    pub(super) fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if self.stopped().is_some() {
            self.withdraw();
        }
    }

    fn withdraw(&self) {
        if let Some(context) = self.context {
            monitor_core::cancel::withdraw(context.process());
        }
    }

    /// Polls `work` until it is ready or the task must end.
    pub(super) async fn until_stopped<F: Future>(&self, work: F) -> Result<F::Output, Stop> {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
            match self.stopped() {
                Some(why) => Poll::Ready(Err(why)),
                None => work.as_mut().poll(cx).map(Ok),
            }
        })
        .await
    }
}
