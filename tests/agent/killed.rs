//! SIGKILL of the agent and of launchers. No due time is missed, none starts two runs, and the exit code of each run is right.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use monitor_tests::{rounds, wait_for};

use crate::harness::Agent;

/// Kills the agent a varying number of milliseconds after each start, and starts it again.
#[test]
fn a_killed_agent_misses_nothing_and_starts_nothing_twice() {
    let task = "shell = \"echo $MONITOR_RUN_DUE >> ../../../ran; exit 7\"\nrules = [\"* * * * * *\"]\noverlap = \"allow 100\"\nmissed = { policy = \"all\", cap = 1000 }";
    let mut agent = Agent::start(&[("each", task)]);
    std::fs::create_dir_all(agent.path("data/task/each")).unwrap();
    agent.wait_for_log("a task is new or has changed");
    let first = agent.ended("each", 1)[0]["due_us"].as_i64().unwrap();
    for round in 0..rounds(8) {
        agent.kill();
        agent.start_again();
        // No condition to wait for: each delay hits a different step of a run.
        std::thread::sleep(Duration::from_millis(u64::from(round) * 137 % 1_100));
    }
    agent.kill();
    agent.start_again();
    let count = agent.runs("each").len() + 2;
    wait_for("later runs", || (agent.runs("each").len() >= count).then_some(()));
    agent.define("each", &task.replace("* * * * * *", "@yearly"));
    wait_for("the end of the rule", || {
        agent.log().rsplit("a task is new or has changed").next().filter(|_| agent.log().contains("version=2")).map(drop)
    });
    let runs = agent.ended("each", count);
    let mut ran: BTreeMap<String, u32> = BTreeMap::new();
    for due in agent.lines("ran") {
        *ran.entry(due).or_default() += 1;
    }
    assert!(ran.values().all(|times| *times == 1), "none doubled: {ran:?}");
    assert_eq!(ran.len(), runs.len(), "what is told to have run has run");
    let dues: Vec<i64> = runs.iter().map(|run| run["due_us"].as_i64().unwrap() / 1_000_000).collect();
    let (from, to) = (first / 1_000_000, *dues.iter().max().unwrap());
    let told = ["missed", "skipped"].iter().flat_map(|what| agent.decisions(what, "each")).map(|told| (told.1, told.2));
    // A due time may pass while an agent with a new folder waits for the server's answer about its earlier runs.
    let told: Vec<(i64, i64)> = told.filter(|(_, last)| *last >= from).collect();
    for due in from..=to {
        let is_told = dues.contains(&due) || told.iter().any(|(first, last)| (first..=last).contains(&&due));
        assert!(is_told, "{due} is missed without a word: {dues:?} {told:?}");
    }
    assert!(told.is_empty(), "all could be made up for: {told:?}");
    assert!(runs.iter().all(|run| run["exit_code"] == 7 && run["result_code"] == 7), "{runs:?}");
}

/// Kills launchers as soon as they appear, and after each step that they record.
#[test]
fn a_killed_launcher_changes_no_exit_code_and_starts_nothing_twice() {
    let task = "shell = \"echo $MONITOR_RUN_ID >> ../../../ran; sleep 0.2; exit 7\"\noverlap = \"allow 100\"";
    let agent = Agent::start(&[("each", task)]);
    std::fs::create_dir_all(agent.path("data/task/each")).unwrap();
    agent.wait_for_log("a task is new or has changed");
    let count = rounds(8) as usize;
    for round in 0..count {
        let known = agent.launchers();
        let run = agent.path("data/runs").join(agent.done(&["run", "each"]));
        let launcher = wait_for("a launcher", || {
            // The launcher may have ended before the test has seen it.
            let ended = agent.runs("each").get(round).is_some_and(|run| run["ended_us"].is_i64());
            agent.launchers().into_iter().filter(|pid| !known.contains(pid)).min().map(Some).or(ended.then_some(None))
        });
        if let Some(launcher) = launcher {
            let step = [".", "claimed.json", "executing-1.json", "running-1.json", "ended-1.json"][round % 5];
            wait_for(step, || run.join(step).exists().then_some(()));
            // The launcher may have ended already.
            let _ = Command::new("kill").args(["-9", &launcher.to_string()]).status();
        }
    }
    let runs = agent.ended("each", count);
    let mut ran = agent.lines("ran");
    ran.sort();
    ran.dedup();
    assert_eq!((ran.len(), agent.lines("ran").len()), (count, count), "each ran once: {runs:?}");
    assert!(runs.iter().all(|run| run["exit_code"] == 7), "{runs:?}");
}
