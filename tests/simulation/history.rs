//! The true events: several workers, shared trees, and every kind of event.

use fastrand::Rng;
use serde_json::{Value, json};

/// Unix microseconds of the first event.
const BEGIN_US: u64 = 1_763_600_000_000_000;
const NAMES: [&str; 4] = ["load", "根任务", "'; DROP TABLE process; --", "<b>"];

/// An event and its worker.
pub(crate) struct Told {
    /// Index of the worker.
    pub(crate) worker: usize,
    /// The event as JSON.
    pub(crate) event: Value,
}

/// All events in the order in which they happened.
pub(crate) struct History {
    /// Ids of the workers.
    pub(crate) workers: Vec<String>,
    /// Events, oldest first.
    pub(crate) told: Vec<Told>,
}

/// A tree during its generation.
struct Tree {
    root_id: String,
    processes: u64,
    /// Number of events about its folds.
    folded: u64,
}

fn id(number: u64) -> String {
    format!("{:016x}", number + 1)
}

impl History {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let workers: Vec<String> = (0..rng.usize(2..5)).map(|_| format!("{:032x}", rng.u128(1..))).collect();
        let mut trees: Vec<Tree> =
            (0..rng.usize(1..4)).map(|_| Tree { root_id: format!("{:032x}", rng.u128(1..)), processes: 0, folded: 0 }).collect();
        let mut told: Vec<Told> = Vec::new();
        let mut time_us = BEGIN_US;
        for worker in 0..workers.len() {
            let event = json!({"type": "worker-online", "started_us": time_us, "version": "1.0", "heartbeat_interval_ms": 0});
            told.push(Told { worker, event });
        }
        for _ in 0..rng.usize(60..200) {
            // Some events have the same time.
            time_us += rng.u64(0..50);
            let worker = rng.usize(..workers.len());
            let tree = rng.choice(&mut trees).expect("at least one");
            let mut event = if tree.processes == 0 || rng.u8(..10) < 4 { begin(rng, tree) } else { go_on(rng, tree) };
            event["time_us"] = json!(time_us);
            told.push(Told { worker, event });
        }
        for worker in 0..workers.len() {
            time_us += 1;
            // A worker that doesn't report its end leaves its processes open.
            if rng.bool() {
                told.push(Told { worker, event: json!({"type": "worker-offline", "time_us": time_us}) });
            }
        }
        for told in told.iter_mut().filter(|told| told.event["time_us"].is_null()) {
            told.event["time_us"] = json!(BEGIN_US);
        }
        Self { workers, told }
    }

    /// Events of a worker, oldest first.
    pub(crate) fn of(&self, worker: usize) -> Vec<Value> {
        self.told.iter().filter(|told| told.worker == worker).map(|told| told.event.clone()).collect()
    }
}

/// Starts or enqueues a process below any other process of its tree.
fn begin(rng: &mut Rng, tree: &mut Tree) -> Value {
    let (own_id, parent_id) = (id(tree.processes), (tree.processes > 0).then(|| id(rng.u64(..tree.processes))));
    tree.processes += 1;
    let mut event = json!({
        "type": "process-started", "root_id": tree.root_id, "id": own_id, "parent_id": parent_id, "kind": if parent_id.is_some() { "normal" } else { "root" },
        "name": NAMES[rng.usize(..NAMES.len())],
    });
    match rng.u8(..8) {
        0 => event["type"] = json!("process-queued"),
        1 => event["fields"] = json!({"n": rng.u8(..)}),
        2 => event["batch"] = json!(format!("batch{}", rng.u8(..3))),
        3 => (event["thread"], event["source"]) = (json!("main"), json!({"file": "src/main.rs", "line": rng.u8(..)})),
        4 => event["kind"] = json!("host"),
        _ => {}
    }
    event
}

/// An event about an existing process, possibly by another worker than the one that began it.
fn go_on(rng: &mut Rng, tree: &mut Tree) -> Value {
    let own_id = id(rng.u64(..tree.processes));
    let more = match rng.u8(..12) {
        0 => json!({"type": "process-updated", "fields": {"state": rng.u8(..4)}, "name": NAMES[rng.usize(..NAMES.len())]}),
        1 => json!({"type": "process-updated", "parent_id": id(rng.u64(..tree.processes))}),
        2 => json!({"type": "process-progressed", "done": rng.u8(..9), "total": 9, "unit": "rows"}),
        3 => json!({"type": "process-logged", "level": "warn", "message": format!("line {}", rng.u8(..))}),
        4 => folded(rng, tree),
        5 => json!({"type": "process-started", "kind": "normal", "name": NAMES[rng.usize(..NAMES.len())], "attempt": rng.u8(1..4)}),
        6 => json!({"type": "moon-phase", "phase": rng.u8(..4)}),
        7 => json!({"type": "process-ended", "outcome": "failed", "attempt": rng.u8(1..4),
                    "error": {"kind": "error", "message": format!("no such table {}", rng.u8(..3)), "chain": ["query failed"]}}),
        _ => {
            json!({"type": "process-ended", "outcome": if rng.u8(..5) == 0 { "cancelled" } else { "succeeded" }, "elapsed_ns": rng.u32(..)})
        }
    };
    let mut event = json!({"root_id": tree.root_id, "id": own_id});
    event.as_object_mut().expect("an object").append(&mut more.as_object().expect("an object").clone());
    event
}

/// A fold below any process. Its name is constant, and its counts only increase.
fn folded(rng: &mut Rng, tree: &mut Tree) -> Value {
    let parent = rng.u64(..tree.processes);
    tree.folded += 1;
    let n = tree.folded;
    json!({
        "type": "process-folded", "id": id(0xf000 + parent), "parent_id": id(parent), "kind": "normal", "name": "leaf", "shard": rng.u8(..2),
        "revision": n, "count": 5 * n, "running": 0, "failed": n, "cancelled": 0, "total_ns": 70 * n, "min_ns": 3, "max_ns": 40,
        "histogram": [[30, 4 * n], [90, n]],
    })
}
