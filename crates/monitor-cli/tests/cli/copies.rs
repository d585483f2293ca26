//! Tests `monitor backup`, `restore` and `check` with a server that receives events at the same time.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::{TestServer, ended, monitor, started};

const SIZE: u64 = 50;

/// A tree of [`SIZE`] processes in one batch; every tenth process failed.
fn tree(number: u64) -> Vec<Value> {
    let root = format!("{:032x}", u128::from(number) << 64 | 1);
    let ids = number * SIZE + 1..=number * SIZE + SIZE;
    let first = *ids.start();
    let starts = ids.clone().map(|id| started(&root, id, (id != first).then_some(first), "step"));
    let ends = ids.clone().map(|id| ended(&root, id, id, (id % 10 == 0).then_some("no such table")));
    starts.chain(ends).collect()
}

fn json(args: &[&str]) -> Value {
    let output = monitor(args).arg("--json").assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

fn words(args: &[&str], code: i32) -> String {
    let output = monitor(args).assert().code(code).get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

fn backup(server: &TestServer, copy: &Path, code: i32) -> std::process::Output {
    let mut command = monitor(&["backup", text(copy), "--server", &server.url, "--json"]);
    command.env("MONITOR_DATA", server.data.path()).assert().code(code).get_output().clone()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns the file names in a folder.
fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_copy_is_checked_also_if_the_variable_names_a_data_folder() {
    let server = TestServer::start();
    let copy = server.data.path().join("copy.db");
    backup(&server, &copy, 0);
    monitor(&["check", text(&copy)]).env("MONITOR_DATA", server.data.path().join("none")).assert().success();
}

#[test]
fn a_copy_in_the_data_folder_outlives_a_restart() {
    let server = TestServer::start();
    server.send(1, &tree(0));
    let copy = server.data.path().join("backup-2026-11-20.db");
    backup(&server, &copy, 0);
    let data = server.stop();
    for left in [".sending-1763600000123456.db.part", "monitor.db.new", "monitor.db.new-wal"] {
        fs::write(data.path().join(left), "half of a copy").unwrap();
    }
    let server = TestServer::on(data);
    assert_eq!(json(&["check", text(&copy)])["roots"], 1);
    let left = names(server.data.path());
    assert!(!left.iter().any(|name| name.contains("sending") || name.contains(".new")), "{left:?}");
}

#[test]
fn a_copy_made_under_load_is_complete_and_replaces_an_older_copy() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let (copy, direct) = (folder.path().join("copy.db"), folder.path().join("direct.db"));
    let (sent, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                server.send(number * 2 * SIZE + 1, &tree(number));
                sent.store(number + 1, Ordering::SeqCst);
                if is_done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        while sent.load(Ordering::SeqCst) < 20 {
            std::thread::yield_now();
        }
        let before = sent.load(Ordering::SeqCst);
        // The command finds the owner's token in the data folder.
        let said = backup(&server, &copy, 0);
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(said["bytes"], fs::metadata(&copy).unwrap().len(), "{said}");
        let mut copies = vec![(copy.as_path(), before)];
        let before = sent.load(Ordering::SeqCst);
        monitor(&["backup", text(&direct), "--data", text(server.data.path())]).assert().success();
        copies.push((direct.as_path(), before));
        // The live database can be checked, too, while it is written.
        assert_eq!(json(&["check", "--data", text(server.data.path())])["is_whole"], true);
        is_done.store(true, Ordering::SeqCst);
        for (copy, before) in copies {
            let checked = json(&["check", text(copy)]);
            let (roots, processes) = (checked["roots"].as_u64().unwrap(), checked["processes"].as_u64().unwrap());
            assert_eq!((&checked["is_whole"], &checked["problems"]), (&json!(true), &json!([])), "{checked}");
            assert!(roots >= before, "what was acknowledged before is in it: {before}, {checked}");
            assert_eq!(processes, roots * SIZE, "batches are in it whole or not at all");
        }
    });
    let left = names(server.data.path());
    assert!(!left.iter().any(|name| name.contains("sending")), "{left:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for copy in [&copy, &direct] {
            assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
    let refused = String::from_utf8(backup(&server, &copy, 1).stderr).unwrap();
    assert!(refused.contains("is there already"), "{refused}");
    let refused = words(&["backup", text(&folder.path().join("other.db")), "--server", &server.url], 1);
    assert!(refused.contains("takes a token"), "{refused}");

    let refused = words(&["restore", text(&copy), "--data", text(server.data.path())], 1);
    assert!(refused.contains("in use by another server"), "{refused}");
    let other = TestServer::start();
    other.send(1, &tree(999));
    let data = other.stop();
    let said = json(&["restore", text(&copy), "--data", text(data.path())]);
    let aside = said["aside"].as_str().unwrap().to_owned();
    assert_eq!(json(&["check", &aside])["roots"], 1, "the one before is kept");
    let restored = TestServer::on(data);
    let status = restored.json(&["status"]);
    assert_eq!(status["roots"]["succeeded"].as_u64(), json(&["check", text(&copy)])["roots"].as_u64(), "{status}");
    // The server continues from the restored state, and repeated events count once.
    restored.send(1, &tree(0));
    restored.send(1_000_001, &tree(5_000));
    let after = restored.json(&["status"]);
    assert_eq!(after["events"].as_u64().unwrap(), status["events"].as_u64().unwrap() + 2 * SIZE, "{after}");
}

#[test]
fn a_database_set_aside_by_a_restore_can_be_restored_with_its_wal() {
    let server = TestServer::start();
    for number in 0..3 {
        server.send(number * 2 * SIZE + 1, &tree(number));
    }
    // The server was killed, so the WAL was not checkpointed.
    let data = server.stop();
    assert!(fs::metadata(data.path().join("monitor.db-wal")).unwrap().len() > 0);
    let other = TestServer::start();
    other.send(1, &tree(9));
    let (copies, other) = (tempfile::tempdir().unwrap(), other.stop());
    let copy = copies.path().join("copy.db");
    monitor(&["backup", text(&copy), "--data", text(other.path())]).assert().success();
    let said = json(&["restore", text(&copy), "--data", text(data.path())]);
    let server = TestServer::on(data);
    assert_eq!(server.json(&["status"])["roots"]["succeeded"], 1);
    let data = server.stop();
    monitor(&["restore", said["aside"].as_str().unwrap(), "--data", text(data.path())]).assert().success();
    assert!(!data.path().join("monitor.db-wal").exists(), "it is whole without a log");
    let server = TestServer::on(data);
    assert_eq!(server.json(&["status"])["roots"]["succeeded"], 3, "all is there that was acknowledged");
}

#[test]
fn incomplete_copies_are_refused_with_a_reason() {
    let server = TestServer::start();
    for number in 0..20 {
        server.send(number * 2 * SIZE + 1, &tree(number));
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    backup(&server, &copy, 0);
    // Damages a page in the middle of the file.
    let damaged = folder.path().join("damaged.db");
    fs::copy(&copy, &damaged).unwrap();
    let mut file = fs::File::options().write(true).open(&damaged).unwrap();
    file.seek(SeekFrom::Start(fs::metadata(&copy).unwrap().len() / 2 / 8_192 * 8_192)).unwrap();
    file.write_all(&[0xa5; 8_192]).unwrap();
    drop(file);
    let (letter, empty, none) = (folder.path().join("letter.db"), folder.path().join("empty.db"), folder.path().join("none.db"));
    fs::write(&letter, "a letter, and long enough to be a database".repeat(500)).unwrap();
    fs::write(&empty, "").unwrap();
    let data = server.stop();
    for (path, expected) in [
        // The error message depends on the damaged page.
        (&damaged, "damaged.db is "),
        (&letter, "is damaged or no database"),
        (&empty, "is a database of another program"),
        (&none, "there is no database at"),
    ] {
        let said = words(&["check", text(path)], 1);
        assert!(said.contains(expected), "{expected:?} is not in {said}");
        let said = words(&["restore", text(path), "--data", text(data.path())], 1);
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
    let left = names(data.path());
    assert!(left.iter().all(|name| !name.contains("before") && !name.contains("new")), "all is as it was: {left:?}");
    assert_eq!(json(&["check", "--data", text(data.path())])["roots"], 20);
    let none = tempfile::tempdir().unwrap();
    let target = none.path().join("x.db");
    assert!(words(&["backup", text(&target), "--data", text(none.path())], 1).contains("there is no database at"));
    assert!(words(&["backup", text(&target), "--server", "http://127.0.0.1:1"], 3).contains("was not reached"));
    assert!(!target.exists() && fs::read_dir(none.path()).unwrap().next().is_none());
}

#[test]
fn counts_that_differ_from_the_stored_processes_are_detected() {
    let server = TestServer::start();
    server.send(1, &tree(0));
    let data = server.stop();
    for (sql, expected) in [
        ("UPDATE root SET succeeded = succeeded + 1", "a tree's counts are not those of its processes: 1"),
        ("UPDATE tally SET count = count + 1 WHERE what = 1", "processes by state: kept as"),
        ("DELETE FROM failed", "a failed process is missing"),
        ("DELETE FROM text WHERE value = 'no such table'", "that is not there"),
        ("DELETE FROM rollup WHERE level = 0", "sums"),
        ("INSERT INTO open VALUES(1, 1, 7)", "an open process is not there: 1/1/7"),
    ] {
        let copy = data.path().join("copy.db");
        let _ = fs::remove_file(&copy);
        monitor(&["backup", text(&copy), "--data", text(data.path())]).assert().success();
        rusqlite::Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
        let output = monitor(&["check", text(&copy)]).assert().code(1).get_output().clone();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(expected), "{sql}: {expected:?} is not in {said}");
    }
}
