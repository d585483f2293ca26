//! A failing disk, a killed server and a power cut. All acknowledged batches are complete, and no batch is stored partially.
#![cfg(target_os = "linux")]

mod cameras;
mod small;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use monitor_tests::{Server, SmallDisk, rounds, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Number of concurrent senders.
const POSTERS: u64 = 4;
/// Per batch. Each batch is a separate tree.
const PROCESSES: u64 = 10;

/// Senders that repeat each batch until it is acknowledged, until they are stopped.
struct Posters {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<u64>>,
}

/// Numbers of answers of the server, by kind.
#[derive(Default)]
struct Seen {
    acknowledged: AtomicU64,
    refused: AtomicU64,
    /// Answers with any other status.
    other: AtomicU64,
}

fn root(poster: u64, number: u64) -> String {
    format!("{:032x}", u128::from(poster + 1) << 64 | u128::from(number + 1))
}

fn batch(poster: u64, number: u64) -> Value {
    let (root, id) = (root(poster, number), |process: u64| format!("{:016x}", process + 1));
    let began = 1_763_600_000_000_000 + number * 1_000;
    let started = (0..PROCESSES).map(|process| {
        let (parent, kind) = if process == 0 { (None, "root") } else { (Some(id(process / 2)), "normal") };
        json!({"type": "process-started", "root_id": root, "id": id(process), "parent_id": parent, "kind": kind, "name": "step", "time_us": began + process})
    });
    let ended = (0..PROCESSES).map(|process| {
        json!({"type": "process-ended", "root_id": root, "id": id(process), "time_us": began + 500, "elapsed_ns": 1, "outcome": "succeeded"})
    });
    let worker = json!({"id": format!("{:032x}", poster + 1), "hostname": "h", "pid": 1, "program": "p"});
    let events: Vec<_> = started.chain(ended).collect();
    json!({"version": 1, "worker": worker, "sequence": 1 + number * 2 * PROCESSES, "sent_us": 0, "events": events})
}

impl Posters {
    /// Starts senders that continue after these batches.
    fn begin(server: &Server, from: &[u64]) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
        let threads = (0..POSTERS).zip(from).map(|(poster, from)| {
            let (stop, seen, url, from) = (stop.clone(), seen.clone(), format!("{}/api/v1/events", server.url()), *from);
            std::thread::spawn(move || {
                let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client");
                let mut number = from;
                while !stop.load(Ordering::Relaxed) {
                    // A killed server doesn't answer.
                    match client.post(&url).json(&batch(poster, number)).send().map(|answer| answer.status().as_u16()) {
                        Ok(200) => {
                            number += 1;
                            seen.acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(503) => {
                            seen.refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        Ok(_) => drop(seen.other.fetch_add(1, Ordering::Relaxed)),
                        Err(_) => std::thread::sleep(Duration::from_millis(5)),
                    }
                }
                number
            })
        });
        let threads = threads.collect();
        Self { stop, seen, threads }
    }

    fn wait_for(&self, what: &str, of: impl Fn(&Seen) -> &AtomicU64, more: u64) {
        let before = of(&self.seen).load(Ordering::Relaxed);
        wait_for(what, || (of(&self.seen).load(Ordering::Relaxed) >= before + more).then_some(()));
    }

    /// Number of acknowledged batches of each sender.
    fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let acknowledged = self.threads.into_iter().map(|thread| thread.join().expect("posting doesn't panic")).collect();
        assert_eq!(self.seen.other.load(Ordering::Relaxed), 0, "answers are 200 or 503");
        acknowledged
    }
}

/// Checks that all acknowledged batches are complete, and also all batches that were stored without an answer.
fn check(server: &Server, acknowledged: &[u64]) {
    let (mut found, mut cursor) = (HashMap::new(), String::new());
    loop {
        let page = server.get(&format!("/roots?limit=1000&cursor={cursor}"));
        for root in page["roots"].as_array().unwrap() {
            assert_eq!(root["counts"]["succeeded"], PROCESSES, "a batch is half there: {root}");
            found.insert(root["root_id"].as_str().unwrap().to_owned(), root["number"].clone());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    for (poster, acknowledged) in (0..POSTERS).zip(acknowledged) {
        let missing: Vec<_> = (0..*acknowledged).filter(|number| !found.contains_key(&root(poster, *number))).collect();
        assert!(missing.is_empty(), "poster {poster} was told that these are stored: {missing:?} of {acknowledged}");
    }
    let most = acknowledged.iter().sum::<u64>() + POSTERS;
    assert!(found.len() as u64 <= most, "{} trees of at most {most}", found.len());
    assert_eq!(server.get("/status")["processes"]["succeeded"], found.len() as u64 * PROCESSES, "each counts once");
}

fn check_integrity(data: &Path) {
    let connection = rusqlite::Connection::open(data.join("monitor.db")).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}

/// A simulated disk between the server and the real disk.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { folder: tempfile::tempdir().expect("a folder") };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/disk/shim.c");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(disk.path("shim.so")).arg(source).status();
        assert!(made.expect("a C compiler, as the build needs one").success());
        fs::write(disk.path("told"), [0]).unwrap();
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets the behaviour of the disk: see shim.c.
    fn tell(&self, what: u8) {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().create(true).write(true).truncate(false).open(self.path("told")).unwrap();
        file.write_all_at(&[what], 0).unwrap();
    }

    fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![("LD_PRELOAD", self.path("shim.so").into()), ("DISK_TOLD", self.path("told").into())]
    }
}

const WELL: u8 = 0;

#[test]
fn batches_are_refused_while_the_disk_fails_and_accepted_afterwards() {
    let disk = Disk::new();
    let mut server = Server::start_with(disk.env());
    let posters = Posters::begin(&server, &[0; POSTERS as usize]);
    for _ in 0..rounds(1) {
        // Writes fail, the disk is full, or a sync fails.
        for fault in 1..=3 {
            posters.wait_for("batches to be stored", |seen| &seen.acknowledged, 50);
            disk.tell(fault);
            posters.wait_for("batches to be refused", |seen| &seen.refused, 20);
            disk.tell(WELL);
        }
    }
    posters.wait_for("batches to be stored", |seen| &seen.acknowledged, 50);
    let acknowledged = posters.stop();
    check(&server, &acknowledged);
    server.kill();
    server.set_env(Vec::new());
    server.start_again();
    check(&server, &acknowledged);
    server.kill();
    check_integrity(server.data());
}

#[test]
fn refusals_because_of_the_disk_have_a_retry_after_header() {
    let disk = Disk::new();
    let server = Server::start_with(disk.env());
    disk.tell(2);
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let post = || client.post(format!("{}/api/v1/events", server.url())).json(&batch(0, 0)).send().unwrap();
    let refused = post();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("full"), "{problem}");
    disk.tell(WELL);
    assert_eq!(post().status(), 200);
}

