//! Recursive functions: only the outermost call on each thread is recorded.

use std::cell::Cell;
use std::thread::LocalKey;

use super::How;
use crate::switch;

/// True while a call of the function runs on this thread.
pub type IsOpen = Cell<bool>;

/// A call of a recursive function, until it is dropped.
#[derive(Debug)]
pub struct Outermost(State);

#[derive(Debug)]
enum State {
    /// Nothing is recorded.
    Off,
    Within,
    /// The outermost call on this thread.
    Outermost(&'static LocalKey<IsOpen>),
}

impl Outermost {
    #[inline]
    pub fn enter(is_open: &'static LocalKey<IsOpen>) -> Self {
        Self(if switch::is_on() { State::among(is_open) } else { State::Off })
    }

    /// Returns `how`, or [`How::Within`] for a call within another call.
    #[inline]
    pub fn how(&self, how: How) -> How {
        if matches!(self.0, State::Within) { How::Within } else { how }
    }
}

impl State {
    #[inline(never)]
    fn among(is_open: &'static LocalKey<IsOpen>) -> Self {
        if is_open.replace(true) { Self::Within } else { Self::Outermost(is_open) }
    }
}

impl Drop for Outermost {
    #[inline]
    fn drop(&mut self) {
        if let State::Outermost(is_open) = self.0 {
            is_open.set(false);
        }
    }
}

/// Begins a call of a recursive function.
#[doc(hidden)]
#[macro_export]
macro_rules! __outermost {
    () => {{
        $crate::private::thread_local! {
            static IS_OPEN: $crate::private::IsOpen = const { $crate::private::IsOpen::new(false) };
        }
        $crate::private::Outermost::enter(&IS_OPEN)
    }};
}
