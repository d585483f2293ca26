//! Futures that run within a process: it is current whenever they are polled, and while they are dropped.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{self, Poll};

use crate::context::{self, Context, CurrentGuard, Token};
use crate::live::{Draft, Live};
use crate::panic;
use crate::record::Failure;
use crate::ring::{self, Ending, Slot};

/// Carries the context of the caller to wherever a future is polled.
///
/// ```
/// use monitor_core::InCurrent;
///
/// async fn part() {}
///
/// # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
/// # async fn example() {
/// spawn(part().in_current());
/// # }
/// ```
pub trait InCurrent: Future {
    /// A future that runs in the context in which `in_current` was called.
    fn in_current(self) -> impl Future<Output = Self::Output>
    where
        Self: Sized,
    {
        let context = Context::current();
        async move {
            let mut scope = Scope::new(context);
            within(&mut scope, pin!(self)).await
        }
    }
}

impl<F: Future> InCurrent for F {}

/// The context of a future, and its place among this thread's while the future is dropped.
#[derive(Debug)]
pub(crate) struct Scope {
    context: Option<Context>,
    leftover: Leftover,
}

impl Scope {
    pub(crate) fn new(context: Option<Context>) -> Self {
        Scope { context, leftover: Leftover(None) }
    }
}

/// A context that stays current until this is dropped.
#[derive(Debug)]
struct Leftover(Option<Token>);

impl Drop for Leftover {
    #[inline]
    fn drop(&mut self) {
        if let Some(token) = self.0.take() {
            context::pop(token);
        }
    }
}

/// Polls `future` with the context of `scope`.
///
/// If it is dropped first, the context is current from then on until `scope` is dropped: declare the future after the
/// scope, and it is dropped in between.
pub(crate) fn within<'a, F: Future>(scope: &'a mut Scope, future: Pin<&'a mut F>) -> Within<'a, F> {
    Within { context: scope.context, leftover: &mut scope.leftover, future, done: false }
}

#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Within<'a, F> {
    context: Option<Context>,
    leftover: &'a mut Leftover,
    future: Pin<&'a mut F>,
    done: bool,
}

impl<F: Future> Future for Within<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let _current = CurrentGuard::enter(self.context);
        let polled = self.future.as_mut().poll(cx);
        self.done = polled.is_ready();
        polled
    }
}

impl<F> Drop for Within<'_, F> {
    #[inline]
    fn drop(&mut self) {
        if !self.done {
            self.leftover.0 = self.context.and_then(context::push);
        }
    }
}

/// A process whose work is a future. Dropped before its end, it was cancelled.
///
/// A few words, so that a future that isn't recorded is hardly larger than the plain one.
pub struct Task {
    running: Running,
    /// Dropped after the process has ended.
    leftover: Leftover,
}

enum Running {
    /// Nothing is recorded, or all is said.
    Off,
    /// In the open table of the thread that it began on.
    InRing(Slot),
    /// By the queue.
    Queued(Box<Queued>),
}

enum Queued {
    /// Has its parent, and waits for its first poll.
    Pending(Draft),
    /// Has begun.
    Begun(Live),
}

impl Task {
    #[inline]
    pub(crate) fn off() -> Self {
        Task::new(Running::Off)
    }

    /// Has its parent, and waits for [`begin`](Self::begin).
    #[inline(never)]
    pub(crate) fn pending(draft: Draft) -> Self {
        Task::new(Running::Queued(Box::new(Queued::Pending(draft))))
    }

    #[inline(never)]
    pub(crate) fn begun(live: Live) -> Self {
        Task::new(Running::Queued(Box::new(Queued::Begun(live))))
    }

    pub(crate) fn in_ring(slot: Slot) -> Self {
        Task::new(Running::InRing(slot))
    }

    #[inline]
    fn new(running: Running) -> Self {
        Task { running, leftover: Leftover(None) }
    }

    /// Begins, if it has not.
    #[inline]
    pub fn begin(&mut self) {
        if !self.is_off() {
            self.running.begin();
        }
    }

    /// Whether nothing is recorded.
    #[inline]
    pub fn is_off(&self) -> bool {
        matches!(self.running, Running::Off)
    }

    #[inline]
    pub(crate) fn end_with(mut self, failure: Option<Failure>) {
        self.running.end(failure);
    }

    /// Polls `future` within the process; a panic is its end.
    #[inline]
    pub fn run<'a, F: Future>(&'a mut self, future: Pin<&'a mut F>) -> Run<'a, F> {
        let Task { running, leftover } = self;
        Run { within: Within { context: running.context(), leftover, future, done: false }, running }
    }
}

/// A future that is polled within its process.
#[must_use = "futures do nothing unless awaited"]
pub struct Run<'a, F> {
    within: Within<'a, F>,
    running: &'a mut Running,
}

impl<F: Future> Future for Run<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let Run { within, running } = &mut *self;
        catch_unwind(AssertUnwindSafe(|| Pin::new(within).poll(cx))).unwrap_or_else(|payload| {
            running.fail(panic::caught(&*payload));
            resume_unwind(payload)
        })
    }
}

impl Running {
    #[inline(never)]
    fn begin(&mut self) {
        if let Running::Queued(queued) = self
            && let Queued::Pending(_) = **queued
            && let Running::Queued(queued) = std::mem::replace(self, Running::Off)
            && let Queued::Pending(draft) = *queued
        {
            *self = Running::Queued(Box::new(Queued::Begun(draft.start())));
        }
    }

    #[inline]
    fn context(&self) -> Option<Context> {
        match self {
            Running::InRing(slot) => slot.context(),
            Running::Queued(queued) => match &**queued {
                Queued::Begun(live) => live.context(),
                Queued::Pending(_) => None,
            },
            Running::Off => None,
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Running::Off)
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, failure: Failure) {
        match self.take() {
            Running::InRing(slot) => slot.end_with(Some(failure)),
            Running::Queued(queued) => {
                if let Queued::Begun(live) = *queued {
                    live.panic(failure);
                }
            }
            Running::Off => {}
        }
    }

    #[inline(never)]
    fn cancel(&mut self) {
        match self.take() {
            Running::InRing(slot) => ring::close(slot, Ending::Cancelled),
            Running::Queued(queued) => {
                if let Queued::Begun(live) = *queued {
                    live.cancel();
                }
            }
            Running::Off => {}
        }
    }

    #[inline(never)]
    fn end(&mut self, failure: Option<Failure>) {
        match self.take() {
            Running::InRing(slot) => slot.end_with(failure),
            Running::Queued(queued) => {
                if let Queued::Begun(live) = *queued {
                    live.end_with(failure);
                }
            }
            Running::Off => {}
        }
    }
}

impl Drop for Task {
    #[inline]
    fn drop(&mut self) {
        if !self.is_off() {
            self.running.cancel();
        }
    }
}
