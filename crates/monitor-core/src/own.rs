//! Values of a single operating-system process. A forked child begins without them.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that is set once, and again in a forked child that [`forget`](Self::forget)s its parent's value.
///
/// It never waits, because a lock that another thread holds at a fork stays locked in the child forever.
#[derive(Debug)]
pub struct Own<T: 'static> {
    value: AtomicPtr<T>,
}

impl<T: Send + Sync> Own<T> {
    /// Creates an empty cell.
    pub const fn new() -> Self {
        Own { value: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Returns the value, if it is set.
    #[inline]
    #[allow(unsafe_code, reason = "a forked child needs a cell that can be emptied without waiting; the standard library has none")]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: the stored pointer is null or was leaked by `set`, so it is valid forever and only shared. The load acquires everything
        // that the setting thread had written, and `T` may be shared between threads.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the value for the rest of the program. Returns false if there already is one.
    pub fn set(&self, value: T) -> bool {
        // If two threads set the value concurrently, one value is leaked. Callers set it once.
        self.get().is_none() && {
            let value = Box::leak(Box::new(value));
            self.value.compare_exchange(ptr::null_mut(), value, Ordering::AcqRel, Ordering::Acquire).is_ok()
        }
    }

    /// Removes the value without freeing it. For a forked child, where the value may be partly changed. Never waits.
    pub fn forget(&self) {
        self.value.store(ptr::null_mut(), Ordering::Release);
    }
}

impl<T: Send + Sync> Default for Own<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_set_once_and_can_be_set_again_after_it_was_forgotten() {
        let own = Own::new();
        assert_eq!(own.get(), None);
        assert!(own.set(1) && !own.set(2));
        let first = own.get();
        own.forget();
        assert_eq!((own.get(), own.set(3), own.get(), first), (None, true, Some(&3), Some(&1)));
    }
}
