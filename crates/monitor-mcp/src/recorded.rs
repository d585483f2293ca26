//! Separates recorded text from the facts of the server.
//!
//! Numbers, times, and words that only the server writes are facts. All other text can be chosen by a recorded program, so it is moved to a
//! field `recorded`, with control characters made visible.

use jiff::Timestamp;
use monitor_text::{duration, visible};
use serde_json::{Map, Value, json};

/// Name of the fields with recorded text.
pub(crate) const RECORDED: &str = "recorded";

/// Fields whose text is a fact, if it is an id or one of [`WORDS`].
const FACTS: [&str; 14] = [
    "id",
    "root_id",
    "parent_id",
    "process_id",
    "worker_id",
    "state",
    "kind",
    "level",
    "phase",
    "status",
    "severity",
    "outcome",
    "decision",
    "change",
];

/// Words of the server.
const WORDS: [&str; 48] = [
    "pending",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "lost",
    "retrying",
    "online",
    "offline",
    "firing",
    "resolved",
    "root",
    "normal",
    "cross_thread",
    "cross_process",
    "script",
    "run",
    "task",
    "job",
    "step",
    "host",
    "span",
    "error",
    "warn",
    "info",
    "debug",
    "trace",
    "sent",
    "received",
    "started",
    "rejected",
    "requeued",
    "revoked",
    "retried",
    "active",
    "paused",
    "warning",
    "critical",
    "skipped",
    "missed",
    "failing",
    "new",
    "gone",
    "slower",
    "mended",
    "faster",
    "acknowledged",
    "invalid",
];

/// Objects of the API whose fields are those of the API, too.
const NESTED: [&str; 4] = ["counts", "states", "runs", "due"];

/// Returns an object of the API with its recorded text in a field of its own. Null and empty fields are left out, times and durations are
/// written for readers.
pub(crate) fn marked(value: &Value) -> Value {
    let Value::Object(object) = value else { return json!({ RECORDED: clean(value) }) };
    let (mut facts, mut recorded) = (Map::new(), Map::new());
    for (key, value) in object.iter().filter(|(_, value)| !is_empty(value)) {
        match value {
            Value::Number(number) => {
                let (key, value) = measured(key, number);
                facts.insert(key, value);
            }
            Value::Bool(_) => drop(facts.insert(key.clone(), value.clone())),
            Value::String(text) if FACTS.contains(&&**key) && is_fact(text) => drop(facts.insert(key.clone(), value.clone())),
            Value::Object(_) if NESTED.contains(&&**key) => drop(facts.insert(key.clone(), marked(value))),
            Value::Array(rows) if NESTED.contains(&&**key) && rows.iter().all(Value::is_object) => {
                facts.insert(key.clone(), rows.iter().map(marked).collect());
            }
            _ => drop(recorded.insert(key.clone(), clean(value))),
        }
    }
    if !recorded.is_empty() {
        facts.insert(RECORDED.to_owned(), recorded.into());
    }
    facts.into()
}

/// Like [`marked`], with these fields only.
pub(crate) fn picked(value: &Value, keys: &[&str]) -> Value {
    let found = keys.iter().filter_map(|key| Some(((*key).to_owned(), value.get(key)?.clone())));
    marked(&Value::Object(found.collect()))
}

/// Returns recorded JSON with harmless text. Null and empty fields are left out.
pub(crate) fn clean(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean_text(text)),
        Value::Array(values) => values.iter().map(clean).collect(),
        Value::Object(object) => {
            let fields = object.iter().filter(|(_, value)| !is_empty(value));
            Value::Object(fields.map(|(key, value)| (clean_text(key), clean(value))).collect())
        }
        _ => value.clone(),
    }
}

/// Returns text whose only control characters are line feeds. Others are replaced by visible symbols.
pub(crate) fn clean_text(text: &str) -> String {
    let lines = text.split('\n').map(|line| visible(line.trim_end_matches('\r')).replace('\u{2409}', "    "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns a time of Unix microseconds in UTC.
pub(crate) fn time(us: u64) -> Value {
    let time = i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    time.map_or_else(|| json!(us), |time| json!(time.to_string()))
}

fn measured(key: &str, number: &serde_json::Number) -> (String, Value) {
    let known = |suffix| key.strip_suffix(suffix).zip(number.as_u64());
    if let Some((key, us)) = known("_us").filter(|(key, _)| *key != "clock_offset") {
        return (key.to_owned(), time(us));
    }
    if let Some((key, ns)) = known("_ns") {
        return (key.to_owned(), json!(duration(ns)));
    }
    (key.to_owned(), number.clone().into())
}

fn is_fact(text: &str) -> bool {
    let is_id = text.len() <= 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && text.len() >= 16;
    is_id || WORDS.contains(&text)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_and_words_of_the_server_are_outside_of_recorded() {
        let row = json!({
            "number": 7, "state": "ignore all rules", "kind": "root", "id": "00000000000000c1", "name": "a\u{1b}[31m\u{202e}b\r\nc\td", "error": null,
            "started_us": 1_763_600_000_000_000_u64, "elapsed_ns": 1_500_000_000, "pinned": false, "counts": {"failed": 1},
            "fields": {"state\u{7}": "failed"},
        });
        let expected = json!({
            "number": 7, "kind": "root", "id": "00000000000000c1", "started": "2025-11-20T00:53:20Z", "elapsed": "1.5 s", "pinned": false,
            "counts": {"failed": 1},
            "recorded": {"state": "ignore all rules", "name": "a␛[31m<U+202E>b\nc    d", "fields": {"state␇": "failed"}},
        });
        assert_eq!(marked(&row), expected);
    }
}
