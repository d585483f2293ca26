//! A block of words that one thread writes and others read. Its last word shows whether the block is complete.

use super::atomic::{AtomicU64, Ordering};

/// Salt of the checksum of a frame, so that it differs from that of a record and of an end that waits in its slot.
pub(super) const RUNNING: u64 = 0x5851_f42d_4c95_7f2d;
pub(super) const ENDED_IN_SLOT: u64 = 0x2545_f491_4f6c_dd1d;
/// Stored instead of a checksum: neither a record nor clear.
const RETIRED: u64 = 1;

/// Odd factors, so that any change of one word changes the sum.
pub(super) const FACTORS: [u64; 8] = [
    0x9e37_79b9_7f4a_7c15,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0xd6e8_feb8_6659_fd93,
    0xff51_afd7_ed55_8ccd,
    0xc4ce_b9fe_1a85_ec53,
    0xa076_1d64_78bd_642f,
    0xe703_7ed1_a0b4_28db,
];

/// Returns the inverse of an odd number, modulo 2 to the power of 64. Each step doubles the number of correct bits,
/// of which there are three at first.
pub(super) const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

/// A word that has one writer at a time.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Word(pub(super) AtomicU64);

impl Word {
    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Returns the value, and makes everything visible that was written before the value was [`publish`](Self::publish)ed.
    #[inline]
    pub(super) fn observe(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Stores the value, and makes everything written before visible to a thread that [`observe`](Self::observe)s it.
    #[inline]
    pub(super) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Adds one, for a word with several writers.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The words of a record without its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) start: u64,
    pub(super) id: u64,
    pub(super) parent: u64,
    pub(super) root: [u64; 2],
    pub(super) end: u64,
    pub(super) facts: u64,
}

impl Words {
    #[inline]
    pub(super) fn check(&self, salt: u64) -> u64 {
        let Words { start, id, parent, root: [high, low], end, facts } = *self;
        let words = [start, id, parent, high, low, end, facts, salt];
        words.iter().zip(FACTORS).fold(0, |sum, (word, factor)| sum.wrapping_add(word.wrapping_mul(factor)))
    }

    pub(super) fn root(&self) -> u128 {
        u128::from(self.root[0]) << 64 | u128::from(self.root[1])
    }
}

/// 64 bytes that hold a record.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Line {
    start: Word,
    id: Word,
    parent: Word,
    root: [Word; 2],
    end: Word,
    facts: Word,
    check: Word,
}

impl Line {
    /// Creates a line of new words, for the model. Elsewhere lines are found in zeroed memory.
    #[cfg(all(test, loom))]
    #[allow(dead_code, reason = "this file is compiled once with loom's atomics and once without")]
    pub(super) fn new(word: fn() -> Word) -> Self {
        Line { start: word(), id: word(), parent: word(), root: [word(), word()], end: word(), facts: word(), check: word() }
    }

    #[inline]
    pub(super) fn write(&self, words: &Words, salt: u64) {
        self.set(words);
        self.check.publish(words.check(salt));
    }

    /// Writes the words of `running`, which has no end, with an end and further `facts`. The check is a sum, so
    /// only the additions must be calculated.
    #[inline]
    pub(super) fn write_ended(&self, running: &Line, end: u64, facts: u64, salt: u64) {
        let words = running.own();
        self.set(&Words { end, facts: words.facts | facts, ..words });
        let added = [(end, FACTORS[5]), (facts, FACTORS[6]), (salt.wrapping_sub(RUNNING), FACTORS[7])];
        let check = added.into_iter().fold(running.check.get(), |sum, (word, factor)| sum.wrapping_add(word.wrapping_mul(factor)));
        self.check.publish(check);
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> [&Word; 8] {
        [&self.start, &self.id, &self.parent, &self.root[0], &self.root[1], &self.end, &self.facts, &self.check]
    }

    /// Stores the ids of a context that is only made current. Its line stays clear.
    #[inline]
    pub(super) fn set_ids(&self, id: u64, root: [u64; 2]) {
        self.id.set(id);
        self.root[0].set(root[0]);
        self.root[1].set(root[1]);
    }

    /// Marks the words as no record.
    #[inline]
    pub(super) fn clear(&self) {
        self.check.publish(0);
    }

    /// Marks the words as no record, while the thread that ended it still reads them. The line must not be reused before it is
    /// [`clear`](Self::clear)ed.
    #[inline]
    pub(super) fn retire(&self) {
        self.check.publish(RETIRED);
    }

    #[inline]
    pub(super) fn is_clear(&self) -> bool {
        self.check.observe() == 0
    }

    /// Returns the words, for the one thread that writes them.
    #[inline]
    pub(super) fn own(&self) -> Words {
        Words {
            start: self.start.get(),
            id: self.id.get(),
            parent: self.parent.get(),
            root: [self.root[0].get(), self.root[1].get()],
            end: self.end.get(),
            facts: self.facts.get(),
        }
    }

    #[inline]
    pub(super) fn ids(&self) -> (u64, [u64; 2]) {
        (self.id.get(), [self.root[0].get(), self.root[1].get()])
    }

    #[inline]
    pub(super) fn id(&self) -> u64 {
        self.id.get()
    }

    #[inline]
    pub(super) fn start(&self) -> u64 {
        self.start.get()
    }

    /// Returns the words as seen by another thread. `None` if they are no complete record with this `salt`.
    pub(super) fn read(&self, salt: u64) -> Option<Words> {
        let check = self.check.observe();
        let words = self.own();
        (check != 0 && check == words.check(salt)).then_some(words)
    }

    #[inline]
    fn set(&self, words: &Words) {
        self.start.set(words.start);
        self.id.set(words.id);
        self.parent.set(words.parent);
        self.root[0].set(words.root[0]);
        self.root[1].set(words.root[1]);
        self.end.set(words.end);
        self.facts.set(words.facts);
    }
}
