//! Tests that the first monitored call determines if recording is on.

#![cfg(feature = "record")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use monitor_core::{Context, Process, queue, switch};

static STARTS: AtomicUsize = AtomicUsize::new(0);

fn start() {
    STARTS.fetch_add(1, Ordering::SeqCst);
    // Calls in the starter are not recorded, and don't wait for it.
    assert!(!switch::is_on());
    assert_eq!(Process::builder("in the starter").begin().context(), None);
    queue::open(1 << 20).expect("nobody opened it before");
    switch::turn_on();
}
monitor_core::starter!(start);

fn panics() {
    panic!("a starter that fails");
}
monitor_core::starter!(panics);

#[test]
fn the_starters_run_once_while_all_others_wait() {
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                assert!(switch::is_on());
            });
        }
    });
    assert_eq!(STARTS.load(Ordering::SeqCst), 1);
    assert_eq!(Context::current(), None);
}
