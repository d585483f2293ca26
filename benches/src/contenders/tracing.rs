//! The contender tracing, with different subscribers. `skip_all` is set, because ours records no arguments either.

use tracing::instrument;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Running;
use crate::work::{leaf_body, yield_once};

#[inline(never)]
#[instrument(skip_all)]
fn leaf(n: u64) -> u64 {
    leaf_body(n)
}

#[instrument(skip_all)]
async fn ready(n: u64) -> u64 {
    leaf_body(n)
}

#[instrument(skip_all)]
async fn yields(n: u64) -> u64 {
    yield_once().await;
    leaf_body(n)
}

#[instrument(skip_all)]
fn root(body: impl FnOnce()) {
    body();
}

#[instrument(skip_all)]
async fn async_root(body: impl Future<Output = ()>) {
    body.await;
}

super::tree!();

/// A subscriber that only stores open spans.
pub(super) fn registry() -> Running {
    tracing_subscriber::registry().init();
    Running::nothing()
}

/// Spans become OpenTelemetry's and go through its batch processor.
pub(super) fn opentelemetry() -> Running {
    let (tracer, running) = super::opentelemetry::pipeline();
    tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer)).init();
    running
}
