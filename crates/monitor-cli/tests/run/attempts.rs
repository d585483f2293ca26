//! Tests attempts of commands: the state while the next attempt is pending, and the data of ended attempts.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{House, PATIENCE, end_of, kill, output, wait_for};

fn said(house: &House, args: &[&str]) -> String {
    String::from_utf8(house.monitor(args).output().unwrap().stdout).unwrap()
}

#[test]
fn a_run_that_waits_for_its_next_attempt_is_retrying() {
    let house = House::new();
    let options = ["--name", "import", "--retry", "3", "--backoff", "1h"];
    let mut child =
        house.run(&options, &["sh", "-c", "echo no table >&2; exit 3"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let root = wait_for("the first attempt to fail", || {
        let roots = house.get("/roots?state=retrying")["roots"].clone();
        roots.as_array().filter(|roots| roots.len() == 1).map(|roots| roots[0].clone())
    });
    assert_eq!((&root["attempt"], &root["attempts_of"], &root["ended_us"]), (&1.into(), &4.into(), &Value::Null));
    assert_eq!(root["error"]["message"], "no table");
    let began_us = root["started_us"].as_u64().unwrap();
    let next_us = root["next_attempt_us"].as_u64().unwrap();
    assert!(next_us >= began_us + 3_600_000_000, "an hour after it failed: {root:#}");
    let tree = house.trees().remove(0);
    assert_eq!((&tree[0]["state"], &tree[0]["attempts"][0]["outcome"]), (&"retrying".into(), &"failed".into()));
    assert_eq!((&tree[0]["attempts"][0]["exit_code"], &tree[0]["next_attempt_us"]), (&3.into(), &next_us.into()));
    for args in [&["roots"][..], &["roots", "--state", "retrying"], &["tree", "1"]] {
        let text = said(&house, args);
        assert!(text.contains("↻ import") && text.contains("retrying") && text.contains("attempt 1 of 4, next in "), "{text}");
        assert!(text.contains("no table  exit code 3"), "{text}");
    }
    // A run that is no longer waited for has failed.
    kill(child.id(), "TERM");
    assert_eq!(end_of(&mut child).code(), Some(3));
    let process = house.process();
    assert_eq!((&process["state"], &process["next_attempt_us"]), (&"failed".into(), &Value::Null));
    assert!(process["ended_us"].as_u64() > Some(began_us));
}

#[test]
fn the_first_attempt_includes_the_maximum_number_of_attempts() {
    let house = House::new();
    let mut child = house.run(&["--retry", "3"], &["sleep", "600"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let root = wait_for("the first attempt", || {
        let roots = house.get("/roots?state=running")["roots"].clone();
        roots.as_array().filter(|roots| roots.len() == 1).map(|roots| roots[0].clone())
    });
    assert_eq!((&root["attempt"], &root["attempts_of"]), (&1.into(), &4.into()));
    for args in [&["roots"][..], &["tree", "1"]] {
        let text = said(&house, args);
        assert!(text.contains("attempt 1 of 4"), "{text}");
    }
    kill(child.id(), "TERM");
    end_of(&mut child);
    assert_eq!(house.process()["attempts"], Value::Null, "no other attempt was to come");
}

#[test]
fn each_attempt_has_its_own_error_time_and_log_and_the_run_the_total_time() {
    let house = House::new();
    let script = "echo x >> tries; n=$(wc -l < tries); echo try $n; [ $n -ge 3 ] || { echo \"no table $n\" >&2; exit $n; }";
    let out = output(house.run(&["--retry", "3", "--backoff", "20ms"], &["sh", "-c", script]), b"");
    assert!(out.status.success());
    let process = wait_for("the last attempt", || Some(house.process()).filter(|process| process["state"] == "succeeded"));
    assert_eq!((&process["attempt"], &process["attempts_of"]), (&3.into(), &4.into()));
    let attempts = process["attempts"].as_array().unwrap();
    let of = |attempt: &Value| {
        (attempt["attempt"].clone(), attempt["outcome"].clone(), attempt["exit_code"].clone(), attempt["error"]["message"].clone())
    };
    let expected = [(1, "failed", 1, "no table 1".into()), (2, "failed", 2, "no table 2".into()), (3, "succeeded", 0, Value::Null)];
    assert_eq!(
        attempts.iter().map(of).collect::<Vec<_>>(),
        expected.map(|(n, outcome, code, why)| (n.into(), outcome.into(), code.into(), why))
    );
    let time = |of: &Value, key: &str| of[key].as_u64().unwrap();
    assert_eq!(time(&process, "started_us"), time(&attempts[0], "started_us"));
    assert!(time(&process, "elapsed_ns") >= 60_000_000, "20 ms, and twice as long: {process:#}");
    assert_eq!(time(&process, "elapsed_ns"), (time(&process, "ended_us") - time(&process, "started_us")) * 1_000);
    // The log lines of each attempt are between its start and its end.
    let logs = house.get(&format!("/roots/1/processes/{}/logs", process["id"].as_str().unwrap()))["logs"].clone();
    for (number, attempt) in (1..).zip(attempts) {
        let is_of = |log: &&Value| (time(attempt, "started_us")..=time(attempt, "ended_us")).contains(&time(log, "time_us"));
        let lines: Vec<_> = logs.as_array().unwrap().iter().filter(is_of).map(|log| log["message"].as_str().unwrap()).collect();
        assert!(lines.contains(&&*format!("try {number}")) && lines.len() <= 2, "{number}: {logs:#}");
    }
    let tree = said(&house, &["tree", "1"]);
    for line in ["attempt 3 of 4", "attempt 1: failed  ", "  no table 1  exit code 1\n", "  no table 2  exit code 2\n"] {
        assert!(tree.contains(line), "{line} is not in {tree}");
    }
}

fn append_to(file: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(file).unwrap()
}

/// Lets another program write to the log file of a run while the run waits for its second attempt. Returns the second attempt's error, or
/// `None` if that attempt began before the other program had written.
fn second_error_after_writing_in_the_pause(backoff: &str) -> Option<Value> {
    let house = House::new();
    let folder = house.folder.path();
    let log = folder.join("shared.log");
    writeln!(append_to(&log), "error: the line of an earlier run").unwrap();
    let script = "echo x >> tries; [ $(wc -l < tries) = 1 ] && echo 'error: no table' >&2; exit 3";
    let mut run = house.run(&["--retry", "1", "--backoff", backoff], &["sh", "-c", script]);
    let mut child = run.stdin(Stdio::null()).stdout(append_to(&log)).stderr(append_to(&log)).spawn().unwrap();
    wait_for("the pause", || house.get("/roots?state=retrying")["roots"].as_array().filter(|roots| roots.len() == 1).map(|_| ()));
    writeln!(append_to(&log), "error: the disk of another program is full").unwrap();
    let is_pause_over = std::fs::read_to_string(folder.join("tries")).unwrap() != "x\n";
    assert_eq!(end_of(&mut child).code(), Some(3));
    let process = house.process();
    assert_eq!(process["attempts"][0]["error"]["message"], "error: no table");
    (!is_pause_over).then(|| process["error"].clone())
}

#[test]
fn text_that_others_write_to_the_log_file_between_attempts_is_not_the_error_of_an_attempt() {
    let mut backoffs = std::iter::successors(Some(1_u64), |seconds| Some(seconds * 3)).take_while(|seconds| *seconds < PATIENCE.as_secs());
    let error = backoffs.find_map(|seconds| second_error_after_writing_in_the_pause(&format!("{seconds}s")));
    let error = error.expect("a pause that is long enough");
    assert_eq!((&error["message"], &error["tail"]), (&"exit code 3".into(), &Value::Null));
}

#[test]
fn a_detached_run_that_waits_for_its_next_attempt_is_listed_as_retrying() {
    let house = House::new();
    let id = said(&house, &["run", "--detach", "--retry", "1", "--backoff", "1h", "--", "sh", "-c", "exit 3"]);
    let listed = |args: &[&str], text: &str| {
        wait_for(text, || Some(said(&house, args)).filter(|said| said.contains(text)));
    };
    listed(&["detached", "list"], "retrying: attempt 1 of 2, next in ");
    listed(&["detached", "list", "--json"], "\"state\": \"retrying\"");
    assert!(said(&house, &["detached", "kill", id.trim()]).contains("exit code 3"));
}
