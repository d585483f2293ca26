//! `POST /v1/traces`, `POST /v1/logs` and `POST /v1/metrics`: the receiver of OTLP/HTTP.
//!
//! A response has the format of its request, protobuf or JSON. As OTLP requires, errors are sent as `google.rpc.Status`.

use std::collections::HashSet;
use std::hash::Hash;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use monitor_store::{Queries, RootKey, StoreError};
use monitor_wire::{Problem, ProcessId, RootId};
use prost::Message;
use serde::Serialize;

use super::body::{self, Received};
use super::problem::ApiError;
use super::{App, encoding};
use crate::otlp::proto::{LogsTaken, RejectedLogs, RejectedSpans, RpcStatus, TracesTaken};
use crate::otlp::{self, Form, Most, Refused, Said};

const FORMS: [(&str, Form); 2] = [("application/x-protobuf", Form::Protobuf), ("application/json", Form::Json)];

/// Stores spans as processes of kind `span`, with their span events as log lines.
///
/// A span that is sent again has no effect.
#[utoipa::path(
    post,
    path = "/v1/traces",
    tag = "OpenTelemetry",
    request_body(
        content((Vec<u8> = "application/x-protobuf"), (Object = "application/json")),
        description = "`ExportTraceServiceRequest` of OTLP, plain or with `Content-Encoding: gzip`, `deflate` or `zstd`"
    ),
    responses(
        (status = 200, description = "`ExportTraceServiceResponse`. All spans are stored except those counted in `partial_success`", body = Object),
        (status = 400, description = "The request is invalid (`google.rpc.Status`)", body = Object),
        (status = 413, description = "The body is too large (`google.rpc.Status`)", body = Object),
        (status = 415, description = "The content type or encoding is not supported", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The server is busy or stopping. Send the request again after `Retry-After`", body = Object),
    )
)]
pub(super) async fn post_traces(State(app): State<App>, request: Request) -> Response {
    let taken = |rejected: Option<(i64, String)>| TracesTaken {
        partial_success: rejected.map(|(rejected_spans, error_message)| RejectedSpans { rejected_spans, error_message }),
    };
    answer(app, request, otlp::traces, taken).await
}

/// Stores log records as log lines of the processes that represent their spans.
///
/// A record without a span is rejected.
#[utoipa::path(
    post,
    path = "/v1/logs",
    tag = "OpenTelemetry",
    request_body(
        content((Vec<u8> = "application/x-protobuf"), (Object = "application/json")),
        description = "`ExportLogsServiceRequest` of OTLP, plain or with `Content-Encoding: gzip`, `deflate` or `zstd`"
    ),
    responses(
        (status = 200, description = "`ExportLogsServiceResponse`. All log records are stored except those counted in `partial_success`", body = Object),
        (status = 400, description = "The request is invalid (`google.rpc.Status`)", body = Object),
        (status = 413, description = "The body is too large (`google.rpc.Status`)", body = Object),
        (status = 415, description = "The content type or encoding is not supported", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The server is busy or stopping. Send the request again after `Retry-After`", body = Object),
    )
)]
pub(super) async fn post_logs(State(app): State<App>, request: Request) -> Response {
    let taken = |rejected: Option<(i64, String)>| LogsTaken {
        partial_success: rejected.map(|(rejected_log_records, error_message)| RejectedLogs { rejected_log_records, error_message }),
    };
    answer(app, request, otlp::logs, taken).await
}

type Read = fn(&[u8], Form, &Most) -> Result<Said, Refused>;

/// Maximum size of the events of a request, as a multiple of the size of its body.
const GROWTH: usize = 3;

async fn answer<T: Message + Serialize>(app: App, request: Request, read: Read, taken: fn(Option<(i64, String)>) -> T) -> Response {
    let form = form_of(body::essence(request.headers()));
    match take(&app, request, read).await {
        Ok((form, rejected)) => encode(StatusCode::OK, form, &taken(rejected)),
        Err(error) => match form {
            Ok(form) => refuse(error, form),
            Err(_) => error.into_response(),
        },
    }
}

