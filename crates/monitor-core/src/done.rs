//! A process whose work has returned, before it is known how it ended.

use crate::record::Failure;
use crate::told::Told;

/// A process that more may be told of.
pub trait Tells {
    /// Calls `tell` unless nothing is recorded, or the call is one of many alike that are counted.
    fn tell(&mut self, tell: impl FnOnce(&mut Told));
}

/// The process that a function ends.
pub trait Ending: Tells {
    fn is_off(&self) -> bool;
    fn end(self, failure: Option<Failure>);
}

/// A process, and what its work returned.
#[derive(Debug)]
pub struct Done<P, T> {
    pub(crate) process: P,
    pub(crate) returned: T,
}

impl<P: Ending, T> Done<P, T> {
    /// Ends the process: it failed if `failure` says why.
    #[inline]
    pub(crate) fn end(self, failure: impl FnOnce(&T) -> Option<Failure>) -> T {
        if !self.process.is_off() {
            conclude(self.process, &self.returned, failure);
        }
        self.returned
    }

    /// Tells of what was returned before the process ends.
    #[inline]
    pub(crate) fn tell(mut self, tell: impl FnOnce(&T, &mut Told)) -> Self {
        self.process.tell(|told| tell(&self.returned, told));
        self
    }

    /// Ends the process, of which is known that it succeeded.
    #[inline]
    pub fn succeed(self) -> T {
        if !self.process.is_off() {
            self.process.end(None);
        }
        self.returned
    }
}

/// Apart, so that the words of a failure take no room in the frame of a function that may call itself.
#[inline(never)]
fn conclude<T>(process: impl Ending, returned: &T, failure: impl FnOnce(&T) -> Option<Failure>) {
    process.end(failure(returned));
}
