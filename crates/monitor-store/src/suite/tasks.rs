//! Tests that queue tasks are stored with all their facts, in whatever order the events arrive.

use monitor_wire::{Batch, Process};
use serde_json::{Value, json};

use super::{Place, Say as _, page};
use crate::support::{batch, process, root, worker};
use crate::{Queries as _, Store, Subject};

/// Returns a batch of worker A with one event. Without a `native_source`, the event is about process 1 of tree 1.
fn told(number: u64, of: &Value) -> Batch {
    let mut event = json!({"time_us": 10 * number});
    if of["native_source"].is_null() {
        event["root_id"] = root(1).to_string().into();
        event["id"] = process(1).to_string().into();
    }
    event.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
    batch('A', number, vec![serde_json::from_value(event).unwrap()])
}

fn shown(store: &impl Store) -> Process {
    page(store).processes.remove(0)
}

/// Returns the events of a task that is retried, requeued and then succeeds.
fn life() -> Vec<Batch> {
    let life = [
        json!({"type": "task-sent", "name": "render", "args": [7, "a\u{0}b"], "queue": "video", "routing_key": "video.hd"}),
        json!({"type": "task-received", "name": "render", "kwargs": {"size": "4k"}}),
        json!({"type": "task-started", "pid": 9}),
        json!({"type": "task-retried", "exception": "no disk", "traceback": "at 7", "eta_us": 60}),
        json!({"type": "task-received", "name": "render", "kwargs": {"size": "4k"}, "retries": 1}),
        json!({"type": "task-started", "attempt": 2}),
        json!({"type": "task-rejected", "attempt": 2, "requeued": true}),
        json!({"type": "task-started", "attempt": 2}),
        json!({"type": "task-succeeded", "attempt": 2, "result": {"frames": 2}, "runtime_ns": 7_000}),
    ];
    (1..).zip(&life).map(|(number, of)| told(number, of)).collect()
}

pub fn a_task_is_kept_with_its_attempts_across_restarts<P: Place>() {
    let place = P::new();
    let expected = [
        ("pending", "sent"),
        ("pending", "received"),
        ("running", "started"),
        ("pending", "retried"),
        ("pending", "received"),
        ("running", "started"),
        ("pending", "requeued"),
        ("running", "started"),
        ("succeeded", "succeeded"),
    ];
    for (batch, expected) in life().into_iter().zip(expected) {
        let store = place.open();
        store.say(&[batch], 5).unwrap();
        let process = shown(&store);
        let task = process.task.as_ref().unwrap();
        assert_eq!((process.state.as_str(), task.phase.as_str()), expected);
        let subject = Subject { root_id: Some(root(1)), process_id: Some(process.id), worker_id: None };
        let told = store.models(&[subject]).unwrap().0.remove(0).process.unwrap();
        assert_eq!(told.task, process.task, "the stream tells the same");
        assert_eq!(page(&store).root.state, process.state);
        place.check(&store);
    }
    let store = place.open();
    let process = shown(&store);
    let task = process.task.as_deref().unwrap();
    assert_eq!((&*process.name, process.kind.as_str(), process.attempt), ("render", "task", 2));
    assert_eq!((&task.args, &task.kwargs), (&Some(json!([7, "a\u{0}b"])), &Some(json!({"size": "4k"}))));
    assert_eq!(
        (&task.result, task.queue.as_deref(), task.traceback.as_deref()),
        (&Some(json!({"frames": 2})), Some("video"), Some("at 7"))
    );
    let attempts: Vec<_> = process.attempts.iter().map(|of| (of.attempt, of.worker_id, of.reason.as_deref())).collect();
    assert_eq!(attempts, [(1, Some(worker('A')), Some("retried")), (2, Some(worker('A')), None)]);
    assert_eq!((process.started_us, process.ended_us), (Some(30), Some(90)));
}

pub fn a_task_is_the_same_in_any_order_of_its_events<P: Place>() {
    let (place, other) = (P::new(), P::new());
    let (store, other) = (place.open(), other.open());
    store.say(&life(), 5).unwrap();
    for batch in life().into_iter().rev() {
        other.say(&[batch.clone(), batch], 5).unwrap();
    }
    assert_eq!(shown(&other), shown(&store));
    place.check(&store);
}

pub fn events_of_a_queue_wait_for_their_tree<P: Place>() {
    let place = P::new();
    let store = place.open();
    let elsewhere = |event: &str| json!({"type": event, "native_source": "redis://q/0", "native_id": "u-1", "name": "render"});
    store.say(&[told(1, &elsewhere("task-started")), told(2, &elsewhere("task-received"))], 5).unwrap();
    let id = crate::native::process_id("redis://q/0", "u-1");
    let sent = json!({"type": "task-sent", "id": id.to_string(), "native_id": "u-1", "name": "render", "queue": "video"});
    drop(store);
    let store = place.open();
    store.say(&[told(3, &sent)], 6).unwrap();
    let process = shown(&store);
    assert_eq!((process.id, process.state.as_str(), process.native_id.as_deref()), (id, "running", Some("u-1")));
    assert_eq!(process.task.unwrap().received_us, Some(20));
    place.check(&store);
}
