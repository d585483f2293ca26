//! The drainer's sleep, and the wake-up by recorders.
//!
//! A recorder checks with one relaxed load if the drainer sleeps. This load could be executed before the record is visible to the drainer.
//! The drainer handles this: after it has raised the flag, it makes all threads of the program pass a barrier (`membarrier`) and checks for
//! records once more. On systems without this barrier, each recorder executes a fence. The module `model` tests all orders with loom.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use flag::Flag;

use crate::own::Own;
use crate::warn::Warning;
use crate::{inside, switch};

mod flag;

/// The flag's atomics. The model uses those of loom.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};
}

static FLAG: Flag = Flag(atomic::AtomicU8::new(0));
static WAKER: Own<Mutex<Option<Waker>>> = Own::new();

/// Prepares the barrier. Must be called before anything is recorded.
pub(crate) fn set_up() {
    WAKER.set(Mutex::new(None));
    if !barrier::register() {
        FLAG.need_fences();
    }
}

/// Resets the state in a forked child, where no drainer sleeps yet.
pub(crate) fn forget() {
    WAKER.forget();
    FLAG.lower();
}

/// Wakes the drainer if it sleeps. Must be called after each record.
#[inline]
pub(crate) fn wake() {
    if FLAG.may_be_up() {
        wake_slowly();
    }
}

/// Orders the caller's earlier writes and later reads with respect to [`pass`]: either the caller's writes are visible to a thread that has
/// passed the barrier since, or that thread's earlier writes are visible to the caller after this.
#[inline]
pub(crate) fn order() {
    FLAG.order();
}

/// The counterpart of [`order`], for all threads of the program. Expensive.
pub(crate) fn pass() {
    fence(Ordering::SeqCst);
    if !FLAG.is_fenced() {
        barrier::pass();
    }
    fence(Ordering::SeqCst);
}

/// Makes the next [`wake`] wake the drainer. The drainer must check for records once more afterwards.
pub(crate) fn park(waker: &Waker) {
    if let Some(sleeper) = WAKER.get() {
        *sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
    FLAG.raise();
    pass();
}

/// Cancels [`park`], because there were records.
pub(crate) fn unpark() {
    FLAG.lower();
}

#[cold]
#[inline(never)]
fn wake_slowly() {
    if FLAG.take() {
        let waker = WAKER.get().and_then(|waker| waker.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(waker) = waker {
            wake_safely(waker);
        }
    }
}

/// Calls the drainer's waker and catches its panics. tokio's waker panics if the program has closed its files; the panic must not propagate
/// to the monitored function.
fn wake_safely(waker: Waker) {
    static WARNING: Warning = Warning::new();

    let _inside = inside::enter();
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() && switch::turn_off() {
        WARNING.give(|| {
            "what is recorded can't be handed on, nothing more is recorded: has the program closed files that are not its own?".to_owned()
        });
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(target_os = "linux")]
mod barrier {
    #![allow(unsafe_code, reason = "a system call")]

    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

    pub(super) fn register() -> bool {
        call(REGISTER_PRIVATE_EXPEDITED)
    }

    pub(super) fn pass() {
        call(PRIVATE_EXPEDITED);
    }

    fn call(command: libc::c_int) -> bool {
        // SAFETY: all arguments are numbers.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod barrier {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn pass() {}
}
