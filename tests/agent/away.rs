//! A server that is away for a day, with steered clocks.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_tests::{Server, SteeredClock, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

const HOUR: Duration = Duration::from_secs(3_600);
const HOURS: usize = 24;

#[test]
fn a_server_receives_all_due_times_after_a_day_of_downtime() {
    let clock = SteeredClock::new();
    let mut env = clock.env();
    // The timeouts of connections use the same clock. They are long enough that a jump of the clock closes no connection.
    for name in ["MONITOR_HEADER_TIMEOUT", "MONITOR_IDLE_TIMEOUT", "MONITOR_STALL_TIMEOUT"] {
        env.push((name, "365d".into()));
    }
    let mut server = Server::start_with(env);
    let mut agent = Agent::of_server(&server, "db-1", &[]);
    agent.kill();
    for (name, value) in clock.env() {
        agent.set_env(name, value);
    }
    agent.start_again();
    let shell = |name: &str| format!("echo {name} >> {}", agent.path("out").display());
    for name in ["gold", "tin", "quiet"] {
        let task = json!({"name": name, "shell": shell(name), "rules": ["0 * * * *"], "zone": "UTC", "on": ["db-1"]});
        assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    }
    assert_eq!(server.order("POST", "/batch-tasks/quiet/pause", &json!({})).0, 200);
    wait_for("the pause at the agent", || agent.ask(&["list"]).stdout.contains("paused").then_some(()));

    server.kill();
    // A due time may pass between the kill of the server and this line.
    let begun = ["gold", "tin"].map(|name| (name, agent.runs(name).len()));
    let skipped_before = skipped(&agent);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let to_hour = Duration::from_secs(HOUR.as_secs() - now.as_secs() % HOUR.as_secs());
    for hours in 0..HOURS {
        clock.pass(to_hour + HOUR * hours as u32);
        for (name, before) in begun {
            agent.ended(name, before + hours + 1);
        }
        wait_for("a due time to be skipped", || (skipped(&agent) - skipped_before > hours as i64).then_some(()));
    }
    server.start_again();
    for name in ["gold", "tin"] {
        let runs = agent.runs(name);
        let due: Vec<_> = runs.iter().map(|run| run["due_us"].as_i64().unwrap() / 1_000_000).collect();
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] == 3_600), "one run for each hour: {due:?}");
        assert_eq!(agent.lines("out").iter().filter(|line| *line == name).count(), runs.len(), "each ran once");
        wait_for("all runs at the server", || {
            let ids: BTreeSet<_> = agent.runs(name).iter().map(|run| run["id"].to_string()).collect();
            let told = server.get(&format!("/batch-tasks/runs?task={name}&limit=1000"))["runs"].as_array().unwrap().clone();
            let is_whole = |run: &Value| run["agent"] == "db-1" && run["outcome"] == "succeeded";
            let told_ids: BTreeSet<_> = told.iter().map(|run| run["run"].to_string()).collect();
            (told.iter().all(is_whole) && told_ids == ids).then_some(())
        });
    }
    wait_for("all skipped due times at the server", || {
        let due = server.get("/batch-tasks/quiet/explain")["due"].as_array().unwrap().clone();
        let paused = due.iter().filter(|due| due["decision"] == "skipped" && due["reason"] == "paused");
        (paused.map(|due| due["count"].as_i64().unwrap_or(1)).sum::<i64>() == skipped(&agent)).then_some(())
    });
    let path = "/batch-tasks/gold/explain";
    let decided: BTreeSet<_> = wait_for("what was decided", || {
        let due = server.get(path)["due"].as_array().unwrap().clone();
        let past: BTreeSet<_> = due.iter().map(|due| due["decision"].to_string()).filter(|what| !what.contains("will")).collect();
        (!past.contains("\"unknown\"")).then_some(past)
    });
    assert_eq!(decided, BTreeSet::from(["\"started\"".to_owned()]), "{}", server.get(path));
}

#[test]
fn a_run_that_ended_during_agent_downtime_does_not_block_the_next() {
    let clock = SteeredClock::new();
    let mut agent = Agent::start_with(&[], clock.env());
    let shell = format!("until [ -e {} ]; do sleep 0.05; done", agent.path("go").display());
    agent.define("gold", &format!("shell = \"{shell}\"\nrules = [\"0 * * * *\"]\nzone = \"UTC\""));
    agent.wait_for_log("a task is new or has changed");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let to_hour = Duration::from_secs(HOUR.as_secs() - now.as_secs() % HOUR.as_secs());
    clock.pass(to_hour);
    wait_for("a run to begin", || agent.runs("gold").first().filter(|run| run["started_us"].is_i64()).cloned());
    agent.kill();
    std::fs::write(agent.path("go"), "").unwrap();
    let run = agent.runs("gold")[0]["id"].as_str().unwrap().to_owned();
    wait_for("its end", || agent.path("data/runs").join(&run).join("outcome.json").exists().then_some(()));
    clock.pass(to_hour + HOUR);
    agent.start_again();
    agent.ended("gold", 2);
    assert_eq!(agent.decisions("skipped", "gold"), []);
}

/// Number of skipped due times of the paused task.
fn skipped(agent: &Agent) -> i64 {
    agent.decisions("skipped", "quiet").iter().map(|(.., count)| count).sum()
}
