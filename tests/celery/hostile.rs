//! Messages that no worker sends: the bridge counts them, shows them, and continues.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monitor_tests::{Redis, wait_for};
use redis::Commands as _;
use serde_json::json;

use crate::cluster::{Cluster, Kind};

fn message(body: &[u8], content_type: &str) -> String {
    let properties = json!({"body_encoding": "base64", "delivery_info": {"exchange": "celeryev", "routing_key": "task.multi"}});
    json!({"body": STANDARD.encode(body), "content-type": content_type, "headers": {}, "properties": properties}).to_string()
}

#[test]
fn hostile_messages_are_counted_and_shown_and_the_stream_continues() {
    let redis = Redis::start();
    let cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    let client = redis::Client::open(redis.url()).expect("an address");
    let mut connection = client.get_connection().expect("Redis");
    let mut publish = |text: &str| {
        let readers: u64 = connection.publish("/0.celeryev/task.multi", text).expect("published");
        assert_eq!(readers, 1, "only the bridge reads events");
    };
    let json = |value: &serde_json::Value| message(value.to_string().as_bytes(), "application/json");
    publish("no message");
    publish(&message(b"cposix\nsystem\n(S'touch /tmp/owned'\ntR.", "application/x-python-serialize"));
    publish(&message("[".repeat(50_000).as_bytes(), "application/json"));
    publish(&json(&json!({"type": "task-started", "uuid": "x".repeat(4_096)})));
    publish(&json(&json!({"type": "task-started"})));
    let unreadable = 5;
    // These can be read, in spite of their contents.
    let huge = "x".repeat(10 << 20);
    let failed =
        json!({"type": "task-failed", "uuid": "u1", "hostname": "w\u{0}\n@h", "timestamp": -7, "exception": "a\u{0}b", "traceback": huge});
    let received =
        json!({"type": "task-received", "uuid": "u1", "hostname": "w\u{0}\n@h", "name": "a\"b\n{c=\"d\"}", "root_id": 7, "retries": -1});
    publish(&json(&json!([received, failed])));

    let hostile = wait_for("the hostile task", || cluster.task("u1").filter(|task| task["state"] == "failed"));
    assert!(hostile["task"]["traceback"].as_str().expect("kept").len() < 100_000);
    let id = cluster.call("shop.add", "[1, 2]");
    wait_for("a good task", || cluster.task(&id).filter(|task| task["state"] == "succeeded"));

    let root = || cluster.server.roots().into_iter().find(|root| root["name"] == "celery orders").expect("a run");
    wait_for("their number", || {
        let tree = cluster.server.tree(&root());
        (tree[0]["fields"]["celery.unreadable"] == unreadable).then_some(())
    });
    let logs = cluster.server.get(&format!("/roots/{}/logs", root()["root_id"].as_str().expect("an id"))).to_string();
    for words in ["it is no message of kombu", "never read, because it can run code", "it is no JSON", "has no `uuid`"] {
        assert!(logs.contains(words), "{words}: {logs}");
    }
    assert!(!std::path::Path::new("/tmp/owned").exists());
    let metrics = cluster.server.ask("GET", "/metrics");
    assert_eq!(metrics.0, 200);
}
