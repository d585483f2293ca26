//! Tests heartbeats through the command line, and runs their snippets as real programs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{TestServer, monitor};

/// Runs a command with the server's local token.
fn run(server: &TestServer, args: &[&str]) -> (i32, String, String) {
    let local = std::fs::read_to_string(server.data.path().join("local.token")).unwrap();
    let token = local.lines().nth(1).unwrap();
    let output = monitor(args).args(["--server", &server.url]).env("MONITOR_TOKEN", token).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Adds a heartbeat; returns the address and the snippet that `add` prints.
fn add(server: &TestServer, name: &str, language: &str) -> (String, String) {
    let (code, said, error) = run(server, &["heartbeat", "add", name, "--every", "5m", "--snippet", language]);
    assert_eq!(code, 0, "{error}");
    let (url, snippet) = said.split_once("\n\n").unwrap();
    assert!(url.starts_with(&format!("{}/ping/", server.url)) && snippet.contains(url) && snippet.contains(name), "{said}");
    (url.to_owned(), snippet.to_owned())
}

/// Runs a snippet as a file; returns its exit code.
fn execute(program: &str, folder: &Path, snippet: &str) -> Option<i32> {
    let file = folder.join("job");
    std::fs::write(&file, snippet).unwrap();
    let status = Command::new(program).arg(&file).env_remove("http_proxy").env("no_proxy", "*").status();
    status.unwrap_or_else(|error| panic!("{program}: {error}")).code()
}

/// Returns the newest run of a heartbeat.
fn newest(server: &TestServer, name: &str) -> Value {
    let (_, trees, _) = run(server, &["roots", "--name", name, "--limit", "1", "--json"]);
    let trees: Value = serde_json::from_str(&trees).unwrap();
    trees["roots"][0].clone()
}

#[test]
fn the_snippets_report_successful_and_failed_runs() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let (_, sh) = add(&server, "by-sh", "sh");
    for (command, code, state) in [("echo fine", 0, "succeeded"), ("eval 'echo no prices >&2; exit 3'", 3, "failed")] {
        // In a separate shell, because `exit` ends it.
        let snippet = sh.replace("your-command", command);
        assert_eq!(execute("sh", folder.path(), &snippet), Some(code));
        let run = newest(&server, "by-sh");
        assert_eq!(run["state"], state, "{run}");
    }
    let (_, python) = add(&server, "by-python", "python");
    let bad = format!("def your_function():\n    raise ValueError('no prices')\n\n{python}");
    assert_eq!(execute("python3", folder.path(), &bad), Some(1));
    let run = newest(&server, "by-python");
    assert_eq!((&run["state"], &run["error"]["message"]), (&"failed".into(), &"ValueError: no prices".into()), "{run}");
    assert_eq!(execute("python3", folder.path(), &format!("def your_function():\n    pass\n\n{python}")), Some(0));
    assert_eq!(newest(&server, "by-python")["state"], "succeeded");
    let (_, crontab) = add(&server, "by-cron", "crontab");
    let line = crontab.lines().last().unwrap().splitn(6, ' ').last().unwrap().replace("your-command", "(exit 7)");
    execute("sh", folder.path(), &line);
    let run = newest(&server, "by-cron");
    assert_eq!((&run["state"], &run["error"]["message"]), (&"failed".into(), &"exit code 7".into()), "{run}");
}

#[test]
fn heartbeats_are_added_listed_rolled_and_deleted() {
    let server = TestServer::start();
    let (first, _) = add(&server, "nightly", "systemd");
    let (code, _, error) = run(&server, &["heartbeat", "add", "nightly", "--every", "5m"]);
    assert!(code == 1 && error.contains("already"), "{code} {error}");
    let (_, listed, _) = run(&server, &["heartbeat", "list"]);
    assert!(listed.contains("nightly") && listed.contains("new") && listed.contains("every 5m"), "{listed}");
    let (code, rolled, _) = run(&server, &["heartbeat", "roll", "nightly", "--overlap", "2h", "--snippet", "powershell"]);
    assert!(code == 0 && !rolled.contains(&first) && rolled.contains("the old address is taken until"), "{rolled}");
    assert_eq!(run(&server, &["heartbeat", "delete", "nightly"]).0, 0);
    assert_eq!(run(&server, &["heartbeat", "delete", "nightly"]).0, 4, "there is none");
    for (args, words) in [
        (&["heartbeat", "add", "x"][..], "--rule"),
        (&["heartbeat", "add", "x", "--every", "5m", "--rule", "@daily"], "cannot be used with"),
        (&["heartbeat", "add", "x", "--every", "5"], "expected a duration"),
    ] {
        let (code, _, error) = run(&server, args);
        assert!(code == 2 && error.contains(words), "{args:?}: {error}");
    }
}
