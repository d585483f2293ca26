//! Tests that the records of killed programs are stored exactly once.
#![cfg(unix)]

use std::path::Path;
use std::time::Duration;

use monitor_spool::{About, Begun, ClockSample, Entry, Meta, Parcel, Spool};
use monitor_wire::{Dropped, Event, WorkerId, WorkerRef};
use serde_json::{Value, json};

use crate::support::{ROOT, TestServer, until};

fn event(id: u64, event_type: &str) -> Event {
    let mut event = json!({
        "type": event_type, "root_id": ROOT, "id": format!("{id:016x}"), "parent_id": (id > 1).then_some(format!("{:016x}", 1)),
        "kind": "normal", "name": format!("step {id}"), "time_us": 1_763_600_000_000_000 + id,
    });
    if event_type == "process-ended" {
        event["outcome"] = "succeeded".into();
        event["elapsed_ns"] = 5.into();
    }
    serde_json::from_value(event).expect("an event")
}

fn begin(spool: &Path, worker: u128) -> Begun {
    let id = WorkerId::new(worker).expect("not zero");
    let worker = WorkerRef { id, hostname: "build-7".to_owned(), pid: 4_000_000_000, program: "nightly".to_owned() };
    let about = About::this(worker, "1.2.3", 1_763_600_000_000_000);
    let clock = ClockSample { ticks: 0, wall_ns: 1_763_600_000_000_000_000, is_counter: false };
    Spool::open(spool).expect("a spool").begin(&about, std::iter::empty(), monitor_spool::LAYOUT, clock, 1 << 20).expect("a folder")
}

fn numbered(begun: &mut Begun, first: u64, events: &[Event], dropped: &[Dropped]) -> Parcel {
    let parcel = Parcel::encode(first, events).expect("events");
    let meta = Meta { dropped: dropped.to_vec(), ..Meta::default() };
    begun.journal.append(&parcel, &meta).expect("room");
    begun.program.advance(first + events.len() as u64, 0);
    parcel
}

fn queue(begun: &Begun, event: &Event) {
    let json = serde_json::to_vec(event).expect("JSON");
    begun.lane.append(&Entry::Sent { begun: 5, at: 1_000_000, event: &json }).expect("room");
}

fn folders(spool: &Path) -> usize {
    std::fs::read_dir(spool).map_or(0, Iterator::count)
}

fn states(tree: &Value) -> Vec<&str> {
    tree["processes"].as_array().expect("processes").iter().map(|process| process["state"].as_str().expect("a state")).collect()
}

#[tokio::test]
async fn events_of_a_killed_program_are_imported_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let mut begun = begin(&spool, 7);
    let dropped = Dropped { event_type: "process-started".to_owned(), reason: "memory".to_owned(), root_id: None, count: 9 };
    let sent = numbered(&mut begun, 1, &[event(1, "process-started"), event(2, "process-started")], &[]);
    numbered(&mut begun, 3, &[event(2, "process-ended"), event(3, "process-started")], &[dropped]);
    queue(&begun, &event(3, "process-ended"));
    let worker = begun.folder.worker();
    drop(begun);

    // The first batch was stored, and the program was killed before it received the response.
    let server = TestServer::start().await;
    let of = WorkerRef { id: worker, hostname: "build-7".to_owned(), pid: 1, program: "nightly".to_owned() };
    let body = sent.body(&monitor_spool::Head { worker: &of, sent_us: 1, dropped: &[], lost: false });
    let encoding = monitor_spool::content_encoding(&body);
    let answer = server.post(body).header("content-encoding", encoding).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(server.ask("/api/v1/status").await["events"], 2);
    let data = server.stop().await;

    let path = spool.clone();
    let server = TestServer::on(data, move |config| config.spool_dir = Some(path)).await;
    until(async || folders(&spool) == 0).await;
    let tree = server.ask(&format!("/api/v1/roots/{ROOT}/tree")).await;
    assert_eq!(states(&tree), ["lost", "succeeded", "succeeded"], "its worker is known to be gone");
    assert_eq!(server.ask("/api/v1/workers").await["workers"][0]["state"], "lost");
    let status = server.ask("/api/v1/status").await;
    assert_eq!(status["events"], 5, "each once: {status}");
    assert_eq!(status["dropped"][0]["count"], 9, "{status}");
}

