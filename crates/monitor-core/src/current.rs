//! The current process of each thread, which is the parent of new processes.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;

use crate::context::{Context, OfProgram, Token};
use crate::record::Failure;
use crate::{ids, inside, ring, sending, switch};

impl Context {
    /// Returns the current process of this thread, or else the process inherited from the program that started this
    /// one. `None` if nothing is recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Context;
    ///
    /// let here = Context::current();
    /// let there = std::thread::spawn(move || {
    ///     let _current = here.map(Context::enter);
    ///     // what is called here belongs to what was current there
    /// });
    /// # there.join().unwrap();
    /// ```
    pub fn current() -> Option<Self> {
        if switch::is_on() { handed_on().or_else(inherited) } else { None }
    }

    /// Makes the process current on this thread until the guard is dropped.
    ///
    /// The guard is bound to its thread:
    ///
    /// # Examples
    ///
    /// ```compile_fail,E0277
    /// let guard = monitor_client::Context::new(1, 1).unwrap().enter();
    /// std::thread::spawn(move || drop(guard));
    /// ```
    pub fn enter(self) -> CurrentGuard {
        CurrentGuard::enter(if switch::is_on() { Some(self) } else { None })
    }
}

/// Guard that makes a process the parent of all processes that this thread starts, until it is dropped.
///
/// # Examples
///
/// ```
/// use monitor_client::{Context, CurrentGuard};
///
/// let sender = Context::new(7, 8).unwrap();
/// let guard: CurrentGuard = sender.enter();
/// // what is called here belongs to the sender
/// drop(guard);
/// ```
#[must_use = "the process stops being current as soon as the guard is dropped"]
#[derive(Debug)]
pub struct CurrentGuard {
    token: Option<Token>,
    thread_bound: PhantomData<*mut ()>,
}

impl CurrentGuard {
    /// Makes the context current. Does nothing without a context.
    #[inline]
    pub(crate) fn enter(context: Option<Context>) -> Self {
        CurrentGuard { token: context.and_then(push), thread_bound: PhantomData }
    }

    /// Creates a guard for an entry that was already pushed.
    pub(crate) fn of(token: Option<Token>) -> Self {
        CurrentGuard { token, thread_bound: PhantomData }
    }

    /// Makes a process with a ring slot current.
    pub(crate) fn enter_slot(slot: &ring::Slot) -> Self {
        CurrentGuard { token: push_slot(slot), thread_bound: PhantomData }
    }

    /// Returns true if the entry is a frame of the thread's ring.
    pub(crate) fn is_in_ring(&self) -> bool {
        self.token.is_some_and(|token| token.get() & ON_STACK == 0)
    }
}

impl Drop for CurrentGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            pop(token);
        }
    }
}

/// Sets the process that started this program. It is the parent of processes on threads without a context of their own.
/// Only the first call has an effect.
pub fn set_inherited(context: Context) {
    if inherited().is_none() {
        inherit(context);
    }
}

/// Sets the inherited process of a forked child, replacing that of its parent.
pub(crate) fn inherit(context: Context) {
    INHERITED.set(context);
}

pub(crate) fn inherited() -> Option<Context> {
    INHERITED.get()
}

/// Attaches the thread to a ring, if possible. Returns false if there is no room for a ring.
pub(crate) fn attach_ring() -> bool {
    // Entries of the stack are newer than the ring's frames, so the stack must be empty.
    let is_empty = STACK.try_with(|stack| stack.try_borrow().is_ok_and(|stack| stack.frames.is_empty())).unwrap_or(false);
    if is_empty {
        ring::attach();
    }
    !(is_empty && ring::lacks_room())
}

/// Returns the current process of this thread, without an inherited process.
pub(crate) fn local() -> Option<Context> {
    STACK.try_with(|stack| stack.try_borrow().ok()?.frames.last().map(|frame| frame.context)).ok().flatten().or_else(ring::top)
}

