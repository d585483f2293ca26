//! Futures that run within a process: it is current whenever they are polled, and while they are dropped.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{self, Poll};

use crate::context::{self, Context, CurrentGuard, Token};
use crate::live::{Draft, Live};
use crate::record::{Failure, Origin};
use crate::ring::{self, Begun, Ending, Slot};
use crate::{inside, panic};

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
        if self.0.is_some() {
            self.leave();
        }
    }
}

impl Leftover {
    #[cold]
    #[inline(never)]
    fn leave(&mut self) {
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
    Within { scope, future, done: false }
}

#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Within<'a, F> {
    scope: &'a mut Scope,
    future: Pin<&'a mut F>,
    done: bool,
}

impl<F: Future> Future for Within<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let _current = CurrentGuard::enter(self.scope.context);
        let polled = self.future.as_mut().poll(cx);
        self.done = polled.is_ready();
        polled
    }
}

impl<F> Drop for Within<'_, F> {
    #[inline]
    fn drop(&mut self) {
        if !self.done {
            self.scope.leftover.0 = self.scope.context.and_then(context::push);
        }
    }
}

/// A process whose work is a future. Dropped before its end, it was cancelled.
///
/// Two words, which are moved as such: a future that isn't recorded is hardly larger than the plain one.
pub struct Task {
    running: Running,
}

/// Is not dropped by itself, so that a future that isn't recorded has nothing to look after: a [`Task`] does.
pub(crate) enum Running {
    /// Nothing is recorded, or all is said.
    Off,
    /// In the open table of the thread that it began on.
    InRing(Slot),
    /// By the queue.
    Queued(ManuallyDrop<Box<Queued>>),
}

pub(crate) struct Queued {
    stage: Stage,
    /// Dropped after the process has ended.
    leftover: Leftover,
}

enum Stage {
    /// Has its parent, and waits for its first poll.
    Pending(Draft),
    /// Has begun.
    Begun(Live),
    /// Has ended, and may still be current.
    Over,
}

impl Task {
    #[inline]
    pub(crate) fn new(running: Running) -> Self {
        Task { running }
    }

    #[inline]
    pub(crate) fn off() -> Self {
        Task::new(Running::Off)
    }

    /// Has its parent, and waits for [`begin`](Self::begin).
    #[inline]
    pub(crate) fn pending(draft: Draft) -> Self {
        Task::new(Running::pending(draft))
    }

    /// Begins, if it has not.
    #[inline]
    pub fn begin(&mut self) {
        if let Running::Queued(queued) = &mut self.running
            && let Some(draft) = queued.take_draft()
            && let Running::Queued(queued) = std::mem::replace(&mut self.running, Running::begin(draft))
        {
            let _inside = inside::enter();
            drop(ManuallyDrop::into_inner(queued));
        }
    }

    /// Whether nothing is recorded.
    #[inline]
    pub fn is_off(&self) -> bool {
        matches!(self.running, Running::Off)
    }

    #[inline]
    pub(crate) fn end_with(mut self, failure: Option<Failure>) {
        self.running.take().end_with(failure);
    }

    /// Polls `future` within the process; a panic is its end.
    #[inline]
    pub fn run<'a, F: Future>(&'a mut self, future: Pin<&'a mut F>) -> Run<'a, F> {
        Run { task: self, future, done: false, ended: None }
    }
}

impl Drop for Task {
    #[inline]
    fn drop(&mut self) {
        if !self.is_off() {
            self.running.take().cancel();
        }
    }
}

/// A future that is polled within its process.
#[must_use = "futures do nothing unless awaited"]
pub struct Run<'a, F> {
    task: &'a mut Task,
    future: Pin<&'a mut F>,
    done: bool,
    /// The process, if it has ended by a panic: what is dropped then still belongs to it.
    ended: Option<Context>,
}

impl<F: Future> Future for Run<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let current = this.task.running.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.as_mut().poll(cx)));
        if let Some(token) = current {
            context::pop(token);
        }
        match polled {
            Ok(polled) => {
                this.done = polled.is_ready();
                polled
            }
            Err(payload) => {
                this.ended = this.task.running.context();
                this.task.running.take().fail(panic::caught(&*payload));
                resume_unwind(payload)
            }
        }
    }
}

