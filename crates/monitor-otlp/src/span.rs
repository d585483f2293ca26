//! Conversion of a process to an OpenTelemetry span.

use monitor_wire::{Error, Fields, Link, LogEntry, Process, RootId, State, WorkerRef};

use crate::proto::{AnyValue, ArrayValue, KeyValue, KeyValueList, Resource, Span, SpanEvent, SpanLink, Status, Value};

/// Attribute with the process state, because OTLP has no status for most states.
pub const STATE: &str = "process.state";

/// Name of the instrumentation scope of all spans.
pub const SCOPE: &str = "process-monitor";

/// Span kinds in OTLP's order, from 1. The field `span.kind` contains one of these names.
const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];

/// Converts a worker to the resource of its spans.
pub fn resource(worker: &WorkerRef) -> Resource {
    let attributes = vec![
        text("service.name", &worker.program),
        text("service.instance.id", &worker.id.to_string()),
        text("host.name", &worker.hostname),
        pair("process.pid", Value::IntValue(worker.pid.into())),
    ];
    Resource { attributes }
}

/// Converts a process to a span with these start and end times, in Unix nanoseconds. The end is 0 while the process runs.
pub fn span(process: &Process, (start, end): (u64, u64)) -> Span {
    let kind = process.fields.get("span.kind").and_then(|kind| KINDS.iter().position(|name| Some(*name) == kind.as_str()));
    let mut fields = process.fields.clone();
    if kind.is_some() {
        fields.remove("span.kind");
    }
    let mut attributes = attributes(&fields);
    attributes.extend(facts(process));
    Span {
        trace_id: trace_id(process.root_id),
        span_id: process.id.get().to_be_bytes().to_vec(),
        parent_span_id: process.parent_id.map_or_else(Vec::new, |parent| parent.get().to_be_bytes().to_vec()),
        flags: 0,
        name: process.name.clone(),
        kind: kind.map_or(1, |place| place as i32 + 1),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes,
        events: process.error.iter().map(|error| exception(error, if end == 0 { start } else { end })).collect(),
        dropped_events_count: 0,
        links: process.links.iter().map(link).collect(),
        status: status(process),
    }
}

/// Returns true if the process has ended.
pub fn is_over(process: &Process) -> bool {
    ![State::PENDING, State::RUNNING, State::RETRYING].contains(&process.state)
}

/// Returns true if no call of the fold is running.
pub fn has_counted_all(fold: &Process) -> bool {
    fold.fold.as_ref().is_some_and(|counts| counts.running == 0 || fold.state == State::LOST)
}

/// Returns start and end of a process's span, in Unix nanoseconds. `None` if neither is known. A process without an end ends when its
/// worker was last seen.
pub fn times(process: &Process, last_heard_us: Option<u64>) -> Option<(u64, u64)> {
    let elapsed_ns = process.elapsed_ns.unwrap_or(0);
    let start = process.started_us.map(|us| us.saturating_mul(1_000));
    let end = process.ended_us.or(last_heard_us).map(|us| us.saturating_mul(1_000));
    match (start, end) {
        // The duration was measured by a monotonic clock, so it is preferred to the end time.
        (Some(start), _) if process.elapsed_ns.is_some() => Some((start, start.saturating_add(elapsed_ns))),
        (Some(start), end) => Some((start, end.unwrap_or(start).max(start))),
        (None, Some(end)) => Some((end.saturating_sub(elapsed_ns), end)),
        (None, None) => None,
    }
}

/// Converts a log line to an event of the process's span.
pub fn event(line: &LogEntry) -> SpanEvent {
    let mut attributes = attributes(&line.fields);
    for (key, value) in [("level", Some(&line.level)), ("target", line.target.as_ref()), ("stream", line.stream.as_ref())] {
        if let Some(value) = value.filter(|_| !line.fields.contains_key(key)) {
            attributes.push(text(key, value));
        }
    }
    SpanEvent { time_unix_nano: line.time_us.saturating_mul(1_000), name: line.message.clone(), attributes }
}

