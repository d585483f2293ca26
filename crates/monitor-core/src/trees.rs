//! The entries of running trees in this program, to find the tree that a stray thread belongs to.
//!
//! The only query is for the single running entry, if there is exactly one. So it is sufficient to store the number of entries and the
//! exclusive-or of their ids, without a lock or an allocation.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::context::Context;

/// Maximum number of attempts to read between two writers. After it, the answer is "several".
const ATTEMPTS: usize = 1_000;

static ALIVE: Entries = Entries::new();

/// Time of the last start or end of an entry.
static CHANGED: Changed = Changed { tick: AtomicU64::new(0), thread: AtomicU64::new(0), asked: AtomicU64::new(0) };

/// Adds an entry of a tree: a root, or a process that continues a tree of another program.
pub(crate) fn enter(context: Context) {
    ALIVE.change(context, 1);
    CHANGED.note();
}

/// Removes an entry.
pub(crate) fn leave(context: Context) {
    ALIVE.change(context, u64::MAX);
    CHANGED.note();
}

/// Returns the running entry, if there is exactly one.
pub(crate) fn the_one() -> Option<Context> {
    ALIVE.the_one()
}

/// Returns the running entry, if there is exactly one and this thread was started after the last change of entries, so that only this entry
/// can have started the thread. If the operating system doesn't provide the start of threads, only the first condition applies.
pub(crate) fn the_one_of_this_thread() -> Option<Context> {
    the_one().filter(|_| started::this_thread().is_none_or(|(tick, thread)| CHANGED.is_before(tick, thread)))
}

/// Time of the last change of the running entries: in ticks of 10 ms, which is the precision of the start of threads, and within a tick by
/// the number of the newest thread.
struct Changed {
    tick: AtomicU64,
    /// The newest thread at that time. 0 if it is unknown.
    thread: AtomicU64,
    /// Number of times that the newest thread was read within the tick.
    asked: AtomicU64,
}

impl Changed {
    /// Maximum number of times that the newest thread is read within a tick, because this takes some microseconds.
    const MOST_ASKED: u64 = 8;

    fn note(&self) {
        let tick = started::now();
        if self.tick.swap(tick, SeqCst) != tick {
            self.asked.store(0, SeqCst);
        }
        let thread = if self.asked.fetch_add(1, SeqCst) < Self::MOST_ASKED { started::newest_thread() } else { None };
        self.thread.store(thread.unwrap_or(0), SeqCst);
    }

    fn is_before(&self, tick: u64, thread: u64) -> bool {
        let changed = self.tick.load(SeqCst);
        // If the thread number is unknown, the thread is assumed to be started by the tree, as most are.
        changed < tick || changed == tick && self.thread.load(SeqCst) < thread
    }
}

/// Start times of threads, on Linux.
#[cfg(target_os = "linux")]
mod started {
    use std::cell::Cell;

    const NS_PER_TICK: u64 = 10_000_000;

    /// Returns the current time, in ticks of 10 ms since the start of the machine.
    #[allow(unsafe_code, reason = "the standard library doesn't have this clock, by which threads are dated")]
    pub(super) fn now() -> u64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a valid `timespec`.
        unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
        (now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64) / NS_PER_TICK
    }

    /// Returns the start of this thread, and its number.
    pub(super) fn this_thread() -> Option<(u64, u64)> {
        thread_local!(static STARTED: Cell<Option<(u64, u64)>> = const { Cell::new(None) });
        STARTED.get().or_else(|| {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
            let started = parse(&stat);
            STARTED.set(started);
            started
        })
    }

    /// Parses number and start in a line of `stat`, whose second field is a name of any text in parentheses.
    pub(super) fn parse(stat: &str) -> Option<(u64, u64)> {
        let number = stat.split(' ').next()?.parse().ok()?;
        let started = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some((started, number))
    }

    /// Returns the number of the last thread started on this machine.
    pub(super) fn newest_thread() -> Option<u64> {
        let load = std::fs::read_to_string("/proc/loadavg").ok()?;
        load.trim_end().rsplit_once(' ')?.1.parse().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod started {
    pub(super) fn now() -> u64 {
        0
    }

    pub(super) fn this_thread() -> Option<(u64, u64)> {
        None
    }

    pub(super) fn newest_thread() -> Option<u64> {
        None
    }
}

/// Removes all entries in a forked child, because other threads of the parent may have been changing them.
pub(crate) fn forget() {
    ALIVE.forget();
}

struct Entries {
    /// Number of changes begun and ended. If they are equal, no thread is writing.
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
            // All changes that had begun by now had ended before the first load.
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
    fn the_only_tree_is_found_after_the_others_ended() {
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_older_or_younger_than_a_change() {
        let changed = Changed { tick: AtomicU64::new(0), thread: AtomicU64::new(0), asked: AtomicU64::new(0) };
        let this = started::this_thread().expect("Linux knows");
        changed.note();
        assert!(!changed.is_before(this.0, this.1), "this thread was there before");
        let young = thread::spawn(|| started::this_thread().expect("Linux knows")).join().expect("no panic");
        assert!(changed.is_before(young.0, young.1), "{young:?} was started after it");
        for _ in 0..100 {
            changed.note();
        }
        assert_eq!(started::parse("7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2"), Some((12345, 7)));
        for odd in ["", "7", "7 (a", "x (a) S 1", "7 (a) S 1 2"] {
            assert_eq!(started::parse(odd), None, "{odd:?}");
        }
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
    fn readers_never_see_a_mixture_of_two_contexts() {
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
