//! Tests of queue tasks over HTTP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{CHILD, PROCESS, ROOT, TestServer, batch, read};

fn event(of: &str, id: &str, event: &Value) -> Value {
    let mut all = json!({"root_id": ROOT, "id": id, "native_id": of, "time_us": 1_763_600_000_000_000_u64});
    all.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
    all
}

/// Starts a server with one running task and one failed task.
async fn filled() -> TestServer {
    let server = TestServer::start().await;
    let message = |name: &str| json!({"type": "task-received", "name": name, "queue": "video", "kwargs": {"size": "4k"}});
    let events = [
        event("one", PROCESS, &message("render")),
        event("one", PROCESS, &json!({"type": "task-started"})),
        event("two", CHILD, &message("cut \u{1b}[31m")),
        event("two", CHILD, &json!({"type": "task-started"})),
        event("two", CHILD, &json!({"type": "task-failed", "exception": "no disk", "traceback": "at 7"})),
    ];
    server.send(&batch(1, &events)).await;
    server
}

fn ids(page: &Value) -> Vec<&str> {
    page["tasks"].as_array().unwrap_or_else(|| panic!("{page}")).iter().map(|task| task["native_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_unknown_state_or_phase_is_answered_with_a_suggestion() {
    let server = filled().await;
    for (query, words) in [
        ("state=faild", "did you mean failed?"),
        ("state=running,banana", "\"banana\" is not known; expected pending, running, succeeded"),
        ("phase=banana", "expected sent, received"),
        ("phase=retryed", "did you mean retried?"),
        ("worker=%5B", "["),
    ] {
        let (status, problem) = read(server.get(&format!("/api/v1/queue-tasks?{query}")).send().await.unwrap()).await;
        let parameter = query.split_once('=').map(|(name, _)| name);
        assert!(status == 400 && problem["parameter"].as_str() == parameter, "{query}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{query}: {problem}");
    }
}

#[tokio::test]
async fn tasks_are_listed_counted_and_found() {
    let server = filled().await;
    for (query, expected) in [
        ("sort=name", vec!["two", "one"]),
        ("sort=%2Bname", vec!["two", "one"]),
        ("sort=-name", vec!["one", "two"]),
        ("state=failed,lost", vec!["two"]),
        ("type=render&state=&queue=video", vec!["one"]),
        ("phase=started", vec!["one"]),
        ("q=kwargs:size%3D4k+not+error:disk", vec!["one"]),
        ("q=state:nothing", vec![]),
        ("sort=name&offset=1&limit=1", vec!["one"]),
    ] {
        let page = server.ask(&format!("/api/v1/queue-tasks?{query}")).await;
        assert_eq!(ids(&page), expected, "{query}");
        assert_eq!(page["next_cursor"], json!(null), "{query}");
    }
    let first = server.ask("/api/v1/queue-tasks?sort=name&limit=1").await;
    let cursor: String = url::form_urlencoded::byte_serialize(first["next_cursor"].as_str().unwrap().as_bytes()).collect();
    assert_eq!(ids(&server.ask(&format!("/api/v1/queue-tasks?sort=name&limit=1&cursor={cursor}")).await), ["one"]);

    let queues = server.ask("/api/v1/queues").await;
    assert_eq!(queues, json!({"queues": [{"name": "video", "states": {"failed": 1, "running": 1}}]}));
    let types = server.ask("/api/v1/queue-tasks/types").await;
    assert_eq!(types["types"][1], json!({"name": "render", "states": {"running": 1}}));
    let task = server.ask("/api/v1/queue-tasks/two").await;
    assert_eq!((&task["task"]["phase"], &task["root_id"]), (&json!("failed"), &json!(ROOT)));
    for path in ["nothing", "%22%27%00"] {
        for path in [format!("/api/v1/queue-tasks/{path}"), format!("/api/v1/queue-tasks/{path}/result")] {
            let (status, problem) = read(server.get(&path).send().await.unwrap()).await;
            assert!(status == 404, "{path}: {status} {problem}");
        }
    }
}

#[tokio::test]
async fn a_task_with_only_a_known_end_is_found_by_its_id() {
    let server = TestServer::start().await;
    server.send(&batch(1, &[event("late", PROCESS, &json!({"type": "task-succeeded", "result": 7}))])).await;
    // A process with the same id that is not a task.
    let other = json!({"type": "process-started", "name": "late", "kind": "job", "time_us": 1_763_600_000_000_001_u64});
    server.send(&batch(2, &[event("late", CHILD, &other)])).await;
    assert_eq!(server.ask("/api/v1/queue-tasks/late").await["id"], PROCESS);
    assert_eq!(server.ask("/api/v1/queue-tasks/late/result").await["result"], 7);
}

#[tokio::test]
async fn a_result_shows_how_its_task_ended_and_if_the_result_was_recorded() {
    let server = TestServer::start().await;
    let received = json!({"type": "task-received", "name": "cut"});
    let retried = json!({"type": "task-retried", "exception": "no net", "traceback": "at 3"});
    let again = json!({"type": "task-succeeded", "attempt": 2});
    let all = [
        ("empty", "00000000000000d1", vec![json!({"type": "task-succeeded", "result": null})]),
        ("unknown", "00000000000000d2", vec![json!({"type": "task-succeeded"})]),
        ("rejected", "00000000000000d3", vec![json!({"type": "task-rejected"})]),
        ("revoked", "00000000000000d4", vec![json!({"type": "task-revoked"})]),
        ("waits", "00000000000000d5", vec![retried.clone()]),
        ("again", "00000000000000d6", vec![retried, again]),
    ];
    let told =
        |(of, id, ends): &(&str, &str, Vec<Value>)| [&received].into_iter().chain(ends).map(|told| event(of, id, told)).collect::<Vec<_>>();
    server.send(&batch(1, &all.iter().flat_map(told).collect::<Vec<_>>())).await;
    for (of, state, phase, has_result, traceback) in [
        ("empty", "succeeded", "succeeded", true, json!(null)),
        ("unknown", "succeeded", "succeeded", false, json!(null)),
        ("rejected", "cancelled", "rejected", false, json!(null)),
        ("revoked", "cancelled", "revoked", false, json!(null)),
        ("waits", "pending", "retried", false, json!("at 3")),
        ("again", "succeeded", "succeeded", false, json!(null)),
    ] {
        let result = server.ask(&format!("/api/v1/queue-tasks/{of}/result")).await;
        let expected = json!([state, phase, has_result, null, traceback]);
        let told = json!([result["state"], result["phase"], result["has_result"], result["result"], result["traceback"]]);
        assert_eq!(told, expected, "{result}");
    }
}

#[tokio::test]
async fn a_request_can_wait_for_a_result() {
    let server = filled().await;
    let failed = server.ask("/api/v1/queue-tasks/two/result").await;
    assert_eq!((&failed["ended"], &failed["error"], &failed["traceback"]), (&json!(true), &json!("no disk"), &json!("at 7")));
    let running = server.ask("/api/v1/queue-tasks/one/result?timeout=1").await;
    assert_eq!((&running["ended"], &running["state"]), (&json!(false), &json!("running")));
    let waits = server.get("/api/v1/queue-tasks/one/result?timeout=60000").timeout(Duration::from_secs(90)).send();
    let ends = async {
        let ended = event("one", PROCESS, &json!({"type": "task-succeeded", "result": {"frames": 2}}));
        server.send(&batch(6, &[ended])).await;
    };
    let (answer, ()) = tokio::join!(waits, ends);
    let (status, result) = read(answer.unwrap()).await;
    assert_eq!((status, &result["result"], &result["ended"]), (200, &json!({"frames": 2}), &json!(true)), "{result}");
}

#[tokio::test]
async fn a_request_can_wait_for_the_result_of_a_task_that_is_not_known_yet() {
    let server = filled().await;
    let (status, problem) = read(server.get("/api/v1/queue-tasks/three/result?timeout=1").send().await.unwrap()).await;
    assert_eq!(status, 404, "{problem}");
    let waits = server.get("/api/v1/queue-tasks/three/result?timeout=60000").timeout(Duration::from_secs(90)).send();
    let comes = async {
        let told = [json!({"type": "task-received", "name": "cut"}), json!({"type": "task-succeeded", "result": 3})];
        server.send(&batch(6, &told.map(|told| event("three", "00000000000000cc", &told)))).await;
    };
    let (answer, ()) = tokio::join!(waits, comes);
    let (status, result) = read(answer.unwrap()).await;
    assert_eq!((status, &result["result"]), (200, &json!(3)), "{result}");
}
