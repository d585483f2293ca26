//! Limits on the size of events. Longer texts are cut and marked with the number of removed bytes, so that an end is not lost because of a
//! long name or error message.

use std::borrow::Cow;

use monitor_wire::{
    Attachment, BatchStatus, CUT_FIELDS, Error, ErrorKind, Event, Fields, Fold, Kind, MissedReason, Outcome, SkipReason, Source, WorkerRef,
    WorkerRole,
};
use serde_json::Value;

use super::{Packed, PackedEvent, size};
use crate::cut::boundary;

/// Maximum number of capabilities of a worker that are kept.
const MAX_CAPABILITIES: usize = 1_000;
const MAX_MISTAKES: usize = 100;

/// Maximum sizes of the parts of an event, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// An error message and its tail, the chain of its causes together, a reason, a log message, a traceback, the text of a notification,
    /// or an argument or result of a task.
    pub name_bytes: usize,
    /// An error message, the chain of its causes together, a reason, a log message, a traceback, or an argument or result of a task.
    pub text_bytes: usize,
    /// Keys and values of all fields of an event together. Numbers, booleans and `null` count as 0 bytes.
    pub fields_bytes: usize,
    /// The event after its parts were cut. Larger events are refused.
    pub event_bytes: usize,
}

impl Limits {
    /// Limits that apply unless they are set otherwise.
    pub const DEFAULT: Self = Self { name_bytes: 4 << 10, text_bytes: 64 << 10, fields_bytes: 64 << 10, event_bytes: 1 << 20 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Packed {
    /// Cuts the parts of events that are too long. Equal texts are still equal afterwards.
    ///
    /// # Errors
    /// Returns the number and size of the first event that is still too large.
    pub fn cut(&mut self, limits: &Limits) -> Result<(), (u64, usize)> {
        cut_worker(&mut self.worker, limits);
        for dropped in &mut self.dropped {
            cut_text(&mut dropped.event_type, limits.name_bytes);
            cut_text(&mut dropped.reason, limits.name_bytes);
        }
        for site in &mut self.sites {
            cut_box(&mut site.name, limits.name_bytes);
            cut_word(&mut site.kind, Kind::as_str, limits);
            site.source.iter_mut().for_each(|source| cut_source(source, limits));
        }
        self.threads.iter_mut().chain(&mut self.marks).for_each(|text| cut_box(text, limits.name_bytes));
        for ending in &mut self.endings {
            ending.error.iter_mut().for_each(|error| cut_error(error, limits));
            cut_each(&mut ending.reason, limits.text_bytes);
        }
        let largest = size::largest_packed(self);
        for (number, index) in (self.sequence..).zip(0..self.events.len()) {
            let size = match &mut self.events[index] {
                PackedEvent::Other(event) => {
                    fit(event, limits).map_err(|size| (number, size))?;
                    continue;
                }
                _ if largest <= limits.event_bytes => continue,
                _ => size::of_packed(self, index),
            };
            if size > limits.event_bytes {
                return Err((number, size));
            }
        }
        Ok(())
    }
}

/// Cuts the parts of an event that are too long.
///
/// # Errors
/// Returns the approximate size of the event in bytes if it is still larger than the limit.
pub fn fit(event: &mut Event, limits: &Limits) -> Result<(), usize> {
    cut_event(event, limits);
    let size = size::of_event(event);
    if size > limits.event_bytes { Err(size) } else { Ok(()) }
}

fn cut_each<'a>(texts: impl IntoIterator<Item = &'a mut String>, most: usize) {
    for text in texts {
        cut_text(text, most);
    }
}

fn cut_event(event: &mut Event, limits: &Limits) {
    let Limits { name_bytes, text_bytes, .. } = *limits;
    macro_rules! cut {
        ($of:expr; $($text:expr => $most:expr),*) => {{
            $( cut_each($text, $most); )*
            cut_each(&mut $of.native_id, name_bytes);
            cut_each($of.links.iter_mut().map(|link| &mut link.relation), name_bytes);
            $of.worker.iter_mut().for_each(|worker| cut_worker(worker, limits));
        }};
    }
    match event {
        Event::ProcessQueued(of) => {
            cut!(of; [&mut of.name] => name_bytes, &mut of.batch => name_bytes);
            cut_word(&mut of.kind, Kind::as_str, limits);
            cut_fields(&mut of.fields, limits);
        }
        Event::ProcessStarted(of) => {
            cut!(of; [&mut of.name] => name_bytes, &mut of.batch => name_bytes, &mut of.thread => name_bytes);
            cut_word(&mut of.kind, Kind::as_str, limits);
            cut_word(&mut of.attachment, Attachment::as_str, limits);
            of.source.iter_mut().for_each(|source| cut_source(source, limits));
            cut_fields(&mut of.fields, limits);
        }
        Event::ProcessUpdated(of) => {
            cut!(of; &mut of.name => name_bytes, &mut of.batch => name_bytes);
            cut_fields(&mut of.fields, limits);
        }
        Event::ProcessProgressed(of) => cut!(of; &mut of.unit => name_bytes),
        Event::ProcessLogged(of) => {
            cut!(of; [&mut of.message] => text_bytes, [&mut of.level] => name_bytes, &mut of.target => name_bytes, &mut of.stream => name_bytes);
            cut_fields(&mut of.fields, limits);
        }
        // The name is not cut, because the id of the process is derived from it.
        Event::ProcessFolded(of) => {
            cut!(of;);
            cut_word(&mut of.kind, Kind::as_str, limits);
            of.errors.truncate(Fold::MAX_ERRORS);
            of.errors.iter_mut().for_each(|error| cut_text(&mut error.text, name_bytes));
        }
        Event::ProcessEnded(of) => {
            cut!(of; &mut of.reason => text_bytes);
            cut_word(&mut of.outcome, Outcome::as_str, limits);
            of.error.iter_mut().for_each(|error| cut_error(error, limits));
        }
        Event::WorkerOnline(of) => {
            cut_text(&mut of.version, name_bytes);
            of.worker.iter_mut().for_each(|worker| cut_worker(worker, limits));
            of.capabilities.truncate(MAX_CAPABILITIES);
            cut_each(&mut of.capabilities, name_bytes);
            cut_word(&mut of.role, WorkerRole::as_str, limits);
            for function in &mut of.registered {
                cut_text(&mut function.name, name_bytes);
                cut_word(&mut function.kind, Kind::as_str, limits);
                cut_source(&mut function.source, limits);
            }
        }
        Event::TaskSent(of) => {
            cut!(of; [&mut of.name] => name_bytes, &mut of.batch => name_bytes, &mut of.queue => name_bytes, &mut of.exchange => name_bytes, &mut of.routing_key => name_bytes);
            cut_values([&mut of.args, &mut of.kwargs].into_iter().flatten(), text_bytes);
        }
        Event::TaskReceived(of) => {
            cut!(of; [&mut of.name] => name_bytes, &mut of.batch => name_bytes, &mut of.queue => name_bytes, &mut of.exchange => name_bytes, &mut of.routing_key => name_bytes);
            cut_values([&mut of.args, &mut of.kwargs].into_iter().flatten(), text_bytes);
        }
        Event::TaskStarted(of) => cut!(of;),
        Event::TaskSucceeded(of) => {
            cut!(of;);
            cut_values(&mut of.result, text_bytes);
        }
        Event::TaskFailed(of) => cut!(of; [&mut of.exception] => text_bytes, &mut of.traceback => text_bytes),
        Event::TaskRejected(of) => cut!(of;),
        Event::TaskRevoked(of) => cut!(of;),
        Event::TaskRetried(of) => cut!(of; &mut of.exception => text_bytes, &mut of.traceback => text_bytes),
        Event::WorkerHeartbeat(of) => of.worker.iter_mut().for_each(|worker| cut_worker(worker, limits)),
        Event::WorkerOffline(of) => of.worker.iter_mut().for_each(|worker| cut_worker(worker, limits)),
        Event::ProcessOverdue(of) => cut_text(&mut of.reason, name_bytes),
        Event::ProcessNotified(of) => {
            cut!(of; [&mut of.severity] => name_bytes, [&mut of.title] => name_bytes, &mut of.text => text_bytes, &mut of.key => name_bytes);
        }
        Event::RunSkipped(of) => {
            cut_each([&mut of.task, &mut of.agent].into_iter().chain(&mut of.blocked_by), name_bytes);
            cut_word(&mut of.reason, SkipReason::as_str, limits);
        }
        Event::RunMissed(of) => {
            cut_each([&mut of.task, &mut of.agent], name_bytes);
            cut_word(&mut of.reason, MissedReason::as_str, limits);
        }
        // A cut definition would be another definition. It counts towards the size of the event instead.
        Event::BatchTaskChanged(of) => {
            cut_each([&mut of.task].into_iter().chain(&mut of.who).chain(&mut of.agent), name_bytes);
            cut_word(&mut of.status, BatchStatus::as_str, limits);
        }
        Event::AgentDecided(of) => {
            cut_text(&mut of.agent, name_bytes);
            of.mistakes.truncate(MAX_MISTAKES);
            cut_each(&mut of.mistakes, name_bytes);
        }
        Event::Unplaced(of) => {
            cut_text(&mut of.native_source, name_bytes);
            cut_event(of.event_mut(), limits);
        }
        Event::WorkerLost(_) | Event::WorkerFound(_) | Event::Unknown(_) => {}
    }
}

fn cut_worker(worker: &mut WorkerRef, limits: &Limits) {
    cut_each([&mut worker.hostname, &mut worker.program], limits.name_bytes);
}

fn cut_word<T: From<String>>(word: &mut T, text: impl Fn(&T) -> &str, limits: &Limits) {
    if let Cow::Owned(cut) = shortened(text(word), limits.name_bytes) {
        *word = cut.into();
    }
}

fn cut_error(error: &mut Error, limits: &Limits) {
    cut_word(&mut error.kind, ErrorKind::as_str, limits);
    cut_text(&mut error.message, limits.text_bytes);
    error.type_name.iter_mut().for_each(|text| cut_text(text, limits.name_bytes));
    error.tail.iter_mut().for_each(|text| cut_text(text, limits.text_bytes));
    error.source.iter_mut().for_each(|source| cut_source(source, limits));
    // An event of OpenTelemetry is cut twice, so the last cause may be the number of those that were removed before.
    let removed_before = |last: &String| last.strip_prefix('[')?.strip_suffix(" more causes]")?.parse::<usize>().ok();
    let before = error.chain.last().and_then(removed_before);
    error.chain.truncate(error.chain.len() - usize::from(before.is_some()));
    // The limit applies to the whole chain. The nearest causes are kept.
    let (mut left, mut kept) = (limits.text_bytes, 0);
    for cause in &mut error.chain {
        if left == 0 {
            break;
        }
        cut_text(cause, left);
        left = left.saturating_sub(cause.len());
        kept += 1;
    }
    let gone = (error.chain.len() - kept).saturating_add(before.unwrap_or(0));
    if gone > 0 {
        error.chain.truncate(kept);
        error.chain.push(format!("[{gone} more causes]"));
    }
}

fn cut_source(source: &mut Source, limits: &Limits) {
    cut_text(&mut source.file, limits.name_bytes);
}

/// Keeps fields in the order of their names until a field exceeds the limit. That field and all later fields are removed, and a field with
/// their number is added.
pub fn cut_fields(fields: &mut Fields, limits: &Limits) {
    // The number of fields that were removed before is not one of the fields.
    let before = fields.get(CUT_FIELDS).and_then(Value::as_u64);
    if before.is_some() {
        fields.remove(CUT_FIELDS);
    }
    let (count, mut bytes) = (fields.len(), 0);
    fields.retain(|key, value| {
        bytes += key.len() + size::of_value(value);
        bytes <= limits.fields_bytes
    });
    let gone = ((count - fields.len()) as u64).saturating_add(before.unwrap_or(0));
    if gone > 0 {
        fields.insert(CUT_FIELDS.to_owned(), gone.into());
    }
}

/// Cuts values of any type. A large value that is not a string is replaced by the beginning of its JSON as a string.
fn cut_values<'a>(values: impl IntoIterator<Item = &'a mut Value>, most: usize) {
    for value in values {
        if let Value::String(text) = value {
            cut_text(text, most);
        } else if size::of_value(value) > most {
            let mut text = value.to_string();
            cut_text(&mut text, most);
            *value = text.into();
        }
    }
}

