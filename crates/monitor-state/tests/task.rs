//! Tasks of a queue: their events, and the resulting states.

mod support;

use monitor_state::{Facts, MAX_ATTEMPTS};
use monitor_wire::{Event, Process};
use serde_json::{Value, json};
use support::{batch, process, root};

/// Returns an event of the task, sent by worker A unless `by` is set. Only the order of the times matters.
fn event(number: usize, of: &Value) -> (char, Event) {
    let mut event = json!({"root_id": root(1).to_string(), "id": process(1).to_string(), "time_us": 10 * (number + 1)});
    event.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
    let by = event["by"].as_str().and_then(|by| by.chars().next()).unwrap_or('A');
    (by, serde_json::from_value(event).unwrap())
}

fn facts(told: &[Value]) -> Facts {
    let batches = (1..).zip(told.iter().enumerate()).map(|(number, (at, of))| {
        let (by, event) = event(at, of);
        batch(by, number, vec![event])
    });
    let batches: Vec<_> = batches.collect();
    let facts = Facts::of(&batches);
    assert_eq!(facts, Facts::of(batches.iter().rev().chain(&batches)), "order or repetition matters");
    facts
}

fn shown(told: &[Value]) -> Process {
    facts(told).tree(root(1), 7).unwrap().1.remove(0)
}

/// Each case has events, and the expected state, reason, phase and attempt.
#[test]
fn each_event_updates_the_state_of_the_task() {
    let sent = json!({"type": "task-sent", "name": "render"});
    let received = json!({"type": "task-received", "name": "render", "by": "B"});
    let started = json!({"type": "task-started", "by": "B"});
    let again = json!({"type": "task-started", "by": "C"});
    let requeued = json!({"type": "task-rejected", "requeued": true, "by": "B"});
    let revoked = json!({"type": "task-revoked"});
    let retried = json!({"type": "task-retried", "by": "B", "exception": "no disk"});
    let cases: &[(&[&Value], [&str; 3], u32)] = &[
        (&[&sent], ["pending", "", "sent"], 1),
        (&[&sent, &received], ["pending", "", "received"], 1),
        (&[&sent, &received, &started], ["running", "", "started"], 1),
        (&[&started], ["running", "", "started"], 1),
        (&[&received, &started, &json!({"type": "task-succeeded"})], ["succeeded", "", "succeeded"], 1),
        (&[&sent, &json!({"type": "task-failed", "exception": "no"})], ["failed", "", "failed"], 1),
        (&[&received, &json!({"type": "task-rejected"})], ["cancelled", "rejected", "rejected"], 1),
        (&[&received, &requeued], ["pending", "", "requeued"], 1),
        (&[&received, &started, &requeued], ["pending", "", "requeued"], 1),
        (&[&received, &started, &requeued, &received], ["pending", "", "received"], 1),
        (&[&received, &started, &requeued, &received, &again], ["running", "", "started"], 1),
        (&[&sent, &revoked], ["cancelled", "revoked", "revoked"], 1),
        (&[&started, &json!({"type": "task-revoked", "terminated": true, "signum": 15})], ["cancelled", "terminated", "revoked"], 1),
        (&[&sent, &json!({"type": "task-revoked", "expired": true})], ["cancelled", "expired", "revoked"], 1),
        (&[&received, &started, &retried], ["pending", "", "retried"], 2),
        (
            &[&received, &started, &retried, &json!({"type": "task-received", "name": "render", "retries": 1})],
            ["pending", "", "received"],
            2,
        ),
        (&[&received, &started, &retried, &json!({"type": "task-started", "attempt": 2})], ["running", "", "started"], 2),
        (&[&started, &json!({"type": "process-ended", "outcome": "succeeded"})], ["succeeded", "", "succeeded"], 1),
    ];
    for (told, expected, attempt) in cases {
        let told: Vec<_> = told.iter().map(|of| (*of).clone()).collect();
        let shown = shown(&told);
        let task = shown.task.as_ref().unwrap();
        assert_eq!([shown.state.as_str(), shown.reason.as_deref().unwrap_or(""), task.phase.as_str()], *expected, "{told:?}");
        assert_eq!(shown.attempt, *attempt, "{told:?}");
    }
}

