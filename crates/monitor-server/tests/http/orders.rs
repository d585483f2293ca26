//! Tests of commands to agents: `POST /api/v1/commands` sends them only `ping`.

use std::time::Duration;

use monitor_server::access::NewToken;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{TestServer, batch, read};

const WORKER: &str = "5b0c0000000000000000000000000001";
const OTHER: &str = "5b0c0000000000000000000000000002";
/// The methods of an agent besides `ping`, each with a part of the route that sends it.
const METHODS: [(&str, &str); 13] = [
    ("run", "/api/v1/batch-tasks/{name}/run"),
    ("rerun", "/api/v1/batch-tasks/runs/{id}/rerun"),
    ("kill", "/api/v1/batch-tasks/runs/{id}/kill"),
    ("log", "/api/v1/batch-tasks/runs/{id}/log"),
    ("pause", "/api/v1/agents/{name}/pause"),
    ("resume", "/api/v1/agents/{name}/resume"),
    ("publications", "/api/v1/batch-tasks/{name}/publications"),
    ("publication", "/api/v1/batch-tasks/{name}/publications/{publication}"),
    ("publication-file", "/publications/{publication}/file"),
    ("compare-publications", "/publications/{publication}/compare"),
    ("restore-publication", "/publications/{publication}/restore"),
    ("alert-command", "/api/v1/alerts/channels/{channel}/test"),
    ("alert-mail", "/api/v1/alerts/channels/{channel}/test"),
];

/// Opens the channel of a worker of this program on db-1.
async fn worker(server: &TestServer, id: &str, program: &str, token: &str) -> Response {
    let now_us = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    let online =
        json!({"type": "worker-online", "time_us": now_us, "started_us": now_us, "version": "1", "heartbeat_interval_ms": 600_000});
    let decided = json!({"type": "agent-decided", "time_us": now_us, "agent": "db-1", "until_us": now_us});
    let both = [online, decided];
    let mut batch = batch(1, if program == "monitor-agent" { &both } else { &both[..1] });
    (batch["worker"]["id"], batch["worker"]["program"], batch["worker"]["hostname"]) = (json!(id), json!(program), json!("db-1"));
    server.send_of_agent(&batch).await;
    let methods: Vec<&str> = METHODS.iter().map(|(method, _)| *method).collect();
    let request = server.get(&format!("/api/v1/workers/{id}/commands?methods=ping,{}", methods.join(",")));
    let mut channel = request.header("monitor-channel-key", id).bearer_auth(token).send().await.unwrap();
    assert_eq!(channel.status(), 200);
    assert!(channel.chunk().await.unwrap().unwrap().starts_with(b"event: open"));
    channel
}

