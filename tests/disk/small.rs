//! Small separate disks. A burst of events stops at `min-free-bytes`, and on a disk without a free byte everything except storing still
//! works.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use monitor_tests::{Server, SmallDisk, run, wait_for};
use serde_json::json;

use super::{batch, health, large_batch};

/// Number of concurrent senders.
const SENDERS: u64 = 4;
/// Number of unanswered batches per sender. Several allow the writer to store many of them in one transaction.
const AT_ONCE: u64 = 8;

/// Free bytes of the server's disk.
fn free(server: &Server) -> u64 {
    let path = server.disk().outside(server.disk().path());
    let found = rustix::fs::statvfs(&path).expect("the disk is mounted");
    found.f_bavail * found.f_frsize
}

/// Sends events as fast as possible until a batch of each sender is rejected. Returns the number of free bytes at the first rejection and
/// the number of stored batches.
fn burst(server: &Server) -> (u64, u64) {
    let (is_refused, at_refusal, stored) = (AtomicBool::new(false), AtomicU64::new(u64::MAX), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for sender in 0..SENDERS * AT_ONCE {
            let (is_refused, at_refusal, stored) = (&is_refused, &at_refusal, &stored);
            scope.spawn(move || {
                for number in 0..20_000 {
                    let mut batch = if number % 4 == 0 { large_batch(number) } else { batch(0, number) };
                    let text = batch.to_string().replace(&super::root(0, number), &super::root(sender, number));
                    batch = serde_json::from_str(&text).expect("JSON");
                    batch["worker"]["id"] = json!(format!("{:032x}", sender + 1));
                    match server.post(&batch) {
                        (200, _) => drop(stored.fetch_add(1, Ordering::Relaxed)),
                        (503, problem) if problem["detail"].as_str().is_some_and(|detail| detail.contains("too much waits")) => {}
                        (503, problem) => {
                            at_refusal.fetch_min(free(server), Ordering::Relaxed);
                            is_refused.store(true, Ordering::Relaxed);
                            assert!(problem["detail"].as_str().unwrap().contains("min-free-bytes"), "{problem}");
                            break;
                        }
                        other => panic!("{other:?}"),
                    }
                    if is_refused.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
    });
    (at_refusal.into_inner(), stored.into_inner())
}

/// Checks everything that must work without a free byte.
fn works_on_a_full_disk(bytes: u64) {
    // Where mounting is not allowed, there is nothing to test.
    let Some(disk) = SmallDisk::new(bytes) else { return eprintln!("mounting is not allowed here") };
    let mut server = Server::start_on_disk(disk, Vec::new());
    let least = server.get("/status")["min_free_bytes"].as_u64().unwrap();
    let (at_refusal, stored) = burst(&server);
    println!("{bytes} bytes: {stored} batches, {at_refusal} free at the first refusal, {} later, {least} have to stay", free(&server));
    assert!(at_refusal >= least, "{at_refusal} of {least} are free at the first refusal");
    assert!(at_refusal < 3 * least + (8 << 20), "the disk is used: {at_refusal} are free, {least} have to stay");
    assert!(stored > 0 && !server.roots().is_empty());

    let refill = |server: &Server| {
        server.disk().fill();
        assert!(free(server) < 4096, "filled to the last byte");
    };
    let create_token = |server: &Server, name: &str| {
        let mut create = server.disk().command("monitor");
        create.args(["token", "create", name, "--scope", "read", "--data"]).arg(server.data());
        let created = run(create);
        assert_eq!(created.code, Some(0), "{}", created.stderr);
    };
    let delete = |server: &Server, root: &serde_json::Value| {
        let (status, answer) = server.ask("DELETE", &format!("/api/v1/roots/{}", root["number"]));
        assert_eq!(status, 204, "{answer}");
    };
    refill(&server);
    create_token(&server, "first");
    delete(&server, &server.roots()[0]);
    // Other data also fills the space that these have freed.
    refill(&server);
    server.kill();
    server.start_again();
    // A kill between two starts frees nothing.
    refill(&server);
    server.kill();
    server.start_again();
    assert_eq!(health(&server), (503, 503), "it starts, and accepts no batches");
    refill(&server);
    create_token(&server, "second");
    let mut deleted = 1;
    loop {
        let roots = server.roots();
        for root in &roots {
            delete(&server, root);
        }
        deleted += roots.len();
        if roots.is_empty() {
            break;
        }
    }
    assert!(deleted as u64 >= stored, "{deleted} of {stored} trees");
    let (mut audited, mut cursor) = (0, String::new());
    loop {
        let (status, page) = server.order("GET", &format!("/audit?limit=1000{cursor}"), &serde_json::Value::Null);
        assert_eq!(status, 200, "{page}");
        let entries = page["entries"].as_array().unwrap();
        audited +=
            entries.iter().filter(|entry| entry["action"].as_str().unwrap().contains("DELETE") && entry["outcome"] == "done").count();
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(audited, deleted, "every deletion is in the audit log: {}", server.log());
    let mut list = server.disk().command("monitor");
    list.args(["token", "list", "--data"]).arg(server.data());
    let tokens = run(list).stdout;
    assert!(tokens.contains("first") && tokens.contains("second"), "{tokens}");
    std::fs::remove_file(server.disk().outside(&server.disk().path().join("filler"))).unwrap();
    wait_for("the space to be given back", || (health(&server) == (200, 200)).then_some(()));
    server.stop();
}

#[test]
fn a_burst_on_a_24_mib_disk_leaves_space_and_a_full_disk_stops_only_ingest() {
    works_on_a_full_disk(24 << 20);
}

#[test]
fn a_burst_on_a_200_mib_disk_leaves_space_and_a_full_disk_stops_only_ingest() {
    works_on_a_full_disk(200 << 20);
}
