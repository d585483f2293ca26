//! Cameras of `monitor events` on a full disk. The full disk is reported, events continue to be printed, and once there is space, nothing
//! is missing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use monitor_tests::{PATIENCE, Server, SmallDisk, terminate};
use serde_json::{Value, json};

const ROOT: &str = "0199a3ce929d0e0e47360199a3ce0001";

fn id(number: u64) -> String {
    format!("{number:016x}")
}

/// Sends tasks with these numbers. Each takes a quarter of a page.
fn send(server: &Server, numbers: std::ops::RangeInclusive<u64>) {
    let event = |number: u64| {
        json!({"type": "task-received", "root_id": ROOT, "id": id(number), "time_us": 1_763_600_000_000_000 + number, "name": "render",
               "args": format!("{number} {}", "x".repeat(1_000))})
    };
    let worker = json!({"id": format!("{:032x}", 7), "hostname": "h", "pid": 7, "program": "p"});
    let batch = json!({"version": 1, "sequence": numbers.start(), "sent_us": 1, "worker": worker, "events": numbers.map(event).collect::<Vec<_>>()});
    assert_eq!(server.post(&batch).0, 200);
}

/// `monitor events` with a camera. Both of its files are on a separate disk.
struct Events {
    child: Child,
    printed: Receiver<String>,
    said: Receiver<String>,
}

impl Events {
    fn start(server: &Server, disk: &SmallDisk, camera: &str) -> Self {
        let mut events = disk.command("monitor");
        let path = |name: &str| disk.path().join(name).to_str().expect("a path").to_owned();
        events.args(["events", "--dump", "--json", "--after", "0", "--kind", "task", "--frequency", "20ms", "--server", server.url()]);
        events.args(["--position", &path("at"), "--camera", &format!("{camera}:{}", path("pictures"))]);
        let mut child = events.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (printed, said) = (lines(child.stdout.take().expect("piped")), lines(child.stderr.take().expect("piped")));
        Self { child, printed, said }
    }

    /// Waits until the tasks with these numbers, and nothing else, were printed.
    fn prints(&self, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            let line = self.printed.recv_timeout(PATIENCE).expect("an event");
            let event: Value = serde_json::from_str(&line).expect("a line is JSON");
            assert_eq!(event["data"]["event"]["id"], id(number), "{line}");
        }
    }

    /// Checks that the next message contains these words.
    fn says(&self, words: &[&str]) {
        let line = self.said.recv_timeout(PATIENCE).expect("it says something");
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} are not in {line:?}");
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

/// Ids of the tasks in a file, in which each line is complete.
fn in_file(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).expect("the pictures");
    assert!(text.ends_with('\n'), "the last line is whole");
    let pictures = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    pictures
        .flat_map(|picture| picture["tasks"].as_array().expect("tasks").clone())
        .map(|task| task["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Ids of the tasks in a database. The file is copied, because SQLite opens no path through `/proc/PID/root`.
fn in_database(path: &Path) -> BTreeSet<String> {
    let copy = tempfile::NamedTempFile::new().expect("a file");
    fs::copy(path, copy.path()).expect("the database");
    let database = rusqlite::Connection::open(copy.path()).expect("a database");
    let checked: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a database");
    assert_eq!(checked, "ok");
    let mut tasks = database.prepare("SELECT id FROM task").expect("its table");
    tasks.query_map([], |row| row.get(0)).expect("rows").map(|id| id.expect("a text")).collect()
}

fn check(camera: &str, full: &str, tasks_in: fn(&Path) -> BTreeSet<String>) {
    let Some(disk) = SmallDisk::new(2 << 20) else { return eprintln!("mounting is not allowed here") };
    let server = Server::start();
    send(&server, 1..=8);
    let mut events = Events::start(&server, &disk, camera);
    events.prints(1..=8);
    let pictures = disk.outside(&disk.path().join("pictures"));
    monitor_tests::wait_for("the first picture", || fs::metadata(&pictures).is_ok_and(|file| file.len() > 8_000).then_some(()));
    let filler = disk.fill();
    send(&server, 9..=40);
    events.prints(9..=40);
    events.says(&[&format!("camera {camera}:"), full, "trying again"]);
    // A further failure is not reported again.
    send(&server, 41..=48);
    events.prints(41..=48);
    fs::remove_file(filler).expect("room again");
    events.says(&[&format!("camera {camera}:"), "takes pictures again"]);
    terminate(&mut events.child);
    assert_eq!(tasks_in(&pictures), (1..=48).map(id).collect());
    // A restart continues at the position that a file on the same disk contains.
    send(&server, 49..=49);
    Events::start(&server, &disk, camera).prints(49..=49);
}

#[test]
fn a_camera_on_a_full_disk_reports_it_loses_nothing_and_keeps_whole_lines() {
    check("file", "No space left", in_file);
}

#[test]
fn a_camera_with_its_database_on_a_full_disk_reports_it_and_loses_nothing() {
    check("sqlite", "full", in_database);
}