/// Returns the methods of the commands that have arrived on a channel. The last one is a ping, which this function sends.
async fn received(server: &TestServer, channel: &mut Response, id: &str) -> Vec<String> {
    send(server, &server.local_token(), &json!({"method": "ping", "to": {"workers": [id]}, "timeout_ms": 10})).await;
    let mut text = String::new();
    while !text.contains("\"ping\"") {
        let chunk = tokio::time::timeout(Duration::from_secs(120), channel.chunk()).await.expect("in time").unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let orders = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    orders.map(|order| order["method"].as_str().unwrap().to_owned()).collect()
}

async fn send(server: &TestServer, token: &str, request: &Value) -> (u16, Value) {
    let post = server.client.post(format!("http://{}/api/v1/commands", server.address)).bearer_auth(token).json(request);
    read(post.send().await.unwrap()).await
}

#[tokio::test]
async fn commands_to_agents_other_than_ping_are_refused() {
    let server = TestServer::start().await;
    let new = NewToken { name: "db-1".to_owned(), scopes: "agent".parse().unwrap(), lifetime: None, jobs: None };
    let token = server.access().create_token(&new).unwrap();
    let mut agent = worker(&server, WORKER, "monitor-agent", &token).await;
    let pid = "monitor-agent@db-1:4121";
    let until_us = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64 + 600_000_000;
    for token in [server.token("operate"), server.token("admin"), server.local_token()] {
        for (method, route) in METHODS {
            for to in [
                json!({"workers": ["monitor-agent@db-1"]}),
                json!({"workers": [WORKER]}),
                json!({"workers": [pid]}),
                json!({"workers": [], "glob": "monitor-*"}),
                json!({}),
            ] {
                let order = json!({"command": ["/bin/sh", "-c", "id"], "message": {}, "task": "gold"});
                let arguments = if ["pause", "resume"].contains(&method) { json!({}) } else { order };
                let asked = json!({"method": method, "to": to, "arguments": arguments, "timeout_ms": 10});
                for more in [json!({}), json!({"dry_run": true}), json!({"until_us": until_us})] {
                    let mut asked = asked.clone();
                    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                    let (status, problem) = send(&server, &token, &asked).await;
                    assert_eq!(status, 403, "{asked}: {problem}");
                    let detail = problem["detail"].as_str().unwrap();
                    assert!(detail.contains(route) && detail.contains(method), "{asked}: {detail}");
                }
            }
        }
    }
    assert_eq!(received(&server, &mut agent, WORKER).await, ["ping"]);
    // An agent that was never online gets nothing when it connects later either.
    let away = json!({"method": "run", "to": {"workers": ["monitor-agent@db-9"]}, "arguments": {"task": "gold"}, "until_us": until_us});
    assert_eq!(send(&server, &server.local_token(), &away).await.0, 403);
    let commands = server.ask("/api/v1/commands").await;
    assert_eq!(commands["commands"].as_array().unwrap().len(), 1, "only the ping was entered: {commands}");
}

#[tokio::test]
async fn a_command_for_all_workers_leaves_agents_out() {
    let server = TestServer::start().await;
    let token = server.local_token();
    let mut agent = worker(&server, WORKER, "monitor-agent", &token).await;
    let mut program = worker(&server, OTHER, "nightly", &token).await;
    for method in ["pause", "stats"] {
        let (status, command) = send(&server, &token, &json!({"method": method, "timeout_ms": 10})).await;
        let lines = command["lines"].as_array().unwrap();
        assert!(status == 200 && lines.iter().all(|line| line["worker_id"] == OTHER), "{command}");
        // An agent that the pattern matches has a line with the reason.
        let (status, command) = send(&server, &token, &json!({"method": method, "to": {"glob": "*@*"}, "timeout_ms": 10})).await;
        assert_eq!(status, 200, "{command}");
        let line = command["lines"].as_array().unwrap().iter().find(|line| line["worker_id"] == WORKER).unwrap();
        assert_eq!(line["status"], "unsupported");
        assert!(line["error"].as_str().unwrap().contains("sends agents only ping"), "{line}");
    }
    assert_eq!(received(&server, &mut agent, WORKER).await, ["ping"]);
    assert_eq!(received(&server, &mut program, OTHER).await, ["pause", "pause", "stats", "stats", "ping"]);
    // Methods that only agents have are refused, and not sent only to the programs.
    assert_eq!(send(&server, &token, &json!({"method": "run"})).await.0, 403);
    // A program may have a method with the same name.
    assert_eq!(send(&server, &token, &json!({"method": "run", "to": {"workers": ["nightly@db-1"]}, "timeout_ms": 10})).await.0, 200);
}

#[tokio::test]
async fn the_audit_log_names_orders_and_their_arguments_without_secrets_in_2_kilobytes() {
    let server = TestServer::start().await;
    let token = server.local_token();
    worker(&server, WORKER, "monitor-agent", &token).await;
    worker(&server, OTHER, "nightly", &token).await;
    let post = async |path: &str, body: Value| {
        let request = server.client.post(format!("http://{}/api/v1/{path}", server.address)).bearer_auth(&token);
        read(request.json(&body).send().await.unwrap()).await.0
    };
    let secret = json!({"api_token": "s3cret", "broker": "amqp://me:s3cret@mq/films", "deep": [{"Password": "s3cret"}]});
    let command = |arguments: &Value| json!({"method": "double", "to": {"workers": [OTHER]}, "arguments": arguments, "timeout_ms": 10});
    assert_eq!(post("commands", command(&secret)).await, 200);
    assert_eq!(post("commands", command(&json!({"films": "好".repeat(20_000)}))).await, 200);
    let many = json!({"method": "double", "to": {"workers": vec![OTHER; 900]}, "arguments": {"n": 1}, "timeout_ms": 10});
    assert_eq!(post("commands", many).await, 200);
    let task = json!({"name": "gold", "command": ["true"], "rules": ["@daily"], "on": ["db-1"]});
    assert_eq!(post("batch-tasks", task).await, 201);
    assert_eq!(post("batch-tasks/gold/run", json!({"args": ["--day", "1", "--password=s3cret", "--token", "s3cret"]})).await, 200);
    assert_eq!(post("batch-tasks/gold/kill", json!({"now": true})).await, 200);
    assert_eq!(post("agents/db-1/pause", json!({})).await, 200);
    assert_eq!(post("agents/db-1/resume", json!({})).await, 200);
    assert_eq!(post("batch-tasks/gold/publications/1/restore", json!({"target": "/srv/out"})).await, 200);
    assert_eq!(post("queue-tasks", json!({"name": "render", "kwargs": secret, "timeout_ms": 10})).await, 409);
    assert_eq!(post("queue-tasks/revoke", json!({"ids": ["t-1"], "terminate": true, "timeout_ms": 10})).await, 200);
    assert_eq!(post("queue-tasks/retry", json!({"ids": ["t-2"], "timeout_ms": 10})).await, 409);

    let (_, page) = read(server.get("/api/v1/audit?limit=100").bearer_auth(&token).send().await.unwrap()).await;
    let actions: Vec<_> = page["entries"].as_array().unwrap().iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in &actions {
        assert!(action.len() <= 2_048 && !action.contains("s3cret"), "{} bytes: {action}", action.len());
    }
    for words in [
        r#"(a command): double {"api_token":"***","broker":"amqp://me:***@mq/films","deep":[{"Password":"***"}]} to {"workers":["#,
        r#"(a command): double {"films":"好好好"#,
        r#"好… to {"workers":["5b0c0000000000000000000000000002"]}"#,
        r#"(a command): double {"n":1} to {"workers":["5b0c"#,
        r#"(run a batch task): run {"args":["--day","1","--password=***","--token","***"],"by":"data folder","task":"gold"} to {"workers":["monitor-agent@db-1"]}"#,
        r#"(end runs of a batch task): kill {"by":"data folder","now":true,"what":"gold"}"#,
        r#"(pause an agent): pause {"by":"data folder","until":null}"#,
        r#"(resume an agent): resume {"by":"data folder"}"#,
        r#"restore-publication {"by":"data folder","publication":"1","target":"/srv/out","task":"gold"}"#,
        r#"(start a task of a queue): call {"kwargs":{"api_token":"***","#,
        r#"(revoke tasks of queues): revoke {"ids":["t-1"],"terminate":true} to {}"#,
        r#"(run tasks of queues again): retry {"ids":["t-2"]} to {}"#,
    ] {
        assert!(actions.iter().any(|action| action.contains(words)), "{words}: {actions:#?}");
    }
}

/// Returns the next command that arrives on a channel.
async fn next_order(channel: &mut Response) -> Value {
    let mut text = String::new();
    loop {
        let chunk = tokio::time::timeout(Duration::from_secs(120), channel.chunk()).await.expect("in time").unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        if let Some(order) = text.lines().find_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok()) {
            return order;
        }
    }
}