/// A random duration below half a second.
fn some_moment() -> Duration {
    use std::hash::{BuildHasher, RandomState};
    Duration::from_micros(RandomState::new().hash_one(0) % 400_000)
}

/// Number of kills: a few, or more with `cargo xtask soak`.
fn kills() -> u32 {
    if rounds(0) == 0 { 5 } else { 50 }
}

#[test]
fn a_server_killed_at_any_moment_keeps_acknowledged_events() {
    let mut server = Server::start();
    let mut acknowledged = vec![0; POSTERS as usize];
    for _ in 0..kills() {
        let posters = Posters::begin(&server, &acknowledged);
        posters.wait_for("batches to be stored", |seen| &seen.acknowledged, 10);
        std::thread::sleep(some_moment());
        server.kill();
        acknowledged = posters.stop();
        server.start_again();
        check(&server, &acknowledged);
    }
    server.kill();
    check_integrity(server.data());
}

#[test]
fn acknowledged_events_survive_a_power_cut() {
    let disk = Disk::new();
    let mut server = Server::start_with(disk.env());
    let mut acknowledged = vec![0; POSTERS as usize];
    for _ in 0..rounds(3) {
        let posters = Posters::begin(&server, &acknowledged);
        posters.wait_for("batches to be stored", |seen| &seen.acknowledged, 300);
        std::thread::sleep(some_moment());
        server.kill();
        acknowledged = posters.stop();
        drop_unsynced(server.data());
        server.start_again();
        check(&server, &acknowledged);
    }
    server.kill();
    check_integrity(server.data());
}

/// Replaces the files of the database by their synced content.
fn drop_unsynced(data: &Path) {
    let names =
        || fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.to_str().unwrap().contains("monitor.db"));
    let mut copies = 0;
    for path in names().filter(|path| path.extension().is_none_or(|extension| extension != "synced")) {
        fs::remove_file(path).unwrap();
    }
    for path in names() {
        // The synced copy stays, because the shim continues to update it.
        fs::copy(&path, path.with_extension("")).unwrap();
        copies += 1;
    }
    assert!(copies > 0, "the disk kept what was synced");
}

/// A large batch: trees with fields of many bytes.
fn large_batch(number: u64) -> Value {
    let mut batch = batch(0, number);
    for (place, event) in batch["events"].as_array_mut().unwrap().iter_mut().enumerate() {
        if event["type"] == "process-started" {
            // Text that can't be compressed.
            let mut text = String::new();
            for word in 1..=3_000 {
                use std::fmt::Write as _;
                let _ = write!(text, "{:x} ", (number + 1) * 7_919 * (place as u64 + 1) * 104_729 * word);
            }
            event["fields"] = json!({"text": text});
        }
    }
    batch
}

