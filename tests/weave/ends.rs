//! Records of a woven program that ends during its calls.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use monitor_tests::{Server, outline, run, wait_for};
use serde_json::Value;

use crate::{LastNumber, Project};

#[test]
fn a_killed_program_leaves_its_tree() {
    let (server, project) = (Server::start(), Project::new());
    let mut child = project.monitor("run -q -p shop -- wait", Some(&server)).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = output.by_ref().map_while(Result::ok).last_number();
    let waits =
        |root: &Value| root["name"] == "shop::main" && root["state"] == "running" && outline(&server.tree(root)).contains("shop::wait");
    wait_for("the program is seen while it runs", || server.roots().iter().any(waits).then_some(()));
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    assert_ne!(child.wait().unwrap().code(), Some(0));
    let root = wait_for("its end", || server.roots().into_iter().find(|root| root["name"] == "shop::main" && root["state"] != "running"));
    let text = outline(&server.tree(&root));
    assert!(text.contains("shop_lib::fetch") && text.contains("shop::wait [lost]"), "{text}");
    wait_for("nothing is left in the spool", || fs::read_dir(server.spool()).unwrap().next().is_none().then_some(()));
}

/// A program that exits within two calls.
const EXITS: &str = "
fn main() {
    if std::env::args().nth(1).as_deref() == Some(\"abort\") {
        std::process::abort();
    }
    let code = std::env::args().nth(1).and_then(|code| code.parse().ok());
    leaves(code.unwrap_or(0));
}

fn leaves(code: i32) {
    let line = format!(\"{}\", code);
    println!(\"{}\", line);
    std::process::exit(code);
}
";

/// Only glibc on Linux reports the exit code.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_code_of_a_call_of_exit_is_in_the_tree() {
    let (server, project) = (Server::start(), Project::of("exits", "", EXITS));
    for (code, state, shown) in [
        ("3", "failed", "exits::main [failed]: exit code 3\n  exits::leaves [failed]: exit code 3\n"),
        ("0", "succeeded", "exits::main\n  exits::leaves\n"),
    ] {
        let finished = run(project.monitor(&format!("run -q -- {code}"), Some(&server)));
        assert_eq!((finished.code, finished.stdout.trim()), (code.parse().ok(), code), "{}", finished.stderr);
        let is_meant = |root: &Value| root["name"] == "exits::main" && root["state"] == state && root["counts"]["running"] == 0;
        let root = wait_for("its end", || server.roots().into_iter().find(is_meant));
        assert_eq!(outline(&server.tree(&root)), shown);
    }
}

#[test]
fn a_program_that_a_signal_ends_has_the_exit_code_of_a_shell() {
    let finished = run(Project::of("aborts", "", EXITS).monitor("run -q -- abort", None));
    assert_eq!(finished.code, Some(128 + 6), "{}", finished.stderr);
    assert!(!finished.stderr.contains("cargo monitor:"), "{}", finished.stderr);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_root_of_tests_fails_if_one_of_them_does() {
    let (server, project) = (Server::start(), Project::of("tested", "", "fn main() {\n}\n"));
    let source = "#[test]\nfn fails() {\n    let empty: Vec<u8> = Vec::new();\n    empty[0];\n}\n\n#[test]\nfn holds() {\n}\n";
    fs::create_dir(project.path("tests")).unwrap();
    fs::write(project.path("tests/sums.rs"), source).unwrap();
    for (filter, code, shown) in [
        ("holds", 0, "tests of sums\n  holds\n"),
        ("fails", 101, "tests of sums [failed]: exit code 101\n  fails [failed]: index out of bounds"),
    ] {
        assert_eq!(run(project.monitor(&format!("test --test sums {filter}"), Some(&server))).code, Some(code));
        let state = if code == 0 { "succeeded" } else { "failed" };
        let is_meant = |root: &Value| root["name"] == "tests of sums" && root["state"] == state && root["counts"]["running"] == 0;
        let root = wait_for("the end of the tests", || server.roots().into_iter().find(is_meant));
        let text = outline(&server.tree(&root));
        assert!(text.starts_with(shown), "{text}");
    }
}
