//! Whether a thread is inside the recorder: what it calls from there is not recorded.
//!
//! A global allocator may call a monitored function, and the recorder allocates; a `tracing` subscriber may, and whoever
//! sends what is recorded speaks to it. Either would go round in circles.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside the recorder.
#[inline]
pub fn is_inside() -> bool {
    INSIDE.get()
}

/// Nothing that this thread calls is recorded from now on: for those who carry what is recorded away.
pub fn stay() {
    INSIDE.set(true);
}

/// Inside until it is dropped.
#[inline]
pub fn enter() -> Inside {
    Inside { before: INSIDE.replace(true), thread_bound: PhantomData }
}

/// Proof of being inside the recorder, until it is dropped.
#[must_use = "the recorder is left as soon as it is dropped"]
#[derive(Debug)]
pub struct Inside {
    before: bool,
    thread_bound: PhantomData<*mut ()>,
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}
