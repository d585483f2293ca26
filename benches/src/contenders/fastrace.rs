//! The contender fastrace, with a root and a reporter that drops all spans.

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::future::FutureExt;
use fastrace::{Span, trace};

use super::{Running, count_exported};
use crate::work::{leaf_body, yield_once};

#[inline(never)]
#[trace]
fn leaf(n: u64) -> u64 {
    leaf_body(n)
}

#[trace]
async fn ready(n: u64) -> u64 {
    leaf_body(n)
}

#[trace]
async fn yields(n: u64) -> u64 {
    yield_once().await;
    leaf_body(n)
}

fn root(body: impl FnOnce()) {
    let root = Span::root("root", SpanContext::random());
    let _current = root.set_local_parent();
    body();
}

async fn async_root(body: impl Future<Output = ()>) {
    body.in_span(Span::root("async_root", SpanContext::random())).await;
}

super::tree!();

/// Sets the reporter.
pub(super) fn start() -> Running {
    fastrace::set_reporter(Dropping, Config::default());
    Running { settle: Box::new(fastrace::flush) }
}

struct Dropping;

impl Reporter for Dropping {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        count_exported(spans.len());
    }
}
