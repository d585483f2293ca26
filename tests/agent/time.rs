//! Due times on a steered clock.

use std::time::Duration;

use monitor_tests::{SteeredClock, wait_for};

use crate::harness::Agent;

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_task_runs_when_it_is_due() {
    let clock = SteeredClock::new();
    let agent = Agent::start_with(&[("hourly", "shell = \"true\"\nrules = [\"0 * * * *\"]")], clock.env());
    agent.wait_for_log("a task is new or has changed");
    for count in 1..=3 {
        clock.pass(count * HOUR);
        agent.ended("hourly", count as usize);
    }
    let dues: Vec<_> = agent.runs("hourly").iter().map(|run| run["due_us"].as_i64().unwrap() / 1_000_000).collect();
    assert!(dues.iter().all(|due| due % 3_600 == 0) && dues.is_sorted_by(|one, next| one < next), "{dues:?}");
}

#[test]
fn ten_hours_of_missed_seconds_start_one_run_and_are_reported_together() {
    let clock = SteeredClock::new();
    // The task is due each second, and the agent is away for ten hours.
    let mut agent = Agent::start_with(&[("often", "shell = \"true\"\nrules = [\"@yearly\"]")], clock.env());
    agent.wait_for_log("a task is new or has changed");
    agent.define("often", "shell = \"true\"\nrules = [\"* * * * * *\"]\noverlap = \"skip\"");
    agent.ended("often", 1);
    agent.kill();
    let before = agent.runs("often").len();
    clock.pass(10 * HOUR);
    agent.start_again();
    let told = wait_for("what was missed", || agent.decisions("missed", "often").into_iter().find(|told| told.0 == "agent-down"));
    // The missed due times include the seconds until the agent was back.
    assert!((35_990..37_000).contains(&told.3) && told.2 - told.1 == told.3 - 1, "{told:?}");
    let made_up = |agent: &Agent| agent.runs("often").iter().skip(before).filter(|run| run["trigger"] == "missed").count();
    wait_for("later runs", || (agent.runs("often").len() > before + 1).then_some(()));
    assert!(made_up(&agent) <= 1, "{:?}", agent.runs("often"));
}

#[test]
fn a_pause_skips_due_times_and_reports_them() {
    let clock = SteeredClock::new();
    let agent = Agent::start_with(&[("hourly", "shell = \"true\"\nrules = [\"0 * * * *\"]")], clock.env());
    agent.wait_for_log("a task is new or has changed");
    agent.done(&["pause", "hourly", "--until", "150m"]);
    assert!(agent.done(&["list"]).contains("paused until"));
    clock.pass(HOUR);
    wait_for("a due time to be skipped", || (!agent.decisions("skipped", "hourly").is_empty()).then_some(()));
    clock.pass(4 * HOUR);
    agent.ended("hourly", 1);
    let skipped: i64 = agent
        .decisions("skipped", "hourly")
        .iter()
        .map(|told| {
            assert_eq!(told.0, "paused");
            told.3
        })
        .sum();
    assert!((2..=4).contains(&skipped), "{skipped}");
    agent.done(&["pause", "--all"]);
    agent.done(&["resume", "--all"]);
    agent.done(&["pause", "hourly"]);
    let before = agent.runs("hourly").len();
    agent.done(&["run", "hourly", "--wait"]);
    assert_eq!(agent.runs("hourly").len(), before + 1, "whoever asks for a run gets it");
}
