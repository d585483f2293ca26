//! Events as lines: `started 2 parent=1 at=5`, `ended 1 failed error=boom`, `B: offline`, `lost worker=B at=9`.
//!
//! Times are line numbers unless `at=` is set, the worker is A, the tree 1, the attempt 1, the parent none, the name `p<id>`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use monitor_wire::{Batch, Event, Process};
use serde_json::{Map, Value, json};

use super::{batch, process, root, worker, worker_ref};

/// Returns a batch for each line, numbered per worker. Each batch has one event.
pub fn parse(script: &str) -> Vec<Batch> {
    let mut numbers = BTreeMap::<char, u64>::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let parsed = lines.enumerate().map(|(index, line)| {
        let (letter, line) = match line.split_once(": ") {
            Some((letter, line)) => (letter.chars().next().unwrap(), line),
            None => ('A', line),
        };
        let number = numbers.entry(letter).or_default();
        *number += 1;
        batch(letter, *number, vec![event(line, index as u64 + 1)])
    });
    parsed.collect()
}

fn event(line: &str, at: u64) -> Event {
    let mut words = line.split_whitespace();
    let verb = words.next().unwrap();
    let (options, plain): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
    let options: BTreeMap<&str, &str> = options.iter().map(|option| option.split_once('=').unwrap()).collect();
    let number = |key: &str| options.get(key).map(|value| value.parse::<u64>().unwrap());
    let mut json = Map::new();
    json.insert("time_us".into(), json!(number("at").unwrap_or(at)));
    let letter = |key: &str| options.get(key).map(|value| value.chars().next().unwrap());
    if let Some(by) = letter("by") {
        json.insert("worker".into(), serde_json::to_value(worker_ref(by)).unwrap());
    }
    if matches!(verb, "online" | "heartbeat" | "offline" | "lost" | "found") {
        json.insert("type".into(), json!(format!("worker-{verb}")));
        json.insert("worker_id".into(), json!(worker(letter("worker").unwrap_or('A')).to_string()));
        json.insert("started_us".into(), json!(1));
        json.insert("version".into(), json!("1.0"));
        json.insert("heartbeat_interval_ms".into(), json!(number("interval").unwrap_or(10_000)));
        return serde_json::from_value(Value::Object(json)).unwrap();
    }
    let id: u64 = plain[0].parse().unwrap();
    json.insert("type".into(), json!(format!("process-{verb}")));
    json.insert("root_id".into(), json!(root(number("root").unwrap_or(1) as u8).to_string()));
    json.insert("id".into(), json!(process(id).to_string()));
    json.insert("parent_id".into(), json!(number("parent").map(|parent| process(parent).to_string())));
    json.insert("attempt".into(), json!(number("attempt").unwrap_or(1)));
    json.insert("kind".into(), json!(options.get("kind").unwrap_or(&"normal")));
    // As `root/process/relation`.
    let to_other = |of: &&str| {
        let [tree, id, relation] = of.split('/').collect::<Vec<_>>()[..] else { panic!("{of} is no link") };
        json!({"root_id": root(tree.parse().unwrap()).to_string(), "id": process(id.parse().unwrap()).to_string(), "relation": relation})
    };
    json.insert("links".into(), options.get("link").map(to_other).into_iter().collect());
    if verb != "updated" || options.contains_key("name") {
        json.insert("name".into(), json!(options.get("name").map_or_else(|| format!("p{id}"), |name| (*name).to_owned())));
    }
    if verb == "logged" {
        json.insert("level".into(), json!("info"));
        json.insert("message".into(), json!(options.get("message").unwrap_or(&"")));
    }
    if options.contains_key("next") {
        json.insert("retry".into(), json!({"next_us": number("next"), "of": number("of")}));
    } else if verb == "started" {
        json.insert("attempts_of".into(), json!(number("of")));
    }
    for key in ["batch", "reason", "native_id"] {
        if let Some(value) = options.get(key) {
            json.insert(key.into(), json!(value));
        }
    }
    if let Some(value) = options.get("x") {
        json.insert("fields".into(), json!({ "x": value }));
    }
    for key in ["done", "shard", "revision", "count", "running", "failed", "cancelled", "total_ns", "elapsed_ns"] {
        if let Some(value) = number(key) {
            json.insert(key.into(), json!(value));
        } else if verb == "folded" {
            json.insert(key.into(), json!(0));
        }
    }
    if let Some(outcome) = plain.get(1) {
        json.insert("outcome".into(), json!(if *outcome == "ok" { "succeeded" } else { outcome }));
    }
    if let Some(text) = options.get("error").filter(|_| verb == "folded") {
        let at_us = &json["time_us"];
        json.insert("errors".into(), json!([{ "text": text, "count": 1, "first_us": at_us, "last_us": at_us }]));
    } else if let Some(error) = options.get("error") {
        json.insert("error".into(), json!({ "kind": "error", "message": error }));
    }
    serde_json::from_value(Value::Object(json)).unwrap()
}

/// Returns a tree as lines: `1 succeeded`, children indented, with the values that differ from the defaults.
pub fn show(processes: &[Process]) -> String {
    let mut text = String::new();
    for process in processes {
        let mut words = vec![(process.id.get() & !(1 << 63)).to_string(), process.state.to_string()];
        let default_name = format!("p{}", words[0]);
        words.extend(Some(&process.name).filter(|name| **name != default_name).map(|name| format!("name={name:?}")));
        words.extend(Some(process.attempt).filter(|attempt| *attempt != 1).map(|attempt| format!("attempt={attempt}")));
        words.extend(process.reason.as_ref().map(|reason| format!("reason={reason}")));
        words.extend(process.ended_us.map(|ended| format!("ended={ended}")));
        words.extend(process.error.as_ref().map(|error| format!("error={}", error.message)));
        words.extend(process.fields.iter().map(|(key, value)| format!("{key}={value}")));
        words.extend(process.progress.as_ref().map(|progress| format!("done={}", progress.done)));
        words.extend(process.fold.as_ref().map(|fold| format!("fold={}/{}/{}/{}", fold.count, fold.running, fold.failed, fold.cancelled)));
        words.extend((!process.attempts.is_empty()).then(|| {
            let of = process.attempts_of.map(|of| format!("/{of}")).unwrap_or_default();
            let outcome = |of: &monitor_wire::Attempt| of.outcome.as_ref().map_or("open".to_owned(), ToString::to_string);
            let all: Vec<_> = process.attempts.iter().map(|each| format!("{}:{}", each.attempt, outcome(each))).collect();
            format!("attempts={}{of}", all.join(","))
        }));
        words.extend(process.next_attempt_us.map(|next| format!("next={next}")));
        words.extend(process.orphan.then(|| "orphan".to_owned()));
        let indent = "  ".repeat(process.depth.unwrap_or(0) as usize);
        writeln!(text, "{indent}{}", words.join(" ")).expect("a string takes all");
    }
    text
}
