//! The state of a thread that is inside the recorder. Its calls are not recorded.
//!
//! A global allocator may call a monitored function, and the recorder allocates. A `tracing` subscriber may call one too, and the shipper
//! emits events. Both would lead to an infinite recursion.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Returns true if this thread is inside the recorder.
#[inline]
pub fn is_inside() -> bool {
    INSIDE.get()
}

/// Disables recording of this thread's calls permanently. For threads that ship records.
pub fn stay() {
    INSIDE.set(true);
}

/// Enters the recorder until the returned value is dropped.
#[inline]
pub fn enter() -> Inside {
    Inside { before: INSIDE.replace(true), thread_bound: PhantomData }
}

/// Guard that keeps the thread inside the recorder until it is dropped.
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
