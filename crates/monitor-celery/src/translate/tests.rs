use monitor_wire::Batch;
use serde_json::json;

use super::*;

const NOW: u64 = 1_795_000_000_000_000;

fn translator() -> Translator {
    Translator::new("orders", &["ping"], Arguments::All)
}

fn event(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// The translated event as JSON.
fn one(translator: &mut Translator, value: &Value) -> Value {
    let events = translator.translate(&event(value), NOW).unwrap();
    assert_eq!(events.len(), 1, "{value}");
    serde_json::to_value(&events[0]).unwrap()
}

fn received(task: &str, node: &str, retries: u64) -> Value {
    json!({"type": "task-received", "uuid": task, "root_id": task, "parent_id": null, "name": "shop.pay", "hostname": node, "pid": 7,
        "retries": retries, "args": "(1,)", "kwargs": "{'user': 7, 'api_token': 'abc'}", "timestamp": 1_795_156_976.5, "eta": null})
}

fn later(event_type: &str, task: &str, node: &str) -> Value {
    json!({"type": event_type, "uuid": task, "hostname": node, "pid": 7, "timestamp": 1_795_156_977.25})
}

#[test]
fn recorded_events_of_both_brokers_are_a_valid_batch() {
    let mut translator = translator();
    let recorded = include_str!("../../fixtures/events.jsonl");
    let events: Vec<Event> =
        recorded.lines().flat_map(|line| translator.translate(&serde_json::from_str(line).unwrap(), NOW).unwrap()).collect();
    assert_eq!(events.len(), recorded.lines().count() + 3, "each of three nodes is announced");
    let worker = json!({"id": "5b0c00000000000000000000000000fe", "hostname": "h", "program": "celery-bridge"});
    let batch = json!({"version": 1, "worker": worker, "sequence": 1, "sent_us": NOW, "events": events});
    let read = Batch::from_json(batch.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&read.events).unwrap(), serde_json::to_value(&events).unwrap());
}

#[test]
fn a_task_is_a_process_of_the_run_with_its_uuid() {
    let mut translator = translator();
    let task = "fc5608e8-5392-4d93-8032-89c86b319e91";
    let sent = json!({"type": "task-sent", "uuid": task, "root_id": task, "parent_id": null, "name": "shop.pay", "hostname": "gen7@vm", "pid": 8,
        "retries": 0, "queue": "celery", "routing_key": "celery", "exchange": "", "args": "(1,)", "kwargs": "{}",
        "eta": "2026-11-21T11:36:45.410186+00:00", "timestamp": 1_795_156_976.5});
    let sent = one(&mut translator, &sent);
    assert_eq!(sent["root_id"], "fc5608e853924d93803289c86b319e91");
    assert_eq!((&sent["id"], &sent["native_id"]), (&json!(process_id(task).to_string()), &json!(task)));
    assert_eq!(
        (&sent["time_us"], &sent["eta_us"], &sent["queue"]),
        (&json!(1_795_156_976_500_000_u64), &json!(1_795_261_005_410_186_u64), &json!("celery"))
    );
    assert!(sent.get("parent_id").is_none() && sent.get("worker").is_none(), "its sender is no worker: {sent}");

    let received = one(&mut translator, &received(task, "w1@h2", 0));
    assert_eq!(
        (&received["worker"]["program"], &received["worker"]["hostname"], &received["worker"]["pid"]),
        (&json!("w1"), &json!("h2"), &json!(7))
    );
    assert_eq!(received["kwargs"], "{'user': 7, 'api_token': ***}");

    let mut succeeded = later("task-succeeded", task, "w1@h2");
    succeeded["result"] = "3".into();
    succeeded["runtime"] = 0.5.into();
    let succeeded = one(&mut translator, &succeeded);
    assert_eq!(
        (&succeeded["root_id"], &succeeded["result"], &succeeded["runtime_ns"]),
        (&sent["root_id"], &json!("3"), &json!(500_000_000))
    );
}

