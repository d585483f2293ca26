//! Tasks of a queue, from the sending program to the programs that handle them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};

use monitor_tests::{Server, run, wait_for, worker};
use serde_json::{Value, json};

/// Tickets of this number of tasks, from a sender that has ended.
fn sent(server: &Server, count: usize) -> Vec<String> {
    let finished = run(worker(server, &["sends-tasks", &count.to_string()]));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout.lines().map(str::to_owned).collect()
}

/// A program that executes actions with tickets.
struct Receiver {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Receiver {
    fn start(server: &Server) -> Self {
        let mut child = worker(server, &["receives-tasks"]).env("MONITOR_HEARTBEAT", "300ms").spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Receiver { child, lines }
    }

    fn does(&mut self, action: &str, ticket: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{action} {ticket}").unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn ends(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// The task of a ticket at the server, as soon as it meets the condition.
fn task(server: &Server, ticket: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let ticket: Value = serde_json::from_str(ticket).unwrap();
    let path = format!("/processes?native_id={}", ticket["uuid"].as_str().unwrap());
    wait_for(what, || server.get(&path)["processes"].as_array().unwrap().iter().find(|task| is(task)).cloned())
}

fn phase(task: &Value) -> Value {
    json!([task["state"], task["task"]["phase"]])
}

#[test]
fn each_result_of_a_worker_sets_the_state_of_its_task() {
    let server = Server::start();
    let tickets = sent(&server, 8);
    let waits = task(&server, &tickets[0], "a task that was sent", |_| true);
    assert_eq!(phase(&waits), json!(["pending", "sent"]));
    assert_eq!(waits["task"]["args"], json!([0]));
    assert_eq!(waits["task"]["kwargs"], json!([["height", 720]]));

    let mut receiver = Receiver::start(&server);
    let cases = [
        ("run", json!(["succeeded", "succeeded"])),
        ("fails", json!(["failed", "failed"])),
        ("returns", json!(["succeeded", "succeeded"])),
        ("refuses", json!(["cancelled", "rejected"])),
        ("gives-back", json!(["pending", "requeued"])),
        ("too-late", json!(["cancelled", "revoked"])),
        ("drops", json!(["cancelled", "revoked"])),
    ];
    for ((action, expected), ticket) in cases.iter().zip(&tickets) {
        receiver.does(action, ticket);
        let told = task(&server, ticket, action, |told| phase(told) == *expected);
        assert_eq!(told["kind"], "task");
        assert_eq!(told["name"], "render");
        assert_eq!(told["task"]["queue"], "video");
        assert_eq!(told["task"]["result"], if *action == "returns" { json!({"frames": 24}) } else { json!(null) });
    }
    assert!(receiver.does("retries", &tickets[7]).contains("\"retries\":1"));
    let again = task(&server, &tickets[7], "a retry", |told| phase(told) == json!(["pending", "retried"]));
    assert_eq!(again["attempt"], 2);
    assert_eq!(again["attempts"][0]["error"]["message"], "no film", "{again}");
    receiver.ends();

    // All tasks are in the sender's tree, below the sender, with their callees.
    let tree = server.tree(&server.roots()[0]);
    let count = |name: &str| tree.iter().filter(|process| process["name"] == name).count();
    assert_eq!((count("send films"), count("render"), count("encode")), (1, 8, 2), "{tree:?}");
    let sender = tree.iter().find(|process| process["name"] == "send films").unwrap();
    assert!(tree.iter().filter(|process| process["name"] == "render").all(|task| task["parent_id"] == sender["id"]));
    assert_eq!(server.roots().len(), 1);
}

#[test]
fn a_shown_result_is_recorded_and_calls_appear_below_their_task() {
    let server = Server::start();
    let tickets = sent(&server, 3);
    let mut receiver = Receiver::start(&server);
    for ((action, result), ticket) in [("shows", json!(24)), ("shows-later", json!("24"))].into_iter().zip(&tickets) {
        assert_eq!(receiver.does(action, ticket), "done");
        let task = task(&server, ticket, action, |told| told["state"] == "succeeded");
        assert_eq!(task["task"]["result"], result);
        let tree = server.tree(&server.roots()[0]);
        assert!(tree.iter().any(|process| process["name"] == "encode" && process["parent_id"] == task["id"]), "{tree:?}");
    }
    assert_eq!(receiver.does("shows-no-error", &tickets[2]), "no film");
    let failed = task(&server, &tickets[2], "a failure", |told| told["state"] == "failed");
    assert_eq!((&failed["task"]["result"], &failed["error"]["message"]), (&json!(null), &json!("no film")));
    receiver.ends();
}

#[test]
fn a_traceback_has_type_place_message_and_causes_of_the_error() {
    let server = Server::start();
    let ticket = sent(&server, 1).remove(0);
    let mut receiver = Receiver::start(&server);
    assert_eq!(receiver.does("fails-for-a-reason", &ticket), "no film");
    receiver.ends();
    let failed = task(&server, &ticket, "a failure", |told| told["state"] == "failed");
    let traceback = failed["task"]["traceback"].as_str().unwrap();
    let (place, rest) = traceback.split_once(": ").unwrap();
    assert!(place.starts_with("anyhow::Error at tests/worker/tasks.rs:"), "{traceback}");
    assert_eq!(rest, "no film\n  caused by: no disk");
}

#[test]
fn the_next_attempt_runs_on_another_worker_after_a_kill_of_the_first() {
    let server = Server::start();
    let ticket = sent(&server, 1).remove(0);
    let mut first = Receiver::start(&server);
    assert_eq!(first.does("hangs", &ticket), "hangs");
    let running = task(&server, &ticket, "a task that runs", |told| told["state"] == "running");
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let lost = task(&server, &ticket, "a task that was lost", |told| told["state"] == "lost");
    assert_eq!(lost["worker_id"], running["worker_id"]);

    let mut message: Value = serde_json::from_str(&ticket).unwrap();
    message["retries"] = json!(1);
    let mut second = Receiver::start(&server);
    assert_eq!(second.does("run", &message.to_string()), "done");
    let done = task(&server, &ticket, "a task that is done", |told| told["state"] == "succeeded");
    assert_eq!(done["attempt"], 2);
    assert_ne!(done["worker_id"], running["worker_id"]);
    second.ends();
}

#[test]
fn a_task_can_be_received_before_its_sent_event_or_without_a_sender() {
    let server = Server::start();
    let mut receiver = Receiver::start(&server);
    // The sender delays its events until its end, so the server doesn't have them yet.
    let known = r#"{"uuid":"known","traceparent":"00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01","name":"render"}"#;
    assert_eq!(receiver.does("run", known), "done");
    let done = task(&server, known, "a task without its sender", |told| told["state"] == "succeeded");
    assert_eq!((&done["id"], &done["root_id"]), (&json!("a3ce929d0e0e4736"), &json!("0199a3ce929d0e0e47360199a3ce929d")));
    let late = json!({"version": 1, "sent_us": 1, "sequence": 1, "worker": {"id": "00000000000000000000000000000001", "hostname": "h", "pid": 1, "program": "p"},
        "events": [{"type": "task-sent", "root_id": done["root_id"], "id": done["id"], "time_us": 5, "name": "render", "queue": "video", "native_id": "known"}]});
    let answer = server.post(&late);
    assert_eq!(answer.0, 200, "{answer:?}");
    let done = task(&server, known, "its sender", |told| told["task"]["queue"] == "video");
    assert_eq!(phase(&done), json!(["succeeded", "succeeded"]));

    // Tickets with unreadable content still become tasks.
    let hostile = [r#"{"uuid":"broken","traceparent":"00-nonsense","name":"\u0000\u001b[31m"}"#, r#"{"uuid":"bare"}"#];
    for ticket in hostile {
        assert_eq!(receiver.does("run", ticket), "done");
        let told = task(&server, ticket, "a task of its own", |told| told["state"] == "succeeded");
        assert!(told["parent_id"].is_null(), "{told}");
    }
    assert_eq!(receiver.does("run", "{}"), "done");
    let heartbeat = wait_for("figures of the worker", || {
        let workers = server.get("/workers");
        workers["workers"].as_array().unwrap().iter().find(|worker| worker["processed"] == 4).cloned()
    });
    assert_eq!(heartbeat["active"], 0, "{heartbeat}");
    assert_eq!(heartbeat["loadavg"].as_array().unwrap().len(), 3, "{heartbeat}");
    receiver.ends();
}
