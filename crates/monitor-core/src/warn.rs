//! Warnings of this crate to the user. Each kind is given once per program.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static WARN: OnceLock<fn(&str)> = OnceLock::new();

/// Sets the function that logs warnings. The first one is kept. Without one, warnings are lost.
pub fn set(warn: fn(&str)) {
    let _ = WARN.set(warn);
}

/// Logs a warning. The caller makes sure that it is given once.
#[doc(hidden)]
pub fn tell(text: &str) {
    if let Some(warn) = WARN.get() {
        warn(text);
    }
}

/// A kind of warning that is given once.
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

/// A kind of warning that is given once per place in the source, for up to [`Self::MOST`] places.
pub(crate) struct Warnings([AtomicUsize; Warnings::MOST]);

impl Warnings {
    const MOST: usize = 64;

    pub(crate) const fn new() -> Self {
        Warnings([const { AtomicUsize::new(0) }; Self::MOST])
    }

    /// Gives the warning. `key` identifies the place and is not 0.
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
    fn each_place_has_one_warning_and_their_number_is_limited() {
        static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
        static WARNINGS: Warnings = Warnings::new();
        set(|text| SAID.lock().unwrap().push(text.to_owned()));
        for key in [1, 2, 1, 2].into_iter().chain(3..1_000) {
            WARNINGS.give(key, || key.to_string());
        }
        assert_eq!(*SAID.lock().unwrap(), (1..=Warnings::MOST).map(|key| key.to_string()).collect::<Vec<_>>());
    }
}
