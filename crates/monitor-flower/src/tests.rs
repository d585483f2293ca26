//! The recorded requests to Flower 2.2, answered by the translation from an API in memory.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use serde_json::json;

pub(crate) const ADD: &str = "11a5e0d4-35f2-4e16-8766-2fe5bf920501";

/// The API of a server with one node and one task.
struct Api;

fn worker() -> Value {
    json!({"id": "00000000000000000000000000000007", "hostname": "h2", "pid": 7, "program": "w1", "version": "py-celery 5.7.0", "state": "online",
        "started_us": 1, "last_seen_us": 9, "offline_us": null, "lost_us": null, "heartbeat_interval_ms": 2_000, "dropped": [], "running": 0,
        "active": 1, "events": {"task-sent": 2}})
}

pub(crate) fn task(id: &str, phase: &str) -> Value {
    json!({"id": "0000000000000003", "root_id": id.replace('-', ""), "parent_id": null, "name": "h2.add", "kind": "task", "state": "pending",
        "native_id": id, "attempt": 1, "started_us": null, "ended_us": null, "elapsed_ns": null, "worker_id": null, "thread": null, "source": null,
        "error": null, "reason": null, "exit_code": null, "signal": null, "attachment": "child", "orphan": false, "links": [], "fields": {},
        "progress": null, "fold": null, "task": {"phase": phase, "queue": "celery", "exchange": "", "routing_key": "celery", "args": "(1, 1)",
        "kwargs": "{}", "result": "3", "traceback": null, "eta_us": 1_795_260_882_125_380_u64, "expires_us": null,
        "sent_us": 1_795_260_282_136_650_u64, "sent_by": null, "received_us": 1_795_260_282_155_174_u64,
        "received_by": "00000000000000000000000000000007", "pid": null}})
}

impl Api {
    fn command(body: &Value) -> Result<Value, Failure> {
        let arguments = &body["arguments"];
        let method = body["method"].as_str().unwrap();
        let (status, value, error) = match method {
            "rate-limit" if arguments["rate"] == "fast" => return Err(Failure { status: 400, detail: "no rate".to_owned() }),
            "rate-limit" if arguments["name"] == "nosuch" => ("error", Value::Null, "unknown task"),
            "rate-limit" => ("ok", json!("new rate limit set successfully"), ""),
            "time-limit" => ("ok", json!("time limits set successfully"), ""),
            "autoscale" => ("error", Value::Null, "ValueError('Autoscale not enabled')"),
            "add-consumer" => ("ok", json!({"ok": "add consumer other"}), ""),
            "cancel-consumer" => ("ok", json!({"ok": "no longer consuming from other"}), ""),
            "registered" => ("ok", json!(["h2.add [rate_limit=10/m]", "h2.fail"]), ""),
            _ => ("ok", json!({}), ""),
        };
        let line =
            json!({"worker_id": "00000000000000000000000000000007", "name": "w1@h2", "status": status, "value": value, "error": error});
        Ok(
            json!({"id": null, "method": method, "arguments": {}, "created_us": 1, "by": "a", "timeout_ms": 1, "done": true, "counts": {}, "lines": [line]}),
        )
    }
}

impl Ask for Api {
    async fn ask(&self, path: String, body: Option<Value>) -> Result<Value, Failure> {
        let called = json!({"uuid": ADD, "worker": "w1@h2", "worker_id": null, "command": null});
        match (&*path, &body) {
            ("/commands", Some(body)) => Self::command(body),
            ("/queue-tasks", Some(_)) => Ok(called),
            ("/queue-tasks/revoke", Some(_)) => Ok(Value::Null),
            ("/queue-tasks/types", None) => Ok(json!({"types": [{"name": "h2.add", "states": {}}]})),
            (path, None) if path.starts_with("/processes?root=") => Ok(json!({"processes": [], "next_cursor": null, "as_of": 1})),
            (path, None) if path.starts_with("/workers") => Ok(json!({"workers": [worker()]})),
            (path, None) if path.starts_with("/queues?") => Ok(json!({"queues": [{"name": "celery", "states": {},
                "workers": [{"worker": "w1@h2", "worker_id": null, "waiting": 0}]}]})),
            (path, None) if path.ends_with("/result?timeout=60000") => Ok(json!({"ended": true})),
            (path, None) if path.starts_with("/queue-tasks?") => {
                Ok(json!({"tasks": [task(ADD, "received")], "next_cursor": null, "examined": 1, "as_of": 1}))
            }
            ("/queue-tasks/nosuch", None) => Err(Failure { status: 404, detail: "there is no task".to_owned() }),
            (path, None) => Ok(task(&path["/queue-tasks/".len()..], "succeeded")),
            (path, body) => panic!("{path} {body:?}"),
        }
    }
}

