//! Costs of an idle monitored program.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use monitor_tests::{Server, command, wait_for, worker};

/// Longer than the interval of any polling code.
const WHILE: Duration = Duration::from_millis(1_500);

/// The number after a word in a file below `/proc`.
fn number(path: &str, word: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = text.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("no {word} in {text}"));
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no number in {line}"))
}

/// Number of voluntary context switches of all threads of a program. Each, except for one, was ended by a wake-up.
fn wake_ups(child: &Child) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).expect("it runs");
    threads.flatten().map(|thread| number(&thread.path().join("status").display().to_string(), "voluntary_ctxt_switches:")).sum()
}

/// Private memory of a program, in bytes.
fn memory(child: &Child) -> u64 {
    number(&format!("/proc/{}/smaps_rollup", child.id()), "Anonymous:") * 1024
}

fn said_a_line(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("the worker writes");
}

#[test]
fn an_idle_program_sleeps_and_uses_little_memory() {
    let mut plain = command("monitor-test-worker");
    let mut plain = plain.arg("hang").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    said_a_line(&mut plain);

    let server = Server::start();
    let mut hang = worker(&server, &["hang"]);
    let mut hang = hang.env("MONITOR_HEARTBEAT", "1h").spawn().unwrap();
    said_a_line(&mut hang);
    wait_for("both processes on the server", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    wait_for("a while without a wake-up", || {
        let before = wake_ups(&hang);
        sleep(WHILE);
        (wake_ups(&hang) == before).then_some(())
    });
    let (plain_bytes, bytes) = (memory(&plain), memory(&hang));
    assert!(bytes < plain_bytes + (1 << 20), "{bytes} bytes, {plain_bytes} without monitoring");

    for mut child in [plain, hang] {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