/// Stores a request's items. Returns the number of rejected items and the reason, if any were rejected.
async fn take(app: &App, request: Request, read: Read) -> Result<(Form, Option<(i64, String)>), ApiError> {
    let Received { content_type: form, encoding: by, body, mut memory } = body::received(request, app, form_of).await?;
    let limit = app.config.max_body_bytes;
    let most = Most { events: app.config.max_batch_events, bytes: limit.saturating_mul(GROWTH), limits: app.config.limits() };
    let turn = app.decoding.clone().acquire_owned().await;
    let decoded = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let body = encoding::decompress(body, by, limit, &mut memory)?;
        let said = read(&body, form, &most).map_err(|refused| match refused {
            Refused::Unreadable(detail) => ApiError::Body { detail },
            Refused::TooMuch(detail) => ApiError::TooMuch { detail },
        })?;
        memory.grow(said.bytes)?;
        Ok::<_, ApiError>((said, memory))
    });
    let (mut said, _memory) = decoded.await??;
    let unsampled = std::mem::take(&mut said.maybe_unsampled);
    if !unsampled.is_empty() {
        said.reject_lines_of(&unknown(app, unsampled).await?);
    }
    let with_lines = said.ended_with_lines();
    if !with_lines.is_empty() {
        said.without_lines_of(&ended(app, with_lines).await?);
    }
    if !said.events.is_empty() {
        app.otlp.store(&app.ingest, said.events).await?;
    }
    let (count, why) = said.rejected;
    Ok((form, why.map(|why| (count as i64, format!("{count} rejected; the first: {why}")))))
}

/// Refuses metrics. The error names the setting that stops the sender from sending them.
pub(super) async fn post_metrics(request: Request) -> Response {
    let error = ApiError::NoMetrics;
    match form_of(body::essence(request.headers())) {
        Ok(form) => refuse(error, form),
        Err(_) => error.into_response(),
    }
}

/// Returns those of the processes that are stored as ended. Their spans were received before.
async fn ended(app: &App, processes: HashSet<(RootId, ProcessId)>) -> Result<HashSet<(RootId, ProcessId)>, ApiError> {
    filter(app, processes, |store, (root, id)| Ok(store.process(RootKey::Id(root), id)?.is_some_and(|process| process.ended_us.is_some())))
        .await
}

/// Returns those of the roots that the store does not contain.
async fn unknown(app: &App, roots: HashSet<RootId>) -> Result<HashSet<RootId>, ApiError> {
    filter(app, roots, |store, root| Ok(store.root(RootKey::Id(root))?.is_none())).await
}

async fn filter<T: Copy + Eq + Hash + Send + 'static>(
    app: &App,
    of: HashSet<T>,
    is_meant: fn(&dyn Queries, T) -> Result<bool, StoreError>,
) -> Result<HashSet<T>, ApiError> {
    let judged = move |store: &dyn Queries, item| is_meant(store, item).map(|is_meant| is_meant.then_some(item)).transpose();
    app.ask(move |store| of.into_iter().filter_map(|item| judged(store, item)).collect()).await
}

fn form_of(essence: Option<&str>) -> Result<Form, ApiError> {
    let found = FORMS.iter().find(|(name, _)| essence.is_some_and(|essence| essence.eq_ignore_ascii_case(name)));
    found.map(|(_, form)| *form).ok_or_else(|| body::unread(essence, "application/x-protobuf` or `application/json"))
}

fn encode<T: Message + Serialize>(status: StatusCode, form: Form, message: &T) -> Response {
    let body = match form {
        Form::Protobuf => message.encode_to_vec(),
        Form::Json => serde_json::to_vec(message).expect("plain data with text keys is JSON"),
    };
    let name = FORMS.iter().find(|(_, known)| *known == form).map_or("", |(name, _)| name);
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(name))], body).into_response()
}

/// Converts an error to OTLP's format and keeps its status and headers.
fn refuse(error: ApiError, form: Form) -> Response {
    const INVALID_ARGUMENT: i32 = 3;
    const DEADLINE_EXCEEDED: i32 = 4;
    const INTERNAL: i32 = 13;
    const UNAVAILABLE: i32 = 14;
    let message = error.to_string();
    let (mut parts, _) = error.into_response().into_parts();
    let code = match parts.status.as_u16() {
        408 => DEADLINE_EXCEEDED,
        429 | 503 => UNAVAILABLE,
        400..500 => INVALID_ARGUMENT,
        _ => INTERNAL,
    };
    let (told, body) = encode(parts.status, form, &RpcStatus { code, message }).into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
}
