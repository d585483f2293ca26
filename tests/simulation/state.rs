//! The visible state of a server, without values that only the server determines.

use monitor_tests::Server;
use serde_json::{Map, Value, json};

/// Numbers that the server assigns, values of its clock, and estimates that depend on both.
const OF_THE_SERVER: [&str; 9] =
    ["number", "title", "as_of", "last_seen_us", "clock_offset_us", "expected_ns", "expected_p95_ns", "overdue", "next_cursor"];

/// Trees with their logs, workers and statistics.
pub(crate) fn state(server: &Server) -> Value {
    let mut trees = Map::new();
    for root in server.roots() {
        let id = root["root_id"].as_str().expect("a root has an id");
        let tree = server.get(&format!("/roots/{id}/tree?limit=100000"));
        let logs = server.get(&format!("/roots/{id}/logs?limit=1000"));
        trees.insert(id.to_owned(), json!({"tree": tree, "logs": logs}));
    }
    let mut workers = Map::new();
    for worker in server.get("/workers?limit=1000")["workers"].as_array().expect("a list") {
        let id = worker["id"].as_str().expect("a worker has an id");
        workers.insert(id.to_owned(), server.get(&format!("/workers/{id}")));
    }
    let status = server.get("/status");
    let sums = ["events", "unknown_events", "roots", "processes", "workers", "dropped"].map(|key| (key.to_owned(), status[key].clone()));
    let mut state = json!({
        "trees": trees, "workers": workers, "sums": Map::from_iter(sums),
        "names": only(&["name", "count", "succeeded", "failed", "cancelled", "lost", "other", "total_ns"], &server.get("/stats?sort=name&limit=1000")["stats"]),
        "errors": only(&["shape", "name", "count"], &server.get("/stats/errors?limit=1000")["errors"]),
    });
    strip(&mut state);
    state
}

/// The parts of statistics that remain exact after later corrections, so not the maximum and not the last value.
fn only(keys: &[&str], list: &Value) -> Vec<Value> {
    let rows = list.as_array().expect("a list").iter();
    let mut rows: Vec<Value> = rows.map(|row| keys.iter().map(|key| ((*key).to_owned(), row[*key].clone())).collect()).collect();
    // The server orders them by the last value, which is left out here.
    rows.sort_by_key(Value::to_string);
    rows
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !OF_THE_SERVER.contains(&key.as_str()));
            object.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// First difference of two states, as a path and both values.
pub(crate) fn difference(path: &str, found: &Value, expected: &Value) -> Option<String> {
    match (found, expected) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            keys.into_iter().find_map(|key| difference(&format!("{path}/{key}"), &found[key.as_str()], &expected[key.as_str()]))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            (0..one.len()).find_map(|place| difference(&format!("{path}/{place}"), &found[place], &expected[place]))
        }
        _ => (found != expected).then(|| format!("{path}: {found}, in order {expected}")),
    }
}
