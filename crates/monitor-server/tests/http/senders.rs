//! Tests of the events that a sender may report about others: the decisions and definitions of an agent, and the state of a worker.

use std::time::{SystemTime, UNIX_EPOCH};

use monitor_server::access::NewToken;
use serde_json::{Value, json};

use crate::support::{TestServer, batch, read};

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

fn token(server: &TestServer, name: &str, scope: &str) -> String {
    let new = NewToken { name: name.to_owned(), scopes: scope.parse().unwrap(), lifetime: None, jobs: None };
    server.access().create_token(&new).unwrap()
}

/// Sends a batch. Returns the status and the body of the response.
async fn send(server: &TestServer, token: Option<&str>, batch: &Value) -> (u16, Value) {
    let request = token.into_iter().fold(server.post(batch.to_string()), reqwest::RequestBuilder::bearer_auth);
    read(request.send().await.unwrap()).await
}

/// Returns one event of each type that only the agent db-1 may report.
fn events_of_agent(time_us: u64) -> [Value; 4] {
    let definition = json!({"name": "gold", "command": ["true"], "rules": ["30 2 * * *"], "zone": "UTC"});
    [
        json!({"type": "batch-task-changed", "time_us": time_us, "task": "gold", "version": 1, "status": "active", "agent": "db-1",
            "definition": definition}),
        json!({"type": "agent-decided", "time_us": time_us, "agent": "db-1", "until_us": time_us}),
        json!({"type": "run-skipped", "time_us": time_us, "task": "gold", "agent": "db-1", "version": 1, "due_us": time_us, "reason": "full"}),
        json!({"type": "run-missed", "time_us": time_us, "task": "gold", "agent": "db-1", "version": 1, "first_due_us": time_us,
            "last_due_us": time_us, "count": 1, "reason": "agent-down"}),
    ]
}

