//! What is current, carried to the closures of a woven function: they may run on other threads.

use std::cell::Cell;

use crate::context::{self, Context, CurrentGuard};
use crate::switch;

thread_local! {
    /// Its address names the thread.
    static THREAD: Cell<u8> = const { Cell::new(0) };
}

/// The context of a function, for all its closures: a copy of two words.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    context: Option<Context>,
    thread: usize,
}

/// The same for a closure that is called once, and may outlive the function: it is moved there.
#[derive(Debug)]
pub struct CarriedOnce(Carried);

/// Makes the context current while a closure runs.
pub type Entered = Option<CurrentGuard>;

impl Carried {
    #[inline]
    pub fn here() -> Self {
        if switch::is_on() { Self { context: Context::current(), thread: thread() } } else { Self { context: None, thread: 0 } }
    }

    #[inline]
    pub fn once(self) -> CarriedOnce {
        CarriedOnce(self)
    }

    /// On the thread of the function itself nothing changes: there the closure is called by whatever is current.
    #[inline]
    pub fn enter(&self) -> Entered {
        self.context.and_then(|context| elsewhere(context, self.thread))
    }
}

impl CarriedOnce {
    #[inline]
    pub fn enter(self) -> Entered {
        self.0.enter()
    }
}

fn thread() -> usize {
    THREAD.with(|thread| std::ptr::from_ref(thread).addr())
}

#[inline(never)]
fn elsewhere(context: Context, from: usize) -> Entered {
    (thread() != from && context::local() != Some(context)).then(|| context.enter())
}
