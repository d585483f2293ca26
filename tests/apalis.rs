//! Tasks of apalis with a real Redis, from the sending program to the workers.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command};
use std::time::{SystemTime, UNIX_EPOCH};

use monitor_tests::{Finished, Redis, Server, command, example, outline, run, wait_for};
use serde_json::{Value, json};

/// A sender or worker.
struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
}

fn program(server: Option<&Server>, redis: &Redis, what: &str, rest: &[&str]) -> Command {
    let mut command = example("monitor-test-apalis", server);
    command.args([what, redis.url()]).args(rest);
    command.env("MONITOR_HEARTBEAT", "300ms").env("MONITOR_EXIT_TIMEOUT", "60s").env("MONITOR_COMMANDS", "all");
    command
}

impl Program {
    fn start(mut command: Command) -> Self {
        use std::process::Stdio;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        let mut program = Self { child, lines };
        program.says("ready");
        program
    }

    fn worker(server: Option<&Server>, redis: &Redis, name: &str) -> Self {
        Self::start(program(server, redis, "work", &["视频", name]))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it says something");
        line.trim_end().to_owned()
    }

    /// Checks that this is the next line.
    fn says(&mut self, expected: &str) {
        assert_eq!(self.line(), expected);
    }

    /// Lines up to and including this line.
    fn until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            let line = self.line();
            assert!(!line.is_empty(), "it ended without {last:?}: {lines:?}");
            lines.push(line);
        }
        lines
    }

    /// Closes the standard input, which ends the program, and waits for the end.
    fn ends(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends films by a program that then ends. Returns their ids.
fn sent(server: Option<&Server>, redis: &Redis, titles: &[&str]) -> Vec<String> {
    let mut sender = Program::start(program(server, redis, "send", &[&["视频"], titles].concat()));
    writeln!(sender.child.stdin.as_mut().expect("its input")).expect("it reads");
    let ids = titles.iter().map(|_| sender.line()).collect();
    sender.ends();
    ids
}

/// The task with this id in the queue, as soon as it has this phase.
fn task(server: &Server, id: &str, phase: &str) -> Value {
    wait_for(&format!("{id} to be {phase}"), || {
        let tasks = server.get(&format!("/processes?native_id={id}"))["processes"].take();
        tasks.as_array()?.iter().find(|task| task["task"]["phase"] == phase).cloned()
    })
}

/// The task with this id in the queue, as soon as it has this state.
fn task_in(server: &Server, id: &str, state: &str) -> Value {
    wait_for(&format!("{id} to be {state}"), || {
        let tasks = server.get(&format!("/processes?native_id={id}"))["processes"].take();
        tasks.as_array()?.iter().find(|task| task["state"] == state).cloned()
    })
}

/// Waits until Redis contains a lock of a worker for the task.
fn wait_for_lock(redis: &Redis, id: &str) {
    let mut connection = redis::Client::open(redis.url()).expect("a URL").get_connection().expect("Redis");
    wait_for("the lock of the task", || {
        let status: Option<String> = redis::cmd("HGET").arg(format!("视频:meta:{id}")).arg("status").query(&mut connection).expect("Redis");
        (status.as_deref() == Some("Running")).then_some(())
    });
}

/// Result of a `monitor` command with this order for the only worker.
fn told(server: &Server, line: &str) -> Finished {
    let mut monitor = command("monitor");
    monitor.args(line.split(' ')).args(["--json", "--server", server.url(), "-t", "20s"]).env("MONITOR_TOKEN", server.token());
    run(monitor)
}

/// Answer of the only worker, which must execute the order.
fn answer(server: &Server, line: &str) -> Value {
    let finished = told(server, line);
    assert_eq!(finished.code, Some(0), "{line}: {}{}", finished.stdout, finished.stderr);
    let command: Value = serde_json::from_str(&finished.stdout).expect("it is JSON");
    command["lines"][0]["value"].clone()
}

fn wait_for_channel(server: &Server) {
    wait_for("its channel", || server.ask("GET", "/metrics").1.contains("\nmonitor_channels 1\n").then_some(()));
}

fn error(task: &Value) -> &str {
    task["error"]["message"].as_str().unwrap_or_default()
}

#[test]
fn a_task_is_the_same_process_from_its_sender_to_its_end() {
    let (server, redis) = (Server::start(), Redis::start());
    let titles = ["七武士", "again at once", "again later", "aborts", "panics"];
    let ids = sent(Some(&server), &redis, &titles);
    let waits = task(&server, &ids[0], "sent");
    assert_eq!((&waits["name"], &waits["state"], &waits["task"]["queue"]), (&json!("渲染"), &json!("pending"), &json!("视频")));
    assert_eq!(waits["task"]["kwargs"], json!({"title": "七武士"}));

    let mut worker = Program::worker(Some(&server), &redis, "放映员");
    let done = task(&server, &ids[0], "succeeded");
    assert_eq!(done["task"]["result"], json!({"frames": 3}));
    assert_eq!(done["fields"]["apalis.worker"], "放映员", "{done}");
    let again = task(&server, &ids[1], "succeeded");
    let failed: Vec<_> = again["attempts"].as_array().unwrap().iter().map(error).collect();
    assert_eq!((&again["attempt"], &failed[..2]), (&json!(3), &["at once, said again at once"; 2][..]), "{again}");
    // This task waited in Redis for its next attempt.
    let later = task(&server, &ids[2], "succeeded");
    assert_eq!((&later["attempt"], error(&later["attempts"][0])), (&json!(2), "not yet"), "{later}");
    let aborted = task(&server, &ids[3], "failed");
    assert_eq!((&aborted["attempt"], error(&aborted)), (&json!(1), "AbortError: 胶片坏了"), "{aborted}");
    let panicked = task(&server, &ids[4], "failed");
    let traceback = panicked["task"]["traceback"].as_str().unwrap_or_default();
    assert!(error(&panicked) == "the film tore" && traceback.starts_with("panic at tests/apalis/main.rs"), "{panicked}");
    worker.ends();

    let tree = server.tree(&server.finished_root());
    let programs: BTreeSet<&str> = tree.iter().filter_map(|process| process["worker_id"].as_str()).collect();
    assert_eq!(programs.len(), 2, "of the sender and the worker: {tree:?}");
    // The worker starts several tasks at once, in any order.
    let shown = outline(&tree);
    let mut parts: Vec<&str> = shown.trim_end().split("\n  渲染").collect();
    parts.sort_unstable();
    let encoded = "\n    encode";
    assert_eq!(parts, [encoded, encoded, encoded, " [failed]: AbortError: 胶片坏了", " [failed]: the film tore", "send films"], "{shown}");
    assert_eq!(server.roots().len(), 1);
}

#[test]
fn a_failing_task_is_retried_as_often_as_its_backend_specifies() {
    let (server, redis) = (Server::start(), Redis::start());
    let id = sent(Some(&server), &redis, &["fails"]).remove(0);
    let mut worker = Program::worker(Some(&server), &redis, "w");
    let retried = task(&server, &id, "retried");
    assert_eq!((&retried["state"], error(&retried["attempts"][0])), (&json!("pending"), "no film"), "{retried}");
    let second = worker.until("begun fails 2");
    assert!(second.contains(&"error: no film".to_owned()), "{second:?}");
    worker.ends();
}

/// The sender isn't monitored. All attempts of the task still belong to a single process.
#[test]
fn a_task_that_was_pushed_by_a_program_that_is_not_monitored_begins_a_tree() {
    let (server, redis) = (Server::start(), Redis::start());
    assert_eq!(run(program(None, &redis, "push", &["视频", "again later"])).code, Some(0));
    let mut worker = Program::worker(Some(&server), &redis, "w");
    let done = wait_for("the task", || {
        let tasks = server.get("/queue-tasks?state=succeeded")["tasks"].take();
        tasks.as_array()?.first().cloned()
    });
    assert_eq!((&done["name"], &done["attempt"], &done["parent_id"]), (&json!("film"), &json!(2), &json!(null)), "{done}");
    assert_eq!(done["task"]["args"], json!("again later"), "{done}");
    assert_eq!(server.roots().len(), 1);
    worker.ends();
}

#[test]
fn without_monitoring_the_tasks_run_unchanged() {
    let (server, redis) = (Server::start(), Redis::start());
    let ids = sent(None, &redis, &["a", "panics"]);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2);
    let mut worker = Program::worker(None, &redis, "w");
    let mut lines = worker.until("error: AbortError: PanicError: the film tore");
    // The worker handles both tasks at the same time.
    if !lines.iter().any(|line| line == "begun a 1") {
        lines.extend(worker.until("begun a 1"));
    }
    lines.sort();
    assert_eq!(lines, ["begun a 1", "begun panics 1", "error: AbortError: PanicError: the film tore"]);
    worker.ends();
    assert_eq!(server.roots(), [] as [Value; 0]);
}