/// Returns facts without a counterpart in OTLP as attributes.
fn facts(process: &Process) -> Vec<KeyValue> {
    let mut facts = vec![text("process.kind", process.kind.as_str()), text(STATE, process.state.as_str())];
    let words = [("thread.name", &process.thread), ("process.reason", &process.reason), ("process.native_id", &process.native_id)];
    facts.extend(words.into_iter().filter_map(|(key, value)| Some(text(key, value.as_ref()?))));
    let numbers = [("process.exit.code", process.exit_code), ("process.exit.signal", process.signal)];
    facts.extend(numbers.into_iter().filter_map(|(key, value)| Some(pair(key, Value::IntValue(value?.into())))));
    if process.attempt > 1 {
        facts.push(pair("process.attempt", Value::IntValue(process.attempt.into())));
    }
    if let Some(source) = &process.source {
        facts.push(text("code.file.path", &source.file));
        facts.push(pair("code.line.number", Value::IntValue(source.line.into())));
    }
    if let Some(progress) = &process.progress {
        facts.push(pair("process.progress.done", Value::DoubleValue(progress.done)));
        facts.extend(progress.total.map(|total| pair("process.progress.total", Value::DoubleValue(total))));
    }
    if let Some(fold) = &process.fold {
        let counts = [("count", fold.count), ("failed", fold.failed), ("cancelled", fold.cancelled), ("total_ns", fold.total_ns)];
        let durations =
            [("min_ns", fold.min_ns), ("max_ns", fold.max_ns), ("p50_ns", fold.quantile_ns(0.5)), ("p95_ns", fold.quantile_ns(0.95))];
        let durations = durations.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let number = |value: u64| Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX));
        facts.extend(counts.into_iter().chain(durations).map(|(key, value)| pair(&format!("process.fold.{key}"), number(value))));
    }
    // Keys must be unique, so a field of the program overrides a fact.
    facts.retain(|fact| !process.fields.contains_key(&fact.key));
    facts
}

fn status(process: &Process) -> Option<Status> {
    let words = || process.error.as_ref().map(|error| error.message.clone());
    match &process.state {
        state if *state == State::FAILED => Some(Status { code: 2, message: words().unwrap_or_default() }),
        state if *state == State::LOST => {
            Some(Status { code: 2, message: words().unwrap_or_else(|| "lost: nothing was heard of its worker any more".to_owned()) })
        }
        state if *state == State::SUCCEEDED => Some(Status { code: 1, message: String::new() }),
        _ => None,
    }
}

fn exception(error: &Error, time_ns: u64) -> SpanEvent {
    let mut attributes = vec![text("exception.message", &error.message)];
    attributes.extend(error.type_name.iter().map(|name| text("exception.type", name)));
    let trace: Vec<_> = error.chain.iter().map(|cause| format!("caused by: {cause}")).chain(error.tail.clone()).collect();
    if !trace.is_empty() {
        attributes.push(text("exception.stacktrace", &trace.join("\n")));
    }
    SpanEvent { time_unix_nano: time_ns, name: "exception".to_owned(), attributes }
}

fn link(link: &Link) -> SpanLink {
    SpanLink {
        trace_id: trace_id(link.root_id),
        span_id: link.id.get().to_be_bytes().to_vec(),
        attributes: vec![text("relation", &link.relation)],
    }
}

fn trace_id(root: RootId) -> Vec<u8> {
    root.get().to_be_bytes().to_vec()
}

fn attributes(fields: &Fields) -> Vec<KeyValue> {
    fields.iter().map(|(key, value)| KeyValue { key: key.clone(), value: Some(any(value)) }).collect()
}

fn text(key: &str, text: &str) -> KeyValue {
    pair(key, Value::StringValue(text.to_owned()))
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
