//! New ids, from a generator per thread.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::time::SystemTime;

thread_local! {
    static GENERATOR: Cell<Option<SplitMix>> = const { Cell::new(None) };
}

/// Returns a new root id: Unix milliseconds in the top 48 bits for storage locality, 16 random bits, and the id of the process that begins
/// the tree, which [`own_process`] reads.
pub(crate) fn new_root(unix_ms: u64, process: u64) -> u128 {
    u128::from(unix_ms) << 80 | u128::from(next() >> 48) << 64 | u128::from(process)
}

/// Returns a new root id with the current time, for the tree that `process` begins.
pub(crate) fn new_root_now(process: u64) -> u128 {
    // Times before 1970 count as 1970.
    new_root(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64, process)
}

/// Returns the id of the process that began a tree, derived from the tree's id. In a tree that was begun by another system, the server uses
/// this id for the root's own process.
pub(crate) fn own_process(root: u128) -> u64 {
    (root as u64).max(1)
}

/// Returns a new process id.
pub(crate) fn new_process() -> NonZeroU64 {
    NonZeroU64::new(next()).unwrap_or(NonZeroU64::MIN)
}

fn next() -> u64 {
    let step = |generator: &Cell<Option<SplitMix>>| {
        let (value, next) = generator.get().unwrap_or_else(SplitMix::seeded).step();
        generator.set(Some(next));
        value
    };
    // The generator of an ending thread may already be destroyed.
    GENERATOR.try_with(step).unwrap_or_else(|_| SplitMix::seeded().step().0)
}

/// Resets the generator of this thread in a forked child, where it is a copy of the parent's generator.
pub(crate) fn forget() {
    let _ = GENERATOR.try_with(|generator| generator.set(None));
}

/// `SplitMix64` with a different step per thread (Steele, Lea and Flood, 2014). The ids of a thread never repeat, and
/// two threads have different sequences.
#[derive(Clone, Copy)]
struct SplitMix {
    state: u64,
    step: u64,
}

impl SplitMix {
    /// Creates a generator seeded by the operating system, through `RandomState`, the standard library's only access to random numbers.
    fn seeded() -> Self {
        let random = RandomState::new();
        // A forked child also has its parent's random keys, so the hashed values must differ.
        let own = (std::process::id(), SystemTime::now());
        SplitMix { state: random.hash_one((0_u8, own)), step: random.hash_one((1_u8, own)) | 1 }
    }

    fn step(self) -> (u64, Self) {
        let state = self.state.wrapping_add(self.step);
        (mix(state), SplitMix { state, ..self })
    }
}

/// Returns a random start for the ids of a thread's ring, so that the ids of two threads don't overlap.
pub(crate) fn seed() -> u64 {
    SplitMix::seeded().state
}

/// Maps each state to a different id that looks random.
fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn a_root_id_begins_with_its_time() {
        let ms = 0x0199_8877_6655;
        assert_eq!(new_root(ms, 7) >> 80, u128::from(ms));
        assert_eq!(own_process(new_root(ms, 7)), 7);
        assert_eq!(own_process(1 << 64), 1, "an id is never zero");
    }

    #[test]
    fn all_80_random_bits_of_a_root_id_vary() {
        let seen = (0..1_000).map(|_| new_root(0, new_process().get())).fold(0, |seen, id| seen | id);
        assert_eq!(seen, (1 << 80) - 1);
    }

    #[test]
    fn ids_of_many_threads_are_distinct() {
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(|| (0..10_000).map(|_| new_process()).collect::<Vec<_>>())).collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().expect("no id panics")).collect();
        assert_eq!(ids.len(), 80_000);
    }
}