#[tokio::test]
async fn decisions_of_an_agent_are_accepted_only_with_its_token_or_from_admins() {
    let server = TestServer::start().await;
    let tokens = [
        (None, 403),
        (Some(token(&server, "sender", "ingest")), 403),
        (Some(token(&server, "operator", "ingest,operate")), 403),
        (Some(token(&server, "db-2", "agent")), 403),
        // The name without the scope is not enough.
        (Some(token(&server, "db-1", "ingest")), 403),
    ];
    for (token, expected) in &tokens {
        for event in events_of_agent(now_us()) {
            // Next to an event that every sender may report: nothing of the batch is stored.
            let heartbeat = json!({"type": "worker-heartbeat", "time_us": 1});
            let (status, problem) = send(&server, token.as_deref(), &batch(1, &[heartbeat, event.clone()])).await;
            assert_eq!((status, &problem["event_number"]), (*expected, &json!(2)), "{event} {problem}");
            assert!(problem["detail"].as_str().unwrap().contains("\"db-1\""), "{problem}");
        }
    }
    assert_eq!(server.ask("/api/v1/batch-tasks").await["tasks"], json!([]));
    assert_eq!(server.ask("/api/v1/workers").await["workers"], json!([]));
    server.access().revoke_token("db-1").unwrap();
    let own = token(&server, "db-1", "agent");
    for (first, token) in [(1, own), (5, server.local_token()), (9, token(&server, "root", "admin"))] {
        let (status, answer) = send(&server, Some(&token), &batch(first, &events_of_agent(now_us()))).await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(server.ask("/api/v1/batch-tasks").await["tasks"][0]["agent"], "db-1");
    // Without an agent's name, only an admin may report the event.
    let nameless = json!({"type": "batch-task-changed", "time_us": 1, "task": "gold", "version": 9, "status": "deleted"});
    assert_eq!(send(&server, Some(&tokens[1].0.clone().unwrap()), &batch(20, &[nameless])).await.0, 403);
}

#[tokio::test]
async fn an_agent_s_event_that_is_ahead_of_the_server_is_refused_with_the_server_s_time() {
    let server = TestServer::start().await;
    let token = token(&server, "db-1", "agent");
    let mut ahead: Vec<Value> = events_of_agent(now_us() + 90_000_000).into();
    // The last decided due time may not be ahead either.
    ahead.push(json!({"type": "agent-decided", "time_us": 1, "agent": "db-1", "until_us": now_us() + 90_000_000}));
    for event in ahead {
        let before_us = now_us();
        let (status, problem) = send(&server, Some(&token), &batch(7, std::slice::from_ref(&event))).await;
        // With a 400, the sender would drop the event.
        assert_eq!((status, &problem["event_number"]), (409, &json!(7)), "{event} {problem}");
        let server_us = problem["server_time_us"].as_u64().unwrap();
        assert!((before_us..=now_us()).contains(&server_us), "{problem}");
    }
    // A minute ahead is tolerated, and so is the end of a pause in the future.
    let mut near: Vec<Value> = events_of_agent(now_us() + 30_000_000).into();
    near[0]["until_us"] = json!(now_us() + 90_000_000);
    near[1]["paused_from_us"] = json!(1);
    near[1]["paused_until_us"] = json!(now_us() + 90_000_000);
    let (status, answer) = send(&server, Some(&token), &batch(1, &near)).await;
    assert_eq!(status, 200, "{answer}");
    // Events of processes on a machine with a wrong clock are stored unchanged.
    let started = json!({"type": "process-started", "root_id": crate::support::ROOT, "id": crate::support::PROCESS, "kind": "root",
        "name": "a", "time_us": now_us() + 90_000_000});
    assert_eq!(send(&server, None, &batch(5, &[started])).await.0, 200);
}

/// Returns a batch of the worker whose id ends with this digit.
fn batch_of(worker: u8, sequence: u64, events: &[Value]) -> Value {
    let id = format!("5b0c000000000000000000000000000{worker}");
    json!({"version": 1, "worker": {"id": id, "hostname": "build-7", "pid": 1, "program": "nightly"}, "sequence": sequence, "sent_us": 0,
        "events": events})
}

async fn states(server: &TestServer) -> (Value, Value) {
    let worker = server.ask("/api/v1/workers/5b0c0000000000000000000000000001").await;
    (worker["state"].clone(), server.ask(&format!("/api/v1/roots/{}", crate::support::ROOT)).await["state"].clone())
}

#[tokio::test]
async fn the_state_of_a_reporting_worker_is_not_changed_by_other_senders() {
    let server = TestServer::start().await;
    let started_us = now_us() - 10_000_000;
    let started = json!({"type": "process-started", "root_id": crate::support::ROOT, "id": crate::support::PROCESS, "kind": "root",
        "name": "a", "time_us": started_us});
    let online = json!({"type": "worker-online", "time_us": started_us, "started_us": 1, "version": "1", "heartbeat_interval_ms": 600_000});
    server.send(&batch_of(1, 1, &[online, started])).await;
    let there = (json!("online"), json!("running"));
    assert_eq!(states(&server).await, there);
    let me = json!({"id": "5b0c0000000000000000000000000001", "hostname": "zzz", "pid": 9, "program": "zzz"});
    // Relayed by another worker.
    let forged = [
        json!({"type": "worker-offline", "time_us": now_us(), "worker": me}),
        json!({"type": "worker-offline", "time_us": now_us() + 600_000_000, "worker": me}),
        json!({"type": "worker-lost", "time_us": now_us(), "worker_id": me["id"]}),
        json!({"type": "worker-online", "time_us": 1, "started_us": 1, "version": "9", "heartbeat_interval_ms": 1, "worker": me}),
    ];
    server.send(&batch_of(2, 1, &forged)).await;
    assert_eq!(states(&server).await, there);
    let worker = server.ask("/api/v1/workers/5b0c0000000000000000000000000001").await;
    assert_eq!((&worker["program"], &worker["version"], &worker["relayed_by"]), (&json!("nightly"), &json!("1"), &Value::Null), "{worker}");
    // Sent in the worker's own name, and dated far ahead.
    server.send(&batch_of(1, 1_000, &[json!({"type": "worker-offline", "time_us": (1_u64 << 53) - 1})])).await;
    assert_eq!(states(&server).await, (json!("offline"), json!("cancelled")));
    // The worker continues to report a minute later, and is online again.
    server.send(&batch_of(1, 3, &[json!({"type": "worker-heartbeat", "time_us": now_us() + 60_000_000})])).await;
    assert_eq!(states(&server).await, there);
    // The worker's own end is accepted.
    server.send(&batch_of(1, 4, &[json!({"type": "worker-offline", "time_us": now_us() + 60_000_000})])).await;
    assert_eq!(states(&server).await, (json!("offline"), json!("cancelled")));
}

/// Returns a batch of a worker with this program and host.
fn batch_named(worker: u8, sequence: u64, program: &str, host: &str, events: &[Value]) -> Value {
    let mut batch = batch_of(worker, sequence, events);
    (batch["worker"]["program"], batch["worker"]["hostname"]) = (json!(program), json!(host));
    batch
}

/// Opens the channel of a worker and waits until it is open.
async fn channel(server: &TestServer, worker: u8, token: Option<&str>) -> (u16, reqwest::Response) {
    let request = server.get(&format!("/api/v1/workers/5b0c000000000000000000000000000{worker}/commands?methods=ping"));
    let request = request.header("monitor-channel-key", format!("{worker}").repeat(40));
    let mut response = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth).send().await.unwrap();
    if response.status() == 200 {
        response.chunk().await.unwrap();
    }
    (response.status().as_u16(), response)
}