impl<F> Drop for Run<'_, F> {
    #[inline]
    fn drop(&mut self) {
        if !self.done {
            self.stay();
        }
    }
}

impl<F> Run<'_, F> {
    #[cold]
    #[inline(never)]
    fn stay(&mut self) {
        let running = &mut self.task.running;
        let token = match (self.ended, &*running) {
            (None, Running::InRing(slot)) => context::push_slot(slot),
            (ended, running) => ended.or_else(|| running.context()).and_then(context::push),
        };
        match running {
            Running::InRing(slot) => slot.set_leftover(token),
            Running::Queued(queued) => queued.leftover = Leftover(token),
            Running::Off if token.is_some() => *running = Running::queued(Stage::Over, token),
            Running::Off => {}
        }
    }
}

impl Running {
    #[inline(never)]
    pub(crate) fn pending(draft: Draft) -> Self {
        Running::queued(Stage::Pending(draft), None)
    }

    /// Begins a process whose place was found: in the ring if it can.
    #[inline(never)]
    pub(crate) fn begin(draft: Draft) -> Self {
        if let Origin::Site(site) = draft.origin
            && draft.extra.is_empty()
        {
            context::attach_ring();
            match ring::open_at(site, draft.attached) {
                Begun::Recorded(slot) => return Running::InRing(slot),
                Begun::Refused => return Running::begun(Live::refused(draft.attached.parent)),
                Begun::Elsewhere => {}
            }
        }
        Running::begun(draft.start())
    }

    #[inline(never)]
    pub(crate) fn begun(live: Live) -> Self {
        Running::queued(Stage::Begun(live), None)
    }

    fn queued(stage: Stage, leftover: Option<Token>) -> Self {
        let _inside = inside::enter();
        Running::Queued(ManuallyDrop::new(Box::new(Queued { stage, leftover: Leftover(leftover) })))
    }

    /// Makes it current.
    #[inline]
    fn enter(&self) -> Option<Token> {
        match self {
            Running::Off => None,
            Running::InRing(slot) => context::push_slot(slot),
            Running::Queued(_) => self.context().and_then(context::push),
        }
    }

    fn context(&self) -> Option<Context> {
        match self {
            Running::InRing(slot) => slot.context(),
            Running::Queued(queued) => match &queued.stage {
                Stage::Begun(live) => live.context(),
                Stage::Pending(_) | Stage::Over => None,
            },
            Running::Off => None,
        }
    }

    #[inline]
    fn take(&mut self) -> Self {
        std::mem::replace(self, Running::Off)
    }

    #[cold]
    #[inline(never)]
    fn fail(self, failure: Failure) {
        match self {
            Running::InRing(slot) => slot.fail(failure),
            Running::Queued(queued) => Queued::end(queued, |live| live.panic(failure)),
            Running::Off => {}
        }
    }

    #[inline]
    fn cancel(self) {
        match self {
            Running::InRing(slot) => {
                let _leftover = Leftover(slot.leftover());
                ring::close(slot, Ending::Cancelled);
            }
            Running::Queued(queued) => Queued::end(queued, Live::cancel),
            Running::Off => {}
        }
    }

    #[inline]
    fn end_with(self, failure: Option<Failure>) {
        match (self, failure) {
            (Running::InRing(slot), None) => ring::close(slot, Ending::Succeeded),
            (Running::InRing(slot), Some(failure)) => slot.fail(failure),
            (Running::Queued(queued), failure) => Queued::end(queued, |live| live.end_with(failure)),
            (Running::Off, _) => {}
        }
    }
}

impl Queued {
    fn take_draft(&mut self) -> Option<Draft> {
        let Stage::Pending(_) = self.stage else { return None };
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Pending(draft) => Some(draft),
            _ => None,
        }
    }

    #[inline(never)]
    fn end(queued: ManuallyDrop<Box<Self>>, end: impl FnOnce(Live)) {
        let _inside = inside::enter();
        // What stays current does so until the process has ended.
        let Queued { stage, leftover: _leftover } = *ManuallyDrop::into_inner(queued);
        if let Stage::Begun(live) = stage {
            end(live);
        }
    }
}
