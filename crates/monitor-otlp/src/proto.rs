//! The messages of OTLP 1.x that are read and written, as protobuf and as its JSON.
//!
//! From `opentelemetry-proto/opentelemetry/proto/{common,resource,trace,logs}/v1`. What is left out here is ignored when it comes.

use serde::{Deserialize, Serialize};

use super::json::{base64, double, hex, number};

/// A span: something that has started and ended.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// 8 bytes, none for one that begins a trace.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(with = "hex", skip_serializing_if = "Vec::is_empty")]
    pub parent_span_id: Vec<u8>,
    /// Its lowest byte: the trace flags; 0x100: it is known whether the parent is remote; 0x200: it is.
    #[prost(fixed32, tag = "16")]
    #[serde(skip_serializing_if = "is_default")]
    pub flags: u32,
    /// Its name.
    #[prost(string, tag = "5")]
    pub name: String,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    #[prost(int32, tag = "6")]
    #[serde(skip_serializing_if = "is_default")]
    pub kind: i32,
    /// In Unix nanoseconds.
    #[prost(fixed64, tag = "7")]
    #[serde(with = "number")]
    pub start_time_unix_nano: u64,
    /// In Unix nanoseconds.
    #[prost(fixed64, tag = "8")]
    #[serde(with = "number")]
    pub end_time_unix_nano: u64,
    /// What it says of itself.
    #[prost(message, repeated, tag = "9")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
    /// What happened in it.
    #[prost(message, repeated, tag = "11")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<SpanEvent>,
    /// How many events of it are left out.
    #[prost(uint32, tag = "12")]
    #[serde(skip_serializing_if = "is_default")]
    pub dropped_events_count: u32,
    /// Other spans that it has to do with.
    #[prost(message, repeated, tag = "13")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SpanLink>,
    /// How it ended.
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// Something that happened in a span.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpanEvent {
    /// In Unix nanoseconds.
    #[prost(fixed64, tag = "1")]
    #[serde(with = "number")]
    pub time_unix_nano: u64,
    /// What.
    #[prost(string, tag = "2")]
    pub name: String,
    /// What it says of itself.
    #[prost(message, repeated, tag = "3")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
}

/// A span that another has to do with.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SpanLink {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// What it says of itself.
    #[prost(message, repeated, tag = "4")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyValue>,
}

/// How a span ended.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Words for people.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// 0 unset, 1 ok, 2 error.
    #[prost(int32, tag = "3")]
    pub code: i32,
}

/// A line of a log.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogRecord {
    /// In Unix nanoseconds; 0 if it is unknown.
    #[prost(fixed64, tag = "1")]
    #[serde(with = "number")]
    pub time_unix_nano: u64,
    /// When it was seen, in Unix nanoseconds.
    #[prost(fixed64, tag = "11")]
    #[serde(with = "number")]
    pub observed_time_unix_nano: u64,
    /// 1 to 4 trace, then debug, info, warn, error and fatal by fours.
    #[prost(int32, tag = "2")]
    pub severity_number: i32,
    /// As its source words it.
    #[prost(string, tag = "3")]
    pub severity_text: String,
    /// What was said.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    /// What it says of itself.
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<KeyValue>,
    /// Its lowest byte: the trace flags.
    #[prost(fixed32, tag = "8")]
    pub flags: u32,
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "9")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "10")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// Its name, if it is an event.
    #[prost(string, tag = "12")]
    pub event_name: String,
}

/// Who says it: a program on a host.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource {
    /// What it says of itself.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// What in the program says it.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// Of a library, most likely.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Of that library.
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// One attribute.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value, or none.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct AnyValue {
    /// Which.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    #[serde(flatten)]
    pub value: Option<Value>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, prost::Oneof, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// Text.
    #[prost(string, tag = "1")]
    StringValue(String),
    /// True or false.
    #[prost(bool, tag = "2")]
    BoolValue(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    IntValue(#[serde(with = "number")] i64),
    /// Any other number.
    #[prost(double, tag = "4")]
    DoubleValue(#[serde(with = "double")] f64),
    /// A list.
    #[prost(message, tag = "5")]
    ArrayValue(ArrayValue),
    /// Keys and values.
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

/// A list of keys and values.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValueList {
    /// The keys and values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// `ExportTraceServiceRequest`, to be sent; what comes is read span by span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TracesRequest {
    /// The spans of each resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// Spans of one resource.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceSpans {
    /// Whose.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The spans of each scope.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// Spans of one scope.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeSpans {
    /// Which.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// The answer to spans.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracesTaken {
    /// What was not taken, if anything was not.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_success: Option<RejectedSpans>,
}

/// Spans that were not taken.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedSpans {
    /// How many.
    #[prost(int64, tag = "1")]
    #[serde(with = "number")]
    pub rejected_spans: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// The answer to lines of logs.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsTaken {
    /// What was not taken, if anything was not.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_success: Option<RejectedLogs>,
}

/// Lines of logs that were not taken.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectedLogs {
    /// How many.
    #[prost(int64, tag = "1")]
    #[serde(with = "number")]
    pub rejected_log_records: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`: why a request failed.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub struct RpcStatus {
    /// A `google.rpc.Code`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// Words for people.
    #[prost(string, tag = "2")]
    pub message: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
