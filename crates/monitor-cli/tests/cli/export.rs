use serde_json::{Value, json};

use crate::support::{ROOT, TestServer, ended, monitor, started};

/// Starts a server with a tree that contains everything that an export includes.
fn rich() -> TestServer {
    let server = TestServer::start();
    let relayed = json!({"id": "000000000000000000000000000000aa", "hostname": "far", "pid": 7, "program": "agent"});
    let id = |id: u64| format!("{id:016x}");
    let mut whole = started(ROOT, 1, None, "nightly \u{1b}[31m根");
    whole["batch"] = json!("b1");
    whole["fields"] = json!({"n": 1, "list": [true, null, {"k": 0.5}]});
    let mut child = started(ROOT, 2, Some(1), "compile");
    (child["worker"], child["thread"], child["attempt"]) = (relayed.clone(), json!("main"), json!(2));
    child["source"] = json!({"file": "src/main.rs", "line": 12});
    child["links"] = json!([{"root_id": "000000000000000000000000000000b2", "id": "00000000000000b3", "relation": "retry_of"}]);
    let mut failed = ended(ROOT, 2, 1_500, Some("no such table"));
    (failed["attempt"], failed["exit_code"], failed["reason"], failed["worker"]) = (json!(2), json!(3), json!("timeout"), relayed.clone());
    let queued = json!({"type": "process-queued", "root_id": ROOT, "id": id(3), "parent_id": id(1), "kind": "task", "name": "waits",
                        "time_us": 1_763_600_000_000_009_u64, "native_id": "job-7"});
    let folded = json!({"type": "process-folded", "root_id": ROOT, "id": id(4), "parent_id": id(1), "kind": "normal", "name": "many",
                        "time_us": 1_763_600_000_000_005_u64, "shard": 3, "revision": 2, "count": 9, "running": 0, "failed": 1, "cancelled": 0,
                        "total_ns": 900, "min_ns": 50, "max_ns": 200, "histogram": [[99, 8], [130, 1]]});
    let progressed = json!({"type": "process-progressed", "root_id": ROOT, "id": id(1), "time_us": 1_763_600_000_000_100_u64, "done": 3.0, "total": 7.0, "unit": "rows"});
    let said = |of: u64, time_us: u64| {
        json!({"type": "process-logged", "root_id": ROOT, "id": id(of), "time_us": time_us, "level": "warn",
                                              "message": "said", "target": "t", "stream": "stderr", "fields": {"a": time_us}})
    };
    let orphan = started(ROOT, 5, Some(99), "orphan");
    let alone = ended(ROOT, 6, 5, None);
    let online =
        json!({"type": "worker-online", "time_us": 1, "started_us": 1, "version": "1.0", "heartbeat_interval_ms": 0, "worker": relayed});
    let task = |of: u64, what: &str, more: Value| {
        let mut event = json!({"type": format!("task-{what}"), "root_id": ROOT, "id": id(of), "time_us": 1_763_600_000_000_200_u64, "native_id": format!("task-{of}")});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event["time_us"] = (event["time_us"].as_u64().unwrap() + of * 1_000 + event["after"].as_u64().unwrap_or(0)).into();
        event.as_object_mut().unwrap().remove("after");
        event["worker"] = relayed.clone();
        event
    };
    let message =
        |after: u64| json!({"name": "render", "parent_id": id(1), "queue": "video", "args": [1], "kwargs": {"a": "b"}, "after": after});
    let tasks = [
        task(21, "sent", message(0)),
        task(22, "sent", message(0)),
        task(22, "received", message(10)),
        task(22, "started", json!({"pid": 9, "after": 20})),
        task(22, "succeeded", json!({"result": {"frames": 2}, "runtime_ns": 7_000, "after": 30})),
        task(23, "received", message(0)),
        task(23, "started", json!({"after": 10})),
        task(23, "failed", json!({"exception": "no disk", "traceback": "at 7", "after": 20})),
        task(24, "received", message(0)),
        task(24, "started", json!({"after": 10})),
        task(24, "retried", json!({"exception": "no net", "traceback": "at 8", "eta_us": 1_763_600_900_000_000_u64, "after": 20})),
        task(25, "received", message(0)),
        task(25, "rejected", json!({"requeued": true, "after": 10})),
        task(26, "received", message(0)),
        task(26, "revoked", json!({"expired": true, "after": 10})),
    ];
    server.send_as(9, 1, &tasks);
    server.send(1, &[online, whole, child, failed, queued, folded, progressed, said(1, 10), said(2, 20), orphan, alone]);
    server
}

