//! Tests of batch tasks over the API: definitions, versions, runs, and the tasks of agents.

use serde_json::{Value, json};

use crate::stream::Reader;
use crate::support::{TestServer, batch, read};

/// 2026-11-21T02:30:00Z
const DUE: u64 = 1_795_228_200_000_000;

async fn ask(server: &TestServer, method: &str, path: &str, if_match: Option<&str>, body: Option<Value>) -> (u16, Value) {
    let request = server.client.request(method.parse().unwrap(), format!("http://{}/api/v1/{path}", server.address));
    let request = request.bearer_auth(server.local_token());
    let request = if_match.into_iter().fold(request, |request, version| request.header("if-match", version));
    let request = body.into_iter().fold(request, |request, body| request.json(&body));
    let response = request.send().await.unwrap();
    if response.status() == 204 { (204, Value::Null) } else { read(response).await }
}

fn gold() -> Value {
    json!({"name": "gold", "command": ["node", "index.js"], "rules": ["30 2 * * *"], "zone": "UTC", "on": ["db-1"], "owner": "ada"})
}

#[tokio::test]
async fn adding_changing_pausing_and_deleting_a_task_each_send_an_event() {
    let server = TestServer::start().await;
    let mut stream = Reader::open(server.get("/api/v1/stream?types=batch-task-changed")).await;
    let (status, task) = ask(&server, "POST", "batch-tasks", None, Some(gold())).await;
    assert_eq!((status, &task["version"], task["next_us"].as_array().unwrap().len()), (201, &json!(1), 5), "{task}");
    let told = stream.next().await.data;
    assert_eq!(
        (&told["event"]["task"], &told["event"]["version"], &told["event"]["status"]),
        (&json!("gold"), &json!(1), &json!("active"))
    );
    assert_eq!(ask(&server, "POST", "batch-tasks", None, Some(gold())).await.0, 409);
    let mut other = gold();
    other["owner"] = json!("bob");
    assert_eq!(ask(&server, "PUT", "batch-tasks/gold", None, Some(other.clone())).await.0, 400, "a change wants If-Match");
    assert_eq!(ask(&server, "PUT", "batch-tasks/gold", Some("\"7\""), Some(other.clone())).await.0, 412);
    let (status, task) = ask(&server, "PUT", "batch-tasks/gold", Some("\"1\""), Some(other)).await;
    assert_eq!((status, &task["version"], &task["definition"]["owner"]), (200, &json!(2), &json!("bob")), "{task}");
    let (_, versions) = ask(&server, "GET", "batch-tasks/gold/versions", None, None).await;
    assert_eq!(versions["versions"][0]["diff"], json!([r#"- owner = "ada""#, r#"+ owner = "bob""#]), "{versions}");
    let (status, task) = ask(&server, "POST", "batch-tasks/gold/pause", None, Some(json!({}))).await;
    assert_eq!((status, &task["status"], &task["next_us"]), (200, &json!("paused"), &json!([])), "{task}");
    assert_eq!(ask(&server, "POST", "batch-tasks/gold/pause", None, Some(json!({"until_us": 1}))).await.0, 400);
    assert_eq!(ask(&server, "POST", "batch-tasks/gold/resume", None, None).await.1["status"], "active");
    assert_eq!(ask(&server, "DELETE", "batch-tasks/gold", None, None).await.0, 204);
    assert_eq!(ask(&server, "GET", "batch-tasks/gold", None, None).await.0, 404);
    assert_eq!(ask(&server, "GET", "batch-tasks/gold/versions", None, None).await.1["versions"].as_array().unwrap().len(), 3);
    let (_, audit) = ask(&server, "GET", "audit", None, None).await;
    let actions: Vec<_> = audit["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let is_change = |action: &&&str| action.starts_with("PUT") && action.ends_with(r#"version 2 - owner = "ada"; + owner = "bob""#);
    assert!(actions.iter().any(|action| is_change(&action)), "{actions:#?}");
}

#[tokio::test]
async fn mistakes_of_definitions_are_reported_together_with_their_places() {
    let server = TestServer::start().await;
    let wrong = json!({"name": "gold", "command": ["true"], "rules": ["0 25 * * *"], "ownr": "ada"});
    let (status, problem) = ask(&server, "POST", "batch-tasks", None, Some(wrong)).await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 400 && detail.contains("rules.0: hour") && detail.contains("did you mean owner?"), "{problem}");
    for (definition, words) in [
        (json!({"name": "runs", "command": ["true"]}), "part of the API's paths"),
        (json!({"name": "a", "command": ["true"], "then": {"success": ["b"]}}), "there is no task b"),
        (json!({"name": "a", "command": ["true"], "then": {"success": ["a"]}}), "for ever"),
        (json!({"name": "a", "command": ["true"], "rules": ["@daily", "2024-12-24T18:00Z"]}), "a: rules.1: this rule never fires again"),
        (json!({}), "name"),
    ] {
        let (status, problem) = ask(&server, "POST", "batch-tasks", None, Some(definition)).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    for body in [json!([]), json!("gold"), json!(null)] {
        assert_eq!(ask(&server, "POST", "batch-tasks", None, Some(body)).await.0, 400);
    }
    // A task that another one starts can't be deleted.
    let (b, a) = (json!({"name": "b", "command": ["true"]}), json!({"name": "a", "command": ["true"], "then": {"fail": ["b"]}}));
    assert_eq!(ask(&server, "POST", "batch-tasks/apply", None, Some(json!({"tasks": [a, b]}))).await.0, 200);
    let (status, problem) = ask(&server, "DELETE", "batch-tasks/b", None, None).await;
    assert!(status == 400 && problem["detail"].as_str().unwrap().contains("a: then.fail.0: there is no task b"), "{problem}");
}

#[tokio::test]
async fn a_folder_is_applied_after_its_plan_all_or_nothing() {
    let server = TestServer::start().await;
    ask(&server, "POST", "batch-tasks", None, Some(gold())).await;
    ask(&server, "POST", "batch-tasks", None, Some(json!({"name": "old", "command": ["true"]}))).await;
    let mut changed = gold();
    changed["owner"] = json!("bob");
    let tasks = json!([changed, {"name": "new", "command": ["true"]}]);
    let apply = |dry_run: bool| json!({"tasks": tasks, "delete": true, "dry_run": dry_run});
    let told = |answer: &Value| {
        let steps = answer["steps"].as_array().unwrap().iter();
        steps
            .map(|step| format!("{} {} {}", step["what"].as_str().unwrap(), step["name"].as_str().unwrap(), step["version"]))
            .collect::<Vec<_>>()
    };
    let (_, plan) = ask(&server, "POST", "batch-tasks/apply", None, Some(apply(true))).await;
    assert_eq!(told(&plan), ["change gold null", "add new null", "delete old null"]);
    assert_eq!(ask(&server, "GET", "batch-tasks/gold", None, None).await.1["version"], 1, "a plan changes nothing");
    let (_, done) = ask(&server, "POST", "batch-tasks/apply", None, Some(apply(false))).await;
    assert_eq!(told(&done), ["change gold 2", "add new 1", "delete old 2"]);
    let (_, again) = ask(&server, "POST", "batch-tasks/apply", None, Some(apply(false))).await;
    assert_eq!(told(&again), ["same gold 2", "same new 1"]);
    let (status, problem) =
        ask(&server, "POST", "batch-tasks/apply", None, Some(json!({"tasks": [{"name": "ok", "command": ["true"]}, {"name": 7}]}))).await;
    assert!(status == 400 && problem["detail"].as_str().unwrap().starts_with("tasks.1: "), "{problem}");
    assert_eq!(ask(&server, "GET", "batch-tasks/ok", None, None).await.0, 404);
}

#[tokio::test]
async fn an_agent_gets_its_own_book_as_it_changes() {
    let server = TestServer::start().await;
    ask(&server, "POST", "batch-tasks", None, Some(gold())).await;
    ask(&server, "POST", "batch-tasks", None, Some(json!({"name": "own", "command": ["true"]}))).await;
    let book = async |name: &str, after: u64| {
        let (status, book) = ask(&server, "GET", &format!("agents/{name}/book?after={after}"), None, None).await;
        assert_eq!(status, 200, "{book}");
        let tasks = book["tasks"].as_array().unwrap().iter();
        let tasks = tasks.map(|task| format!("{} {}", task["name"].as_str().unwrap(), task["status"].as_str().unwrap()));
        (book["revision"].as_u64().unwrap(), tasks.collect::<Vec<_>>())
    };
    let (revision, tasks) = book("db-1", 0).await;
    assert_eq!((tasks, book("local", 0).await.1), (vec!["gold active".to_owned()], vec!["own active".to_owned()]));
    assert_eq!(book("db-1", revision).await, (revision, vec![]));
    let mut moved = gold();
    moved["on"] = json!(["db-2"]);
    ask(&server, "PUT", "batch-tasks/gold", Some("*"), Some(moved)).await;
    assert_eq!(book("db-1", revision).await.1, ["gold deleted"], "it is another agent's");
    assert_eq!((book("db-1", 0).await.1, book("db-2", 0).await.1), (vec![], vec!["gold active".to_owned()]));
}

#[tokio::test]
async fn an_agent_receives_its_known_state_from_the_server() {
    let server = TestServer::start().await;
    ask(&server, "POST", "batch-tasks", None, Some(gold())).await;
    ask(&server, "POST", "batch-tasks", None, Some(json!({"name": "own", "command": ["true"]}))).await;
    let known = async |path: &str| {
        let (status, book) = ask(&server, "GET", &format!("agents/{path}"), None, None).await;
        assert_eq!(status, 200, "{book}");
        book["known"].clone()
    };
    for path in ["db-1/book", "db-1/book?known=false", "db-1/book?known=true&after=1"] {
        assert_eq!(known(path).await, Value::Null, "{path}");
    }
    // `wait_ms` has no effect for agents that have lost their database.
    let of_other = known("db-2/book?known=true&wait_ms=60000").await;
    assert_eq!(of_other, json!({"agent": null, "tasks": []}));
    let version_us = ask(&server, "GET", "batch-tasks/gold", None, None).await.1["changed_us"].as_u64().unwrap();
    let due_us = version_us + 1_000_000;
    let file = json!({"name": "tin", "command": ["true"]});
    let events = [
        json!({"type": "batch-task-changed", "time_us": version_us, "task": "tin", "version": 7, "status": "paused", "until_us": due_us,
            "agent": "db-1", "who": "tin.toml", "definition": file}),
        json!({"type": "run-skipped", "time_us": version_us, "task": "gold", "agent": "db-1", "version": 1, "due_us": due_us, "reason": "lock"}),
        json!({"type": "agent-decided", "time_us": version_us, "agent": "db-1", "until_us": version_us, "paused_from_us": version_us}),
    ];
    server.send_of_agent(&batch(1, &events)).await;
    let of_gold = json!({"name": "gold", "version": 1, "status": "active", "until_us": null, "changed_us": version_us, "from_us": version_us,
        "decided": [{"first_us": due_us, "last_us": due_us}]});
    let of_tin = json!({"name": "tin", "version": 7, "status": "paused", "until_us": due_us, "changed_us": version_us, "from_us": version_us,
        "decided": []});
    let agent = json!({"name": "db-1", "decided_us": version_us, "paused_from_us": version_us, "paused_until_us": null});
    assert_eq!(known("db-1/book?known=true").await, json!({"agent": agent, "tasks": [of_gold, of_tin]}));
}

#[tokio::test]
async fn an_agent_of_a_server_without_tasks_waits_for_the_first_one() {
    let server = TestServer::start().await;
    let waiting = ask(&server, "GET", "agents/db-1/book?after=0&wait_ms=60000", None, None);
    let asking = async {
        // The first request has arrived by then.
        let own = ask(&server, "GET", "agents/db-1/book?after=0", None, None).await;
        assert_eq!(own, (200, json!({"revision": 0, "tasks": []})));
        ask(&server, "POST", "batch-tasks", None, Some(gold())).await
    };
    let ((status, book), added) = tokio::join!(waiting, asking);
    assert_eq!(added.0, 201);
    assert_eq!((status, &book["tasks"][0]["name"]), (200, &json!("gold")), "{book}");
}

#[tokio::test]
async fn runs_are_listed_and_each_due_time_is_explained() {
    let server = TestServer::start().await;
    let mut every = gold();
    every["rules"] = json!(["* * * * *"]);
    ask(&server, "POST", "batch-tasks", None, Some(every)).await;
    let of = json!({"root_id": "019f0000000000000000000000000001", "id": "00000000000000c1", "native_id": "gold@20261121T023000Z.1"});
    let with = |more: Value| {
        let mut event = of.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let fields =
        json!({"task.name": "gold", "task.version": "1", "task.due_us": DUE.to_string(), "task.trigger": "time", "task.agent": "db-1"});
    let events = [
        with(json!({"type": "process-started", "time_us": DUE + 5, "kind": "run", "name": "gold", "fields": fields})),
        with(json!({"type": "process-ended", "time_us": DUE + 9, "outcome": "failed", "exit_code": 3,
            "error": {"kind": "exit", "message": "no prices"}})),
        json!({"type": "run-skipped", "time_us": DUE, "task": "gold", "agent": "db-1", "version": 1, "due_us": DUE + 60_000_000,
            "reason": "overlap", "blocked_by": "gold@20261121T023000Z.1"}),
        json!({"type": "run-missed", "time_us": DUE, "task": "gold", "agent": "db-1", "version": 1, "first_due_us": DUE + 120_000_000,
            "last_due_us": DUE + 240_000_000, "count": 3, "reason": "agent-down"}),
    ];
    server.send_of_agent(&batch(1, &events)).await;
    let runs = server.ask("/api/v1/batch-tasks/runs?task=gold&exit_code=3&outcome=failed&agent=db-1").await;
    assert_eq!((&runs["runs"][0]["run"], &runs["runs"][0]["error"]), (&json!("gold@20261121T023000Z.1"), &json!("no prices")), "{runs}");
    assert_eq!(server.ask("/api/v1/batch-tasks/runs?exit_code=4").await["runs"], json!([]));
    let log = async |run: &str| ask(&server, "GET", &format!("batch-tasks/runs/{run}/log"), None, None).await;
    let (status, away) = log("gold@20261121T023000Z.1").await;
    assert!(status == 503 && away["detail"].as_str().unwrap().contains("db-1, which did not answer"), "{away}");
    server.send_of_agent(&batch(9, &[json!({"type": "worker-offline", "time_us": DUE + 10})])).await;
    let (status, ended) = log("gold@20261121T023000Z.1").await;
    assert!(status == 503 && ended["detail"].as_str().unwrap().contains("db-1"), "{ended}");
    assert_eq!((log("gold").await.0, log("tin@20261121T023000Z.1").await.0), (404, 404));
    assert_eq!(server.ask("/api/v1/batch-tasks?q=GOL").await["tasks"][0]["runs"][0]["outcome"], "failed");
    let path = format!("/api/v1/batch-tasks/gold/explain?from={DUE}&to={}", DUE + 240_000_001);
    let explained = server.ask(&path).await;
    let told: Vec<_> = explained["due"].as_array().unwrap().iter().map(|due| (due["decision"].clone(), due["reason"].clone())).collect();
    let expected = [("started", "time"), ("skipped", "overlap"), ("missed", "agent-down")].map(|(what, why)| (json!(what), json!(why)));
    assert_eq!(told, expected, "{explained}");
    let planned = server.ask("/api/v1/batch-tasks/gold/explain").await;
    let last = planned["due"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["decision"], &last["agent"]), (&json!("will-start"), &json!("db-1")), "{last}");
    let next = server
        .ask("/api/v1/batch-tasks/rules/next?rules=30%202%20*%20*%20*;@hourly&zone=Europe/Berlin&limit=3&after=1774659600000000")
        .await;
    assert_eq!(next["due"].as_array().unwrap().len(), 3, "{next}");
    for wrong in ["rules/next?rules=x", "rules/next?rules=@daily&zone=Nowhere", "runs?cursor=x", "runs?exit_code=x", "runs?nope=1"] {
        assert_eq!(ask(&server, "GET", &format!("batch-tasks/{wrong}"), None, None).await.0, 400, "{wrong}");
    }
    assert_eq!(ask(&server, "GET", "batch-tasks/none/explain", None, None).await.0, 404);
}

#[tokio::test]
async fn a_day_lists_due_times_and_their_outcomes_by_agent() {
    let server = TestServer::start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    let (second, hour) = (1_000_000, 3_600_000_000);
    // There is a due time every five seconds, so that the number of missed due times does not depend on the time of the test.
    let due = now / (5 * second) * 5 * second;
    let event = |nth: u64, due: u64, more: Value| {
        let mut event = json!({"root_id": format!("{nth:032x}"), "id": format!("{nth:016x}"), "native_id": format!("gold@{nth}.1")});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        if event["type"] == "process-started" {
            event["fields"] = json!({"task.name": "gold", "task.due_us": due.to_string(), "task.trigger": "time", "task.agent": "db-1"});
        }
        event
    };
    let start = |nth, due| event(nth, due, json!({"type": "process-started", "time_us": due + 5, "kind": "run", "name": "gold"}));
    let end = |nth, end, outcome: &str| event(nth, end, json!({"type": "process-ended", "time_us": end, "outcome": outcome}));
    // The agent has had its version for three hours.
    let definition = json!({"name": "gold", "command": ["true"], "rules": ["@every 5s"], "zone": "UTC", "on": ["db-1"]});
    let mut events = vec![
        json!({"type": "batch-task-changed", "time_us": due - 3 * hour, "task": "gold", "version": 1, "status": "active", "agent": "db-1", "definition": definition}),
        // The first run began before the day and ended within it, and the second is still running.
        start(1, due - 5 * hour),
        end(1, due - hour, "succeeded"),
        start(2, due - 4 * hour),
        json!({"type": "run-missed", "time_us": due, "task": "gold", "agent": "db-1", "version": 1, "first_due_us": due - hour,
            "last_due_us": due - hour / 2, "count": 361, "reason": "agent-down"}),
    ];
    for nth in 0..1_000 {
        events.push(start(nth + 10, due - 2 * hour + nth * second));
        events.push(end(nth + 10, due - 2 * hour + nth * second + 9, if nth == 500 { "failed" } else { "succeeded" }));
    }
    server.send_of_agent(&batch(1, &events)).await;
    for nth in 0..6 {
        let other = json!({"name": format!("other-{nth}"), "command": ["true"], "rules": ["* * * * *"], "on": ["db-1"]});
        assert_eq!(ask(&server, "POST", "batch-tasks", None, Some(other)).await.0, 201);
    }
    let path = format!("/api/v1/batch-tasks/runs/day?from={}&to={}", due - 3 * hour, due + hour);
    let day = server.ask(&path).await;
    assert_eq!((day["lanes"].as_array().unwrap().len(), &day["is_cut"]), (7, &json!(false)), "{day}");
    let gold = &day["lanes"][0];
    assert_eq!((&gold["agent"], &gold["task"]), (&json!("db-1"), &json!("gold")));
    let of = |decision: &str, outcome: Value| {
        let marks = gold["marks"].as_array().unwrap().iter();
        marks
            .filter(|mark| mark["decision"] == decision && mark["outcome"] == outcome)
            .map(|mark| mark["count"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("started", json!("succeeded")), [1, 999]);
    assert_eq!((of("started", json!("failed")), of("started", json!("running"))), (vec![1], vec![1]));
    assert_eq!(of("missed", Value::Null), [361]);
    // No agent has reported on the other past due times. Future due times are planned.
    assert!(of("unknown", Value::Null).iter().sum::<u64>() > 1_000, "{gold}");
    let planned = of("will-start", Value::Null).iter().sum::<u64>() + of("will-be-skipped", Value::Null).iter().sum::<u64>();
    assert!((600..720).contains(&planned), "{planned}");
    let crowd = &day["crowded"][0];
    assert!((&crowd["agent"], &crowd["starts"]) == (&json!("db-1"), &json!(7)) || crowd["starts"] == 6, "{crowd}");
    let narrowed = server.ask(&format!("{path}&q=OTHER-3&agent=db-1")).await;
    assert_eq!((narrowed["lanes"].as_array().unwrap().len(), &narrowed["crowded"]), (1, &json!([])));
    assert_eq!(server.ask(&format!("{path}&agent=db-2")).await["lanes"], json!([]));
    for wrong in ["", "?from=1", "?from=2&to=1", "?from=0&to=93600000001", "?from=x&to=1", "?from=0&to=1&nope=1"] {
        assert_eq!(ask(&server, "GET", &format!("batch-tasks/runs/day{wrong}"), None, None).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_definition_is_rehearsed_on_real_durations() {
    let server = TestServer::start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    let hour = 3_600_000_000;
    // Every second run takes 72 minutes.
    let events = (1..=4).flat_map(|nth: u64| {
        let due = (now - 10 * hour) / 1_000_000 * 1_000_000 + nth * hour;
        let fields = json!({"task.name": "gold", "task.version": "1", "task.due_us": due.to_string(), "task.trigger": "time"});
        let id =
            json!({"root_id": format!("{nth:032x}"), "id": format!("{nth:016x}"), "native_id": format!("gold@20261121T02300{nth}Z.1")});
        let with = |more: Value| {
            let mut event = id.clone();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let took = if nth.is_multiple_of(2) { hour / 10 * 12 } else { hour / 12 };
        [
            with(json!({"type": "process-started", "time_us": due, "kind": "run", "name": "gold", "fields": fields})),
            with(json!({"type": "process-ended", "time_us": due + took, "outcome": "succeeded", "exit_code": 0})),
        ]
    });
    server.send(&batch(1, &events.collect::<Vec<_>>())).await;
    let mut tried = gold();
    tried["rules"] = json!(["30 * * * *"]);
    let (status, found) = ask(&server, "POST", "batch-tasks/rehearse", None, Some(tried.clone())).await;
    let number = |key: &str| found[key].as_u64().unwrap_or_else(|| panic!("{key} of {found}"));
    assert_eq!((status, number("durations"), number("due")), (200, 4, 720));
    assert_eq!(number("starts") + found["skipped"]["overlap"].as_u64().unwrap(), 720, "{found}");
    assert!((230..250).contains(&number("overlaps")), "every third is skipped: {found}");
    tried["overlap"] = json!("queue 3");
    let (_, queued) = ask(&server, "POST", "batch-tasks/rehearse", None, Some(tried)).await;
    assert_eq!((&queued["starts"], &queued["longest_wait_ns"]), (&json!(720), &json!(720_000_000_000_u64)), "{queued}");
    assert_eq!(ask(&server, "POST", "batch-tasks/rehearse", None, Some(json!({"name": 7}))).await.0, 400);
    assert_eq!(ask(&server, "GET", "batch-tasks/gold", None, None).await.0, 404, "nothing is saved");
}

#[tokio::test]
async fn an_order_is_a_durable_command_for_the_agents_of_the_task() {
    let server = TestServer::start().await;
    ask(&server, "POST", "batch-tasks", None, Some(gold())).await;
    let (status, command) = ask(&server, "POST", "batch-tasks/gold/run", None, Some(json!({"args": ["--again"]}))).await;
    assert_eq!((status, &command["method"], &command["arguments"]["args"]), (200, &json!("run"), &json!(["--again"])), "{command}");
    assert_eq!(
        (&command["lines"][0]["name"], &command["lines"][0]["status"]),
        (&json!("monitor-agent@db-1"), &json!("waiting")),
        "{command}"
    );
    let (status, problem) = ask(&server, "POST", "batch-tasks/gold/kill", None, Some(json!({"run": "tin@20261121T023000Z.1"}))).await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(ask(&server, "POST", "batch-tasks/gold/kill", None, Some(json!({"now": true}))).await.1["arguments"]["what"], "gold");
    assert_eq!(ask(&server, "POST", "batch-tasks/tin/run", None, Some(json!({}))).await.0, 404);
}
