//! The calls that started threads: parents of woven calls on threads to which nobody has carried a context.

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
    /// The memory of the call is of no other recording: a forked child has a copy in which the call never ends.
    recording: u32,
}

impl Starter {
    /// The call that is current on this thread. From here on it is to have a row of its own, for another thread may name it as a parent.
    #[must_use]
    pub fn here() -> Option<Self> {
        if !switch::is_on() || inside::is_inside() {
            return None;
        }
        let (_, call) = current::lend();
        Some(Self { context: current::of_program()?, call: call?, recording: switch::recording() })
    }

    /// Says on a new thread that it was started by this call.
    pub fn has_started_this_thread(self) {
        STARTER.set(Some(self));
    }
}

/// The call that started this thread, while that call runs. Once it has ended, what the thread does is work of others as likely as not:
/// so it is with the threads of a pool.
pub(crate) fn of_this_thread() -> Option<Context> {
    let starter = STARTER.get()?;
    (starter.recording == switch::recording() && starter.call.is_open()).then_some(starter.context)
}