#[test]
fn operators_pause_limit_revoke_and_end_a_worker() {
    let (server, redis) = (Server::start(), Redis::start());
    let mut worker = Program::worker(Some(&server), &redis, "w");
    wait_for_channel(&server);
    assert_eq!(answer(&server, "inspect active-queues"), json!({"queues": [{"name": "视频"}]}));

    // A paused worker takes no tasks from the queue.
    assert_eq!(answer(&server, "control pause")["paused"], true);
    let paused = sent(Some(&server), &redis, &["a"]).remove(0);
    task(&server, &paused, "sent");
    assert_eq!(answer(&server, "inspect reserved")["tasks"], json!([]));
    answer(&server, "control resume");
    worker.says("begun a 1");
    task(&server, &paused, "succeeded");

    // The first task of the hour starts, and further tasks wait.
    answer(&server, "control rate-limit 渲染 1/h");
    sent(Some(&server), &redis, &["b"]);
    worker.says("begun b 1");
    let limited = sent(Some(&server), &redis, &["c"]).remove(0);
    wait_for("the next one to wait", || {
        let reserved = answer(&server, "inspect reserved")["tasks"].take();
        (reserved[0]["uuid"] == *limited).then_some(())
    });
    answer(&server, &format!("control revoke {limited}"));
    task(&server, &limited, "revoked");
    worker.says("error: AbortError: the task was revoked");
    answer(&server, "control rate-limit 渲染 0");

    // A running task is ended by a user or by its time limit.
    let hangs = sent(Some(&server), &redis, &["hangs"]).remove(0);
    worker.says("begun hangs 1");
    assert_eq!(answer(&server, &format!("control revoke {hangs} --terminate"))["terminated"], 1);
    worker.says("error: AbortError: the task was revoked");
    assert_eq!(task(&server, &hangs, "revoked")["state"], "cancelled");
    answer(&server, "control time-limit 渲染 50ms 100ms");
    let late = sent(Some(&server), &redis, &["hangs"]).remove(0);
    worker.says("begun hangs 1");
    worker.says("error: AbortError: the time limit is over");
    assert_eq!(error(&task(&server, &late, "failed")), "the time limit is over");
    answer(&server, "control time-limit 渲染 0 0");

    // A third task starts after the pool has grown.
    sent(Some(&server), &redis, &["hangs", "hangs"]);
    worker.says("begun hangs 1");
    worker.says("begun hangs 1");
    let third = sent(Some(&server), &redis, &["d"]).remove(0);
    assert_eq!(answer(&server, "inspect stats")["pool"]["busy"], 2);
    task(&server, &third, "sent");
    answer(&server, "control pool-grow 1");
    worker.says("begun d 1");

    // All running tasks return to the queue.
    answer(&server, "control shutdown --now");
    let ended = worker.until("ended");
    assert_eq!(ended.iter().filter(|line| *line == "error: DeferredError: the worker ends").count(), 2, "{ended:?}");
    assert!(worker.child.wait().unwrap().success());
    let mut next = Program::worker(Some(&server), &redis, "another");
    next.says("begun hangs 2");
    next.says("begun hangs 2");
}

