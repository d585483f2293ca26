//! The client in a real program: what reaches the server, and what must not change for the program.

mod answers;
mod folds;
mod levels;
mod places;
mod said;
mod spans;
mod values;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use monitor_tests::{Server, command, outline, run, states, wait_for, worker};
use serde_json::{Value, json};

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("the worker writes");
    line.trim().to_owned()
}

#[test]
fn a_process_is_seen_while_it_runs_and_ends_when_it_ends() {
    let server = Server::start();
    let mut child = worker(&server, &["hang"]).spawn().unwrap();
    let root_id = line(&mut child);
    let root = wait_for("both processes on the server", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    assert_eq!(root["root_id"], root_id.as_str());
    assert_eq!(outline(&server.tree(&root)), "hang [running]\n  waits [running]\n");
    assert_eq!(server.get("/workers")["workers"][0]["state"], "online");

    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let root = server.finished_root();
    assert_eq!(outline(&server.tree(&root)), "hang\n  waits\n");
    let worker = &server.get("/workers")["workers"][0];
    assert_eq!(
        (&worker["state"], &worker["pid"], &worker["program"]),
        (&json!("offline"), &json!(child.id()), &json!("monitor-test-worker"))
    );
}

#[test]
fn logs_are_followed_until_the_root_ends() {
    let server = Server::start();
    let mut child = worker(&server, &["talks"]).spawn().unwrap();
    assert_eq!(line(&mut child), "talking");
    let lines = || server.get("/roots/1/logs")["logs"].as_array().map_or(0, Vec::len);
    wait_for("both lines on the server", || (server.roots().len() == 1 && lines() == 2).then_some(()));
    let mut logs = command("monitor");
    logs.args(["logs", "1", "--follow", "--server", server.url()]).stdout(Stdio::piped());
    let mut logs = logs.spawn().unwrap();
    let mut out = BufReader::new(logs.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        // Without the time and the padding.
        line.splitn(3, ' ').nth(2).unwrap_or_default().trim().to_owned()
    };
    assert_eq!((next(), next()), ("info   talks: begun".to_owned(), "warn   step: line one␊line two".to_owned()));
    drop(child.stdin.take());
    assert_eq!(next(), "error  talks: gave up");
    assert_eq!(next(), "", "the root ended");
    assert!(logs.wait().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn progress_links_and_the_fields_of_a_line_arrive() {
    let server = Server::start();
    assert_eq!(run(worker(&server, &["tells"])).code, Some(0));
    let processes = server.tree(&server.finished_root());
    assert_eq!(outline(&processes), "tells\n  first\n  second\n");
    let [root, first, second] = &processes[..] else { panic!("{processes:?}") };
    let told = |process: &Value| {
        let detail = server.get(&format!("/roots/1/processes/{}", process["id"].as_str().unwrap()));
        (detail["progress"].clone(), detail["links"].clone())
    };
    let (progress, _) = told(root);
    assert_eq!((&progress["done"], &progress["total"]), (&json!(1.0), &json!(2.0)));
    let (progress, links) = told(second);
    assert_eq!((&progress["done"], &progress["total"]), (&json!(1_000.0), &json!(1_000.0)));
    assert_eq!((&links[0]["id"], &links[0]["relation"]), (&first["id"], &json!("retry_of")), "{links}");
    let line = &server.get("/roots/1/logs")["logs"][0];
    assert_eq!((&line["message"], &line["target"], &line["level"]), (&json!("a row is odd"), &json!("app::rows"), &json!("warn")));
    assert_eq!(line["fields"], json!({"row": 17, "ratio": 0.5}));
}

#[test]
fn an_exit_code_sets_the_outcome_of_the_calls_that_it_ends() {
    for (how, code, expected) in [
        (&["exit"][..], 7, "exit_inside [failed]: exit code 7\n  exits [failed]: exit code 7\n"),
        // Calls on other threads are interrupted.
        (&["exit-with", "0"], 0, "exit_with\n  on_a_thread [cancelled]\n  exits_with\n"),
        (&["exit-with", "2"], 2, "exit_with [failed]: exit code 2\n  on_a_thread [cancelled]\n  exits_with [failed]: exit code 2\n"),
        (&["exit-elsewhere", "3"], 3, "exit_elsewhere [failed]: exit code 3\n  exits_with [failed]: exit code 3\n"),
        (&["exit-in-a-task", "4"], 4, "exit_in_a_task [failed]: exit code 4\n  polled [failed]: exit code 4\n"),
        // A `main` that returns reports nothing about calls that still run on other threads.
        (&["return-while-busy", "0"], 0, "busy [cancelled]\n"),
        (&["return-while-busy", "5"], 5, "busy [failed]: exit code 5\n"),
        (&["return-code", "3"], 3, "return_code [failed]: exit code 3\n"),
        (&["return-code", "0"], 0, "return_code\n"),
    ] {
        for server in [Server::start(), Server::start_without_spool()] {
            assert_eq!(run(worker(&server, how)).code, Some(code), "{how:?}");
            let processes = server.tree(&server.finished_root());
            assert_eq!(outline(&processes), expected, "{how:?}");
            for process in &processes {
                let (state, shown) = (&process["state"], &process["exit_code"]);
                let told = if code == 0 { Value::Null } else { json!(code) };
                assert_eq!(*shown, if state == "cancelled" { Value::Null } else { told }, "{how:?} {process}");
            }
        }
    }
}

#[test]
fn a_panic_is_recorded_and_its_message_and_exit_code_are_unchanged() {
    let server = Server::start();
    let monitored = run(worker(&server, &["panic"]));
    let mut plain = command("monitor-test-worker");
    plain.arg("panic");
    let plain = run(plain);
    // The thread id comes from the operating system.
    let words = |text: &str| text.lines().filter(|line| !line.contains("panicked at")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((monitored.code, words(&monitored.stderr)), (plain.code, words(&plain.stderr)));
    assert_eq!(monitored.code, Some(101));

    let processes = server.tree(&server.finished_root());
    assert_eq!(outline(&processes), "panic_inside [failed]: the end of the tape\n  panics [failed]: the end of the tape\n");
    let error = &processes[1]["error"];
    assert_eq!(error["kind"], "panic");
    assert!(error["source"]["file"].as_str().unwrap().ends_with("worker/main.rs"), "{error}");
    assert!(error["source"]["line"].as_u64().unwrap() > processes[1]["source"]["line"].as_u64().unwrap());
}

#[test]
fn events_recorded_during_server_downtime_arrive_later() {
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many", "500"]);
    many.env("MONITOR_EXIT_TIMEOUT", "1m").env("MONITOR_LOG", "stderr");
    let mut hang = worker(&server, &["hang"]);
    hang.env("MONITOR_LOG", "stderr");
    let mut hang = hang.spawn().unwrap();
    line(&mut hang);
    let mut said = BufReader::new(hang.stderr.take().unwrap());
    let mut away = String::new();
    said.read_line(&mut away).unwrap();
    assert!(away.contains("is not reached") && away.contains(server.url()), "{away}");

    server.start_again();
    wait_for("what was recorded before", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    drop(hang.stdin.take());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(hang.wait().unwrap().success());
    assert!(rest.contains("is reached"), "{rest}");
    assert_eq!(run(many).code, Some(0));
    wait_for("the second tree", || server.roots().into_iter().find(|root| root["counts"]["succeeded"] == 506));
}

#[test]
fn events_dropped_for_lack_of_memory_are_counted_and_reported() {
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many", "20000"]);
    many.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "5s");
    many.env("MONITOR_SPOOL_DIR", "off");
    // At exit, the program does not wait for a server that it has never reached. It waits for one that hangs.
    let mut child = worker(&server, &["hang"]);
    child.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_SPOOL_DIR", "off");
    let mut child = child.spawn().unwrap();
    line(&mut child);
    let lost = run(many);
    assert_eq!(lost.code, Some(0));
    assert!(lost.stderr.contains("it is lost"), "{}", lost.stderr);
    server.start_again();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let mut many = worker(&server, &["many", "200000"]);
    many.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "1m");
    many.env("MONITOR_FOLD_AFTER", "off");
    let finished = run(many);
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.contains("raise MONITOR_BUFFER_BYTES"), "{}", finished.stderr);
    let root =
        wait_for("the large tree", || server.roots().into_iter().find(|root| root["name"] == "many" && root["state"] == "succeeded"));
    let dropped: u64 = server.get("/status")["dropped"].as_array().unwrap().iter().map(|drop| drop["count"].as_u64().unwrap()).sum();
    let counts = &root["counts"];
    let stored: u64 =
        ["running", "succeeded", "failed", "cancelled", "lost", "pending"].iter().map(|state| counts[*state].as_u64().unwrap()).sum();
    assert!(dropped > 0 && counts["running"] == 0);
    assert_eq!(stored + dropped, 200_000 + 2_000 + 1, "every process is stored or counted");
}

/// A tree for each call, much faster than a server can accept them.
#[test]
fn dropped_lone_roots_are_logged_and_counted_while_the_program_runs() {
    const ROOTS: u64 = 100_000;
    let server = Server::start_without_spool();
    let mut roots = worker(&server, &["lone-roots", &ROOTS.to_string()]);
    let mut child = roots.env("MONITOR_BUFFER_BYTES", "65536").env("MONITOR_EXIT_TIMEOUT", "1m").spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("found no room and were dropped") && said.contains("raise MONITOR_BUFFER_BYTES"), "{said}");
    assert_eq!(line(&mut child), "done");
    let counted = || {
        let status = server.get("/status");
        let dropped = status["dropped"].as_array().unwrap();
        assert!(dropped.iter().all(|drop| drop["type"] == "process-started" && drop["reason"] == "memory"), "{status}");
        let dropped: u64 = dropped.iter().map(|drop| drop["count"].as_u64().unwrap()).sum();
        (status["roots"]["succeeded"].as_u64().unwrap(), dropped)
    };
    let (stored, dropped) = wait_for("every root to be stored or counted", || Some(counted()).filter(|(a, b)| a + b == ROOTS));
    assert!(stored > 0 && dropped > 0, "{stored} stored, {dropped} dropped");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(counted(), (stored, dropped));
}

#[test]
fn a_heartbeat_shows_that_an_idle_program_is_alive() {
    let server = Server::start();
    let mut hang = worker(&server, &["hang"]);
    hang.env("MONITOR_HEARTBEAT", "100ms");
    let mut child = hang.spawn().unwrap();
    line(&mut child);
    let seen = || server.get("/workers")["workers"][0]["last_seen_us"].as_u64();
    let first = wait_for("the worker", seen);
    // Much longer than the two intervals after which a silent worker is lost.
    wait_for("ten heartbeats", || seen().filter(|last| *last > first + 1_000_000));
    assert_eq!(server.get("/workers")["workers"][0]["state"], "online");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn states_are_counted() {
    let server = Server::start();
    let mut many = worker(&server, &["many", "2500"]);
    many.env("MONITOR_FOLD_AFTER", "off");
    assert_eq!(run(many).code, Some(0));
    let processes = server.tree(&server.finished_root());
    let expected = [("failed".to_owned(), 2), ("succeeded".to_owned(), 2_500 - 2 + 25 + 1)];
    assert_eq!(states(&processes), expected.into());
}
