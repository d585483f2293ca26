//! The list of all commands and the list of commands for one worker.

use monitor_tests::{Server, wait_for};
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::{ask, now_us, order, statuses};

const HOUR_US: u64 = 3_600 * 1_000_000;

/// Methods and lines of the listed commands.
fn listed(server: &Server, query: &str) -> Vec<(String, Value)> {
    let page = server.get(&format!("/commands?{query}"));
    let commands = page["commands"].as_array().expect("a list");
    let of_one = |command: &Value| {
        let lines = if command["lines"].is_null() { json!([]) } else { command["lines"].clone() };
        (command["method"].as_str().expect("a method").to_owned(), lines)
    };
    commands.iter().map(of_one).collect()
}

fn methods(server: &Server, query: &str) -> Vec<String> {
    listed(server, query).into_iter().map(|(method, _)| method).collect()
}

#[test]
fn the_newest_commands_are_listed_newest_first() {
    let server = Server::start();
    let _worker = Raw::online(&server, 1, "p");
    let ids: Vec<Value> = (0..5).map(|_| ask(&server, &json!({"method": "ping", "timeout_ms": 10}), false, None).1["id"].clone()).collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/commands?limit=2{cursor}"));
        seen.extend(page["commands"].as_array().unwrap().iter().map(|command| command["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(seen.iter().eq(ids.iter().rev()), "{seen:?} {ids:?}");
}

#[test]
fn commands_for_one_worker_are_listed_with_its_line() {
    let mut server = Server::start();
    let (one, other) = (Raw::online(&server, 1, "p"), Raw::online(&server, 2, "q"));
    let (mut channel, mut of_other) = (one.open(), other.open());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&server, &json!({"method": "ping", "timeout_ms": 60_000}), false, None));
        let order = channel.order();
        let found = wait_for("the command in the list", || listed(&server, &format!("worker={}", one.id)).pop());
        assert_eq!(found.1[0]["status"], "waiting", "it is still asked");
        assert_eq!(one.reply(&order, "ok"), 204);
        assert_eq!(other.reply_as(&of_other.order(), &json!({"worker_id": other.id, "status": "refused", "error": "no"})), 204);
        assert_eq!(asking.join().unwrap().0, 200);
    });
    for (method, to) in [("pause", &one.id), ("resume", &other.id)] {
        assert_eq!(ask(&server, &json!({"method": method, "timeout_ms": 10, "to": {"workers": [to]}}), true, None).0, 200);
    }
    for name in ["p@h", "nobody@h"] {
        assert_eq!(ask(&server, &order("deploy", name, 10, now_us() + HOUR_US), true, None).0, 200);
    }
    let of = |server: &Server, worker: &Raw, query: &str| listed(server, &format!("worker={}{query}", worker.id));
    for _ in 0..2 {
        let found = of(&server, &one, "");
        assert_eq!(found.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>(), ["deploy", "pause", "ping"]);
        let lines: Vec<_> = found.iter().flat_map(|(_, lines)| lines.as_array().unwrap()).collect();
        let words: Vec<_> = lines.iter().map(|line| (line["name"].as_str().unwrap(), line["status"].as_str().unwrap())).collect();
        assert_eq!(words, [("p@h", "waiting"), ("p@h", "unanswered"), ("p@h", "ok")]);
        assert_eq!(lines[2]["value"], "ok");
        let found = of(&server, &other, "");
        assert_eq!((found.len(), found[0].0.as_str(), &found[1].1[0]["error"]), (2, "resume", &json!("no")));
        // Questions and changes have different scopes.
        let only = |scope: &str| methods(&server, &format!("worker={}&scope={scope}", one.id));
        assert_eq!((only("read"), only("operate")), (vec!["ping".to_owned()], vec!["deploy".to_owned(), "pause".to_owned()]));
        assert_eq!(methods(&server, "scope=operate"), ["deploy", "deploy", "resume", "pause"]);
        let first = server.get(&format!("/commands?worker={}&limit=2", one.id));
        let next = of(&server, &one, &format!("&limit=2&cursor={}", first["next_cursor"].as_str().unwrap()));
        assert_eq!((first["commands"].as_array().unwrap().len(), next.len(), next[0].0.as_str()), (2, 1, "ping"));
        server.kill();
        server.start_again();
    }
    assert!(listed(&server, "").iter().all(|(_, lines)| *lines == json!([])), "without a worker there are no lines");
    // A worker with this name that comes later sees the waiting order. Once another worker has taken it, the order belongs to that worker.
    let late = Raw::online(&server, 3, "nobody");
    assert_eq!(statuses(&json!({"lines": of(&server, &late, "")[0].1})), [("nobody@h", "waiting")]);
    let order = late.open().order();
    assert_eq!(late.reply(&order, "taken"), 204);
    let later = Raw::online(&server, 4, "nobody");
    assert_eq!((of(&server, &late, "").len(), of(&server, &later, "")), (1, vec![]));
    for (query, expected) in [("worker=1", 400), ("scope=admin", 400), ("worker=000000000000000000000000000000ff", 200)] {
        assert_eq!(server.ask("GET", &format!("/api/v1/commands?{query}")).0, expected, "{query}");
    }
}
