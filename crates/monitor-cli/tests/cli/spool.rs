//! Tests `monitor spool` with folders of ended and running programs.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use monitor_spool::{About, Begun, ClockSample, Entry, LAYOUT, Meta, Parcel, Spool};
use monitor_wire::{Event, WorkerId, WorkerRef};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{TestServer, monitor, started};

struct TestSpool {
    path: PathBuf,
    _dir: TempDir,
}

impl TestSpool {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { path: dir.path().join("spool"), _dir: dir }
    }

    fn begin(&self, worker: u128, program: &str) -> Begun {
        let id = WorkerId::new(worker).unwrap();
        // No process has this id.
        let worker = WorkerRef { id, hostname: "build-7".to_owned(), pid: 4_000_000_000, program: program.to_owned() };
        let about = About::this(worker, "1.2.3", 1_763_600_000_000_000 + id.get() as u64);
        Spool::open(&self.path).unwrap().begin(&about, std::iter::empty(), LAYOUT, ClockSample::default(), 1 << 28).unwrap()
    }

    /// Creates the spool of a killed program, with two numbered events in its journal and one without a number.
    fn dead(&self, worker: u128, program: &str) {
        let mut begun = self.begin(worker, program);
        let root = format!("{:032x}", worker + 1);
        let events: Vec<Event> = [1, 2].map(|id| serde_json::from_value(started(&root, id, None, "x")).unwrap()).into();
        begun.journal.append(&Parcel::encode(1, &events).unwrap(), &Meta::default()).unwrap();
        begun.program.advance(3, 0);
        let event = serde_json::to_vec(&started(&root, 3, Some(1), "y")).unwrap();
        begun.lane.append(&Entry::Sent { begun: 0, at: 5_000_000_000, event: &event }).unwrap();
    }

    fn run(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = monitor(&["spool"]);
        command.args(args).env("MONITOR_SPOOL_DIR", &self.path).assert()
    }

    fn text(&self, args: &[&str]) -> String {
        String::from_utf8(self.run(args).success().get_output().stdout.clone()).unwrap()
    }

    fn list(&self) -> Vec<Value> {
        let text = self.text(&["list", "--json"]);
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["dir"] == self.path.to_str().unwrap() || answer["dir"].is_null());
        answer["programs"].as_array().unwrap().clone()
    }
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_list_shows_programs_and_their_remaining_events() {
    let spool = TestSpool::new();
    spool.dead(1, "nightly");
    spool.dead(2, "\u{1b}[31mred\u{202e}");
    damage(&spool.path.join(format!("{:032x}", 2)).join("journal-1"));
    let living = spool.begin(3, "watch");
    let text = spool.text(&["list"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for words in ["nightly (4000000000)", "dead", "build-7", "2025-11-20 00:53:20", "3 events", " KiB"] {
        assert!(lines[0].contains(words), "{words} is not in {}", lines[0]);
    }
    assert!(
        lines[1].contains(" 1 event ") && lines[1].contains("1 damaged") && !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "{text:?}"
    );
    assert!(lines[2].contains("watch") && lines[2].contains("living"), "{text}");
    let found: Vec<_> =
        spool.list().iter().map(|found| (found["life"].clone(), found["waiting"].clone(), found["unread"].clone())).collect();
    assert_eq!(found, [("dead".into(), 2.into(), 1.into()), ("dead".into(), 0.into(), 1.into()), ("living".into(), 0.into(), 0.into())]);
    drop(living);
}

#[test]
fn an_empty_spool_is_no_error_but_a_disabled_spool_is() {
    let spool = TestSpool::new();
    for args in [&["list"][..], &["ship"], &["clear"], &["clear", "--yes"]] {
        spool.run(args).success();
    }
    assert!(spool.list().is_empty());
    let output = monitor(&["spool", "list"]).env("MONITOR_SPOOL_DIR", "off").assert().code(1).get_output().stderr.clone();
    let message = String::from_utf8(output).unwrap();
    assert!(message.contains("MONITOR_SPOOL_DIR") && message.contains("--dir"), "{message}");
}

#[test]
fn shipped_events_arrive_once_and_are_removed_from_the_spool() {
    let (server, spool) = (TestServer::start(), TestSpool::new());
    spool.dead(1, "nightly");
    spool.dead(2, "weekly");
    let living = spool.begin(3, "watch");
    // The server acknowledged the first batch of a program before the program was killed.
    server.send_as(1, 1, &[started(&format!("{:032x}", 2), 1, None, "x"), started(&format!("{:032x}", 2), 2, None, "x")]);
    let shipped: Value = serde_json::from_str(&spool.text(&["ship", "--json", "--server", &server.url])).unwrap();
    assert_eq!((&shipped["events"], shipped["programs"].as_array().unwrap().len()), (&6.into(), 2), "{shipped}");
    assert_eq!((&shipped["programs"][0]["program"], &shipped["programs"][0]["events"]), (&"nightly".into(), &3.into()));
    assert_eq!(server.json(&["status"])["events"], 6, "each once");
    assert_eq!(spool.list().len(), 1);
    let text = spool.text(&["ship", "--server", &server.url]);
    assert_eq!(text, "0 events of 0 programs\n");
    drop(living);
}

#[test]
fn a_program_without_pending_events_is_lost_before_its_folder_is_removed() {
    let (server, spool) = (TestServer::start(), TestSpool::new());
    server.send_as(1, 1, &[started(&format!("{:032x}", 2), 1, None, "x")]);
    let mut begun = spool.begin(1, "nightly");
    begun.program.advance(2, 0);
    begun.program.acknowledge(1);
    drop(begun);
    let state = || server.json(&["roots"])["roots"][0]["state"].clone();
    assert_eq!(state(), "running");
    // The server is unreachable, so the records stay.
    spool.run(&["ship", "--server", "http://127.0.0.1:1"]).code(3);
    assert_eq!(spool.list().len(), 1);
    assert_eq!(spool.text(&["ship", "--server", &server.url]), "0 events of 1 program\n");
    assert_eq!(state(), "lost");
    assert!(spool.list().is_empty());
}

#[test]
fn without_a_server_nothing_is_lost() {
    let spool = TestSpool::new();
    spool.dead(1, "nightly");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = spool.run(&["ship", "--server", &url]).code(3).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("is it running?"));
    let server = TestServer::start();
    assert_eq!(spool.text(&["ship", "--server", &server.url]), "3 events of 1 program\n");
}

#[test]
fn clear_removes_only_ended_programs_unless_all_is_given() {
    let spool = TestSpool::new();
    spool.dead(1, "nightly");
    let living = spool.begin(2, "watch");
    let output = spool.run(&["clear"]).code(1).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("--yes"));
    assert_eq!(spool.list().len(), 2);
    let text = spool.text(&["clear", "--yes"]);
    assert!(text.starts_with("removed 3 events of 1 program, "), "{text}");
    assert_eq!(spool.list().len(), 1);
    let removed: Value = serde_json::from_str(&spool.text(&["clear", "--all", "--yes", "--json"])).unwrap();
    assert_eq!(removed["removed"][0]["about"]["worker"]["program"], "watch");
    assert!(spool.list().is_empty());
    drop(living);
}

