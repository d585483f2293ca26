//! The work of a leaf, its calls, and its duration: the same for every contender.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Kind of the leaf functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A plain function.
    Sync,
    /// An async function that is ready when it is first polled.
    Ready,
    /// An async function that yields once.
    Yields,
    /// A plain function, called by two parents that take turns after each hundred calls.
    Turns,
}

impl Shape {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: [Self; 4] = [Self::Sync, Self::Ready, Self::Yields, Self::Turns];

    /// Returns the name in tables and on the command line of a child.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Ready => "async",
            Self::Yields => "async-yield",
            Self::Turns => "by-turns",
        }
    }

    /// The shape of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }
}

/// The body of every leaf.
#[inline]
pub(crate) fn leaf_body(n: u64) -> u64 {
    black_box(n ^ 0x55)
}

/// Not ready once. Asks for no wake-up: [`drive`] polls until there is an answer.
#[inline]
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Calls a leaf again and again.
#[inline]
pub(crate) fn repeat(calls: u64, leaf: impl Fn(u64) -> u64) {
    for n in 0..calls {
        black_box(leaf(black_box(n)));
    }
}

/// Calls a leaf repeatedly, and yields after every hundred calls.
pub(crate) async fn repeat_by_turns(calls: u64, leaf: impl Fn(u64) -> u64) {
    for first in (0..calls).step_by(100) {
        repeat((calls - first).min(100), &leaf);
        yield_once().await;
    }
}

/// Polls both futures alternately until both are ready.
pub(crate) async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut is_one_over, mut is_other_over) = (false, false);
    poll_fn(|cx| {
        is_one_over = is_one_over || one.as_mut().poll(cx).is_ready();
        is_other_over = is_other_over || other.as_mut().poll(cx).is_ready();
        if is_one_over && is_other_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Awaits a leaf again and again.
#[inline]
pub(crate) async fn repeat_async<F: Future<Output = u64>>(calls: u64, leaf: impl Fn(u64) -> F) {
    for n in 0..calls {
        black_box(leaf(black_box(n)).await);
    }
}

/// An executor without overhead, so that the leaf is measured, and not a runtime.
#[inline]
pub(crate) fn drive<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
