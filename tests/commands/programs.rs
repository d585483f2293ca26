//! Answers of monitored programs to commands.

use std::process::Child;

use monitor_tests::{Server, command, run, wait_for, worker};
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::{ask, statuses};

/// A program that runs until the test ends.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn begin(server: &Server, what: &[&str], commands: &str) -> Program {
    Program(worker(server, what).env("MONITOR_COMMANDS", commands).spawn().expect("it starts"))
}

/// Number of open channels.
fn channels(server: &Server) -> u64 {
    crate::metric(server, "monitor_channels")
}

fn wait_for_channels(server: &Server, count: u64) {
    wait_for("the channels", || (channels(server) == count).then_some(()));
}

fn inspect(server: &Server, args: &[&str]) -> (Option<i32>, String, String) {
    let mut inspect = command("monitor");
    inspect.arg("inspect").args(args).args(["--server", server.url()]);
    if !args.contains(&"-t") {
        inspect.args(["-t", "20s"]);
    }
    let finished = run(inspect);
    (finished.code, finished.stdout, finished.stderr)
}

#[test]
fn programs_answer_commands_and_the_exit_code_shows_if_all_succeeded() {
    let server = Server::start();
    let nobody = inspect(&server, &["ping"]);
    assert!(nobody.0 == Some(5) && nobody.2.contains("no reply"), "{nobody:?}");

    let _programs = [begin(&server, &["hang"], "read"), begin(&server, &["hang"], "")];
    wait_for_channels(&server, 2);
    let (code, text, errors) = inspect(&server, &["ping"]);
    assert_eq!((code, text.lines().count(), errors.as_str()), (Some(0), 2, ""), "{text}");
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words[0].starts_with("monitor-test-worker@") && words[0].contains(':'), "two share the name: {line}");
        assert_eq!((words[1], words.last()), ("ok", Some(&"pong")), "{line}");
    }
    let (code, text, _) = inspect(&server, &["active", "-d", "monitor-test-*", "-j"]);
    let command: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, command["counts"]["ok"].as_u64()), (Some(0), Some(2)), "{text}");
    for line in command["lines"].as_array().unwrap() {
        let names = line["value"]["processes"].as_array().unwrap().iter().map(|process| process["name"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["hang", "waits"]);
    }
    let name = command["lines"][0]["name"].as_str().unwrap();
    let (code, text, _) = inspect(&server, &["registered", "-d", name]);
    assert!(code == Some(0) && text.contains("hang") && text.contains("tests/worker/main.rs:"), "{text}");
    let (code, text, _) = inspect(&server, &["stats", "-d", name]);
    assert!(code == Some(0) && text.contains("  memory  ") && text.contains("dropped"), "{text}");

    // A worker that reports events but has never opened a channel, like woven programs and programs of OpenTelemetry.
    let _mute = Raw::online(&server, 7, "mute");
    let (code, text, errors) = inspect(&server, &["ping", "-d", "mute@h", "-t", "200ms"]);
    assert!(code == Some(5) && text.contains("unanswered") && errors.contains("no reply"), "{text}{errors}");
    let (code, text, errors) = inspect(&server, &["ping", "-t", "200ms"]);
    assert!(code == Some(6) && text.contains("pong") && errors.contains("2 of 3"), "{text}{errors}");
    let (code, _, errors) = inspect(&server, &["ping", "-d", "mute@i"]);
    assert!(code == Some(4) && errors.contains("did you mean mute@h?"), "{errors}");
    assert_eq!(inspect(&server, &["ping", "-d", "x*"]).0, Some(5), "a pattern that meets nobody");
    let (code, text, _) = inspect(&server, &["ping", "--dry-run"]);
    assert_eq!((code, text.matches("waiting").count()), (Some(0), 3), "{text}");
    assert_eq!(inspect(&server, &["destroy"]).0, Some(2));
}