/// Answers a request, which never waits, because the API is in memory.
fn answered(is_post: bool, target: &str, body: &str) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (request, counts) = (Request::new(is_post, path, query, body.as_bytes().to_vec()), Counts::default());
    let future = pin!(answer(&Api, &request, "http://127.0.0.1:60010", &counts));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("{target} waits"),
    }
}

/// The keys of an object.
fn keys(value: &Value) -> Vec<&String> {
    let mut keys: Vec<_> = value.as_object().into_iter().flat_map(|of| of.keys()).collect();
    keys.sort();
    keys
}

#[test]
fn recorded_requests_have_the_recorded_status_and_keys() {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/flower-api.json")).unwrap();
    let recorded = recorded["with FLOWER_UNAUTHENTICATED_API=true"].as_array().unwrap();
    let mut compared = 0;
    for exchange in recorded {
        let request = exchange["request"].as_str().unwrap();
        let (method, target) = request.split_once(' ').unwrap();
        // Two addresses of Flower's own pages, and results that only a result backend has.
        if target.starts_with("/workers?") || target.starts_with("/tasks/datatable") || target.starts_with("/api/task/abort/") {
            continue;
        }
        let answer = answered(method == "POST", target, exchange["body"].as_str().unwrap_or_default());
        assert_eq!(u64::from(answer.status), exchange["status"].as_u64().unwrap(), "{request} {answer:?}");
        let expected = &exchange["answer"];
        match &answer.content {
            Content::Json(json) if target.starts_with("/api/tasks") || target.starts_with("/api/workers") => assert!(json.is_object()),
            Content::Json(json) if target.starts_with("/api/task/result/f5") => assert_eq!(json["state"], "SUCCESS"),
            Content::Json(json) => {
                assert_eq!(keys(json), keys(expected), "{request}");
                let message = &expected["message"];
                assert!(message.is_null() || &json["message"] == message, "{request}: {json}");
            }
            Content::Text(text) => assert_eq!(text, expected.as_str().unwrap(), "{request}"),
            Content::Html(_) | Content::Metrics(_) | Content::Redirect(_) => {}
        }
        compared += 1;
    }
    assert_eq!(compared, recorded.len() - 3);
}

#[test]
fn a_task_has_every_key_and_the_known_values_of_flower() {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/flower-api.json")).unwrap();
    let recorded = recorded["with FLOWER_UNAUTHENTICATED_API=true"].as_array().unwrap();
    let flower = recorded.iter().find(|exchange| exchange["request"] == "GET /api/tasks?limit=2&sort_by=-received").unwrap();
    let flower = &flower["answer"][ADD];
    let Content::Json(ours) = answered(false, "/api/tasks?limit=1&unknown=1", "").content else { panic!("no JSON") };
    let ours = &ours[ADD];
    assert_eq!(keys(ours), keys(flower));
    for key in
        ["uuid", "name", "state", "args", "kwargs", "eta", "retries", "exchange", "routing_key", "root", "root_id", "parent", "worker"]
    {
        assert_eq!(ours[key], flower[key], "{key}");
    }
}

#[test]
fn invalid_requests_are_refused() {
    for (is_post, target, body, status) in [
        (false, "/api/nosuch", "", 404),
        (true, "/api/workers", "", 404),
        (true, "/api/worker/pool/grow/w%261?n=1", "", 404),
        (false, "/api/tasks?state=FAILURE&search=state:SUCCESS", "", 200),
        (true, "/api/worker/pool/explode/w1@h2", "", 404),
        (false, "/api/tasks?received_start=yesterday", "", 400),
        (true, "/api/task/send-task/h2.add", "[1]", 400),
        (true, "/api/task/send-task/h2.add", r#"{"args": [], "kwargs": 1}"#, 400),
        (true, "/api/task/send-task/h2.add", r#"{"eta": "soon"}"#, 400),
    ] {
        let answer = answered(is_post, target, body);
        assert_eq!(answer.status, status, "{target} {body} {answer:?}");
    }
    assert_eq!(answered(false, "/task/abc", "").content, Content::Redirect("http://127.0.0.1:60010/tasks/queue".to_owned()));
    let Content::Html(text) = answered(true, "/api/task/rate-limit/h2.add", "workername=w1@h2&ratelimit=fast").content else { panic!() };
    assert!(!text.contains('<'), "{text}");
}
