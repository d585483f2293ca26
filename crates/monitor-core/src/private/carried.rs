//! Carries the current process to the closures of a woven function, which may run on other threads.

use std::cell::Cell;

use crate::context::Context;
use crate::current::{self, CurrentGuard};
use crate::{ring, switch};

thread_local! {
    /// Its address identifies the thread.
    static THREAD: Cell<u8> = const { Cell::new(0) };
}

/// The context of a function, for all its closures. A copy costs a few words.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    context: Option<Context>,
    thread: usize,
    /// Set if the closures end before the function does.
    lent: Option<ring::Lent>,
}

/// The context of a function for a closure that is called once. It is moved into the closure.
#[derive(Debug)]
pub struct CarriedOnce(Carried);

/// Lends the current process to closures that end before the function does, until it is dropped. The function may still be counted as a
/// brief call if no process has begun in these closures on other threads. This is not possible with a context that is carried to closures
/// that may outlive the function.
#[derive(Debug)]
pub struct Lender(Carried);

/// Makes the context current while a closure runs.
#[derive(Debug)]
#[must_use = "the context stops being current as soon as this is dropped"]
pub struct Entered {
    _elsewhere: Option<Elsewhere>,
}

#[derive(Debug)]
struct Elsewhere {
    current: CurrentGuard,
    /// The lent context, and the last id of this thread before the closure.
    lent: Option<(ring::Lent, Option<u64>)>,
}

impl Carried {
    const NOTHING: Self = Self { context: None, thread: 0, lent: None };

    /// Returns the context for closures that may outlive the function. The function then gets a row.
    #[inline]
    pub fn here() -> Self {
        if switch::is_on() { Self { context: Context::current(), thread: thread(), lent: None } } else { Self::NOTHING }
    }

    /// Returns the context for closures that end before the function does.
    #[inline]
    pub fn lender() -> Lender {
        Lender(if switch::is_on() { Self::lent() } else { Self::NOTHING })
    }

    #[inline(never)]
    fn lent() -> Self {
        let (context, lent) = current::lend();
        Self { context, thread: thread(), lent }
    }

    /// Converts the context for a single closure.
    #[inline]
    pub fn once(self) -> CarriedOnce {
        CarriedOnce(self)
    }

    /// Makes the context current. On the thread of the function itself this does nothing, because the closure is
    /// called by the current process there.
    #[inline]
    pub fn enter(&self) -> Entered {
        Entered { _elsewhere: self.context.and_then(|context| self.elsewhere(context)) }
    }

    #[inline(never)]
    fn elsewhere(&self, context: Context) -> Option<Elsewhere> {
        // A closure that is called after the function's end has no known parent.
        let is_elsewhere = thread() != self.thread && self.lent.is_none_or(ring::Lent::is_open) && !current::is_local(context);
        is_elsewhere.then(|| Elsewhere { current: context.enter(), lent: self.lent.map(|lent| (lent, ring::last_id())) })
    }
}

impl CarriedOnce {
    /// Makes the context current like [`Carried::enter`].
    #[inline]
    pub fn enter(self) -> Entered {
        self.0.enter()
    }
}

impl Lender {
    /// Returns the context for the closures.
    #[inline]
    pub fn carried(&self) -> Carried {
        self.0
    }
}

impl Drop for Lender {
    #[inline]
    fn drop(&mut self) {
        if let Some(lent) = self.0.lent {
            lent.take_back();
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some((lent, before)) = self.lent {
            // A process that begins below the lent context, or a read of its ids, uses an id of this thread.
            if !self.current.is_in_ring() || before.is_none() || before != ring::last_id() {
                lent.has_children();
            }
        }
    }
}

fn thread() -> usize {
    THREAD.with(|thread| std::ptr::from_ref(thread).addr())
}
