//! Conversion of spans and log records to events.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use monitor_otlp::STATE;
use monitor_store::packed::{Limits, bytes_of_fields, cut_fields, cut_text, shortened};
use monitor_wire::{
    Attachment, Error, ErrorKind, Event, Fields, Kind, Link, MAX_TIME_US, Outcome, ProcessEnded, ProcessId, ProcessLogged, ProcessStarted,
    RootId, Source, State, WorkerId, WorkerRef,
};
use sha2::{Digest, Sha256};

use super::proto::{AnyValue, KeyValue, LogRecord, Resource, Scope, Span, SpanEvent, Status, Value};

/// Bit of a trace's flags that means that its spans are exported.
pub(super) const SAMPLED: u32 = 1;
/// Bits of a span's flags: it is known if the parent is remote, and the parent is remote.
const REMOTE_PARENT: u32 = 0x300;

/// Sender of spans or log records: its worker and further attributes of its resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Speaker {
    pub(super) worker: WorkerRef,
    pub(super) fields: Fields,
}

impl Speaker {
    /// Derives the worker from a resource. Its id is derived from `service.instance.id` or, without one, from service, host and pid. Long
    /// texts are cut, because every event repeats them.
    pub(super) fn of(resource: &Resource, limits: &Limits) -> Self {
        let mut fields = fields_of(&resource.attributes);
        let mut text = |key: &str| match fields.remove(key) {
            Some(serde_json::Value::String(text)) => Some(text),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        let mut program = text("service.name").unwrap_or_else(|| "unknown_service".to_owned());
        let mut hostname = text("host.name").unwrap_or_default();
        let pid = text("process.pid").and_then(|pid| pid.parse().ok()).unwrap_or(0);
        let instance = text("service.instance.id");
        let mut hash = Sha256::new();
        hash.update(b"otlp\0");
        match &instance {
            Some(instance) => hash.update([program.as_bytes(), b"\0", instance.as_bytes()].concat()),
            None => hash.update(format!("{program}\0\0{hostname}\0{pid}")),
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (id, _) = digest.split_first_chunk::<16>().expect("16 of 32 bytes");
        let id = WorkerId::new(u128::from_be_bytes(*id)).expect("a digest of zeros is not found");
        if let Some(instance) = instance {
            fields.insert("service.instance.id".to_owned(), instance.into());
        }
        cut_text(&mut program, limits.name_bytes);
        cut_text(&mut hostname, limits.name_bytes);
        cut_fields(&mut fields, limits);
        Self { worker: WorkerRef { id, hostname, pid, program }, fields }
    }

    /// Returns the number of bytes that every event contains of it.
    pub(super) fn worker_bytes(&self) -> usize {
        self.worker.hostname.len() + self.worker.program.len()
    }

    /// Returns the number of bytes that a span contains of it if [`tells_resource`] is true for the span.
    pub(super) fn fields_bytes(&self) -> usize {
        bytes_of_fields(&self.fields)
    }
}

/// True if a span is the first of its program in its trace. Only this span gets the attributes of the resource, on behalf of all spans
/// below it.
pub(super) fn tells_resource(span: &Span) -> bool {
    parent_of(span).is_none() || span.flags & REMOTE_PARENT == REMOTE_PARENT
}

fn parent_of(span: &Span) -> Option<&[u8]> {
    Some(&span.parent_span_id[..]).filter(|parent| !parent.is_empty() && *parent != [0; 8])
}

/// Converts a span to its events: its log lines, its start and its end. SDKs send a span when it has ended; a span without an end is still
/// running.
///
/// # Errors
/// Returns the reason if the span can't be a process.
pub(super) fn span(speaker: &Speaker, scope: &Scope, span: Span, limits: &Limits) -> Result<Vec<Event>, String> {
    let (root_id, id) = (root_of(&span.trace_id)?, process_of(&span.span_id, "span_id")?);
    let parent_id = parent_of(&span).map(|parent| process_of(parent, "parent_span_id")).transpose()?;
    let (started_us, ended_us) = (time_us(span.start_time_unix_nano)?, time_us(span.end_time_unix_nano)?);
    let tells_resource = tells_resource(&span);
    let elapsed_ns = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let is_failed = span.status.as_ref().is_some_and(|status| status.code == 2);
    let mut events = Vec::with_capacity(2 + span.events.len());
    for event in &span.events {
        events.push(event_of(speaker, scope, (root_id, id), event, limits)?);
    }
    let mut fields = fields_of(&span.attributes);
    let error = is_failed.then(|| error(span.status.as_ref(), &span.events, &fields));
    for (key, value) in [("otel.scope.name", &scope.name), ("otel.scope.version", &scope.version)] {
        if !value.is_empty() && !fields.contains_key(key) {
            fields.insert(key.to_owned(), shortened(value, limits.name_bytes).into());
        }
    }
    let source = source(&mut fields);
    let thread = fields.remove("thread.name").map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned));
    if let Some(kind) =
        ["internal", "server", "client", "producer", "consumer"].get((span.kind - 1).max(0) as usize).filter(|_| span.kind > 1)
    {
        fields.insert("span.kind".to_owned(), (*kind).into());
    }
    let is_cancelled = !is_failed && fields.get(STATE).is_some_and(|state| state == State::CANCELLED.as_str());
    if tells_resource {
        fields.extend(speaker.fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let links = span.links.iter().map(|link| {
        let (root_id, id) = (root_of(&link.trace_id)?, process_of(&link.span_id, "span_id of a link")?);
        Ok(Link { root_id, id, relation: "link".to_owned() })
    });
    events.push(Event::ProcessStarted(ProcessStarted {
        root_id,
        id,
        time_us: started_us,
        parent_id,
        kind: Kind::SPAN,
        name: span.name,
        batch: None,
        thread,
        source,
        attachment: Attachment::EXPLICIT,
        fields,
        timeout_ms: None,
        attempts_of: None,
        attempt: 1,
        worker: Some(speaker.worker.clone()),
        native_id: None,
        links: links.collect::<Result<_, String>>()?,
    }));
    if span.end_time_unix_nano == 0 {
        return Ok(events);
    }
    events.push(Event::ProcessEnded(ProcessEnded {
        root_id,
        id,
        time_us: ended_us,
        elapsed_ns: Some(elapsed_ns.min(i64::MAX as u64)),
        outcome: match (is_failed, is_cancelled) {
            (true, _) => Outcome::FAILED,
            (_, true) => Outcome::CANCELLED,
            _ => Outcome::SUCCEEDED,
        },
        error,
        exit_code: None,
        signal: None,
        retry: None,
        reason: None,
        attempt: 1,
        worker: Some(speaker.worker.clone()),
        native_id: None,
        links: Vec::new(),
    }));
    Ok(events)
}

/// Converts a log record to a log line of its process.
///
/// # Errors
/// Returns the reason if the record belongs to no process.
pub(super) fn log(speaker: &Speaker, scope: &Scope, record: LogRecord, limits: &Limits) -> Result<Event, String> {
    if record.trace_id.is_empty() || record.span_id.is_empty() {
        return Err("without trace_id and span_id it belongs to no process".to_owned());
    }
    let of = (root_of(&record.trace_id)?, process_of(&record.span_id, "span_id")?);
    let level = match record.severity_number {
        1..=4 => "trace",
        5..=8 => "debug",
        13..=16 => "warn",
        17..=24 => "error",
        _ => "info",
    };
    let time_ns = if record.time_unix_nano == 0 { record.observed_time_unix_nano } else { record.time_unix_nano };
    let message = match record.body.map(value) {
        Some(serde_json::Value::String(text)) => text,
        Some(serde_json::Value::Null) | None => record.event_name,
        Some(other) => other.to_string(),
    };
    let target = target(scope, limits);
    Ok(Event::ProcessLogged(logged(speaker, target, of, time_us(time_ns)?, level, message, fields_of(&record.attributes))))
}

fn target(scope: &Scope, limits: &Limits) -> Option<String> {
    Some(&scope.name).filter(|name| !name.is_empty()).map(|name| shortened(name, limits.name_bytes).into_owned())
}

/// Converts a span event to a log line.
fn event_of(speaker: &Speaker, scope: &Scope, of: (RootId, ProcessId), event: &SpanEvent, limits: &Limits) -> Result<Event, String> {
    let fields = fields_of(&event.attributes);
    let text = |key: &str| fields.get(key).and_then(serde_json::Value::as_str);
    let (level, message) = if event.name == "exception" {
        let words: Vec<_> = [text("exception.type"), text("exception.message")].into_iter().flatten().collect();
        ("error", if words.is_empty() { event.name.clone() } else { words.join(": ") })
    } else {
        ("info", event.name.clone())
    };
    let target = target(scope, limits);
    Ok(Event::ProcessLogged(logged(speaker, target, of, time_us(event.time_unix_nano)?, level, message, fields)))
}

fn logged(
    speaker: &Speaker,
    target: Option<String>,
    (root_id, id): (RootId, ProcessId),
    time_us: u64,
    level: &str,
    message: String,
    fields: Fields,
) -> ProcessLogged {
    ProcessLogged {
        root_id,
        id,
        time_us,
        level: level.to_owned(),
        message,
        target,
        stream: None,
        fields,
        attempt: 1,
        worker: Some(speaker.worker.clone()),
        native_id: None,
        links: Vec::new(),
    }
}

/// Returns the reason why a span failed: its last recorded exception, its status, or else the HTTP status in its attributes.
fn error(status: Option<&Status>, events: &[SpanEvent], fields: &Fields) -> Error {
    let exception = events.iter().rev().find(|event| event.name == "exception").map(|event| fields_of(&event.attributes));
    let text = |key: &str| exception.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let status = status.map(|status| status.message.clone()).filter(|message| !message.is_empty());
    Error {
        kind: ErrorKind::ERROR,
        type_name: text("exception.type"),
        message: text("exception.message")
            .or(status)
            .or_else(|| text("exception.type"))
            .or_else(|| http_status(fields))
            .or_else(|| fields.get("error.type")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| "no reason was given".to_owned()),
        chain: Vec::new(),
        source: None,
        code: None,
        tail: None,
    }
}

/// Returns the HTTP status of a response, by the current and the former names of the attribute.
fn http_status(fields: &Fields) -> Option<String> {
    let found = ["http.response.status_code", "http.status_code"].iter().find_map(|name| fields.get(*name))?;
    let code = found.as_u64().or_else(|| found.as_str()?.parse().ok())?;
    let status = http::StatusCode::from_u16(u16::try_from(code).ok()?).ok()?;
    Some(format!("HTTP {status}").trim_end_matches(" <unknown status code>").to_owned())
}

/// Returns the source location of a span, by the current and the former names of the attributes.
fn source(fields: &mut Fields) -> Option<Source> {
    let mut take = |names: [&str; 2]| names.iter().find_map(|name| fields.remove(*name));
    let file = take(["code.file.path", "code.filepath"])?;
    let line = take(["code.line.number", "code.lineno"]);
    Some(Source { file: file.as_str()?.to_owned(), line: line.and_then(|line| line.as_u64()?.try_into().ok()).unwrap_or(0) })
}

fn root_of(bytes: &[u8]) -> Result<RootId, String> {
    let id = bytes.try_into().ok().and_then(|bytes| RootId::new(u128::from_be_bytes(bytes)));
    id.ok_or_else(|| "its trace_id is not 16 bytes, or all zero".to_owned())
}

fn process_of(bytes: &[u8], what: &str) -> Result<ProcessId, String> {
    let id = bytes.try_into().ok().and_then(|bytes| ProcessId::new(u64::from_be_bytes(bytes)));
    id.ok_or_else(|| format!("its {what} is not 8 bytes, or all zero"))
}

fn time_us(nanos: u64) -> Result<u64, String> {
    let micros = nanos / 1_000;
    if micros > MAX_TIME_US { Err(format!("its time {nanos} is centuries away")) } else { Ok(micros) }
}

fn fields_of(attributes: &[KeyValue]) -> Fields {
    attributes.iter().map(|attribute| (attribute.key.clone(), attribute.value.clone().map_or(serde_json::Value::Null, value))).collect()
}

fn value(value: AnyValue) -> serde_json::Value {
    match value.value {
        None => serde_json::Value::Null,
        Some(Value::StringValue(text)) => text.into(),
        Some(Value::BoolValue(is)) => is.into(),
        Some(Value::IntValue(number)) => number.into(),
        // JSON supports neither NaN nor infinity.
        Some(Value::DoubleValue(number)) => serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Into::into),
        Some(Value::ArrayValue(list)) => list.values.into_iter().map(self::value).collect(),
        Some(Value::KvlistValue(list)) => {
            let of = |pair: KeyValue| (pair.key, pair.value.map_or(serde_json::Value::Null, self::value));
            serde_json::Value::Object(list.values.into_iter().map(of).collect())
        }
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes).into(),
    }
}
