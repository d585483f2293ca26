//! Pauses over the API, on real agents: of a task from a file, of a whole agent, and of a task that its definition pauses.

use monitor_tests::{Finished, Server, command, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

const EACH: &str = "shell = \"true\"\nrules = [\"* * * * * *\"]\nmissed = \"skip\"\noverlap = \"allow 9\"";

fn get(server: &Server, task: &str) -> Value {
    server.order("GET", &format!("/batch-tasks/{task}"), &Value::Null).1
}

/// The task at the server, as soon as the condition is true.
fn shown(server: &Server, task: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, || Some(get(server, task)).filter(|task| is_so(task)))
}

fn is_due(task: &Value) -> bool {
    task["next_us"].as_array().is_some_and(|next| !next.is_empty())
}

/// Runs `monitor task …` against the server.
fn ask(server: &Server, args: &[&str]) -> Finished {
    let mut command = command("monitor");
    command.arg("task").args(args).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
    run(command)
}

/// Checks that a task starts nothing although it is due.
fn is_still(agent: &Agent, task: &str) {
    let skipped = || agent.decisions("skipped", task).iter().filter(|told| told.0 == "paused").map(|told| told.3).sum::<i64>();
    let first = wait_for("due times to be skipped", || Some(skipped()).filter(|count| *count > 0));
    let before = agent.runs(task).len();
    wait_for("more of them", || (skipped() >= first + 2).then_some(()));
    assert_eq!(agent.runs(task).len(), before, "nothing starts in a pause");
}

fn runs_again(agent: &Agent, task: &str) {
    let before = agent.runs(task).len();
    wait_for("runs again", || (agent.runs(task).len() > before).then_some(()));
}

