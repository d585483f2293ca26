//! An OTLP receiver that decodes with OpenTelemetry's own types. The tests set its answers.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use monitor_tests::wait_for;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Of};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::runtime::Runtime;

/// An OTLP receiver. Its records remain after it has stopped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Behaviour for the next requests. If empty, `always` applies.
    pub(crate) next: VecDeque<Behaviour>,
    /// Behaviour for all other requests. `None` accepts everything.
    pub(crate) always: Option<Behaviour>,
    /// All requests, whatever their answer: headers, and spans with the attributes of their resources.
    pub(crate) requests: Vec<(HeaderMap, Vec<Taken>)>,
    /// Spans of the requests that were answered with 200.
    pub(crate) taken: Vec<Taken>,
}

#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) span: Span,
    pub(crate) resource: BTreeMap<String, String>,
}

#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Answers with this status and `Retry-After: 1`.
    Answers(u16),
    /// Rejects half of the spans.
    TakesHalf,
    /// Rejects requests with more spans.
    TakesAtMost(usize),
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let mut receiver = Self { address: "127.0.0.1:0".parse().unwrap(), seen: Arc::default(), runtime: None };
        receiver.start_again();
        receiver
    }

    /// Listens on the same port.
    pub(crate) fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = self.address;
        let bind = || runtime.block_on(tokio::net::TcpListener::bind(address)).ok();
        let listener = wait_for("the port of the receiver", bind);
        self.address = listener.local_addr().unwrap();
        let app = axum::Router::new().route("/v1/traces", post(receive)).with_state(self.seen.clone());
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        self.runtime = Some(runtime);
    }

    /// Stops and closes all connections.
    pub(crate) fn kill(&mut self) {
        self.runtime.take().expect("it listens").shutdown_background();
    }

    pub(crate) fn url(&self) -> OsString {
        format!("http://{}", self.address).into()
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap())
    }

    /// Accepted spans, as soon as there are this many.
    pub(crate) fn spans(&self, count: usize) -> Vec<Taken> {
        wait_for("spans", || self.seen(|seen| (seen.taken.len() >= count).then(|| seen.taken.clone())))
    }
}

async fn receive(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = ExportTraceServiceRequest::decode(body).expect("OpenTelemetry's own types");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let mut spans = Vec::new();
    for group in request.resource_spans {
        let resource = texts(&group.resource.expect("a resource").attributes);
        for scope in group.scope_spans {
            assert_eq!(scope.scope.expect("a scope").name, "process-monitor");
            spans.extend(scope.spans.into_iter().map(|span| Taken { span, resource: resource.clone() }));
        }
    }
    let mut seen = seen.lock().unwrap();
    seen.requests.push((headers, spans.clone()));
    let rejected = match seen.next.pop_front().or(seen.always) {
        Some(Behaviour::Answers(status)) => {
            return (StatusCode::from_u16(status).unwrap(), [("retry-after", "1")], "as the test says").into_response();
        }
        Some(Behaviour::TakesAtMost(most)) if spans.len() > most => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Some(Behaviour::TakesHalf) => spans.len() as i64 / 2,
        Some(Behaviour::TakesAtMost(_)) | None => 0,
    };
    seen.taken.extend(spans);
    let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: "no room for half of it".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(partial) };
    ([("content-type", "application/x-protobuf")], answer.encode_to_vec()).into_response()
}

/// The last version of each span. Only a fold may arrive several times, each time with a higher count.
pub(crate) fn latest(spans: &[Taken]) -> Vec<Taken> {
    let mut latest = BTreeMap::new();
    for taken in spans {
        let before = latest.insert(taken.span.span_id.clone(), taken.clone());
        let is_fold = |taken: &Taken| taken.span.attributes.iter().any(|pair| pair.key == "process.fold.count");
        assert!(before.as_ref().is_none_or(is_fold), "{:?} comes twice", taken.span);
    }
    latest.into_values().collect()
}

pub(crate) fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Of::StringValue(text)) => text,
        Some(Of::IntValue(number)) => number.to_string(),
        Some(Of::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let texts: BTreeMap<_, _> = attributes.iter().map(|pair| (pair.key.clone(), text(pair))).collect();
    assert_eq!(texts.len(), attributes.len(), "no key comes twice");
    texts
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
