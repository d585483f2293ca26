//! Invalid and hostile channels and replies.

use monitor_tests::{Server, wait_for};
use serde_json::json;

use crate::raw::Raw;
use crate::{ask, metric, statuses};

fn replies(server: &Server, kind: &str) -> u64 {
    metric(server, &format!("monitor_command_replies_total{{kind=\"{kind}\"}}"))
}

#[test]
fn a_channel_belongs_to_its_first_opener_also_after_a_server_kill() {
    let mut server = Server::start();
    let worker = Raw::online(&server, 1, "p");
    let (other, short) = ("x".repeat(32), "x".repeat(31));
    let channel = worker.open();
    for (key, expected) in [(other.as_str(), 409), (&short, 400), ("", 400), (&"ü".repeat(40), 400)] {
        assert_eq!(worker.open_with(key).0, expected, "{key}");
    }
    // The same worker may open a second channel, because its first connection may be dead without the server knowing.
    let again = worker.open();
    drop((channel, again));
    server.kill();
    server.start_again();
    assert_eq!(worker.open_with(&other).0, 409);
    let _channel = worker.open();
    let mut stranger = Raw::online(&server, 2, "p");
    stranger.id = format!("{:032x}", 99);
    assert_eq!(stranger.open_with(&stranger.key).0, 404, "a worker that nobody knows");
}

#[test]
fn late_double_and_garbage_replies_are_counted_and_change_nothing() {
    let server = Server::start();
    let (worker, other) = (Raw::online(&server, 1, "p"), Raw::online(&server, 2, "q"));
    let (mut channel, mute) = (worker.open(), other.open());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&server, &json!({"method": "ping", "timeout_ms": 60_000}), false, None));
        let order = channel.order();
        for (words, expected) in [
            (json!({"worker_id": worker.id, "status": "perhaps"}), 400),
            (json!({"worker_id": worker.id}), 400),
            (json!({"worker_id": worker.id, "status": "taken"}), 400),
            (json!({"worker_id": other.id, "status": "ok"}), 403),
            (json!([1]), 400),
            (json!({"worker_id": worker.id, "status": "ok", "value": "x".repeat(2 << 20)}), 413),
        ] {
            assert_eq!(worker.reply_as(&order, &words), expected);
        }
        assert_eq!(worker.reply_as(&json!({"id": "00000000000000aa"}), &json!({"worker_id": worker.id, "status": "ok"})), 404);
        assert_eq!(replies(&server, "garbage"), 7);
        assert_eq!((worker.reply(&order, "ok"), worker.reply(&order, "error")), (204, 409));
        other.offline(&server);
        drop(mute);
        let (status, answer) = asking.join().unwrap();
        assert_eq!((status, statuses(&answer)), (200, vec![("p@h", "ok"), ("q@h", "gone")]));
        assert_eq!(worker.reply(&order, "ok"), 410);
        assert_eq!(["taken", "double", "late"].map(|kind| replies(&server, kind)), [1, 1, 1]);
    });
}

#[test]
fn unresponsive_workers_are_listed_with_the_time_of_their_last_report() {
    let server = Server::start();
    let worker = Raw::online(&server, 1, "p");
    let mut channel = worker.open();
    let (_, answer) = ask(&server, &json!({"method": "ping", "timeout_ms": 50}), false, None);
    assert_eq!(statuses(&answer), [("p@h", "unanswered")]);
    assert!(answer["lines"][0]["last_seen_us"].as_u64().unwrap() > 1_000_000, "{answer}");
    assert_eq!(worker.reply(&channel.order(), "ok"), 410, "it comes too late");
    let id = answer["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/commands/{id}")), answer);
}

