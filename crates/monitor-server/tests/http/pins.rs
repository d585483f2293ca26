//! Tests of pinning and deleting, and of the responses about deleted runs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::stream::Reader;
use crate::support::{CHILD, PROCESS, ROOT, TestServer, batch, failed, read, started, tree, until};

async fn request(server: &TestServer, method: &str, path: &str) -> (u16, Value) {
    let token = server.local_token();
    let request = server.client.request(method.parse().unwrap(), format!("http://{}{path}", server.address));
    let response = request.bearer_auth(token).send().await.unwrap();
    if response.status() == 204 { (204, Value::Null) } else { read(response).await }
}

/// Returns a run that has ended.
fn ended() -> Value {
    batch(1, &[started(ROOT, PROCESS, None, "nightly build"), failed(ROOT, PROCESS, "no such table")])
}

#[tokio::test]
async fn a_pinned_tree_is_listed_and_streamed_as_pinned_and_not_deleted() {
    let server = TestServer::start().await;
    server.send(&ended()).await;
    let mut stream = Reader::open(server.get(&format!("/api/v1/stream?root={ROOT}"))).await;
    let (status, root) = request(&server, "POST", "/api/v1/roots/1/pin").await;
    assert_eq!((status, &root["pinned"]), (200, &json!(true)), "{root}");
    let told = stream.next().await;
    assert_eq!((told.event.as_str(), &told.data["root"]["pinned"]), ("root-pinned", &json!(true)));
    assert_eq!(server.ask("/api/v1/roots").await["roots"][0]["pinned"], true);
    let (status, problem) = request(&server, "DELETE", &format!("/api/v1/roots/{ROOT}?running=true")).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("unpin it first"), "{problem}");
    let (status, root) = request(&server, "DELETE", &format!("/api/v1/roots/{ROOT}/pin")).await;
    assert_eq!((status, root.get("pinned")), (200, None), "{root}");
    assert_eq!(stream.next().await.event, "root-unpinned");
}

