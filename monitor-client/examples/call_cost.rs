//! What an attribute costs the calling thread, in nanoseconds per call: `cargo run --release -p monitor-client --example call_cost`.
//! With a number as its argument, calls are folded beyond so many: `-- 1000`.
//!
//! Short samples, one after the other, each followed by draining on another thread. The rivals of a call that is recorded are
//! two readings of the clock.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use monitor_client::{Process, normal_task};
use monitor_core::{fold, queue, switch};

const CALLS: u64 = 500;
const SAMPLES: usize = 2_000;

#[inline(never)]
fn plain(n: u64) -> u64 {
    black_box(n + 1)
}

#[normal_task]
#[inline(never)]
fn leaf(n: u64) -> u64 {
    black_box(n + 1)
}

#[expect(clippy::unused_async, reason = "as cheap as a future can be")]
async fn plain_ready(n: u64) -> u64 {
    black_box(n + 1)
}

#[normal_task]
async fn ready(n: u64) -> u64 {
    black_box(n + 1)
}

#[normal_task]
async fn yields(n: u64) -> u64 {
    let mut waited = false;
    poll_fn(|_| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        Poll::Pending
    })
    .await;
    black_box(n + 1)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let cx = &mut Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return value;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, unused_unsafe, reason = "whether this instruction is safe to call depends on the compiler's version")]
fn clock() -> u64 {
    // SAFETY: every x86_64 has it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn clock() -> u64 {
    use std::sync::OnceLock;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn two_clock_reads(n: u64) -> u64 {
    let begun = clock();
    let value = plain(n);
    black_box(clock() - begun);
    value
}

type Case = (&'static str, fn(u64) -> u64);

/// Runs the cases in turns. Median, 5th and 95th of a hundred, in ns per call.
fn measure(cases: &[Case], mut after_each: impl FnMut()) -> Vec<[f64; 3]> {
    let mut samples = vec![Vec::with_capacity(SAMPLES); cases.len()];
    for _ in 0..SAMPLES {
        for ((_, work), samples) in cases.iter().zip(&mut samples) {
            let begun = Instant::now();
            for n in 0..CALLS {
                black_box(work(black_box(n)));
            }
            samples.push(begun.elapsed().as_nanos() as f64 / CALLS as f64);
            after_each();
        }
    }
    let at = |sorted: &[f64], share: f64| sorted[(sorted.len() as f64 * share) as usize];
    samples
        .into_iter()
        .map(|mut samples| {
            samples.sort_by(f64::total_cmp);
            [at(&samples, 0.5), at(&samples, 0.05), at(&samples, 0.95)]
        })
        .collect()
}

fn show(title: &str, cases: &[Case], figures: &[[f64; 3]], clock: f64) {
    println!("{title}");
    for ((name, _), [p50, p05, p95]) in cases.iter().zip(figures) {
        println!("  {name:<28} {p50:7.1} ns   (p05 {p05:.1}, p95 {p95:.1})   {:.2} x two clock reads", p50 / clock);
    }
}

fn main() {
    let cases: &[Case] = &[
        ("plain", plain),
        ("two clock reads", two_clock_reads),
        ("plain async", |n| run(plain_ready(n))),
        ("sync", leaf),
        ("async", |n| run(ready(n))),
        ("async, one yield", |n| run(yields(n))),
    ];
    assert!(!switch::is_on(), "without MONITOR_ENABLED");
    let off = measure(cases, || {});
    show("off", cases, &off, off[1][0]);

    if let Some(after) = std::env::args().nth(1).and_then(|after| after.parse().ok()) {
        fold::set_after(after);
    }
    let mut receiver = queue::open(64 << 20).expect("opened once");
    switch::turn_on();
    let (ask, asked) = mpsc::channel::<()>();
    let (answer, answered) = mpsc::channel();
    let drainer = thread::spawn(move || {
        let mut count = 0_u64;
        while asked.recv().is_ok() {
            while let Some(entry) = receiver.try_recv() {
                receiver.release(entry.bytes);
                count += 1;
            }
            answer.send(()).expect("somebody waits");
        }
        count
    });
    let on = {
        let _top = Process::builder("top").enter();
        measure(cases, || {
            ask.send(()).expect("it drains");
            answered.recv().expect("it drains");
        })
    };
    drop(ask);
    show("on", cases, &on, on[1][0]);
    let dropped: u64 = queue::dropped().iter().map(|(_, count)| count).sum();
    println!("{} records drained, {dropped} dropped", drainer.join().expect("no panic"));
}
