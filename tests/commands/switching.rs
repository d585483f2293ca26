//! Changes of the amount of recorded events while a program runs, and programs that start again.

use std::process::Child;

use monitor_tests::{Server, outline, wait_for, worker};
use serde_json::{Value, json};

use crate::control::{answer, monitor};
use crate::{ask, metric};

/// A program that executes steps.
struct Program(Child);

impl Program {
    /// Starts the program and waits until its channel is open.
    fn start(server: &Server, env: &[(&str, &str)]) -> Self {
        let mut switched = worker(server, &["switched"]);
        switched.env("MONITOR_COMMANDS", "all").env("MONITOR_LOG", "stderr").envs(env.iter().copied());
        let program = Self(switched.spawn().expect("it starts"));
        wait_for("its channel", || (metric(server, "monitor_channels") == 1).then_some(()));
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Executes a recorded step. Returns its tree and its log lines.
fn step(server: &Server, name: &str) -> (String, Vec<String>) {
    answer(server, &format!("control step name={name}"));
    let root = wait_for("the step's tree", || server.roots().into_iter().find(|root| root["name"] == name && root["state"] == "succeeded"));
    let logs = server.get(&format!("/roots/{}/logs", root["root_id"].as_str().unwrap()));
    let lines = logs["logs"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    (outline(&server.tree(&root)), lines)
}

fn events(server: &Server, order: &str) -> Value {
    answer(server, &format!("control {order}"))["events"].take()
}

#[test]
fn recording_levels_can_be_changed_while_the_program_runs() {
    let server = Server::start();
    let mut program = Program::start(&server, &[("MONITOR_EVENTS", "roots")]);
    assert_eq!(step(&server, "a").0, "a\n");
    assert_eq!(events(&server, "enable-events"), "all");
    assert_eq!(step(&server, "b").0, "b\n  part\n");
    assert_eq!(events(&server, "disable-events"), "off");
    answer(&server, "control step name=c");
    assert_eq!(events(&server, "enable-events --kind step --name d*"), "off,step:d*=all");
    assert_eq!(step(&server, "d").0, "d\n");
    assert_eq!(events(&server, "enable-events roots"), "roots");
    assert_eq!(step(&server, "e").0, "e\n");
    assert_eq!(events(&server, "disable-events --for 200ms"), "roots,off");
    wait_for("what held before", || (answer(&server, "inspect conf")["events"] == "roots").then_some(()));
    assert_eq!(step(&server, "f").0, "f\n");
    assert_eq!(events(&server, "disable-events"), "off");
    answer(&server, "control step name=g");
    // Calls whose start was recorded also have an end.
    drop(program.0.stdin.take());
    assert!(program.0.wait().unwrap().success());
    let ended = wait_for("the end of what was told", || server.roots().into_iter().find(|root| root["name"] == "hang"));
    assert_eq!(ended["state"], "succeeded");
    let mut names: Vec<String> = server.roots().iter().map(|root| root["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "d", "e", "f", "hang"]);
}

#[test]
fn lines_of_logs_are_sent_from_a_level_on() {
    let server = Server::start();
    let _program = Program::start(&server, &[]);
    assert_eq!(step(&server, "a").1, ["said", "warned"]);
    let holds = answer(&server, "control log-level warn");
    assert_eq!((&holds["events"], &holds["log_level"]), (&json!("all"), &json!("warn")));
    assert_eq!(step(&server, "b").1, ["warned"]);
    assert_eq!(answer(&server, "control log-level off --for 200ms")["log_level"], "off");
    wait_for("what held before", || (answer(&server, "inspect conf")["log_level"] == "warn").then_some(()));
    assert_eq!(step(&server, "c").1, ["warned"]);
    answer(&server, "control log-level OFF");
    assert_eq!(step(&server, "d"), ("d\n  part\n".to_owned(), Vec::new()));
}

/// A way to watch, and the stream that it keeps open.
type Look<'a> = (&'static str, Box<dyn Fn() -> Option<reqwest::blocking::Response> + 'a>);

#[test]
fn watched_programs_record_while_the_stream_tree_or_worker_is_read() {
    let server = Server::start();
    let begin = || Program::start(&server, &[("MONITOR_EVENTS", "watched")]);
    let is_watched = || answer(&server, "inspect conf")["watched"] == true;
    let root = || server.roots().into_iter().find(|root| root["state"] == "running").expect("it runs");
    let read = |path: &str| drop(server.get(path));
    let stream = |query: &str| {
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(None).build().unwrap();
        let response = client.get(format!("{}/api/v1/stream{query}", server.url())).send().unwrap();
        assert_eq!(response.status(), 200);
        response
    };
    let looks: [Look<'_>; 6] = [
        ("the whole stream", Box::new(|| Some(stream("")))),
        ("the stream of a tree", Box::new(|| Some(stream(&format!("?root={}", root()["number"]))))),
        ("the stream of a worker", Box::new(|| Some(stream("?worker=monitor-test-worker@*")))),
        ("the tree", Box::new(|| (read(&format!("/roots/{}/tree", root()["number"])), None).1)),
        ("the worker", Box::new(|| (read(&format!("/workers/{}", root()["worker_id"].as_str().unwrap())), None).1)),
        (
            "a list of trees, and a tree that has ended",
            Box::new(|| {
                let ended = server.roots().into_iter().find(|root| root["state"] == "succeeded").expect("it has ended");
                read(&format!("/roots/{}/tree", ended["number"]));
                Some(stream("?subject=roots"))
            }),
        ),
    ];
    for (at, (what, look)) in looks.into_iter().enumerate() {
        let mut program = begin();
        answer(&server, &format!("control step name=before-{at}"));
        assert!(!is_watched(), "{what}");
        let _open = look();
        if at == 5 {
            // The user looked only for a moment, so the program got no message from the server.
            (0..3).for_each(|_| assert!(!is_watched(), "{what}"));
            continue;
        }
        wait_for(what, || is_watched().then_some(()));
        answer(&server, &format!("control step name=after-{at}"));
        drop(program.0.stdin.take());
        assert!(program.0.wait().unwrap().success());
        let named = |name: &str| {
            let name = format!("{name}-{at}");
            let root = wait_for("the step's tree", || server.roots().into_iter().find(|root| root["name"] == name));
            server.tree(&root).len()
        };
        assert_eq!((named("before"), named("after")), (1, 2), "{what}");
        wait_for("the channel's end", || (metric(&server, "monitor_channels") == 0).then_some(()));
    }
}

#[test]
fn a_heartbeat_is_sent_on_request() {
    let server = Server::start();
    let _program = Program::start(&server, &[("MONITOR_HEARTBEAT", "1h")]);
    let last_seen = || server.get("/workers")["workers"][0]["last_seen_us"].as_u64().unwrap();
    let before = last_seen();
    answer(&server, "control heartbeat");
    assert!(last_seen() > before);
}

#[test]
fn a_program_can_be_restarted_if_it_supports_this() {
    let server = Server::start();
    let mut program = Program::start(&server, &[]);
    assert_eq!(answer(&server, "control pool-restart"), json!({"restarted": true}));
    let (code, text, _) = monitor(&server, "control pool-restart");
    assert!(code != 0 && text.contains("it is new"), "{text}");
    assert_eq!(answer(&server, "control restart"), json!({"restarting": true}));
    assert_eq!(program.0.wait().unwrap().code(), Some(75));

    let _plain = worker(&server, &["works"]).env("MONITOR_COMMANDS", "all").spawn().map(Program).expect("it starts");
    wait_for("its channel", || (metric(&server, "monitor_channels") == 1).then_some(()));
    for method in ["restart", "pool-restart"] {
        let (_, command) = ask(&server, &json!({"method": method, "timeout_ms": 60_000}), true, None);
        assert_eq!(command["lines"][0]["status"], "unsupported", "{command}");
    }
}

#[test]
fn mistakes_are_reported_before_sending_and_forbidden_commands_are_refused() {
    let server = Server::start();
    let _program = Program::start(&server, &[("MONITOR_COMMANDS", "read,heartbeat")]);
    for (line, words) in [
        ("control enable-events loud", "expected one of all, roots"),
        ("control enable-events off", "`disable-events` switches off"),
        ("control disable-events --kind a,b", "`kind`"),
        ("control disable-events --name a=b", "`name`"),
        ("control log-level", "control log-level LEVEL"),
        ("control heartbeat now", "control heartbeat"),
    ] {
        let (code, _, errors) = monitor(&server, line);
        assert!(code == 2 && errors.contains(words), "{line}: {code} {errors}");
    }
    for arguments in [json!({"level": 7}), json!({"kind": "a b"}), json!({"name": ""}), json!({"for_ms": -1}), json!({"till": 1})] {
        let (status, problem) = ask(&server, &json!({"method": "enable-events", "arguments": arguments}), true, None);
        assert_eq!(status, 400, "{problem}");
    }
    for (method, arguments, status) in [
        ("disable-events", json!({}), "refused"),
        ("log-level", json!({"level": "off"}), "refused"),
        ("restart", json!({}), "refused"),
        ("heartbeat", json!({}), "ok"),
    ] {
        let (_, command) = ask(&server, &json!({"method": method, "arguments": arguments, "timeout_ms": 60_000}), true, None);
        assert_eq!(command["lines"][0]["status"], status, "{command}");
    }
    assert_eq!(ask(&server, &json!({"method": "heartbeat"}), false, None).0, 401, "who may only read changes nothing");
}
