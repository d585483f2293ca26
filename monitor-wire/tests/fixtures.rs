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
    assert_eq!(seen.len(), 25, "{seen:?}");
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
fn an_unreadable_batch_says_where_and_why() {
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
fn a_body_cut_anywhere_is_an_error_and_blames_no_event() {
    let good = fixture("batch.json");
    for length in 0..good.trim_end().len() {
        let Some(text) = good.get(..length) else { continue };
        let error = Batch::from_json(text.as_bytes()).expect_err(text);
        assert_eq!(error.event_number, None, "{length}: {error}");
        assert!(error.message.contains(" at line "), "{length}: {error}");
    }
    assert!(Batch::from_json(format!("{good}x").as_bytes()).is_err());
}
