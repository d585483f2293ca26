//! OTLP's JSON: `TracesData`, as OpenTelemetry's collectors read it from files.

use std::collections::HashMap;

use monitor_wire::{Fields, LogEntry, Process, State, Worker, WorkerId};
use serde_json::json;

use super::{Form, line};
use crate::otlp::STATE;
use crate::otlp::proto::{AnyValue, ArrayValue, KeyValue, KeyValueList, Resource, Span, SpanLink, Status, Value};
use crate::store::{Outline, Standing};

/// Spans, in groups by the worker that ran them. What has not begun is none, what runs has no end yet. Logs are not told.
#[derive(Default)]
pub(super) struct Otlp {
    root: Vec<u8>,
    workers: HashMap<WorkerId, Resource>,
    /// Whether a group is open, and whose it is.
    group: (bool, Option<WorkerId>),
}

impl Form for Otlp {
    fn begin(&mut self, outline: &Outline) -> String {
        self.root = outline.root.root_id.get().to_be_bytes().to_vec();
        "{\"resourceSpans\":[".to_owned()
    }

    fn worker(&mut self, worker: &Worker) -> String {
        let text = |key: &str, text: &str| pair(key, Value::StringValue(text.to_owned()));
        let attributes = vec![
            text("service.name", &worker.program),
            text("service.instance.id", &worker.id.to_string()),
            text("host.name", &worker.hostname),
            pair("process.pid", Value::IntValue(worker.pid.into())),
        ];
        self.workers.insert(worker.id, Resource { attributes });
        String::new()
    }

    fn process(&mut self, process: &Process, _: Standing) -> String {
        let Some(started_us) = process.started_us else { return String::new() };
        let span = span(&self.root, process, started_us);
        let mut text = match self.group {
            (true, group) if group == process.worker_id => ",\n".to_owned(),
            (is_open, _) => {
                let resource = process.worker_id.and_then(|id| self.workers.get(&id)).cloned().unwrap_or_default();
                let end = if is_open { "]}]},\n" } else { "\n" };
                let scope = json!({"name": "process-monitor"});
                format!("{end}{{\"resource\":{},\"scopeSpans\":[{{\"scope\":{scope},\"spans\":[\n", line(&resource).trim_end())
            }
        };
        self.group = (true, process.worker_id);
        text.push_str(line(&span).trim_end());
        text
    }

    fn logs(&mut self) -> String {
        String::new()
    }

    fn log(&mut self, _: &LogEntry) -> String {
        String::new()
    }

    fn end(&mut self) -> String {
        if self.group.0 { "]}]}]}\n".to_owned() } else { "]}\n".to_owned() }
    }
}

fn span(root: &[u8], process: &Process, started_us: u64) -> Span {
    let mut attributes = attributes(&process.fields);
    let mut text = |key: &str, value: &str| attributes.push(pair(key, Value::StringValue(value.to_owned())));
    text("process.kind", process.kind.as_str());
    text(STATE, process.state.as_str());
    if let Some(thread) = &process.thread {
        text("thread.name", thread);
    }
    if let Some(error) = &process.error {
        text("exception.message", &error.message);
        if let Some(name) = &error.type_name {
            text("exception.type", name);
        }
        if let Some(tail) = &error.tail {
            text("exception.stacktrace", tail);
        }
    }
    if let Some(source) = &process.source {
        text("code.file.path", &source.file);
        attributes.push(pair("code.line.number", Value::IntValue(source.line.into())));
    }
    let start = started_us.saturating_mul(1_000);
    let link = |link: &monitor_wire::Link| SpanLink {
        trace_id: link.root_id.get().to_be_bytes().to_vec(),
        span_id: link.id.get().to_be_bytes().to_vec(),
        attributes: vec![pair("relation", Value::StringValue(link.relation.clone()))],
    };
    Span {
        trace_id: root.to_vec(),
        span_id: process.id.get().to_be_bytes().to_vec(),
        parent_span_id: process.parent_id.map_or_else(Vec::new, |parent| parent.get().to_be_bytes().to_vec()),
        flags: 0,
        name: process.name.clone(),
        kind: 1,
        start_time_unix_nano: start,
        end_time_unix_nano: process.elapsed_ns.map_or(0, |elapsed| start.saturating_add(elapsed)),
        attributes,
        events: Vec::new(),
        links: process.links.iter().map(link).collect(),
        status: match &process.state {
            state if *state == State::FAILED => {
                Some(Status { code: 2, message: process.error.as_ref().map(|error| error.message.clone()).unwrap_or_default() })
            }
            state if *state == State::SUCCEEDED => Some(Status { code: 1, message: String::new() }),
            _ => None,
        },
    }
}

fn attributes(fields: &Fields) -> Vec<KeyValue> {
    fields.iter().map(|(key, value)| KeyValue { key: key.clone(), value: Some(any(value)) }).collect()
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn any(value: &serde_json::Value) -> AnyValue {
    use serde_json::Value as Json;
    let value = match value {
        Json::Null => None,
        Json::Bool(is) => Some(Value::BoolValue(*is)),
        Json::Number(number) => {
            Some(number.as_i64().map_or_else(|| Value::DoubleValue(number.as_f64().unwrap_or(f64::NAN)), Value::IntValue))
        }
        Json::String(text) => Some(Value::StringValue(text.clone())),
        Json::Array(list) => Some(Value::ArrayValue(ArrayValue { values: list.iter().map(any).collect() })),
        Json::Object(map) => {
            let values = map.iter().map(|(key, value)| KeyValue { key: key.clone(), value: Some(any(value)) }).collect();
            Some(Value::KvlistValue(KeyValueList { values }))
        }
    };
    AnyValue { value }
}
