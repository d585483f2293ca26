//! Tests the binary `monitor top` in a real pseudo-terminal, with a real server.
#![cfg(target_os = "linux")]

#[path = "../pty/mod.rs"]
mod pty;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "each test program uses its own part of it")]
mod support;

mod screen;
mod worker;

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::screen::{Screen, signal};
use crate::support::{ROOT, TestServer, end_of, ended, monitor, started};

/// A server with a tree of three processes; one process failed.
fn server() -> TestServer {
    let server = TestServer::start();
    let events = [
        started(ROOT, 1, None, "pipeline"),
        started(ROOT, 2, Some(1), "下载 download"),
        started(ROOT, 3, Some(1), "import"),
        ended(ROOT, 2, 1_500_000_000, None),
        ended(ROOT, 3, 500_000_000, Some("no such table")),
    ];
    server.send(1, &events);
    server
}

#[test]
fn trees_can_be_opened_filtered_and_resized_and_top_quits_cleanly() {
    let server = server();
    let mut screen = Screen::new(24, 80);
    let before = screen.modes();
    let mut child = screen.start(&server.url, &[]);
    screen.see("pipeline <1>");
    assert!(screen.is_alternate());
    screen.type_in("\r");
    screen.see("no such table");
    screen.type_in("e");
    screen.see("3/3");
    screen.type_in("t");
    screen.see("── traceback");
    screen.type_in("\u{1b}");
    screen.see_no("── traceback");
    screen.type_in("/state:failed\r");
    screen.see_no("download");
    screen.see("/state:failed  1/1");
    screen.resize(30, 120);
    screen.see("started");
    screen.resize(10, 40);
    screen.see("40×10 is too small: 80×24 at least");
    screen.resize(24, 80);
    screen.see("no such table");
    screen.type_in("5");
    screen.see("nightly@build-7:4121");
    screen.type_in("4");
    screen.see("nothing here yet");
    screen.type_in(":tree 1\r");
    screen.see("download");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
    assert_eq!(screen.modes(), before);
    // Its last output may still be in transit.
    screen.see_until(|seen| !seen.alternate_screen() && !seen.hide_cursor());
}

