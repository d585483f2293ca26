//! A program that ends while it records. Its own counts are in a file that outlives it.

#![allow(unsafe_code, reason = "a mapped file, and ways to end that the standard library doesn't offer")]

use std::fmt::Write;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monitor_client::{Process, normal_task, root_task};

use crate::{read_line, say};

/// Number of recording threads.
const THREADS: usize = 5;

/// Counts of one thread, in separate cache lines.
#[repr(align(128))]
struct Counter {
    begun: AtomicU64,
    ended: AtomicU64,
}

#[normal_task]
fn counted(n: u64) -> Result<u64, String> {
    if n % 16 == 7 { Err(format!("the words of {n}")) } else { Ok(n) }
}

#[normal_task]
async fn counted_async(n: u64) -> u64 {
    if n.is_multiple_of(3) {
        tokio::task::yield_now().await;
    }
    n
}

/// Records up to `calls` calls in each thread. Ends in the given way when each thread has made half of its calls, or when it is killed.
#[root_task]
pub(crate) fn counts(file: &str, calls: u64, end: &str) {
    let counters = map(file);
    for (number, counter) in counters.iter().enumerate() {
        let record = move || match number {
            0 => sync(counter, calls),
            1 => turns(counter, calls),
            2 => by_hand(counter, calls),
            _ => futures(counter, calls),
        };
        monitor_client::spawn_thread(move || {
            record();
            // This thread ends with the program.
            loop {
                std::thread::park();
            }
        });
    }
    say("counts");
    while end != "killed" && counters.iter().any(|counter| counter.ended.load(Ordering::SeqCst) < calls / 2) {
        std::thread::yield_now();
    }
    match end {
        "killed" => read_line(),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        // SAFETY: it only ends the program, as intended.
        "_exit" => unsafe { libc::_exit(0) },
        // SAFETY: none. The invalid write is intended.
        "segv" => unsafe { std::hint::black_box(std::ptr::null_mut::<u8>()).write_volatile(1) },
        "out-of-memory" => out_of_memory(),
        "panic" => panic!("in the midst of it"),
        "exec" => {
            let error = Command::new(std::env::current_exe().expect("a path")).arg("waits").exec();
            panic!("{error}");
        }
        other => panic!("{other:?} is no end"),
    }
}

/// Endless trees with a single call each, faster than they can be shipped.
pub(crate) fn finds_no_room(file: &str) {
    let counter = &map(file)[0];
    say("begins");
    loop {
        counter.begun.fetch_add(1, Ordering::SeqCst);
        alone();
    }
}

#[root_task]
fn alone() {}

/// Processes with more text than compression can reduce enough.
#[root_task]
pub(crate) fn wordy(count: u64) {
    let mut state = count;
    for n in 0..count {
        let mut words = String::new();
        for _ in 0..64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let _ = write!(words, "{state:016x}");
        }
        Process::builder("wordy").field("words", words).begin().succeed();
        if n % 100 == 99 {
            // Prevents that the lane fills up first.
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

/// Waits until stdin is closed, with an open process of its own.
#[root_task]
pub(crate) fn waits() {
    say("waits");
    read_line();
}

fn sync(counter: &Counter, calls: u64) {
    for n in 0..calls {
        counter.begun.fetch_add(1, Ordering::SeqCst);
        let _ = counted(n);
        counter.ended.fetch_add(1, Ordering::SeqCst);
    }
}

fn by_hand(counter: &Counter, calls: u64) {
    for n in 0..calls {
        counter.begun.fetch_add(1, Ordering::SeqCst);
        let process = Process::builder("counted by hand").begin();
        if n % 16 == 7 {
            process.fail(format!("the words of {n}"));
        } else {
            process.succeed();
        }
        counter.ended.fetch_add(1, Ordering::SeqCst);
    }
}

fn futures(counter: &'static Counter, calls: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        for n in 0..calls {
            counter.begun.fetch_add(1, Ordering::SeqCst);
            counted_async(n).await;
            counter.ended.fetch_add(1, Ordering::SeqCst);
        }
    });
}

/// The calls of two alternating loops.
fn turns(counter: &'static Counter, calls: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { tokio::join!(one_of_two(counter, calls / 2), one_of_two(counter, calls / 2)) });
}

#[normal_task]
async fn one_of_two(counter: &'static Counter, calls: u64) {
    for n in 0..calls {
        counter.begun.fetch_add(1, Ordering::SeqCst);
        let _ = counted(n);
        counter.ended.fetch_add(1, Ordering::SeqCst);
        if n % 100 == 99 {
            tokio::task::yield_now().await;
        }
    }
}

/// Allocates more than the limit, until the standard library ends the program.
fn out_of_memory() {
    let limit = libc::rlimit { rlim_cur: 4 << 30, rlim_max: 4 << 30 };
    // SAFETY: the limit is valid for reading.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    let mut held = Vec::new();
    loop {
        held.push(vec![1_u8; 1 << 30]);
    }
}

/// The counters in a mapped file, which keeps them after the end of this program.
fn map(file: &str) -> &'static [Counter; THREADS] {
    let file = OpenOptions::new().read(true).write(true).open(file).expect("made by the test");
    file.set_len(size_of::<[Counter; THREADS]>() as u64).expect("room");
    // SAFETY: a new mapping of a file that is as long as the counters, page-aligned, zeroed, and never unmapped.
    unsafe {
        let bytes = size_of::<[Counter; THREADS]>();
        let start = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(start, libc::MAP_FAILED);
        &*start.cast()
    }
}
