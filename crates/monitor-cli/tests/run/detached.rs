//! Tests runs that outlive the process that started them.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{House, end_of, is_alive, kill, line_of, output, wait_for};

/// Starts a detached run; returns its id.
pub(crate) fn detach(house: &House, options: &[&str], script: &str) -> String {
    let out = output(house.run(&[options, &["--detach"]].concat(), &["sh", "-c", script]), b"");
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Returns the run from `monitor detached list --json`.
pub(crate) fn listed(house: &House, id: &str) -> Value {
    let out = output(house.monitor(&["detached", "list", "--json"]), b"");
    let list: Value = serde_json::from_slice(&out.stdout).unwrap();
    list["runs"].as_array().unwrap().iter().find(|run| run["id"] == id).cloned().unwrap_or_default()
}

pub(crate) fn until(house: &House, id: &str, state: &str) -> Value {
    wait_for(&format!("the run to be {state}"), || Some(listed(house, id)).filter(|run| run["state"] == state))
}

/// Returns the process id that the run's folder contains for a role.
pub(crate) fn pid_of(house: &House, id: &str, who: &str) -> u32 {
    let path = house.folder.path().join("runs").join(id).join("state.json");
    let state: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    u32::try_from(state[who]["pid"].as_u64().unwrap()).unwrap()
}

pub(crate) fn text(args: &[&str], house: &House) -> (Option<i32>, String, String) {
    let out = output(house.monitor(args), b"");
    (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn a_detached_run_continues_and_can_be_found_again() {
    let house = House::new();
    let id = detach(
        &house,
        &["--name", "long one"],
        "echo begun; read line; until [ -e more ]; do sleep 0.02; done; echo more; until [ -e go ]; do sleep 0.02; done; echo end >&2; exit 3",
    );
    let run = until(&house, &id, "running");
    assert_eq!((&run["name"], &run["exit_code"]), (&"long one".into(), &().into()));
    assert_eq!(line_of(house.folder.path().join("runs").join(&id).join("output.log")), "begun");
    assert_eq!(text(&["detached", "logs", &id[..4]], &house).1, "begun\n");
    let shown = house.folder.path().join("shown");
    let mut attached = house.monitor(&["detached", "attach", &id]).stdout(File::create(&shown).unwrap()).spawn().unwrap();
    let show = |text: &str| wait_for("what it writes to be shown", || (std::fs::read_to_string(&shown).unwrap() == text).then_some(()));
    show("begun\n");
    std::fs::write(house.folder.path().join("more"), "").unwrap();
    show("begun\nmore\n");
    let mut left = house.monitor(&["detached", "attach", &id]).stdout(Stdio::null()).spawn().unwrap();
    kill(left.id(), "INT");
    assert!(!end_of(&mut left).success());
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    assert_eq!(end_of(&mut attached).code(), Some(3));
    show("begun\nmore\nend\n");
    assert_eq!(until(&house, &id, "ended")["exit_code"], 3);
    let process = house.process();
    assert_eq!((&process["name"], &process["error"]["message"]), (&"long one".into(), &"end".into()));
    assert_eq!(process["root_id"], listed(&house, &id)["root_id"]);
    assert!(text(&["detached", "list"], &house).1.contains("exit code 3 (CPU "));
    assert_eq!(text(&["detached", "clear"], &house).1, "1 forgotten\n");
    assert!(text(&["detached", "list"], &house).1.contains("there are no detached runs"));
}

#[test]
fn a_command_that_cannot_be_started_is_reported_at_once() {
    let house = House::new();
    let out = output(house.run(&["--detach"], &["no-such-command"]), b"");
    assert_eq!(
        (out.status.code(), &*String::from_utf8_lossy(&out.stderr)),
        (Some(127), "monitor run: no-such-command: command not found\n")
    );
    let out = output(house.run(&["--detach", "--log-dir", "/proc/nowhere"], &["true"]), b"");
    assert_eq!(out.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--log-dir"), "{out:?}");
    std::fs::write(house.folder.path().join("runs-file"), "").unwrap();
    let mut run = house.run(&["--detach"], &["true"]);
    run.env("MONITOR_RUNS_DIR", house.folder.path().join("runs-file"));
    let out = output(run, b"");
    assert_eq!(out.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&out.stderr).contains("MONITOR_RUNS_DIR"), "{out:?}");
}

#[test]
fn kill_ends_all_processes_of_the_run() {
    let house = House::new();
    let script =
        "(setsid sh -c 'echo $$ > far; exec sleep 600' &); trap 'echo told; exit 5' TERM; echo $$ > near; while :; do sleep 0.05; done";
    let id = detach(&house, &["--grace", "10s"], script);
    let far: u32 = line_of(house.folder.path().join("far")).parse().unwrap();
    line_of(house.folder.path().join("near"));
    let (code, said, _) = text(&["detached", "kill", &id], &house);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("killed: exit code 5"), "{said}");
    assert!(!is_alive(far));
    // The shell may additionally report on stderr that its `sleep` was terminated.
    assert!(text(&["detached", "logs", "--stream", "stdout", &id], &house).1.ends_with("told\n"));
    let process = house.process();
    assert_eq!((&process["reason"], &process["exit_code"], &process["state"]), (&"killed".into(), &5.into(), &"cancelled".into()));
    let (code, _, why) = text(&["detached", "kill", &id], &house);
    assert!(code == Some(1) && why.contains("has ended before"), "{why}");
}

#[test]
fn kill_now_sends_sigkill_without_a_grace_period() {
    let house = House::new();
    let id = detach(&house, &["--grace", "1h"], "trap '' TERM; echo $$ > near; while :; do sleep 0.05; done");
    line_of(house.folder.path().join("near"));
    let (_, said, _) = text(&["detached", "kill", "--now", &id], &house);
    assert!(said.starts_with("killed: killed by SIGKILL (9)"), "{said}");
}

/// The second kill ends a process at once, although the grace period of the first kill has not ended.
#[test]
fn kill_now_takes_effect_while_another_kill_waits() {
    let house = House::new();
    let script = "(setsid bash -c 'trap \"\" TERM; echo $$ > far; while :; do sleep 0.05; done' &); \
        trap 'echo told > told; exit 5' TERM; while :; do sleep 0.05; done";
    let id = detach(&house, &["--grace", "1h"], script);
    let far: u32 = line_of(house.folder.path().join("far")).parse().unwrap();
    let mut patient = house.monitor(&["detached", "kill", &id]).stdout(Stdio::piped()).spawn().unwrap();
    line_of(house.folder.path().join("told"));
    assert_eq!(text(&["detached", "kill", "--now", &id], &house).0, Some(0));
    assert!(end_of(&mut patient).success());
    wait_for("the one that was left", || (!is_alive(far)).then_some(()));
}

/// The process ids may belong to other processes since, started later or after another boot.
#[test]
fn a_reused_pid_is_not_taken_for_a_process_of_the_run() {
    for (key, value) in [("start", Value::from(1)), ("boot", Value::from("an earlier one"))] {
        let house = House::new();
        let id = detach(&house, &[], "sleep 600");
        let path: PathBuf = house.folder.path().join("runs").join(&id).join("state.json");
        let text_before = std::fs::read(&path).unwrap();
        let mut state: Value = serde_json::from_slice(&text_before).unwrap();
        for who in ["launcher", "helper", "running"] {
            state[who][key] = value.clone();
        }
        std::fs::write(&path, state.to_string()).unwrap();
        assert_eq!(listed(&house, &id)["state"], "lost", "{key}");
        let (code, _, why) = text(&["detached", "kill", &id], &house);
        assert!(code == Some(1) && why.contains("how it ended is unknown"), "{why}");
        let command = u32::try_from(state["running"]["pid"].as_u64().unwrap()).unwrap();
        assert!(is_alive(command), "{key}: it is somebody else's");
        std::fs::write(&path, text_before).unwrap();
        assert_eq!(text(&["detached", "kill", &id], &house).0, Some(0));
    }
}

/// A detached run is not ended together with the run that started it.
#[test]
fn a_detached_run_outlives_the_run_that_started_it() {
    let house = House::new();
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    let script = format!("{} run --detach --name inner -- sleep 600 > id; sleep 600", monitor.display());
    let out = output(house.run(&["--timeout", "2s", "--grace", "100ms", "--name", "outer"], &["bash", "-c", &script]), b"");
    assert!(!out.status.success());
    let id = line_of(house.folder.path().join("id"));
    assert_eq!(listed(&house, &id)["state"], "running");
    assert_eq!(text(&["detached", "kill", &id], &house).0, Some(0));
    let names: Vec<_> = house.tree().iter().map(|process| process["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["outer", "inner"]);
}

#[test]
fn a_missing_or_damaged_run_is_reported_clearly() {
    let house = House::new();
    let (code, _, why) = text(&["detached", "logs", "nothing"], &house);
    assert!(code == Some(4) && why.contains("there is no run \"nothing\""), "{why}");
    let damaged = house.folder.path().join("runs/dead");
    std::fs::create_dir_all(&damaged).unwrap();
    std::fs::write(damaged.join("state.json"), "{").unwrap();
    assert!(text(&["detached", "list"], &house).1.contains("there are no detached runs"));
    let (code, _, why) = text(&["run", "--from", damaged.to_str().unwrap()], &house);
    assert!(code == Some(125) && why.contains("spec.json"), "{why}");
    let (code, _, why) = text(&["detached", "list", "--dir", "/dev/null"], &house);
    assert!(code == Some(1) && why.contains("/dev/null"), "{why}");
}
