//! Kills with SIGKILL on either side, events in any order, and a hundred thousand processes. All acknowledged data must survive.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monitor_tests::{Server, outline, rounds, run, states, wait_for, worker};
use serde_json::{Value, json};

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("the worker writes");
    line.trim().to_owned()
}

#[test]
fn a_server_killed_in_the_middle_of_ingest_loses_nothing() {
    let mut server = Server::start();
    let mut children: Vec<Child> = (0..2)
        .map(|_| {
            let mut steady = worker(&server, &["steady"]);
            steady.env("MONITOR_EXIT_TIMEOUT", "1m").env("MONITOR_FOLD_AFTER", "off");
            steady.spawn().unwrap()
        })
        .collect();
    let stored = |server: &Server| server.get("/status")["events"].as_u64().unwrap();
    for round in 0..rounds(3) {
        let before = stored(&server);
        wait_for("more events", || (stored(&server) > before + 200 + u64::from(round) * 37).then_some(()));
        // The data that is acknowledged now must exist after the kill.
        let acknowledged = stored(&server);
        server.kill();
        server.start_again();
        assert!(stored(&server) >= acknowledged, "round {round}");
    }
    let mut expected = Vec::new();
    for child in &mut children {
        drop(child.stdin.take());
        let mut count = String::new();
        child.stdout.take().unwrap().read_to_string(&mut count).unwrap();
        assert!(child.wait().unwrap().success());
        expected.push(count.trim().parse::<usize>().unwrap());
    }
    expected.sort_unstable();
    let roots = server.roots();
    let mut found = Vec::new();
    for root in &roots {
        let processes = server.tree(root);
        let leaves = &processes[1..];
        assert!(leaves.iter().all(|leaf| leaf["parent_id"] == processes[0]["id"] && leaf["orphan"] == false), "no process is half there");
        let failed = leaves.len() / 1_000;
        assert_eq!(states(leaves).get("failed").copied().unwrap_or_default(), failed);
        assert_eq!(states(leaves).get("succeeded").copied().unwrap_or_default(), leaves.len() - failed);
        found.push(leaves.len());
    }
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_killed_client_loses_its_own_processes_and_no_others() {
    let server = Server::start();
    let [mut victim, mut other] = [(); 2].map(|()| {
        let mut hang = worker(&server, &["hang"]);
        hang.env("MONITOR_HEARTBEAT", "300ms");
        hang.spawn().unwrap()
    });
    let [lost, alive] = [first_line(&mut victim), first_line(&mut other)];
    wait_for("both trees", || {
        server.roots().iter().all(|root| root["counts"]["running"] == 2).then_some(()).filter(|()| server.roots().len() == 2)
    });
    victim.kill().unwrap();
    victim.wait().unwrap();
    let root = wait_for("the tree to be lost", || {
        server.roots().into_iter().find(|root| root["root_id"] == lost.as_str() && root["state"] == "lost")
    });
    assert_eq!(root["counts"]["lost"], 2);
    assert_eq!(outline(&server.tree(&root)), "hang [lost]\n  waits [lost]\n");
    let root = server.get(&format!("/roots/{alive}/tree"))["root"].clone();
    assert_eq!((&root["state"], &root["counts"]["running"]), (&json!("running"), &json!(2)));
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    let workers = server.get("/workers")["workers"].clone();
    let mut found: Vec<&str> = workers.as_array().unwrap().iter().map(|worker| worker["state"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ["lost", "offline"]);
}

#[test]
fn a_silent_worker_is_online_again_after_its_next_report() {
    let mut server = Server::start();
    let mut hang = worker(&server, &["hang"]);
    hang.env("MONITOR_HEARTBEAT", "200ms");
    let mut child = hang.spawn().unwrap();
    let id = first_line(&mut child);
    let state = |server: &Server| server.roots().iter().find(|root| root["root_id"] == id.as_str()).map(|root| root["state"].clone());
    wait_for("the tree", || state(&server).filter(|state| state == "running"));
    let signal = |name: &str| assert!(std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    signal("-STOP");
    wait_for("the stopped worker to be lost", || state(&server).filter(|state| state == "lost"));
    // The loss of the worker was stored as an event, so it remains after a restart.
    server.kill();
    server.start_again();
    assert_eq!(state(&server).unwrap(), "lost");
    signal("-CONT");
    wait_for("the worker to be found", || state(&server).filter(|state| state == "running"));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(outline(&server.tree(&server.finished_root())), "hang\n  waits\n");
}

#[test]
fn a_hundred_thousand_processes_in_one_tree_are_recorded_completely() {
    let server = Server::start();
    let count = 100_000 * u64::from(rounds(1).min(10));
    let mut many = worker(&server, &["many", &count.to_string()]);
    many.env("MONITOR_EXIT_TIMEOUT", "10m").env("MONITOR_BUFFER_BYTES", "1000000000");
    assert_eq!(run(many).code, Some(0));
    let root = server.finished_root();
    let processes = server.tree(&root);
    let (failed, parents) = (count as usize / 1_000, count as usize / 100);
    let expected = [("failed".to_owned(), failed), ("succeeded".to_owned(), count as usize - failed + parents + 1)];
    assert_eq!(states(&processes), expected.into());
    assert_eq!(root["counts"]["succeeded"], count - failed as u64 + parents as u64 + 1);
    // Handled failures are counted, but the root has no error.
    assert_eq!((&root["error"], &root["counts"]["failed"]), (&Value::Null, &json!(failed)));
    assert_eq!(server.get("/status")["dropped"], json!([]));
}

const ROOT: &str = "ffffffffffffffffffffffffffffffff";

fn batch(sequence: u64, events: &[Value]) -> Value {
    let worker = json!({"id": "80000000000000000000000000000001", "hostname": "<b>host</b>", "pid": 1, "program": "a\u{0}b"});
    json!({"version": 1, "worker": worker, "sequence": sequence, "sent_us": 1, "events": events})
}

fn started(id: &str, parent: Option<&str>, name: &str, time_us: u64) -> Value {
    json!({"type": "process-started", "root_id": ROOT, "id": id, "parent_id": parent, "kind": "normal", "name": name, "time_us": time_us})
}

fn ended(id: &str, time_us: u64, message: Option<&str>) -> Value {
    let (outcome, error) = match message {
        Some(message) => ("failed", json!({"kind": "error", "message": message})),
        None => ("succeeded", Value::Null),
    };
    json!({"type": "process-ended", "root_id": ROOT, "id": id, "time_us": time_us, "elapsed_ns": 5, "outcome": outcome, "error": error})
}

#[test]
fn strange_events_are_data() {
    const NAME: &str = "<script>alert(\"'\")</script>\u{0}\u{1b}[31m'; DROP TABLE process; --\u{202e}导入";
    let server = Server::start();
    // An end before its start, the same batch twice, and the same events again with other batch limits.
    let events = [
        ended("ffffffffffffffff", 9, Some(NAME)),
        started("8000000000000000", None, NAME, 1),
        started("ffffffffffffffff", Some("8000000000000000"), NAME, 2),
    ];
    assert_eq!(server.post(&batch(1, &events[..1])), (200, json!({"accepted": 1})));
    for _ in 0..2 {
        assert_eq!(server.post(&batch(2, &events[1..])), (200, json!({"accepted": 3})));
    }
    assert_eq!(server.post(&batch(1, &events)), (200, json!({"accepted": 3})));
    assert_eq!(server.post(&batch(4, &[ended("8000000000000000", 10, None)])), (200, json!({"accepted": 4})));

    let root = server.finished_root();
    assert_eq!((&root["root_id"], &root["name"], &root["counts"]["failed"]), (&json!(ROOT), &json!(NAME), &json!(1)));
    assert_eq!(root["title"], format!("{NAME} <{}>", root["number"]));
    let processes = server.tree(&root);
    assert_eq!(outline(&processes), format!("{NAME}\n  {NAME} [failed]: {NAME}\n"));
    assert_eq!(processes[1]["id"], "ffffffffffffffff");
    assert_eq!(server.get("/status")["events"], 4);
    let worker = &server.get("/workers")["workers"][0];
    assert_eq!((&worker["hostname"], &worker["program"]), (&json!("<b>host</b>"), &json!("a\u{0}b")));
}

#[test]
fn circular_parents_are_ignored_and_counted() {
    let server = Server::start();
    let [a, b, c] = ["000000000000000a", "000000000000000b", "000000000000000c"];
    let events = [started(a, Some(b), "a", 1), started(b, Some(a), "b", 2), started(c, Some(c), "c", 3)];
    assert_eq!(server.post(&batch(1, &events)).0, 200);
    let page = server.get(&format!("/roots/{ROOT}/tree"));
    assert_eq!(page["ignored_parents"], 2);
    assert_eq!(page["processes"].as_array().unwrap().len(), 3);
}

#[test]
fn an_invalid_event_is_named_and_its_whole_batch_is_refused() {
    let server = Server::start();
    let mut bad = ended("8000000000000000", 10, None);
    bad["time_us"] = json!("yesterday");
    let (status, problem) = server.post(&batch(7, &[started("8000000000000000", None, "a", 1), bad]));
    assert_eq!((status, &problem["event_number"]), (400, &json!(8)), "{problem}");
    assert_eq!(server.roots().len(), 0);
}

/// Number and content of each event of the stream, up to the number in `goal`. Reconnects after interruptions and continues after the last
/// event.
fn told(url: &str, goal: &AtomicU64) -> Vec<(u64, Value)> {
    let http = reqwest::blocking::Client::builder().no_proxy().timeout(None).build().unwrap();
    let (mut told, mut last, mut event) = (Vec::new(), 0, String::new());
    while last < goal.load(Ordering::Acquire) {
        let Ok(response) = http.get(format!("{url}/api/v1/stream?after={last}")).send() else {
            // A pause between two attempts.
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        let (mut id, mut is_told) = (last, true);
        for line in BufReader::new(response).lines().map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("id: ") {
                id = number.parse().unwrap();
                is_told = false;
            } else if let Some(name) = line.strip_prefix("event: ") {
                name.clone_into(&mut event);
            } else if let Some(data) = line.strip_prefix("data: ") {
                assert_ne!(event, "reset", "after {last}");
                assert_eq!(id, last + 1, "without a gap or a repeat");
                let mut data: Value = serde_json::from_str(data).unwrap();
                told.push((id, data["event"].take()));
                (last, is_told) = (id, true);
            } else if line.is_empty() {
                assert!(is_told || id == last, "a number is only told with its event, where all are wanted");
                if last >= goal.load(Ordering::Acquire) {
                    break;
                }
            }
        }
    }
    told
}

#[test]
fn the_stream_sends_each_event_once_over_server_kills_and_on_replay() {
    // The buffer is so small that a reader needs the log even while the server runs.
    let mut server = Server::start_with(vec![("MONITOR_STREAM_BUFFER_BYTES", "20000".into()), ("MONITOR_STREAM_HEARTBEAT", "50ms".into())]);
    let (url, goal) = (server.url().to_owned(), Arc::new(AtomicU64::new(u64::MAX)));
    let reader = {
        let (url, goal) = (url.clone(), goal.clone());
        std::thread::spawn(move || told(&url, &goal))
    };
    let mut steady = worker(&server, &["steady"]);
    steady.env("MONITOR_EXIT_TIMEOUT", "1m").env("MONITOR_FOLD_AFTER", "off");
    let mut steady = steady.spawn().unwrap();
    let as_of = |server: &Server| server.get("/status")["as_of"].as_u64().unwrap();
    for round in 0..rounds(4) {
        let before = as_of(&server);
        wait_for("more events", || (as_of(&server) > before + 100 + u64::from(round) * 37).then_some(()));
        let acknowledged = as_of(&server);
        server.kill();
        server.start_again();
        let status = server.get("/status");
        assert!(status["as_of"].as_u64().unwrap() >= acknowledged && status["stream_log_from"] == 1, "{status}");
    }
    drop(steady.stdin.take());
    assert!(steady.wait().unwrap().success());
    server.stop();
    server.start_again();
    goal.store(as_of(&server), Ordering::Release);
    let first = reader.join().unwrap();
    assert!(first.len() as u64 >= goal.load(Ordering::Acquire));
    let again = told(&url, &goal);
    assert!(again.len() <= first.len() && again[..] == first[..again.len()], "told again as it was told");
    let check = monitor_tests::command("monitor").args(["check", "--data"]).arg(server.data()).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}
