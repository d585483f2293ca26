//! A program that records at a steady rate and prints the costs.

#![allow(unsafe_code, reason = "std reads no processor time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use monitor_client::{normal_task, root_task};

use crate::{read_line, say};

/// Number of calls below a root. None of them is folded.
const CALLS: u64 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// Makes a thousand calls per second until stdin has a line. Prints each second the number of calls so far and the CPU time of a call with
/// its work, in ns (the median of the second).
pub(crate) fn paced() {
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = is_over.clone();
    std::thread::spawn(move || {
        read_line();
        stop.store(true, Ordering::Relaxed);
    });
    let (mut next, mut count, mut spent) = (Instant::now(), 0, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        tree(&mut next, &mut spent);
        count += CALLS;
        if spent.len() >= 1_000 {
            spent.sort_unstable();
            say(&format!("{count} {}", spent[spent.len() / 2]));
            spent.clear();
        }
    }
    say(&format!("all {count}"));
}

#[root_task]
fn tree(next: &mut Instant, spent: &mut Vec<u64>) {
    for number in 0..CALLS {
        let begun = processor_ns();
        std::hint::black_box(work(number));
        spent.push(processor_ns() - begun);
        *next += PAUSE;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Takes about 100 µs in a release build.
#[normal_task]
fn work(number: u64) -> u64 {
    (0..50_000).fold(number, |state, _| std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)))
}

/// CPU time of this thread.
fn processor_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is valid for writing.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