/// Returns true if `is_so` accepts any current process of this thread or the inherited process. The ids don't count as read by the program.
pub(crate) fn any_local(mut is_so: impl FnMut(Context) -> bool) -> bool {
    let on_stack = STACK.try_with(|stack| stack.try_borrow().is_ok_and(|stack| stack.frames.iter().any(|frame| is_so(frame.context))));
    on_stack.unwrap_or(false) || ring::any_current(&mut is_so) || inherited().is_some_and(is_so)
}

/// Returns true if this is the current process of this thread. Unlike with [`local`], the ids don't count as read by the program.
pub(crate) fn is_local(context: Context) -> bool {
    let on_stack = STACK.try_with(|stack| Some(stack.try_borrow().ok()?.frames.last()?.context)).ok().flatten();
    on_stack.map_or_else(|| ring::is_top(context), |own| own == context)
}

/// Lends the current process to closures that end before it does. Without a [`ring::Lent`], its ids count as read by the program.
pub(crate) fn lend() -> (Option<Context>, Option<ring::Lent>) {
    let is_in_ring = STACK.try_with(|stack| stack.try_borrow().is_ok_and(|stack| stack.frames.is_empty())).unwrap_or(false);
    match Some(()).filter(|()| is_in_ring).and_then(|()| ring::lend()) {
        Some((context, lent)) => (Some(context), Some(lent)),
        None => (Context::current(), None),
    }
}

/// Returns the current process of this thread for code that adds information to it. It is then reported individually.
pub(crate) fn of_program() -> Option<Context> {
    if switch::is_on() { handed_on() } else { None }
}

/// Returns the same as [`local`] for code that may pass the ids on, so they count as read by the program.
fn handed_on() -> Option<Context> {
    let context = local()?;
    let on_stack = STACK.try_with(|stack| {
        let mut stack = stack.try_borrow_mut().ok()?;
        stack.frames.last_mut().map(|frame| std::mem::take(&mut frame.is_unread))
    });
    if on_stack.ok().flatten().unwrap_or_else(ring::take_unread) {
        sending::handed_on(context.process());
    }
    Some(context)
}

/// Ends the open calls of this thread that are in a ring. Returns the open processes of the queue that were
/// made current where they were begun.
pub(crate) fn end_open(failure: impl Fn() -> Option<Failure>) -> Vec<Context> {
    let mut open = ring::end_open(failure);
    let recording = switch::recording();
    let _ = STACK.try_with(|stack| {
        let stack = stack.try_borrow().ok()?;
        open.extend(stack.frames.iter().filter(|frame| frame.own_in == Some(recording)).map(|frame| frame.context));
        Some(())
    });
    open
}

const ON_STACK: u64 = 1 << 63;

/// Makes a context current until its token is passed to [`pop`]. `None` if an allocator is called from within this function.
#[inline]
pub(crate) fn push(context: Context) -> Option<Token> {
    match ring::push(context) {
        Some(frame) => token_of(frame),
        None => push_slowly(context),
    }
}

/// Makes a process that was recorded by the queue current. When its ids are read, the drainer is notified.
pub(crate) fn push_unread(context: Context) -> Option<Token> {
    let token = push(context)?;
    if token.get() & ON_STACK == 0 {
        ring::set_own(token.get() as usize - 1);
    } else {
        let _ = STACK.try_with(|stack| {
            if let Some(frame) = stack.try_borrow_mut().ok()?.frames.last_mut() {
                frame.is_unread = true;
                frame.own_in = Some(switch::recording());
            }
            Some(())
        });
    }
    Some(token)
}

/// Makes a process without a row of its own current. The context is that of its parent, and updates of the
/// process are not applied to the parent.
pub(crate) fn push_quiet(parent: Context, key: NonZeroU64) -> Option<Token> {
    let token = push(parent)?;
    if token.get() & ON_STACK == 0 {
        ring::set_quiet(token.get() as usize - 1, key);
    } else {
        let _ = STACK.try_with(|stack| {
            if let Some(frame) = stack.try_borrow_mut().ok()?.frames.last_mut() {
                frame.quiet = Some(key);
            }
            Some(())
        });
    }
    Some(token)
}

/// State of the innermost call of a thread that is reported only if it fails and that makes nothing current.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuietMark {
    /// Number of current processes when the call began. A reported process that begins later increases it.
    depth: usize,
    /// Key of the stored updates of the call. `None` if there are none.
    key: Option<NonZeroU64>,
}

