//! Tests an unmonitored program: it allocates nothing, has no current process, and behaves unchanged.

#[path = "support/counting.rs"]
mod counting;

use std::future::Future;
use std::panic::catch_unwind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use counting::ALLOCATIONS;
use monitor_client::{InCurrent, Process, cross_process, cross_thread, current_id, enabled, normal_task, root_id, root_task};

struct Unasked;

impl std::fmt::Debug for Unasked {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("nobody wants to know the arguments")
    }
}

impl std::fmt::Display for Unasked {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("nobody wants to know the batch")
    }
}

#[root_task(batch = "batch")]
fn root(batch: &Unasked) -> Result<u8, &'static str> {
    normal();
    Err("failed")
}

#[normal_task]
fn normal() {
    assert_eq!((root_id(), current_id()), (None, None));
}

#[normal_task(args(*), fields(len = never()), ret, name = "tell {a}")]
fn tells(a: &Unasked) -> u8 {
    let _ = a;
    1
}

#[normal_task(args(a), ret)]
async fn tells_later(a: &Unasked) -> u8 {
    let _ = a;
    1
}

fn never() -> u8 {
    panic!("nobody wants to know the field")
}

#[cross_thread]
async fn captured() -> u8 {
    7
}

#[normal_task]
async fn waits() -> u8 {
    captured().await
}

#[cross_process]
fn crossing(root_id: &str, parent_id: &str) -> usize {
    1
}

#[normal_task]
fn panics() {
    panic!("as ever")
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn nothing_is_allocated_and_nothing_changed() {
    // Decides, once, that nothing is recorded.
    assert!(!enabled());
    let before = ALLOCATIONS.get();
    assert_eq!(root(&Unasked), Err("failed"));
    assert_eq!((tells(&Unasked), poll(tells_later(&Unasked))), (1, Poll::Ready(1)));
    monitor_client::field("key", "value");
    monitor_client::fail("words");
    assert_eq!(poll(waits()), Poll::Ready(7));
    assert_eq!(poll(captured().in_current()), Poll::Ready(7));
    assert_eq!(crossing("", "no id"), 1);
    let process = Process::builder("by hand").kind("job").field("text", "value").enter();
    process.field("late", "value");
    assert_eq!(process.context(), None);
    process.fail("words");
    assert_eq!(Process::builder("run").run(|_| Ok::<_, std::fmt::Error>(1)), Ok(1));
    assert_eq!(poll(Process::builder("future").instrument(std::future::ready(()))), Poll::Ready(()));
    assert_eq!(ALLOCATIONS.get(), before, "allocations");

    let panic = catch_unwind(panics).expect_err("panics");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"as ever"));
}

#[test]
fn the_allocations_are_counted() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(1)));
    assert!(ALLOCATIONS.get() > before);
}
