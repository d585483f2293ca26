//! Counts of the children of one name below one parent, for all threads together.
//!
//! A thread counts a pair of parent and name by itself and adds its count to this table in shares, so that the threads don't all write to
//! one line of memory at each call. It adds the rest when it forgets the pair for another one. So the count continues wherever the parent's
//! next child begins: later on this thread, or on another one.
//!
//! The table has a fixed size. If there are more pairs than it holds, those that were not met for longest are forgotten, and counted from
//! zero when they come back. Several threads write to the table without a lock, and any of them may be delayed for long between two steps.
//! So a slot is one word that holds pair and count: a delayed thread can't overwrite a newer count, because the word has changed. Two
//! threads that meet a pair at the same time may each give it a slot; its count is the sum of all its slots.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;

const SETS: usize = 1_024;
/// Number of slots that a pair may take.
const WAYS: usize = 8;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// The upper bits of a pair's hash select its set, and the lower bits identify the pair in the set.
const SET_SHIFT: u32 = u64::BITS - SETS.ilog2();
/// Bits of a slot that hold the count. The bits above them hold the pair.
const COUNT_BITS: u32 = 32;
const MOST: u64 = (1 << COUNT_BITS) - 1;

static TABLE: Table = Table::new();

struct Table([[CountSlot; WAYS]; SETS]);

struct CountSlot {
    /// Pair and count, or 0 if the slot is free.
    word: AtomicU64,
    /// Time when the pair was last met, in ticks.
    seen: AtomicU64,
}

/// Adds this many children to the pair. Returns the new count.
pub(super) fn add(key: u64, count: u64) -> u64 {
    TABLE.add(key, count)
}

/// Returns the count of the pair.
pub(super) fn get(key: u64) -> u64 {
    TABLE.get(key)
}

/// Counts the pair from zero.
pub(super) fn reset(key: u64) {
    TABLE.reset(key);
}

impl Table {
    #[allow(clippy::large_stack_arrays, reason = "it makes a static, and never stands on a stack")]
    const fn new() -> Self {
        Self([const { [const { CountSlot { word: AtomicU64::new(0), seen: AtomicU64::new(0) } }; WAYS] }; SETS])
    }

    fn add(&self, key: u64, count: u64) -> u64 {
        let count = count.min(MOST);
        let (set, pair) = self.find(key);
        if count == 0 {
            return sum(set, pair);
        }
        loop {
            // All words are read before a slot is chosen: if the pair gets a slot meanwhile, the word of that slot has changed.
            let words = words_of(set);
            let known = (0..WAYS).find(|way| words[*way] != 0 && pair_of(words[*way]) == pair);
            let Some(way) = known.or_else(|| (0..WAYS).min_by_key(|way| set[*way].seen.load(Ordering::Relaxed))) else { break };
            let before = known.map_or(0, |way| words[way] & MOST);
            let word = pair | (before + count).min(MOST);
            if set[way].word.compare_exchange(words[way], word, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                set[way].seen.store(clock::now(), Ordering::Relaxed);
                break;
            }
        }
        sum(set, pair)
    }

    fn get(&self, key: u64) -> u64 {
        let (set, pair) = self.find(key);
        for place in set.iter().filter(|place| pair_of(place.word.load(Ordering::Relaxed)) == pair) {
            place.seen.store(clock::now(), Ordering::Relaxed);
        }
        sum(set, pair)
    }

    fn reset(&self, key: u64) {
        let (set, pair) = self.find(key);
        for place in set {
            let forget = |word| (pair_of(word) == pair).then_some(0);
            let _ = place.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, forget);
        }
    }

    /// Returns the slots that a pair may take, and its word with a count of zero.
    fn find(&self, key: u64) -> (&[CountSlot; WAYS], u64) {
        let hash = key.wrapping_mul(GOLDEN);
        (&self.0[(hash >> SET_SHIFT) as usize], hash << COUNT_BITS)
    }
}

fn pair_of(word: u64) -> u64 {
    word & !MOST
}

fn words_of(set: &[CountSlot; WAYS]) -> [u64; WAYS] {
    set.each_ref().map(|place| place.word.load(Ordering::Relaxed))
}

fn sum(set: &[CountSlot; WAYS], pair: u64) -> u64 {
    words_of(set).into_iter().filter(|word| pair_of(*word) == pair).map(|word| word & MOST).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn table() -> Table {
        clock::set_up();
        Table::new()
    }

    #[test]
    fn counts_of_a_frequent_pair_add_up_while_other_pairs_come_and_go() {
        let table = table();
        let key = 0x1234_5678_9abc_def1;
        for round in 1..=100_u64 {
            assert_eq!(table.add(key, 10), round * 10);
            // Number of pairs that a thread may meet once while it does other things.
            for other in 0..50 {
                table.add(GOLDEN.wrapping_mul(round * 50 + other), 1);
            }
        }
        assert_eq!(table.get(key), 1_000);
        table.reset(key);
        assert_eq!(table.get(key), 0);
    }

    #[test]
    fn threads_that_meet_a_pair_at_the_same_time_lose_no_count() {
        const THREADS: u64 = 4;
        const SHARES: u64 = 20;
        let table = table();
        let together = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 1..=2_000_u64 {
                        let key = round.wrapping_mul(0xd6e8_feb8_6659_fd93);
                        together.wait();
                        for _ in 0..SHARES {
                            table.add(key, 50);
                        }
                        together.wait();
                        assert_eq!(table.get(key), THREADS * SHARES * 50, "round {round}");
                    }
                });
            }
        });
    }

    #[test]
    fn the_latest_pairs_stay_in_a_full_table() {
        let table = table();
        let keys: Vec<u64> = (1..=4 * (SETS * WAYS) as u64).map(|number| number.wrapping_mul(0xd6e8_feb8_6659_fd93)).collect();
        for key in &keys {
            assert_eq!(table.add(*key, 7), 7);
        }
        let known = keys[keys.len() - SETS..].iter().filter(|key| table.get(**key) == 7).count();
        assert!(known > SETS * 9 / 10, "{known} of {SETS}");
    }

    #[test]
    fn a_count_that_is_too_large_for_its_place_stays_the_largest() {
        let table = table();
        assert_eq!([table.add(7, u64::MAX), table.add(7, 1), table.get(7), table.get(8)], [MOST, MOST, MOST, 0]);
    }
}
