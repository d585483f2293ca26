//! When a process ends: as its function returns, or with the boxed future that it returns.

use std::pin::{Pin, pin};

use super::{Guard, Running, Task};
use crate::future;
use crate::live::Live;
use crate::record::Failure;

/// The process that a function ends.
pub trait Ending {
    fn is_off(&self) -> bool;
    fn end(self, failure: Option<Failure>);
    fn into_task(self) -> Task;
}

impl Ending for Guard {
    #[inline]
    fn is_off(&self) -> bool {
        Guard::is_off(self)
    }

    #[inline]
    fn end(mut self, failure: Option<Failure>) {
        self.take().end(failure);
    }

    /// From then on the process is current only where its future is polled.
    fn into_task(mut self) -> Task {
        match self.take() {
            Running::Off => Task::off(),
            Running::InRing(call) => match call.into_slot() {
                Ok(slot) => Task::new(future::Running::InRing(slot)),
                Err(call) => call.take_out().map_or_else(Task::off, |call| Task::new(future::Running::begun(Live::taken_out(call)))),
            },
            Running::Queued(mut queued) => queued.live.take().map_or_else(Task::off, |live| Task::new(future::Running::begun(live))),
        }
    }
}

impl Ending for Task {
    #[inline]
    fn is_off(&self) -> bool {
        Task::is_off(self)
    }

    #[inline]
    fn end(self, failure: Option<Failure>) {
        self.end_with(failure);
    }

    fn into_task(self) -> Task {
        self
    }
}

/// It ends now.
#[derive(Debug, Clone, Copy)]
pub struct Immediate;

impl Immediate {
    #[inline]
    pub fn finish<T>(self, process: impl Ending, returned: T, failure: impl FnOnce(&T) -> Option<Failure>) -> T {
        if !process.is_off() {
            process.end(failure(&returned));
        }
        returned
    }
}

/// It ends with the future.
#[derive(Debug, Clone, Copy)]
pub struct Deferred;

impl Deferred {
    #[inline]
    pub fn finish<F: Boxed>(self, process: impl Ending, future: F, failure: fn(&F::Output) -> Option<Failure>) -> F {
        if process.is_off() { future } else { future.run_in(process.into_task(), failure) }
    }
}

/// A boxed future, as `#[async_trait]` makes them.
pub trait Boxed: Future {
    fn run_in(self, task: Task, failure: fn(&Self::Output) -> Option<Failure>) -> Self;
}

impl<'f, T: 'f> Boxed for Pin<Box<dyn Future<Output = T> + Send + 'f>> {
    fn run_in(self, task: Task, failure: fn(&T) -> Option<Failure>) -> Self {
        Box::pin(run(task, self, failure))
    }
}

impl<'f, T: 'f> Boxed for Pin<Box<dyn Future<Output = T> + 'f>> {
    fn run_in(self, task: Task, failure: fn(&T) -> Option<Failure>) -> Self {
        Box::pin(run(task, self, failure))
    }
}

async fn run<F: Future>(mut task: Task, future: F, failure: fn(&F::Output) -> Option<Failure>) -> F::Output {
    let returned = task.run(pin!(future)).await;
    let failure = failure(&returned);
    task.end(failure);
    returned
}
