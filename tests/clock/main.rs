//! The real server with steered clocks.
#![cfg(target_os = "linux")]

use std::time::Duration;

use monitor_tests::{Server, SteeredClock, wait_for};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(86_400);

/// A batch of a new worker: a finished tree with a single process.
fn tree(number: u64) -> Value {
    let (root, began) = (format!("{number:032x}"), 1_763_600_000_000_000 + number);
    let started =
        json!({"type": "process-started", "root_id": root, "id": "0000000000000001", "kind": "root", "name": "step", "time_us": began});
    let ended = json!({"type": "process-ended", "root_id": root, "id": "0000000000000001", "time_us": began + 5, "elapsed_ns": 5, "outcome": "succeeded"});
    let worker = json!({"id": root, "hostname": "h", "pid": 1, "program": "p"});
    json!({"version": 1, "worker": worker, "sequence": 1, "sent_us": 0, "events": [started, ended]})
}

/// Starts a server with this clock and retention time.
fn start(clock: &SteeredClock, age: &str) -> Server {
    let mut env = clock.env();
    env.push(("MONITOR_RETENTION_AGE", age.into()));
    // The timeouts of connections use the same clock. They are long enough that a jump of the clock closes no connection.
    for name in ["MONITOR_HEADER_TIMEOUT", "MONITOR_IDLE_TIMEOUT", "MONITOR_STALL_TIMEOUT"] {
        env.push((name, "365d".into()));
    }
    Server::start_with(env)
}

/// State of a duty of the server.
fn duty(server: &Server, name: &str) -> Value {
    let status = server.get("/status");
    let duties = status["duties"].as_array().expect("a list").clone();
    duties.into_iter().find(|duty| duty["name"] == name).expect("the server has this duty")
}

#[test]
fn a_clock_that_jumps_ahead_deletes_nothing_until_it_is_confirmed() {
    let clock = SteeredClock::new();
    let mut server = start(&clock, "30d");
    assert_eq!(server.post(&tree(1)).0, 200);
    assert_eq!(server.get("/status")["clock_jump"], Value::Null);
    clock.set_ahead(1_000 * DAY);
    assert_eq!(server.post(&tree(2)).0, 200);
    // A start looks for due work. So does a deletion, and the server finishes the due work before it answers the next deletion.
    let look = |server: &Server, number: u64| {
        assert_eq!(server.post(&tree(100 + number)).0, 200);
        let newest = server.roots()[0]["number"].clone();
        assert_eq!(server.ask("DELETE", &format!("/api/v1/roots/{newest}")).0, 204);
        wait_for("its rows to go", || rows_of(server, &newest).eq(&0).then_some(()));
    };
    look(&server, 0);
    assert_eq!(server.roots().len(), 2);
    let jump = server.get("/status")["clock_jump"].clone();
    assert_eq!(jump["ahead_s"].as_u64().unwrap() / DAY.as_secs(), 1_000, "{jump}");
    server.kill();
    server.start_again();
    look(&server, 1);
    assert_eq!(server.roots().len(), 2, "a restart forgets nothing");
    assert!(server.log().contains("1000 days ahead") && server.log().contains("monitor clock confirm"), "{}", server.log());

    let (status, answer) = server.ask("POST", "/api/v1/clock/confirm");
    assert!(status == 200 && answer.contains("ahead_s"), "{answer}");
    wait_for("the old tree to go", || (server.roots().len() == 1).then_some(()));
    assert_eq!(server.get("/status")["clock_jump"], Value::Null);
    let audit = server.ask("GET", "/api/v1/audit").1;
    assert!(audit.contains("POST /api/v1/clock/confirm"), "{audit}");
}

/// Number of database rows of a tree's processes.
fn rows_of(server: &Server, number: &Value) -> u64 {
    let connection = rusqlite::Connection::open(server.data().join("monitor.db")).unwrap();
    let sql = "SELECT count(*) FROM process WHERE root = ?1";
    connection.query_row(sql, [number.as_u64().unwrap() as i64], |row| row.get::<_, i64>(0)).unwrap() as u64
}

#[test]
fn a_tree_is_deleted_when_its_retention_age_has_passed() {
    let clock = SteeredClock::new();
    let server = start(&clock, "30d");
    let before = wait_for("the first look", || duty(&server, "retention")["last_us"].as_u64());
    assert_eq!(server.post(&tree(1)).0, 200);
    clock.pass(29 * DAY);
    let looked = |after: u64| duty(&server, "retention")["last_us"].as_u64().filter(|last| *last > after);
    let later = wait_for("the next look, a minute later", || looked(before));
    assert!(later - before > 28 * DAY.as_micros() as u64, "the time of day went on as well");
    assert_eq!(server.roots().len(), 1, "it is not a month old");
    clock.pass(31 * DAY);
    wait_for("the tree to go", || server.roots().is_empty().then_some(()));
    assert_eq!(server.get("/status")["clock_jump"], Value::Null, "all clocks agree: nothing jumped");
    assert_eq!(duty(&server, "retention")["error"], Value::Null);
}

#[test]
fn a_server_whose_clocks_run_fast_does_in_seconds_what_takes_hours() {
    let clock = SteeredClock::new();
    let server = start(&clock, "1h");
    assert_eq!(server.post(&tree(1)).0, 200);
    let before = wait_for("the first look", || duty(&server, "overdue")["last_us"].as_u64());
    clock.run_fast(300);
    wait_for("the tree to go", || server.roots().is_empty().then_some(()));
    let after = duty(&server, "overdue")["last_us"].as_u64().expect("it goes on");
    assert!(after - before > 3_500_000_000, "an hour went by: {} us", after - before);
    assert_eq!(server.get("/status")["clock_jump"], Value::Null);
}
