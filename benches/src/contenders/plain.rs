//! The baselines: the plain call, and two reads of the CPU's clock around it, the minimum for recording times.

use std::hint::black_box;

use crate::work::{Shape, both, drive, leaf_body, repeat, repeat_async, repeat_by_turns, yield_once};

#[inline(never)]
fn leaf(n: u64) -> u64 {
    leaf_body(n)
}

async fn ready(n: u64) -> u64 {
    leaf_body(n)
}

async fn yields(n: u64) -> u64 {
    yield_once().await;
    leaf_body(n)
}

fn root(body: impl FnOnce()) {
    body();
}

async fn async_root(body: impl Future<Output = ()>) {
    body.await;
}

super::tree!();

/// Like `tree`, with two reads of the clock in each leaf.
pub(super) fn two_reads(shape: Shape, calls: u64) {
    match shape {
        Shape::Sync => repeat(calls, leaf_read),
        Shape::Ready => drive(repeat_async(calls, ready_read)),
        Shape::Yields => drive(repeat_async(calls, yields_read)),
        Shape::Turns => drive(both(repeat_by_turns(calls / 2, leaf_read), repeat_by_turns(calls - calls / 2, leaf_read))),
    }
}

#[inline(never)]
fn leaf_read(n: u64) -> u64 {
    let start = clock();
    let result = leaf_body(n);
    black_box((start, clock()));
    result
}

async fn ready_read(n: u64) -> u64 {
    let start = clock();
    let result = leaf_body(n);
    black_box((start, clock()));
    result
}

async fn yields_read(n: u64) -> u64 {
    let start = clock();
    yield_once().await;
    let result = leaf_body(n);
    black_box((start, clock()));
    result
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code, reason = "the instruction has no safe name")]
fn clock() -> u64 {
    // SAFETY: reads a counter that every x86-64 has; touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Elsewhere the system's clock is the nearest that has a safe name.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
