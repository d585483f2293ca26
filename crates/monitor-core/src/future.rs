//! Futures that run within a process: it is current whenever they are polled, and while they are dropped.

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

/// Carries the context of the caller to wherever a future is polled.
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
    /// A future that runs in the context in which `in_current` was called.
    fn in_current(self) -> impl Future<Output = Self::Output>
    where
        Self: Sized,
    {
        carried(Context::current(), self)
    }

    /// A future that runs in this context; without one, in whatever is current where it is polled.
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
        // Where nothing is recorded, nothing is current.
        carried(context.filter(|_| switch::is_on()), self)
    }
}

impl<F: Future> InCurrent for F {}

/// See [`InCurrent`].
async fn carried<F: Future>(context: Option<Context>, future: F) -> F::Output {
    let mut scope = Scope::new(context);
    within(&mut scope, pin!(future)).await
}

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
            current::pop(token);
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
            self.scope.leftover.0 = self.scope.context.and_then(current::push);
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
    /// Has ended, by a panic if it had a context: what is dropped then still belongs to it.
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

    /// Has its parent, and begins when its future is first polled.
    #[inline]
    pub(crate) fn pending(draft: Draft) -> Self {
        Task::new(Running::pending(draft))
    }

    /// Whether nothing is recorded.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.running.is_off()
    }

    /// Its slot, if it is in a ring.
    #[inline]
    pub(crate) fn in_ring(&self) -> Option<&Slot> {
        if let Running::InRing(slot) = &self.running { Some(slot) } else { None }
    }

    /// Tells more of a process that came by the queue, or waits for its first poll.
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
        // Over: nothing is left to drop.
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

/// A future that is polled within its process, and what becomes of both when it is ready.
#[must_use = "futures do nothing unless awaited"]
pub struct Run<F, N> {
    /// First, so that one look tells how to go on.
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
        // SAFETY: nothing that is pinned is moved out of it.
        let Run { running, future, next } = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is never moved, here or by `drop`, and is dropped in its place.
        (running, unsafe { Pin::new_unchecked(&mut **future) }, next)
    }

    /// Polls the future within its process; a panic is the end of the process.
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

    /// What is dropped in there still belongs to the process, which ends thereafter.
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

/// What becomes of a process and of what its future returned.
pub trait Next<T> {
    type Output;

    fn next(&self, done: Done<Task, T>) -> Self::Output;
}

/// The value, and the process has succeeded.
#[derive(Debug)]
pub struct Succeed;

impl<T> Next<T> for Succeed {
    type Output = T;

    #[inline]
    fn next(&self, done: Done<Task, T>) -> T {
        done.succeed()
    }
}

/// Both.
#[derive(Debug)]
pub struct Keep;

impl<T> Next<T> for Keep {
    type Output = Done<Task, T>;

    #[inline]
    fn next(&self, done: Done<Task, T>) -> Done<Task, T> {
        done
    }
}

/// The value, after this has ended the process.
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
            // SAFETY: once, here.
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

    /// Begins a process whose place was found: in the ring if it can.
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

    /// Makes it current; begins it, if it has not.
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

    /// It is dropped before its end: current until it has ended.
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
            // One of the parent of a forked child, who shares its memory.
            Running::InRing(_) if token.is_some() => {
                *self = Running::queued(Stage::Over(None));
                if let Running::Queued(queued) = self {
                    queued.leftover = Leftover(token);
                }
            }
            Running::InRing(_) | Running::Off => {}
        }
    }

    /// Makes it current without a frame of this thread's for its slot.
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
        // What stays current does so until the process has ended.
        let Queued { stage, leftover: _leftover } = *ManuallyDrop::into_inner(queued);
        if let Stage::Begun(live) = stage {
            end(live);
        }
    }
}