#[tokio::test]
async fn refused_replies_take_no_room_from_those_of_other_workers() {
    let server = TestServer::start().await;
    let token = server.local_token();
    let mut first = worker(&server, WORKER, "nightly", &token).await;
    let _second = worker(&server, OTHER, "nightly", &token).await;
    let request = json!({"method": "stats", "to": {"workers": [WORKER, OTHER]}, "timeout_ms": 60_000});
    let asked = send(&server, &token, &request);
    let answers = async {
        let id = next_order(&mut first).await["id"].as_str().unwrap().to_owned();
        let reply = async |worker: &str| {
            let path = format!("http://{}/api/v1/commands/{id}/replies", server.address);
            let body = json!({"worker_id": worker, "status": "ok", "value": "x".repeat(1_000_000)});
            let request = server.client.post(path).header("monitor-channel-key", worker).bearer_auth(&token).json(&body);
            request.send().await.unwrap().status().as_u16()
        };
        assert_eq!(reply(WORKER).await, 204);
        // All replies together may have 32 MiB.
        for _ in 0..40 {
            assert_eq!(reply(WORKER).await, 409);
        }
        assert_eq!(reply(OTHER).await, 204);
    };
    let ((status, command), ()) = tokio::join!(asked, answers);
    let statuses: Vec<_> = command["lines"].as_array().unwrap().iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!((status, statuses), (200, vec!["ok", "ok"]));
}

