//! The entries of trees that are alive in this program, to find the one that a stray thread belongs to.
//!
//! Only one question is ever asked — is there exactly one, and which? —, so it is enough to keep their number and the
//! exclusive-or of their ids: no lock and no allocation, however many there are.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::context::Context;

/// How often a reader tries to look between two writers before it takes the answer for "several".
const ATTEMPTS: usize = 1_000;

static ALIVE: Entries = Entries::new();

/// An entry of a tree begins: a root, or a process that continues a tree of another program.
pub(crate) fn enter(context: Context) {
    ALIVE.change(context, 1);
}

/// An entry that [`enter`]ed ends.
pub(crate) fn leave(context: Context) {
    ALIVE.change(context, u64::MAX);
}

/// The entry that is alive, if there is exactly one.
pub(crate) fn the_one() -> Option<Context> {
    ALIVE.the_one()
}

/// None is alive: for a forked child, whose parent's other threads may have been in the middle of a change.
pub(crate) fn forget() {
    ALIVE.forget();
}

struct Entries {
    /// Changes begun and changes ended: between equal numbers nobody writes.
    begun: AtomicU64,
    ended: AtomicU64,
    count: AtomicU64,
    root_high: AtomicU64,
    root_low: AtomicU64,
    process: AtomicU64,
}

impl Entries {
    const fn new() -> Self {
        Entries {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            count: AtomicU64::new(0),
            root_high: AtomicU64::new(0),
            root_low: AtomicU64::new(0),
            process: AtomicU64::new(0),
        }
    }

    fn change(&self, context: Context, difference: u64) {
        self.begun.fetch_add(1, SeqCst);
        self.count.fetch_add(difference, SeqCst);
        self.root_high.fetch_xor((context.root() >> 64) as u64, SeqCst);
        self.root_low.fetch_xor(context.root() as u64, SeqCst);
        self.process.fetch_xor(context.process(), SeqCst);
        self.ended.fetch_add(1, SeqCst);
    }

    fn forget(&self) {
        for number in [&self.begun, &self.ended, &self.count, &self.root_high, &self.root_low, &self.process] {
            number.store(0, SeqCst);
        }
    }

    fn the_one(&self) -> Option<Context> {
        for _ in 0..ATTEMPTS {
            let ended = self.ended.load(SeqCst);
            let count = self.count.load(SeqCst);
            let root = u128::from(self.root_high.load(SeqCst)) << 64 | u128::from(self.root_low.load(SeqCst));
            let process = self.process.load(SeqCst);
            // Whoever had begun by now had ended before the first look.
            if self.begun.load(SeqCst) == ended {
                return if count == 1 { Context::new(root, process) } else { None };
            }
            spin_loop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn context(n: u64) -> Context {
        Context::new(u128::from(n) << 64 | u128::from(n + 1), n + 2).expect("not zero")
    }

    #[test]
    fn the_one_is_the_one_that_is_left() {
        let entries = Entries::new();
        assert_eq!(entries.the_one(), None);
        entries.change(context(1), 1);
        assert_eq!(entries.the_one(), Some(context(1)));
        entries.change(context(7), 1);
        assert_eq!(entries.the_one(), None);
        entries.change(context(1), u64::MAX);
        assert_eq!(entries.the_one(), Some(context(7)));
        entries.change(context(7), u64::MAX);
        assert_eq!(entries.the_one(), None);
    }

    #[test]
    fn a_change_that_a_fork_cut_off_is_forgotten() {
        let entries = Entries::new();
        entries.change(context(1), 1);
        entries.begun.fetch_add(1, SeqCst);
        entries.forget();
        assert_eq!(entries.the_one(), None);
        entries.change(context(2), 1);
        assert_eq!(entries.the_one(), Some(context(2)));
    }

    #[test]
    fn nobody_sees_a_mixture_of_two() {
        let entries = Entries::new();
        entries.change(context(1), 1);
        thread::scope(|scope| {
            for n in [100, 200] {
                let entries = &entries;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        entries.change(context(n), 1);
                        entries.change(context(n), u64::MAX);
                    }
                });
            }
            for _ in 0..20_000 {
                assert!(entries.the_one().is_none_or(|one| one == context(1)));
            }
        });
        assert_eq!(entries.the_one(), Some(context(1)));
    }
}
