//! The end of a process: when its function returns, or with the boxed future that the function returns.

use std::pin::Pin;

use super::{Guard, Running, Task};
use crate::done::{Done, Ending};
use crate::future::{self, Finish, Run};
use crate::live::Live;
use crate::record::Failure;
use crate::told::Told;

/// A process that may continue in a future.
pub trait IntoTask: Ending {
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
}

impl IntoTask for Guard {
    /// Converts the process. From then on, it is current only while its future is polled.
    fn into_task(mut self) -> Task {
        match self.take() {
            Running::Off => Task::off(),
            Running::InRing(call) => match call.into_slot() {
                Ok(slot) => Task::new(future::Running::InRing(slot)),
                Err(call) => call.take_out().map_or_else(Task::off, |call| Task::new(future::Running::begun(Live::taken_out(call)))),
            },
            Running::Quiet(quiet) => Task::new(future::Running::begun(quiet.go_on())),
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
}

impl IntoTask for Task {
    fn into_task(self) -> Task {
        self
    }
}

/// Ends the process of a function that does not return a boxed future when the function returns. For a boxed future, `finish` is a method
/// of [`Done`] itself, which the compiler prefers.
pub trait EndsNow {
    type Returned;

    fn finish(self, failure: impl FnOnce(&Self::Returned) -> Option<Failure>) -> Self::Returned;

    /// Ends the process like `finish`, and records the returned value.
    fn finish_telling(
        self,
        failure: impl FnOnce(&Self::Returned) -> Option<Failure>,
        tell: impl FnOnce(&Self::Returned, &mut Told),
    ) -> Self::Returned;
}

impl<P: Ending, T> EndsNow for Done<P, T> {
    type Returned = T;

    #[inline]
    fn finish(self, failure: impl FnOnce(&T) -> Option<Failure>) -> T {
        self.end(failure)
    }

    fn finish_telling(self, failure: impl FnOnce(&T) -> Option<Failure>, tell: impl FnOnce(&T, &mut Told)) -> T {
        self.tell(tell).end(failure)
    }
}

type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;
type LocalBoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

impl<'f, P: IntoTask, T: 'f> Done<P, BoxFuture<'f, T>> {
    /// Ends the process with the returned future, like those of `#[async_trait]`.
    pub fn finish(self, failure: fn(&T) -> Option<Failure>) -> BoxFuture<'f, T> {
        let Done { process, returned } = self;
        if process.is_off() { returned } else { Box::pin(process.into_task().run(returned, failure)) }
    }

    /// Ends the process like `finish`, and records the output of the future.
    pub fn finish_telling(self, failure: fn(&T) -> Option<Failure>, tell: fn(&T, &mut Told)) -> BoxFuture<'f, T> {
        let Done { process, returned } = self;
        if process.is_off() { returned } else { Box::pin(process.into_task().run_telling(returned, failure, tell)) }
    }
}

impl<'f, P: IntoTask, T: 'f> Done<P, LocalBoxFuture<'f, T>> {
    /// Ends the process with the returned future.
    pub fn finish(self, failure: fn(&T) -> Option<Failure>) -> LocalBoxFuture<'f, T> {
        let Done { process, returned } = self;
        if process.is_off() { returned } else { Box::pin(process.into_task().run(returned, failure)) }
    }

    /// Ends the process like `finish`, and records the output of the future.
    pub fn finish_telling(self, failure: fn(&T) -> Option<Failure>, tell: fn(&T, &mut Told)) -> LocalBoxFuture<'f, T> {
        let Done { process, returned } = self;
        if process.is_off() { returned } else { Box::pin(process.into_task().run_telling(returned, failure, tell)) }
    }
}

impl Task {
    fn run<F: Future>(self, future: F, failure: fn(&F::Output) -> Option<Failure>) -> impl Future<Output = F::Output> {
        Run::new(self, future, Finish(move |done: Done<_, _>| done.end(failure)))
    }

    fn run_telling<F: Future>(
        self,
        future: F,
        failure: fn(&F::Output) -> Option<Failure>,
        tell: fn(&F::Output, &mut Told),
    ) -> impl Future<Output = F::Output> {
        Run::new(self, future, Finish(move |done: Done<_, _>| done.tell(tell).end(failure)))
    }
}
