//! Our contender: the attributes as users write them, the real shipper, a real server.

use std::time::Duration;

use monitor_client::{normal_task, root_task};

use super::Running;
use crate::work::{Shape, leaf_body, yield_once};

#[inline(never)]
#[normal_task]
fn leaf(n: u64) -> u64 {
    leaf_body(n)
}

#[normal_task]
async fn ready(n: u64) -> u64 {
    leaf_body(n)
}

#[normal_task]
async fn yields(n: u64) -> u64 {
    yield_once().await;
    leaf_body(n)
}

#[root_task]
fn root(body: impl FnOnce()) {
    body();
}

#[root_task]
async fn async_root(body: impl Future<Output = ()>) {
    body.await;
}

super::tree!();

/// Like `tree`, while a second thread does the same.
pub(super) fn tree_beside_another(shape: Shape, calls: u64) {
    std::thread::scope(|scope| {
        scope.spawn(|| tree(shape, calls));
        tree(shape, calls);
    });
}

/// The first call starts recording if the environment enables it.
pub(super) fn start() -> Running {
    assert!(monitor_client::enabled(), "MONITOR_ENABLED was set, but nothing is recorded");
    let settle = || assert_eq!(monitor_client::flush(Duration::from_mins(10)), Ok(()), "the server did not take what was recorded");
    Running { settle: Box::new(settle) }
}
