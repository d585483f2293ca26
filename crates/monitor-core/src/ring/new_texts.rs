//! Error texts that a thread has seen in each fold. A failure with a new text is recorded individually, however many were counted before.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::error_texts::{MAX_TEXTS, shared_text};

/// Maximum number of folds whose texts a thread remembers. Beyond it, the thread forgets all.
const MAX_FOLDS: usize = 256;

#[derive(Default)]
struct Seen {
    hasher: RandomState,
    /// Hashes of the texts, by the mark of the fold.
    texts: HashMap<u64, Vec<u64>>,
}

thread_local!(static SEEN: RefCell<Seen> = RefCell::default());

/// Notes a failure in the fold with this mark. Returns true if it is the first one with its text. After
/// [`MAX_TEXTS`] texts, none counts as new.
pub(super) fn is_new(mark: u64, message: &str) -> bool {
    // A thread that ends has no list, and a signal may interrupt a thread that is changing it.
    let is_new = SEEN.try_with(|seen| seen.try_borrow_mut().ok().is_some_and(|mut seen| seen.add(mark, message)));
    is_new.unwrap_or(false)
}

impl Seen {
    fn add(&mut self, mark: u64, message: &str) -> bool {
        if self.texts.len() >= MAX_FOLDS && !self.texts.contains_key(&mark) {
            self.texts.clear();
        }
        let hash = self.hasher.hash_one(shared_text(message));
        let texts = self.texts.entry(mark).or_default();
        let is_new = texts.len() < MAX_TEXTS && !texts.contains(&hash);
        if is_new {
            texts.push(hash);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_new_once_in_each_fold() {
        let mut seen = Seen::default();
        let all = [(1, "order 7 not found"), (1, "order 8 not found"), (1, "no room"), (2, "order 7 not found"), (1, "no room")];
        assert_eq!(all.map(|(mark, text)| seen.add(mark, text)), [true, false, true, true, false]);
        let new = (0..300_u32).filter(|text| seen.add(3, &"x".repeat(*text as usize % 150))).count();
        assert_eq!(new, MAX_TEXTS);
        (10..10 + MAX_FOLDS as u64).for_each(|mark| assert!(seen.add(mark, "no room")));
        assert!(seen.texts.len() <= MAX_FOLDS);
    }
}
