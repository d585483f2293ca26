//! The calls that started threads. They are the parents of woven calls on threads without a context.

use std::cell::Cell;

use crate::context::Context;
use crate::{current, inside, ring, switch};

thread_local! {
    static STARTER: Cell<Option<Starter>> = const { Cell::new(None) };
}

/// The call that starts a thread.
#[derive(Debug, Clone, Copy)]
pub struct Starter {
    context: Context,
    call: ring::Lent,
    /// The recording that the memory of the call belongs to. In a forked child's copy, the call never ends.
    recording: u32,
}

impl Starter {
    /// Returns the current call of this thread. It then gets a row of its own, because another thread may refer to it as a parent.
    #[must_use]
    pub fn here() -> Option<Self> {
        if !switch::is_on() || inside::is_inside() {
            return None;
        }
        let (_, call) = current::lend();
        Some(Self { context: current::of_program()?, call: call?, recording: switch::recording() })
    }

    /// Stores on a new thread that this call started it.
    pub fn has_started_this_thread(self) {
        STARTER.set(Some(self));
    }
}

/// Returns the call that started this thread, while that call runs. After its end, the thread often works for other
/// calls, as the threads of a pool do.
pub(crate) fn of_this_thread() -> Option<Context> {
    let starter = STARTER.get()?;
    (starter.recording == switch::recording() && starter.call.is_open()).then_some(starter.context)
}
