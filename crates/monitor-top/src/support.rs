//! Models for tests.

use monitor_wire::{ErrorStats, LogEntry, Process, ProcessId, QueueCounts, Root, RootId, Worker};
use serde_json::{Value, json};

use crate::data::{Facts, Model};

/// Noon of a fixed day, in Unix µs.
pub(crate) const NOON_US: u64 = 1_795_435_200_000_000;

/// Returns the time `seconds` after noon, in Unix µs.
pub(crate) fn at(seconds: u64) -> u64 {
    NOON_US + seconds * 1_000_000
}

/// Adds fields to an object.
fn with(mut object: Value, more: Value) -> Value {
    let (Value::Object(known), Value::Object(more)) = (&mut object, more) else { panic!("objects") };
    known.extend(more);
    object
}

pub(crate) fn root_id(number: u64) -> RootId {
    format!("{number:032x}").parse().unwrap()
}

pub(crate) fn process_id(number: u64) -> ProcessId {
    format!("{number:016x}").parse().unwrap()
}

/// Creates a tree that started `number` seconds after noon.
pub(crate) fn root(number: u64, name: &str, state: &str, more: Value) -> Root {
    let counts = json!({"pending": 0, "running": 0, "succeeded": 1, "failed": 0, "cancelled": 0, "lost": 0});
    let base = json!({
        "root_id": root_id(number), "number": number, "name": name, "batch": null, "title": format!("{name} <{number}>"), "state": state,
        "started_us": at(number), "ended_us": null, "elapsed_ns": null, "worker_id": null, "counts": counts, "error": null,
    });
    serde_json::from_value(with(base, more)).unwrap()
}

/// Creates a process of the first tree.
pub(crate) fn process(number: u64, depth: u32, name: &str, state: &str, more: Value) -> Process {
    let base = json!({
        "id": process_id(number), "root_id": root_id(1), "parent_id": null, "name": name, "kind": "normal", "state": state, "native_id": null,
        "attempt": 1, "started_us": at(number), "ended_us": null, "elapsed_ns": null, "worker_id": null, "thread": null, "source": null,
        "error": null, "reason": null, "exit_code": null, "signal": null, "attachment": "explicit", "orphan": false, "links": [],
        "fields": {}, "progress": null, "fold": null, "depth": depth,
    });
    serde_json::from_value(with(base, more)).unwrap()
}

pub(crate) fn failed(message: &str, took_s: u64, number: u64) -> Value {
    json!({
        "error": {"kind": "error", "message": message, "chain": ["no route to host"]},
        "ended_us": at(number + took_s), "elapsed_ns": took_s * 1_000_000_000,
    })
}

pub(crate) fn done(took_s: u64, number: u64) -> Value {
    json!({"ended_us": at(number + took_s), "elapsed_ns": took_s * 1_000_000_000})
}

pub(crate) fn worker(number: u64, program: &str, state: &str, more: Value) -> Worker {
    let base = json!({
        "id": root_id(number), "hostname": "build-1", "pid": 4_000 + number, "program": program, "version": "1.2.3", "state": state,
        "started_us": at(0), "last_seen_us": at(number), "offline_us": null, "lost_us": null, "heartbeat_interval_ms": 2_000, "dropped": [],
        "running": number,
    });
    serde_json::from_value(with(base, more)).unwrap()
}

pub(crate) fn counts(name: &str, states: &Value) -> QueueCounts {
    serde_json::from_value(json!({"name": name, "states": states})).unwrap()
}

pub(crate) fn error(name: &str, message: &str, count: u64) -> ErrorStats {
    let base = json!({"shape": message, "message": message, "name": name, "count": count, "last_us": at(9), "root_id": root_id(1), "id": process_id(4)});
    serde_json::from_value(base).unwrap()
}

pub(crate) fn line(number: u64, level: &str, message: &str) -> LogEntry {
    let base = json!({
        "process_id": process_id(2), "time_us": at(number), "level": level, "message": message, "target": "import", "stream": null, "fields": {},
        "worker_id": root_id(7), "number": number,
    });
    serde_json::from_value(base).unwrap()
}

/// Creates trees in each state, with various names.
pub(crate) fn roots() -> Facts {
    let all = [
        root(
            9,
            "夜间导入 nightly import of everything",
            "running",
            json!({"counts": {"pending": 2, "running": 3, "succeeded": 1_234, "failed": 0, "cancelled": 0, "lost": 0}}),
        ),
        root(8, "e\u{1b}[31mvil\u{7}\u{202e}", "failed", failed("could not reach the database\nno route\u{9b}31m", 3, 8)),
        root(5, "backup", "succeeded", done(59, 5)),
        root(3, "rotate", "lost", json!({})),
        root(1, "pipeline", "cancelled", done(2, 1)),
    ];
    Facts::of(all.into_iter().map(|root| Model::Root(root.into())))
}

/// Creates a tree with several levels.
pub(crate) fn tree() -> Facts {
    let all = [
        process(1, 0, "pipeline", "running", json!({"kind": "root"})),
        process(2, 1, "下载 download", "succeeded", done(2, 2)),
        process(3, 1, "import", "running", json!({})),
        process(4, 2, "write rows", "failed", failed("no such table", 1, 4)),
        process(5, 2, "write rows", "succeeded", done(3, 5)),
        process(6, 1, "notify", "pending", json!({"started_us": null})),
    ];
    let root = root(1, "pipeline", "running", json!({}));
    Facts { root: Some(root.into()), ..Facts::of(all.into_iter().map(|process| Model::Process(process.into()))) }
}