#[test]
fn an_idle_worker_ends_on_a_shutdown_command() {
    let (server, redis) = (Server::start(), Redis::start());
    let mut worker = Program::worker(Some(&server), &redis, "w");
    wait_for_channel(&server);
    answer(&server, "control shutdown");
    worker.says("ended");
}

#[test]
fn a_task_that_redis_does_not_take_is_shown_as_rejected() {
    let (server, redis) = (Server::start(), Redis::start());
    let mut sender = Program::start(program(Some(&server), &redis, "send", &["视频", "七武士"]));
    drop(redis);
    writeln!(sender.child.stdin.as_mut().unwrap()).unwrap();
    let line = sender.line();
    assert!(line.starts_with("not sent: "), "{line}");
    sender.ends();
    let tree = server.tree(&server.finished_root());
    let rejected = tree.iter().find(|process| process["kind"] == "task").expect("the task");
    assert_eq!((&rejected["state"], &rejected["task"]["phase"]), (&json!("cancelled"), &json!("rejected")), "{rejected}");
}

/// A fetch that is answered during the pause stops the heartbeats of the worker.
#[test]
fn a_worker_that_is_paused_during_a_fetch_continues_after_the_pause() {
    let (server, redis) = (Server::start(), Redis::start());
    let mut worker = Program::worker(Some(&server), &redis, "w");
    wait_for_channel(&server);
    let mut connection = redis::Client::open(redis.url()).expect("a URL").get_connection().expect("Redis");
    let order = |method: &str| assert_eq!(server.order("POST", "/commands", &json!({"method": method, "timeout_ms": 20_000})).0, 200);
    wait_for("a pause that begins during a fetch", || {
        wait_for("a worker that waits for Redis", || {
            // A fetch without an answer within 500 ms fails.
            let _: () = redis::cmd("CLIENT").arg(&["PAUSE", "400", "WRITE"]).query(&mut connection).expect("Redis");
            let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut connection).expect("Redis");
            clients.split(' ').any(|part| part.strip_prefix("flags=").is_some_and(|flags| flags.contains('b'))).then_some(())
        });
        order("pause");
        let mut beat = || redis::cmd("ZSCORE").arg("视频:workers").arg("w").query::<f64>(&mut connection).expect("Redis");
        let first = beat();
        let is_fetching = wait_for("a heartbeat, or none for three seconds", || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
            (beat() > first).then_some(false).or((now > first + 4.0).then_some(true))
        });
        if !is_fetching {
            order("resume");
        }
        is_fetching.then_some(())
    });
    order("resume");
    let id = answer(&server, r#"call film --kwargs {"title":"a"}"#)["uuid"].as_str().expect("an id").to_owned();
    task(&server, &id, "succeeded");
    worker.says("begun a 1");
    worker.ends();
}