/// Marks the next process of this thread, which begins immediately, as reported only if it fails. The rings leave it to [`take_quiet`].
pub(crate) fn arm_quiet() {
    if IS_ARMED.try_with(|is_armed| is_armed.set(true)).is_ok() {
        ring::set_overflowing(true);
    }
}

/// Returns true if the beginning process is reported only if it fails.
pub(crate) fn take_quiet() -> bool {
    let was_armed = IS_ARMED.try_with(|is_armed| is_armed.replace(false)).unwrap_or(false);
    if was_armed {
        let is_empty = STACK.try_with(|stack| stack.try_borrow().is_ok_and(|stack| stack.frames.is_empty()));
        ring::set_overflowing(!is_empty.unwrap_or(false));
    }
    was_armed
}

/// Begins a call that makes nothing current. Returns the previous innermost call.
pub(crate) fn begin_quiet() -> QuietMark {
    let mark = QuietMark { depth: depth(), key: None };
    QUIET.try_with(|quiet| quiet.replace(mark)).unwrap_or(NOT_QUIET)
}

/// Ends the call. Returns the key of its stored updates.
pub(crate) fn end_quiet(outer: QuietMark) -> Option<NonZeroU64> {
    QUIET.try_with(|quiet| quiet.replace(outer)).ok()?.key
}

/// Returns the key for storing updates of the innermost call, if it is reported only after it has failed.
pub(crate) fn quiet() -> Option<NonZeroU64> {
    let on_stack = STACK.try_with(|stack| stack.try_borrow().ok()?.frames.last().map(|frame| frame.quiet)).ok().flatten();
    on_stack.unwrap_or_else(ring::quiet).or_else(|| {
        let mark = QUIET.try_with(Cell::get).ok().filter(|mark| mark.depth > 0 && mark.depth == depth())?;
        let key = mark.key.unwrap_or_else(ids::new_process);
        let _ = QUIET.try_with(|quiet| quiet.set(QuietMark { key: Some(key), ..mark }));
        Some(key)
    })
}

/// Returns true if a process is current on this thread. The ids don't count as read by the program.
pub(crate) fn is_any() -> bool {
    depth() > 0
}

fn depth() -> usize {
    STACK.try_with(|stack| stack.try_borrow().map_or(0, |stack| stack.frames.len())).unwrap_or(0) + ring::depth()
}

/// Returns the token of a frame of this thread's ring.
#[inline]
pub(crate) fn token_of(frame: usize) -> Option<Token> {
    Token::new(frame as u64 + 1)
}

/// Makes a future current.
#[inline]
pub(crate) fn push_slot(slot: &ring::Slot) -> Option<Token> {
    match ring::push_slot(slot) {
        Some(frame) => token_of(frame),
        None => slot.context().and_then(push_slowly),
    }
}

/// Removes an entry at any position, because guards may be dropped in any order.
#[inline]
pub(crate) fn pop(token: Token) {
    // Without the feature, nothing was pushed. The compiler can't derive this everywhere.
    if !cfg!(feature = "record") {
        return;
    }
    if token.get() & ON_STACK == 0 {
        ring::pop_context(token.get() as usize - 1);
    } else {
        pop_from_stack(token);
    }
}

/// Makes a context current on a thread without a ring, or at a depth beyond the ring's frames.
#[cold]
#[inline(never)]
fn push_slowly(context: Context) -> Option<Token> {
    let _inside = inside::enter();
    // Entries of the stack are newer than the ring's frames, so the stack must be empty.
    let is_empty = STACK.try_with(|stack| stack.try_borrow().is_ok_and(|stack| stack.frames.is_empty())).ok()?;
    if is_empty && ring::attach() {
        return push(context);
    }
    STACK
        .try_with(|stack| {
            let mut stack = stack.try_borrow_mut().ok()?;
            if stack.frames.capacity() == 0 {
                sweep_at_end(&mut stack);
            }
            stack.last_token += 1;
            let token = Token::new(ON_STACK | stack.last_token)?;
            stack.frames.push(Frame { token, context, is_unread: false, own_in: None, quiet: None });
            ring::set_overflowing(true);
            Some(token)
        })
        .ok()
        .flatten()
}

