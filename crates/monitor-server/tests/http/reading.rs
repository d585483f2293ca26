use serde_json::{Value, json};

use crate::support::{CHILD, PROCESS, ROOT, TestServer, WORKER, batch, failed, read, started, tree};

#[tokio::test]
async fn a_tree_is_returned_as_it_was_reported() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let page = server.ask("/api/v1/roots/1/tree").await;
    let root = &page["root"];
    assert_eq!(root["title"], "nightly build <1>");
    assert_eq!(root["state"], "failed");
    assert_eq!(root["error"]["message"], "no such table");
    assert_eq!((&root["counts"]["failed"], &root["counts"]["running"]), (&json!(1), &json!(1)));
    let processes = page["processes"].as_array().unwrap();
    let told: Vec<_> = processes.iter().map(|process| (&process["id"], &process["name"], &process["state"], &process["depth"])).collect();
    assert_eq!(
        told,
        [
            (&json!(PROCESS), &json!("nightly build"), &json!("failed"), &json!(0)),
            (&json!(CHILD), &json!("compile"), &json!("running"), &json!(1)),
        ]
    );
    assert_eq!(processes[0]["elapsed_ns"], 3_000_543_210_u64);
    assert_eq!(processes[1]["source"], json!({"file": "src/main.rs", "line": 12}));
    assert_eq!(server.ask(&format!("/api/v1/workers/{WORKER}")).await["hostname"], "build-7");
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let server = TestServer::start().await;
    let ids: Vec<_> = (1..=25_u64).map(|n| format!("{n:016x}")).collect();
    let mut events = vec![started(ROOT, &ids[0], None, "root")];
    events.extend(ids[1..].iter().map(|id| started(ROOT, id, Some(&ids[0]), "child")));
    events.extend((2..=25).map(|n| started(&format!("{n:032x}"), PROCESS, None, "other")));
    server.send(&batch(1, &events)).await;
    for (path, list, key, expected) in [
        (format!("/api/v1/roots/{ROOT}/tree?limit=4"), "processes", "id", 25),
        ("/api/v1/roots?limit=4".to_owned(), "roots", "root_id", 25),
        ("/api/v1/roots?limit=4&sort=oldest".to_owned(), "roots", "root_id", 25),
        ("/api/v1/processes?kind=root&limit=4".to_owned(), "processes", "root_id", 25),
        (format!("/api/v1/processes?root={ROOT}&limit=4"), "processes", "id", 25),
    ] {
        let mut seen: Vec<String> = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let more = cursor.as_str().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = server.ask(&format!("{path}{more}")).await;
            let rows = page[list].as_array().unwrap();
            assert!(rows.len() <= 4, "{path}");
            seen.extend(rows.iter().map(|row| row[key].as_str().unwrap().to_owned()));
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(seen.len(), expected, "{path}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_process_is_found_by_its_id_alone() {
    let server = TestServer::start().await;
    let mut events: Vec<_> = (2..=5).map(|n| started(&format!("{n:032x}"), PROCESS, None, "own")).collect();
    events.push(started(ROOT, CHILD, Some(PROCESS), "child"));
    server.send(&batch(1, &events)).await;
    let found = |page: Value| -> Vec<String> {
        page["processes"].as_array().unwrap().iter().map(|process| process["root_id"].as_str().unwrap().to_owned()).collect()
    };
    let newest_first: Vec<_> = [5, 4, 3, 2].map(|n| format!("{n:032x}")).into();
    assert_eq!(found(server.ask(&format!("/api/v1/processes/{PROCESS}")).await), newest_first);
    assert_eq!(found(server.ask(&format!("/api/v1/processes/{CHILD}")).await), [ROOT]);
    assert_eq!(found(server.ask("/api/v1/processes/00000000000000ff").await), Vec::<String>::new());
}

#[tokio::test]
async fn the_status_counts_stored_items() {
    let server = TestServer::start().await;
    let mut batch = batch(
        1,
        &[started(ROOT, PROCESS, None, "a"), failed(ROOT, PROCESS, "b"), json!({"type": "news", "root_id": ROOT, "text": "kept"})],
    );
    batch["dropped"] = json!([{"type": "process-logged", "reason": "memory", "root_id": null, "count": 12}]);
    server.send(&batch).await;
    let status = server.ask("/api/v1/status").await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["started_us"].as_u64().unwrap() > 1_700_000_000_000_000);
    assert_eq!(status["unknown_events"], json!({"news": 1}));
    assert_eq!(status["roots"]["failed"], 1);
    assert_eq!(status["processes"]["failed"], 1);
    assert_eq!(status["workers"]["online"], 1);
    assert_eq!(status["dropped"][0]["count"], 12);
    assert!(status["database_bytes"].as_u64().unwrap() > 0 && status["wal_bytes"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(status["queue_bytes"], 0);
    let rate = status["events_per_second"].as_f64().unwrap();
    assert!(rate > 0.0 && rate <= status["events"].as_f64().unwrap(), "{status}");
    assert_eq!((&status["retention"], &status["keeps"]), (&json!("all runs"), &json!([])));
}

#[tokio::test]
async fn accepted_events_are_present_after_a_restart() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let before = server.ask("/api/v1/roots/1/tree").await;
    let server = TestServer::on(server.stop().await, |_| {}).await;
    assert_eq!(server.ask("/api/v1/roots/1/tree").await, before);
}

#[tokio::test]
async fn statistics_are_returned_by_name_over_time_and_by_error() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let stats = server.ask("/api/v1/stats").await;
    let (row, elapsed) = (&stats["stats"][0], 3_000_543_210_u64);
    assert_eq!((&row["name"], &row["count"], &row["failed"]), (&json!("nightly build"), &json!(1), &json!(1)), "{stats}");
    assert_eq!((&row["min_ns"], &row["p50_ns"], &row["max_ns"]), (&json!(elapsed), &json!(elapsed), &json!(elapsed)), "{stats}");
    assert_eq!(stats["stats"].as_array().unwrap().len(), 1, "what runs has no statistics yet: {stats}");
    let series = server.ask("/api/v1/stats/series?from=1763600000000000&to=1763600600000000&step=60000000").await;
    assert_eq!(series["step_us"], 60_000_000, "{series}");
    let (step, minute) = (&series["series"][0], 1_763_600_003_123_999_u64 / 60_000_000 * 60_000_000);
    assert_eq!((&step["from_us"], &step["failed"], &step["total_ns"]), (&json!(minute), &json!(1), &json!(elapsed)), "{series}");
    let errors = server.ask("/api/v1/stats/errors").await;
    let error = &errors["errors"][0];
    let expected = json!({"shape": "no such table", "message": "no such table", "name": "nightly build", "count": 1,
        "last_us": 1_763_600_003_123_999_u64, "root_id": ROOT, "id": PROCESS});
    assert_eq!(error, &expected);
    let names = server.ask("/api/v1/roots/names").await;
    let name = &names["names"][0];
    assert_eq!((&name["name"], &name["counts"]["failed"]), (&json!("nightly build"), &json!(1)), "{names}");
    let mark = json!([{"root_id": ROOT, "number": 1, "state": "failed", "started_us": 1_763_600_000_123_456_u64, "elapsed_ns": elapsed}]);
    assert_eq!(name["roots"], mark);
}

#[tokio::test]
async fn a_tree_is_returned_as_columns_if_the_request_accepts_them() {
    let server = TestServer::start().await;
    server.send(&tree()).await;
    let path = format!("/api/v1/roots/{ROOT}/tree");
    let asked = server.get(&path).header("accept", "text/html;q=0.5, application/vnd.process-monitor.tree").send().await.unwrap();
    assert_eq!(asked.status(), 200);
    assert_eq!(asked.headers()["content-type"], "application/vnd.process-monitor.tree");
    assert_eq!(asked.headers()["vary"], "accept");
    let body = asked.bytes().await.unwrap();
    assert!(body.starts_with(b"PMTREE01\x01\0\0\0"), "{:?}", &body[..16]);
    assert!(body.ends_with(&[0; 8]), "it ends with a part of kind 0");
    let other = server.get(&path).header("accept", "application/vnd.process-monitor.trees").send().await.unwrap();
    assert_eq!(other.headers()["content-type"], "application/json");
    let unknown = server.get("/api/v1/roots/9/tree").header("accept", "application/vnd.process-monitor.tree").send().await.unwrap();
    assert_eq!(read(unknown).await.0, 404);
}
