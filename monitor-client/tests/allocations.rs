//! Tests that recorded and folded calls allocate nothing once their thread has a ring.

#![cfg(feature = "record")]
#[path = "support/counting.rs"]
mod counting;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use counting::ALLOCATIONS;
use monitor_client::{Process, cross_thread, normal_task, root_task};
use monitor_core::record::Record;
use monitor_core::{fold, queue, switch};

#[normal_task]
fn normal(depth: u8) -> Result<u8, String> {
    if depth > 0 { normal(depth - 1) } else { Ok(root()) }
}

#[root_task]
fn root() -> u8 {
    cross();
    7
}

#[cross_thread]
fn cross() {}

#[normal_task]
async fn waits() -> u8 {
    tokio::task::yield_now().await;
    root()
}

/// Reads its own ids repeatedly, without passing them on.
#[normal_task]
async fn reads() -> usize {
    tokio::task::yield_now().await;
    (0..1_000).filter(|_| monitor_client::current_id().is_some()).count()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

#[test]
fn a_recorded_call_allocates_nothing() {
    fold::set_after(2_000);
    let mut receiver = queue::open(64 << 20).expect("opened once");
    // From here on the length of a tick is known, so calls can be folded.
    assert!(receiver.try_recv().is_none());
    switch::turn_on();
    let calls = || {
        assert_eq!(normal(3), Ok(7));
        assert_eq!(run(waits()), 7);
    };
    {
        let _top = Process::builder("top").enter();
        calls();
        let before = ALLOCATIONS.get();
        (0..5_000).for_each(|_| calls());
        assert_eq!(ALLOCATIONS.get(), before, "allocations");
    }
    // On a thread whose frames nothing was in before.
    let allocated = std::thread::spawn(|| {
        let _top = Process::builder("another").enter();
        assert_eq!(run(reads()), 1_000);
        let before = ALLOCATIONS.get();
        assert_eq!(run(reads()), 1_000);
        ALLOCATIONS.get() - before
    });
    assert_eq!(allocated.join().expect("no panic"), 0, "allocations");
    let (mut singly, mut folded) = (0, HashMap::new());
    while let Some(entry) = receiver.try_recv() {
        match entry.record {
            Record::Started(_) => singly += 1,
            Record::Folded(fold) => drop(folded.insert(fold.mark, fold.count)),
            _ => {}
        }
    }
    let folded: u64 = folded.values().sum();
    assert!(folded > 5_000, "{folded}");
    assert_eq!(singly + folded, 1 + 5_001 * 9 + 3);
}
