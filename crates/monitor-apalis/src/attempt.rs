//! An attempt of a task, from its start to its end.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::time::SystemTime;

use apalis_core::error::{AbortError, BoxDynError, DeferredError, RetryAfterError};
use apalis_core::task::ExecutionContext;
use apalis_core::task::attempt::Attempt as Attempts;
use monitor_client::InCurrent as _;
use monitor_client::control::{Permit, Stop};
use monitor_client::task::Work;
use serde_json::Value;

/// A running attempt. If dropped before its end, it counts as cancelled; if dropped by its own panic, as failed.
pub(crate) struct Attempt {
    /// `None` after the end.
    work: Option<Work>,
    attempts: Attempts,
    max_attempts: usize,
    /// True while the task's own code runs.
    is_polled: bool,
}

impl Attempt {
    pub(crate) fn new(work: Work, task: &ExecutionContext) -> Self {
        Self { work: Some(work), attempts: task.raw_attempt().clone(), max_attempts: task.max_attempts().unwrap_or(0), is_polled: false }
    }

    /// Runs the task until it is done or must stop. Processes started by the task are attached to it.
    pub(crate) async fn until_done<F: Future>(&mut self, permit: Option<&Permit>, begin: impl FnOnce() -> F) -> Result<F::Output, Stop> {
        let context = self.work.as_ref().and_then(Work::context);
        self.is_polled = true;
        let future = {
            let _current = context.map(monitor_client::Context::enter);
            begin()
        };
        self.is_polled = false;
        let mut future = pin!(future.in_context(context));
        let polled = poll_fn(|cx| {
            self.is_polled = true;
            let polled = future.as_mut().poll(cx);
            self.is_polled = false;
            polled
        });
        match permit {
            Some(permit) => permit.until_stopped(polled).await,
            None => Ok(polled.await),
        }
    }

    pub(crate) fn succeed(mut self, shown: Option<Value>) {
        match (self.work.take(), shown) {
            (Some(work), Some(shown)) => work.returned(&shown),
            (Some(work), None) => work.succeed(),
            (None, _) => {}
        }
    }

    pub(crate) fn fail(mut self, error: &BoxDynError) {
        let again = self.again(error);
        let error: &(dyn Error + Send + Sync) = &**error;
        match (self.work.take(), again) {
            (Some(work), Some(eta)) => drop(work.retry(error, eta)),
            (Some(work), None) => work.fail(error),
            (None, _) => {}
        }
    }

    /// Ends the attempt from outside.
    pub(crate) fn stop(mut self, why: Stop) {
        let Some(work) = self.work.take() else { return };
        match why {
            Stop::TimeLimit => work.fail(why),
            Stop::Shutdown => work.reject(true),
            _ => work.cancel(),
        }
    }

    /// Returns the time of the next attempt after this error, according to apalis' error types and the task's limit. Unless the error names
    /// a time, only the backend knows the exact one.
    fn again(&self, error: &BoxDynError) -> Option<SystemTime> {
        if error.is::<AbortError>() {
            return None;
        }
        let now = SystemTime::now();
        if let Some(later) = error.downcast_ref::<RetryAfterError>() {
            return now.checked_add(later.get_duration());
        }
        (error.is::<DeferredError>() || self.attempts.current() < self.max_attempts).then_some(now)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            // On a plain drop during a panic, the work records the panic itself.
            if self.is_polled && std::thread::panicking() { drop(work) } else { work.cancel() }
        }
    }
}
