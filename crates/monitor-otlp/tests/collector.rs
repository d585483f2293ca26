//! Spans from a program's own events, independent of the division into batches and of repeated batches.

use monitor_otlp::proto::Span;
use monitor_otlp::{Collector, MOST_LINES};
use monitor_wire::{Batch, Event, Kind, ProcessId, ProcessStarted, RootId};
use serde_json::{Value, json};

const ROOT: &str = "0199a3ce929d0e0e47360199a3ce929d";

fn batch(sequence: u64, events: &[Value]) -> Batch {
    let json = json!({"version": 1, "sequence": sequence, "sent_us": 9, "events": events,
        "worker": {"id": "5b0c0000000000000000000000000001", "hostname": "till-3", "pid": 77, "program": "shop"}});
    Batch::from_json(json.to_string().as_bytes()).unwrap()
}

fn event(kind: &str, id: &str, more: &Value) -> Value {
    let mut event = json!({"type": kind, "root_id": ROOT, "id": id, "time_us": 1_000});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn started(id: &str, parent: Option<&str>, name: &str) -> Value {
    event("process-started", id, &json!({"parent_id": parent, "kind": "normal", "name": name, "attachment": "explicit"}))
}

fn ended(id: &str) -> Value {
    event("process-ended", id, &json!({"time_us": 1_500, "elapsed_ns": 500_123, "outcome": "succeeded"}))
}

fn folded(id: &str, parent: &str, (revision, count, running): (u64, u64, u64)) -> Value {
    let counts = json!({"count": count, "running": running, "failed": 0, "cancelled": 0, "total_ns": count, "histogram": []});
    let mut event = event("process-folded", id, &counts);
    let more = json!({"parent_id": parent, "kind": "normal", "name": "leaf", "shard": 1, "revision": revision});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn logged(id: &str, message: &str) -> Value {
    event("process-logged", id, &json!({"level": "info", "message": message}))
}

fn offline() -> Value {
    json!({"type": "worker-offline", "time_us": 9_000})
}

fn id(number: u64) -> String {
    format!("{number:016x}")
}

/// Returns the names of spans, with the count of folds and the number of log lines.
fn names(spans: &[Span]) -> Vec<String> {
    let count = |span: &Span| {
        let count = span.attributes.iter().find(|pair| pair.key == "process.fold.count")?.value.clone()?.value?;
        Some(format!(" {count:?}"))
    };
    let lines = |span: &Span| if span.events.is_empty() { String::new() } else { format!(" +{}", span.events.len()) };
    spans.iter().map(|span| format!("{}{}{}", span.name, count(span).unwrap_or_default(), lines(span))).collect()
}

fn collect(collector: &mut Collector, batch: &Batch) -> Vec<Span> {
    collector.collect(batch).into_iter().map(|(_, span)| span).collect()
}

#[test]
fn a_batch_sent_again_or_in_halves_makes_the_same_spans() {
    let events =
        [started(&id(1), None, "root"), started(&id(2), Some(&id(1)), "child"), logged(&id(2), "line"), ended(&id(2)), ended(&id(1))];
    let mut collector = Collector::default();
    let whole = collect(&mut collector, &batch(1, &events));
    assert_eq!(names(&whole), ["child +1", "root"]);
    assert_eq!((whole[0].start_time_unix_nano, whole[0].end_time_unix_nano), (1_000_000, 1_500_123));
    assert_eq!(collect(&mut collector, &batch(1, &events)), whole);
    let halves = [(1, &events[..4]), (5, &events[4..])].map(|(first, half)| collect(&mut collector, &batch(first, half)));
    assert_eq!(halves.concat(), whole);
    for cut in 1..events.len() {
        let mut collector = Collector::default();
        let mut spans = collect(&mut collector, &batch(1, &events[..cut]));
        spans.extend(collect(&mut collector, &batch(cut as u64 + 1, &events[cut..])));
        assert_eq!(spans, whole, "cut before {cut}");
    }
}

#[test]
fn events_before_a_start_join_the_span_and_events_after_its_end_do_not() {
    let mut collector = Collector::default();
    let early = [logged(&id(1), "early"), event("process-updated", &id(1), &json!({"fields": {"rows": 7}}))];
    assert_eq!(collect(&mut collector, &batch(1, &early)), []);
    let spans = collect(&mut collector, &batch(3, &[started(&id(1), None, "root"), ended(&id(1))]));
    assert_eq!((names(&spans), spans[0].attributes.iter().any(|pair| pair.key == "rows")), (vec!["root +1".to_owned()], true));
    assert_eq!(collect(&mut collector, &batch(5, &[logged(&id(1), "late"), offline()])), []);
}

#[test]
fn folds_become_spans_when_their_parent_ends_and_again_if_counts_rise() {
    let fold = &id(0xf0);
    let mut inner = folded(&id(0xf1), fold, (1, 3, 0));
    inner["name"] = json!("inner");
    let mut collector = Collector::default();
    let none: [&str; 0] = [];
    assert_eq!(names(&collect(&mut collector, &batch(1, &[started(&id(1), None, "root"), folded(fold, &id(1), (1, 10, 2))]))), none);
    // One of its calls is still running.
    assert_eq!(names(&collect(&mut collector, &batch(3, &[inner, ended(&id(1))]))), ["inner IntValue(3)", "root"]);
    let last = batch(5, &[folded(fold, &id(1), (2, 12, 0))]);
    let spans = collect(&mut collector, &last);
    assert_eq!(names(&spans), ["leaf IntValue(12)"]);
    assert_eq!((spans[0].start_time_unix_nano, spans[0].end_time_unix_nano), (1_000_000, 1_500_123), "as its parent");
    assert_eq!(collect(&mut collector, &last), spans, "it was not taken the first time");
    assert_eq!(names(&collect(&mut collector, &batch(6, &[folded(fold, &id(1), (3, 12, 0))]))), none);
    assert_eq!(names(&collect(&mut collector, &batch(7, &[folded(fold, &id(1), (4, 13, 0)), offline()]))), ["leaf IntValue(13)"]);
}

#[test]
fn open_spans_end_with_their_program() {
    let mut collector = Collector::default();
    let elsewhere = folded(&id(0xf0), &id(0xaa), (1, 10, 0));
    let events = [started(&id(1), None, "root"), folded(&id(0xf1), &id(1), (1, 5, 1)), elsewhere, offline()];
    let spans = collect(&mut collector, &batch(1, &events));
    assert_eq!(names(&spans), ["leaf IntValue(5)", "leaf IntValue(10)", "root"]);
    assert_eq!(spans.iter().map(|span| span.end_time_unix_nano).collect::<Vec<_>>(), [9_000_000; 3]);
}

#[test]
fn log_lines_above_the_limit_of_a_span_are_counted() {
    let mut collector = Collector::default();
    let lines = (0..MOST_LINES + 7).map(|n| logged(&id(1), &n.to_string()));
    let events: Vec<_> = [started(&id(1), None, "root")].into_iter().chain(lines).chain([ended(&id(1))]).collect();
    let spans = collect(&mut collector, &batch(1, &events));
    assert_eq!((spans[0].events.len(), spans[0].dropped_events_count), (MOST_LINES, 7));
    // Ended processes do not use up the space for log lines.
    let long = "x".repeat(1 << 20);
    for n in 0..40_u64 {
        let events = [started(&id(2 + n), None, "long"), logged(&id(2 + n), &long), ended(&id(2 + n))];
        let spans = collect(&mut collector, &batch(2_000 + 3 * n, &events));
        assert_eq!((spans[0].events.len(), spans[0].dropped_events_count), (1, 0), "{n}");
    }
}

#[test]
fn processes_without_an_end_are_bounded_and_counted() {
    let mut collector = Collector::default();
    let root = ROOT.parse::<RootId>().unwrap();
    let started = |n| ProcessStarted::new(root, ProcessId::new(n).unwrap(), 1_000, Kind::NORMAL, "open".to_owned());
    let mut batch = batch(1, &[]);
    for first in (0..140_000_u64).step_by(10_000) {
        batch.sequence = first + 1;
        batch.events = (first..first + 10_000).map(|n| Event::ProcessStarted(started(n + 1))).collect();
        collector.collect(&batch);
    }
    assert_eq!(collector.left_out(), 140_000 - (1 << 17));
}