/// Returns the workers that a ping to the agent db-1 is sent to.
async fn pinged(server: &TestServer) -> Vec<Value> {
    let ping = json!({"method": "ping", "to": {"workers": ["monitor-agent@db-1"]}, "timeout_ms": 10});
    let request = server.client.post(format!("http://{}/api/v1/commands", server.address)).json(&ping);
    let (status, command) = read(request.bearer_auth(server.local_token()).send().await.unwrap()).await;
    assert_eq!(status, 200, "{command}");
    command["lines"].as_array().unwrap().iter().map(|line| line["worker_id"].clone()).collect()
}

#[tokio::test]
async fn a_worker_with_the_name_of_an_agent_gets_no_requests_for_that_agent() {
    let server = TestServer::start().await;
    let token = token(&server, "db-1", "agent");
    let online =
        || json!({"type": "worker-online", "time_us": now_us(), "started_us": now_us(), "version": "1", "heartbeat_interval_ms": 600_000});
    server.send(&batch_named(1, 1, "monitor-agent", "db-1", &[online()])).await;
    let (status, agent) = channel(&server, 1, Some(&token)).await;
    assert_eq!(status, 200);
    // A worker with the agent's name gets no channel.
    server.send(&batch_named(2, 1, "monitor-agent", "db-1", &[online()])).await;
    assert_eq!(channel(&server, 2, None).await.0, 403);
    // Another worker opens a channel under its own name, and claims the agent's name afterwards.
    server.send(&batch_named(3, 1, "a", "a", &[])).await;
    let (status, mut fake) = channel(&server, 3, None).await;
    assert_eq!(status, 200);
    assert_eq!(pinged(&server).await, [json!("5b0c0000000000000000000000000001")]);
    server.send(&batch_named(3, 1, "monitor-agent", "db-1", &[online()])).await;
    assert_eq!(pinged(&server).await, [json!("5b0c0000000000000000000000000001")]);
    drop(agent);
    crate::support::until(async || {
        let channel = server.ask("/api/v1/workers/5b0c0000000000000000000000000001/channel").await;
        channel["open_since_us"].is_null()
    })
    .await;
    assert!(!pinged(&server).await.contains(&json!("5b0c0000000000000000000000000003")), "nor while the agent is away");
    // Another channel replaces the first one, which has then delivered everything that was sent to it.
    let (status, _again) = channel(&server, 3, None).await;
    assert_eq!(status, 200);
    while let Some(chunk) = fake.chunk().await.unwrap() {
        assert!(!String::from_utf8_lossy(&chunk).contains("event: command"), "{chunk:?}");
    }
}

#[tokio::test]
async fn an_admin_deletes_the_tasks_of_an_agent_that_is_not_there_any_more() {
    let server = TestServer::start().await;
    let (token, operator) = (token(&server, "db-1", "agent"), token(&server, "operator", "operate"));
    let online =
        json!({"type": "worker-online", "time_us": now_us(), "started_us": now_us(), "version": "1", "heartbeat_interval_ms": 600_000});
    let [task, ..] = events_of_agent(now_us());
    let told = batch_named(1, 1, "monitor-agent", "db-1", &[online, task.clone()]);
    assert_eq!(send(&server, Some(&token), &told).await.0, 200);
    let (_, agent) = channel(&server, 1, Some(&token)).await;
    let delete = async |token: &str| {
        let url = format!("http://{}/api/v1/batch-tasks/gold", server.address);
        server.client.delete(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    let admin = server.local_token();
    assert_eq!((delete(&operator).await, delete(&admin).await), (403, 409), "the agent is connected");
    drop(agent);
    crate::support::until(async || delete(&admin).await == 204).await;
    // The agent is sent the deletion, and announces the task again if it still has it.
    let (_, book) = read(server.get("/api/v1/agents/db-1/book").bearer_auth(&token).send().await.unwrap()).await;
    assert_eq!((&book["tasks"][0]["name"], &book["tasks"][0]["status"]), (&json!("gold"), &json!("deleted")), "{book}");
    let mut again = task;
    again["time_us"] = json!(now_us());
    assert_eq!(send(&server, Some(&token), &batch_named(1, 3, "monitor-agent", "db-1", &[again])).await.0, 200);
    assert_eq!(server.ask("/api/v1/batch-tasks/gold").await["status"], "active");
    assert_eq!(delete(&admin).await, 204);
    // The name can be used again.
    let own = json!({"name": "gold", "command": ["true"], "on": ["db-1"]});
    let added = server.client.post(format!("http://{}/api/v1/batch-tasks", server.address)).bearer_auth(&admin).json(&own);
    assert_eq!(read(added.send().await.unwrap()).await.0, 201);
}
