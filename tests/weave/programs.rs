//! Variables that cargo sets for the program, and programs that tests start.

use std::fs;

use monitor_tests::{Server, run, wait_for};

use crate::{Project, good, tree};

/// Prints its arguments or its environment.
const PRINTS: &str = r#"fn main() {
    let first = std::env::args().nth(1);
    match first.as_deref() {
        Some("env") => print_environment(),
        _ => println!("{:?}", std::env::args().skip(1).collect::<Vec<_>>()),
    }
}

fn print_environment() {
    let mut vars: Vec<_> = std::env::vars_os().collect();
    vars.sort();
    println!("{:?}", vars);
}
"#;

/// Tests that start the program: normally, compared with the caller's environment, without an environment, and from other threads.
const TESTS: &str = r#"use std::process::Command;

fn own() -> String {
    let mut vars: Vec<_> = std::env::vars_os().collect();
    vars.sort();
    format!("{:?}\n", vars)
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn starts() {
    assert_eq!(printed(Command::new(env!("CARGO_BIN_EXE_prints")).current_dir("/").arg("x")), "[\"x\"]\n");
}

#[test]
fn compares() {
    assert_eq!(printed(Command::new(env!("CARGO_BIN_EXE_prints")).arg("env")), own());
    let shown = printed(Command::new("env").arg("-0"));
    let mut shown: Vec<_> = shown.split('\0').filter(|e| !e.is_empty()).map(|e| e.to_string()).collect();
    shown.sort();
    let mut vars: Vec<_> = std::env::vars().map(|(k, v)| format!("{}={}", k, v)).collect();
    vars.sort();
    assert_eq!(shown, vars);
}

#[test]
fn clears() {
    assert_eq!(printed(Command::new(env!("CARGO_BIN_EXE_prints")).arg("env").env_clear()), "[]\n");
}

#[test]
fn starts_on_a_thread() {
    std::thread::spawn(|| printed(Command::new(env!("CARGO_BIN_EXE_prints")).arg("y"))).join().unwrap();
}

macro_rules! made { ($name:ident) => { #[test] fn $name() { printed(Command::new(env!("CARGO_BIN_EXE_prints")).arg("z")); } }; }
made!(made_by_a_macro);
"#;

fn project(name: &str) -> Project {
    let project = Project::of(name, "", PRINTS);
    fs::create_dir(project.path("tests")).unwrap();
    fs::write(project.path("tests/programs.rs"), TESTS.replace("prints", name)).unwrap();
    project
}

#[test]
fn a_separator_directly_behind_the_subcommand_reaches_cargo() {
    let project = project("prints");
    let finished = good(run(project.monitor("run -- --version", None)));
    assert_eq!(finished.stdout, "[\"--version\"]\n");
    assert!(finished.stderr.contains("cargo monitor: "), "{}", finished.stderr);
    let finished = good(run(project.monitor("test -- --list", None)));
    assert!(finished.stdout.contains("compares: test\n"), "{}", finished.stdout);

    let finished = good(run(project.monitor("run -q -- --version", None)));
    assert_eq!((&*finished.stdout, &*finished.stderr), ("[\"--version\"]\n", ""));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn programs_that_tests_start_belong_below_them() {
    let (server, project) = (Server::start(), project("starts"));
    good(run(project.monitor("test --all --test programs", Some(&server))));
    // Where the environment is cleared, the program records nothing.
    let expected = ["clears", "compares", "made_by_a_macro", "starts", "starts_on_a_thread"];
    let text = wait_for("a program below each of four tests", || {
        Some(tree(&server, "tests of programs")).filter(|text| text.matches("starts::main").count() == 4)
    });
    let mut lines = text.lines().skip(1).peekable();
    let mut started = Vec::new();
    while let Some(test) = lines.next() {
        let below = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("    "))).collect::<Vec<_>>();
        assert_eq!(below.iter().any(|line| line.starts_with("    starts::main")), test.trim() != "clears", "{text}");
        started.push(test.trim().to_owned());
    }
    started.sort();
    assert_eq!(started, expected, "{text}");
    assert_eq!(server.roots().iter().filter(|root| root["name"] == "starts::main").count(), 0, "{text}");
}