#[test]
fn invalid_requests_are_refused_with_the_name_of_the_wrong_field() {
    let server = Server::start();
    let _worker = Raw::online(&server, 1, "p");
    for (request, expected, words) in [
        (json!({}), 400, "method"),
        (json!({"method": ""}), 400, "method"),
        (json!({"method": "a b"}), 400, "method"),
        (json!({"method": "ping", "timeout_ms": 0}), 400, "timeout_ms"),
        (json!({"method": "ping", "timeout_ms": -1}), 400, "timeout_ms"),
        (json!({"method": "ping", "until_us": 1}), 400, "until_us"),
        (json!({"method": "ping", "arguments": []}), 400, "arguments"),
        (json!({"method": "ping", "to": {"worker": "p@h"}}), 400, "worker"),
        (json!({"method": "ping", "to": {"workers": ["pp@h"]}}), 404, "did you mean"),
        (json!({"method": "ping", "to": {"glob": "["}}), 400, "to.glob"),
        (json!({"method": "ping", "arguments": {"a": "x".repeat(100_000)}}), 400, "arguments"),
        (json!({"method": "ping", "arguments": {"a": "x".repeat(600_000)}}), 413, "larger"),
    ] {
        let (status, problem) = ask(&server, &request, true, None);
        assert_eq!(status, expected, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{words}: {problem}");
    }
    assert_eq!(ask(&server, &json!({"method": "ping"}), true, Some(&"k".repeat(300))).0, 400);
    assert_eq!(server.ask("GET", "/api/v1/commands/00000000000000aa").0, 404);
    assert_eq!(server.ask("GET", "/api/v1/commands?cursor=x").0, 400);
}

#[test]
fn a_repeated_request_with_the_same_key_is_one_command() {
    let mut server = Server::start();
    let worker = Raw::online(&server, 1, "p");
    let mut channel = worker.open();
    let ping = json!({"method": "ping", "timeout_ms": 60_000});
    let first = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(&server, &ping, false, Some("once")).1)).collect();
        let order = channel.order();
        assert_eq!(worker.reply(&order, "ok"), 204);
        let answers: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]) && statuses(&answers[0]) == [("p@h", "ok")], "{answers:?}");
        answers[0].clone()
    });
    server.kill();
    server.start_again();
    assert_eq!(ask(&server, &ping, false, Some("once")).1, first, "it is still the same one");
    let (status, problem) = ask(&server, &json!({"method": "stats"}), false, Some("once"));
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains(first["id"].as_str().unwrap()), "{problem}");
    assert_eq!(server.get("/commands")["commands"].as_array().unwrap().len(), 1);
    let theirs = ask(&server, &json!({"method": "stats", "timeout_ms": 10}), true, Some("once"));
    assert_eq!(theirs.0, 200, "a key is whose it is");
}

#[test]
fn commands_pending_at_a_server_kill_become_unanswered() {
    let mut server = Server::start();
    let worker = Raw::online(&server, 1, "p");
    let mut channel = worker.open();
    let url = format!("{}/api/v1/commands", server.url());
    let asking = std::thread::spawn(move || {
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(None).build().unwrap();
        client.post(url).json(&json!({"method": "ping", "timeout_ms": 60_000})).send().is_err()
    });
    let order = channel.order();
    server.kill();
    assert!(asking.join().unwrap());
    server.start_again();
    let command = server.get(&format!("/commands/{}", order["id"].as_str().unwrap()));
    assert_eq!((command["done"].as_bool(), statuses(&command)), (Some(true), vec![("p@h", "unanswered")]), "{command}");
    assert_eq!(worker.reply(&order, "ok"), 410);
    wait_for("the worker to be asked anew", || {
        let mut channel = worker.open_with(&worker.key).1?;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&server, &json!({"method": "ping", "timeout_ms": 60_000}), false, None).1);
            assert_eq!(worker.reply(&channel.order(), "ok"), 204);
            (statuses(&asking.join().unwrap()) == [("p@h", "ok")]).then_some(())
        })
    });
}

#[test]
fn a_worker_without_heartbeats_is_asked_by_its_open_channel() {
    let server = Server::start();
    let nobody = ask(&server, &json!({"method": "ping"}), true, None);
    assert_eq!((nobody.0, &nobody.1["lines"], &nobody.1["done"]), (200, &json!([]), &json!(true)), "{nobody:?}");

    let quiet = Raw::online_with(&server, 1, "quiet", 0);
    let mut channel = quiet.open();
    for to in [json!({}), json!({"workers": ["quiet@h"]}), json!({"workers": [quiet.id]}), json!({"glob": "quiet@*"})] {
        let (_, tried) = ask(&server, &json!({"method": "ping", "to": to, "dry_run": true}), true, None);
        assert_eq!(statuses(&tried), [("quiet@h", "waiting")], "{to}: {tried}");
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&server, &json!({"method": "ping", "to": to, "timeout_ms": 20_000}), true, None));
            let order = channel.order();
            assert_eq!(quiet.reply(&order, "ok"), 204);
            let (status, command) = asking.join().unwrap();
            assert_eq!((status, statuses(&command)), (200, vec![("quiet@h", "ok")]), "{command}");
        });
    }
    let (_, command) = ask(&server, &json!({"method": "ping", "timeout_ms": 100}), true, None);
    assert_eq!(statuses(&command), [("quiet@h", "unanswered")], "{command}");

    // The worker has ended, so a command to all workers has no line for it.
    quiet.offline(&server);
    let (_, command) = ask(&server, &json!({"method": "ping"}), true, None);
    assert_eq!(command["lines"], json!([]), "{command}");
}
