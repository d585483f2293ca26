//! OTLP 1.x messages that are read and written, as protobuf and as JSON.
//!
//! From `opentelemetry-proto/opentelemetry/proto/{common,resource,trace,logs}/v1`. Fields that are not listed here are ignored when
//! received.

use serde::{Deserialize, Serialize};

use super::json::{base64, double, hex, number};

/// A span: an operation with start and end.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Span {
    /// Trace id, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// Span id, 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// Id of the parent span, 8 bytes. Empty for the first span of a trace.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(with = "hex", skip_serializing_if = "Vec::is_empty")]
    pub parent_span_id: Vec<u8>,
    /// Lowest byte: trace flags. 0x100: `is_remote` of the parent is known. 0x200: the parent is remote.
    #[prost(fixed32, tag = "16")]
    #[serde(skip_serializing_if = "is_default")]
    pub flags: u32,
    /// Name of the span.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Kind: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    #[prost(int32, tag = "6")]
    #[serde(skip_serializing_if = "is_default")]
    pub kind: i32,
    /// Start time, in Unix nanoseconds.
    #[prost(fixed64, tag = "7")]
    #[serde(with = "number")]
    pub start_time_unix_nano: u64,
    /// End time, in Unix nanoseconds.
    #[prost(fixed64, tag = "8")]
    #[serde(with = "number")]
    pub end_time_unix_nano: u64,
    /// Attributes.
    #[prost(message, repeated, tag = "9")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
    /// Events of the span.
    #[prost(message, repeated, tag = "11")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<SpanEvent>,
    /// Number of events that were left out.
    #[prost(uint32, tag = "12")]
    #[serde(skip_serializing_if = "is_default")]
    pub dropped_events_count: u32,
    /// Links to other spans.
    #[prost(message, repeated, tag = "13")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SpanLink>,
    /// Status at the end.
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// An event of a span.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpanEvent {
    /// Time, in Unix nanoseconds.
    #[prost(fixed64, tag = "1")]
    #[serde(with = "number")]
    pub time_unix_nano: u64,
    /// Name of the event.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Attributes.
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
}

/// A link to another span.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpanLink {
    /// Trace id, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// Span id, 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// Attributes.
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
}

/// Status of a span.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Message for people.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Code: 0 unset, 1 ok, 2 error.
    #[prost(int32, tag = "3")]
    pub code: i32,
}

/// A log record.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogRecord {
    /// Time, in Unix nanoseconds; 0 if unknown.
    #[prost(fixed64, tag = "1")]
    #[serde(with = "number")]
    pub time_unix_nano: u64,
    /// Time of observation, in Unix nanoseconds.
    #[prost(fixed64, tag = "11")]
    #[serde(with = "number")]
    pub observed_time_unix_nano: u64,
    /// Severity: 1 to 4 trace, then debug, info, warn, error and fatal in steps of four.
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    /// Severity as named by the source.
    #[prost(string, tag = "3")]
    pub severity_text: String,
    /// Message.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    /// Attributes.
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    /// Lowest byte: trace flags.
    #[prost(fixed32, tag = "8")]
    pub flags: u32,
    /// Trace id, 16 bytes.
    #[prost(bytes = "vec", tag = "9")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// Span id, 8 bytes.
    #[prost(bytes = "vec", tag = "10")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// Name of the event, if the record is an event.
    #[prost(string, tag = "12")]
    pub event_name: String,
}

/// Source of telemetry: a program on a host.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource {
    /// Attributes.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// Instrumentation scope within a program.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// Name, usually of a library.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Version of the library.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// An attribute.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyValue {
    /// Name of the attribute.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value of the attribute.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// An optional value.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct AnyValue {
    /// The value.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    #[serde(flatten)]
    pub value: Option<Value>,
}

/// Kinds of values.
#[derive(Clone, PartialEq, prost::Oneof, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// Text.
    #[prost(string, tag = "1")]
    StringValue(String),
    /// Boolean.
    #[prost(bool, tag = "2")]
    BoolValue(bool),
    /// Whole number.
    #[prost(int64, tag = "3")]
    IntValue(#[serde(with = "number")] i64),
    /// Floating-point number.
    #[prost(double, tag = "4")]
    DoubleValue(#[serde(with = "double")] f64),
    /// A list.
    #[prost(message, tag = "5")]
    ArrayValue(ArrayValue),
    /// Keys with values.
    #[prost(message, tag = "6")]
    KvlistValue(KeyValueList),
    /// Bytes.
    #[prost(bytes = "vec", tag = "7")]
    BytesValue(#[serde(with = "base64")] Vec<u8>),
}

/// A list of values.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// A list of keys with values.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValueList {
    /// The keys and values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// `ExportTraceServiceRequest`, for sending. Received requests are decoded span by span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TracesRequest {
    /// Spans by resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// Spans of a resource.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceSpans {
    /// The resource.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Spans by scope.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// Spans of a scope.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeSpans {
    /// The scope.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// Answer to a request with spans.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracesTaken {
    /// Rejected spans, if any.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_success: Option<RejectedSpans>,
}

/// Rejected spans.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedSpans {
    /// Number of rejected spans.
    #[prost(int64, tag = "1")]
    #[serde(with = "number")]
    pub rejected_spans: i64,
    /// Reason.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// Answer to a request with log records.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsTaken {
    /// Rejected log records, if any.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_success: Option<RejectedLogs>,
}

/// Rejected log records.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedLogs {
    /// Number of rejected log records.
    #[prost(int64, tag = "1")]
    #[serde(with = "number")]
    pub rejected_log_records: i64,
    /// Reason.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`: error of a request.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub struct RpcStatus {
    /// A `google.rpc.Code`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// Message for people.
    #[prost(string, tag = "2")]
    pub message: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