#[tokio::test]
async fn a_program_without_pending_events_is_lost_and_found_again_if_it_reports() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let path = spool.clone();
    let server = TestServer::with(move |config| {
        config.spool_dir = Some(path);
        config.spool_interval = Duration::from_millis(20);
    })
    .await;
    let mut begun = begin(&spool, 11);
    let sent = numbered(&mut begun, 1, &[event(1, "process-started")], &[]);
    let of = WorkerRef { id: begun.folder.worker(), hostname: "build-7".to_owned(), pid: 1, program: "nightly".to_owned() };
    let post = async |lost| {
        let body = sent.body(&monitor_spool::Head { worker: &of, sent_us: 1, dropped: &[], lost });
        let encoding = monitor_spool::content_encoding(&body);
        assert_eq!(server.post(body).header("content-encoding", encoding).send().await.unwrap().status(), 200);
    };
    let state = async || {
        let workers = server.ask("/api/v1/workers").await;
        workers["workers"][0]["state"].as_str().unwrap().to_owned()
    };
    post(false).await;
    assert_eq!(state().await, "online");
    begun.program.acknowledge(1);
    drop(begun);
    until(async || state().await == "lost").await;
    post(false).await;
    assert_eq!(state().await, "online");
    post(true).await;
    assert_eq!(state().await, "lost");
}

#[tokio::test]
async fn the_spool_of_a_running_program_is_not_touched_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let path = spool.clone();
    let server = TestServer::with(move |config| {
        config.spool_dir = Some(path);
        config.spool_interval = Duration::from_millis(20);
    })
    .await;
    let mut living = begin(&spool, 8);
    numbered(&mut living, 1, &[event(1, "process-started")], &[]);
    // The scan is visible because another dead program's folder is removed.
    drop(begin(&spool, 9));
    until(async || folders(&spool) == 1).await;
    assert_eq!(server.ask("/api/v1/status").await["events"], 0);
    drop(living);
    until(async || folders(&spool) == 0).await;
    assert_eq!(server.ask("/api/v1/status").await["events"], 1);
}

#[tokio::test]
async fn only_an_invalid_event_of_a_spool_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let mut begun = begin(&spool, 10);
    let mut bad = event(2, "process-started");
    if let Event::ProcessStarted(bad) = &mut bad {
        bad.time_us = u64::MAX;
    }
    numbered(&mut begun, 1, &[event(1, "process-started"), bad, event(3, "process-started")], &[]);
    drop(begun);
    let path = spool.clone();
    let server = TestServer::with(move |config| config.spool_dir = Some(path)).await;
    until(async || folders(&spool) == 0).await;
    let status = server.ask("/api/v1/status").await;
    assert_eq!(status["events"], 2);
    assert_eq!((&status["dropped"][0]["reason"], &status["dropped"][0]["count"]), (&json!("rejected"), &json!(1)), "{status}");
}

#[tokio::test]
async fn a_spool_of_another_owner_does_not_prevent_the_server_from_serving() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    drop(begin(dir.path(), 11));
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = dir.path().to_owned();
    let server = TestServer::with(move |config| {
        config.spool_dir = Some(path);
        config.spool_interval = Duration::from_millis(1);
    })
    .await;
    for _ in 0..50 {
        assert_eq!(server.ask("/api/v1/status").await["events"], 0);
    }
    assert_eq!(folders(dir.path()), 1, "it is left");
    // The spool was scanned all the time. Once it belongs to the server's user, its records are stored.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    until(async || folders(dir.path()) == 0).await;
}
