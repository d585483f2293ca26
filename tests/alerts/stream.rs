//! Reports of the event stream about alerts.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use super::{run, send, start};

#[test]
fn the_stream_sends_the_number_of_firing_alerts_at_once_and_on_changes() {
    let (server, _receiver, _folder) = start("");
    let host = server.url().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /api/v1/stream?alerts=true&types=nothing HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut lines = std::io::BufReader::new(stream).lines().map_while(Result::ok);
    let mut next = || {
        let before = lines.by_ref().take_while(|line| line != "event: alerts").last().expect("something is told before it");
        assert!(!before.starts_with("id:"), "it is no event, and has no id: {before}");
        let told: Value = serde_json::from_str(lines.next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
        (told["firing"].as_u64().unwrap(), told["newest"].as_u64().unwrap(), told["version"].as_u64().unwrap())
    };
    // The stream also reports a sent message.
    let mut told = |firing: u64, newest: u64| loop {
        let (is_firing, is_newest, version) = next();
        if (is_firing, is_newest) == (firing, newest) {
            return version;
        }
    };
    let mut versions = vec![told(0, 0)];
    send(&server, 1, &run("gold", 1, "failed", "no prices"));
    versions.push(told(1, 1));
    send(&server, 2, &run("silver", 2, "failed", "no prices"));
    versions.push(told(2, 2));
    send(&server, 3, &run("silver", 3, "succeeded", ""));
    versions.push(told(1, 1));
    // A change that leaves all counts unchanged still increases the version.
    let changes = [
        ("POST", "/alerts/1/ack", json!({})),
        ("POST", "/alerts/hushes", json!({"scope": "task:gold", "for": "1m"})),
        ("POST", "/heartbeats", json!({"name": "nightly", "every_ms": 60_000})),
    ];
    for (method, path, body) in changes {
        let (status, answer) = server.order(method, path, &body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        versions.push(told(1, 1));
    }
    assert!(versions.is_sorted_by(|before, after| before < after), "{versions:?}");
}
