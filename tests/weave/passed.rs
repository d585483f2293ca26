//! A test that passes within a second has a single row. Other tests also have rows for their calls.

use std::fs;
use std::process::Stdio;

use monitor_tests::{Server, outline, run, wait_for};
use serde_json::Value;

use crate::Project;

/// Adds up numbers. Fails on demand.
const PROGRAM: &str = r#"fn main() {
    println!("{}", sum(std::env::args().count()));
}

fn sum(count: usize) -> usize {
    let mut sum = 0;
    for n in 0..count {
        sum += n;
    }
    sum
}
"#;

const TESTS: &str = r#"use std::process::Command;
use std::time::Duration;

fn call(n: u32) -> Result<u32, String> {
    let mut sum = 0;
    for k in 0..n {
        sum += k;
    }
    if sum > 100 { Err("too much".to_owned()) } else { Ok(sum) }
}

fn starts() {
    assert!(Command::new(env!("CARGO_BIN_EXE_NAME")).status().unwrap().success());
}

#[test]
fn passes() {
    assert!(call(3).is_ok() && call(300).is_err());
    std::thread::spawn(|| call(4)).join().unwrap().unwrap();
}

#[test]
fn passes_with_program() {
    starts();
}

#[test]
fn fails_with_program() {
    starts();
    call(3).unwrap();
    panic!("on purpose");
}

#[test]
fn is_slow() {
    call(3).unwrap();
    for _ in 0..5 {
        starts();
    }
    std::thread::sleep(Duration::from_millis(1_200));
}