fn cut_box(text: &mut Box<str>, most: usize) {
    if let Cow::Owned(cut) = shortened(text, most) {
        *text = cut.into();
    }
}

/// Shortens a text to `most` bytes, as [`shortened`] does.
pub fn cut_text(text: &mut String, most: usize) {
    if let Cow::Owned(cut) = shortened(text, most) {
        *text = cut;
    }
}

/// Returns the first bytes of a text, with the number of removed bytes appended. A text that was cut before is returned unchanged, because
/// its mark contains the correct number.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most || is_shortened(text, most) {
        return Cow::Borrowed(text);
    }
    let kept = boundary(text, most);
    // A single `format!` would allocate twice the memory, and many events may have such texts.
    Cow::Owned([&text[..kept], &format!("… [{} bytes cut]", text.len() - kept)].concat())
}

fn is_shortened(text: &str, most: usize) -> bool {
    // Longer texts need no search: a text that was cut to `most` bytes is at most this long.
    if text.len() > most + 40 {
        return false;
    }
    let mark = text.rfind("… [").filter(|at| *at <= most).and_then(|at| text[at..].strip_prefix("… [")?.strip_suffix(" bytes cut]"));
    mark.is_some_and(|count| count.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cut_text_uses_only_its_length_and_is_not_cut_again() {
        for (letter, most) in [("x", 4_096), ("根", 100), ("🌳", 99)] {
            let long = letter.repeat(10_000);
            let cut = shortened(&long, most).into_owned();
            assert!(cut.len() < most + 40 && cut.capacity() == cut.len(), "{} of {}", cut.len(), cut.capacity());
            assert!(matches!(shortened(&cut, most), Cow::Borrowed(same) if same == cut), "{cut}");
            assert!(matches!(shortened(&cut, most / 2), Cow::Owned(_)), "{cut}");
            let forged = format!("{cut}… [{} bytes cut]", "0".repeat(1_000));
            assert!(matches!(shortened(&forged, most), Cow::Owned(_)));
        }
    }

    const LIMITS: Limits = Limits { name_bytes: 10, text_bytes: 20, fields_bytes: 30, event_bytes: 1_000 };

    fn batch(event: &Value) -> Value {
        json!({
            "version": 1, "worker": {"id": "5b0c0000000000000000000000000001", "hostname": "h", "pid": 1, "program": "p"},
            "sequence": 7, "sent_us": 1, "events": [event],
        })
    }

    fn packed(batch: &Value) -> Packed {
        Packed::from_json(batch.to_string().as_bytes(), 10).unwrap()
    }

    fn cut(event: &Value) -> Result<Event, (u64, usize)> {
        let mut packed = packed(&batch(event));
        packed.cut(&LIMITS).map(|()| packed.event(0))
    }

    fn of(more: &Value) -> Value {
        let mut event = json!({"root_id": "00000000000000000000000000000001", "id": "0000000000000001", "time_us": 1});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }

    #[test]
    fn an_event_that_is_cut_again_is_the_same() {
        let chain = ["1234567890", "1234567890", "b", "c", "d"];
        let fields = json!({"a": "1234567890", "b": "1234567890", "c": "1234567890", "n": 1});
        for (more, pointer, expected) in [
            (
                json!({"type": "process-ended", "outcome": "failed", "error": {"kind": "error", "message": "a", "chain": chain}}),
                "/error/chain",
                json!(["1234567890", "1234567890", "[3 more causes]"]),
            ),
            (
                json!({"type": "process-logged", "level": "info", "message": "a", "fields": fields}),
                "/fields",
                json!({"a": "1234567890", "b": "1234567890", "monitor.cut": 2}),
            ),
        ] {
            let once = serde_json::to_value(cut(&of(&more)).unwrap()).unwrap();
            assert_eq!(once.pointer(pointer), Some(&expected), "{once}");
            assert_eq!(serde_json::to_value(cut(&once).unwrap()).unwrap(), once);
        }
    }

    #[test]
    fn long_texts_are_cut_and_note_the_cut_length() {
        let long = "根".repeat(100);
        for (more, pointer, expected) in [
            (json!({"type": "process-started", "kind": "root", "name": "exactly 10"}), "/name", json!("exactly 10")),
            (json!({"type": "process-started", "kind": "root", "name": long}), "/name", json!("根根根… [291 bytes cut]")),
            (json!({"type": "process-started", "kind": "root", "name": long, "attempt": 2}), "/name", json!("根根根… [291 bytes cut]")),
            (json!({"type": "process-started", "kind": "root", "name": "a", "batch": long}), "/batch", json!("根根根… [291 bytes cut]")),
            (json!({"type": "process-logged", "level": "info", "message": long}), "/message", json!("根根根根根根… [282 bytes cut]")),
            (
                json!({"type": "process-ended", "outcome": "failed", "error": {"kind": "error", "message": long}}),
                "/error/message",
                json!("根根根根根根… [282 bytes cut]"),
            ),
            (
                json!({"type": "process-ended", "outcome": "failed", "error": {"kind": "error", "message": "a", "chain": ["12345678901234567890", "b", "c"]}}),
                "/error/chain",
                json!(["12345678901234567890", "[2 more causes]"]),
            ),
            (
                json!({"type": "process-updated", "fields": {"a": "123456789", "b": long, "c": 1}}),
                "/fields",
                json!({"a": "123456789", CUT_FIELDS: 2}),
            ),
        ] {
            let event = serde_json::to_value(cut(&of(&more)).unwrap()).unwrap();
            assert_eq!(event.pointer(pointer), Some(&expected), "{more}");
        }
    }

    #[test]
    fn an_event_that_stays_too_large_is_named() {
        let huge = json!({"type": "of-another-kind", "payload": "x".repeat(2_000)});
        assert!(matches!(cut(&of(&huge)), Err((7, size)) if size > 2_000));
    }

    /// Returns events with a text that is too long, each with the JSON pointer of that text. Texts in `fields` are not covered.
    fn texts() -> Vec<(Value, &'static str)> {
        let long = "x".repeat(400);
        let worker = json!({"id": "5b0c0000000000000000000000000002", "hostname": long, "pid": 1, "program": long});
        let event = |event_type: &str, more: Value| {
            let mut event = of(&json!({"type": event_type}));
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let started = |more: Value| {
            let mut event = event("process-started", json!({"kind": "root", "name": "a"}));
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let ended = |more: Value| event("process-ended", more);
        let extended = |mut event: Value, more: Value| {
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let online = |more: Value| {
            let event = json!({"type": "worker-online", "time_us": 1, "started_us": 1, "version": "1", "heartbeat_interval_ms": 1});
            extended(event, more)
        };
        let of_task =
            json!({"time_us": 1, "task": "a", "agent": "b", "version": 1, "due_us": 1, "first_due_us": 1, "last_due_us": 1, "count": 1});
        let skipped = |more| extended(extended(of_task.clone(), json!({"type": "run-skipped", "reason": "quiet"})), more);
        let missed = |more| extended(extended(of_task.clone(), json!({"type": "run-missed", "reason": "clock"})), more);
        let changed = |more| extended(extended(of_task.clone(), json!({"type": "batch-task-changed", "status": "active"})), more);
        let function = |more: Value| {
            let mut function = json!({"name": "f", "kind": "root", "source": {"file": "f", "line": 1}});
            function.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            online(json!({"registered": [function]}))
        };
        vec![
            (started(json!({"kind": long})), "/kind"),
            (started(json!({"kind": long, "attempt": 2})), "/kind"),
            (started(json!({"thread": long})), "/thread"),
            (started(json!({"source": {"file": long, "line": 1}})), "/source/file"),
            (started(json!({"attachment": long})), "/attachment"),
            (started(json!({"native_id": long})), "/native_id"),
            (started(json!({"worker": worker})), "/worker/hostname"),
            (started(json!({"worker": worker})), "/worker/program"),
            (
                started(json!({"links": [{"root_id": "00000000000000000000000000000001", "id": "0000000000000001", "relation": long}]})),
                "/links/0/relation",
            ),
            (event("process-queued", json!({"kind": long, "name": "a"})), "/kind"),
            (event("process-updated", json!({"name": long})), "/name"),
            (event("process-progressed", json!({"done": 1, "unit": long})), "/unit"),
            (event("process-logged", json!({"level": long, "message": "a"})), "/level"),
            (event("process-logged", json!({"level": "info", "message": "a", "stream": long})), "/stream"),
            (event("process-logged", json!({"level": "info", "message": "a", "target": long})), "/target"),
            (event("process-notified", json!({"severity": long, "title": "a"})), "/severity"),
            (event("process-notified", json!({"severity": "warn", "title": long})), "/title"),
            (event("process-notified", json!({"severity": "warn", "title": "a", "text": long})), "/text"),
            (event("process-notified", json!({"severity": "warn", "title": "a", "key": long})), "/key"),
            (skipped(json!({"task": long})), "/task"),
            (skipped(json!({"agent": long})), "/agent"),
            (skipped(json!({"reason": long})), "/reason"),
            (skipped(json!({"blocked_by": long})), "/blocked_by"),
            (missed(json!({"task": long})), "/task"),
            (missed(json!({"agent": long})), "/agent"),
            (missed(json!({"reason": long})), "/reason"),
            (changed(json!({"task": long})), "/task"),
            (changed(json!({"status": long})), "/status"),
            (changed(json!({"who": long})), "/who"),
            (changed(json!({"agent": long})), "/agent"),
            (json!({"type": "agent-decided", "time_us": 1, "agent": long, "until_us": 1}), "/agent"),
            (json!({"type": "agent-decided", "time_us": 1, "agent": "a", "until_us": 1, "mistakes": [long]}), "/mistakes/0"),
            (event("task-sent", json!({"name": long})), "/name"),
            (event("task-sent", json!({"name": "a", "queue": long})), "/queue"),
            (event("task-sent", json!({"name": "a", "exchange": long})), "/exchange"),
            (event("task-sent", json!({"name": "a", "routing_key": long})), "/routing_key"),
            (event("task-sent", json!({"name": "a", "args": long})), "/args"),
            (event("task-sent", json!({"name": "a", "kwargs": {"a": long}})), "/kwargs"),
            (event("task-received", json!({"name": long})), "/name"),
            (event("task-received", json!({"name": "a", "queue": long})), "/queue"),
            (event("task-received", json!({"name": "a", "exchange": long})), "/exchange"),
            (event("task-received", json!({"name": "a", "routing_key": long})), "/routing_key"),
            (event("task-received", json!({"name": "a", "args": [[long]]})), "/args"),
            (event("task-received", json!({"name": "a", "kwargs": long})), "/kwargs"),
            (event("task-started", json!({"native_id": long})), "/native_id"),
            (event("task-succeeded", json!({"result": long})), "/result"),
            (event("task-succeeded", json!({"result": [1, long]})), "/result"),
            (event("task-failed", json!({"exception": long})), "/exception"),
            (event("task-failed", json!({"exception": "a", "traceback": long})), "/traceback"),
            (event("task-rejected", json!({"native_id": long})), "/native_id"),
            (event("task-revoked", json!({"native_id": long})), "/native_id"),
            (event("task-retried", json!({"exception": long})), "/exception"),
            (event("task-retried", json!({"traceback": long})), "/traceback"),
            (ended(json!({"outcome": long})), "/outcome"),
            (ended(json!({"outcome": "failed", "reason": long})), "/reason"),
            (ended(json!({"outcome": "failed", "error": {"kind": long, "message": "a"}})), "/error/kind"),
            (ended(json!({"outcome": "failed", "error": {"kind": "a", "message": "a", "type": long}})), "/error/type"),
            (online(json!({"version": long})), "/version"),
            (online(json!({"worker": worker})), "/worker/program"),
            (function(json!({"name": long})), "/registered/0/name"),
            (function(json!({"kind": long})), "/registered/0/kind"),
            (function(json!({"source": {"file": long, "line": 1}})), "/registered/0/source/file"),
            (json!({"type": "worker-heartbeat", "time_us": 1, "worker": worker}), "/worker/hostname"),
            (json!({"type": "worker-offline", "time_us": 1, "worker": worker}), "/worker/hostname"),
        ]
    }

    #[test]
    fn every_text_is_cut_and_counted() {
        for (event, pointer) in texts() {
            let said = serde_json::to_value(cut(&event).unwrap()).unwrap();
            let text = said.pointer(pointer).unwrap().as_str().unwrap();
            assert!(text.ends_with(" bytes cut]") && text.len() < 60, "{pointer} of {event}: {text}");
            let mut short = event.clone();
            *short.pointer_mut(pointer).unwrap() = "s".into();
            let more = packed(&batch(&event)).bytes - packed(&batch(&short)).bytes;
            assert!(more >= 399, "{pointer} of {event} counts {more} bytes");
        }
        for pointer in ["/worker/hostname", "/worker/program", "/dropped/0/type", "/dropped/0/reason"] {
            let mut sent = batch(&json!({"type": "worker-heartbeat", "time_us": 1}));
            sent["dropped"] = json!([{"type": "a", "reason": "b", "root_id": null, "count": 1}]);
            let bytes = packed(&sent).bytes;
            *sent.pointer_mut(pointer).unwrap() = "x".repeat(400).into();
            let mut packed = packed(&sent);
            assert!(packed.bytes >= bytes + 399, "{pointer}");
            packed.cut(&LIMITS).unwrap();
            let all = [&packed.worker.hostname, &packed.worker.program, &packed.dropped[0].event_type, &packed.dropped[0].reason];
            assert!(all.iter().all(|text| text.len() < 60), "{pointer}: {all:?}");
        }
    }

    #[test]
    fn starts_and_ends_of_the_common_kind_meet_the_limit_of_an_event_too() {
        let small = Limits { event_bytes: 60, ..Limits::DEFAULT };
        let (long, short) = ("x".repeat(100), "x");
        for (text, is_taken) in [(long.as_str(), false), (short, true)] {
            for event in [
                of(&json!({"type": "process-started", "kind": "root", "name": text})),
                of(&json!({"type": "process-started", "kind": "root", "name": "a", "batch": text})),
                of(&json!({"type": "process-started", "kind": "root", "name": "a", "thread": text})),
                of(&json!({"type": "process-ended", "outcome": "failed", "error": {"kind": "a", "message": text}})),
            ] {
                let mut packed = packed(&batch(&event));
                assert!(!matches!(packed.events[0], PackedEvent::Other(_)));
                assert_eq!(packed.cut(&small).is_ok(), is_taken, "{event}");
            }
        }
    }
}
