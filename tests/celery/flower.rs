//! Flower's address at the server, next to a real Flower on the same cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Stdio};

use monitor_tests::{PATIENCE, Redis, command, free_ports, run, wait_for};
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::stream::MaybeTlsStream;

use crate::cluster::{Cluster, Kind};

/// A cluster with a server that answers as Flower, and a real Flower.
struct Pair {
    cluster: Cluster,
    ours: String,
    theirs: String,
    flower: Child,
    http: Client,
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = self.flower.kill();
        let _ = self.flower.wait();
    }
}

/// An answer that can be compared.
#[derive(Debug, PartialEq)]
struct Shown {
    status: u16,
    body: Value,
}

fn shown(request: RequestBuilder) -> Shown {
    let response = request.send().expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().expect("text");
    Shown { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

impl Pair {
    fn start(redis: &Redis) -> Self {
        let cluster = Cluster::start_with_env(&Kind::Redis(redis), vec![("MONITOR_FLOWER_LISTEN", "127.0.0.1:0".into())]);
        let ours = ours(&cluster);
        let [port] = free_ports();
        let mut flower = cluster.celery(&["flower", "--address=127.0.0.1", &format!("--port={port}")]);
        flower.env("FLOWER_UNAUTHENTICATED_API", "true").stdout(Stdio::null()).stderr(Stdio::null());
        let flower = flower.spawn().expect("Flower starts");
        let http = Client::builder().redirect(Policy::none()).build().expect("a client");
        let pair = Self { cluster, ours, theirs: format!("http://127.0.0.1:{port}"), flower, http };
        let knows = |url: &str| {
            let answer = pair.http.get(format!("{url}/api/workers?refresh=1")).send().ok()?.json::<Value>().ok()?;
            answer["w1@shop"]["active_queues"].is_array().then_some(())
        };
        wait_for("Flower's node", || knows(&pair.theirs));
        wait_for("our node", || knows(&pair.ours));
        answers(&pair.cluster);
        pair
    }

    fn get(&self, path: &str) -> [Shown; 2] {
        [&self.ours, &self.theirs].map(|url| shown(self.http.get(format!("{url}{path}"))))
    }

    fn post(&self, path: &str, body: &str) -> [Shown; 2] {
        [&self.ours, &self.theirs].map(|url| self.post_to(url, path, body))
    }

    fn post_to(&self, url: &str, path: &str, body: &str) -> Shown {
        let form = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
        let request = self.http.post(format!("{url}{path}")).header("content-type", form).body(body.to_owned());
        shown(if url == self.ours { request.bearer_auth(self.cluster.server.token()) } else { request })
    }
}

/// Waits until the node answers commands. Its channel is opened after its first event.
fn answers(cluster: &Cluster) {
    wait_for("the node's channel", || (cluster.monitor(&["inspect", "ping", "-d", "w1@shop"]).code == Some(0)).then_some(()));
}

/// The address at which the server answers as Flower.
fn ours(cluster: &Cluster) -> String {
    let log = cluster.server.log();
    let line = log.lines().find(|line| line.contains("serving the API of Flower")).expect("it is in the log");
    let (_, address) = line.split_once("address=").expect("an address");
    format!("http://{}", address.trim())
}

/// Replaces what differs between the programs: times, which each takes from its own clock or events, and facts that the server does not keep.
fn without_times(mut task: Value) -> Value {
    for key in ["received", "sent", "started", "succeeded", "failed", "retried", "revoked", "rejected", "timestamp", "runtime"] {
        let is_set = !task[key].is_null();
        task[key] = is_set.into();
    }
    for key in ["clock", "client"] {
        task[key] = Value::Null;
    }
    // A password in arguments is masked only here.
    task["kwargs"] = task["kwargs"].as_str().map(|kwargs| kwargs.replace("'s3cret'", "***")).into();
    // Flower takes a retried task for a child of itself, and keeps the exception of an attempt that has not failed.
    if task["retries"] != 0 {
        for key in ["parent", "parent_id", "children", "exception", "traceback"] {
            task[key] = Value::Null;
        }
    }
    task
}

#[test]
fn tasks_and_workers_equal_those_of_flower() {
    let redis = Redis::start();
    let pair = Pair::start(&redis);
    let ends = pair.cluster.work(1);
    crate::cluster::expect_equal(&pair.cluster, &ends);
    for id in ends.keys() {
        let path = format!("/api/task/info/{id}");
        let ended = ["SUCCESS", "FAILURE", "REVOKED"];
        // Flower may still have to read its events.
        wait_for("the task's end at Flower", || ended.contains(&pair.get(&path)[1].body["state"].as_str()?).then_some(()));
        let [ours, theirs] = pair.get(&path).map(|Shown { status, body }| (status, without_times(body)));
        assert_eq!(ours, theirs, "{path}");
    }
    for path in [
        "/api/workers?status=1",
        "/api/workers?workername=nosuch",
        "/api/tasks?limit=x",
        "/api/tasks?state=FAILURE&search=state:SUCCESS",
        "/api/task/types",
        "/api/task/info/nosuch",
        "/api/task/result/nosuch",
        "/api/queues/length",
        "/healthcheck",
    ] {
        let [ours, theirs] = pair.get(path);
        assert_eq!(ours, theirs, "{path}");
    }
    for query in
        ["state=FAILURE", "taskname=shop.add", "workername=w1@shop&taskname=shop.again", "search=state:SUCCESS", "limit=3&offset=2", ""]
    {
        let path = format!("/api/tasks?sort_by=-received&{query}");
        let ids = pair.get(&path).map(|shown| shown.body.as_object().expect("tasks").keys().cloned().collect::<BTreeSet<_>>());
        assert!(ids[0] == ids[1] && !ids[0].is_empty(), "{path}: {ids:?}");
    }
    // Flower shows a task that was never received whatever the times are. The workload has one.
    let path = "/api/tasks?received_start=2026-01-01%2000:00&received_end=2026-01-02%2000:00";
    let [ours, theirs] = pair.get(path);
    let unseen = theirs.body.as_object().expect("tasks");
    assert!(!unseen.is_empty() && unseen.values().all(|task| task["received"].is_null()), "{unseen:?}");
    assert_eq!(ours.body, json!({}));
    // Only the result backend has results that are no simple values, and Flower reads those of all its tasks from there.
    for (id, end) in ends.iter().filter(|(id, _)| pair.cluster.task(id).is_some_and(|task| task["name"] == "shop.add")) {
        let [ours, theirs] = pair.get(&format!("/api/task/result/{id}"));
        assert_eq!(ours, theirs, "{end}");
    }

    // Flower waits for a second for the answers of a node, and then leaves out what is missing.
    let [ours, theirs] = wait_for("the facts of a node", || {
        let both = pair.get("/api/workers?refresh=1&workername=w1@shop").map(|shown| shown.body["w1@shop"].clone());
        let keys = ["active_queues", "registered", "scheduled", "active", "reserved", "revoked", "stats", "conf"];
        both.iter().all(|facts| keys.iter().all(|key| !facts[key].is_null())).then_some(both)
    });
    for key in ["active_queues", "registered", "scheduled", "active", "reserved", "revoked"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    assert_eq!(ours["stats"]["pool"]["max-concurrency"], theirs["stats"]["pool"]["max-concurrency"]);
    assert_eq!(ours["conf"]["worker_send_task_events"], theirs["conf"]["worker_send_task_events"]);

    wait_for("the same metrics", || {
        let [ours, theirs] = pair.get("/metrics").map(|shown| metrics(shown.body.as_str().expect("text")));
        let other = theirs.iter().find(|(name, value)| ours.get(*name) != Some(value));
        assert!(theirs.len() > 10, "{theirs:?}");
        other.inspect(|(name, value)| eprintln!("{name} is {value} at Flower and {:?} here", ours.get(*name))).is_none().then_some(())
    });
}

/// The numbers that do not depend on times. The sender of a task is not a worker, and the server does not keep its name.
fn metrics(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    let stable = lines.filter(|(name, _)| {
        let (family, _) = name.split_once('{').unwrap_or_default();
        matches!(
            family,
            "flower_events_total" | "flower_task_runtime_seconds_count" | "flower_worker_online" | "flower_worker_prefetched_tasks"
        ) && !name.contains("task-sent")
    });
    let label_order = |name: &str| {
        let (family, labels) = name.split_once('{').expect("labels");
        let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
        // Flower does not know the name of a task that is revoked before the event of its sending arrives.
        if labels.contains(&r#"type="task-revoked""#) {
            labels.retain(|label| !label.starts_with("task="));
        }
        labels.sort_unstable();
        format!("{family} {}", labels.join(" "))
    };
    let mut sums = BTreeMap::new();
    for (name, value) in stable {
        *sums.entry(label_order(name)).or_default() += value.parse::<f64>().expect("a number");
    }
    sums
}

#[test]
fn changes_are_answered_as_by_flower() {
    let redis = Redis::start();
    let pair = Pair::start(&redis);
    for (path, body) in [
        ("/api/task/rate-limit/shop.total", "workername=w1@shop&ratelimit=10/m"),
        ("/api/task/rate-limit/shop.total", "workername=nosuch&ratelimit=10/m"),
        ("/api/task/rate-limit/nosuch", "workername=w1@shop&ratelimit=10/m"),
        ("/api/task/timeout/shop.total", "workername=w1@shop&soft=30&hard=60"),
        ("/api/task/timeout/shop.total", "workername=w1@shop&hard=x"),
        ("/api/worker/pool/grow/w1@shop?n=1", ""),
        ("/api/worker/pool/shrink/w1@shop?n=1", ""),
        ("/api/worker/pool/grow/w1@shop?n=x", ""),
        ("/api/worker/pool/grow/nosuch?n=1", ""),
        ("/api/worker/pool/autoscale/w1@shop?min=1&max=3", ""),
        ("/api/worker/queue/add-consumer/w1@shop?queue=other", ""),
        ("/api/worker/queue/cancel-consumer/w1@shop?queue=other", ""),
        ("/api/worker/pool/restart/w1@shop", ""),
        ("/api/worker/shutdown/nosuch", ""),
        ("/api/task/async-apply/nosuch", r#"{"args": [1, 2]}"#),
        ("/api/task/async-apply/shop.add", r#"{"args": 1}"#),
        ("/api/task/async-apply/shop.add", "x"),
        ("/api/task/revoke/11a5e0d4-35f2-4e16-8766-2fe5bf920501", ""),
    ] {
        let [ours, mut theirs] = pair.post(path, body);
        // Flower waits for a second for the answer of a node, and then knows no reason.
        let has_waited = |shown: &Shown| shown.body.as_str().is_some_and(|words| words.ends_with("Unknown reason"));
        if has_waited(&theirs) && ours.status == 200 {
            theirs = wait_for("Flower's answer", || Some(pair.post_to(&pair.theirs, path, body)).filter(|shown| !has_waited(shown)));
        }
        assert_eq!(ours, theirs, "{path} {body}");
    }
    // Each program has its own words for the reason.
    let [ours, theirs] = pair.post("/api/task/rate-limit/shop.total", "workername=w1@shop&ratelimit=fast");
    assert_eq!((ours.status, theirs.status), (403, 403), "{ours:?} {theirs:?}");
    for (path, body) in [
        ("/api/task/async-apply/shop.add", r#"{"args": [1, 2]}"#),
        ("/api/task/async-apply/shop.add", r#"{"args": [1, 2], "kwargs": {}, "countdown": 1, "queue": "celery"}"#),
        ("/api/task/send-task/shop.add", r#"{"args": [1, 2]}"#),
        ("/api/task/apply/shop.add", r#"{"args": [1, 2]}"#),
    ] {
        let [ours, theirs] = pair.post(path, body).map(|mut shown| {
            assert!(shown.body["task-id"].as_str().is_some_and(|id| id.len() == 36), "{path} {shown:?}");
            shown.body["task-id"] = Value::Null;
            // Only one of these waits for the task's end. With the others the node may already have begun the task, or ended it.
            let waits = path.starts_with("/api/task/apply/");
            if let Some(state) = shown.body.get_mut("state").filter(|_| !waits) {
                assert!(["PENDING", "STARTED", "SUCCESS"].iter().any(|known| state == known), "{path} {state}");
                *state = Value::Null;
            }
            shown
        });
        assert_eq!(ours, theirs, "{path} {body}");
    }

    // The task is revoked as Celery knows it.
    let id = pair.cluster.call("shop.wait", "[600]");
    wait_for("it runs", || pair.cluster.task(&id).filter(|task| task["state"] == "running"));
    let revoked =
        shown(pair.http.post(format!("{}/api/task/revoke/{id}?terminate=true", pair.ours)).bearer_auth(pair.cluster.server.token()));
    assert_eq!(revoked.body, json!({"message": format!("Revoked '{id}'")}));
    wait_for("its end at Flower", || (pair.get(&format!("/api/task/info/{id}"))[1].body["state"] == "REVOKED").then_some(()));
}

/// The next message of a server that is not silent for longer than [`PATIENCE`].
fn next(socket: &mut tungstenite::WebSocket<MaybeTlsStream<TcpStream>>) -> tungstenite::Message {
    if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    }
    loop {
        let message = socket.read().expect("a message");
        if !message.is_ping() {
            return message;
        }
    }
}

#[test]
fn events_of_tasks_are_sent_over_a_websocket() {
    let redis = Redis::start();
    let cluster = Cluster::start_with_env(&Kind::Redis(&redis), vec![("MONITOR_FLOWER_LISTEN", "127.0.0.1:0".into())]);
    let socket = ours(&cluster).replace("http://", "ws://");
    let (mut all, _) = tungstenite::connect(format!("{socket}/api/task/events/task-succeeded/")).expect("a WebSocket");
    let first = cluster.call("shop.add", "[20, 22]");
    let event: Value = serde_json::from_str(next(&mut all).to_text().expect("text")).expect("JSON");
    assert_eq!((&event["type"], &event["uuid"], &event["result"]), (&json!("task-succeeded"), &json!(first), &json!("42")), "{event}");
    assert_eq!(event["hostname"], "w1@shop");
    assert!(event["runtime"].is_f64() && event["timestamp"].is_f64(), "{event}");

    // A WebSocket for a single task.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("end");
    let waits = cluster.call("shop.until", &json!([file, 1]).to_string());
    let (mut one, _) = tungstenite::connect(format!("{socket}/api/task/events/task-succeeded/{waits}")).expect("a WebSocket");
    cluster.call("shop.add", "[1, 1]");
    std::fs::write(&file, "").expect("written");
    let event: Value = serde_json::from_str(next(&mut one).to_text().expect("text")).expect("JSON");
    assert_eq!(event["uuid"], waits, "{event}");

    let refused = |request: tungstenite::handshake::client::Request| match tungstenite::connect(request) {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    };
    let request = |path: &str| format!("{socket}{path}").into_client_request().expect("a request");
    assert_eq!(refused(request("/api/task/events/worker-online/")), 400);
    assert_eq!(refused(request(&format!("/api/task/events/task-sent/{}", "x".repeat(4_000)))), 400);
    let mut foreign = request("/api/task/events/task-sent/");
    foreign.headers_mut().insert("origin", "http://evil.example".parse().expect("a value"));
    assert_eq!(refused(foreign), 403);
    let mut wrong = request("/api/task/events/task-sent/");
    wrong.headers_mut().insert("authorization", "Basic YWRhOng=".parse().expect("a value"));
    assert_eq!(refused(wrong), 401);
    let plain = reqwest::blocking::get(format!("{}/api/task/events/task-sent/", ours(&cluster))).expect("an answer");
    assert_eq!(plain.status().as_u16(), 400);

    // The user is removed while the socket is open.
    add_user(&cluster, "ada", "viewer");
    let mut known = request("/api/task/events/task-sent/");
    known.headers_mut().insert("authorization", "Basic YWRhOmNvcnJlY3QgaG9yc2U=".parse().expect("a value"));
    let (mut known, _) = tungstenite::connect(known).expect("a WebSocket");
    assert_eq!(cluster.monitor(&["user", "remove", "ada"]).code, Some(0));
    assert!(matches!(next(&mut known), tungstenite::Message::Close(_)));
    let refused = Client::new().get(format!("{}/api/workers", ours(&cluster))).basic_auth("ada", Some("correct horse"));
    assert_eq!(shown(refused).status, 401, "the password is not right any more");
}

#[test]
fn requests_without_rights_or_from_other_sites_are_refused() {
    let redis = Redis::start();
    let cluster = Cluster::start_with_env(&Kind::Redis(&redis), vec![("MONITOR_FLOWER_LISTEN", "127.0.0.1:0".into())]);
    let (url, http) = (ours(&cluster), Client::builder().redirect(Policy::none()).build().expect("a client"));
    for (name, role) in [("ada", "operator"), ("bob", "viewer")] {
        add_user(&cluster, name, role);
    }
    let get = |path: &str| http.get(format!("{url}{path}"));
    let grow = || http.post(format!("{url}/api/worker/pool/grow/w1@shop?n=1"));
    let status = |request: RequestBuilder| shown(request).status;

    assert_eq!(status(get("/healthcheck")), 200);
    assert_eq!(status(get("/nosuch")), 404);
    assert_eq!(status(http.put(format!("{url}/api/workers"))), 405);
    let redirect = get("/task/abc").send().expect("an answer");
    assert_eq!(redirect.status().as_u16(), 302);
    assert_eq!(redirect.headers()["location"], format!("{}/tasks/queue", cluster.server.url()));

    // Nothing is changed without a token or a password, on loopback neither.
    let refused = grow().send().expect("an answer");
    assert_eq!(refused.status().as_u16(), 401);
    assert!(refused.headers()["www-authenticate"].to_str().expect("ASCII").starts_with("Basic "));
    assert_eq!(status(grow().basic_auth("ada", Some("wrong horse"))), 401);
    assert_eq!(status(grow().basic_auth("eve", Some("correct horse"))), 401);
    assert_eq!(status(grow().header("authorization", "Basic ?")), 401);
    assert_eq!(status(grow().bearer_auth("pm_nosuch")), 401);
    assert_eq!(status(grow().basic_auth("bob", Some("correct horse"))), 403, "a viewer changes nothing");
    assert_eq!(status(get("/api/workers?status=1").basic_auth("bob", Some("correct horse"))), 200);
    answers(&cluster);
    let grown = shown(grow().basic_auth("ada", Some("correct horse")));
    assert_eq!(grown.body, json!({"message": "Growing 'w1@shop' worker's pool by 1"}), "{grown:?}");
    // A program sends its password with each request, and many at once.
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..30).map(|_| scope.spawn(|| status(get("/api/workers?refresh=1").basic_auth("ada", Some("correct horse"))))).collect();
        assert!(asked.into_iter().all(|asked| asked.join().expect("an answer") == 200));
    });
    // A browser that knows a password sends it for the pages of other sites, too.
    let of_page = |origin: &str| status(grow().basic_auth("ada", Some("correct horse")).header("origin", origin));
    assert_eq!(of_page("http://evil.example"), 403);
    assert_eq!(of_page("http://127.0.0.1:1"), 403);
    assert_eq!(of_page(&url), 200);
    assert_eq!(status(get("/healthcheck").header("host", "evil.example")), 421);
    assert_eq!(status(get("/metrics").header("origin", "http://evil.example")), 403);

    let huge = "x".repeat(5 << 20);
    assert_eq!(status(http.post(format!("{url}/api/task/send-task/shop.add")).bearer_auth(cluster.server.token()).body(huge)), 413);
    // The changes are in the audit log with the names of those who made them, and the wrong passwords, too.
    let audit = cluster.monitor(&["audit"]);
    let audit = audit.stdout + &audit.stderr;
    assert!(audit.lines().any(|line| line.contains("ada") && line.contains("pool-grow")), "{audit}");
    assert!(!audit.contains("active-queues"), "what changes nothing is not: {audit}");
    assert!(audit.lines().any(|line| line.contains("eve") && line.contains("wrong name or password")), "{audit}");
}

/// Adds a user with the password `correct horse`.
fn add_user(cluster: &Cluster, name: &str, role: &str) {
    let mut add = cluster.command(&["user", "add", name, "--role", role]);
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    add.stdin.take().expect("piped").write_all(b"correct horse\n").expect("it reads");
    assert!(add.wait().expect("it ends").success());
}

#[test]
fn several_clusters_or_an_open_address_without_users_are_refused_at_the_start() {
    let refused = |settings: &[&str], words: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = command("monitor");
        server.args(["server", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path()).args(settings);
        let finished = run(server);
        assert!(finished.code != Some(0) && finished.stderr.contains(words), "{settings:?}: {}", finished.stderr);
    };
    let clusters = r#"[{ name = "a", broker = "redis://h" }, { name = "b", broker = "redis://h/1" }]"#;
    refused(&["--flower-listen", "127.0.0.1:0", "--celery", clusters], "shows one cluster of Celery, and `celery` has 2");
    refused(&["--flower-listen", "0.0.0.0:0"], "refused to listen on 0.0.0.0:0");
    refused(&["--flower-listen", "5555"], "expected an address and a port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    refused(&["--flower-listen", &address], "choose another address with --flower-listen");
}
