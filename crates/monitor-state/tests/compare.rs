//! Comparison of runs, by the cases that also test the page.

mod support;

use monitor_state::{differences, took_ns};
use monitor_wire::Process;
use serde_json::json;
use support::{process, root};

const CASES: &str = include_str!("../cases/comparison.txt");

/// Reads lines like `  fetch ok 100`: name, state and duration in ms, indented by depth.
fn run(text: &str) -> Vec<Process> {
    let read = |(index, line): (usize, &str)| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [name, state, ms] = words[..] else { panic!("{line}: no process") };
        let ns = (ms.parse::<f64>().unwrap() * 1e6) as u64;
        let started = index as u64 * 1_000;
        made(index, (line.len() - line.trim_start().len()) / 2, name, state, (started, Some(started + ns / 1_000)), Some(ns))
    };
    text.lines().filter(|line| !line.is_empty()).enumerate().map(read).collect()
}

fn made(index: usize, depth: usize, name: &str, state: &str, (started, ended): (u64, Option<u64>), ns: Option<u64>) -> Process {
    let state = if state == "ok" { "succeeded" } else { state };
    let process = json!({
        "id": process(index as u64 + 1), "root_id": root(1), "name": name, "kind": "normal", "state": state, "attempt": 1,
        "started_us": started, "ended_us": ended, "elapsed_ns": ns, "attachment": "explicit", "orphan": false, "links": [], "fields": {},
        "depth": depth,
    });
    serde_json::from_value(process).unwrap()
}

/// Returns the kind and the name of each difference.
fn shown(before: &[Process], after: &[Process]) -> Vec<String> {
    let shown = differences(before, after, 9_000_000);
    shown.iter().map(|found| format!("{} {}", found.change.as_str(), found.after.or(found.before).unwrap().name)).collect()
}

#[test]
fn the_differences_of_every_case_are_those_of_the_table() {
    let cases: Vec<_> = CASES.split("\n# ").skip(1).collect();
    assert!(cases.len() >= 11, "{}", cases.len());
    for case in cases {
        let (name, rest) = case.split_once('\n').unwrap();
        let (expected, runs) = rest.strip_prefix("differences:").unwrap().split_once('\n').unwrap();
        let (before, after) = runs.split_once("\n--\n").unwrap();
        assert_eq!(shown(&run(before), &run(after)).join(", "), expected.trim(), "{name}");
    }
}

#[test]
fn a_fold_is_compared_by_all_of_its_calls() {
    let fold = |failed: u64, total_ns: u64| {
        let mut processes = run("job ok 1000\n  call ok 1");
        let fold = json!({"count": 10, "failed": failed, "running": 0, "cancelled": 0, "total_ns": total_ns, "min_ns": 1, "max_ns": 1, "histogram": [], "errors": []});
        processes[1].fold = Some(serde_json::from_value(fold).unwrap());
        processes
    };
    assert_eq!(shown(&fold(0, 100_000_000), &fold(1, 100_000_000)), ["failing call"]);
    assert_eq!(shown(&fold(0, 100_000_000), &fold(0, 300_000_000)), ["slower call"]);
}

#[test]
fn a_running_process_has_taken_the_time_until_now() {
    let mut processes = run("job ok 1000\n  step ok 100");
    processes[1] = made(1, 1, "step", "running", (1_000, None), None);
    assert_eq!(took_ns(&processes[1], 901_000), Some(900_000_000));
    assert_eq!(shown(&run("job ok 1000\n  step ok 100"), &processes), ["slower step"]);
}

#[test]
fn large_and_empty_runs_are_compared() {
    let wide: Vec<_> = (0..50_000).map(|index| made(index, usize::from(index > 0), "n", "ok", (index as u64, None), Some(1))).collect();
    let deep: Vec<_> = (0..50_000).map(|index| made(index, index, "n", "ok", (index as u64, None), Some(1))).collect();
    assert!(shown(&wide, &wide).is_empty() && shown(&deep, &deep).is_empty());
    assert_eq!(shown(&wide, &deep).len(), 1 + 49_998);
    assert_eq!((shown(&[], &wide), shown(&wide, &[])), (vec!["new n".to_owned()], vec!["gone n".to_owned()]));
    assert!(shown(&[], &[]).is_empty());
}
