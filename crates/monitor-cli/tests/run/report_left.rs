//! Tests `monitor run --report` on a machine with limited resources, and when its launcher is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{House, kill, line_of, wait_for};
use crate::report::{File, alone};

#[test]
fn a_report_needs_neither_network_nor_home_nor_settings() {
    let within = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net"]).arg(program).env_clear().env("PATH", std::env::var_os("PATH").expect("there is one"));
        command
    };
    if !within(Path::new("true")).status().is_ok_and(|status| status.success()) {
        println!("NOT TESTED: no namespaces may be made here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut monitor = within(assert_cmd::cargo::cargo_bin!("monitor"));
    monitor.args(["run", "--report", "r.html", "--", "sh", "-c", "cat /proc/net/route; echo a; exit 3"]).current_dir(&folder);
    let output = monitor.output().unwrap();
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), &*said), (Some(3), ""));
    assert_eq!(text, "a\n", "there is no route");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["r.html"]);
    let file = File::read(&folder.path().join("r.html"));
    assert!(file.tree(0).contains(r#""state":"failed""#) && file.tree(0).contains(r#""exit_code":3"#), "{}", file.tree(0));
    assert_eq!(file.said(0).last().map(String::as_str), Some("a"));
}

/// Starts a launcher for a test to kill. Its command creates `NAME.ran` first.
fn launcher(house: &House, name: &str, script: &str) -> (Child, PathBuf) {
    let path = house.folder.path().join(format!("{name}.html"));
    fs::write(&path, "of an earlier run").unwrap();
    let script = format!("echo $$ > {name}.ran; {script}");
    let mut launcher = alone(house, &["--report", path.to_str().unwrap()], &["sh", "-c", &script]);
    (launcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), path)
}

/// Checks that there is no report or a whole one. Returns true if there is one.
fn is_whole_or_absent(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    if text == "of an earlier run" {
        assert!(!path.with_extension("ran").exists(), "the command ran, and a report of another run is there");
        return false;
    }
    let file = File::read(path);
    assert!(file.text().contains(r#""exit_code":3"#));
    true
}

#[test]
fn sigkill_while_the_command_runs_leaves_no_report_and_a_later_one_is_true() {
    let house = House::new();
    let (mut launcher, path) = launcher(&house, "running", "echo ready; exec sleep 600");
    let command = line_of(path.with_extension("ran")).parse().unwrap();
    kill(launcher.id(), "KILL");
    launcher.wait().unwrap();
    assert!(!path.exists());
    let folders = fs::read_dir(&house.folder).unwrap().map(|entry| entry.unwrap().path());
    let [folder] = &folders.filter(|path| path.to_string_lossy().contains("/monitor-run-")).collect::<Vec<_>>()[..] else {
        panic!("one folder")
    };
    let spool = folder.join("spool");
    let report = |file: &str| {
        let mut report = house.monitor(&["report", spool.to_str().unwrap(), "-o", file]);
        assert!(report.env("TMPDIR", house.folder.path()).status().unwrap().success());
        File::read(&house.folder.path().join(file))
    };
    let tree = report("still.html").tree(0);
    assert!(tree.contains(r#""ended_us":null"#), "it had not ended: {tree}");
    // Only the helper is left to see its end.
    kill(command, "KILL");
    wait_for("its end to be recorded", || report("late.html").tree(0).contains("killed by SIGKILL").then_some(()));
}

#[test]
fn sigkill_at_any_moment_leaves_a_whole_report_or_none() {
    const MOMENTS: u32 = 16;
    let house = House::new();
    let script = "echo a; exit 3";
    let begun = Instant::now();
    let (mut whole, path) = launcher(&house, "whole", script);
    assert_eq!(whole.wait().unwrap().code(), Some(3));
    assert!(is_whole_or_absent(&path));
    let took = begun.elapsed();
    for moment in 0..MOMENTS {
        let (mut launcher, path) = launcher(&house, &format!("at-{moment}"), script);
        thread::sleep(took * moment / MOMENTS);
        let _ = launcher.kill();
        launcher.wait().unwrap();
        is_whole_or_absent(&path);
    }
}

#[test]
fn sigkill_while_the_report_is_written_leaves_none() {
    let house = House::new();
    let partial = || {
        let names = fs::read_dir(&house.folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".monitor-report-")).count()
    };
    // The writer may be faster than this test.
    let caught = (0..100).any(|attempt| {
        let before = partial();
        let (mut launcher, path) = launcher(&house, &format!("while-{attempt}"), "head -c 600000 /dev/urandom | base64; exit 3");
        while partial() == before && launcher.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_micros(50));
        }
        let _ = launcher.kill();
        launcher.wait().unwrap();
        !is_whole_or_absent(&path) && partial() > before
    });
    assert!(caught, "no launcher was killed while it wrote");
}
