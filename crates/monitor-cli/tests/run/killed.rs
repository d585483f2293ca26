//! Kills the processes that run a command with SIGKILL at every step, and checks that the command's result is recorded in all cases.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::detached::{detach, listed, pid_of, text, until};
use crate::harness::{House, is_alive, kill, line_of, wait_for};

fn folder(house: &House, id: &str) -> PathBuf {
    house.folder.path().join("runs").join(id)
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Sends SIGKILL, unless it has ended.
fn kill_if_alive(pid: u64) {
    let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Asks for a run of this id, and doesn't wait until its command runs.
fn ask(house: &House, id: &str, options: &[&str], script: &str) -> Child {
    let mut monitor = house.run(&[options, &["--detach", "--id", id]].concat(), &["sh", "-c", script]);
    monitor.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_command_whose_launcher_was_killed_ends_with_its_own_code() {
    let house = House::new();
    let id = detach(&house, &["--name", "left alone"], "echo one; while ! [ -e go ]; do sleep 0.02; done; echo two; exit 7");
    wait_for("it to be known", || house.trees().first().map(drop));
    let command = pid_of(&house, &id, "running");
    kill(pid_of(&house, &id, "launcher"), "KILL");
    until(&house, &id, "unwatched");
    assert!(is_alive(command));
    assert!(text(&["detached", "list"], &house).1.contains("its helper waits for its end"));
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    let run = until(&house, &id, "ended");
    assert_eq!((&run["exit_code"], &run["attempts"][0]["exit_code"]), (&7.into(), &7.into()));
    assert!(
        run["ended_us"].as_u64() > run["started_us"].as_u64() && run["note"].as_str().unwrap().contains("launcher was killed"),
        "{run}"
    );
    wait_for("all output", || (text(&["detached", "logs", &id], &house).1 == "one\ntwo\n").then_some(()));
    assert_eq!(text(&["detached", "attach", &id], &house).0, Some(7));
    let process = wait_for("its end to be stored", || {
        house.trees().first().and_then(|tree| tree.first().cloned()).filter(|process| process["ended_us"].is_u64())
    });
    assert_eq!((&process["state"], &process["exit_code"], &process["name"]), (&"failed".into(), &7.into(), &"left alone".into()));
    assert_eq!(process["root_id"], run["root_id"]);
    // It took as long as it ran, and not as long as the helper has recorded it.
    let took = process["ended_us"].as_u64().unwrap() - process["started_us"].as_u64().unwrap();
    assert_eq!(process["elapsed_ns"].as_u64().unwrap(), took * 1_000);
}

#[test]
fn a_foreground_command_is_recorded_as_ended_after_its_launcher_was_killed() {
    let house = House::new();
    let script = "echo $$ > pid; while ! [ -e go ]; do sleep 0.02; done; exit 7";
    let mut launcher = house.run(&[], &["sh", "-c", script]).spawn().unwrap();
    line_of(house.folder.path().join("pid"));
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    let process = wait_for("its end to be stored", || {
        house.trees().first().and_then(|tree| tree.first().cloned()).filter(|process| process["ended_us"].is_u64())
    });
    assert_eq!((&process["state"], &process["exit_code"]), (&"failed".into(), &7.into()));
}

/// A run that has come to a step.
struct Begun {
    id: String,
    /// File that exists when the command has run.
    mark: PathBuf,
    folder: PathBuf,
    asker: Child,
    /// Process id of the launcher.
    launcher: u64,
}

/// Starts a run named after `step`, and waits until the file `step` exists in its folder.
fn begin(house: &House, step: &str) -> Begun {
    let id = step.split('.').next().unwrap().to_owned();
    let mark = house.folder.path().join(format!("ran-{id}"));
    let asker = ask(house, &id, &[], &format!("echo ran > {}; exit 7", mark.display()));
    let folder = folder(house, &id);
    wait_for(step, || folder.join(step).exists().then_some(()));
    let claimed = wait_for("the launcher", || json(&folder.join("claimed.json")));
    Begun { id, mark, folder, asker, launcher: claimed["by"]["pid"].as_u64().unwrap() }
}

/// Whenever the launcher is killed: the command has run and its end is known, or it has not run and that is known.
#[test]
fn a_launcher_that_is_killed_at_any_step_loses_no_outcome() {
    let house = House::new();
    for step in ["spec.json", "claimed.json", "state.json", "executing-1.json", "running-1.json", "ended-1.json", "outcome.json"] {
        let Begun { id, mark, folder, mut asker, launcher } = begin(&house, step);
        kill_if_alive(launcher);
        asker.wait().unwrap();
        let run = wait_for("its end", || Some(listed(&house, &id)).filter(|run| run["state"] == "ended" || run["state"] == "lost"));
        let (has_run, code) = (mark.exists(), &run["exit_code"]);
        match run["state"].as_str().unwrap() {
            "ended" if has_run => assert_eq!(code, 7, "{step}: {run}"),
            "ended" => assert_eq!((code, &run["reason"]), (&125.into(), &"not-started".into()), "{step}: {run}"),
            // It was killed before it had a helper, and nothing was started.
            _ => assert!(!has_run && !folder.join("executing-1.json").exists(), "{step}: {run}"),
        }
    }
}

/// Kills the helper of a run, and waits for its end.
fn kill_helper(house: &House, id: &str) {
    let helper = pid_of(house, id, "helper");
    kill(helper, "KILL");
    wait_for("the helper to be gone", || (!is_alive(helper)).then_some(()));
}

/// The system gives the command to the launcher then.
#[test]
fn a_command_whose_helper_was_killed_ends_with_its_own_code() {
    for (end, code, signal) in [("exit 7", Value::from(7), Value::Null), ("kill -USR1 $$", Value::Null, Value::from(10))] {
        let house = House::new();
        let script = format!("echo one; (sleep 0.1 &); while ! [ -e go ]; do sleep 0.02; done; echo two; {end}");
        let id = detach(&house, &["--retry", "2", "--backoff", "10ms", "--after", "touch after"], &script);
        let command = pid_of(&house, &id, "running");
        kill_helper(&house, &id);
        assert!(is_alive(command) && listed(&house, &id)["state"] == "running");
        std::fs::write(house.folder.path().join("go"), "").unwrap();
        let run = until(&house, &id, "ended");
        assert_eq!((&run["exit_code"], &run["signal"]), (&code, &signal), "{run}");
        assert!(run["note"].as_str().unwrap().contains("its helper was killed"), "{run}");
        assert_eq!(run["attempts"].as_array().unwrap().len(), 1, "it starts nothing more: {run}");
        assert!(!house.folder.path().join("after").exists());
        // The launcher logs this as its last message.
        wait_for("the note in its log", || {
            let logs = text(&["detached", "logs", &id], &house).1;
            logs.starts_with("one\ntwo\nmonitor run: its helper was killed: the launcher has seen how it ended").then_some(())
        });
        wait_for("its end to be stored", || {
            house.trees().first().filter(|tree| tree[0]["exit_code"] == code && tree[0]["state"] == "failed").map(drop)
        });
    }
}

#[test]
fn a_command_keeps_its_exit_code_if_its_helper_was_killed_unnoticed() {
    let house = House::new();
    let id = detach(&house, &[], "while ! [ -e go ]; do sleep 0.02; done; exit 7");
    let (command, launcher) = (pid_of(&house, &id, "running"), pid_of(&house, &id, "launcher"));
    // The helper is killed while the launcher is stopped, and the command ends before the launcher continues.
    kill(launcher, "STOP");
    kill(pid_of(&house, &id, "helper"), "KILL");
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    wait_for("the command to end", || (!is_alive(command)).then_some(()));
    kill(launcher, "CONT");
    assert_eq!(until(&house, &id, "ended")["exit_code"], 7);
}

#[test]
fn a_run_without_its_helper_is_ended_with_processes_outside_its_session() {
    for by_timeout in [false, true] {
        let house = House::new();
        let options: &[&str] = if by_timeout { &["--grace", "200ms", "--timeout", "2s"] } else { &["--grace", "200ms"] };
        let id = detach(&house, options, STUBBORN);
        let far: u32 = line_of(house.folder.path().join("far")).parse().unwrap();
        let command = pid_of(&house, &id, "running");
        kill_helper(&house, &id);
        if !by_timeout {
            let (_, said, why) = text(&["detached", "kill", &id], &house);
            assert!(said.starts_with("killed: killed by SIGKILL (9)"), "{said}{why}");
        }
        let run = until(&house, &id, "ended");
        let reason = if by_timeout { "timeout" } else { "killed" };
        assert_eq!((&run["reason"], &run["signal"]), (&reason.into(), &9.into()), "{run}");
        wait_for("both to be gone", || (!is_alive(command) && !is_alive(far)).then_some(()));
    }
}

/// No process is left that could observe the end. A command that has started is never reported as not started.
#[test]
fn launcher_and_helper_killed_at_any_step_never_hide_that_a_command_ran() {
    let house = House::new();
    for step in ["claimed.json", "state.json", "executing-1.json", "running-1.json", "ended-1.json"] {
        let Begun { id, mark, folder, mut asker, launcher } = begin(&house, step);
        let helper = json(&folder.join("state.json")).and_then(|state| state["helper"]["pid"].as_u64());
        kill_if_alive(launcher);
        helper.into_iter().for_each(kill_if_alive);
        asker.wait().unwrap();
        let run = wait_for("its end", || Some(listed(&house, &id)).filter(|run| run["state"] == "ended" || run["state"] == "lost"));
        if mark.exists() {
            assert!(folder.join("running-1.json").exists(), "{step}: {run}");
            assert!(run["state"] == "lost" || run["exit_code"] == 7 || run["reason"] == "lost", "{step}: {run}");
            assert!(
                !text(&["detached", "list"], &house)
                    .1
                    .lines()
                    .any(|line| line.contains(&format!("{id} ")) && line.contains("never started"))
            );
        }
    }
}

#[test]
fn a_run_without_any_supervisor_is_lost_once_it_has_ended() {
    let house = House::new();
    let id = detach(&house, &[], "while ! [ -e go ]; do sleep 0.02; done");
    kill(pid_of(&house, &id, "launcher"), "STOP");
    kill(pid_of(&house, &id, "helper"), "KILL");
    kill(pid_of(&house, &id, "launcher"), "KILL");
    until(&house, &id, "unwatched");
    wait_for("both to be gone", || text(&["detached", "list"], &house).1.contains("its exit code will not be known").then_some(()));
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    let run = until(&house, &id, "lost");
    assert_eq!((&run["exit_code"], &run["signal"]), (&().into(), &().into()));
    let (code, _, why) = text(&["detached", "attach", &id], &house);
    assert!(code == Some(1) && why.contains("how it ended is unknown"), "{why}");
}

/// A process that ignores SIGTERM and has left its session is ended, too.
const STUBBORN: &str =
    "(setsid sh -c 'trap \"\" TERM; echo $$ > far; while :; do sleep 0.05; done' &); trap '' TERM; while :; do sleep 0.05; done";

#[test]
fn a_run_without_a_launcher_is_killed_by_its_helper() {
    let house = House::new();
    let id = detach(&house, &["--grace", "200ms"], STUBBORN);
    let far: u32 = line_of(house.folder.path().join("far")).parse().unwrap();
    let command = pid_of(&house, &id, "running");
    kill(pid_of(&house, &id, "launcher"), "KILL");
    until(&house, &id, "unwatched");
    let (_, said, _) = text(&["detached", "kill", &id], &house);
    assert!(said.starts_with("killed: killed by SIGKILL (9)"), "{said}");
    wait_for("both to be gone", || (!is_alive(command) && !is_alive(far)).then_some(()));
    wait_for("its end to be stored", || house.trees().first().filter(|tree| tree[0]["state"] == "cancelled").map(drop));
}

/// By its cgroup, where it has one, and by the mark in its environment.
#[test]
fn a_run_without_launcher_and_helper_is_killed_including_other_sessions() {
    for has_group in [true, false] {
        let house = House::new();
        let id = detach(&house, &["--grace", "200ms"], STUBBORN);
        let far: u32 = line_of(house.folder.path().join("far")).parse().unwrap();
        let command = pid_of(&house, &id, "running");
        kill(pid_of(&house, &id, "launcher"), "STOP");
        kill(pid_of(&house, &id, "helper"), "KILL");
        kill(pid_of(&house, &id, "launcher"), "KILL");
        if !has_group {
            let path = folder(&house, &id).join("state.json");
            let mut state = json(&path).unwrap();
            state["cgroup"] = Value::Null;
            std::fs::write(path, state.to_string()).unwrap();
        }
        until(&house, &id, "unwatched");
        let (_, said, why) = text(&["detached", "kill", &id], &house);
        assert!(said.starts_with("lost"), "{said}{why}");
        assert!(!is_alive(command) && !is_alive(far), "{has_group}");
    }
}

/// The same applies if the processes that run it receive a signal to end.
#[test]
fn a_nested_detached_run_outlives_the_kill_of_an_unwatched_run() {
    let house = House::new();
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    let outer = detach(&house, &[], &format!("{} run --detach -- sleep 600 > id; sleep 600", monitor.display()));
    let inner = line_of(house.folder.path().join("id"));
    kill(pid_of(&house, &outer, "launcher"), "STOP");
    kill(pid_of(&house, &outer, "helper"), "KILL");
    kill(pid_of(&house, &outer, "launcher"), "KILL");
    until(&house, &outer, "unwatched");
    assert!(text(&["detached", "kill", "--now", &outer], &house).1.starts_with("lost"));
    assert_eq!(listed(&house, &inner)["state"], "running");
    assert_eq!(text(&["detached", "kill", "--now", &inner], &house).0, Some(0));
}

/// Its descendants are ended, too, and the recorded end shows this.
#[test]
fn a_run_that_ends_with_its_launcher_records_this_reason() {
    let house = House::new();
    let id = detach(&house, &["--on-launcher-death", "kill"], STUBBORN);
    let far: u32 = line_of(house.folder.path().join("far")).parse().unwrap();
    kill(pid_of(&house, &id, "launcher"), "KILL");
    let run = until(&house, &id, "ended");
    assert_eq!((&run["signal"], &run["reason"]), (&9.into(), &"launcher-killed".into()));
    wait_for("what has left", || (!is_alive(far)).then_some(()));
}

/// The next attempt can't come any more, and the last one decides.
#[test]
fn a_launcher_that_is_killed_between_attempts_leaves_the_last_one() {
    let house = House::new();
    let id = detach(&house, &["--retry", "3", "--backoff", "1h"], "echo broken >&2; exit 5");
    until(&house, &id, "retrying");
    wait_for("it to be known", || house.trees().first().filter(|tree| tree[0]["state"] == "retrying").map(drop));
    kill(pid_of(&house, &id, "launcher"), "KILL");
    let run = until(&house, &id, "ended");
    assert_eq!((&run["exit_code"], run["attempts"].as_array().unwrap().len()), (&5.into(), 1));
    wait_for("its end to be stored", || house.trees().first().filter(|tree| tree[0]["state"] == "failed").map(drop));
}
