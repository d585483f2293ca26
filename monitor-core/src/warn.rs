//! What this crate has to say to the user: each kind of warning once in a program.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static WARN: OnceLock<fn(&str)> = OnceLock::new();

/// Sets who passes warnings on. The first one stays; without one they are lost.
pub fn set(warn: fn(&str)) {
    let _ = WARN.set(warn);
}

/// A kind of warning; remembers whether it was given.
pub(crate) struct Warning(AtomicBool);

impl Warning {
    pub(crate) const fn new() -> Self {
        Warning(AtomicBool::new(false))
    }

    pub(crate) fn give(&self, text: impl FnOnce() -> String) {
        if let Some(warn) = WARN.get()
            && !self.0.swap(true, Ordering::Relaxed)
        {
            warn(&text());
        }
    }
}