#[test]
fn new_events_are_shown_and_the_selection_stays() {
    let server = server();
    let mut screen = Screen::new(24, 100);
    let mut child = screen.start(&server.url, &["1"]);
    screen.see("download");
    screen.type_in("jj");
    screen.see("3/3");
    server.send(
        6,
        &[json!({
            "type": "process-started", "root_id": ROOT, "id": format!("{:016x}", 9), "parent_id": format!("{:016x}", 2), "kind": "normal",
            "name": "unpack", "time_us": 1_763_600_000_000_100_u64,
        })],
    );
    screen.see("unpack");
    screen.see("4/4");
    screen.type_in("i");
    screen.see("process       import");
    screen.type_in("\u{3}");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn failures_of_the_last_day_lead_to_their_processes() {
    let server = TestServer::start();
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let event = |mut event: Value| {
        event["time_us"] = now_us.into();
        event
    };
    let events = [started(ROOT, 1, None, "pipeline"), started(ROOT, 2, Some(1), "import"), ended(ROOT, 2, 1_000, Some("no such table"))];
    server.send(1, &events.map(event));
    let mut screen = Screen::new(24, 80);
    let mut child = screen.start(&server.url, &[]);
    screen.see("pipeline <1>");
    screen.type_in("4");
    screen.see("no such table");
    screen.type_in("\r");
    screen.see("2/2");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn signals_give_the_terminal_back() {
    let server = server();
    for (sent, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let screen = Screen::new(24, 80);
        let before = screen.modes();
        let mut child = screen.start(&server.url, &[]);
        screen.see("pipeline <1>");
        assert_ne!(screen.modes(), before);
        signal(&child, sent);
        assert_eq!(end_of(&mut child).code(), Some(code), "{sent:?}");
        assert_eq!(screen.modes(), before, "{sent:?}");
        screen.see_until(|screen| !screen.alternate_screen() && !screen.hide_cursor());
    }
}

#[test]
fn control_z_returns_to_the_shell_and_fg_resumes_top() {
    let server = server();
    let mut screen = Screen::new(24, 80);
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env("PS1", "READY> ").env("TERM", "xterm-256color");
    let mut shell = screen.start_command(shell);
    screen.see("READY> ");
    let binary = assert_cmd::cargo::cargo_bin!("monitor");
    screen.type_in(&format!("{} top --server {}\n", binary.display(), server.url));
    screen.see("pipeline <1>");
    screen.type_in("\u{1a}");
    screen.see("Stopped");
    // Its last output may still be in transit.
    screen.see_until(|seen| !seen.alternate_screen() && !seen.hide_cursor());
    // The terminal echoes and edits input, as before.
    screen.type_in("echo $((6 * 7))x\n");
    screen.see("42x");
    screen.type_in("fg\n");
    screen.see("pipeline <1>");
    assert!(screen.is_alternate());
    screen.type_in("q");
    screen.see("READY> ");
    screen.type_in("exit 5\n");
    assert_eq!(end_of(&mut shell).code(), Some(5));
}

#[test]
fn names_are_text_whatever_is_in_them() {
    let server = TestServer::start();
    let long = "根\u{1b}]0;owned\u{7}\u{9b}2J".repeat(300);
    server.send(1, &[started(ROOT, 1, None, &long), started(ROOT, 2, Some(1), "\u{1b}[31;5mred\u{202e}\r\n")]);
    let mut screen = Screen::new(24, 80);
    let mut child = screen.start(&server.url, &[]);
    screen.see("根␛]0;owned␇");
    screen.type_in("\r");
    screen.see("␛[31;5mred<U+202E>␍␊");
    screen.type_in("i");
    screen.see("process       ");
    assert_eq!(screen.title(), "");
    screen.type_in("q");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn top_waits_for_a_server_that_is_restarted() {
    let server = server();
    let mut screen = Screen::new(24, 80);
    let (url, address) = (server.url.clone(), server.url.trim_start_matches("http://").to_owned());
    let mut child = screen.start(&url, &[]);
    screen.see("● live");
    let data = server.stop();
    screen.see("✗ away, trying again");
    screen.see("pipeline <1>");
    let server = TestServer::with(&["--listen", &address], data);
    assert_eq!(server.url, url);
    screen.see("● live");
    server.send(6, &[started(&ROOT.replace("01", "02"), 1, None, "after the break")]);
    screen.see("after the break");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn top_waits_for_a_server_that_was_never_reached() {
    let mut screen = Screen::new(24, 80);
    let mut child = screen.start("http://127.0.0.1:1", &[]);
    screen.see("✗ away, trying again");
    screen.see("was not reached");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn without_a_terminal_top_recommends_other_commands() {
    let output = monitor(&["top", "--server", "http://127.0.0.1:1"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("wants a terminal") && message.contains("monitor list"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn links_are_copied_and_colours_are_left_out() {
    let server = server();
    let mut screen = Screen::new(24, 80);
    let mut command = screen::top(&server.url, &[]);
    command.env("NO_COLOR", "1");
    let mut child = screen.start_command(command);
    screen.see("pipeline <1>");
    screen.type_in("y");
    screen.see("copied: http://127.0.0.1:");
    let written = screen.written();
    assert!(written.contains("\u{1b}]52;c;"), "{written:?}");
    let colours = ["[31", "[32", "[33", "[36", "[38;", "[91"].map(|colour| format!("\u{1b}{colour}"));
    assert!(!colours.iter().any(|colour| written.contains(colour)), "{written:?}");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn nothing_is_cancelled_without_a_question() {
    let server = server();
    let token = monitor(&["token", "create", "hands", "--scope", "operate,read", "--data"]).arg(server.data.path()).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let mut screen = Screen::new(24, 100);
    let mut command = screen::top(&server.url, &[]);
    command.env("MONITOR_TOKEN", token.trim());
    let mut child = screen.start_command(command);
    screen.see("pipeline <1>");
    screen.type_in("c");
    screen.see("cancel pipeline <1>: 1 process on 1 worker? y, or any other key");
    screen.type_in("n");
    screen.see("nothing was cancelled");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
    assert_eq!(server.json(&["roots"])["roots"][0]["state"], "running");

    let mut screen = Screen::new(24, 100);
    let mut child = screen.start(&server.url, &["--readonly"]);
    screen.see("pipeline <1>");
    screen.type_in("c");
    screen.see("it was started with --readonly");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn a_rate_is_limited_after_a_question_and_never_readonly() {
    let server = TestServer::start();
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    server.send(
        1,
        &[json!({"type": "worker-online", "time_us": now_us, "started_us": now_us, "version": "1", "heartbeat_interval_ms": 600_000})],
    );
    let running = worker::does(&server, "rate-limit");
    let token = monitor(&["token", "create", "hands", "--scope", "operate,read", "--data"]).arg(server.data.path()).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let mut screen = Screen::new(24, 80);
    let mut command = screen::top(&server.url, &[]);
    command.env("MONITOR_TOKEN", token.trim());
    let mut child = screen.start_command(command);
    screen.see("● live");
    screen.type_in("5");
    screen.see("nightly@build-7");
    screen.type_in("L");
    screen.see("name and rate:");
    screen.type_in("video.render often\r");
    screen.see("\"often\" is no rate: expected one like 10/s");
    screen.type_in("Lvideo.render 10/s\r");
    screen.see("limit video.render to 10/s in nightly@build-7? y, or any other key");
    screen.type_in("n");
    screen.see("nothing was limited");
    screen.type_in("Lvideo.render 10/m\r");
    screen.see("limit video.render to 10/m in nightly@build-7?");
    screen.type_in("y");
    screen.see("1 of 1 worker did it");
    assert_eq!(running.join().unwrap(), json!({"name": "video.render", "rate": "10/m"}));
    // The same worker receives the command to end.
    let running = worker::does(&server, "shutdown");
    screen.type_in("X");
    screen.see("shut nightly@build-7:4121 down after its work? y, or any other key");
    screen.type_in("y");
    screen.see("1 of 1 worker did it");
    assert_eq!(running.join().unwrap(), json!({}));
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));

    let mut screen = Screen::new(24, 80);
    let mut child = screen.start(&server.url, &["--readonly"]);
    screen.see("● live");
    screen.type_in("5");
    screen.see("nightly@build-7");
    screen.type_in("L");
    screen.see("it was started with --readonly");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[test]
fn a_dump_is_replayed() {
    let server = server();
    let dump = server.run(&["events", "--dump", "--json", "--after", "0", "--limit", "5"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.json");
    std::fs::write(&path, &dump).unwrap();
    let url = server.url.clone();
    drop(server);
    let mut screen = Screen::new(24, 80);
    let mut child = screen.start(&url, &["--replay", path.to_str().unwrap(), "--speed", "max"]);
    screen.see("■ the file has no more");
    screen.see("pipeline <1>");
    screen.type_in("\r");
    screen.see("no such table");
    screen.type_in("c");
    screen.see("what is replayed can't be changed");
    screen.type_in("q");
    assert_eq!(end_of(&mut child).code(), Some(0));

    std::fs::write(&path, "no event\n").unwrap();
    let screen = Screen::new(24, 80);
    let mut child = screen.start(&url, &["--replay", path.to_str().unwrap()]);
    screen.see("line 1 is no event");
    assert_eq!(end_of(&mut child).code(), Some(1));
    for speed in ["0", "-1", "NaN", "fast"] {
        let speed = format!("--speed={speed}");
        monitor(&["top", "--replay", path.to_str().unwrap(), &speed]).assert().code(2);
    }
}
