//! Values of calls on their way to the database, and their masking.

use std::path::{Path, PathBuf};

use monitor_tests::{Server, run, ship_by_hand, wait_for, worker};
use serde_json::{Value, json};

const SECRET: &str = "correct-horse-battery-staple";

#[test]
fn recorded_values_are_shown_and_masked_values_are_nowhere() {
    let mut server = Server::start();
    let mut child = worker(&server, &["logs-in", SECRET]).spawn().unwrap();
    super::line(&mut child);
    let root = wait_for("the calls that run", || server.roots().into_iter().find(|root| root["counts"]["running"] == 2));
    let told = |name: &str| -> Value { process(&server, &root, name) };
    assert_eq!(told("logs_in")["fields"], json!({"args.password": "[masked]"}));
    wait_for("a call that runs for longer than it should", || (told("logs_in")["overdue"] == true).then_some(()));
    assert_ne!(told("hangs")["overdue"], true, "it has no timeout");
    let checks = told("check ada");
    let fields = json!({"args.user": "\"ada\"", "args.password": "[masked]", "token": "[masked]", "return": true, "status": 502});
    assert_eq!(checks["fields"], fields);
    assert_eq!((&checks["state"], &checks["error"]["message"]), (&json!("failed"), &json!("upstream refused")));

    // Check the spool of a program that is killed while the server is away, and the database after shipping.
    server.kill();
    let mut killed = worker(&server, &["logs-in", SECRET]).spawn().unwrap();
    super::line(&mut killed);
    for child in [&mut child, &mut killed] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let spooled = contents(server.spool());
    assert!(spooled.iter().any(|(_, bytes)| holds(bytes, "[masked]")), "the spool was read");
    assert_nowhere(&spooled);
    server.start_again();
    ship_by_hand(&server);
    assert_eq!(server.roots().len(), 2);
    server.stop();
    let stored = contents(server.data());
    assert!(stored.iter().any(|(_, bytes)| holds(bytes, "[masked]")), "the database was read");
    assert_nowhere(&stored);
}

#[test]
fn a_filter_leaves_functions_out_by_their_modules() {
    let server = Server::start();
    let runs = |filter: &str| {
        let mut joins = worker(&server, &["joins"]);
        joins.env("MONITOR_FILTER", filter).env("MONITOR_LOG", "stderr");
        let finished = run(joins);
        assert_eq!(finished.code, Some(0));
        (server.roots().len(), finished.stderr)
    };
    assert_eq!(runs("warn").0, 0);
    assert_eq!(runs("info,monitor-test-worker::calls=off").0, 0);
    assert_eq!(runs("off,monitor_test_worker::calls=info").0, 1);
    let (roots, said) = runs("monitor_test_worker=loud");
    assert_eq!(roots, 2, "what can't be understood leaves nothing out");
    assert!(said.contains("MONITOR_FILTER") && said.contains("loud"), "{said}");
}

/// The process with this name.
fn process(server: &Server, root: &Value, name: &str) -> Value {
    let tree = server.tree(root);
    let found = tree.iter().find(|process| process["name"] == name).unwrap_or_else(|| panic!("no {name} in {tree:?}"));
    server.get(&format!("/roots/{}/processes/{}", root["root_id"].as_str().unwrap(), found["id"].as_str().unwrap()))
}

fn assert_nowhere(files: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        assert!(!holds(bytes, SECRET), "the secret stands in {}", path.display());
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All files below a folder.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let of = |path: PathBuf| if path.is_dir() { contents(&path) } else { vec![(path.clone(), std::fs::read(path).unwrap_or_default())] };
    entries.flat_map(of).collect()
}
