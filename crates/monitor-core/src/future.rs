//! Futures that run within a process: the process is current while they are polled and while they are dropped.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{self, Poll};

use crate::context::{Context, Token};
use crate::current::{self, CurrentGuard};
use crate::done::Done;
use crate::live::{Draft, Live};
use crate::record::{Failure, Origin, Updated};
use crate::ring::{self, Begun, Ending, Slot};
use crate::told::Told;
use crate::{cancel, clock, inside, panic, sending, switch};

/// Extension of futures that carries the caller's context to the thread that polls them.
///
/// # Examples
///
/// ```
/// use monitor_client::InCurrent;
///
/// async fn part() {}
///
/// # fn spawn(_: impl Future<Output = ()> + Send + 'static) {}
/// # async fn example() {
/// spawn(part().in_current());
/// # }
/// ```
pub trait InCurrent: Future {
    /// Returns a future that runs in the current context of this call.
    fn in_current(self) -> impl Future<Output = Self::Output>
    where
        Self: Sized,
    {
        carried(Context::current(), self)
    }

    /// Returns a future that runs in this context. Without a context, it runs in the context that is current where it is polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{InCurrent, Process};
    ///
    /// # async fn example() {
    /// let import = Process::builder("import").begin();
    /// Process::builder("chunk").instrument(async {}).in_context(None).await; // beside it
    /// async { Process::builder("chunk").enter().succeed() }.in_context(import.context()).await; // below it
    /// # }
    /// ```
    fn in_context(self, context: impl Into<Option<Context>>) -> impl Future<Output = Self::Output>
    where
        Self: Sized,
    {
        let context: Option<Context> = context.into();
        // If nothing is recorded, no process is current.
        carried(context.filter(|_| switch::is_on()), self)
    }
}

impl<F: Future> InCurrent for F {}

/// Implements [`InCurrent`].
async fn carried<F: Future>(context: Option<Context>, future: F) -> F::Output {
    let mut scope = Scope::new(context);
    within(&mut scope, pin!(future)).await
}

/// The context of a future, and its entry on this thread's stack while the future is dropped.
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
            current::pop(token);
        }
    }
}

/// Polls `future` with the context of `scope`.
///
/// If the returned future is dropped before its end, the context stays current until `scope` is dropped. Declare `future` after `scope`, so
/// that it is dropped in between.
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
            self.scope.leftover.0 = self.scope.context.and_then(current::push);
        }
    }
}

/// A process whose work is a future. It is cancelled if it is dropped before its end.
///
/// It consists of two words, so a future that isn't recorded is hardly larger than the original.
pub struct Task {
    running: Running,
}

/// State of a [`Task`]. It has no destructor, so that a future that isn't recorded needs no drop code; the [`Task`] has one.
pub(crate) enum Running {
    /// Nothing is recorded, or the process has ended.
    Off,
    /// The process is in the open table of its first thread.
    InRing(Slot),
    /// The process was recorded by the queue.
    Queued(ManuallyDrop<Box<Queued>>),
}

pub(crate) struct Queued {
    stage: Stage,
    /// Declared last, so that it is dropped after the process has ended.
    leftover: Leftover,
}

enum Stage {
    /// The parent is known, and the process waits for the first poll.
    Pending(Draft),
    /// The process has begun.
    Begun(Live),
    /// The process has ended. Contains its context after a panic: values that are dropped then still belong to it.
    Over(Option<Context>),
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

    /// Creates a task whose parent is known and that begins when its future is first polled.
    #[inline]
    pub(crate) fn pending(draft: Draft) -> Self {
        Task::new(Running::pending(draft))
    }