#[tokio::test]
async fn an_order_waits_longer_for_an_agent_that_is_there_and_is_one_by_its_key() {
    let server = TestServer::start().await;
    let task = json!({"name": "gold", "command": ["true"], "on": ["db-1"]});
    let post = async |path: &str, key: &str, body: &Value| {
        let request = server.client.post(format!("http://{}/api/v1/{path}", server.address)).bearer_auth(server.local_token());
        read(request.header("idempotency-key", key).json(body).send().await.unwrap()).await
    };
    assert_eq!(post("batch-tasks", "task", &task).await.0, 201);
    // The agent has never been online.
    let run = json!({"args": ["--again"]});
    let (status, away) = post("batch-tasks/gold/run", "first", &run).await;
    assert_eq!((status, &away["timeout_ms"], &away["done"]), (200, &json!(1_000), &json!(false)), "{away}");
    let new = NewToken { name: "db-1".to_owned(), scopes: "agent".parse().unwrap(), lifetime: None, jobs: None };
    let token = server.access().create_token(&new).unwrap();
    let mut agent = worker(&server, WORKER, "monitor-agent", &token).await;
    // A command that has waited for the agent arrives with its channel, and the same request is the same command.
    let reply = async |order: &Value| {
        let path = format!("http://{}/api/v1/commands/{}/replies", server.address, order["id"].as_str().unwrap());
        for status in ["taken", "ok"] {
            let request = server.client.post(&path).header("monitor-channel-key", WORKER).bearer_auth(&token);
            let answer = request.json(&json!({"worker_id": WORKER, "status": status})).send().await.unwrap();
            assert_eq!(answer.status(), 204, "{status}");
        }
    };
    let order = next_order(&mut agent).await;
    assert_eq!((&order["id"], &order["method"]), (&away["id"], &json!("run")));
    reply(&order).await;
    let (status, repeated) = post("batch-tasks/gold/run", "first", &run).await;
    assert_eq!((status, &repeated["id"], &repeated["done"]), (200, &away["id"], &json!(true)), "{repeated}");
    let (status, problem) = post("batch-tasks/gold/run", "first", &json!({"args": ["--other"]})).await;
    assert_eq!(status, 409, "{problem}");
    // The response to this request is sent after the agent's reply.
    let answer = async {
        let order = next_order(&mut agent).await;
        reply(&order).await;
        order
    };
    let ((status, command), order) = tokio::join!(post("batch-tasks/gold/run", "second", &run), answer);
    assert_eq!((status, &command["id"], &command["timeout_ms"]), (200, &order["id"], &json!(10_000)), "{command}");
    assert_eq!((&command["done"], &command["lines"][0]["status"]), (&json!(true), &json!("ok")), "{command}");
}
