//! A database that is deleted, emptied, overwritten or older than the acknowledged data. The server reports this, acknowledges nothing
//! more, and overwrites nothing.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};

use monitor_tests::{Server, command, run, wait_for};
use serde_json::{Value, json};

/// A tree with this number of processes, all of which have ended.
fn tree(number: u64, processes: u64) -> Value {
    let root = format!("{:032x}", number + 1);
    let began = 1_763_600_000_000_000 + number * 1_000;
    let events: Vec<_> = (1..=processes)
        .flat_map(|id| {
            let (kind, parent) = if id == 1 { ("root", None) } else { ("normal", Some(format!("{:016x}", id / 2))) };
            let id = format!("{id:016x}");
            let name = format!("step of {number}");
            [
                json!({"type": "process-started", "root_id": root, "id": id, "parent_id": parent, "kind": kind, "name": name, "time_us": began}),
                json!({"type": "process-ended", "root_id": root, "id": id, "time_us": began + 500, "elapsed_ns": 1, "outcome": "succeeded"}),
            ]
        })
        .collect();
    let worker = json!({"id": format!("{:032x}", 1), "hostname": "h", "pid": 1, "program": "p"});
    json!({"version": 1, "worker": worker, "sequence": 1 + number * 2 * processes, "sent_us": 0, "events": events})
}

fn database(server: &Server, suffix: &str) -> PathBuf {
    server.data().join(format!("monitor.db{suffix}"))
}

#[test]
fn no_batch_is_acknowledged_while_the_database_file_is_missing() {
    let mut server = Server::start();
    assert_eq!(server.post(&tree(0, 10)).0, 200);
    for suffix in ["", "-wal"] {
        let (path, away) = (database(&server, suffix), server.data().join("away"));
        fs::rename(&path, &away).unwrap();
        let (status, problem) = server.post(&tree(1, 10));
        assert!(status == 503 && problem["detail"].as_str().unwrap().contains("was deleted or replaced"), "{problem}");
        wait_for("it to be told", || (server.ask("GET", "/healthz").0 == 503).then_some(()));
        assert!(server.log().contains(path.to_str().unwrap()), "{}", server.log());
        assert!(!path.exists(), "no other is made in its place");
        fs::rename(&away, &path).unwrap();
        wait_for("all to be well", || (server.ask("GET", "/healthz").0 == 200).then_some(()));
    }
    assert_eq!(server.post(&tree(1, 10)).0, 200, "it comes again, and counts once");
    assert_eq!(server.get("/status")["processes"]["succeeded"], 20);

    // The server stops while another database is in its place, and must leave that database unchanged.
    fs::rename(database(&server, ""), server.data().join("away")).unwrap();
    for suffix in ["", "-wal"] {
        let _ = fs::remove_file(database(&server, suffix));
        fs::write(database(&server, suffix), "another one's").unwrap();
    }
    server.stop();
    for suffix in ["", "-wal"] {
        assert_eq!(fs::read(database(&server, suffix)).unwrap(), b"another one's", "{suffix}");
    }
}

/// Returns the contents of a file, if it exists.
type Bytes<'a> = Option<&'a [u8]>;