    /// Returns true if nothing is recorded.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.running.is_off()
    }

    /// Returns the slot if the process is in a ring.
    #[inline]
    pub(crate) fn in_ring(&self) -> Option<&Slot> {
        if let Running::InRing(slot) = &self.running { Some(slot) } else { None }
    }

    /// Adds values to a process of the queue, or to one that waits for its first poll.
    pub(crate) fn add(&mut self, told: Told) {
        if let Running::Queued(queued) = &mut self.running {
            match &mut queued.stage {
                Stage::Pending(draft) => {
                    draft.told.name = told.name.or(draft.told.name.take());
                    draft.told.fields.extend(told.fields);
                }
                Stage::Begun(live) => live.tell(told),
                Stage::Over(_) => {}
            }
        }
    }

    #[inline]
    pub(crate) fn end_with(mut self, failure: Option<Failure>) {
        let running = self.running.take();
        // The process has ended, so there is nothing to drop.
        std::mem::forget(self);
        running.end_with(failure);
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

/// A future that is polled within its process, with the handling of its result.
#[must_use = "futures do nothing unless awaited"]
pub struct Run<F, N> {
    /// First, so that a single read determines how to continue.
    running: Running,
    future: ManuallyDrop<F>,
    next: N,
}

impl<F, N> Run<F, N> {
    #[inline]
    pub(crate) fn new(mut task: Task, future: F, next: N) -> Self {
        Run { running: task.running.take(), future: ManuallyDrop::new(future), next }
    }

    #[inline]
    #[allow(unsafe_code, reason = "the future is pinned with what holds it")]
    fn project(self: Pin<&mut Self>) -> (&mut Running, Pin<&mut F>, &N) {
        // SAFETY: no pinned value is moved out of it.
        let Run { running, future, next } = unsafe { self.get_unchecked_mut() };
        // SAFETY: the future is never moved, here or by `drop`, and is dropped in its place.
        (running, unsafe { Pin::new_unchecked(&mut **future) }, next)
    }

    /// Polls the future within its process. A panic ends the process.
    #[inline(never)]
    fn poll_within(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<N::Output>
    where
        F: Future,
        N: Next<F::Output>,
    {
        let (running, future, next) = self.project();
        let current = running.enter();
        let within = cancel::Within::enter(|| running.context());
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        drop(within);
        if let Some(token) = current {
            current::pop(token);
        }
        match polled {
            Ok(polled) => polled.map(|returned| next.next(Done { process: Task::new(running.take()), returned })),
            Err(payload) => {
                running.panicked(&*payload);
                resume_unwind(payload)
            }
        }
    }

    /// Drops the future. Values dropped in it still belong to the process, which ends afterwards.
    #[cold]
    #[inline(never)]
    #[allow(unsafe_code, reason = "the future is dropped before the process ends")]
    fn cancel(&mut self) {
        self.running.stay();
        let _task = Task::new(self.running.take());
        // SAFETY: called once, by `drop`.
        unsafe { ManuallyDrop::drop(&mut self.future) };
    }
}

/// Handling of a process and the returned value of its future.
pub trait Next<T> {
    type Output;

    fn next(&self, done: Done<Task, T>) -> Self::Output;
}

/// Ends the process as succeeded and returns the value.
#[derive(Debug)]
pub struct Succeed;

impl<T> Next<T> for Succeed {
    type Output = T;

    #[inline]
    fn next(&self, done: Done<Task, T>) -> T {
        done.succeed()
    }
}

/// Returns the process together with the value.
#[derive(Debug)]
pub struct Keep;

impl<T> Next<T> for Keep {
    type Output = Done<Task, T>;

    #[inline]
    fn next(&self, done: Done<Task, T>) -> Done<Task, T> {
        done
    }
}

/// Calls a function that ends the process and returns the value.
#[derive(Debug)]
pub struct Finish<N>(pub(crate) N);

impl<T, N: Fn(Done<Task, T>) -> T> Next<T> for Finish<N> {
    type Output = T;

    #[inline]
    fn next(&self, done: Done<Task, T>) -> T {
        (self.0)(done)
    }
}

impl<F: Future, N: Next<F::Output>> Future for Run<F, N> {
    type Output = N::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<N::Output> {
        if !self.running.is_off() {
            return self.poll_within(cx);
        }
        let (_, future, next) = self.project();
        future.poll(cx).map(|returned| next.next(Done { process: Task::off(), returned }))
    }
}

impl<F, N> Drop for Run<F, N> {
    #[inline]
    #[allow(unsafe_code, reason = "the future is dropped before the process ends")]
    fn drop(&mut self) {
        if self.running.is_off() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.future) };
        } else {
            self.cancel();
        }
    }
}

impl Running {
    #[inline]
    fn is_off(&self) -> bool {
        !cfg!(feature = "record") || matches!(self, Running::Off)
    }

