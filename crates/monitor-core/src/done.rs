//! A process whose work has returned, before its outcome is determined.

use crate::record::Failure;
use crate::told::Told;

/// A process that can record more values.
pub trait Tells {
    /// Calls `tell`, unless nothing is recorded or the call is only counted.
    fn tell(&mut self, tell: impl FnOnce(&mut Told));
}

/// The process of a function that ends.
pub trait Ending: Tells {
    fn is_off(&self) -> bool;
    fn end(self, failure: Option<Failure>);
}

/// A process and the value returned by its work.
#[derive(Debug)]
pub struct Done<P, T> {
    pub(crate) process: P,
    pub(crate) returned: T,
}

impl<P: Ending, T> Done<P, T> {
    /// Ends the process. It has failed if `failure` returns a reason.
    #[inline]
    pub(crate) fn end(self, failure: impl FnOnce(&T) -> Option<Failure>) -> T {
        if !self.process.is_off() {
            conclude(self.process, &self.returned, failure);
        }
        self.returned
    }

    /// Records values of the returned value before the process ends.
    #[inline]
    pub(crate) fn tell(mut self, tell: impl FnOnce(&T, &mut Told)) -> Self {
        self.process.tell(|told| tell(&self.returned, told));
        self
    }

    /// Ends the process as succeeded.
    #[inline]
    pub fn succeed(self) -> T {
        if !self.process.is_off() {
            self.process.end(None);
        }
        self.returned
    }
}

/// A separate function, so that the failure takes no room in the stack frame of a function that may be recursive.
#[inline(never)]
fn conclude<T>(process: impl Ending, returned: &T, failure: impl FnOnce(&T) -> Option<Failure>) {
    process.end(failure(returned));
}