#[test]
fn a_start_without_acknowledged_data_is_refused_and_changes_nothing() {
    let mut server = Server::start();
    for number in 0..20 {
        assert_eq!(server.post(&tree(number, 10)).0, 200);
    }
    // The kill comes at once, because the mark already contains the last batch.
    server.kill();
    let (file, log) = (fs::read(database(&server, "")).unwrap(), fs::read(database(&server, "-wal")).unwrap());
    assert!(log.len() > 10_000, "the log has what was acknowledged");
    let garbage = vec![0x5a; log.len()];
    let half = [&log[..log.len() / 2], &garbage[log.len() / 2..]].concat();
    let cases: [(&str, Bytes<'_>, Bytes<'_>); 5] = [
        ("the log was deleted", Some(&file), None),
        ("the log is garbage", Some(&file), Some(&garbage)),
        ("half of the log is garbage", Some(&file), Some(&half)),
        ("the database is empty", Some(b""), Some(&log)),
        ("the database was deleted", None, Some(&log)),
    ];
    for (what, file, log) in cases {
        let parts = [("", file), ("-wal", log)];
        for (suffix, bytes) in parts.into_iter().chain([("-shm", None)]) {
            let path = database(&server, suffix);
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
        }
        let said = server.fail_to_start();
        assert!(said.contains("were acknowledged") && said.contains("monitor salvage"), "{what}: {said}");
        for (suffix, bytes) in parts {
            assert_eq!(fs::read(database(&server, suffix)).ok().as_deref(), bytes, "{what}: monitor.db{suffix} is as it was");
        }
    }
    // Without the mark, the server continues with the remaining data, like the error message promises.
    fs::write(database(&server, ""), &file).unwrap();
    let _ = fs::remove_file(database(&server, "-wal"));
    fs::remove_file(database(&server, ".mark")).unwrap();
    server.start_again();
    assert!(server.roots().len() < 20);
}