/// Status of `/healthz` and of `/readyz`.
fn health(server: &Server) -> (u16, u16) {
    (server.ask("GET", "/healthz").0, server.ask("GET", "/readyz").0)
}

#[test]
fn on_a_full_disk_reads_deletes_and_starts_work_and_deletes_free_space() {
    // Where mounting is not allowed, the tests below check everything that is possible without it.
    let Some(disk) = SmallDisk::new(96 << 20) else { return eprintln!("mounting is not allowed here") };
    let mut server = Server::start_on_disk(disk, Vec::new());
    assert_eq!(health(&server), (200, 200));
    let mut stored = 0;
    wait_for("batches to be refused for the space that has to stay free", || match server.post(&large_batch(stored)) {
        (200, _) => {
            stored += 1;
            None
        }
        (503, problem) => problem["detail"].as_str().unwrap().contains("min-free-bytes").then_some(()),
        other => panic!("{other:?}"),
    });
    assert_eq!(health(&server), (503, 503));
    let status = server.get("/status");
    assert!(status["refused_batches"].as_u64().unwrap() >= 1 && status["trouble"].as_str().unwrap().contains("min-free-bytes"), "{status}");
    assert!(status["disk_free_bytes"].as_u64().unwrap() < 2 * status["min_free_bytes"].as_u64().unwrap(), "{status}");
    let metrics = server.ask("GET", "/metrics").1;
    assert!(metrics.contains("monitor_ingest_stopped 1") && metrics.contains("monitor_disk_free_bytes "), "{metrics}");
    assert!(server.log().contains("fills up"), "there was a warning before: {}", server.log());

    // Other data fills the rest of the disk.
    server.disk().fill();
    assert_eq!(server.roots().len() as u64, stored, "reading goes on");
    server.kill();
    server.start_again();
    assert_eq!(health(&server), (503, 503), "it starts, and says that it takes no batches");
    assert_eq!(server.roots().len() as u64, stored);
    for root in server.roots() {
        let (status, answer) = server.ask("DELETE", &format!("/api/v1/roots/{}", root["number"]));
        assert_eq!(status, 204, "{answer}");
    }
    // The server frees the space in small steps, so the space that makes it healthy may not yet be enough for a large batch.
    wait_for("the space to be given back", || (server.post(&large_batch(stored)).0 == 200).then_some(()));
    wait_for("the server to be well", || (health(&server) == (200, 200)).then_some(()));
    server.stop();
    // SQLite opens no path through `/proc/PID/root`.
    let copy = tempfile::tempdir().unwrap();
    fs::copy(server.disk().outside(&server.data().join("monitor.db")), copy.path().join("monitor.db")).unwrap();
    check_integrity(copy.path());
}

#[test]
fn below_the_minimum_of_free_space_only_batches_are_refused() {
    let mut server = Server::start();
    assert_eq!(server.post(&batch(0, 0)).0, 200);
    server.stop();
    server.set_env(vec![("MONITOR_MIN_FREE_BYTES", "4000000GiB".into())]);
    server.start_again();
    // The server accepts batches until its writer has checked the disk.
    wait_for("the disk to be looked at", || (health(&server) == (503, 503)).then_some(()));
    let (status, problem) = server.post(&batch(0, 1));
    assert!(status == 503 && problem["detail"].as_str().unwrap().contains("min-free-bytes"), "{problem}");
    assert_eq!(health(&server), (503, 503));
    let copies =
        || fs::read_dir(server.data()).unwrap().flatten().filter(|file| file.file_name().to_string_lossy().contains("sending")).count();
    let (status, problem) = server.ask("POST", "/api/v1/backup");
    assert!(status == 503 && problem.contains("min-free-bytes") && problem.contains("monitor backup FILE --data"), "{problem}");
    assert_eq!(copies(), 0, "nothing of it was made");
    let root = server.roots()[0].clone();
    assert_eq!(server.ask("DELETE", &format!("/api/v1/roots/{}", root["number"])).0, 204);
    assert_eq!(server.roots().len(), 0);
}

#[test]
fn a_failing_disk_is_reported_once_and_the_server_recovers_by_itself() {
    let disk = Disk::new();
    let server = Server::start_with(disk.env());
    let posters = Posters::begin(&server, &[0; POSTERS as usize]);
    posters.wait_for("batches to be stored", |seen| &seen.acknowledged, 10);
    disk.tell(2);
    posters.wait_for("batches to be refused", |seen| &seen.refused, 40);
    wait_for("it to be told", || (health(&server) == (503, 503)).then_some(()));
    // The server tries to write each second, and never succeeds.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_eq!(health(&server), (503, 503));
    }
    posters.stop();
    assert!(server.get("/status")["refused_batches"].as_u64().unwrap() >= 40);
    disk.tell(WELL);
    // The server recovers without any request.
    wait_for("it to be well", || (health(&server) == (200, 200)).then_some(()));
    let log = server.log();
    let lines = |word: &str| log.lines().filter(|line| line.contains(word)).count();
    // Giving up the reserve of space may log another warning.
    assert_eq!((lines(" ERROR "), lines("batches are answered 503"), lines("stored again")), (0, 1, 1), "{log}");
}

