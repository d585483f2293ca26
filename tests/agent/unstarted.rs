//! Requests that start no run. The answer contains the reason, and `--wait` ends.

use monitor_tests::{Finished, Server, command, run, wait_for};
use serde_json::Value;

use crate::harness::Agent;

const HOLDS: &str = "shell = \"exec sleep 1000\"\nlock = \"disk\"";

fn by_server(server: &Server, args: &[&str]) -> Finished {
    let mut asked = command("monitor");
    asked.arg("task").args(args).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
    run(asked)
}

#[test]
fn a_request_for_a_run_that_does_not_start_returns_the_reason() {
    let server = Server::start();
    let waits = "shell = \"true\"\nlock = \"disk\"\nstart-within = \"1s\"";
    let agent = Agent::of_server(&server, "db-1", &[("holds", HOLDS), ("waits", waits)]);
    wait_for("the tasks at the server", || (server.get("/batch-tasks")["tasks"].as_array()?.len() == 2).then_some(()));
    let nothing = by_server(&server, &["kill", "holds"]);
    assert!(nothing.code == Some(1) && nothing.stdout.contains("no run of \"holds\" runs"), "{}{}", nothing.stdout, nothing.stderr);

    let holder = agent.done(&["run", "holds"]);
    wait_for("the run that is in the way", || agent.runs("holds")[0]["started_us"].is_i64().then_some(()));
    let because = |reason: &str| format!("skipped ({reason}), because of {holder}");
    for args in [&["run", "holds"][..], &["run", "holds", "--wait"]] {
        let refused = agent.ask(args);
        assert!(refused.code == Some(1) && refused.stderr.contains(&because("overlap")), "{}{}", refused.stdout, refused.stderr);
        let refused = by_server(&server, args);
        assert!(refused.code == Some(1) && refused.stdout.contains(&because("overlap")), "{}{}", refused.stdout, refused.stderr);
    }
    let (status, again) = server.order("POST", &format!("/batch-tasks/runs/{holder}/rerun"), &Value::Null);
    let why = again["lines"][0]["error"].as_str().unwrap_or_default();
    assert!(status == 200 && why.contains(&because("overlap")), "{status} {again}");
    let json = by_server(&server, &["run", "holds", "--json"]);
    let told: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(json.code == Some(1) && told["lines"][0]["error"].as_str().unwrap().contains(&because("overlap")), "{told}");

    // The run waits for the lock and is then cancelled.
    let given_up = agent.ask(&["run", "waits", "--wait"]);
    assert!(given_up.code == Some(1) && given_up.stderr.contains(&because("lock")), "{}{}", given_up.stdout, given_up.stderr);
    let given_up = by_server(&server, &["run", "waits", "--wait"]);
    assert!(
        given_up.code == Some(1) && given_up.stdout.contains(&format!("cancelled: {}", because("lock"))),
        "{}{}",
        given_up.stdout,
        given_up.stderr
    );
    let runs = server.get("/batch-tasks/runs?task=waits")["runs"].clone();
    for of in runs.as_array().unwrap() {
        assert!(of["outcome"] == "cancelled" && of["reason"] == "lock" && of["trigger"] == "request", "{runs}");
    }
    assert_eq!(runs.as_array().unwrap().len(), 2, "{runs}");
    assert_eq!(agent.decisions("skipped", "waits").len(), 2);

    assert_eq!(by_server(&server, &["kill", "holds"]).code, Some(0));
    wait_for("its end", || agent.runs("holds")[0]["ended_us"].is_i64().then_some(()));
    assert_eq!(by_server(&server, &["run", "waits", "--wait"]).code, Some(0));
}

#[test]
fn queries_about_an_unknown_task_end_with_exit_code_4() {
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[("gold", "shell = \"true\"")]);
    wait_for("the task at the server", || (server.get("/batch-tasks")["tasks"].as_array()?.len() == 1).then_some(()));
    for of in ["runs", "publications", "history"] {
        for (task, code) in [("gold", 0), ("gild", 4)] {
            let (there, here) = (by_server(&server, &[of, task]), agent.ask(&[of, task]));
            assert_eq!((there.code, here.code), (Some(code), Some(code)), "{of} {task}: {}{}", there.stderr, here.stderr);
            let json = [by_server(&server, &[of, task, "--json"]), agent.ask(&[of, task, "--json"])];
            assert!(json.iter().all(|json| json.code == Some(code)), "{of} {task}");
        }
    }
    // Earlier runs can be listed after their file was removed.
    agent.done(&["run", "gold", "--wait"]);
    std::fs::remove_file(agent.path("tasks/gold.toml")).unwrap();
    agent.wait_for_log("a task is gone");
    assert_eq!(agent.ask(&["runs", "gold"]).code, Some(0));
}
