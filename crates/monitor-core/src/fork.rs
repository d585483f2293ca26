//! A forked child is a program of its own: it gets its own identity, queue and shipper, when it first records.
//!
//! A child has only the thread that forked. What the shipper was in the middle of, it would be in the middle of for ever in
//! there: a cell of a library's that it was about to set, or a lock. So a fork waits until the shipper sleeps.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;
#[cfg(unix)]
use std::time::Instant;

#[cfg(unix)]
use crate::context::Context;
#[cfg(unix)]
use crate::{cancel, current, ids, inside, levels, park, progress, ring, sending, strays, switch, told, trees, verdict};

/// A fork doesn't wait longer: its thread may hold what the shipper waits for.
#[cfg(unix)]
const LONGEST: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_micros(20);

const AWAKE: u32 = 1;
#[cfg(unix)]
const FORK: u32 = 2;

/// [`AWAKE`], plus [`FORK`] for each thread that is forking.
static STATE: AtomicU32 = AtomicU32::new(0);
/// What else a child forgets.
static FORGET: OnceLock<fn()> = OnceLock::new();

/// Has every fork from here on wait for the shipper, and every child, and theirs, forget what was its parent's. `forget` does no more
/// than that: stores to atomics, and no call of a library.
#[cfg(unix)]
#[allow(unsafe_code, reason = "only the C library knows when a program forks; to ask for the pid would cost every call")]
pub fn register(forget: fn()) {
    if FORGET.set(forget).is_ok() {
        // SAFETY: these are plain functions that live as long as the program and don't unwind. `in_child` only stores to
        // atomics and to thread-locals that need no set-up, so it may run in a child whose other threads are gone.
        // Without memory for one more handler a child records nothing, which harms nobody.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}

/// Nothing forks here.
#[cfg(not(unix))]
pub fn register(forget: fn()) {
    let _ = FORGET.set(forget);
}

/// The shipper, or who prepares it, is about to use libraries: forks wait, and it waits for those that have begun.
pub fn awake() {
    while STATE.compare_exchange_weak(0, AWAKE, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        if STATE.load(Ordering::Relaxed) & AWAKE != 0 {
            return;
        }
        sleep(PAUSE);
    }
}

/// The shipper is in the middle of nothing.
pub fn asleep() {
    STATE.fetch_and(!AWAKE, Ordering::AcqRel);
}

/// The shipper goes on for long without sleeping, and is in the middle of nothing right now: a fork that waits has its turn.
pub fn give_way() {
    if STATE.load(Ordering::Relaxed) > AWAKE {
        asleep();
        awake();
    }
}

#[cfg(unix)]
extern "C" fn before() {
    // The child inherits what is current: that is not to be folded. Nothing is decided by this: a child that has recorded
    // nothing is no program of its own.
    if switch::was_turned_on() {
        let _ = Context::current();
    }
    ring::before_fork();
    STATE.fetch_add(FORK, Ordering::AcqRel);
    // A library that forks within the shipper would wait for itself.
    if inside::is_inside() || STATE.load(Ordering::Acquire) & AWAKE == 0 {
        return;
    }
    let begun = Instant::now();
    while STATE.load(Ordering::Acquire) & AWAKE != 0 && begun.elapsed() < LONGEST {
        sleep(PAUSE);
    }
}

#[cfg(unix)]
extern "C" fn in_parent() {
    ring::after_fork();
    STATE.fetch_sub(FORK, Ordering::AcqRel);
}

/// Runs in children that only mean to `exec` as well, as those of a `Command` with `pre_exec` do: it does no more than forget.
#[cfg(unix)]
extern "C" fn in_child() {
    STATE.store(0, Ordering::Release);
    if let Some(forget) = FORGET.get() {
        forget();
    }
    switch::forked(|| {
        // Another thread may have been in the middle of any of these.
        sending::forget();
        park::forget();
        ring::forget();
        ids::forget();
        trees::forget();
        strays::forget();
        told::forget();
        verdict::forget();
        progress::forget();
        cancel::forget();
        levels::forget();
        // As for a program that was started by a monitored one.
        if let Some(context) = current::local() {
            current::inherit(context);
        }
    });
}