/// Overwrites pages of a file.
fn damage(path: &Path, pages: impl Iterator<Item = usize>) {
    const PAGE: usize = 8_192;
    let mut bytes = fs::read(path).unwrap();
    for page in pages {
        let place = page * PAGE..((page + 1) * PAGE).min(bytes.len());
        bytes[place].fill(0x5a);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn readable_parts_of_a_damaged_database_are_recovered() {
    const TREES: u64 = 60;
    let mut server = Server::start();
    for number in 0..TREES {
        assert_eq!(server.post(&tree(number, 200)).0, 200);
    }
    server.stop();
    let path = database(&server, "");
    let whole = fs::read(&path).unwrap();
    let (folder, pages) = (tempfile::tempdir().unwrap(), whole.len() / 8_192);
    let salvage = |name: &str| {
        let into = folder.path().join(name);
        let mut salvage = command("monitor");
        salvage.arg("salvage").arg(server.data()).arg(&into).arg("--json");
        let finished = run(salvage);
        (finished.code, serde_json::from_str::<Value>(&finished.stdout).unwrap_or(Value::Null), finished.stderr)
    };
    let (code, said, error) = salvage("whole");
    assert_eq!(code, Some(0), "{error}");
    assert_eq!((&said["roots"], &said["processes"], &said["problems"]), (&json!(TREES), &json!(TREES * 200), &json!([])), "{said}");

    // Pages with rows, one after the other throughout the file. A few pages are required for any read.
    let (mut got, mut most) = (0, 0);
    for first in 10..18 {
        fs::write(&path, &whole).unwrap();
        damage(&path, (first..pages).step_by(16));
        let damaged = fs::read(&path).unwrap();
        let (code, said, error) = salvage(&format!("damaged-{first}"));
        assert_eq!(fs::read(&path).unwrap(), damaged, "it stays as it was");
        if code != Some(0) {
            assert!(error.contains("monitor"), "{error}");
            continue;
        }
        got += 1;
        most = most.max(said["processes"].as_u64().unwrap());
        assert!(said["damaged"].as_array().is_some_and(|tables| !tables.is_empty()), "{said}");
        assert_eq!(said["problems"], json!([]), "what is there is whole");
        let mut check = command("monitor");
        check.arg("check").arg("--data").arg(folder.path().join(format!("damaged-{first}")));
        let checked = run(check);
        assert_eq!(checked.code, Some(0), "{checked:?}");
    }
    assert!(got > 0 && most > TREES * 200 / 4, "{got} of 8 could be read, at most {most} processes");
}

/// Events of a run of a batch task.
fn run_of(task: &str) -> Value {
    let (root, id, due) = (format!("{:032x}", 0xb), format!("{:016x}", 0xb), 1_763_600_000_000_000_u64);
    let fields =
        json!({"task.name": task, "task.version": "1", "task.due_us": due.to_string(), "task.trigger": "time", "task.agent": "db-1"});
    let run = format!("{task}@20251120T005320Z.1");
    let start = json!({"type": "process-started", "root_id": root, "id": id, "native_id": run, "kind": "run", "name": task, "time_us": due, "fields": fields});
    let end = json!({"type": "process-ended", "root_id": root, "id": id, "time_us": due + 9, "elapsed_ns": 9_000, "outcome": "failed", "exit_code": 3});
    let worker = json!({"id": format!("{:032x}", 2), "hostname": "h", "pid": 2, "program": "p"});
    json!({"version": 1, "worker": worker, "sequence": 1, "sent_us": 0, "events": [start, end]})
}

#[test]
fn definitions_and_their_history_are_recovered_too() {
    let mut server = Server::start();
    let order = |server: &Server, method: &str, path: &str, body: &Value| {
        let (status, answer) = server.order(method, path, body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    };
    order(&server, "POST", "/batch-tasks", &json!({"name": "gold", "command": ["true"], "rules": ["30 2 * * *"], "on": ["db-1"]}));
    assert_eq!(server.post(&run_of("gold")).0, 200);
    let key = order(&server, "POST", "/heartbeats", &json!({"name": "nightly", "every_ms": 60_000}))["key"].as_str().unwrap().to_owned();
    order(&server, "POST", "/alerts/hushes", &json!({"scope": "task:gold", "for": "2h", "why": "they move"}));
    order(&server, "PUT", "/alerts/rules/often", &json!({"on": {"cause": ["failed"], "task": "gold"}, "to": []}));
    wait_for("the alert", || server.get("/alerts")["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()).then_some(()));
    let shown = |server: &Server| {
        let without_times = |mut page: Value, list: &str| {
            page.as_object_mut().unwrap().retain(|key, _| key == list);
            page
        };
        [
            without_times(server.get("/batch-tasks"), "tasks"),
            without_times(server.get("/batch-tasks/gold/versions"), "versions"),
            without_times(server.get("/batch-tasks/runs"), "runs"),
            without_times(server.get("/heartbeats"), "heartbeats"),
            without_times(server.get("/alerts/hushes"), "hushes"),
            without_times(server.get("/alerts"), "alerts"),
            without_times(server.get("/alerts/1"), "notes"),
        ]
    };
    let before = shown(&server);
    server.stop();
    let folder = tempfile::tempdir().unwrap();
    let mut salvage = command("monitor");
    salvage.arg("salvage").arg(server.data()).arg(folder.path().join("new"));
    let salvaged = run(salvage);
    assert_eq!(salvaged.code, Some(0), "{salvaged:?}");
    for suffix in ["", "-wal", "-shm", ".mark"] {
        let _ = fs::remove_file(database(&server, suffix));
    }
    fs::copy(folder.path().join("new/monitor.db"), database(&server, "")).unwrap();
    server.start_again();
    for (before, after) in before.iter().zip(shown(&server)) {
        assert_eq!(*before, after);
        assert!(before.as_object().unwrap().values().all(|list| !list.as_array().unwrap().is_empty()), "there was something: {before}");
    }
    assert!(server.get("/alerts/rules")["rules"].as_array().unwrap().iter().any(|rule| rule["name"] == "often"));
    assert_eq!(server.ask("GET", &format!("/ping/{key}")).0, 200, "the job's address is as it was");
}

#[test]
fn a_database_of_a_development_version_is_refused_and_left_as_it_is() {
    let mut server = Server::start();
    assert_eq!(server.post(&tree(0, 10)).0, 200);
    server.stop();
    for (name, schema, oldest) in [("monitor.db", 25, 26), ("access.db", 4, 5), ("commands.db", 4, 5)] {
        let path = server.data().join(name);
        let set = |schema: u32| rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", schema).unwrap();
        let newest = rusqlite::Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        set(schema);
        let bytes = fs::read(&path).unwrap();
        let said = server.fail_to_start();
        for words in
            [path.to_str().unwrap(), &format!("has schema {schema}"), &format!("reads schema {oldest} and later"), "monitor migrate"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(fs::read(&path).unwrap() == bytes, "{name}");
        set(newest);
    }
    server.start_again();
    assert_eq!(server.roots().len(), 1);
}
