//! Children of one name below one parent, counted for all threads together.
//!
//! A thread counts a pair of parent and name by itself and adds what it has counted here, a share at a time: so one line of
//! memory is not written by all threads at each call. It adds the rest when it forgets the pair for another one, so that the count
//! goes on wherever the parent's next child begins: later on this thread, when others have had their turn, or on another one.
//!
//! The table is of fixed size: of more pairs than it holds, those that were not met for longest are forgotten, and counted anew.
//! Several threads write to it without a lock. The worst that they can do to each other is a count that is lost.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;

const SETS: usize = 1_024;
/// Places that a pair may take.
const WAYS: usize = 8;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

static TABLE: [[Place; WAYS]; SETS] = [const { [const { Place::new() }; WAYS] }; SETS];

struct Place {
    /// The pair, or 0.
    key: AtomicU64,
    count: AtomicU64,
    /// When the pair was last met, in ticks.
    seen: AtomicU64,
}

impl Place {
    const fn new() -> Self {
        Place { key: AtomicU64::new(0), count: AtomicU64::new(0), seen: AtomicU64::new(0) }
    }
}

/// Adds so many children to those of the pair; how many there were so far.
pub(super) fn add(key: u64, count: u64) -> u64 {
    let set = set_of(key);
    if let Some(place) = find(set, key) {
        return place.count.fetch_add(count, Ordering::Relaxed) + count;
    }
    let oldest = set.iter().min_by_key(|place| place.seen.load(Ordering::Relaxed));
    if let Some(place) = oldest {
        // Who adds to the one before meanwhile adds to nothing.
        place.key.store(0, Ordering::Relaxed);
        place.count.store(count, Ordering::Relaxed);
        place.seen.store(clock::now(), Ordering::Relaxed);
        place.key.store(key, Ordering::Release);
    }
    count
}

/// How many children of the pair were added so far.
pub(super) fn get(key: u64) -> u64 {
    find(set_of(key), key).map_or(0, |place| place.count.load(Ordering::Relaxed))
}

/// Counts the pair anew.
pub(super) fn reset(key: u64) {
    if let Some(place) = find(set_of(key), key) {
        place.count.store(0, Ordering::Relaxed);
    }
}

fn set_of(key: u64) -> &'static [Place; WAYS] {
    &TABLE[(key.wrapping_mul(GOLDEN) >> 54) as usize % SETS]
}

fn find(set: &'static [Place; WAYS], key: u64) -> Option<&'static Place> {
    let place = set.iter().find(|place| place.key.load(Ordering::Acquire) == key)?;
    place.seen.store(clock::now(), Ordering::Relaxed);
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_add_is_counted_together_while_others_come_and_go() {
        let key = 0x1234_5678_9abc_def1;
        for round in 1..=100_u64 {
            assert_eq!(add(key, 10), round * 10);
            // As many as are met once while a thread has other things to do.
            for other in 0..50 {
                add(GOLDEN.wrapping_mul(round * 50 + other), 1);
            }
        }
        assert_eq!(get(key), 1_000);
        reset(key);
        assert_eq!(get(key), 0);
    }

    #[test]
    fn of_more_pairs_than_there_are_places_the_latest_are_known() {
        let keys: Vec<u64> = (1..=4 * (SETS * WAYS) as u64).map(|number| number.wrapping_mul(0xd6e8_feb8_6659_fd93)).collect();
        for key in &keys {
            assert_eq!(add(*key, 7), 7);
        }
        let known = keys[keys.len() - SETS..].iter().filter(|key| get(**key) == 7).count();
        assert!(known > SETS * 9 / 10, "{known} of {SETS}");
    }
}