#[tokio::test]
async fn requests_for_a_deleted_tree_report_the_deletion() {
    let server = TestServer::start().await;
    server.send(&ended()).await;
    let mut stream = Reader::open(server.get("/api/v1/stream?types=roots-dropped")).await;
    assert_eq!(request(&server, "DELETE", "/api/v1/roots/1").await.0, 204);
    let told = stream.next().await;
    assert_eq!((&told.data["event"]["numbers"], &told.data["event"]["reason"]), (&json!([1]), &json!("asked")), "{}", told.data);
    for (method, path) in [
        ("GET", "/api/v1/roots/1/tree".to_owned()),
        ("GET", "/api/v1/roots/1/logs".to_owned()),
        ("GET", format!("/api/v1/roots/1/processes/{PROCESS}")),
        ("GET", format!("/api/v1/roots/1/processes/{PROCESS}/logs")),
        ("GET", "/api/v1/stream?root=1".to_owned()),
        ("GET", "/api/v1/roots/1/export".to_owned()),
        ("POST", "/api/v1/roots/1/pin".to_owned()),
        ("DELETE", "/api/v1/roots/1/pin".to_owned()),
        ("DELETE", "/api/v1/roots/1".to_owned()),
    ] {
        let (status, problem) = request(&server, method, &path).await;
        assert_eq!(status, 410, "{method} {path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("no longer kept"), "{path}: {problem}");
    }
    let plain = server.get("/tasks/1?plain").send().await.unwrap();
    assert_eq!(plain.status(), 410);
    assert!(plain.text().await.unwrap().contains("no longer kept"));
    for path in ["/api/v1/roots/2/tree".to_owned(), format!("/api/v1/roots/{ROOT}/tree")] {
        assert_eq!(request(&server, "GET", &path).await.0, 404, "{path}");
    }
    assert_eq!(server.ask("/api/v1/stats").await["stats"][0]["failed"], 1, "its sums stay");
    assert_eq!(server.ask("/api/v1/stats/errors").await["errors"][0]["root_id"], Value::Null);
    // Its rows are deleted a little later.
    let database = rusqlite::Connection::open(server.data().join("monitor.db")).unwrap();
    let rows = |table: &str| database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
    until(async || rows("process") == 0 && rows("leaving") == 0).await;
    let status = server.ask("/api/v1/status").await;
    assert_eq!((&status["roots"]["failed"], &status["processes"]["failed"]), (&json!(0), &json!(0)), "{status}");
}

/// Sends a request and disconnects after `leave`.
async fn ask_and_leave(server: &TestServer, method: &str, path: &str, leave: impl AsyncFnOnce()) {
    let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (host, token) = (server.address, server.local_token());
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    leave().await;
}

#[tokio::test]
async fn changes_are_audited_even_if_the_client_disconnects() {
    let server = TestServer::start().await;
    let roots: Vec<_> = (1..=10).map(|n| format!("{n:032x}")).collect();
    let events: Vec<_> = roots.iter().flat_map(|root| [started(root, PROCESS, None, "a"), failed(root, PROCESS, "x")]).collect();
    server.send(&batch(1, &events)).await;
    for number in 1..=roots.len() {
        let path = format!("/api/v1/roots/{number}");
        // A client that disconnects too early has not sent its request. Each attempt waits a little longer, so that eventually a client
        // disconnects while the change is being made.
        for pause in (0..).map(|n| Duration::from_micros(200 * n)) {
            ask_and_leave(&server, "DELETE", &path, async || tokio::time::sleep(pause).await).await;
            if request(&server, "GET", &format!("{path}/tree")).await.0 == 410 {
                break;
            }
        }
    }
    // The audit entry is written after the change.
    until(async || {
        let (_, page) = request(&server, "GET", "/api/v1/audit?limit=100").await;
        let deeds = page["entries"].as_array().unwrap();
        deeds.iter().filter(|deed| deed["action"].as_str().unwrap().starts_with("DELETE") && deed["outcome"] == "done").count()
            == roots.len()
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_removed_if_the_client_disconnects() {
    let server = TestServer::start().await;
    // Large enough that copying takes some time.
    let large = |n: u64| {
        let mut event = started(&format!("{n:032x}"), PROCESS, None, "large");
        event["fields"] = json!({"text": "x".repeat(60_000)});
        event
    };
    for part in 0..8 {
        let events: Vec<_> = (part * 50 + 1..=part * 50 + 50).map(large).collect();
        server.send(&batch(part * 50 + 1, &events)).await;
    }
    let left = || -> Vec<String> {
        let names = std::fs::read_dir(server.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("sending") || name.contains("backup")).collect()
    };
    ask_and_leave(&server, "POST", "/api/v1/backup", async || until(async || !left().is_empty()).await).await;
    // The permit is released when the copy is gone.
    until(async || left().is_empty()).await;
    // Only one copy can be made at a time. The text of the error must not be the one for batches.
    let post = || server.client.post(format!("http://{}/api/v1/backup", server.address)).bearer_auth(server.local_token());
    let first = post().send().await.unwrap();
    let (status, problem) = read(post().send().await.unwrap()).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(first.status() == 200 && status == 503 && detail.contains("another copy") && !detail.contains("batch"), "{problem}");
    drop(first);
    until(async || left().is_empty()).await;
    until(async || {
        let request = server.client.post(format!("http://{}/api/v1/backup", server.address)).bearer_auth(server.local_token());
        let response = request.send().await.unwrap();
        response.status() == 200 && response.bytes().await.unwrap().starts_with(b"SQLite format 3\0")
    })
    .await;
    until(async || left().is_empty()).await;
}

#[tokio::test]
async fn a_running_tree_is_deleted_only_with_an_explicit_parameter() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let (status, problem) = request(&server, "DELETE", "/api/v1/roots/1").await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("?running=true"), "{problem}");
    let (status, problem) = request(&server, "DELETE", "/api/v1/roots/1?running=perhaps").await;
    assert_eq!((status, &problem["parameter"]), (400, &json!("running")), "{problem}");
    assert_eq!(request(&server, "DELETE", "/api/v1/roots/1?running=true").await.0, 204);
    // Later events create a new run.
    server.send(&batch(4, &[failed(ROOT, CHILD, "late")])).await;
    let roots = server.ask("/api/v1/roots").await;
    assert_eq!((&roots["roots"][0]["number"], roots["roots"].as_array().unwrap().len()), (&json!(2), 1), "{roots}");
}

#[tokio::test]
async fn retention_rules_delete_trees_while_the_server_runs() {
    let server = TestServer::with(|config| {
        config.retention_age = Some(Duration::ZERO);
        config.retention_failed_age = Some(Duration::ZERO);
        config.retention_size = Some(1 << 40);
    })
    .await;
    let told = server.ask("/api/v1/status").await;
    let rule = |states| json!({"name": "*", "states": states, "age_s": 0});
    assert_eq!(
        (&told["keeps"], &told["keeps_bytes"]),
        (&json!([rule(json!(["failed", "lost"])), rule(json!([]))]), &json!(1_u64 << 40)),
        "{told}"
    );
    let mut stream = Reader::open(server.get("/api/v1/stream?types=roots-dropped")).await;
    // The rules are checked every minute, and after every deletion.
    server.send(&ended()).await;
    let other = ROOT.replace('9', "8");
    server.send(&batch(3, &[started(&other, CHILD, None, "another"), failed(&other, CHILD, "x")])).await;
    assert_eq!(request(&server, "DELETE", "/api/v1/roots/2").await.0, 204);
    let mut told = vec![stream.next().await.data["event"].clone(), stream.next().await.data["event"].clone()];
    told.sort_by_key(|event| event["reason"].as_str().map(str::to_owned));
    assert_eq!((&told[0]["reason"], &told[0]["numbers"]), (&json!("age"), &json!([1])), "{told:?}");
    assert_eq!((&told[1]["reason"], &told[1]["numbers"]), (&json!("asked"), &json!([2])), "{told:?}");
    assert_eq!(request(&server, "GET", "/api/v1/roots/1/tree").await.0, 410);
}
