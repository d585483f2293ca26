//! Tests futures that are dropped before their end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use monitor_client::{cross_thread, normal_task};
use tokio::task::yield_now;

use crate::support::{check, record};

/// Polls `future` `polls` times and drops it.
fn poll_and_drop(future: impl Future, polls: usize) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

#[normal_task]
async fn inner() {
    yield_now().await;
    yield_now().await;
}

#[normal_task]
async fn outer() {
    yield_now().await;
    inner().await;
}

#[test]
fn a_future_may_be_dropped_at_each_await() {
    let seen: Vec<_> = (0..=4).map(|polls| record(|| poll_and_drop(outer(), polls)).to_string()).collect();
    assert_eq!(
        seen,
        ["", "outer cancelled", "outer cancelled\n  inner cancelled", "outer cancelled\n  inner cancelled", "outer\n  inner",]
    );
}

#[test]
fn boxed_futures_and_those_that_captured_their_caller_are_cancelled_too() {
    #[cross_thread]
    async fn captured() {
        inner().await;
    }
    #[normal_task]
    fn returned() -> impl Future<Output = ()> {
        inner()
    }
    #[normal_task]
    fn boxed() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(inner())
    }
    check(
        || {
            poll_and_drop(captured(), 1);
            poll_and_drop(returned(), 1);
            poll_and_drop(boxed(), 1);
            // A boxed future began when its function was called.
            drop(boxed());
        },
        "
        captured cross_thread unattached cancelled
          inner cancelled
        returned cancelled
          inner cancelled
        boxed cancelled
          inner cancelled
        boxed cancelled
        ",
    );
}

#[test]
fn calls_during_the_drop_of_a_future_are_its_children() {
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            tidy();
        }
    }
    #[normal_task]
    fn tidy() {}
    #[normal_task]
    async fn holds() {
        let _cleanup = Cleanup;
        yield_now().await;
    }
    check(
        || {
            poll_and_drop(holds(), 1);
            tidy();
        },
        "
        holds cancelled
          tidy
        tidy
        ",
    );
}

#[test]
fn a_panic_in_a_poll_is_a_failure() {
    #[normal_task]
    async fn fails() {
        yield_now().await;
        panic!("second poll");
    }
    check(
        || {
            let panicked = std::panic::catch_unwind(|| poll_and_drop(fails(), 2));
            assert!(panicked.is_err());
        },
        "fails panic: second poll",
    );
}
