//! Why a tree failed: the cases that the page is tested by too.

mod support;

use monitor_state::{Facts, failing_path};
use monitor_wire::{Batch, Event, Process, Root};
use serde_json::{Value, json};
use support::{batch, process, root};

const CASES: &str = include_str!("../cases/failing_path.txt");

struct Case {
    name: String,
    cause: String,
    error: String,
    batch: Batch,
}

/// The cases of the table, each as the events of its tree.
fn cases() -> Vec<Case> {
    CASES.split("\n# ").skip(1).map(case).collect()
}

fn case(text: &str) -> Case {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let name = lines.next().unwrap().to_owned();
    let mut expected = |key: &str| lines.next().unwrap().strip_prefix(key).unwrap_or_else(|| panic!("{name}: no {key}")).trim().to_owned();
    let (cause, error, _) = (expected("cause:"), expected("error:"), expected("handled:"));
    let (mut above, mut events) = (Vec::<u64>::new(), Vec::new());
    for (index, line) in lines.enumerate() {
        let id = index as u64 + 1;
        let depth = (line.len() - line.trim_start().len()) / 2;
        let mut words = line.trim().splitn(4, ' ');
        let [name, state, end] = [(); 3].map(|()| words.next().unwrap());
        let (message, chain) = words.next().map_or((None, Vec::new()), |words| {
            let mut causes = words.split(" <- ").map(str::to_owned);
            (causes.next(), causes.collect::<Vec<_>>())
        });
        above.truncate(depth);
        let parent = above.last().map(|parent| process(*parent).to_string());
        above.push(id);
        let about = json!({ "root_id": root(1).to_string(), "id": process(id).to_string(), "attempt": 1, "links": [] });
        let more = json!({ "type": "process-started", "time_us": index, "parent_id": parent, "kind": "normal", "name": name });
        events.push(event(&about, &more));
        let kind = if message.as_ref().is_some_and(|message| message.starts_with("exit code")) { "exit" } else { "error" };
        let error = message.map(|message| json!({ "kind": kind, "message": message, "chain": chain }));
        let outcome = if state == "ok" { "succeeded" } else { state };
        if let Ok(end) = end.parse::<u64>() {
            events.push(event(&about, &json!({ "type": "process-ended", "time_us": end, "outcome": outcome, "error": error })));
        }
    }
    Case { name, cause, error, batch: batch('A', 1, events) }
}

fn event(about: &Value, more: &Value) -> Event {
    let (mut event, Value::Object(more)) = (about.clone(), more.clone()) else { unreachable!() };
    event.as_object_mut().unwrap().extend(more);
    serde_json::from_value(event).unwrap()
}

fn shown(root: &Root, processes: &[Process]) -> (String, String) {
    let own = &processes[0];
    let path = failing_path(own, processes[1..].iter().map(|process| (process.parent_id, process)));
    let error = root.error.as_ref().map(|error| error.message.clone());
    (path.last().map(|process| process.name.clone()).unwrap_or_default(), error.unwrap_or_default())
}

#[test]
fn the_failing_path_and_the_error_of_every_case_are_those_of_the_table() {
    let cases = cases();
    assert!(cases.len() >= 8, "{}", cases.len());
    for case in cases {
        let (of, processes) = Facts::of([&case.batch]).tree(root(1), 7).unwrap();
        assert_eq!(shown(&of, &processes), (case.cause, case.error), "{}", case.name);
    }
}

#[test]
fn a_path_ends_however_deep_and_wide_the_tree_is() {
    let mut events = Vec::new();
    for id in 1..=5_000_u64 {
        let parent = (id > 1).then(|| process(if id > 2_500 { 1 } else { id - 1 }).to_string());
        let about = json!({ "root_id": root(1).to_string(), "id": process(id).to_string(), "attempt": 1, "links": [] });
        events
            .push(event(&about, &json!({ "type": "process-started", "time_us": id, "parent_id": parent, "kind": "normal", "name": "p" })));
        events.push(event(&about, &json!({ "type": "process-ended", "time_us": 9_000 - id, "outcome": "failed" })));
    }
    let (of, processes) = Facts::of([&batch('A', 1, events)]).tree(root(1), 7).unwrap();
    assert_eq!(shown(&of, &processes).1, "");
    let path = failing_path(&processes[0], processes[1..].iter().map(|process| (process.parent_id, process)));
    assert_eq!(path.len(), monitor_state::MOST_ON_PATH);
}