#[inline(never)]
fn pop_from_stack(token: Token) {
    let _ = STACK.try_with(|stack| {
        let Ok(mut stack) = stack.try_borrow_mut() else { return };
        let frames = &mut stack.frames;
        if frames.last().is_some_and(|frame| frame.token == token) {
            frames.pop();
        } else if let Some(at) = frames.iter().rposition(|frame| frame.token == token) {
            frames.remove(at);
        }
        if frames.is_empty() {
            ring::set_overflowing(false);
        }
        if stack.is_ending && stack.frames.is_empty() {
            stack.frames = Vec::new();
        }
    });
}

/// Frees the memory of the stack when the thread ends.
fn sweep_at_end(stack: &mut Stack) {
    if SWEEPER.try_with(|_| ()).is_err() {
        stack.is_ending = true;
    }
}

static INHERITED: OfProgram = OfProgram::new();

thread_local! {
    /// Has no destructor, because destructors of the program's own thread-locals may call monitored functions before and after.
    static STACK: ManuallyDrop<RefCell<Stack>> =
        const { ManuallyDrop::new(RefCell::new(Stack { frames: Vec::new(), last_token: 0, is_ending: false })) };
    static SWEEPER: Sweeper = const { Sweeper };
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
    static QUIET: Cell<QuietMark> = const { Cell::new(NOT_QUIET) };
}

const NOT_QUIET: QuietMark = QuietMark { depth: 0, key: None };

struct Stack {
    frames: Vec<Frame>,
    last_token: u64,
    /// True while the thread ends: the memory is freed when the last frame is removed.
    is_ending: bool,
}

struct Sweeper;

impl Drop for Sweeper {
    fn drop(&mut self) {
        let _ = STACK.try_with(|stack| {
            let mut stack = stack.try_borrow_mut().ok()?;
            stack.is_ending = true;
            if stack.frames.is_empty() {
                stack.frames = Vec::new();
            }
            Some(())
        });
    }
}

struct Frame {
    token: Token,
    context: Context,
    /// See [`push_unread`].
    is_unread: bool,
    /// The [`recording`](switch::recording) when the process was begun, if it is a process of this program.
    own_in: Option<u32>,
    /// See [`push_quiet`].
    quiet: Option<NonZeroU64>,
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn enter(process: u64) -> CurrentGuard {
        CurrentGuard::enter(Context::new(1, process))
    }

    fn current() -> Option<u64> {
        local().map(Context::process)
    }

    #[test]
    fn contexts_nest() {
        assert_eq!(current(), None);
        let outer = enter(1);
        {
            let _inner = enter(2);
            assert_eq!(current(), Some(2));
        }
        assert_eq!(current(), Some(1));
        drop(outer);
        assert_eq!(current(), None);
    }

    #[test]
    fn guards_may_be_dropped_in_any_order() {
        let (first, second, third) = (enter(1), enter(2), enter(3));
        drop(second);
        assert_eq!(current(), Some(3));
        drop(first);
        assert_eq!(current(), Some(3));
        drop(third);
        assert_eq!(current(), None);
    }

    #[test]
    fn a_panic_restores_the_previous_context() {
        let _outer = enter(1);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _inner = enter(2);
            panic!("inside");
        }));
        assert_eq!(current(), Some(1));
    }

    #[test]
    fn a_destructor_of_an_ending_thread_finds_the_stack_as_before() {
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                let outer = enter(2);
                {
                    let _inner = enter(3);
                    assert_eq!(current(), Some(3));
                }
                assert_eq!(current(), Some(2));
                drop(outer);
                assert!(matches!(current(), None | Some(1)));
            }
        }
        thread_local!(static LATE: Late = const { Late });
        // Destroyed after the stack's own, and before.
        for is_older in [true, false] {
            std::thread::spawn(move || {
                if is_older {
                    LATE.with(|_| ());
                }
                drop(enter(1));
                LATE.with(|_| ());
            })
            .join()
            .expect("no destructor panics");
        }
    }
}
