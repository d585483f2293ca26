//! Tests of heartbeats: external jobs ping a URL, and each of their runs is a process like any other.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::stream::Reader;
use crate::support::{TestServer, batch, read, until};

async fn ask(server: &TestServer, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = server.client.request(method.parse().unwrap(), format!("http://{}/api/v1/{path}", server.address));
    let request = body.into_iter().fold(request.bearer_auth(server.local_token()), |request, body| request.json(&body));
    let response = request.send().await.unwrap();
    if response.status() == 204 { (204, Value::Null) } else { read(response).await }
}

/// Adds a heartbeat that is expected every minute. Returns its key.
async fn add(server: &TestServer, name: &str) -> String {
    let (status, told) = ask(server, "POST", "heartbeats", Some(json!({"name": name, "every_ms": 60_000, "grace_ms": 30_000}))).await;
    assert_eq!((status, &told["path"]), (201, &json!(format!("/ping/{}", told["key"].as_str().unwrap()))), "{told}");
    told["key"].as_str().unwrap().to_owned()
}

/// Sends a ping as bytes. Returns the status and the body.
async fn ping(server: &TestServer, method: &str, path: &str, body: &str) -> (u16, String) {
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", server.address, body.len());
    let answer = server.raw(&format!("{head}{body}")).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

async fn ok(server: &TestServer, path: &str, body: &str) {
    assert_eq!(ping(server, "POST", path, body).await, (200, "OK".to_owned()), "{path}");
}

/// Returns the runs of a heartbeat, newest first.
async fn runs(server: &TestServer, name: &str) -> Vec<Value> {
    server.ask(&format!("/api/v1/batch-tasks/runs?task={name}")).await["runs"].as_array().unwrap().clone()
}

async fn lines(server: &TestServer, run: &Value) -> Vec<String> {
    let path = format!("/api/v1/roots/{}/logs", run["root_id"].as_str().unwrap());
    let page = server.ask(&path).await;
    page["logs"].as_array().unwrap_or_else(|| panic!("{page}")).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_start_and_its_end_are_one_run_with_its_log_in_the_form_of_healthchecks() {
    let server = TestServer::start().await;
    let key = add(&server, "nightly").await;
    ok(&server, &format!("/ping/{key}/start"), "").await;
    let run = runs(&server, "nightly").await.remove(0);
    assert_eq!((&run["outcome"], &run["trigger"]), (&json!("running"), &json!("ping")), "{run}");
    ok(&server, &format!("/ping/{key}/log"), "reading prices\n\nof today").await;
    ok(&server, &format!("/ping/{key}/3"), "no prices").await;
    let run = runs(&server, "nightly").await.remove(0);
    assert_eq!((&run["outcome"], &run["exit_code"], &run["error"]), (&json!("failed"), &json!(3), &json!("exit code 3")), "{run}");
    let heartbeats = ask(&server, "GET", "heartbeats", None).await.1;
    let listed = &heartbeats["heartbeats"][0]["runs"];
    assert_eq!(
        listed,
        &json!([{"run": run["run"], "root_id": run["root_id"], "due_us": run["due_us"], "outcome": "failed"}]),
        "{heartbeats}"
    );
    let (started, ended) = (run["started_us"].as_u64().unwrap(), run["ended_us"].as_u64().unwrap());
    assert_eq!(run["elapsed_ns"].as_u64().unwrap(), (ended - started) * 1_000, "{run}");
    assert_eq!(lines(&server, &run).await, ["reading prices", "", "of today", "no prices"]);
    let path = format!("/api/v1/batch-tasks/runs/{}/log", run["run"].as_str().unwrap());
    let log = server.ask(&path).await;
    let text = "reading prices\n\nof today\nno prices\n";
    let size = text.len();
    assert_eq!((&log["text"], &log["next_offset"], &log["is_over"]), (&json!(text), &json!(size), &json!(true)), "{log}");
    let rest = server.ask(&format!("{path}?offset=8")).await;
    assert_eq!((&rest["text"], &rest["offset"]), (&json!(&text[8..]), &json!(8)), "{rest}");
    assert_eq!(server.ask(&format!("{path}?offset={}", u64::MAX)).await["text"], "");
    let tree = server.ask(&format!("/api/v1/roots/{}/tree", run["root_id"].as_str().unwrap())).await;
    let process = &tree["processes"][0];
    assert_eq!((&process["kind"], &process["name"], &process["error"]["tail"]), (&json!("run"), &json!("nightly"), &json!("no prices")));

    // Without a start, the duration is zero. All methods are accepted, and so is the exit code 0.
    for (method, path) in [("GET", ""), ("HEAD", ""), ("POST", "/0"), ("GET", "/fail")] {
        assert_eq!(ping(&server, method, &format!("/ping/{key}{path}"), "").await.0, 200, "{method} {path}");
    }
    let runs = runs(&server, "nightly").await;
    let told: Vec<_> = runs.iter().map(|run| (run["outcome"].as_str().unwrap(), run["exit_code"].as_u64())).collect();
    assert_eq!(told, [("failed", None), ("succeeded", Some(0)), ("succeeded", None), ("succeeded", None), ("failed", Some(3))]);
    assert_eq!(runs[0]["error"], "the job told that it failed");
}

#[tokio::test]
async fn runs_with_ids_of_their_own_may_overlap_and_a_new_start_ends_the_run_before() {
    let server = TestServer::start().await;
    let key = add(&server, "import").await;
    let rid = |number: u8| format!("0199a3ce-929d-7e0e-8736-0199a3ce92{number:02x}");
    for (what, number) in [("/start", 1), ("/start", 2), ("", 1), ("/fail", 2), ("/fail", 2), ("", 3)] {
        ok(&server, &format!("/ping/{key}{what}?rid={}", rid(number)), "").await;
    }
    let by_id = |runs: &[Value]| {
        let of = |run: &Value| (run["run"].as_str().unwrap().to_owned(), run["outcome"].as_str().unwrap().to_owned());
        runs.iter().map(of).collect::<std::collections::BTreeMap<_, _>>()
    };
    let told = by_id(&runs(&server, "import").await);
    let expected = [(1, "succeeded"), (2, "failed"), (3, "succeeded")];
    assert_eq!(told, expected.map(|(number, outcome)| (format!("import@{}", rid(number)), outcome.to_owned())).into(), "each once");
    assert_eq!(ping(&server, "GET", &format!("/ping/{key}?rid=7"), "").await.0, 400);

    ok(&server, &format!("/ping/{key}/start"), "").await;
    ok(&server, &format!("/ping/{key}/start"), "").await;
    let newest: Vec<_> = runs(&server, "import").await.iter().take(2).map(|run| (run["outcome"].clone(), run["reason"].clone())).collect();
    assert_eq!(newest, [(json!("running"), Value::Null), (json!("cancelled"), json!("started-again"))]);
}

#[tokio::test]
async fn an_id_that_is_used_again_is_a_new_run_from_its_start_to_its_end() {
    let server = TestServer::start().await;
    let key = add(&server, "import").await;
    let rid = "0199a3ce-929d-7e0e-8736-0199a3ce9201";
    // The first run ended two minutes ago.
    let native_id = format!("import@{rid}");
    let digest = Sha256::digest(format!("heartbeats{native_id}"));
    let root = u128::from_be_bytes(digest[8..24].try_into().unwrap());
    let id = u64::from_be_bytes(digest[..8].try_into().unwrap());
    let about = json!({"root_id": format!("{root:032x}"), "id": format!("{id:016x}")});
    let began = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64 - 120_000_000;
    let fields = json!({"task.name": "import", "task.version": 1, "task.due_us": began, "task.trigger": "ping"});
    let mut started =
        json!({"type": "process-started", "time_us": began, "kind": "run", "name": "import", "native_id": native_id, "fields": fields});
    let mut ended = json!({"type": "process-ended", "time_us": began + 1, "outcome": "succeeded"});
    for event in [&mut started, &mut ended] {
        event.as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
    }
    server.send(&batch(1, &[started, ended])).await;

    let path = |what: &str| format!("/ping/{key}{what}?rid={rid}");
    ok(&server, &path("/start"), "").await;
    ok(&server, &path("/start"), "").await;
    ok(&server, &path("/log"), "half of it").await;
    ok(&server, &path("/3"), "no prices").await;
    ok(&server, &path("/3"), "no prices").await;
    let runs = runs(&server, "import").await;
    let told: Vec<_> = runs.iter().map(|run| (run["outcome"].as_str().unwrap(), run["exit_code"].as_u64())).collect();
    assert_eq!(told, [("failed", Some(3)), ("succeeded", None)], "{runs:#?}");
    assert_eq!(lines(&server, &runs[0]).await, ["half of it", "no prices"]);
}

#[tokio::test]
async fn deleting_a_heartbeat_ends_all_of_its_open_runs() {
    let server = TestServer::start().await;
    let key = add(&server, "import").await;
    for number in 0..35 {
        ok(&server, &format!("/ping/{key}/start?rid=0199a3ce-929d-7e0e-8736-0199a3ce92{number:02x}"), "").await;
    }
    assert_eq!(ask(&server, "DELETE", "heartbeats/import", None).await.0, 204);
    let runs = runs(&server, "import").await;
    assert_eq!(runs.len(), 35);
    assert!(runs.iter().all(|run| (&run["outcome"], &run["reason"]) == (&json!("cancelled"), &json!("removed"))), "{runs:#?}");
}

#[tokio::test]
async fn any_exit_code_ends_a_run_and_other_words_are_refused_with_a_reason() {
    let server = TestServer::start().await;
    let key = add(&server, "nightly").await;
    for (number, code) in [(0, 256), (1, -1), (2, -1_073_741_510)] {
        ok(&server, &format!("/ping/{key}/{code}"), "").await;
        let runs = runs(&server, "nightly").await;
        assert_eq!((runs.len(), &runs[0]["outcome"]), (number + 1, &json!("failed")), "{runs:?}");
        assert!(runs.iter().any(|run| run["exit_code"] == code), "{code}: {runs:?}");
    }
    let (status, body) = ping(&server, "GET", &format!("/ping/{key}/finished"), "").await;
    let expected = "\\\"finished\\\" can't follow the key of a heartbeat: expected nothing, start, fail, log, or an exit code";
    assert!(status == 400 && body.contains(expected) && !body.contains(&key), "{status} {body}");
    let logs = lines(&server, &runs(&server, "nightly").await[0]).await;
    assert!(logs.iter().any(|line| line.contains("a ping was refused")), "{logs:?}");
}

#[tokio::test]
async fn invalid_pings_are_refused_with_the_allowed_form_and_later_pings_count() {
    let server = TestServer::start().await;
    let key = add(&server, "nightly").await;
    let (after_key, id) = ("expected nothing, start, fail, log, or an exit code", "parameter `rid`: expected one UUID, such as");
    let long = format!("/{}", "9".repeat(300));
    for (rest, remedy) in [
        ("/finished", after_key),
        ("/START", after_key),
        ("/1.5", after_key),
        ("/0x1", after_key),
        ("/4294967296", after_key),
        ("/%00", after_key),
        ("/%7B%7Bcode%7D%7D", after_key),
        (&long, after_key),
        ("?rid=7", id),
        ("/start?rid=00000000-0000-0000-0000-00000000000g", id),
        ("?rid=00000000-0000-0000-0000-000000000001&rid=00000000-0000-0000-0000-000000000002", id),
        ("?rid=%ff", id),
    ] {
        let (status, body) = ping(&server, "GET", &format!("/ping/{key}{rest}"), "").await;
        assert!(status == 400 && body.contains(remedy) && !body.contains(&key) && body.len() < 600, "{rest}: {status} {body}");
    }
    ok(&server, &format!("/ping/{key}"), "").await;
    let runs = runs(&server, "nightly").await;
    assert!(runs.len() == 1 && runs[0]["outcome"] == "succeeded", "{runs:?}");
}

#[tokio::test]
async fn unknown_and_malformed_keys_get_the_same_answer_and_are_rate_limited() {
    let server = TestServer::start().await;
    let key = add(&server, "nightly").await;
    let endless = format!("/ping/{}", "a".repeat(2_000));
    let (other, upper, hostile) =
        ("/ping/00000000-0000-0000-0000-000000000000", format!("/ping/{}", key.to_uppercase()), "/ping/%00%ff'--");
    for path in [endless.as_str(), other, &upper, hostile, "/ping/..%2f..", "/ping/%7B%7Bx%7D%7D", "/ping/x/start"] {
        assert_eq!(ping(&server, "GET", path, "").await, (404, "not found".to_owned()), "{path}");
    }
    // The limits are ten at once and then one per six seconds, and per key sixty at once and then one per second. Even a slow machine
    // exceeds them.
    until(async || paced(ping(&server, "POST", other, "x").await.0, 404)).await;
    ok(&server, &format!("/ping/{key}"), "").await;
    let log = format!("/ping/{key}/log");
    until(async || {
        let mut is_paced = false;
        for _ in 0..20 {
            is_paced |= paced(ping(&server, "GET", &log, "").await.0, 200);
        }
        is_paced
    })
    .await;
}

/// True if a request was refused by the rate limit. Otherwise asserts the expected status.
fn paced(status: u16, expected: u16) -> bool {
    assert!(status == 429 || status == expected, "{status}");
    status == 429
}

#[tokio::test]
async fn a_large_or_hostile_body_is_kept_within_bounds_as_data() {
    let server = TestServer::start().await;
    let key = add(&server, "nightly").await;
    let large = format!("first\r\n{}", "x".repeat(1 << 20));
    ok(&server, &format!("/ping/{key}"), &large).await;
    let kept = lines(&server, &runs(&server, "nightly").await[0]).await;
    assert_eq!((kept[0].as_str(), kept.last().unwrap().starts_with("[the rest was left out")), ("first", true), "{kept:?}");
    assert!(kept.concat().len() < 101_000);
    let hostile = "<script>alert(1)</script>\u{202e}{{ 7*7 }}\r\nBcc: all@example.com\0";
    ok(&server, &format!("/ping/{key}/fail"), hostile).await;
    let run = runs(&server, "nightly").await.remove(0);
    assert_eq!(lines(&server, &run).await.concat(), hostile.replace("\r\n", ""));
    // An incomplete body is not a ping.
    let head = format!("POST /ping/{key} HTTP/1.1\r\nhost: {}\r\ncontent-length: 100\r\n\r\nhalf", server.address);
    let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    drop(socket);
    ok(&server, &format!("/ping/{key}"), "").await;
    assert_eq!(runs(&server, "nightly").await.len(), 3);
}

#[tokio::test]
async fn keys_are_shown_once_rolled_with_an_overlap_and_end_with_the_heartbeat() {
    let server = TestServer::with(|config| config.public_url = Some("http://localhost:8080".parse().unwrap())).await;
    let key = add(&server, "nightly").await;
    assert_eq!(ask(&server, "POST", "heartbeats", Some(json!({"name": "nightly", "every_ms": 1_000}))).await.0, 409);
    let (status, rolled) = ask(&server, "POST", "heartbeats/nightly/roll", Some(json!({}))).await;
    let next = rolled["key"].as_str().unwrap().to_owned();
    assert_eq!((status, rolled["url"].as_str()), (200, Some(format!("http://localhost:8080/ping/{next}").as_str())), "{rolled}");
    for key in [&key, &next] {
        ok(&server, &format!("/ping/{key}"), "").await;
    }
    let (_, rolled) = ask(&server, "POST", "heartbeats/nightly/roll", Some(json!({"overlap_ms": 0}))).await;
    let last = rolled["key"].as_str().unwrap();
    for (key, status) in [(key.as_str(), 404), (&next, 404), (last, 200)] {
        assert_eq!(ping(&server, "GET", &format!("/ping/{key}"), "").await.0, status);
    }
    let listed = ask(&server, "GET", "heartbeats", None).await.1;
    let text = listed.to_string();
    assert!(text.contains(r#""state":"up""#) && ![key.as_str(), &next, last].iter().any(|key| text.contains(key)), "{text}");
    let slower = json!({"name": "nightly", "rule": "0 3 * * *", "zone": "Europe/Berlin"});
    let (status, changed) = ask(&server, "PUT", "heartbeats/nightly", Some(slower)).await;
    assert_eq!((status, &changed["rule"], &changed["grace_ms"]), (200, &json!("0 3 * * *"), &json!(600_000)), "{changed}");
    assert_eq!(ask(&server, "DELETE", "heartbeats/nightly", None).await.0, 204);
    assert_eq!(ping(&server, "GET", &format!("/ping/{last}"), "").await.0, 404);
    for (method, path) in [("DELETE", "heartbeats/nightly"), ("POST", "heartbeats/nightly/roll"), ("PUT", "heartbeats/nightly")] {
        let body = (method != "DELETE").then(|| if method == "PUT" { json!({"name": "nightly", "every_ms": 1_000}) } else { json!({}) });
        assert_eq!(ask(&server, method, path, body).await.0, 404, "{method} {path}");
    }
    for (body, words) in [
        (json!({"name": "a b", "every_ms": 5}), "name: \"a b\" can't be a name"),
        (json!({"name": "a"}), "one of them"),
        (json!({"name": "a", "rule": "0 25 * * *"}), "rule: "),
        (json!({"name": "a", "every": 5}), "unknown field"),
    ] {
        let (status, problem) = ask(&server, "POST", "heartbeats", Some(body)).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
}

#[tokio::test]
async fn a_missing_ping_is_reported_once_and_the_next_ping_resolves_it() {
    let server = TestServer::start().await;
    let body = json!({"name": "nightly", "every_ms": 1_000, "grace_ms": 1_000, "agent": "db-1"});
    let (_, told) = ask(&server, "POST", "heartbeats", Some(body)).await;
    let key = told["key"].as_str().unwrap();
    let mut stream = Reader::open(server.get("/api/v1/stream?types=run-missed")).await;
    ok(&server, &format!("/ping/{key}"), "").await;
    let event = stream.next().await.data["event"].clone();
    assert_eq!((&event["task"], &event["agent"], &event["reason"]), (&json!("nightly"), &json!("db-1"), &json!("no-ping")), "{event}");
    let heartbeat = async || ask(&server, "GET", "heartbeats", None).await.1["heartbeats"][0].clone();
    let missed = heartbeat().await;
    assert_eq!((&missed["state"], &missed["missed_us"]), (&json!("missed"), &missed["due_us"]), "{missed}");
    ok(&server, &format!("/ping/{key}"), "").await;
    let next = stream.next().await.data["event"].clone();
    assert!(next["first_due_us"].as_u64() > event["first_due_us"].as_u64(), "another outage, told anew: {next}");
}

#[tokio::test]
async fn a_heartbeat_that_is_deleted_leaves_no_run_and_no_alert_behind() {
    let server = TestServer::start().await;
    let key = add(&server, "nightly").await;
    ok(&server, &format!("/ping/{key}/fail"), "").await;
    ok(&server, &format!("/ping/{key}/start"), "").await;
    let firing = async || server.ask("/api/v1/alerts?state=firing").await["alerts"].as_array().unwrap().len();
    until(async || firing().await == 1).await;
    assert_eq!(ask(&server, "DELETE", "heartbeats/nightly", None).await.0, 204);
    let run = runs(&server, "nightly").await.remove(0);
    assert_eq!((&run["outcome"], &run["reason"]), (&json!("cancelled"), &json!("removed")), "{run}");
    until(async || firing().await == 0).await;
    let ended = server.ask("/api/v1/alerts").await;
    let decisions = server.ask(&format!("/api/v1/alerts/{}", ended["alerts"][0]["id"])).await;
    assert!(decisions.to_string().contains("it was removed on purpose"), "{decisions}");
}

/// Captured log.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test]
async fn no_log_has_a_key() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = TestServer::start().await;
    let key = add(&server, "nightly").await;
    for (method, path) in [("GET", ""), ("POST", "/start"), ("GET", "/nothing"), ("GET", "/a/b"), ("PUT", ""), ("DELETE", "/fail")] {
        let path = format!("http://{}/ping/{key}{path}?rid={key}", server.address);
        server.client.request(method.parse().unwrap(), path).bearer_auth(server.local_token()).send().await.unwrap();
    }
    until(async || written.text().contains("/ping/…")).await;
    let audit = ask(&server, "GET", "audit", None).await.1.to_string();
    drop(server.stop().await);
    // hyper and reqwest log the bytes they transfer at levels that the server does not enable, so only the lines of the server and tower
    // are checked.
    let text = written.text();
    let ours: Vec<_> = text.lines().filter(|line| line.contains("monitor_server") || line.contains("tower_http")).collect();
    assert!(!ours.is_empty() && !ours.iter().any(|line| line.contains(&key)), "{ours:#?}");
    assert!(!audit.contains(&key), "{audit}");
}