#[test]
fn operators_start_count_purge_and_retry_tasks() {
    let (server, redis) = (Server::start(), Redis::start());
    let mut worker = Program::worker(Some(&server), &redis, "w");
    wait_for_channel(&server);
    let call = |line: &str| answer(&server, &format!("call film {line}"))["uuid"].as_str().expect("an id").to_owned();
    let waiting = || answer(&server, "inspect queues")["queues"][0]["waiting"].clone();
    let lists = |id: &str, word: &str| {
        let finished = told(&server, &format!("retry {id}"));
        assert!(finished.code == Some(6) && finished.stdout.contains(word), "{id}: {}{}", finished.stdout, finished.stderr);
    };

    let done = call(r#"--kwargs {"title":"七武士"} -Q 视频"#);
    worker.says("begun 七武士 1");
    let shown = task(&server, &done, "succeeded");
    assert_eq!((&shown["name"], &shown["task"]["queue"], &shown["parent_id"]), (&json!("film"), &json!("视频"), &json!(null)), "{shown}");
    assert_eq!(shown["task"]["kwargs"], json!({"title": "七武士"}), "{shown}");
    for (line, word) in [
        ("mix", "there is no task"),
        (r#"film --args [7]"#, "these are not its arguments"),
        (r#"film --args [{"title":"a"}] --kwargs {"title":"b"}"#, "one argument"),
        (r#"film --kwargs {"title":"a"} -Q sound"#, "no other queue"),
        (r#"film --kwargs {"title":"a"} --expires 1h"#, "no time after which"),
    ] {
        let finished = told(&server, &format!("call {line}"));
        assert!(finished.code == Some(6) && finished.stdout.contains(word), "{line}: {}{}", finished.stdout, finished.stderr);
    }

    // The task runs again under another id, whatever its outcome was.
    let again = answer(&server, &format!("retry {done}"))["tasks"][0]["uuid"].as_str().expect("an id").to_owned();
    assert_ne!(again, done);
    worker.says("begun 七武士 1");
    task(&server, &again, "succeeded");
    let aborts = call(r#"--args [{"title":"aborts"}]"#);
    worker.until("error: AbortError: 胶片坏了");
    task(&server, &aborts, "failed");
    wait_for("its end to be with Redis", || (told(&server, &format!("retry {aborts}")).code == Some(0)).then_some(()));
    worker.until("error: AbortError: 胶片坏了");
    for odd in ["nobody", "七", "\u{1b}[31m", "*"] {
        lists(odd, "has ended in the queue");
    }

    // Tasks that wait for a worker or for their time are counted and deleted.
    answer(&server, "control pause");
    let waits = [call(r#"--kwargs {"title":"a"}"#), call(r#"--kwargs {"title":"b"} --countdown 1h"#)];
    let pushed = run(program(None, &redis, "push", &["视频", "of somebody else"]));
    assert_eq!((pushed.code, waiting()), (Some(0), json!(3)));
    lists(&waits[0], "has ended in the queue");
    assert_eq!(answer(&server, "purge --dry-run")["count"], 3);
    assert_eq!(answer(&server, "purge --force -X 视频")["count"], 0);
    assert_eq!((answer(&server, "purge --force")["queues"].clone(), waiting()), (json!([{"name": "视频", "count": 3}]), json!(0)));
    for id in &waits {
        assert_eq!(task(&server, id, "revoked")["state"], "cancelled");
    }
    answer(&server, "control resume");
    let last = call(r#"--kwargs {"title":"c"}"#);
    worker.says("begun c 1");
    task(&server, &last, "succeeded");
    worker.ends();
}

#[test]
fn errors_of_redis_are_reported() {
    let (server, redis) = (Server::start(), Redis::start());
    let _worker = Program::worker(Some(&server), &redis, "w");
    wait_for_channel(&server);
    answer(&server, "control pause");
    drop(redis);
    for line in [r#"call film --kwargs {"title":"a"}"#, "retry nobody", "purge --force"] {
        let finished = told(&server, line);
        assert_ne!(finished.code, Some(0), "{line}: {}{}", finished.stdout, finished.stderr);
    }
}

/// Redis delivers the task again without counting the attempt.
#[test]
fn each_worker_that_is_killed_is_an_attempt() {
    let (server, redis) = (Server::start(), Redis::start());
    let id = sent(Some(&server), &redis, &["hangs"]).remove(0);
    for attempt in 1..=3 {
        let mut worker = Program::worker(Some(&server), &redis, &format!("w{attempt}"));
        worker.says("begun hangs 1");
        let runs = wait_for("the attempt", || {
            let task = server.get(&format!("/processes?native_id={id}"))["processes"][0].take();
            (task["attempt"] == attempt && task["state"] == "running").then_some(task)
        });
        let workers: BTreeSet<&str> =
            runs["attempts"].as_array().into_iter().flatten().filter_map(|attempt| attempt["worker_id"].as_str()).collect();
        assert!(attempt == 1 || workers.len() == attempt, "each attempt has a worker of its own: {runs}");
        wait_for_lock(&redis, &id);
        worker.child.kill().unwrap();
        worker.child.wait().unwrap();
        task_in(&server, &id, "lost");
    }
}

#[test]
fn tasks_run_during_server_downtime_and_are_reported_later() {
    let (mut server, redis) = (Server::start(), Redis::start());
    let mut worker = Program::worker(Some(&server), &redis, "w");
    wait_for_channel(&server);
    server.kill();
    let mut sender = Program::start(program(Some(&server), &redis, "send", &["视频", "a", "b", "aborts"]));
    writeln!(sender.child.stdin.as_mut().unwrap()).unwrap();
    let ids: Vec<String> = (0..3).map(|_| sender.line()).collect();
    let mut begun: Vec<String> = (0..4).map(|_| worker.line()).collect();
    begun.sort();
    assert_eq!(begun, ["begun a 1", "begun aborts 1", "begun b 1", "error: AbortError: 胶片坏了"]);
    server.start_again();
    for (id, phase) in ids.iter().zip(["succeeded", "succeeded", "failed"]) {
        task(&server, id, phase);
    }
    sender.ends();
    worker.ends();
    let tree = server.tree(&server.finished_root());
    assert_eq!(tree.iter().filter(|process| process["kind"] == "task").count(), 3, "{tree:?}");
}
