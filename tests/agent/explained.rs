//! Explanations of due times. The server must give the same explanation as the agent that decided.

use monitor_tests::{Server, command, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

/// Decisions of an explanation in comparable form: without what only the agent knows, and with equal decisions combined, as the server
/// does.
fn told(explained: &Value) -> Vec<(u64, u64, Value)> {
    let mut told: Vec<(u64, u64, Value)> = Vec::new();
    for due in explained["due"].as_array().expect("a list") {
        let (at, count) = (due["due_us"].as_u64().unwrap(), due["count"].as_u64().unwrap());
        let reason = due["reason"].as_str().filter(|reason| !reason.is_empty());
        let what = json!({"decision": due["decision"], "reason": reason, "run": due["run"]});
        match told.last_mut() {
            Some((_, all, same)) if *same == what && what["decision"] != "started" => *all += count,
            _ => told.push((at, count, what)),
        }
    }
    told
}

/// A time in the format of the command line.
fn written(us: u64) -> String {
    let mut date = std::process::Command::new("date");
    date.args(["-u", "-d", &format!("@{}.{:06}", us / 1_000_000, us % 1_000_000), "+%Y-%m-%dT%H:%M:%S.%6NZ"]);
    run(date).stdout.trim().to_owned()
}

fn now_us() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64
}

/// Explanations of the agent and the server, which are equal, as soon as the server has received all decisions until `to`.
fn explained(server: &Server, agent: &Agent, task: &str, (from, to): (u64, u64)) -> Vec<(u64, u64, Value)> {
    let past = to.min(now_us());
    wait_for("the agent to have decided", || {
        let agents = server.get("/agents")["agents"].clone();
        (agents[0]["decided_us"].as_u64() > Some(past)).then_some(())
    });
    let own = agent.done(&["explain", task, "--from", &written(from), "--to", &written(to), "--json"]);
    let own = told(&serde_json::from_str(&own).unwrap());
    let of_server = || told(&server.get(&format!("/batch-tasks/{task}/explain?from={from}&to={to}")));
    // Launchers send the events of their runs themselves, so the last run may arrive later.
    wait_for(&format!("the server to explain {task} as its agent does: {own:?}"), || (of_server() == own).then_some(()));
    own
}

#[test]
fn the_server_explains_each_due_time_as_its_agent_does() {
    let server = Server::start();
    let mut agent = Agent::of_server(&server, "db-1", &[]);
    let task = |name: &str, rule: &str, more: Value| {
        let mut task =
            json!({"name": name, "shell": "sleep 1.5", "rules": [rule], "zone": "Europe/Berlin", "on": ["db-1"], "missed": "skip"});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    };
    task("each", "* * * * * *", json!({}));
    task("nightly", "30 2 * * *", json!({}));
    task("never", "30 2 * * *", json!({"paused": true}));
    // Start in the middle of a second in which the task was already defined.
    agent.ended("each", 1);
    let from = agent.runs("each")[0]["due_us"].as_u64().unwrap() + 500_000;
    let skipped = |agent: &Agent, why: &str| agent.decisions("skipped", "each").iter().any(|told| told.0 == why);
    wait_for("an overlap", || skipped(&agent, "overlap").then_some(()));
    server.order("POST", "/batch-tasks/each/pause", &json!({}));
    wait_for("a pause", || skipped(&agent, "paused").then_some(()));
    server.order("POST", "/batch-tasks/each/resume", &Value::Null);
    let before = agent.runs("each").len();
    wait_for("runs again", || (agent.runs("each").len() > before).then_some(()));
    agent.kill();
    let killed = now_us();
    wait_for("missed due times", || (now_us() > killed + 4_000_000).then_some(()));
    agent.start_again();
    let count = agent.runs("each").len() + 2;
    agent.ended("each", count);
    // End between two due times. All earlier runs have ended.
    let to = agent.runs("each").last().unwrap()["due_us"].as_u64().unwrap() - 500_000;
    let all = explained(&server, &agent, "each", (from, to));
    let words: std::collections::BTreeSet<String> = all
        .iter()
        .map(|(.., what)| format!("{} {}", what["decision"].as_str().unwrap(), what["reason"].as_str().unwrap_or_default()))
        .collect();
    let expected = ["missed agent-down", "skipped overlap", "skipped paused", "started time"];
    assert!(expected.iter().all(|word| words.contains(*word)) && words.len() == expected.len(), "{words:?}");
    let seconds: u64 = all.iter().map(|(_, count, _)| count).sum();
    assert_eq!(seconds, (to - from) / 1_000_000, "no due time without a word");
    // The future: one year, which includes changes of daylight saving time.
    let year = (now_us(), now_us() + 366 * 86_400_000_000);
    assert!(explained(&server, &agent, "nightly", year).iter().all(|(.., what)| what["decision"] == "will-start"));
    assert!(explained(&server, &agent, "never", year).iter().all(|(.., what)| what["decision"] == "will-be-skipped"));
    // The whole agent is paused.
    assert_eq!(server.order("POST", "/agents/db-1/pause", &json!({})).0, 200);
    wait_for("the agent's pause", || (server.get("/agents")["agents"][0]["paused_from_us"].is_u64()).then_some(()));
    assert!(explained(&server, &agent, "nightly", year).iter().all(|(.., what)| what["decision"] == "will-be-skipped"));
    let mut never = command("monitor");
    never.args(["task", "explain", "none", "--server", server.url()]).env("MONITOR_TOKEN", server.token());
    assert_eq!(run(never).code, Some(4));
}

#[test]
fn a_task_is_no_longer_due_after_its_file_is_removed() {
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[("each", "shell = \"true\"\nrules = [\"* * * * * *\"]")]);
    let to_come = |path: &str| {
        let explained = server.get(path);
        explained["due"].as_array().unwrap().iter().filter(|due| due["decision"] == "will-start").count()
    };
    wait_for("the task at the server", || (server.get("/batch-tasks")["tasks"].as_array()?.len() == 1).then_some(()));
    wait_for("due times to come", || (to_come("/batch-tasks/each/explain") > 0).then_some(()));
    wait_for("a run", || server.get("/batch-tasks/runs")["runs"].as_array().filter(|runs| !runs.is_empty()).map(drop));
    std::fs::remove_file(agent.path("tasks/each.toml")).unwrap();
    agent.wait_for_log("a task is gone");
    wait_for("none to come", || (to_come("/batch-tasks/each/explain") == 0).then_some(()));
    let (now, half) = (now_us(), 43_200_000_000);
    let lanes = server.get(&format!("/batch-tasks/runs/day?from={}&to={}", now - half, now + half))["lanes"].clone();
    assert!(lanes[0]["task"] == "each" && !lanes.to_string().contains("will-start"), "{lanes}");
    let mut explain = command("monitor");
    explain.args(["task", "explain", "each", "--server", server.url()]).env("MONITOR_TOKEN", server.token());
    let explained = run(explain);
    assert!(explained.code == Some(0) && !explained.stdout.contains("will-start"), "{}", explained.stdout);
}
