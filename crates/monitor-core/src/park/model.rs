//! Tests of the flag with loom, in all orders that threads and processors allow.

use loom::sync::Arc;
use loom::thread;

use atomic::{AtomicU8, AtomicU64, Ordering, fence};
use flag::Flag;

#[allow(dead_code, reason = "tried is the way to sleep")]
#[path = "flag.rs"]
mod flag;

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

    /// loom has no compiler that reorders instructions.
    pub(super) fn compiler_fence(_: Ordering) {}
}

/// Makes a record and wakes the drainer if needed. Returns the number of wake-ups.
fn record(head: &AtomicU64, flag: &Flag, is_passing_barrier: bool) -> u64 {
    head.fetch_add(1, Ordering::Release);
    if is_passing_barrier {
        // The effect of `membarrier` on a running thread.
        fence(Ordering::SeqCst);
    }
    u64::from(flag.may_be_up() && flag.take())
}

fn nobody_sleeps_over_a_record(is_fenced: bool) {
    let mut model = loom::model::Builder::new();
    // A higher bound takes minutes and finds no further errors.
    model.preemption_bound = Some(3);
    model.check(move || {
        let shared = Arc::new((AtomicU64::new(0), Flag(AtomicU8::new(0))));
        if is_fenced {
            shared.1.need_fences();
        }
        let recorders: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || record(&shared.0, &shared.1, !is_fenced))
            })
            .collect();
        let (head, flag) = &*shared;
        flag.raise();
        fence(Ordering::SeqCst);
        let seen = head.load(Ordering::Acquire);
        if seen > 0 {
            flag.lower();
        }
        let woken: u64 = recorders.into_iter().map(|recorder| recorder.join().unwrap()).sum();
        // The drainer sleeps only if it has seen no record, and then one recorder wakes it.
        assert!(woken <= 1 && (seen > 0 || woken == 1), "{seen} seen, {woken} times woken");
    });
}

#[test]
fn no_record_is_missed_where_recorders_pass_barriers() {
    nobody_sleeps_over_a_record(true);
}

#[test]
fn no_record_is_missed_where_the_sleeper_forces_a_barrier() {
    nobody_sleeps_over_a_record(false);
}
