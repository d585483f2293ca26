use serde_json::{Value, json};

use crate::stream::Reader;
use crate::support::{CHILD, PROCESS, ROOT, TestServer, WORKER, batch, read, started};

fn said(id: &str, time_us: u64, level: &str, message: &str) -> Value {
    json!({"type": "process-logged", "root_id": ROOT, "id": id, "time_us": time_us, "level": level, "message": message})
}

fn messages(page: &Value) -> Vec<&str> {
    page["logs"].as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap()).collect()
}

async fn server() -> TestServer {
    let server = TestServer::start().await;
    let mut rich = said(CHILD, 30, "warn", "ÄRGER mit <b>Tabellen</b>");
    rich["target"] = json!("app::db");
    rich["stream"] = json!("stderr");
    rich["fields"] = json!({"table": "orders", "rows": 17});
    let relayed = json!({"id": "000000000000000000000000000000aa", "hostname": "far", "pid": 1, "program": "agent"});
    let mut foreign = said(PROCESS, 40, "fatal", "disk full");
    foreign["worker"] = relayed;
    let events = [
        started(ROOT, PROCESS, None, "nightly build"),
        started(ROOT, CHILD, Some(PROCESS), "compile"),
        said(PROCESS, 10, "info", "begin"),
        said(CHILD, 20, "debug", "details"),
        rich,
        foreign,
        said(CHILD, 50, "error", "gave up"),
    ];
    server.send(&batch(1, &events)).await;
    server
}

#[tokio::test]
async fn logs_of_processes_can_be_read() {
    let server = server().await;
    let page = server.ask("/api/v1/roots/1/logs").await;
    assert_eq!(messages(&page), ["begin", "details", "ÄRGER mit <b>Tabellen</b>", "disk full", "gave up"]);
    assert_eq!((&page["missing"], &page["next_cursor"]), (&json!(0), &Value::Null));
    assert!(page["as_of"].as_u64().unwrap() >= 7);
    assert_eq!(
        page["logs"][2],
        json!({"process_id": CHILD, "time_us": 30, "level": "warn", "message": "ÄRGER mit <b>Tabellen</b>", "target": "app::db",
               "stream": "stderr", "fields": {"table": "orders", "rows": 17}, "worker_id": WORKER, "number": 5})
    );
    assert_eq!(page["logs"][3]["worker_id"], "000000000000000000000000000000aa");
    let page = server.ask(&format!("/api/v1/roots/{ROOT}/processes/{CHILD}/logs?order=newest&limit=2")).await;
    assert_eq!(messages(&page), ["gave up", "ÄRGER mit <b>Tabellen</b>"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = server.ask(&format!("/api/v1/roots/{ROOT}/processes/{CHILD}/logs?order=newest&limit=2&cursor={cursor}")).await;
    assert_eq!((messages(&page), &page["next_cursor"]), (vec!["details"], &Value::Null));
}

#[tokio::test]
async fn lines_are_found_by_level_and_text() {
    let server = server().await;
    for (query, expected) in [
        ("level=error", &["disk full", "gave up"][..]),
        ("level=warn", &["ÄRGER mit <b>Tabellen</b>", "disk full", "gave up"]),
        ("level=info", &["begin", "ÄRGER mit <b>Tabellen</b>", "disk full", "gave up"]),
        ("level=trace&q=e&limit=2", &["begin", "details"]),
        ("q=%C3%A4rger", &["ÄRGER mit <b>Tabellen</b>"]),
        ("q=ORDERS", &["ÄRGER mit <b>Tabellen</b>"]),
        ("q=17", &["ÄRGER mit <b>Tabellen</b>"]),
        ("q=app::db", &["ÄRGER mit <b>Tabellen</b>"]),
        ("q=nowhere", &[]),
        ("q=%25", &[]),
    ] {
        let page = server.ask(&format!("/api/v1/roots/1/logs?{query}")).await;
        assert_eq!(messages(&page), expected, "{query}");
    }
}

#[tokio::test]
async fn invalid_requests_for_logs_are_refused_with_a_reason() {
    let server = server().await;
    for (path, status, words) in [
        ("/api/v1/roots/2/logs", 404, "no run 2"),
        ("/api/v1/roots/1/processes/00000000000000ff/logs", 404, "no process 00000000000000ff"),
        ("/api/v1/roots/1/processes/xyz/logs", 400, "`id` in the path"),
        ("/api/v1/roots/1/logs?level=loud", 400, "`level`: \"loud\""),
        ("/api/v1/roots/1/logs?order=up", 400, "`oldest` first"),
        ("/api/v1/roots/1/logs?limit=10001", 400, "1 to 10000"),
        ("/api/v1/roots/1/logs?cursor=1.2.3", 400, "no cursor of this list"),
        ("/api/v1/roots/1/logs?cursor=1.2.3.99999999999999999999", 400, "no cursor of this list"),
    ] {
        let (found, body) = read(server.get(path).send().await.unwrap()).await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(words), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_process_without_output_has_an_empty_log() {
    let server = TestServer::start().await;
    server.send(&batch(1, &[started(ROOT, PROCESS, None, "silent")])).await;
    assert_eq!(messages(&server.ask(&format!("/api/v1/roots/1/processes/{PROCESS}/logs")).await), [""; 0]);
}

#[tokio::test]
async fn log_lines_are_streamed_and_repeated_batches_are_streamed_once() {
    let server = TestServer::start().await;
    let mut reader = Reader::open(server.get("/api/v1/stream?types=process-logged")).await;
    let first = batch(1, &[started(ROOT, PROCESS, None, "nightly build"), said(PROCESS, 10, "info", "one")]);
    server.send(&first).await;
    server.send(&first).await;
    server.send(&batch(3, &[said(PROCESS, 20, "info", "two")])).await;
    let (one, two) = (reader.next().await, reader.next().await);
    assert_eq!((&one.data["log"]["message"], &one.data["log"]["number"]), (&json!("one"), &json!(2)));
    assert_eq!((&two.data["log"]["message"], &two.data["process"]["id"]), (&json!("two"), &json!(PROCESS)));
    assert_eq!(messages(&server.ask("/api/v1/roots/1/logs").await), ["one", "two"]);
}

#[tokio::test]
async fn a_log_is_bounded_and_counts_missing_lines() {
    let server = TestServer::with(|config| config.logs_kept = 2).await;
    let mut events = vec![started(ROOT, PROCESS, None, "talkative")];
    events.extend((1..=10).map(|n| said(PROCESS, n, "info", &n.to_string())));
    server.send(&batch(1, &events)).await;
    let page = server.ask(&format!("/api/v1/roots/1/processes/{PROCESS}/logs")).await;
    assert_eq!(messages(&page), ["1", "2", "9", "10"]);
    assert_eq!((&page["missing"], &page["gap"]), (&json!(6), &json!({"after_us": 2, "before_us": 9})));
}
