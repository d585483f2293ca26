//! How the one who drains sleeps, and who wakes it.
//!
//! A recorder asks with one relaxed load whether anybody sleeps. That this load is not done before its record is to be
//! seen is the business of the sleeper: it makes all threads of the program pass a barrier (`membarrier`) after it has said
//! that it sleeps, and looks once more. Where the system has no such barrier, each recorder passes one of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use flag::Flag;

use crate::own::Own;
use crate::warn::Warning;
use crate::{inside, switch};

mod flag;

/// The flag's atomics; the model of it has loom's.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};
}

static FLAG: Flag = Flag(atomic::AtomicU8::new(0));
static WAKER: Own<Mutex<Option<Waker>>> = Own::new();

/// Prepares the barrier. To be called before anything is recorded.
pub(crate) fn set_up() {
    WAKER.set(Mutex::new(None));
    if !barrier::register() {
        FLAG.need_fences();
    }
}

/// Nobody sleeps yet: for a forked child.
pub(crate) fn forget() {
    WAKER.forget();
    FLAG.lower();
}

/// To be called after each record: wakes the one who sleeps, if it does.
#[inline]
pub(crate) fn wake() {
    if FLAG.may_be_up() {
        wake_slowly();
    }
}

/// What the caller wrote before is seen by whoever has [`pass`]ed a barrier since, or what that one wrote before is seen by
/// the caller after this.
#[inline]
pub(crate) fn order() {
    FLAG.order();
}

/// The other side of [`order`], for all threads of the program; dear.
pub(crate) fn pass() {
    fence(Ordering::SeqCst);
    if !FLAG.is_fenced() {
        barrier::pass();
    }
    fence(Ordering::SeqCst);
}

/// From now on the next [`wake`] wakes. Whoever sleeps looks once more for records after this.
pub(crate) fn park(waker: &Waker) {
    if let Some(sleeper) = WAKER.get() {
        *sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
    FLAG.raise();
    pass();
}

/// There was something to do after all.
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

/// The waker is the drainer's. One that panics, as tokio's does when the program has closed its files, must not take the
/// monitored function along.
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
        // SAFETY: takes numbers only.
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