#[test]
fn a_spool_that_is_writable_by_others_is_refused_with_a_reason() {
    use std::os::unix::fs::PermissionsExt;
    let spool = TestSpool::new();
    spool.dead(1, "nightly");
    std::fs::set_permissions(&spool.path, std::fs::Permissions::from_mode(0o777)).unwrap();
    for args in [&["list"][..], &["ship"], &["clear", "--yes"]] {
        let output = spool.run(args).code(1).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains("others may write to it") && message.contains(spool.path.to_str().unwrap()), "{message}");
    }
}

#[test]
fn a_server_imports_remaining_events_and_logs_their_number() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let (spool, data) = (TestSpool::new(), tempfile::tempdir().unwrap());
    spool.dead(1, "nightly");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .env("MONITOR_AGENT", "off")
        .env("MONITOR_SPOOL_DIR", &spool.path);
    let mut child = command.env_remove("RUST_LOG").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("took in all that was left by dead programs") && line.contains("events=3"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.is_some() && spool.list().is_empty());
}

/// Writes records until it is killed, and counts the persisted records.
fn writes_until_it_is_killed(path: PathBuf) {
    let count = std::fs::File::options().write(true).open(path.with_file_name("count")).unwrap();
    let root = format!("{:032x}", 5);
    let mut begun = TestSpool { path, _dir: tempfile::tempdir().unwrap() }.begin(1, "nightly");
    let (mut next, mut batch) = (1_u64, Vec::new());
    loop {
        let event = started(&root, next, (next > 1).then_some(1), "x");
        let json = serde_json::to_vec(&event).unwrap();
        begun.lane.append(&Entry::Sent { begun: 0, at: 5_000_000_000 + next, event: &json }).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&count, &next.to_ne_bytes(), 0).unwrap();
        batch.push(serde_json::from_value::<Event>(event).unwrap());
        next += 1;
        if batch.len() == 100 {
            let meta = Meta { lane: next - 1, ..Meta::default() };
            begun.journal.append(&Parcel::encode(next - 100, &batch).unwrap(), &meta).unwrap();
            begun.program.advance(next, next - 1);
            begun.lane.taken(next - 1);
            batch.clear();
        }
    }
}

#[test]
fn killed_writers_and_killed_shippers_neither_lose_nor_repeat_anything() {
    use std::process::{Command, Stdio};
    use std::time::Duration;
    // The writer is this test program again, running only this test.
    const NAME: &str = "spool::killed_writers_and_killed_shippers_neither_lose_nor_repeat_anything";
    if let Some(path) = std::env::var_os("SPOOL") {
        return writes_until_it_is_killed(path.into());
    }
    for round in 0..6_u64 {
        let (server, spool) = (TestServer::start(), TestSpool::new());
        let count = spool.path.with_file_name("count");
        std::fs::write(&count, [0; 8]).unwrap();
        let kept = || u64::from_ne_bytes(std::fs::read(&count).unwrap().try_into().unwrap());
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.args(["--exact", NAME]).env("SPOOL", &spool.path).stdout(Stdio::null());
        let mut writer = writer.spawn().unwrap();
        while kept() < 1_000 + round * 777 {
            assert!(writer.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_micros(100));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // Kill the shipper before it sends anything, and while it sends.
        for delay_ms in [round * 5, 40 + round * 10, 60 + round * 20] {
            let mut shipper = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
            shipper.args(["spool", "ship", "--dir"]).arg(&spool.path).args(["--server", &server.url]);
            let mut shipper = shipper.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay_ms));
            shipper.kill().unwrap();
            shipper.wait().unwrap();
        }
        spool.text(&["ship", "--server", &server.url]);
        assert!(spool.list().is_empty());
        let (events, kept) = (server.json(&["status"])["events"].as_u64().unwrap(), kept());
        assert!((kept..=kept + 1).contains(&events), "round {round}: {events} events of {kept}");
    }
}
