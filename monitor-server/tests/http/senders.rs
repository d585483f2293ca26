//! What one sender may report of another: an agent's decisions and definitions, and where a worker is.

use std::time::{SystemTime, UNIX_EPOCH};

use monitor_server::access::NewToken;
use serde_json::{Value, json};

use crate::support::{TestServer, batch, read};

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

fn token(server: &TestServer, name: &str, scope: &str) -> String {
    let new = NewToken { name: name.to_owned(), scopes: scope.parse().unwrap(), lifetime: None };
    server.access().create_token(&new).unwrap()
}

/// The status of a batch's answer, and its body.
async fn send(server: &TestServer, token: Option<&str>, batch: &Value) -> (u16, Value) {
    let request = token.into_iter().fold(server.post(batch.to_string()), |request, token| request.bearer_auth(token));
    read(request.send().await.unwrap()).await
}

/// One event of each type that only the agent db-1 reports.
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
async fn what_an_agent_decides_is_accepted_from_its_own_token_and_from_admins_alone() {
    let server = TestServer::start().await;
    let tokens = [
        (None, 403),
        (Some(token(&server, "sender", "ingest")), 403),
        (Some(token(&server, "operator", "ingest,operate")), 403),
        (Some(token(&server, "db-2", "agent")), 403),
        // A name alone is no agent.
        (Some(token(&server, "db-1", "ingest")), 403),
    ];
    for (token, expected) in &tokens {
        for event in events_of_agent(now_us()) {
            // Next to an event that anybody may send: nothing of the batch is stored.
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
    // Without an agent's name it is nobody's but an admin's.
    let nameless = json!({"type": "batch-task-changed", "time_us": 1, "task": "gold", "version": 9, "status": "deleted"});
    assert_eq!(send(&server, Some(&tokens[1].0.clone().unwrap()), &batch(20, &[nameless])).await.0, 403);
}

#[tokio::test]
async fn an_agent_s_event_that_is_ahead_of_the_server_is_refused_with_the_server_s_time() {
    let server = TestServer::start().await;
    let token = token(&server, "db-1", "agent");
    let mut ahead: Vec<Value> = events_of_agent(now_us() + 90_000_000).into();
    // The decision itself may be dated ahead as well.
    ahead.push(json!({"type": "agent-decided", "time_us": 1, "agent": "db-1", "until_us": now_us() + 90_000_000}));
    for event in ahead {
        let before_us = now_us();
        let (status, problem) = send(&server, Some(&token), &batch(7, std::slice::from_ref(&event))).await;
        // Not a 400, by which a sender would give the event up.
        assert_eq!((status, &problem["event_number"]), (409, &json!(7)), "{event} {problem}");
        let server_us = problem["server_time_us"].as_u64().unwrap();
        assert!((before_us..=now_us()).contains(&server_us), "{problem}");
    }
    // A minute is allowed, and so is the end of a pause in the future.
    let mut near: Vec<Value> = events_of_agent(now_us() + 30_000_000).into();
    near[0]["until_us"] = json!(now_us() + 90_000_000);
    near[1]["paused_from_us"] = json!(1);
    near[1]["paused_until_us"] = json!(now_us() + 90_000_000);
    let (status, answer) = send(&server, Some(&token), &batch(1, &near)).await;
    assert_eq!(status, 200, "{answer}");
    // Events of processes on a machine with a wrong clock are recorded as they are.
    let started = json!({"type": "process-started", "root_id": crate::support::ROOT, "id": crate::support::PROCESS, "kind": "root",
        "name": "a", "time_us": now_us() + 90_000_000});
    assert_eq!(send(&server, None, &batch(5, &[started])).await.0, 200);
}