#[test]
fn the_first_parent_of_a_retried_task_counts() {
    let mut translator = translator();
    let (root, parent, task) =
        ("fc5608e8-5392-4d93-8032-89c86b319e91", "fce7d5bf-87af-445b-a9b8-1b229ea9b481", "be2141fe-250a-4edd-a55d-6313782cb74d");
    let mut first = received(task, "w1@h2", 0);
    (first["root_id"], first["parent_id"]) = (root.into(), parent.into());
    assert_eq!(one(&mut translator, &first)["parent_id"], process_id(parent).to_string());
    let mut again = received(task, "w1@h2", 1);
    (again["root_id"], again["parent_id"]) = (root.into(), task.into());
    let again = one(&mut translator, &again);
    assert_eq!((&again["parent_id"], &again["attempt"]), (&json!(process_id(parent).to_string()), &json!(2)));
    for event_type in ["task-started", "task-retried", "task-started"] {
        one(&mut translator, &later(event_type, task, "w1@h2"));
    }
    let retry = |has_started| Retry { task: task.to_owned(), attempt: 2, has_started };
    assert_eq!(translator.take_retries(), [retry(false), retry(true)]);
}

#[test]
fn the_end_of_an_attempt_is_that_of_its_worker_in_any_order() {
    let mut translator = translator();
    let task = "fc5608e8-5392-4d93-8032-89c86b319e91";
    one(&mut translator, &received(task, "w1@h2", 0));
    // The next attempt is announced by its sender and by another node, before the first node reports the end of its attempt.
    let mut sent = received(task, "w1@h2", 1);
    sent["type"] = "task-sent".into();
    one(&mut translator, &sent);
    one(&mut translator, &received(task, "w2@h2", 1));
    let retried = one(&mut translator, &later("task-retried", task, "w1@h2"));
    assert!(retried.get("attempt").is_none(), "the first attempt: {retried}");
    assert_eq!(one(&mut translator, &later("task-started", task, "w2@h2"))["attempt"], 2);

    let mut restarted = Translator::new("orders", &[], Arguments::All);
    restarted.remember(&Retry { task: task.to_owned(), attempt: 2, has_started: false });
    let retried = one(&mut restarted, &later("task-retried", task, "w1@h2"));
    assert!(retried.get("attempt").is_none(), "only the first attempt was started: {retried}");
    let started = one(&mut restarted, &later("task-started", task, "w2@h2"));
    assert_eq!((&started["attempt"], &started["native_source"], started.get("root_id")), (&json!(2), &json!("celery"), None));
}

#[test]
fn a_task_of_a_program_is_below_the_program_s_process() {
    let mut translator = translator();
    let task = "fc5608e8-5392-4d93-8032-89c86b319e91";
    let mut below = received(task, "w1@h2", 0);
    (below["root_id"], below["parent_id"]) = ("0199a3ce-929d-0e0e-4736-0199a3ce929d".into(), "a3ce929d0e0e4736".into());
    let below = one(&mut translator, &below);
    assert_eq!((&below["root_id"], &below["parent_id"]), (&json!("0199a3ce929d0e0e47360199a3ce929d"), &json!("a3ce929d0e0e4736")));
    let other = "be2141fe-250a-4edd-a55d-6313782cb74d";
    let mut below = received(other, "w1@h2", 0);
    below["root_id"] = "0199a3ce-929d-0e0e-4736-0199a3ce929d".into();
    assert_eq!(one(&mut translator, &below)["parent_id"], "47360199a3ce929d", "only the run is known");
}

#[test]
fn arguments_and_results_are_recorded_for_the_named_tasks() {
    let of = |arguments: &str| {
        let mut translator = Translator::new("orders", &[], arguments.parse().unwrap());
        let received = one(&mut translator, &received("u1", "w1@h2", 0));
        let mut succeeded = later("task-succeeded", "u1", "w1@h2");
        succeeded["result"] = "'paid'".into();
        let succeeded = one(&mut translator, &succeeded);
        assert_eq!(received.get("args").is_some(), received.get("kwargs").is_some());
        (received.get("args").is_some(), succeeded.get("result").is_some())
    };
    assert_eq!([of("all"), of("off"), of("shop.*"), of("mail.*")], [(true, true), (false, false), (true, true), (false, false)]);
}