#[test]
fn a_program_s_own_methods_are_its_own_choice_and_want_operate() {
    let server = Server::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let (all, read) = (begin(&server, &["offers", path], "all"), begin(&server, &["offers", path], "read"));
    wait_for_channels(&server, 2);
    let to = |program: &Program| json!({"glob": format!("*:{}", program.0.id())});
    let request = |method: &str, arguments: Value, program: &Program| json!({"method": method, "arguments": arguments, "to": to(program), "timeout_ms": 60_000});
    let one = |request: Value| {
        let (status, answer) = ask(&server, &request, true, None);
        assert_eq!(status, 200, "{answer}");
        answer["lines"][0].clone()
    };
    let line = one(request("double", json!({"n": 21}), &all));
    assert_eq!((line["status"].as_str(), line["value"].as_u64()), (Some("ok"), Some(42)));
    for (method, status, words) in [
        ("double", "error", "give a number"),
        ("panics", "error", "as it was told"),
        ("pause", "unsupported", "answers for tasks of a queue"),
    ] {
        let line = one(request(method, json!({}), &all));
        assert_eq!(line["status"], status, "{line}");
        assert!(line["error"].as_str().unwrap().contains(words), "{line}");
    }
    let (status, problem) = ask(&server, &request("doubles", json!({}), &all), true, None);
    assert!(status == 400 && problem["detail"].as_str().unwrap().contains("did you mean double?"), "{problem}");
    assert_eq!(one(request("double", json!({"n": 1}), &read))["status"], "refused");
    assert_eq!(ask(&server, &request("double", json!({"n": 1}), &all), false, None).0, 401, "who may only read changes nothing");
    assert_eq!(ask(&server, &request("ping", json!({}), &all), false, None).0, 200);

    // The audit log contains the user, the change, its arguments and its result.
    let (_, audit) = server.ask("GET", "/api/v1/audit?limit=1000");
    let audit: Value = serde_json::from_str(&audit).unwrap();
    let entries = audit["entries"].as_array().unwrap();
    let doubled = entries.iter().find(|entry| entry["action"].as_str().unwrap().contains("double {\"n\":21} to")).expect("it is recorded");
    assert_eq!((doubled["who"].as_str(), doubled["outcome"].as_str()), (Some("data folder"), Some("done: 1 ok")));
    let channel = server.get(&format!("/workers/{}/channel", one(request("ping", json!({}), &all))["worker_id"].as_str().unwrap()));
    assert!(channel["open_since_us"].is_u64() && channel["methods"].as_array().unwrap().contains(&json!("double")), "{channel}");
}

#[test]
fn a_forked_child_has_a_channel_of_its_own() {
    let server = Server::start();
    let program = begin(&server, &["forks-and-waits"], "read");
    wait_for_channels(&server, 2);
    let (_, answer) = ask(&server, &json!({"method": "ping", "timeout_ms": 60_000}), false, None);
    assert!(statuses(&answer).iter().all(|(_, status)| *status == "ok") && answer["lines"].as_array().unwrap().len() == 2, "{answer}");
    drop(program);
}

#[test]
fn a_program_with_a_refused_or_disabled_channel_continues_unchanged() {
    let server = Server::start_with(vec![("MONITOR_MAX_CHANNELS", "1".into())]);
    let taken = Raw::online(&server, 7, "first");
    let _only = taken.open();
    let other = Server::start();
    let (refused, off) = (begin(&server, &["hang"], "read"), begin(&other, &["hang"], "off"));
    let _last = begin(&other, &["hang"], "read");
    wait_for_channels(&other, 1);
    assert_eq!(channels(&server), 1);
    for (server, program) in [(&server, refused), (&other, off)] {
        let mut program = program;
        let (_, answer) = ask(server, &json!({"method": "ping", "timeout_ms": 100, "to": {"workers": []}}), false, None);
        assert!(statuses(&answer).iter().any(|(_, status)| *status != "ok"), "{answer}");
        drop(program.0.stdin.take());
        assert!(program.0.wait().unwrap().success());
        let id = program.0.id();
        wait_for("the tree's end", || server.roots().iter().any(|root| root["state"] == "succeeded").then_some(id));
    }
}

#[test]
fn a_program_that_ends_while_it_is_asked_is_gone_at_once() {
    let server = Server::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut program = begin(&server, &["offers", file.path().to_str().unwrap()], "all");
    wait_for_channels(&server, 1);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&server, &json!({"method": "slowly", "timeout_ms": 60_000}), true, None));
        wait_for("the method to begin", || (std::fs::read_to_string(file.path()).unwrap() == "begun\n").then_some(()));
        drop(program.0.stdin.take());
        let (_, answer) = asking.join().unwrap();
        assert_eq!(answer["lines"][0]["status"], "gone", "{answer}");
    });
}
