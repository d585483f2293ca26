//! Spans and events of programs that use `tracing` or `log`.

use std::process::Stdio;

use monitor_tests::{Server, command, outline, run, ship_by_hand, wait_for, worker};
use serde_json::json;

use crate::line;

#[test]
fn a_program_with_tracing_is_changed_by_one_line() {
    let server = Server::start();
    let finished = run(worker(&server, &["spans"]));
    assert_eq!(finished.code, Some(0));
    let root = server.finished_root();
    let processes = server.tree(&root);
    let mut lines: Vec<String> = outline(&processes).lines().map(str::to_owned).collect();
    // The order of the task and the rest of the request varies.
    lines[1..].sort_by_key(|line| line.trim_start().to_owned());
    let expected = ["request", "    checks", "  loads [failed]: no such table", "    queries", "      rule", "  saves"];
    assert_eq!(lines, expected);
    let find = |name: &str| processes.iter().find(|process| process["name"] == name).unwrap();
    assert_eq!((&find("loads")["kind"], &find("checks")["kind"]), (&json!("span"), &json!("normal")));
    assert_eq!(find("queries")["parent_id"], find("loads")["id"]);
    assert_eq!(find("checks")["parent_id"], find("saves")["id"]);
    let source = &find("saves")["source"];
    assert!(source["file"].as_str().unwrap().ends_with("worker/spans.rs"), "{source}");
    let logs = server.get("/roots/1/logs");
    let said = |message: &str| logs["logs"].as_array().unwrap().iter().find(|line| line["message"] == message).cloned().unwrap();
    assert_eq!((&said("a row")["target"], &said("a row")["fields"]), (&json!("noisy::driver"), &json!({"table": "orders"})));
    assert_eq!(said("answered")["fields"], json!({"status": 502}));
    // The program's own log output is unchanged.
    let words = |text: &str| text.lines().filter_map(|line| line.find("request{").map(|at| line[at..].to_owned())).collect::<Vec<_>>();
    let mut plain = command("monitor-test-worker");
    plain.arg("plain-spans");
    let mut both = [words(&finished.stderr), words(&run(plain).stderr)];
    for words in &mut both {
        words.sort();
    }
    assert!(!both[0].is_empty());
    assert_eq!(both[0], both[1]);
}

#[test]
fn directives_select_spans_and_an_invalid_directive_is_reported_once() {
    let server = Server::start();
    let mut some = worker(&server, &["spans"]);
    some.env("MONITOR_TRACING", "info,noisy=off,[loads]=off");
    let finished = run(some);
    assert!(!finished.stderr.contains("MONITOR_TRACING"), "{}", finished.stderr);
    server.finished_root();
    let logs = server.get("/roots/1/logs");
    assert!(!logs["logs"].as_array().unwrap().iter().any(|line| line["message"] == "a row"), "{logs}");

    let mut bad = worker(&server, &["spans-off"]);
    bad.env("MONITOR_TRACING", "info,app=loud");
    let finished = run(bad);
    assert_eq!(finished.stderr.matches("MONITOR_TRACING").count(), 1, "{}", finished.stderr);
    assert_eq!(finished.stdout, "true true\n");
}

#[test]
fn spans_are_disabled_while_recording_is_off() {
    let mut off = command("monitor-test-worker");
    off.arg("spans-off");
    let finished = run(off);
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), "false false\n", ""));
}

#[test]
fn running_spans_of_a_killed_program_are_lost_and_ended_spans_stay() {
    let server = Server::start();
    let mut hang = worker(&server, &["spans-hang"]);
    hang.env("MONITOR_HEARTBEAT", "300ms").stderr(Stdio::null());
    let mut child = hang.spawn().unwrap();
    assert_eq!(line(&mut child), "hangs");
    let root = wait_for("the spans that run", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    assert_eq!(outline(&server.tree(&root)), "request [running]\n  over\n  query [running]\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let lost = wait_for("what is lost", || server.roots().into_iter().find(|root| root["counts"]["lost"] == 2));
    assert_eq!(outline(&server.tree(&lost)), "request [lost]\n  over\n  query [lost]\n");
}

#[test]
fn spans_of_a_program_killed_before_its_first_report_are_recovered() {
    let mut server = Server::start();
    server.kill();
    let mut hang = worker(&server, &["spans-hang"]);
    let mut child = hang.stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(line(&mut child), "hangs");
    child.kill().unwrap();
    child.wait().unwrap();
    server.start_again();
    ship_by_hand(&server);
    let lost = wait_for("what is lost", || server.roots().into_iter().find(|root| root["counts"]["lost"] == 2));
    let processes = server.tree(&lost);
    assert_eq!(outline(&processes), "request [lost]\n  over\n  query [lost]\n");
    assert!(processes.iter().all(|process| process["kind"] == "span"), "{processes:?}");
    assert!(processes[2]["source"]["file"].as_str().unwrap().ends_with("worker/spans.rs"), "{processes:?}");
}

#[test]
fn lines_of_the_crate_log_and_of_macros_arrive() {
    let server = Server::start();
    assert_eq!(run(worker(&server, &["log-lines"])).code, Some(0));
    server.finished_root();
    let logs = server.get("/roots/1/logs");
    let told: Vec<_> =
        logs["logs"].as_array().unwrap().iter().map(|line| json!([line["level"], line["target"], line["message"]])).collect();
    assert_eq!(told, [json!(["warn", "app::disk", "1 GiB left"]), json!(["error", "monitor_test_worker::spans", "lost 3"])]);
    assert_eq!(logs["logs"][1]["fields"], json!({"rows": 3, "table": "orders"}));
}
