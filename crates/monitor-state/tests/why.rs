//! Why a tree failed: the cases that the page is tested by too.

mod failing_path_cases;
mod support;

use failing_path_cases::cases;
use monitor_state::{Facts, failing_path};
use monitor_wire::{Event, Process, Root};
use serde_json::{Value, json};
use support::{batch, process, root};

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
        let events = case.events(&root(1).to_string()).into_iter().map(|event| serde_json::from_value(event).unwrap()).collect();
        let (of, processes) = Facts::of([&batch('A', 1, events)]).tree(root(1), 7).unwrap();
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
