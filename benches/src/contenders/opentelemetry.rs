//! The contender OpenTelemetry SDK, called directly, with its batch processor in default settings.

use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};

use super::{Running, count_exported};
use crate::work::{leaf_body, yield_once};

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

fn tracer() -> &'static SdkTracer {
    TRACER.get().expect("set by start")
}

#[inline(never)]
fn leaf(n: u64) -> u64 {
    tracer().in_span("leaf", |_| leaf_body(n))
}

async fn ready(n: u64) -> u64 {
    in_span("ready", async move { leaf_body(n) }).await
}

async fn yields(n: u64) -> u64 {
    let body = async move {
        yield_once().await;
        leaf_body(n)
    };
    in_span("yields", body).await
}

fn root(body: impl FnOnce()) {
    tracer().in_span("root", |_| body());
}

async fn async_root(body: impl Future<Output = ()>) {
    in_span("async_root", body).await;
}

async fn in_span<T>(name: &'static str, body: impl Future<Output = T>) -> T {
    let context = Context::current_with_span(tracer().start(name));
    body.with_context(context).await
}

super::tree!();

/// Sets up the SDK.
pub(super) fn start() -> Running {
    let (tracer, running) = pipeline();
    TRACER.set(tracer).expect("started once");
    running
}

/// A tracer whose spans go through the batch processor to an exporter that drops them.
pub(super) fn pipeline() -> (SdkTracer, Running) {
    let provider = SdkTracerProvider::builder().with_batch_exporter(Dropping).build();
    let tracer = provider.tracer("bench");
    (tracer, Running { settle: Box::new(move || provider.force_flush().expect("the processor runs")) })
}

#[derive(Debug)]
struct Dropping;

impl SpanExporter for Dropping {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        count_exported(batch.len());
        Ok(())
    }
}
