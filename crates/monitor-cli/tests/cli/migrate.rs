use serde_json::{Value, json};

use crate::support::{ROOT, TestServer, ended, monitor, started};

/// Returns the id of the tree with this number.
fn tree(number: u64) -> String {
    format!("0199a3ce929d0e0e{number:016x}")
}

fn said(root: &str, id: u64, time_us: u64) -> Value {
    json!({"type": "process-logged", "root_id": root, "id": format!("{id:016x}"), "time_us": time_us, "level": "info", "message": "said"})
}

/// Runs `monitor migrate`; returns its JSON output.
fn migrate(from: &TestServer, to: &TestServer, more: &[&str]) -> Value {
    let output = monitor(&["migrate", &from.url, &to.url, "--json"]).args(more).assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).expect("JSON")
}

/// Returns all data about the server's trees, except values that each server assigns itself.
fn told(server: &TestServer) -> Vec<(Value, usize)> {
    let roots = server.json(&["roots", "--limit", "100"])["roots"].clone();
    let of = |root: &Value| {
        let id = root["root_id"].as_str().unwrap();
        let mut tree = server.json(&["tree", id]);
        tree["as_of"] = Value::Null;
        (tree["root"]["number"], tree["root"]["title"]) = (Value::Null, Value::Null);
        (tree, server.run(&["logs", id, "--json"]).lines().count())
    };
    roots.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_history_is_migrated_once_even_if_the_command_is_repeated() {
    let (from, to) = (TestServer::start(), TestServer::start());
    let mut events = Vec::new();
    for number in 1..=3 {
        let root = tree(number);
        events.extend([started(&root, 1, None, "nightly"), started(&root, 2, Some(1), "step"), said(&root, 2, 5), said(&root, 2, 5)]);
        events.extend([ended(&root, 2, 1_000_000, Some("no such table")), ended(&root, 1, 2_000_000, None)]);
    }
    events.push(started(ROOT, 1, None, "runs"));
    from.send(1, &events);
    let there = json!({"trees": 4, "unchanged": 0, "brought": 4, "deleted": 0, "processes": 7, "logs": 0});
    assert_eq!(migrate(&from, &to, &["--dry-run"]), there);
    assert_eq!(to.json(&["roots"])["roots"], json!([]), "nothing is brought");
    assert_eq!(migrate(&from, &to, &[])["logs"], 6);
    assert_eq!(told(&to), told(&from));
    // A running tree may have changed, so it is compared again.
    from.send(events.len() as u64 + 1, &[said(ROOT, 1, 9), ended(ROOT, 1, 3_000_000, None)]);
    let again = migrate(&from, &to, &[]);
    assert_eq!((&again["unchanged"], &again["brought"]), (&json!(3), &json!(1)), "{again}");
    assert_eq!(told(&to), told(&from));
    assert_eq!(migrate(&from, &to, &[])["unchanged"], 4);
    assert_eq!(told(&to), told(&from));
}

#[test]
fn an_interrupted_tree_is_completed_by_the_next_migration() {
    let (from, to) = (TestServer::start(), TestServer::start());
    from.send(
        1,
        &[started(ROOT, 1, None, "nightly"), said(ROOT, 1, 5), said(ROOT, 1, 5), said(ROOT, 1, 6), ended(ROOT, 1, 2_000_000, None)],
    );
    // The state after an import that was killed: the last log lines and the end are missing.
    to.send(1, &[started(ROOT, 1, None, "nightly"), said(ROOT, 1, 5)]);
    assert_eq!(migrate(&from, &to, &[])["brought"], 1);
    assert_eq!(told(&to), told(&from));
}

#[test]
fn invalid_source_and_target_servers_are_refused() {
    let from = TestServer::start();
    let words = |arguments: &[&str], code: i32| {
        let output = monitor(&[&["migrate"], arguments].concat()).assert().code(code).get_output().stderr.clone();
        String::from_utf8(output).unwrap()
    };
    let by_name = from.url.replace("127.0.0.1", "localhost");
    assert!(words(&[&from.url, &by_name], 1).contains("are the same server"));
    assert!(words(&[&from.url, "http://127.0.0.1:9"], 3).contains("TO can't be read"));
    assert!(words(&["http://127.0.0.1:9", &from.url], 3).contains("FROM can't be read"));
    assert!(words(&[&from.url, "no url"], 2).contains("FROM is a server and TO is none"));
    assert!(words(&[&from.url, "http://127.0.0.1:9", "--from-token-file", "/no/such/file"], 2).contains("--from-token-file"));
}
