//! What belongs to one operating-system process: a forked child begins without it.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that is set once, and once more in a forked child that [`forget`](Self::forget)s its parent's.
///
/// It never waits: a lock that another thread holds at a fork is held in the child for ever.
#[derive(Debug)]
pub struct Own<T: 'static> {
    value: AtomicPtr<T>,
}

impl<T: Send + Sync> Own<T> {
    /// Without a value.
    pub const fn new() -> Self {
        Own { value: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The value, if it is set.
    #[inline]
    #[allow(unsafe_code, reason = "a forked child needs a cell that can be emptied without waiting; the standard library has none")]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: what is stored is null or was leaked by `set`: it is valid for ever and only ever shared. The load
        // acquires what the thread that set it had written, and `T` may be shared between threads.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// Sets the value for the rest of the program; `false` if there is one already.
    pub fn set(&self, value: T) -> bool {
        // Two that set it at once leak one value: whoever sets it does so once.
        self.get().is_none() && {
            let value = Box::leak(Box::new(value));
            self.value.compare_exchange(ptr::null_mut(), value, Ordering::AcqRel, Ordering::Acquire).is_ok()
        }
    }

    /// Leaves the value to the parent: for a forked child, where it may be half changed. Nothing is freed, nothing waits.
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
    fn it_is_set_once_and_again_when_forgotten() {
        let own = Own::new();
        assert_eq!(own.get(), None);
        assert!(own.set(1) && !own.set(2));
        let first = own.get();
        own.forget();
        assert_eq!((own.get(), own.set(3), own.get(), first), (None, true, Some(&3), Some(&1)));
    }
}
