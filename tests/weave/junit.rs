//! Test results as JUnit XML.

use std::path::Path;
use std::process::Command;

use monitor_tests::{Server, command, run, wait_for};
use serde_json::{Value, json};

use crate::Project;

const TESTS: &str = r#"
fn main() {}

fn call(n: u32) -> Result<u32, String> {
    if n > 3 { Err(format!("{} is too much & more", n)) } else { Ok(n) }
}

#[test]
fn passes() {
    assert!(call(3).is_ok());
}

#[test]
fn fails() {
    call(4).unwrap();
}
"#;

/// Validates a document with the schema and returns it.
fn valid(document: String) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("junit.xml");
    std::fs::write(&file, &document).expect("a file");
    let mut check = Command::new("xmllint");
    check.args(["--noout", "--nonet", "--schema"]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("junit.xsd")).arg(&file);
    let checked = run(check);
    assert_eq!(checked.code, Some(0), "{}\n{document}", checked.stderr);
    document
}

/// Exports a run. Returns the document and the content of stderr.
fn export(server: &Server, root: &Value) -> (String, String) {
    let mut export = command("monitor");
    export.args(["export", root["root_id"].as_str().unwrap(), "--format", "junit", "--server", server.url()]);
    let exported = run(export);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    (valid(exported.stdout), exported.stderr)
}

#[test]
fn tests_of_a_project_are_test_cases() {
    let (server, project) = (Server::start(), Project::of("junit-results", "", TESTS));
    let tested = run(project.monitor("test", Some(&server)));
    assert_eq!(tested.code, Some(101), "{}\n{}", tested.stdout, tested.stderr);
    let is_over = |root: &Value| root["name"] == "tests of junit_results" && root["state"] == "failed";
    let root = wait_for("the tests to be stored", || server.roots().into_iter().find(is_over));
    let (document, _) = export(&server, &root);
    assert!(document.contains(r#"<testsuite name="junit_results" tests="2" failures="1" errors="0" skipped="0" time=""#), "{document}");
    assert!(document.contains(r#"name="passes" classname="junit_results""#), "{document}");
    assert!(document.contains("<failure message=") && document.contains("4 is too much &amp; more"), "{document}");
}

#[test]
fn hostile_results_are_valid() {
    let server = Server::start();
    let root = "0199a3ce929d0e0e47360199a3ce929d";
    let hostile = "]]><x a='\"&\u{1b}[31m\u{0}\u{b}\u{fffe}\u{9b}\r\n\t根";
    let about =
        |kind: &str, id: u64| json!({"type": kind, "root_id": root, "id": format!("{id:016x}"), "time_us": 1_763_600_000_000_000_u64 + id});
    let with = |mut event: Value, more: Value| {
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let started = |id: u64, parent: Option<u64>, name: &str| {
        let parent = parent.map(|id| format!("{id:016x}"));
        with(about("process-started", id), json!({"parent_id": parent, "kind": "normal", "name": name}))
    };
    let ended = |id: u64, outcome: &str| {
        let error = (outcome == "failed")
            .then(|| json!({"kind": "error", "type": hostile, "message": hostile, "chain": [hostile], "tail": hostile}));
        with(about("process-ended", id), json!({"elapsed_ns": 1_500_000_000_u64, "outcome": outcome, "error": error}))
    };
    let logged = |id: u64, stream: Option<&str>, text: &str| {
        with(about("process-logged", id), json!({"level": "info", "message": text, "stream": stream, "fields": {}}))
    };
    let long = "x".repeat(60_000);
    let events = [
        started(1, None, &format!("tests of {hostile}")),
        started(2, Some(1), hostile),
        started(3, Some(1), "passes"),
        started(4, Some(1), "cancelled"),
        started(5, Some(1), "runs"),
        started(6, Some(2), "below the first"),
        logged(6, Some("stderr"), hostile),
        logged(3, None, &long),
        logged(3, None, &long),
        ended(2, "failed"),
        ended(3, "succeeded"),
        ended(4, "cancelled"),
        ended(1, "failed"),
    ];
    let worker = json!({"id": "5b0c0000000000000000000000000001", "hostname": "h", "pid": 1, "program": "p"});
    let batch = json!({"version": 1, "worker": worker, "sequence": 1, "sent_us": 1, "events": events});
    assert_eq!(server.post(&batch).0, 200);
    let (document, _) = export(&server, &json!({"root_id": root}));
    assert!(document.contains(r#"tests="4" failures="1" errors="0" skipped="2" "#), "{document}");
    assert!(!document.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{document:?}");
    assert!(document.contains("<system-err>") && document.contains("the rest is left out"), "{document}");
    assert_eq!(document.matches("INFO xxx").count(), 1);
}

#[test]
fn a_run_without_tests_has_no_suite_and_a_warning() {
    let server = Server::start();
    let mut launcher = command("monitor");
    launcher.args(["run", "--", "true"]).env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool());
    assert_eq!(run(launcher).code, Some(0));
    let (document, stderr) = export(&server, &server.finished_root());
    assert!(document.contains(r#"tests="0""#) && !document.contains("<testsuite "), "{document}");
    assert!(stderr.contains("no tests"), "{stderr}");
}
