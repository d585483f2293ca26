//! The published samples are read for ever, and what is written says the same.

use std::fs;
use std::path::Path;

use monitor_wire::{Batch, Event};
use serde_json::Value;

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).expect(name)
}

#[test]
fn every_event_survives_reading_and_writing() {
    let mut seen = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "batch.json" {
            continue;
        }
        let text = fixture(&name);
        let event: Event = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (read, written) = (serde_json::from_str::<Value>(&text).unwrap(), serde_json::to_value(&event).unwrap());
        assert_eq!(read, written, "{name}");
        assert_eq!(read["type"], event.type_name(), "{name}");
        assert_eq!(matches!(event, Event::Unknown(_)), name == "unknown.json", "{name}");
        seen.push(name);
    }
    assert_eq!(seen.len(), 37, "{seen:?}");
}

#[test]
fn the_documented_batch_is_read() {
    let batch = Batch::from_json(fixture("batch.json").as_bytes()).unwrap();
    assert_eq!((batch.events.len(), batch.last_number(), batch.dropped[0].count), (2, 1602, 12));
    let again = Batch::from_json(&serde_json::to_vec(&batch).unwrap()).unwrap();
    assert_eq!(batch, again);
}

#[test]
fn unknown_fields_are_ignored() {
    let text = fixture("batch.json").replacen("\"version\": 1,", "\"version\": 1, \"colour\": {\"deep\": [1]},", 1);
    assert!(text.contains("colour"));
    Batch::from_json(text.as_bytes()).unwrap();
}

/// What is wrong, what the message must contain, and the event at fault.
#[test]
fn the_error_of_an_unreadable_batch_names_place_and_reason() {
    let good = fixture("batch.json");
    let cases: &[(&str, &str, &str, Option<u64>)] = &[
        ("\"version\": 1,", "\"version\": 2,", "version 2, this server reads version 1", None),
        ("\"version\": 1,", "", "missing field `version`", None),
        ("\"sequence\": 1601,", "\"sequence\": 0,", "numbered from 1", None),
        ("\"sequence\": 1601,", "\"sequence\": 18446744073709551615,", "numbered from 1", None),
        ("\"sequence\": 1601,", "\"sequence\": -1,", "expected u64", None),
        ("5b0c00000000000000000000000000ff", "5B0C", "is no worker id", None),
        ("\"elapsed_ns\": 3000543210", "\"elapsed_ns\": \"long\"", "expected u64", Some(1602)),
        ("\"kind\": \"root\",", "", "missing field `kind`", Some(1601)),
        ("\"type\": \"process-ended\",", "", "missing field `type`", Some(1602)),
        ("\"id\": \"a3ce929d0e0e4736\"", "\"id\": \"0000000000000000\"", "is no process id", Some(1601)),
    ];
    for (from, to, message, event_number) in cases {
        assert!(good.contains(from), "{from}");
        let error = Batch::from_json(good.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.message.contains(message), "{from} → {to}: {error}");
        assert_eq!(error.event_number, *event_number, "{from} → {to}: {error}");
    }
}

#[test]
fn a_body_cut_at_any_place_is_an_error_that_names_no_event() {
    let good = fixture("batch.json");
    for length in 0..good.trim_end().len() {
        let Some(text) = good.get(..length) else { continue };
        let error = Batch::from_json(text.as_bytes()).expect_err(text);
        assert_eq!(error.event_number, None, "{length}: {error}");
        assert!(error.message.contains(" at line "), "{length}: {error}");
    }
    assert!(Batch::from_json(format!("{good}x").as_bytes()).is_err());
}

/// An event of a queue that can't be, and what the message must contain.
#[test]
fn the_error_of_a_wrong_queue_event_names_the_mistake() {
    let of = |more: Value| {
        let mut event = serde_json::json!({"root_id": "00000000000000000000000000000001", "id": "0000000000000001", "time_us": 1});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let cases = [
        (of(serde_json::json!({"type": "task-sent"})), "missing field `name`"),
        (of(serde_json::json!({"type": "task-received", "name": 7})), "expected a string"),
        (of(serde_json::json!({"type": "task-received", "name": "a", "retries": -1})), "expected u32"),
        (of(serde_json::json!({"type": "task-sent", "name": "a", "eta_us": 0.5})), "expected u64"),
        (of(serde_json::json!({"type": "task-sent", "name": "a", "parent_id": "0000000000000000"})), "is no process id"),
        (of(serde_json::json!({"type": "task-started", "pid": 4_294_967_296_u64})), "expected u32"),
        (of(serde_json::json!({"type": "task-succeeded", "runtime_ns": "long"})), "expected u64"),
        (of(serde_json::json!({"type": "task-failed"})), "missing field `exception`"),
        (of(serde_json::json!({"type": "task-rejected", "requeued": "yes"})), "expected a boolean"),
        (of(serde_json::json!({"type": "task-revoked", "signum": "TERM"})), "expected i32"),
        (of(serde_json::json!({"type": "task-retried", "attempt": -1})), "expected u32"),
        (serde_json::json!({"type": "task-started", "time_us": 1}), "missing field `root_id`"),
        (serde_json::json!({"type": "task-started", "time_us": 1, "native_source": "q"}), "missing field `native_id`"),
        (serde_json::json!({"type": "task-started", "time_us": 1, "native_source": 7, "native_id": "1"}), "is no text"),
        (serde_json::json!({"type": "worker-heartbeat", "time_us": 1, "loadavg": [1, 2]}), "an array of length 3"),
        (serde_json::json!({"type": "worker-heartbeat", "time_us": 1, "active": -1}), "expected u64"),
    ];
    for (event, message) in cases {
        let error = serde_json::from_value::<Event>(event.clone()).expect_err(&event.to_string()).to_string();
        assert!(error.contains(message), "{event}: {error}");
    }
    // Values of any shape, as deep as JSON may be.
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let event = format!(
        r#"{{"type":"task-sent","root_id":"00000000000000000000000000000001","id":"0000000000000001","time_us":1,"name":"","args":{deep}}}"#
    );
    assert!(matches!(serde_json::from_str(&event), Ok(Event::TaskSent(_))));
    let deeper = event.replace(&deep, &format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)));
    serde_json::from_str::<Event>(&deeper).expect_err("too deep");
}

#[test]
fn the_attempt_of_a_queue_event_follows_from_its_retries() {
    let attempt = |more: &str| {
        let event = format!(
            r#"{{"type":"task-received","root_id":"00000000000000000000000000000001","id":"0000000000000001","time_us":1,"name":"a"{more}}}"#
        );
        match serde_json::from_str(&event).unwrap() {
            Event::TaskReceived(of) => of.attempt(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(attempt(""), 1);
    assert_eq!(attempt(r#","retries":2"#), 3);
    assert_eq!(attempt(r#","retries":2,"attempt":4"#), 4);
    assert_eq!(attempt(r#","retries":4294967295"#), u32::MAX);
}
