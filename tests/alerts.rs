//! Alerts on the real server: what fails is told once to a real receiver of HTTP, and so is its recovery, whoever is killed between.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use monitor_tests::{Server, wait_for};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const BEGIN_US: u64 = 1_763_600_000_000_000;

/// A receiver of webhooks. Its memory outlives it.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Seen {
    /// What it answers, if not 200.
    status: Option<u16>,
    /// All messages that it took, with their keys.
    taken: Vec<(String, Value)>,
    /// How many it refused.
    refused: usize,
}

impl Receiver {
    fn start() -> Self {
        let mut receiver = Self { address: "127.0.0.1:0".parse().unwrap(), seen: Arc::default(), runtime: None };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(receiver.address)).unwrap();
        receiver.address = listener.local_addr().unwrap();
        let app = axum::Router::new().route("/hook", post(receive)).with_state(receiver.seen.clone());
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver.runtime = Some(runtime);
        receiver
    }

    fn answer(&self, status: Option<u16>) {
        self.seen.lock().unwrap().status = status;
    }

    fn refused(&self) -> usize {
        self.seen.lock().unwrap().refused
    }

    /// The messages that were taken, as soon as there are so many.
    fn messages(&self, count: usize) -> Vec<Value> {
        wait_for("messages", || {
            let seen = self.seen.lock().unwrap();
            (seen.taken.len() >= count).then(|| seen.taken.iter().map(|(_, message)| message.clone()).collect())
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.runtime.take().expect("it listens").shutdown_background();
    }
}

async fn receive(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut seen = seen.lock().unwrap();
    if let Some(status) = seen.status {
        seen.refused += 1;
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    seen.taken.push((key, serde_json::from_slice(&body).expect("JSON")));
    StatusCode::OK.into_response()
}

/// A server whose alerts go to a receiver, and the folder of its settings.
fn start(rules: &str) -> (Server, Receiver, tempfile::TempDir) {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.toml");
    let channel = format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/hook\"\nprivate = true\n", receiver.address);
    std::fs::write(&file, format!("{rules}\n{channel}")).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    // Names are watched from when the file was read.
    (server, receiver, folder)
}

/// The events of a run of a task, the `number`th of a worker.
fn run(task: &str, number: u64, outcome: &str, error: &str) -> Value {
    let at_us = BEGIN_US + number * 60_000_000;
    let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}"), "native_id": format!("{task}@{number}.1")});
    let with = |more: Value| {
        let mut event = of.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let fields = json!({"task.name": task, "task.version": 1, "task.due_us": at_us, "task.trigger": "time", "task.agent": "db-1"});
    let error = if error.is_empty() { Value::Null } else { json!({"kind": "exit", "message": error}) };
    let code = i32::from(outcome != "succeeded");
    json!([
        with(json!({"type": "process-started", "time_us": at_us, "kind": "run", "name": task, "fields": fields})),
        with(json!({"type": "process-ended", "time_us": at_us + 9_000_000, "elapsed_ns": 9_000_000_000_u64, "outcome": outcome,
            "exit_code": code, "reason": "exited", "error": error})),
    ])
}

fn send(server: &Server, number: u64, events: &Value) {
    let worker = json!({"id": "5b0c000000000000000000000000a001", "hostname": "db-1", "pid": 1, "program": "p"});
    let batch = json!({"version": 1, "worker": worker, "sequence": number * 100_000 + 1, "sent_us": BEGIN_US, "events": events});
    let (status, answer) = server.post(&batch);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_run_that_fails_is_told_once_and_so_is_its_recovery_though_the_server_is_killed_between() {
    let (mut server, receiver, _folder) = start("");
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    let told = receiver.messages(1);
    let message = &told[0];
    assert_eq!((&message["kind"], &message["cause"], &message["rule"]), (&json!("fired"), &json!("failed"), &json!("failed")));
    assert_eq!((&message["subject"]["name"], &message["facts"]["exit_code"]), (&json!("gold"), &json!(1)));
    assert_eq!((&message["facts"]["error"], &message["facts"]["machine"]), (&json!("no prices"), &json!("db-1")));
    server.kill();
    server.start_again();
    send(&server, 2, &run("gold", 2, "failed", "no prices"));
    server.kill();
    server.start_again();
    send(&server, 3, &run("gold", 3, "succeeded", ""));
    // The second failure may be told as an update if it came within the time in which others join.
    let told = wait_for("the recovery", || {
        let told = receiver.messages(2);
        told.iter().any(|message| message["kind"] == "resolved").then_some(told)
    });
    let kinds: Vec<_> = told.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["fired", "resolved"], "{told:#?}");
    assert_eq!((&told[1]["alert"], &told[1]["count"]), (&told[0]["alert"], &json!(2)));
    let keys: std::collections::BTreeSet<_> = told.iter().map(|message| message["id"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), told.len(), "each message has an id of its own");
}

#[test]
fn what_a_receiver_refuses_is_sent_again_under_the_same_id() {
    let (mut server, receiver, _folder) = start("");
    receiver.answer(Some(500));
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    wait_for("an attempt", || (receiver.refused() > 0).then_some(()));
    server.kill();
    server.start_again();
    receiver.answer(None);
    let told = receiver.messages(1);
    assert_eq!(told[0]["kind"], "fired");
}

#[test]
fn ten_thousand_failures_of_one_cause_are_one_message_and_the_rest_is_an_update() {
    const COUNT: u64 = 10_000;
    let rule = "[[rule]]\nname = \"orders\"\non = { cause = [\"failed\"], name = \"order\" }\nto = [\"hook\"]\n";
    let (server, receiver, _folder) = start(rule);
    // The name is asked for once the file was read.
    wait_for("the rule", || server.get("/alerts/rules")["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == "orders").cloned());
    let failures = (1..=COUNT).flat_map(|number| {
        let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}"), "time_us": BEGIN_US + number});
        let with = |more: Value| {
            let mut event = of.clone();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let error = json!({"kind": "error", "message": format!("order {number} not found")});
        [
            with(json!({"type": "process-started", "kind": "root", "name": "order"})),
            with(json!({"type": "process-ended", "elapsed_ns": 1_000, "outcome": "failed", "error": error})),
        ]
    });
    send(&server, 1, &json!(failures.collect::<Vec<_>>()));
    let told = wait_for("an update with all of them", || {
        let told = receiver.messages(1);
        told.last().is_some_and(|message| message["count"] == COUNT).then_some(told)
    });
    let kinds: Vec<_> = told.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(
        (kinds[0], kinds.iter().filter(|kind| **kind == "fired").count(), kinds.last()),
        ("fired", 1, Some(&"updated")),
        "{kinds:?}"
    );
    let alert = server.get("/alerts?state=firing")["alerts"][0].clone();
    assert_eq!((&alert["subject"], &alert["count"]), (&json!("name:order"), &json!(COUNT)));
    let explained = server.get("/alerts/explain?root=1");
    assert_eq!(explained["signs"][0]["what"], "failed", "{explained}");
}

#[test]
fn the_command_line_shows_and_handles_alerts() {
    let (server, receiver, folder) = start("[[rule]]\nname = \"own\"\non = { cause = [\"failed\"], task = \"gold\" }\nto = [\"hook\"]\n");
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    receiver.messages(1);
    let alert = |args: &[&str]| {
        let mut monitor = monitor_tests::command("monitor");
        monitor.arg("alert").args(args).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
        let output = monitor.output().expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (is_done, listed, error) = alert(&["list"]);
    assert!(is_done && listed.contains("task:gold") && listed.contains("no prices"), "{listed}{error}");
    let shown: Value = serde_json::from_str(&alert(&["show", "1", "--json"]).1).unwrap();
    assert_eq!((&shown["alert"]["rule"], &shown["messages"][0]["state"]), (&json!("own"), &json!("sent")), "{shown}");
    let explained = alert(&["explain", "1"]).1;
    assert!(explained.contains("fired") && explained.contains("overruled"), "{explained}");
    assert!(alert(&["ack", "1"]).1.contains("looks after it"));
    let (is_done, hushes, error) = alert(&["snooze", "1", "--for", "2h", "--why", "at it"]);
    assert!(is_done && hushes.contains("alert:1"), "{hushes}{error}");
    assert!(alert(&["try", "own", "--days", "7"]).1.contains("fired 1 times"));
    assert!(alert(&["test", "hook"]).0 && receiver.messages(2)[1]["kind"] == "test");
    assert!(alert(&["resolve", "1"]).0 && receiver.messages(3)[2]["kind"] == "resolved", "it is told though it is snoozed");
    for (args, words) in [
        (vec!["show", "99"], "no alert 99"),
        (vec!["snooze", "1", "--for", "soon"], "expected a duration"),
        (vec!["maintenance", "add", "planet:earth", "--for", "1h"], "expected *"),
        (vec!["test", "none"], "no channel"),
        (vec!["try", "none"], "no rule"),
        (vec!["resolve", "1"], "is over"),
    ] {
        let (is_done, _, error) = alert(&args);
        assert!(!is_done && error.contains(words), "{args:?}: {error}");
    }
    // A mistake leaves all as it was, and is told with its place.
    std::fs::write(folder.path().join("alerts.toml"), "[[rule]]\nname = \"own\"\non = { cause = [\"faild\"] }\n").unwrap();
    let rules = wait_for("the mistake", || Some(alert(&["rules"]).1).filter(|rules| rules.contains("did you mean failed?")));
    assert!(rules.contains("alerts.toml:3:17:") && rules.contains("channel hook"), "{rules}");
    let audit = server.ask("GET", "/api/v1/audit").1;
    assert!(audit.contains("acknowledge an alert") && audit.contains("hush alerts"), "{audit}");
}