/// Returns all data about the tree, except values that each server assigns itself.
fn told(server: &TestServer) -> (Value, Vec<Value>) {
    let mut tree = server.json(&["tree", ROOT]);
    tree["as_of"] = Value::Null;
    for own in ["number", "title"] {
        tree["root"][own] = Value::Null;
    }
    let logs = server.run(&["logs", ROOT, "--json"]);
    let logs = logs.lines().map(|line| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry["number"] = Value::Null;
        entry
    });
    (tree, logs.collect())
}

/// JSON may contain unescaped control characters above U+007F, which a terminal would interpret.
#[test]
fn exports_contain_no_control_characters_of_terminals() {
    let server = TestServer::start();
    server.send(1, &[started(ROOT, 1, None, "csi\u{9b}31m\u{7f}\u{85}é根")]);
    for format in ["ndjson", "json", "perfetto", "otlp"] {
        let text = server.run(&["export", "1", "--format", format]);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n') && text.contains(r"csi\u009b31m\u007f\u0085é根"), "{format}: {text:?}");
        serde_json::Deserializer::from_str(&text).into_iter::<Value>().for_each(|value| drop(value.unwrap()));
    }
}

#[test]
fn a_tree_that_is_exported_and_imported_is_the_same() {
    let server = rich();
    let folder = tempfile::tempdir().unwrap();
    for format in ["ndjson", "json"] {
        let file = folder.path().join(format);
        let file = file.to_str().unwrap();
        server.run(&["export", "1", "-o", file, "--format", format]);
        let other = TestServer::start();
        other.run(&["import", file]);
        assert_eq!(told(&other), told(&server), "{format}");
        other.run(&["import", file]);
        assert_eq!(told(&other), told(&server), "{format}, twice");
    }
    let refused = monitor(&["export", "1", "-o", folder.path().join("json").to_str().unwrap(), "--server", &server.url]).assert().code(1);
    let words = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(words.contains("could not make the file"), "{words}");
    assert_eq!(server.run(&["export", ROOT]), std::fs::read_to_string(folder.path().join("ndjson")).unwrap());
}

fn cancelled(id: u64) -> Value {
    let mut event = ended(ROOT, id, 2_000_000, None);
    event["outcome"] = json!("cancelled");
    event
}

