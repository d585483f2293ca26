//! A forked child is a separate program: it gets its own identity, queue and shipper when it first records.
//!
//! A child has only the thread that forked. An operation that the shipper's thread was executing is never completed in the child: a
//! library's cell stays half set, or a lock stays acquired. Therefore a fork waits until the shipper sleeps.

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

/// Maximum wait of a fork. The forking thread may hold a lock that the shipper waits for.
#[cfg(unix)]
const LONGEST: Duration = Duration::from_secs(1);
/// Pause between two checks.
const PAUSE: Duration = Duration::from_micros(20);

const AWAKE: u32 = 1;
#[cfg(unix)]
const FORK: u32 = 2;

/// [`AWAKE`], plus [`FORK`] for each forking thread.
static STATE: AtomicU32 = AtomicU32::new(0);
/// Function that clears further state in a child.
static FORGET: OnceLock<fn()> = OnceLock::new();

/// Registers fork handlers: from now on, every fork waits for the shipper, and every child, including children of children, forgets its
/// parent's state. `forget` may only store to atomics and must not call libraries.
#[cfg(unix)]
#[allow(unsafe_code, reason = "only the C library knows when a program forks; to ask for the pid would cost every call")]
pub fn register(forget: fn()) {
    if FORGET.set(forget).is_ok() {
        // SAFETY: these are plain functions that live as long as the program and don't unwind. `in_child` only stores to atomics and to
        // thread-locals that need no set-up, so it may run in a child whose other threads don't exist. If there is no memory for another
        // handler, a child records nothing, which is harmless.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}

/// This system has no fork.
#[cfg(not(unix))]
pub fn register(forget: fn()) {
    let _ = FORGET.set(forget);
}

/// Marks the shipper, or the thread that prepares it, as using libraries: forks wait for it. Waits for forks that have begun.
pub fn awake() {
    while STATE.compare_exchange_weak(0, AWAKE, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        if STATE.load(Ordering::Relaxed) & AWAKE != 0 {
            return;
        }
        sleep(PAUSE);
    }
}

/// Marks the shipper as idle.
pub fn asleep() {
    STATE.fetch_and(!AWAKE, Ordering::AcqRel);
}

/// Lets a waiting fork run. Called by a shipper that doesn't sleep for a long time, at points where it is idle.
pub fn give_way() {
    if STATE.load(Ordering::Relaxed) > AWAKE {
        asleep();
        awake();
    }
}

#[cfg(unix)]
extern "C" fn before() {
    // The child inherits the current process, so this process must not be folded. This only reads state: a child that records
    // nothing is not a separate program.
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

/// Clears the state in a child. It also runs in children that are about to `exec`, such as those of a `Command` with
/// `pre_exec`, so it does nothing else.
#[cfg(unix)]
extern "C" fn in_child() {
    STATE.store(0, Ordering::Release);
    if let Some(forget) = FORGET.get() {
        forget();
    }
    switch::forked(|| {
        // Another thread of the parent may have been changing any of these.
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
        // The current process becomes the inherited one, as for a program started by a monitored program.
        if let Some(context) = current::local() {
            current::inherit(context);
        }
    });
}
