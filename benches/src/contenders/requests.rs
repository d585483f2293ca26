//! Requests to an axum service with different layers, without a network.

use std::cell::RefCell;
use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::Response;
use axum::routing::get;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use http_body_util::BodyExt;
use monitor_client::tower::ServerLayer;
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt};

use super::{Contender, Running, SINGLE};
use crate::work::Shape;

/// Header that a caller's tracer sends.
const TRACEPARENT: &str = "00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01";

thread_local! {
    /// One for all requests of a contender, which calls on one thread.
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

fn service() -> Router {
    Router::new().route("/users/{id}", get(async || "a user"))
}

/// Sends `calls` requests one after another; each ends with the last byte of its response.
fn serve<S>(mut service: S, calls: u64)
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
        runtime.block_on(async {
            for _ in 0..calls {
                let request = Request::get("/users/7").header("traceparent", TRACEPARENT).body(Body::empty()).expect("a request");
                let answer = service.ready().await.expect("it never fails").call(request).await.expect("it never fails");
                let body: Bytes = answer.into_body().collect().await.expect("a body").to_bytes();
                assert_eq!(body.len(), 6);
            }
        });
    });
}

pub(crate) const BARE: &str = "axum alone";
pub(crate) const OURS: &str = "ServerLayer";
pub(crate) const OURS_OFF: &str = "ServerLayer, off";
pub(crate) const OTEL: &str = "axum-tracing-opentelemetry, batch";

fn bare(_: Shape, calls: u64) {
    serve(service(), calls);
}

fn ours(_: Shape, calls: u64) {
    serve(service().layer(ServerLayer::new()), calls);
}

fn otel(_: Shape, calls: u64) {
    serve(service().layer(OtelAxumLayer::default()), calls);
}

/// Spans of `tracing` through OpenTelemetry's batch processor, and callers' headers read as OpenTelemetry does.
fn opentelemetry() -> Running {
    ::opentelemetry::global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());
    super::tracing::opentelemetry()
}

/// All of them.
pub(crate) const ALL: &[Contender] = &[
    Contender { name: BARE, is_monitored: false, settings: &[], start: Running::nothing, tree: bare },
    Contender { name: OURS_OFF, is_monitored: false, settings: &[], start: Running::nothing, tree: ours },
    Contender { name: OURS, is_monitored: true, settings: SINGLE, start: super::ours::start, tree: ours },
    Contender { name: OTEL, is_monitored: false, settings: &[], start: opentelemetry, tree: otel },
];