/// Runs until a file is there, where one is named.
#[test]
fn waits() {
    call(3).unwrap();
    let Some(file) = std::env::var_os("WAIT_FOR") else { return };
    while !std::path::Path::new(&file).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends the program, if it is asked to.
#[test]
fn z_aborts() {
    call(3).unwrap();
    match std::env::var("END").as_deref() {
        Ok("abort") => std::process::abort(),
        Ok(_) => {
            Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
            std::thread::sleep(Duration::from_secs(600));
        }
        Err(_) => {}
    }
}
"#;

fn project(name: &str) -> Project {
    let project = Project::of(name, "", PROGRAM);
    fs::create_dir(project.path("tests")).unwrap();
    fs::write(project.path("tests/cases.rs"), TESTS.replace("NAME", name)).unwrap();
    // By default, helpers of tests are excluded.
    fs::write(project.path("monitor.toml"), "[[function]]\npath = \"**\"\ninclude = [\"**\"]\nexclude = [\"cases::starts\"]\n").unwrap();
    project
}

/// The tests of the tree, each with the outlines of the rows below it, in order of their names.
fn below(text: &str) -> Vec<(String, Vec<String>)> {
    let mut tests: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines().skip(1) {
        match (line.strip_prefix("    "), tests.last_mut()) {
            (Some(row), Some((_, rows))) => rows.push(row.to_owned()),
            _ => tests.push((line.split_whitespace().next().unwrap().to_owned(), Vec::new())),
        }
    }
    tests.sort();
    tests
}

/// The outline of the tree of the tests, as soon as all its programs are shipped.
fn shipped(server: &Server) -> String {
    outline(&rows(server))
}

/// The rows of the tree, as soon as all its programs are shipped.
fn rows(server: &Server) -> Vec<Value> {
    wait_for("nothing is left in the spool", || fs::read_dir(server.spool()).unwrap().next().is_none().then_some(()));
    let roots = server.roots();
    assert!(roots.len() == 1 && roots[0]["name"] == "tests of cases", "{roots:?}");
    let processes = server.tree(&roots[0]);
    let text = outline(&processes);
    assert!(processes.iter().all(|process| process["orphan"] == false), "{text}");
    assert_eq!(server.get("/status")["dropped"], serde_json::json!([]));
    processes
}

fn names(rows: &[String]) -> Vec<&str> {
    rows.iter().map(|row| row.split(" [").next().unwrap_or(row)).collect()
}

#[test]
fn tests_that_passed_within_a_second_have_no_rows_below_them() {
    let project = project("passes");
    for all in [false, true] {
        let server = Server::start();
        let line = if all { "test --all --test cases" } else { "test --test cases" };
        let finished = run(project.monitor(line, Some(&server)));
        assert_eq!(finished.code, Some(101), "{}", finished.stderr);
        let processes = rows(&server);
        let text = outline(&processes);
        let tests = below(&text);
        let of = |test: &str| &tests.iter().find(|(name, _)| name == test).unwrap_or_else(|| panic!("{test}: {text}")).1;
        for test in ["passes", "passes_with_program", "waits", "z_aborts"] {
            assert_eq!(of(test).is_empty(), !all, "{test}: {text}");
        }
        assert!(of("fails_with_program").iter().any(|row| row.contains("cases::call")), "{text}");
        assert_eq!(text.contains("cases::call [failed]"), all, "{text}");
        assert!(of("is_slow").iter().any(|row| row.contains("cases::call")), "{text}");
        // The programs that the failed test and the slow test have started, with their calls.
        assert_eq!(text.matches("passes::main").count(), if all { 7 } else { 6 }, "{text}");
        let of_slow = of("is_slow").iter().filter(|row| row.contains("passes::sum")).count();
        assert!(of_slow >= 3 && (!all || of_slow == 5), "{text}");
        let slow_programs =
            processes.iter().filter(|process| process["name"] == "passes::main" && process["elapsed_ns"].as_u64() > Some(1_000_000_000));
        assert!(all || of_slow <= 3 + slow_programs.count(), "{text}");
        assert!(of("fails_with_program").iter().any(|row| row.contains("passes::sum")), "{text}");
    }
}

#[test]
fn a_test_that_runs_is_shown_with_its_rows() {
    let (server, project) = (Server::start(), project("runs"));
    let file = project.path("go on");
    let mut command = project.monitor("test --test cases waits", Some(&server));
    command.env("WAIT_FOR", &file).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let text = wait_for("the rows of a test that runs", || {
        let root = server.roots().into_iter().find(|root| root["name"] == "tests of cases")?;
        let processes = server.tree(&root);
        let runs = |process: &Value| process["state"] == "running";
        let is_shown =
            processes.iter().any(|process| process["name"] == "cases::call") && processes.iter().filter(|one| runs(one)).count() == 2;
        is_shown.then(|| outline(&processes))
    });
    fs::write(file, "").unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert_eq!(below(&shipped(&server)).len(), 1);
}

#[test]
fn a_test_that_ends_the_program_keeps_its_rows() {
    let project = project("ends");
    for end in ["abort", "kill"] {
        let server = Server::start();
        let mut command = project.monitor("test --test cases -- --test-threads=1 --skip fails --skip slow", Some(&server));
        command.env("END", end);
        let finished = run(command);
        assert_ne!(finished.code, Some(0), "{}", finished.stdout);
        let text = shipped(&server);
        for (test, rows) in below(&text) {
            assert_eq!(names(&rows).contains(&"cases::call"), test == "z_aborts", "{test}: {text}");
        }
        assert!(text.contains("z_aborts"), "{text}");
    }
}

#[test]
fn the_server_leaves_programs_of_tests_to_the_one_who_ships_them() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    // The server checks for dead programs more often than `cargo monitor`, so it takes them over first.
    let settings = [("MONITOR_SPOOL_DIR", spool.clone().into_os_string()), ("MONITOR_SPOOL_INTERVAL", "10ms".into())];
    let (server, project) = (Server::start_with(settings.into()), project("left"));
    for count in 1..=3 {
        let mut command = project.monitor("test --test cases passes", Some(&server));
        command.env("MONITOR_SPOOL_DIR", &spool);
        let finished = run(command);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        wait_for("nothing is left in the spool", || fs::read_dir(&spool).unwrap().next().is_none().then_some(()));
        let roots = server.roots();
        assert_eq!(roots.len(), count, "{roots:?}");
        for root in &roots {
            let text = outline(&server.tree(root));
            let tests = below(&text);
            assert!(tests.len() == 2 && tests.iter().all(|(_, rows)| rows.is_empty()), "{text}");
        }
    }
}
