//! Control of queue workers, by the command line and over HTTP.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};

use monitor_tests::{Server, command, run, wait_for, worker};
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::{ask, metric};

/// A worker whose tasks follow the commands of the test.
struct Worker {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a worker and waits until its channel is open.
    fn start(server: &Server, commands: &str) -> Self {
        let before = metric(server, "monitor_channels");
        let mut child = worker(server, &["works"]).env("MONITOR_COMMANDS", commands).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut worker = Self { child, lines };
        worker.says("ready");
        wait_for("its channel", || (metric(server, "monitor_channels") > before).then_some(()));
        worker
    }

    fn told(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("its input"), "{line}").expect("it reads");
    }

    /// Checks that this is the next line.
    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it says something");
        assert_eq!(line.trim_end(), expected);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `monitor` with these words. Returns the exit code, the output and the errors.
pub(crate) fn monitor(server: &Server, line: &str) -> (i32, String, String) {
    let mut monitor = command("monitor");
    monitor.args(line.split(' ')).args(["--server", server.url(), "-t", "20s"]);
    monitor.env("MONITOR_TOKEN", server.token());
    let finished = run(monitor);
    (finished.code.expect("it ends"), finished.stdout, finished.stderr)
}

/// Answer of the only worker, which must execute the order.
pub(crate) fn answer(server: &Server, line: &str) -> Value {
    let (code, text, errors) = monitor(server, &format!("{line} --json"));
    assert_eq!(code, 0, "{line}: {text}{errors}");
    let command: Value = serde_json::from_str(&text).expect("it is JSON");
    command["lines"][0]["value"].clone()
}

/// Ids of the tasks in a list of the only worker.
fn listed(server: &Server, list: &str) -> Vec<String> {
    let tasks = answer(server, &format!("inspect {list}"))["tasks"].take();
    tasks.as_array().expect("a list").iter().map(|task| task["uuid"].as_str().expect("an id").to_owned()).collect()
}

fn wait_for_reserved(server: &Server, expected: &[&str]) {
    wait_for("the task to wait for its turn", || (listed(server, "reserved") == expected).then_some(()));
}

#[test]
fn a_pool_grows_shrinks_and_pauses_for_the_given_time() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "all");
    for id in ["a", "b"] {
        worker.told(&format!("take render {id}"));
        worker.says(&format!("begun {id}"));
    }
    worker.told("take render c");
    wait_for_reserved(&server, &["c"]);
    let stats = answer(&server, "inspect stats");
    assert_eq!(stats["pool"], json!({"size": 2, "busy": 2, "min": 2, "max": 2, "paused": false}), "{stats}");
    assert_eq!((&stats["queues"], &stats["limits"]), (&json!(["video"]), &json!([])));
    assert_eq!(answer(&server, "control pool-grow 1")["size"], 3);
    worker.says("begun c");
    assert_eq!(answer(&server, "control pool-shrink 9")["max"], 1);
    let grown = answer(&server, "control autoscale 1 8 --for 1h");
    assert!(grown["max"] == 8 && grown["until_us"].is_u64(), "{grown}");
    worker.told("await render d");
    worker.says("begun d");

    assert_eq!(answer(&server, "control pause")["paused"], true);
    worker.told("take render e");
    wait_for_reserved(&server, &["e"]);
    assert_eq!(answer(&server, "control resume")["paused"], false);
    worker.says("begun e");
    answer(&server, "control pause --for 100ms");
    worker.told("await render f");
    worker.says("begun f");
    let found = answer(&server, "inspect query a f nobody");
    let found: Vec<_> = found["tasks"].as_array().unwrap().iter().map(|task| (&task["uuid"], &task["state"])).collect();
    assert_eq!(found, [(&json!("a"), &json!("active")), (&json!("f"), &json!("active"))]);

    // The running tasks are ended, and the answer arrives before the program has ended.
    assert_eq!(answer(&server, "control shutdown --now"), json!({"stopping": true}));
    assert!(worker.child.wait().unwrap().success());
}