#[test]
fn a_task_of_a_file_can_be_paused_and_resumed_through_the_server() {
    let server = Server::start();
    let mut agent = Agent::of_server(&server, "db-1", &[("each", EACH)]);
    shown(&server, "each", "the file's task at the server", |task| task["agent"] == "db-1");
    let (status, task) = server.order("POST", "/batch-tasks/each/pause", &json!({}));
    let told = (status, &task["status"], &task["paused_by"], &task["next_us"], &task["version"]);
    assert_eq!(told, (200, &json!("paused"), &json!("person"), &json!([]), &json!(1)), "a pause is no version: {task}");
    is_still(&agent, "each");
    // The pause remains after a change of the file and a kill of the agent.
    agent.define("each", &EACH.replace("allow 9", "allow 8"));
    shown(&server, "each", "the changed file", |task| task["version"] == 2 && task["status"] == "paused");
    agent.kill();
    // The order to resume waits for the agent.
    let (status, task) = server.order("POST", "/batch-tasks/each/resume", &Value::Null);
    assert_eq!((status, &task["status"]), (202, &json!("paused")), "{task}");
    agent.start_again();
    shown(&server, "each", "the end of the pause", |task| task["status"] == "active" && is_due(task) && task["paused_by"].is_null());
    runs_again(&agent, "each");
    // A pause until a given time, by the command line. The next due time is after the end of the pause.
    let paused = ask(&server, &["pause", "each", "--until", "2h"]);
    assert!(paused.code == Some(0) && paused.stdout.starts_with("paused each"), "{}{}", paused.stdout, paused.stderr);
    let task = get(&server, "each");
    assert!(task["next_us"][0].as_u64() >= task["until_us"].as_u64() && task["until_us"].is_u64(), "{task}");
    is_still(&agent, "each");
    let resumed = ask(&server, &["resume", "each"]);
    assert!(resumed.code == Some(0) && resumed.stdout.starts_with("resumed each"), "{}{}", resumed.stdout, resumed.stderr);
    runs_again(&agent, "each");
    let audit = server.order("GET", "/audit", &Value::Null).1;
    let is_it =
        |entry: &&Value| entry["action"].as_str().unwrap().contains(r#"(pause a batch task): pause {"by":"data folder","task":"each""#);
    assert_eq!(audit["entries"].as_array().unwrap().iter().filter(is_it).count(), 2, "{audit}");
    // Invalid requests.
    for (path, body, status) in [("pause", json!({"until_us": 1}), 400), ("pause", json!({"until": 1}), 400), ("nope", json!({}), 404)] {
        assert_eq!(server.order("POST", &format!("/batch-tasks/each/{path}"), &body).0, status);
    }
}

#[test]
fn pausing_an_agent_pauses_all_of_its_tasks() {
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[("each", EACH)]);
    let other = json!({"name": "two", "command": ["true"], "rules": ["@hourly"], "on": ["db-1", "db-2"]});
    assert_eq!(server.order("POST", "/batch-tasks", &other).0, 201);
    shown(&server, "each", "the file's task at the server", |task| task["agent"] == "db-1");
    let ordered = |path: &str, body: &Value| {
        let (status, command) = server.order("POST", &format!("/agents/{path}"), body);
        assert_eq!(status, 200, "{command}");
        let path = format!("/commands/{}", command["id"].as_str().unwrap());
        wait_for("the end of a command", || Some(server.get(&path)).filter(|command| command["done"] == true))["lines"][0].clone()
    };
    assert_eq!(ordered("db-1/pause", &json!({}))["status"], "ok");
    let task = shown(&server, "each", "the agent's pause", |task| task["paused_by"] == "agent");
    assert_eq!((&task["status"], &task["next_us"]), (&json!("active"), &json!([])), "{task}");
    let agents = server.get("/agents")["agents"].clone();
    assert!(agents[0]["name"] == "db-1" && agents[0]["paused_from_us"].is_u64() && agents[0]["paused_until_us"].is_null(), "{agents}");
    is_still(&agent, "each");
    assert!(is_due(&get(&server, "two")), "another of its agents starts it");
    let listed = server.get("/batch-tasks?q=each")["tasks"][0].clone();
    assert_eq!((&listed["paused_by"], &listed["next_us"]), (&json!("agent"), &json!([])));
    let explained = server.get("/batch-tasks/each/explain");
    let last = explained["due"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["decision"], &last["reason"]), (&json!("will-be-skipped"), &json!("paused")), "{last}");
    assert_eq!(ordered("db-1/resume", &Value::Null)["status"], "ok");
    shown(&server, "each", "the end of the pause", |task| is_due(task) && task["paused_by"].is_null());
    runs_again(&agent, "each");
    let tasks = || ask(&server, &["list"]);
    let status = || {
        let mut command = command("monitor");
        run({
            command.args(["status", "--server", server.url()]).env("MONITOR_TOKEN", server.token());
            command
        })
        .stdout
    };
    assert!(tasks().stderr.is_empty() && !status().contains("AGENT"), "{}", status());
    let paused = ask(&server, &["pause", "--agent", "db-1"]);
    assert_eq!(paused.code, Some(0), "{}", paused.stderr);
    shown(&server, "each", "the agent's pause", |task| task["paused_by"] == "agent");
    let listed = tasks();
    assert!(listed.stdout.lines().any(|line| line.starts_with("each") && line.contains("paused by its agent")), "{}", listed.stdout);
    assert!(listed.stderr.contains("the agent db-1 is paused: nothing starts there by time"), "{}", listed.stderr);
    assert!(status().contains("db-1 is paused: nothing starts there by time"), "{}", status());
    let paused = ask(&server, &["pause", "--agent", "db-1", "--until", "2h"]);
    assert_eq!(paused.code, Some(0), "{}", paused.stderr);
    shown(&server, "each", "the agent's pause", |task| task["paused_by"] == "agent" && is_due(task));
    assert_eq!(ask(&server, &["resume", "--agent", "db-1"]).code, Some(0));
    shown(&server, "each", "the end of the pause", |task| task["paused_by"].is_null());
    let nobody = ask(&server, &["pause", "--agent", "db-2"]);
    assert!(nobody.code == Some(4) && nobody.stderr.contains("there is no agent \"db-2\"; did you mean db-1?"), "{}", nobody.stderr);
    assert_eq!(ask(&server, &["resume", "--agent", "db-2"]).code, Some(4));
    let past = ask(&server, &["pause", "each", "--until", "2024-12-24T18:00Z"]);
    assert!(past.code == Some(2) && past.stderr.contains("this time is past"), "{}", past.stderr);
    assert_eq!(server.order("POST", "/agents/db-1/pause", &json!({"until_us": 1})).0, 400);
}

#[test]
fn a_task_paused_by_its_definition_is_never_due_and_shows_this() {
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[("each", &format!("{EACH}\npaused = true"))]);
    let task = shown(&server, "each", "the file's task at the server", |task| task["agent"] == "db-1");
    assert_eq!((&task["paused_by"], &task["next_us"]), (&json!("definition"), &json!([])), "{task}");
    is_still(&agent, "each");
    // Only a change of the definition resumes such a task.
    server.order("POST", "/batch-tasks/each/resume", &Value::Null);
    assert_eq!(get(&server, "each")["paused_by"], "definition");
    agent.define("each", EACH);
    shown(&server, "each", "the changed file", |task| is_due(task) && task["paused_by"].is_null());
    runs_again(&agent, "each");
}
