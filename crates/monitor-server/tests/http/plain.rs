//! Tests of the page without scripts.

use serde_json::{Value, json};

use crate::support::{CHILD, PROCESS, ROOT, TestServer, batch, started};

async fn html(server: &TestServer, path: &str, language: &str) -> (u16, String) {
    let answer = server.get(path).header("accept-language", language).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8", "{path}");
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn failed(id: &str, time_us: u64, error: &Value) -> Value {
    json!({"type": "process-ended", "root_id": ROOT, "id": id, "time_us": time_us, "elapsed_ns": 41_200_000_000_u64, "outcome": "failed", "error": error})
}

async fn server() -> TestServer {
    let server = TestServer::start().await;
    let cause = json!({"kind": "error", "message": "import failed", "chain": ["query failed", "no such table: <orders>"], "source": {"file": "src/db.rs", "line": 88}});
    let mut own = started(ROOT, PROCESS, None, "\"quoted\" <script>alert(1)</script>");
    own["batch"] = json!("b&1");
    let events = [
        own,
        started(ROOT, CHILD, Some(PROCESS), "载入\u{202e}一行"),
        failed(CHILD, 1_763_600_001_000_000, &cause),
        failed(PROCESS, 1_763_600_002_000_000, &json!({"kind": "error", "message": "1 row failed"})),
    ];
    server.send(&batch(1, &events)).await;
    server
}

#[tokio::test]
async fn the_list_shows_failed_runs_with_their_errors() {
    let server = server().await;
    let (status, page) = html(&server, "/tasks?plain", "en").await;
    assert_eq!(status, 200);
    for part in [
        "<html lang=en>",
        "✕ failed",
        "&quot;quoted&quot; &lt;script&gt;alert(1)&lt;/script&gt; &lt;b&amp;1:1&gt;",
        "href=\"/tasks/1?plain\"",
        "41.2 s",
        "2025-11-20 00:53:20 UTC",
        "2 ✕ failed",
        "1 row failed",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("<script"), "{page}");
    let (_, page) = html(&server, "/tasks/?plain&state=running&by=name", "zh-CN").await;
    assert!(page.contains("<html lang=zh-Hans>") && page.contains("没有匹配的运行。"), "{page}");
    let (_, page) = html(&server, "/tasks?q=SCRIPT&plain=1", "").await;
    assert!(page.contains("/tasks/1?plain"), "{page}");
}

#[tokio::test]
async fn a_tree_shows_the_failing_path_and_the_error_with_its_causes() {
    let server = server().await;
    for path in ["/tasks/1?plain".to_owned(), format!("/tasks/{ROOT}?plain&tab=timeline&process={CHILD}")] {
        let (status, page) = html(&server, &path, "en").await;
        assert_eq!(status, 200);
        let path = "&lt;/script&gt; › 载入‹U+202E›一行</p><pre><b>import failed</b>\ncaused by: query failed\ncaused by: no such table: &lt;orders&gt;\nsrc/db.rs:88</pre>";
        assert!(page.contains(path), "{page}");
        assert!(page.contains("· <b>载入‹U+202E›一行</b>"), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }
}

#[tokio::test]
async fn long_lists_continue_on_the_next_page() {
    let server = TestServer::start().await;
    let events: Vec<_> = (1..=250_u64)
        .map(|number| started(&format!("{number:032x}"), &format!("{number:016x}"), None, &format!("job {number}.")))
        .collect();
    server.send(&batch(1, &events)).await;
    let mut path = "/tasks?plain&q=job".to_owned();
    let mut seen = String::new();
    for _ in 0..3 {
        let (_, page) = html(&server, &path, "en").await;
        seen.push_str(&page);
        let Some(next) = page.split("href=\"").map(|part| part.split('"').next().unwrap()).find(|link| link.contains("cursor=")) else {
            break;
        };
        path = next.replace("&amp;", "&");
    }
    for number in 1..=250 {
        assert_eq!(seen.matches(&format!(">job {number}. ")).count(), 1, "{number}");
    }
}

#[tokio::test]
async fn missing_pages_are_reported_as_plain_pages() {
    let server = server().await;
    for (path, status, detail) in [
        ("/tasks/77?plain", 404, "there is no run 77"),
        ("/tasks/about?plain", 404, "there is nothing at /tasks/about"),
        ("/tasks/..%2f%00?plain", 404, "there is nothing at"),
        ("/tasks?plain&cursor=%3Cx%3E", 400, "&lt;x&gt;"),
    ] {
        let (found, page) = html(&server, path, "en").await;
        assert_eq!(found, status, "{path}");
        assert!(page.contains(detail) && page.contains("href=\"/tasks?plain\""), "{page}");
    }
    let response = server.get("/?plain").send().await.unwrap();
    assert_eq!(response.headers()["location"], "/tasks?plain");
}