    #[inline(never)]
    pub(crate) fn pending(draft: Draft) -> Self {
        Running::queued(Stage::Pending(draft))
    }

    /// Begins a process whose place is known, in the ring if possible.
    #[inline(never)]
    pub(crate) fn begin(draft: Draft) -> Self {
        if let Origin::Site(site) = draft.origin
            && draft.extra.is_empty()
            && !draft.is_quiet
        {
            current::attach_ring();
            match ring::open_at(site, draft.attached) {
                Begun::Recorded(slot) => {
                    if let Some(context) = slot.told_singly().filter(|_| !draft.told.is_empty()) {
                        let Told { name, fields } = draft.told;
                        let told = Updated { root: context.root(), id: context.process(), time_us: 0, name, fields, links: Vec::new() };
                        sending::updated(told, clock::now());
                    }
                    return Running::InRing(slot);
                }
                Begun::Refused => return Running::begun(Live::refused(draft.attached.parent)),
                Begun::Elsewhere => {}
            }
        }
        Running::begun(draft.start())
    }

    #[inline(never)]
    pub(crate) fn begun(live: Live) -> Self {
        Running::queued(Stage::Begun(live))
    }

    fn queued(stage: Stage) -> Self {
        let _inside = inside::enter();
        Running::Queued(ManuallyDrop::new(Box::new(Queued { stage, leftover: Leftover(None) })))
    }

    /// Makes the process current, and begins it if it has not begun.
    #[inline]
    fn enter(&mut self) -> Option<Token> {
        if let Running::InRing(slot) = self
            && let Some(frame) = ring::push_slot(slot)
        {
            return current::token_of(frame);
        }
        self.enter_slowly()
    }

    #[inline(never)]
    fn enter_slowly(&mut self) -> Option<Token> {
        if let Running::Queued(queued) = self
            && let Some(draft) = queued.take_draft()
        {
            if let Running::Queued(queued) = std::mem::replace(self, Running::begin(draft)) {
                let _inside = inside::enter();
                drop(ManuallyDrop::into_inner(queued));
            }
            if let Running::InRing(slot) = self {
                return current::push_slot(slot);
            }
        }
        self.push()
    }

    /// Keeps the process current until it has ended. Called when it is dropped before its end.
    #[cold]
    #[inline(never)]
    fn stay(&mut self) {
        let token = match &*self {
            Running::InRing(slot) => current::push_slot(slot),
            running => running.push(),
        };
        match self {
            Running::InRing(slot) if slot.is_own() => slot.set_leftover(token),
            Running::Queued(queued) => queued.leftover = Leftover(token),
            // The slot belongs to the parent of a forked child, which shares its memory.
            Running::InRing(_) if token.is_some() => {
                *self = Running::queued(Stage::Over(None));
                if let Running::Queued(queued) = self {
                    queued.leftover = Leftover(token);
                }
            }
            Running::InRing(_) | Running::Off => {}
        }
    }

    /// Makes the process current without a ring frame for its slot.
    fn push(&self) -> Option<Token> {
        if let Running::Queued(queued) = self
            && let Stage::Begun(live) = &queued.stage
        {
            return live.push();
        }
        self.context().and_then(current::push_unread)
    }

    #[cold]
    #[inline(never)]
    fn panicked(&mut self, payload: &(dyn Any + Send)) {
        let context = self.context();
        self.take().fail(panic::caught(payload));
        if context.is_some() {
            *self = Running::queued(Stage::Over(context));
        }
    }

    fn context(&self) -> Option<Context> {
        match self {
            Running::InRing(slot) => slot.context(),
            Running::Queued(queued) => match &queued.stage {
                Stage::Begun(live) => live.context(),
                Stage::Pending(_) => None,
                Stage::Over(context) => *context,
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
        match std::mem::replace(&mut self.stage, Stage::Over(None)) {
            Stage::Pending(draft) => Some(draft),
            _ => None,
        }
    }

    #[inline(never)]
    fn end(queued: ManuallyDrop<Box<Self>>, end: impl FnOnce(Live)) {
        let _inside = inside::enter();
        // A leftover entry stays current until the process has ended.
        let Queued { stage, leftover: _leftover } = *ManuallyDrop::into_inner(queued);
        if let Stage::Begun(live) = stage {
            end(live);
        }
    }
}
