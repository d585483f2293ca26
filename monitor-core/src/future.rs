//! Futures that run within a process: it is current whenever they are polled, and while they are dropped.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::{future, task};

use crate::context::{self, Context, CurrentGuard, Token};
use crate::live::{Draft, Live};
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

/// The context of a future, and its place on the stack while the future is dropped.
#[derive(Debug)]
pub(crate) struct Scope {
    context: Option<Context>,
    dropping: Option<Token>,
}

impl Scope {
    pub(crate) fn new(context: Option<Context>) -> Self {
        Scope { context, dropping: None }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(token) = self.dropping.take() {
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
    fn drop(&mut self) {
        if !self.done {
            self.scope.dropping = self.scope.context.and_then(context::push);
        }
    }
}

/// A process whose work is a future. Dropped before its end, it was cancelled.
///
/// One word, so that a future that isn't recorded is hardly larger than the plain one.
pub struct Task {
    running: Option<Box<Running>>,
}

struct Running {
    /// Until it begins.
    draft: Option<Draft>,
    /// From then to its end.
    live: Option<Live>,
    scope: Scope,
}

impl Task {
    #[inline]
    pub(crate) fn off() -> Self {
        Task { running: None }
    }

    /// Has its parent, and waits for [`begin`](Self::begin).
    #[inline(never)]
    pub(crate) fn pending(draft: Draft) -> Self {
        let _inside = inside::enter();
        Task { running: Some(Box::new(Running { draft: Some(draft), live: None, scope: Scope::new(None) })) }
    }

    #[inline(never)]
    pub(crate) fn begun(live: Live) -> Self {
        let _inside = inside::enter();
        let scope = Scope::new(live.context());
        Task { running: Some(Box::new(Running { draft: None, live: Some(live), scope })) }
    }

    /// Begins, if it has not.
    #[inline]
    pub fn begin(&mut self) {
        if let Some(running) = &mut self.running {
            running.begin();
        }
    }

    /// Whether nothing is recorded.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.running.is_none()
    }

    pub(crate) fn into_live(self) -> Option<Live> {
        self.running.and_then(|mut running| running.live.take())
    }

    /// Polls `future` within the process; a panic is its end.
    pub async fn run<F: Future>(&mut self, future: Pin<&mut F>) -> F::Output {
        match &mut self.running {
            Some(running) => running.run(future).await,
            None => future.await,
        }
    }
}

impl Running {
    #[inline(never)]
    fn begin(&mut self) {
        if let Some(draft) = self.draft.take() {
            let live = draft.start();
            self.scope = Scope::new(live.context());
            self.live = Some(live);
        }
    }

    fn run<'a, F: Future>(&'a mut self, future: Pin<&'a mut F>) -> impl Future<Output = F::Output> + use<'a, F> {
        let Running { live, scope, .. } = self;
        let mut within = within(scope, future);
        future::poll_fn(move |cx| {
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut within).poll(cx))).unwrap_or_else(|payload| {
                if let Some(live) = live.take() {
                    live.panic(panic::caught(&*payload));
                }
                resume_unwind(payload)
            })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            live.cancel();
        }
    }
}
