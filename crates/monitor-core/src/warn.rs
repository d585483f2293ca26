//! What this crate has to say to the user: each kind of warning once in a program.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static WARN: OnceLock<fn(&str)> = OnceLock::new();

/// Sets who passes warnings on. The first one stays; without one they are lost.
pub fn set(warn: fn(&str)) {
    let _ = WARN.set(warn);
}

/// Passes on what is said once by whoever says it.
#[doc(hidden)]
pub fn tell(text: &str) {
    if let Some(warn) = WARN.get() {
        warn(text);
    }
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

/// A kind of warning that is given once for each place of the source; beyond [`Self::MOST`] of them no more.
pub(crate) struct Warnings([AtomicUsize; Warnings::MOST]);

impl Warnings {
    const MOST: usize = 64;

    pub(crate) const fn new() -> Self {
        Warnings([const { AtomicUsize::new(0) }; Self::MOST])
    }

    /// `key` tells places apart and is not 0.
    pub(crate) fn give(&self, key: usize, text: impl FnOnce() -> String) {
        let Some(warn) = WARN.get() else { return };
        for place in &self.0 {
            match place.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return warn(&text()),
                Err(known) if known == key => return,
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_place_is_warned_of_once_and_there_is_an_end() {
        static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
        static WARNINGS: Warnings = Warnings::new();
        set(|text| SAID.lock().unwrap().push(text.to_owned()));
        for key in [1, 2, 1, 2].into_iter().chain(3..1_000) {
            WARNINGS.give(key, || key.to_string());
        }
        assert_eq!(*SAID.lock().unwrap(), (1..=Warnings::MOST).map(|key| key.to_string()).collect::<Vec<_>>());
    }
}
