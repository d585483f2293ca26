//! Commands for workers, with the real binaries: sent by the command line and over HTTP, executed by programs and by raw channels.
#![cfg(target_os = "linux")]

mod cancel;
mod control;
mod durable;
mod hostile;
mod listed;
mod many;
mod programs;
mod queues;
mod raw;
mod switching;

use monitor_tests::Server;
use serde_json::{Value, json};

/// Sends a command. Returns its status and the answer. With `with_token`, the request has the token of the data folder.
fn ask(server: &Server, request: &Value, with_token: bool, key: Option<&str>) -> (u16, Value) {
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(None).build().unwrap();
    let mut post = client.post(format!("{}/api/v1/commands", server.url())).json(request);
    if with_token {
        post = post.bearer_auth(server.token());
    }
    if let Some(key) = key {
        post = post.header("idempotency-key", key);
    }
    let response = post.send().expect("the server answers");
    (response.status().as_u16(), response.json().expect("the answer is JSON"))
}

/// Names and statuses of a command's lines.
fn statuses(command: &Value) -> Vec<(&str, &str)> {
    let lines = command["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().map(|line| (line["name"].as_str().unwrap_or_default(), line["status"].as_str().unwrap_or_default())).collect()
}

/// The current time, in Unix microseconds.
fn now_us() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros() as u64
}

/// A durable command for the worker with this name.
fn order(method: &str, name: &str, timeout_ms: u64, until_us: u64) -> Value {
    json!({"method": method, "to": {"workers": [name]}, "timeout_ms": timeout_ms, "until_us": until_us})
}

/// The value of a line in `/metrics`.
fn metric(server: &Server, name: &str) -> u64 {
    let (_, text) = server.ask("GET", "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_else(|| panic!("{name} in {text}"));
    line.parse().expect("a number")
}