#[test]
fn limits_of_rate_and_time_apply_until_they_are_reset() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "read,rate-limit,time-limit,pool-grow");
    answer(&server, "control pool-grow 20");
    let limit = answer(&server, "control rate-limit thumb 1/h");
    assert_eq!((&limit["name"], &limit["rate"]), (&json!("thumb"), &json!("1/h")));
    worker.told("take thumb a");
    worker.says("begun a");
    worker.told("await thumb b");
    wait_for_reserved(&server, &["b"]);
    worker.told("take render other");
    worker.says("begun other");
    answer(&server, "control rate-limit thumb 0");
    worker.says("begun b");
    answer(&server, "control rate-limit thumb 1/h --for 300ms");
    for id in ["c", "d"] {
        worker.told(&format!("take thumb {id}"));
        worker.says(&format!("begun {id}"));
    }

    let limit = answer(&server, "control time-limit render 50ms 100ms --for 1h");
    assert_eq!((&limit["soft_ms"], &limit["hard_ms"], limit["until_us"].is_u64()), (&json!(50), &json!(100), true));
    for action in ["take", "await"] {
        worker.told(&format!("{action} render {action}n"));
        worker.says(&format!("begun {action}n"));
        worker.says(&format!("ended {action}n: the time limit is over"));
    }
    assert_eq!(answer(&server, "inspect stats")["limits"][0]["name"], "render");
    let (code, text, _) = monitor(&server, "control pause");
    assert!(code == 6 && text.contains("refused") && text.contains("read,pause"), "{text}");
}

#[test]
fn a_revoked_task_is_not_run_by_present_or_later_workers() {
    let mut server = Server::start();
    // No worker exists yet, and the server is killed in between.
    assert_eq!(monitor(&server, "control revoke early").0, 5);
    server.kill();
    server.start_again();
    let mut worker = Worker::start(&server, "read,revoke");
    wait_for("what was revoked before", || (answer(&server, "inspect revoked")["ids"] == json!(["early"])).then_some(()));
    worker.told("take render early");
    worker.says("refused early: the task was revoked");
    let told = wait_for("the task's end", || {
        let tasks = server.get("/processes?native_id=early")["processes"].take();
        tasks.as_array()?.iter().find(|task| task["state"] == "cancelled").cloned()
    });
    assert_eq!(told["task"]["phase"], "revoked", "{told}");

    worker.told("later render planned");
    wait_for("the task to be scheduled", || (listed(&server, "scheduled") == ["planned"]).then_some(()));
    assert_eq!(answer(&server, "control revoke planned"), json!({"revoked": 1, "terminated": 0}));
    worker.says("refused planned: the task was revoked");
    for action in ["take", "await"] {
        worker.told(&format!("{action} render {action}n"));
        worker.says(&format!("begun {action}n"));
        assert_eq!(answer(&server, &format!("control revoke {action}n --terminate"))["terminated"], 1);
        worker.says(&format!("ended {action}n: the task was revoked"));
    }
    // Running tasks continue unless the order includes them.
    worker.told("take render goes-on");
    worker.says("begun goes-on");
    answer(&server, "control revoke goes-on");
    worker.told("end goes-on");
    worker.says("ended goes-on: done");
}

#[test]
fn a_task_is_revoked_by_the_first_digits_of_its_id() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "all");
    let (one, other) = ("8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b", "8a1c7f77-5d3b-4e6f-9a2b-1c0d9e8f7a6b");
    for id in [one, other] {
        worker.told(&format!("later render {id}"));
        wait_for("the task in the list", || server.get(&format!("/queue-tasks?q=id:{id}"))["tasks"].as_array()?.first().cloned());
    }
    for (line, words) in [
        ("control revoke 8a1c7f", "2 tasks have ids that begin with 8a1c7f"),
        ("control revoke 8a1c7f0e 99999999", "no task with this id is known: 99999999"),
        ("control revoke 8a1", "no task with this id is known: 8a1"),
    ] {
        let (code, text, errors) = monitor(&server, line);
        assert!(code == 4 && text.is_empty() && errors.contains(words), "{line}: {code} {text}{errors}");
    }
    assert_eq!(answer(&server, "inspect revoked")["ids"], json!([]), "nothing was sent");
    answer(&server, "control revoke 8A1C7F0E");
    worker.says(&format!("refused {one}: the task was revoked"));
    let (code, _, errors) = monitor(&server, &format!("control revoke {other}"));
    assert!(code == 0 && errors.is_empty(), "{errors}");
    worker.says(&format!("refused {other}: the task was revoked"));
    // The sender of a task may be unmonitored, so that an unknown id is only a warning.
    let (code, _, errors) = monitor(&server, "control revoke 99999999999999999999999999999999");
    assert!(code == 0 && errors.contains("no task with the id \"99999999999999999999999999999999\" is known"), "{errors}");
    assert_eq!(answer(&server, "inspect revoked")["ids"].as_array().map(Vec::len), Some(3));

    let (code, _, errors) = monitor(&server, "control rate-limit rendr 1/s");
    assert!(code == 0 && errors.contains("no task named \"rendr\" is known; did you mean render?"), "{errors}");
    let (code, _, errors) = monitor(&server, "control rate-limit render 1/s");
    assert!(code == 0 && errors.is_empty(), "{errors}");
}