#[test]
fn a_task_returned_by_a_worker_is_not_lost_with_it() {
    let received = json!({"type": "task-received", "name": "render", "by": "B"});
    let started = json!({"type": "task-started", "by": "B"});
    let requeued = json!({"type": "task-rejected", "requeued": true, "by": "B"});
    let gone = json!({"type": "worker-offline", "by": "B"});
    let state = |told: &[&Value]| shown(&told.iter().map(|of| (*of).clone()).collect::<Vec<_>>()).state;
    assert_eq!(state(&[&received, &started, &gone]).as_str(), "cancelled");
    assert_eq!(state(&[&received, &gone]).as_str(), "pending");
    assert_eq!(state(&[&received, &started, &requeued, &gone]).as_str(), "pending");
    let again = json!({"type": "task-started", "by": "C"});
    assert_eq!(state(&[&received, &started, &requeued, &again, &gone]).as_str(), "running");
}

#[test]
fn a_task_shows_the_data_of_its_messages_and_attempts() {
    let told = [
        json!({"type": "task-sent", "name": "render", "args": [7], "queue": "video", "eta_us": 5, "by": "A", "native_id": "u"}),
        json!({"type": "task-received", "name": "render", "kwargs": {"size": 4}, "by": "B"}),
        json!({"type": "task-started", "by": "B", "pid": 9}),
        json!({"type": "task-retried", "by": "B", "exception": "no disk", "traceback": "at 7", "eta_us": 900}),
        json!({"type": "task-started", "by": "C", "attempt": 2}),
        json!({"type": "task-succeeded", "by": "C", "attempt": 2, "result": {"frames": 2}, "runtime_ns": 7}),
    ];
    let process = shown(&told);
    let task = process.task.as_deref().unwrap();
    assert_eq!((&*process.name, process.kind.as_str(), process.native_id.as_deref()), ("render", "task", Some("u")));
    assert_eq!((task.queue.as_deref(), &task.args, &task.kwargs), (Some("video"), &Some(json!([7])), &Some(json!({"size": 4}))));
    assert_eq!(
        (&task.result, task.traceback.as_deref(), task.eta_us, task.pid),
        (&Some(json!({"frames": 2})), Some("at 7"), Some(900), None)
    );
    assert_eq!((task.sent_us, task.received_us), (Some(10), Some(20)));
    assert_eq!((task.sent_by, task.received_by), (Some(support::worker('A')), Some(support::worker('B'))));
    let attempts: Vec<_> = process.attempts.iter().map(|of| (of.attempt, of.worker_id, of.reason.as_deref(), of.started_us)).collect();
    assert_eq!(attempts, [(1, Some(support::worker('B')), Some("retried"), Some(30)), (2, Some(support::worker('C')), None, Some(50))]);
    assert_eq!(process.attempts[0].error.as_ref().unwrap().message, "no disk");
    assert_eq!((process.started_us, process.ended_us, process.worker_id), (Some(30), Some(60), Some(support::worker('C'))));
}

#[test]
fn the_first_and_last_of_very_many_retries_are_kept() {
    let most = 3 * MAX_ATTEMPTS;
    let told: Vec<_> = (1..=most)
        .flat_map(|attempt| {
            [json!({"type": "task-started", "attempt": attempt}), json!({"type": "task-retried", "attempt": attempt, "exception": "no"})]
        })
        .collect();
    let process = shown(&told);
    let numbers: Vec<_> = process.attempts.iter().map(|of| of.attempt as usize).collect();
    assert_eq!(numbers, (1..=MAX_ATTEMPTS).chain(most - MAX_ATTEMPTS + 1..=most + 1).collect::<Vec<_>>());
    assert_eq!((process.state.as_str(), process.started_us), ("pending", Some(10)));
}

#[test]
fn a_queue_message_does_not_hide_the_data_of_the_program() {
    let started = json!({"type": "process-started", "kind": "normal", "name": "own", "attempt": 1, "fields": {"a": 1}});
    let process = shown(&[json!({"type": "task-sent", "name": "render"}), started, json!({"type": "task-retried"})]);
    assert_eq!((&*process.name, process.kind.as_str(), process.fields.len()), ("own", "normal", 1));
    assert_eq!((process.attempt, process.state.as_str()), (2, "pending"));
}

/// The last attempt that there may be is not followed by a first one.
#[test]
fn the_greatest_attempt_and_number_of_retries_are_taken() {
    let process =
        shown(&[json!({"type": "task-retried", "attempt": u32::MAX}), json!({"type": "task-sent", "name": "a", "retries": u32::MAX})]);
    assert_eq!((process.attempt, process.state.as_str()), (u32::MAX, "failed"));
}