/// A tree in a single batch, with a long chain of processes.
fn chain(sender: u64, number: u64, processes: u64) -> String {
    let (root, began) = (root(sender, number), 1_763_600_000_000_000 + number * 1_000);
    let events: Vec<_> = (1..=processes)
        .map(|id| {
            let (kind, parent) = if id == 1 { ("root", String::new()) } else { ("normal", format!(r#""parent_id":"{:016x}","#, id - 1)) };
            format!(
                r#"{{"type":"process-started","root_id":"{root}","id":"{id:016x}",{parent}"kind":"{kind}","name":"step","time_us":{began}}},
                   {{"type":"process-ended","root_id":"{root}","id":"{id:016x}","time_us":{},"elapsed_ns":1,"outcome":"succeeded"}}"#,
                began + 500
            )
        })
        .collect();
    let (worker, sequence) = (format!("{:032x}", sender + 1), 1 + number * 2 * processes);
    let worker = format!(r#"{{"id":"{worker}","hostname":"h","pid":1,"program":"p"}}"#);
    format!(r#"{{"version":1,"worker":{worker},"sequence":{sequence},"sent_us":0,"events":[{}]}}"#, events.join(","))
}

/// Number of processes of a [`chain`]. Such trees exceed the caps.
const LONG: u64 = 400;

/// Sends many trees to a server with this setting. Returns the server, a connection to its database, and the highest number of stored
/// processes.
fn exceed(setting: &'static str, cap: String) -> (Server, rusqlite::Connection, u64) {
    const SENDERS: u64 = 4;
    const TREES: u64 = 300;
    let server = Server::start_with(vec![(setting, cap.into())]);
    let database = rusqlite::Connection::open(server.data().join("monitor.db")).unwrap();
    // All stored processes, also those of trees that are dropped and not yet deleted.
    let held = || figure(&database, "SELECT count(*) FROM process");
    let most = std::thread::scope(|scope| {
        let send = |sender| {
            let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
            let url = format!("{}/api/v1/events", server.url());
            for number in 0..TREES {
                let batch = chain(sender, number, LONG);
                wait_for("the batch to be taken", || {
                    let request = client.post(&url).header("content-type", "application/json").body(batch.clone());
                    request.send().is_ok_and(|answer| answer.status() == 200).then_some(())
                });
            }
        };
        let senders: Vec<_> = (0..SENDERS).map(|sender| scope.spawn(move || send(sender))).collect();
        let mut most = 0;
        while !senders.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            most = most.max(held());
            std::thread::sleep(Duration::from_millis(20));
        }
        most
    });
    let all = SENDERS * TREES * LONG;
    println!("{setting}: {most} processes of {all} were there at once");
    assert!(most < all / 2, "{setting}: {most} processes of {all} were there at once");
    (server, database, most)
}

fn figure(database: &rusqlite::Connection, query: &str) -> u64 {
    database.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

#[test]
fn the_limit_of_the_run_count_applies_under_any_load() {
    const CAP: u64 = 20;
    let (_server, database, most) = exceed("MONITOR_RETENTION_COUNT", CAP.to_string());
    assert!(most > CAP * LONG, "they send faster than it is looked what is due");
    // The server checks the cap after a large number of events, and otherwise once per minute. The events of 50 of these trees are too few
    // for a check.
    wait_for("all above the cap to go", || (figure(&database, "SELECT count(*) FROM process") <= (CAP + 50) * LONG).then_some(()));
}

#[test]
fn the_limit_of_the_database_size_applies_under_any_load() {
    const CAP: u64 = 12 << 20;
    let (server, database, most) = exceed("MONITOR_RETENTION_SIZE", CAP.to_string());
    let used = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    // As above: 50 of these trees may exist beyond the cap for up to a minute. They take less than this.
    wait_for("what is in use to fit into the cap", || (figure(&database, used) <= CAP + 50 * LONG * 400).then_some(()));
    assert!(most > 0 && !server.roots().is_empty(), "the newest trees stay");
    // The file itself also shrinks.
    wait_for("the file to be cut", || {
        let status = server.get("/status");
        (status["database_bytes"].as_u64().unwrap() <= 2 * (CAP + 50 * LONG * 400)).then_some(())
    });
}