#[test]
fn settings_are_shown_without_secrets_and_queues_can_be_joined_and_left() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "all");
    let conf = answer(&server, "inspect conf");
    assert_eq!(conf["tasks"], json!({"broker": "redis://worker:***@mq.example/0", "api_token": "***", "prefetch": 4}), "{conf}");
    assert_eq!((&conf["commands"], &conf["has_token"]), (&json!("all"), &json!(false)));
    assert_eq!(answer(&server, "control add-consumer 图像"), json!({"queues": ["video", "图像"]}));
    assert_eq!(answer(&server, "control cancel-consumer video"), json!({"queues": ["图像"]}));
    assert_eq!(answer(&server, "inspect active-queues"), json!({"queues": [{"name": "图像"}]}));
    let (code, text, _) = monitor(&server, "control cancel-consumer sound");
    assert!(code == 6 && text.contains("but from: 图像"), "{text}");
    answer(&server, "control shutdown");
    assert!(worker.child.wait().unwrap().success());
}

#[test]
fn mistakes_are_reported_with_suggestions_before_any_worker_is_contacted() {
    let server = Server::start();
    let worker = Worker::start(&server, "all");
    for (line, words) in [
        ("control rate-limit render ten", "\"ten\" is no rate"),
        ("control rate-limit render", "NAME 10/s"),
        ("control autoscale 3 2", "`min`"),
        ("control pool-grwo", "did you mean pool-grow?"),
        ("inspect query", "which tasks"),
        ("inspect ping a", "takes no argument"),
    ] {
        let (code, text, errors) = monitor(&server, line);
        assert!(code == 2 && text.is_empty() && errors.contains(words), "{line}: {code} {text}{errors}");
    }
    let (code, text, _) = monitor(&server, "control pause --dry-run");
    assert!(code == 0 && text.contains("waiting"), "{text}");
    let (code, text, _) = monitor(&server, "control --list");
    let paused = text.lines().find(|line| line.starts_with("pause ")).expect("it is named");
    assert!(code == 0 && paused.contains("monitor-test-worker@"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("restart ") && line.ends_with(" nobody now")), "{text}");
    assert!(monitor(&server, "inspect --list").1.lines().any(|line| line.starts_with("reserved ") && line.contains('@')));

    for (request, status, words) in [
        (json!({"method": "rate-limit", "arguments": {"name": "a", "rate": "1/y"}}), 400, "no rate"),
        (json!({"method": "revoke", "arguments": {"ids": []}}), 400, "`ids`"),
        (json!({"method": "pause", "arguments": {"for": "5m"}}), 400, "`for_ms`"),
        (json!({"method": "reserve"}), 400, "did you mean reserved?"),
    ] {
        let (code, problem) = ask(&server, &request, true, None);
        assert_eq!(code, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    assert_eq!(server.get("/commands")["commands"].as_array().unwrap().len(), 0, "nothing was sent");
    // A token that may only read gets answers and changes nothing.
    let read = |method: &str| ask(&server, &json!({"method": method, "timeout_ms": 20_000}), false, None).0;
    assert_eq!((read("reserved"), read("pause")), (200, 401));

    // Programs without a queue, and methods that no worker offers.
    drop(worker);
    let raw = Raw::online(&server, 1, "plain");
    let mut channel = raw.open();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| monitor(&server, "control pause -d plain@h"));
        let order = channel.order();
        assert_eq!((&order["method"], raw.reply(&order, "unsupported")), (&json!("pause"), 204));
        let (code, text, _) = asking.join().unwrap();
        assert!(code == 6 && text.contains("unsupported"), "{text}");
    });
}

#[test]
fn a_server_forwards_only_the_configured_commands() {
    let closed = Server::start_with(vec![("MONITOR_COMMANDS", "off".into())]);
    for request in [json!({"method": "ping"}), json!({"method": "pause"})] {
        let (status, problem) = ask(&closed, &request, true, None);
        assert_eq!(status, 403, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("`commands` is `off`"), "{problem}");
    }
    let (status, problem) = closed.order("POST", "/roots/1/cancel", &json!({}));
    assert!(status == 403 && problem["detail"].as_str().unwrap().contains("commands"), "{problem}");
    assert_eq!(monitor(&closed, "inspect ping").0, 1);

    let some = Server::start_with(vec![("MONITOR_COMMANDS", "read,pause".into())]);
    let status = |method: &str| ask(&some, &json!({"method": method}), true, None).0;
    assert_eq!([status("ping"), status("pause"), status("resume")], [200, 200, 403]);
}
