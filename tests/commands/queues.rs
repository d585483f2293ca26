//! Tasks that operators start, delete and run again, each by one worker, by the command line and over HTTP.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};

use monitor_tests::{Server, command, run, wait_for, worker};
use serde_json::{Value, json};

use crate::{ask, metric};

/// A worker with separate queues.
struct Worker {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a worker and waits until its channel is open.
    fn start(server: &Server, queues: &str, commands: &str) -> Self {
        let before = metric(server, "monitor_channels");
        let mut child = worker(server, &["queues", queues]).env("MONITOR_COMMANDS", commands).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut worker = Self { child, lines };
        worker.says("ready");
        wait_for("its channel", || (metric(server, "monitor_channels") > before).then_some(()));
        worker
    }

    /// Handles all waiting tasks.
    fn works(&mut self) {
        writeln!(self.child.stdin.as_mut().expect("its input"), "work").expect("it reads");
        self.says("worked");
    }

    /// Checks that this is the next line.
    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it says something");
        assert_eq!(line.trim_end(), expected);
    }

    fn name(&self) -> String {
        format!("*:{}", self.child.id())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `monitor` with these words. Returns the exit code, the output and the errors.
fn monitor(server: &Server, words: &[&str]) -> (i32, String, String) {
    let mut monitor = command("monitor");
    monitor.args(words).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
    if !words.contains(&"list") && !words.contains(&"result") {
        monitor.args(["-t", "20s"]);
    }
    let finished = run(monitor);
    (finished.code.expect("it ends"), finished.stdout, finished.stderr)
}

/// Runs `monitor`, which must succeed. Returns its output.
fn says(server: &Server, words: &[&str]) -> String {
    let (code, text, errors) = monitor(server, words);
    assert_eq!(code, 0, "{words:?}: {text}{errors}");
    text
}

fn commands(server: &Server) -> usize {
    server.get("/commands?limit=1000")["commands"].as_array().expect("a list").len()
}

#[test]
fn a_task_is_started_by_the_worker_that_consumes_its_queue() {
    let server = Server::start();
    let (code, _, errors) = monitor(&server, &["call", "render"]);
    assert!(code == 5 && errors.contains("no worker supports \"call\"") && errors.contains("MONITOR_COMMANDS"), "{code} {errors}");
    let mut workers = ["video", "sound,声音", "mail"].map(|queues| Worker::start(&server, queues, "all"));

    let uuid = says(&server, &["call", "混音", "--args", "[7, {\"a\": null}]", "--kwargs", "{\"size\": \"4k\"}", "-Q", "声音"]);
    workers[1].says("called 混音 声音");
    let path = format!("/queue-tasks?q=id:{}", uuid.trim());
    let task = wait_for("the task", || server.get(&path)["tasks"].as_array()?.first().cloned());
    assert_eq!((&task["name"], &task["task"]["queue"]), (&json!("混音"), &json!("声音")), "{task}");
    assert_eq!((&task["task"]["args"], &task["task"]["kwargs"]), (&json!([7, {"a": null}]), &json!({"size": "4k"})), "{task}");

    // The command waits for the result of the task.
    let result = std::thread::scope(|scope| {
        let calling = scope.spawn(|| monitor(&server, &["call", "render", "--args", "[9]", "--queue", "video", "--wait", "30s"]));
        workers[0].says("called render video");
        workers[0].works();
        calling.join().unwrap()
    });
    assert!(result.0 == 0 && result.1.trim() == "{\"film\":9}", "{result:?}");

    // By the selected worker. A dry run starts nothing.
    let mail = workers[2].name();
    let (code, _, errors) = monitor(&server, &["call", "send", "-d", &mail]);
    assert!(code == 0 && errors.contains("has put it into its queue"), "{errors}");
    workers[2].says("called send mail");
    let tried = says(&server, &["call", "send", "--dry-run"]);
    assert!(tried.lines().count() == 1 && tried.contains("waiting"), "{tried}");

    // Unusual names are only data.
    let odd = "a\u{1b}[31m\"'$(x)";
    says(&server, &["call", odd, "-d", &mail]);
    workers[2].says(&format!("called {odd} mail"));
    for (words, code, part) in [
        (&["call", "refused", "-d", &mail][..], 6, "0 of 1"),
        (&["call", "panic", "-d", &mail], 6, "0 of 1"),
        (&["call", &"x".repeat(4_096)], 2, "`name`"),
        (&["call", "a", "--args", "{"], 2, "a list as JSON"),
        (&["call", "a", "--kwargs", "[]"], 2, "an object as JSON"),
        (&["call", "a", "-d", "nobody@h"], 4, "there is no worker"),
        (&["control", "call", "a"], 2, "monitor call"),
    ] {
        let (found, text, errors) = monitor(&server, words);
        assert!(found == code && errors.contains(part), "{words:?}: {found} {text}{errors}");
    }
}

#[test]
fn over_http_a_task_starts_once_per_key_for_authorized_callers() {
    let server = Server::start();
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(None).build().unwrap();
    let post = |path: &str, body: &str, with_token: bool, key: &str| {
        let request = client.post(format!("{}/api/v1/queue-tasks{path}", server.url())).header("content-type", "application/json");
        let request = if with_token { request.bearer_auth(server.token()) } else { request };
        let response = request.header("idempotency-key", key).body(body.to_owned()).send().expect("the server answers");
        (response.status().as_u16(), response.json::<Value>().expect("JSON"))
    };
    let call = r#"{"name": "render", "args": [1], "timeout_ms": 20000}"#;
    let (status, problem) = post("", call, true, "early");
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("no worker that is online offers it"), "{problem}");
    let (mut worker, _reads) = (Worker::start(&server, "video", "all"), Worker::start(&server, "video", "read"));

    let (status, called) = post("", call, true, "one");
    assert_eq!(status, 201, "{called}");
    assert!(called["worker"].as_str().unwrap().ends_with(&worker.name()[1..]), "{called}");
    // Concurrent calls with the same key and with other keys.
    std::thread::scope(|scope| {
        let again: Vec<_> = (0..4).map(|_| scope.spawn(|| post("", call, true, "one"))).collect();
        for again in again {
            let (status, same) = again.join().unwrap();
            assert_eq!((status, &same["uuid"]), (201, &called["uuid"]), "{same}");
        }
    });
    assert_eq!(post("", r#"{"name": "other"}"#, true, "one").0, 409);
    let (_, other) = post("", call, true, "two");
    assert_ne!(other["uuid"], called["uuid"]);
    worker.says("called render video");
    worker.says("called render video");

    let (status, problem) = post("", r#"{"name": "refused", "timeout_ms": 20000}"#, true, "three");
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("there is no such task here"), "{problem}");
    let before = commands(&server);
    for (path, body, status, words) in [
        ("", "{", 400, ""),
        ("", "[]", 400, ""),
        ("", r#"{"args": []}"#, 400, "name"),
        ("", r#"{"name": "a", "arguments": []}"#, 400, "arguments"),
        ("", r#"{"name": "", "timeout_ms": 1000}"#, 400, "`name`"),
        ("", r#"{"name": "a", "eta_us": 1, "countdown_ms": 1}"#, 400, "`countdown_ms`"),
        ("", r#"{"name": "a", "timeout_ms": 1}"#, 400, "timeout_ms"),
        ("/revoke", r#"{"ids": []}"#, 400, "`ids`"),
        ("/retry", r#"{"ids": "a"}"#, 400, "ids"),
    ] {
        let (found, problem) = post(path, body, true, "wrong");
        assert!(found == status && problem["detail"].as_str().unwrap().contains(words), "{body}: {found} {problem}");
    }
    // A token that may only read changes nothing.
    for (path, body) in [("", call), ("/revoke", r#"{"ids": ["a"]}"#), ("/retry", r#"{"ids": ["known"]}"#)] {
        assert_eq!(post(path, body, false, "reader").0, 401, "{path}");
    }
    assert_eq!(ask(&server, &json!({"method": "purge", "timeout_ms": 20_000}), false, None).0, 401);
    assert_eq!(commands(&server), before, "nobody was asked");

    let (status, retried) = post("/retry", r#"{"ids": ["known-1", "nobody", "known-1"], "timeout_ms": 20000}"#, true, "four");
    assert_eq!(status, 200, "{retried}");
    let tasks = json!([{"id": "known-1", "uuid": "known-1-again"}, {"id": "nobody", "error": "no task \"nobody\" has ended here"}]);
    assert_eq!(retried["tasks"], tasks);
    let (status, revoked) = post("/revoke", r#"{"ids": ["known-2"], "timeout_ms": 20000}"#, true, "five");
    assert!(status == 200 && revoked["counts"]["ok"] == 1, "{revoked}");
    // Both workers report the queue. Their order in the answer depends on their names.
    let queues = server.get("/queues?timeout=20000");
    let told = queues["queues"][0]["workers"].as_array().expect("they were asked");
    assert!(told.len() == 2 && told.iter().any(|queue| queue["waiting"] == 2), "{queues}");

    let (_, audit) = server.ask("GET", "/api/v1/audit?limit=1000");
    let audit: Value = serde_json::from_str(&audit).unwrap();
    let entries = audit["entries"].as_array().unwrap();
    let is_start = |action: &str| action.contains("start a task of a queue") && action.contains("render");
    assert!(entries.iter().any(|entry| is_start(entry["action"].as_str().unwrap())), "{audit}");
    assert!(entries.iter().any(|entry| entry["outcome"] == "done: 1 of 2 run again"), "{audit}");
}

#[test]
fn waiting_tasks_are_counted_before_a_purge_of_the_selected_queues() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "video,sound", "all");
    for queue in ["video", "video", "sound"] {
        says(&server, &["call", "render", "-Q", queue]);
        worker.says(&format!("called render {queue}"));
    }
    let listed = says(&server, &["queue", "list", "--ask", "20s"]);
    assert!(listed.contains("2 waiting") && listed.contains("1 waiting"), "{listed}");
    let inspected = says(&server, &["inspect", "queues"]);
    assert!(inspected.contains("sound") && inspected.contains("video"), "{inspected}");
    // Without a terminal, no confirmation is possible.
    let (code, text, errors) = monitor(&server, &["purge"]);
    assert!(code == 2 && text.contains("3 waiting in 2 queues") && errors.contains("--force"), "{code} {text}{errors}");
    let counted = says(&server, &["purge", "--dry-run", "-Q", "video"]);
    assert!(counted.contains("2 waiting in 1 queue"), "{counted}");
    let excluded = says(&server, &["purge", "-X", "video", "--force"]);
    assert!(excluded.contains("1 thrown away in 1 queue"), "{excluded}");
    let answer: Value = serde_json::from_str(&says(&server, &["purge", "--force", "--json"])).unwrap();
    assert_eq!(answer["lines"][0]["value"], json!({"queues": [{"name": "video", "count": 2}], "count": 2}));
    assert!(says(&server, &["purge"]).contains("0 waiting"), "there is nothing to ask about");
    assert!(says(&server, &["purge", "-Q", "nobody's"]).contains("0 waiting"));
    assert_eq!(monitor(&server, &["purge", "-Q", ""]).0, 2);
}

#[test]
fn tasks_are_retried_by_their_worker_and_the_exit_code_shows_failures() {
    let server = Server::start();
    let _workers = ["video", "sound"].map(|queues| Worker::start(&server, queues, "all"));
    let text = says(&server, &["retry", "known-1", "known-2"]);
    assert!(text.contains("known-1  runs again as known-1-again") && text.lines().count() == 2, "{text}");
    let (code, text, errors) = monitor(&server, &["retry", "known-1", "视频", "\u{1b}"]);
    assert!(code == 6 && text.contains("not run: no task") && errors.contains("1 of 3 tasks run again"), "{code} {text}{errors}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(monitor(&server, &["retry", &"x".repeat(4_096)]).0, 2);
    // Each order goes to one worker.
    let lines = |command: &Value| server.get(&format!("/commands/{}", command["id"].as_str().unwrap()))["lines"].as_array().unwrap().len();
    let all = server.get("/commands");
    assert!(all["commands"].as_array().unwrap().iter().all(|command| lines(command) == 1), "{all}");
}

#[test]
fn tasks_are_listed_by_the_name_of_their_worker_and_by_time() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "video", "all");
    let uuid = says(&server, &["call", "render", "--args", "[9]", "-Q", "video"]);
    worker.says("called render video");
    worker.works();
    let uuid = uuid.trim();
    let task = wait_for("its end", || {
        let task = server.get(&format!("/queue-tasks?q=id:{uuid}"))["tasks"].get(0).cloned()?;
        (task["state"] == "succeeded").then_some(task)
    });
    let of = server.get(&format!("/workers/{}", task["worker_id"].as_str().expect("it ran")));
    let (host, program, pid) = (of["hostname"].as_str().unwrap(), of["program"].as_str().unwrap(), of["pid"].as_u64().unwrap());
    let list = |words: &[&str]| {
        let mut monitor = command("monitor");
        monitor.args(["queue", "tasks", "--server", server.url()]).args(words);
        let finished = run(monitor);
        (finished.code.expect("it ends"), finished.stdout, finished.stderr)
    };
    for (words, is_listed) in [
        (["--worker", of["id"].as_str().unwrap()], true),
        (["--worker", host], true),
        (["--worker", &format!("{program}@{host}")], true),
        (["--worker", &format!("{program}@{host}:{pid}")], true),
        (["--worker", "monitor-test-*"], true),
        (["--received-after", "10m ago"], true),
        (["--received-before", "10m ago"], false),
        (["--started-after", "2026-01-01"], true),
        (["--started-before", "2026-01-01T08:00Z"], false),
        (["--received-before", "1763600000123456"], false),
    ] {
        let (code, text, errors) = list(&words);
        assert!(code == 0 && text.contains(uuid) == is_listed, "{words:?}: {text}{errors}");
    }
    says(&server, &["call", "render", "-Q", "video"]);
    worker.says("called render video");
    wait_for("the second task", || (list(&["--limit", "2"]).1.lines().count() == 2).then_some(()));
    let (code, text, errors) = list(&["--limit", "1", "--json"]);
    let page: Value = serde_json::from_str(&text).expect("it is JSON");
    assert!(code == 0 && page["tasks"].as_array().map(Vec::len) == Some(1), "{text}{errors}");
    assert!(errors.contains("to continue the list: --cursor"), "{errors}");
    for (words, error) in [
        (["--worker", "nobody@nowhere"], "there is no worker \"nobody@nowhere\""),
        (["--worker", &format!("{program}@{host}x")], &format!("did you mean {program}@{host}?")),
        (["--state", "faild"], "did you mean failed?"),
        (["--received-after", "soon"], "such as 10m ago"),
    ] {
        let (code, text, errors) = list(&words);
        assert!(code == 2 && text.is_empty() && errors.contains(error), "{words:?}: {text}{errors}");
    }
}

#[test]
fn workers_are_listed_by_state_and_text_with_counts_of_their_tasks() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "video", "all");
    let gone = crate::raw::Raw::online(&server, 1, "gone");
    gone.offline(&server);
    for args in [&["--args", "[9]"][..], &["--args", "[8]"], &[]] {
        says(&server, &[&["call", "render", "-Q", "video"], args].concat());
        worker.says("called render video");
    }
    worker.works();
    let list = |words: &[&str]| {
        let mut monitor = command("monitor");
        monitor.args(["workers", "--server", server.url()]).args(words);
        let finished = run(monitor);
        (finished.code.expect("it ends"), finished.stdout, finished.stderr)
    };
    let line = wait_for("the ends of its tasks", || {
        list(&["--state", "online"]).1.lines().find(|line| line.contains("1 failed")).map(str::to_owned)
    });
    assert!(line.contains("monitor-test-worker@") && line.contains("  2 succeeded  1 failed"), "{line}");
    assert_eq!(list(&[]).1.lines().count(), 2);
    for (words, count) in [(&["--state", "offline"][..], 1), (&["--state", "lost"], 0), (&["--q", "P@H:1"], 1), (&["--q", "nobody"], 0)] {
        let (code, text, errors) = list(words);
        assert!(code == 0 && text.lines().count() == count, "{words:?}: {text}{errors}");
        assert!(text.lines().all(|line| line.contains("p@h:1") && line.contains("offline")), "{text}");
        assert_eq!(errors.contains("no workers here"), count == 0, "{errors}");
    }
    let (_, text, _) = list(&["--state", "online", "--json"]);
    let page: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(page["workers"][0]["tasks"], json!({"succeeded": 2, "failed": 1, "retried": 0}), "{page}");
    assert_eq!(page["workers"].as_array().map(Vec::len), Some(1));
    let (code, _, errors) = list(&["--state", "offlin"]);
    assert!(code == 2 && errors.contains("did you mean offline?"), "{errors}");
}

#[test]
fn an_assistant_puts_a_task_into_its_queue_again() {
    let server = Server::start_with(vec![("MONITOR_MCP", "operate".into())]);
    let _worker = Worker::start(&server, "video", "all");
    let (is_done, answer) = server.tool("retry_queue_task", &json!({"task": "known-1"}));
    assert!(is_done && answer["answer"]["recorded"]["tasks"] == json!([{"id": "known-1", "uuid": "known-1-again"}]), "{answer:#}");
    // The answer names a task that did not get into a queue.
    let (_, answer) = server.tool("retry_queue_task", &json!({"task": "nobody"}));
    assert!(answer.to_string().contains("no task \\\"nobody\\\" has ended here"), "{answer:#}");
    let (_, audit) = server.ask("GET", "/api/v1/audit?limit=1000");
    let audit: Value = serde_json::from_str(&audit).unwrap();
    let by = |entry: &&Value| entry["action"].as_str().is_some_and(|text| text.contains("known-1") && text.contains("(assistant/1)"));
    assert!(
        audit["entries"].as_array().unwrap().iter().any(|entry| by(&entry) && entry["outcome"] == "done: 1 of 1 run again"),
        "{audit:#}"
    );
}

#[test]
fn a_task_can_be_retried_found_and_shown_by_a_prefix_of_its_id() {
    let server = Server::start();
    let mut worker = Worker::start(&server, "video", "all");
    let id = says(&server, &["call", "render", "-Q", "video", "--args", "[7]"]).trim().to_owned();
    worker.says("called render video");
    wait_for("the task in the list", || server.get(&format!("/queue-tasks?q=id:{id}"))["tasks"].as_array()?.first().cloned());
    let digits = &id[..8];
    let (code, text, errors) = monitor(&server, &["retry", digits, &id]);
    assert!(code == 6 && text.contains(&format!("no task {id:?} has ended here")), "{code} {text}{errors}");
    says(&server, &["inspect", "query", &digits.to_uppercase()]);
    let sent = server.get("/commands?limit=2")["commands"].take();
    for (command, method) in sent.as_array().unwrap().iter().zip(["query", "retry"]) {
        assert_eq!((&command["method"], &command["arguments"]["ids"][0]), (&json!(method), &json!(id)), "{sent}");
    }
    worker.works();
    assert_eq!(says(&server, &["result", digits, "--wait", "20s"]), "{\"film\":7}\n");
    let before = commands(&server);
    for words in [["retry", "99999999"].as_slice(), &["inspect", "query", "99999999"], &["result", "99999999"]] {
        let (code, text, errors) = monitor(&server, words);
        assert!(
            code == 4 && text.is_empty() && errors.contains("no task with this id is known: 99999999"),
            "{words:?}: {code} {text}{errors}"
        );
    }
    assert_eq!(commands(&server), before, "nothing was sent");
}