#[test]
fn ends_have_their_reasons() {
    let mut translator = translator();
    for (event_type, more, expected) in [
        (
            "task-failed",
            json!({"exception": "ValueError('boom')", "traceback": "T"}),
            json!({"exception": "ValueError('boom')", "traceback": "T"}),
        ),
        ("task-failed", json!({"exception": null}), json!({"exception": "unknown"})),
        ("task-rejected", json!({"requeue": true}), json!({"requeued": true})),
        (
            "task-revoked",
            json!({"terminated": true, "signum": 15, "expired": false}),
            json!({"terminated": true, "signum": 15, "expired": false}),
        ),
        ("task-retried", json!({"exception": "None", "traceback": "T"}), json!({"exception": null, "traceback": "T"})),
    ] {
        one(&mut translator, &received("u1", "w1@h2", 0));
        let mut event = later(event_type, "u1", "w1@h2");
        event.as_object_mut().unwrap().extend(self::event(&more));
        let translated = one(&mut translator, &event);
        for (key, value) in self::event(&expected) {
            assert_eq!(translated.get(&key).cloned().unwrap_or(Value::Null), value, "{event_type} {key}");
        }
    }
}

#[test]
fn events_of_an_application_are_kept_and_belong_to_the_node() {
    let mut translator = translator();
    translator.translate(&event(&json!({"type": "worker-heartbeat", "hostname": "w1@h2", "pid": 7})), NOW).unwrap();
    one(&mut translator, &received("u1", "w1@h2", 0));
    // A process of the pool sends it, so its pid differs.
    let own = json!({"type": "task-progress", "uuid": "u1", "hostname": "w1@h2", "pid": 99, "pct": 50, "root_id": "x", "timestamp": 1_795_156_978.0});
    let own = one(&mut translator, &own);
    assert_eq!((&own["pct"], &own["worker"]["pid"], &own["root_id"]), (&json!(50), &json!(7), &json!(root_id("u1").to_string())));
}

#[test]
fn hostile_events_are_named_or_bounded() {
    let mut translator = translator();
    let huge = "x".repeat(10 << 20);
    for (value, words) in [
        (json!({}), "no type"),
        (json!({"type": 7}), "no type"),
        (json!({"type": "order-paid", "uuid": "u1"}), "neither of a task nor of a worker"),
        (json!({"type": "task-received"}), "no `uuid`"),
        (json!({"type": "task-received", "uuid": ""}), "no `uuid`"),
        (json!({"type": "task-received", "uuid": "x".repeat(4_096)}), "no `uuid`"),
        (json!({"type": "worker-heartbeat", "hostname": null}), "no valid `hostname`"),
        (json!({"type": "task-progress", "uuid": "u1", "data": huge}), "the limit is"),
    ] {
        let error = translator.translate(&event(&value), NOW).unwrap_err().to_string();
        assert!(error.contains(words) && error.len() < 300, "{error}");
    }
    let failed = json!({"type": "task-failed", "uuid": "u1", "hostname": "w\u{0}@h", "pid": 1e300, "timestamp": 1e300, "exception": "a\u{0}b", "traceback": huge});
    let failed = one(&mut translator, &failed);
    assert!(failed["traceback"].as_str().unwrap().len() < 70_000 && failed["time_us"] == NOW, "its time is that of its arrival");
    let message = json!({"type": "task-sent", "uuid": "u2", "root_id": "x".repeat(4_096), "parent_id": {}, "name": huge, "retries": -1, "eta": "tomorrow",
        "args": huge, "kwargs": ["a"], "queue": huge, "timestamp": "now"});
    let message = one(&mut translator, &message);
    assert!(message.to_string().len() < 90_000 && message["root_id"] == root_id("u2").to_string());
}
