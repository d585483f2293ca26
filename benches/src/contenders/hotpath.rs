//! The contender hotpath, which sums up times by function, without trees or roots.

use std::time::Duration;

use hotpath::{Format, HotpathGuardBuilder, measure};

use super::Running;
use crate::work::{leaf_body, yield_once};

#[inline(never)]
#[measure]
fn leaf(n: u64) -> u64 {
    leaf_body(n)
}

#[measure]
async fn ready(n: u64) -> u64 {
    leaf_body(n)
}

#[measure]
async fn yields(n: u64) -> u64 {
    yield_once().await;
    leaf_body(n)
}

#[measure]
fn root(body: impl FnOnce()) {
    body();
}

#[measure]
async fn async_root(body: impl Future<Output = ()>) {
    body.await;
}

super::tree!();

/// Begins measuring, without a report at the end.
pub(super) fn start() -> Running {
    let guard = HotpathGuardBuilder::new("bench").format(Format::None).build();
    // Its worker looks at the queues every 50 ms and offers no way to wait for it.
    let settle = move || {
        let _measuring = &guard;
        std::thread::sleep(Duration::from_millis(60));
    };
    Running { settle: Box::new(settle) }
}