#[test]
fn spans_are_exported_and_imported_as_otlp() {
    let server = TestServer::start();
    let events = [
        started(ROOT, 1, None, "nightly"),
        started(ROOT, 2, Some(1), "compile"),
        ended(ROOT, 2, 1_000_000, Some("no such table")),
        ended(ROOT, 1, 3_000_000, None),
        started(ROOT, 3, Some(1), "given up"),
        cancelled(3),
        started(ROOT, 4, Some(1), "runs"),
    ];
    server.send(1, &events);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spans.json");
    server.run(&["export", "1", "--format", "otlp", "-o", file.to_str().unwrap()]);
    let other = TestServer::start();
    other.run(&["import", file.to_str().unwrap()]);
    let told = |server: &TestServer| -> Vec<Value> {
        let tree = server.json(&["tree", ROOT]);
        let of = |process: &Value| {
            json!([
                process["id"],
                process["parent_id"],
                process["name"],
                process["state"],
                process["elapsed_ns"],
                process["started_us"],
                process["error"]["message"]
            ])
        };
        tree["processes"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(told(&other), told(&server));
}

#[test]
fn perfetto_s_tracks_nest() {
    let server = TestServer::start();
    let mut events = Vec::new();
    // Overlapping calls of a single thread, which only futures produce.
    for (id, begin, took_us) in [(1, 0_u64, 100_u64), (2, 10, 50), (3, 20, 80), (4, 30, 10)] {
        let mut begun = started(ROOT, id, (id > 1).then_some(1), "f");
        (begun["time_us"], begun["thread"]) = (json!(1_000 + begin), json!("main"));
        events.extend([begun, ended(ROOT, id, took_us * 1_000, None)]);
    }
    server.send(1, &events);
    let trace: Value = serde_json::from_str(&server.run(&["export", "1", "--format", "perfetto"])).unwrap();
    let events: Vec<_> = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(events.len(), 4);
    for a in &events {
        for b in events.iter().filter(|b| b["tid"] == a["tid"]) {
            let span = |event: &Value| (event["ts"].as_f64().unwrap(), event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap());
            let ((a0, a1), (b0, b1)) = (span(a), span(b));
            assert!(a1 <= b0 || b1 <= a0 || (a0 <= b0 && b1 <= a1) || (b0 <= a0 && a1 <= b1), "{a} and {b} overlap");
        }
    }
}

#[test]
fn invalid_exports_are_refused_with_a_reason() {
    let server = rich();
    let folder = tempfile::tempdir().unwrap();
    let good = server.run(&["export", "1"]);
    let cut: String = good.split_inclusive('\n').take(4).collect();
    let short = good.replacen("\"processes\":12,\"type\":\"end\"", "\"processes\":13,\"type\":\"end\"", 1);
    let newer = good.replacen("\"version\":1", "\"version\":2", 1);
    let other = TestServer::start();
    for (text, words) in [
        ("", "it is no JSON"),
        ("{}", "no export of"),
        ("nonsense\n", "it is no JSON"),
        (cut.as_str(), "the file breaks off"),
        (short.as_str(), "other numbers of processes"),
        (newer.as_str(), "of version 2"),
        (&good.replacen("{\"type\":\"worker\"", "{\"type\":\"tree\"", 1), "line 2 is none of an export"),
        ("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}]}]}]}", "not all spans were taken"),
    ] {
        let file = folder.path().join("bad");
        std::fs::write(&file, text).unwrap();
        let output = monitor(&["import", file.to_str().unwrap(), "--server", &other.url]).assert().code(1).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains(words), "{words}: {message}");
    }
    monitor(&["import", "nowhere.json", "--server", &other.url]).assert().code(1);
    monitor(&["export", "9", "--server", &other.url]).assert().code(4);
}

/// Starts a server with small limits for requests.
fn narrow() -> TestServer {
    TestServer::with(&["--listen", "127.0.0.1:0", "--max-body-bytes", "20KiB", "--max-batch-events", "100"], tempfile::tempdir().unwrap())
}

#[test]
fn an_export_larger_than_the_body_limit_is_imported_in_parts() {
    let server = TestServer::start();
    let large = |id: u64| {
        let mut event = started(ROOT, id, (id > 1).then_some(1), "step");
        event["fields"] = json!({"text": "x".repeat(5_000)});
        event
    };
    let events: Vec<_> = (1..=60).map(large).chain((1..=60).map(|id| ended(ROOT, id, 5, None))).collect();
    server.send(1, &events);
    let folder = tempfile::tempdir().unwrap();
    for format in ["ndjson", "otlp"] {
        let file = folder.path().join(format);
        let file = file.to_str().unwrap();
        server.run(&["export", "1", "-o", file, "--format", format]);
        let other = narrow();
        other.run(&["import", file]);
        let told = |server: &TestServer| server.json(&["roots"])["roots"][0]["counts"].clone();
        assert_eq!(told(&other), told(&server), "{format}");
        let large = other.json(&["tree", ROOT])["processes"][0]["fields"]["text"].as_str().unwrap().len();
        assert_eq!(large, 5_000);
    }
    // A single span or record that is too large is refused with a message, for OTLP too.
    for (file, text) in [
        ("span", json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x".repeat(30_000)}]}]}]}).to_string()),
        ("tree", server.run(&["export", "1"]).replacen("xxxxx", &"y".repeat(30_000), 1)),
    ] {
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        let output = monitor(&["import", path.to_str().unwrap(), "--server", &narrow().url]).assert().code(1).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains("larger than 20480 bytes"), "{file}: {message}");
    }
}

#[test]
fn an_import_goes_offline_when_it_is_complete() {
    let server = rich();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tree");
    server.run(&["export", "1", "-o", file.to_str().unwrap()]);
    let other = TestServer::start();
    other.run(&["import", file.to_str().unwrap()]);
    let status = other.json(&["status"]);
    assert_eq!(status["workers"]["offline"], 1, "{status}");
}

#[test]
fn an_import_reports_a_server_without_space_while_it_waits() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let server = rich();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tree");
    server.run(&["export", "1", "-o", file.to_str().unwrap()]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let busy = std::thread::spawn(move || {
        let detail = r#"{"type":"about:blank","title":"Busy","status":503,"detail":"the disk is full"}"#;
        let answers = [
            ("404 Not Found", r#"{"type":"about:blank","title":"Not found","status":404,"detail":"no such tree"}"#),
            ("503 Busy", detail),
            ("503 Busy", detail),
            ("200 OK", r#"{"accepted":1}"#),
            ("200 OK", r#"{"accepted":2}"#),
        ];
        for (status, body) in answers {
            let mut socket = BufReader::new(listener.accept().unwrap().0);
            let (mut line, mut length) = (String::new(), 0);
            while socket.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            socket.read_exact(&mut vec![0; length]).unwrap();
            let head = format!("HTTP/1.1 {status}\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            socket.get_mut().write_all((head + body).as_bytes()).unwrap();
        }
    });
    let output = monitor(&["import", file.to_str().unwrap(), "--server", &url]).assert().success().get_output().stderr.clone();
    busy.join().unwrap();
    let message = String::from_utf8(output).unwrap();
    assert_eq!(message.matches("the disk is full").count(), 1, "once: {message}");
}
