//! Compares the state with a simple model.

use std::collections::BTreeMap;

use monitor_wire::{Process, StreamMessage, Worker};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn process(id: u64, state: &str, worker: Option<u64>) -> Value {
    json!({
        "id": format!("{id:016x}"), "root_id": format!("{:032x}", 1), "parent_id": null, "name": format!("task {}", id % 3), "kind": "task",
        "state": state, "native_id": format!("uuid {id}"), "attempt": 1, "started_us": 1, "ended_us": null, "elapsed_ns": null,
        "worker_id": worker.map(|worker| format!("{worker:032x}")), "thread": null, "source": null, "error": null, "reason": null,
        "exit_code": null, "signal": null, "attachment": "explicit", "orphan": false, "links": [], "fields": {}, "progress": null, "fold": null,
    })
}

fn worker(id: u64, state: &str) -> Value {
    json!({
        "id": format!("{id:032x}"), "hostname": "h", "pid": 7, "program": "p", "version": null, "state": state, "started_us": null,
        "last_seen_us": 1, "offline_us": null, "lost_us": null, "heartbeat_interval_ms": null, "dropped": [], "running": 0,
    })
}

fn received(number: u64, event_type: &str, process: Option<Value>, worker: Option<Value>, as_of: u64) -> Received {
    let mut message = json!({"event": {"type": event_type}, "root": null, "as_of": as_of});
    (message["process"], message["worker"]) = (process.unwrap_or_default(), worker.unwrap_or_default());
    Received { number, message: Box::new(serde_json::from_value::<StreamMessage>(message).unwrap()) }
}

/// An operation on a state.
#[derive(Debug, Clone)]
enum Step {
    Process {
        id: u64,
        state: &'static str,
        worker: Option<u64>,
        late: u64,
    },
    Worker {
        id: u64,
        state: &'static str,
    },
    /// An event without a process or worker.
    Other,
    /// An event that was already applied.
    Again,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let states = prop::sample::select(vec!["pending", "running", "succeeded", "failed", "cancelled", "lost", "strange"]);
    let process = (0..9_u64, states, prop::option::of(1..5_u64), 0..3_u64).prop_map(|(id, state, worker, late)| Step::Process {
        id: id + 1,
        state,
        worker,
        late,
    });
    let worker = (1..5_u64, prop::sample::select(vec!["online", "offline", "lost"])).prop_map(|(id, state)| Step::Worker { id, state });
    prop_oneof![12 => process, 4 => worker, 1 => Just(Step::Other), 1 => Just(Step::Again), 1 => Just(Step::Clear)]
}

/// Tasks and workers in the order of their latest changes, latest last.
#[derive(Default)]
struct Simple {
    tasks: Vec<(Process, u64)>,
    workers: Vec<(WorkerId, Option<Worker>, BTreeMap<String, u64>)>,
    others: BTreeMap<String, u64>,
    events: u64,
    seen: u64,
    forgotten: (u64, u64),
}

fn is_ended(task: &Process) -> bool {
    ["succeeded", "failed", "cancelled", "lost"].contains(&task.state.as_str())
}

fn is_gone(worker: Option<&Worker>) -> bool {
    worker.is_some_and(|worker| worker.state.as_str() != "online")
}

impl Simple {
    fn apply(&mut self, event: &Received, most: (usize, usize)) {
        self.events += 1;
        if let Some(process) = &event.process {
            let place = self.tasks.iter().position(|(task, _)| task.id == process.id);
            let before = place.map(|place| self.tasks.remove(place));
            self.seen += u64::from(before.is_none());
            self.tasks.push(before.filter(|(_, as_of)| *as_of > event.as_of).unwrap_or((process.clone(), event.as_of)));
            if self.tasks.len() > most.0 {
                let goes = self.tasks.iter().position(|(task, _)| is_ended(task)).unwrap_or(0);
                self.tasks.remove(goes);
                self.forgotten.0 += 1;
            }
        }
        let of = event.worker.as_ref().map(|worker| worker.id);
        let Some(id) = event.process.as_ref().and_then(|process| process.worker_id).or(of) else {
            *self.others.entry(event.type_name().to_owned()).or_default() += 1;
            return;
        };
        let place = self.workers.iter().position(|known| known.0 == id);
        let mut known = place.map_or((id, None, BTreeMap::new()), |place| self.workers.remove(place));
        known.1 = event.worker.clone().or(known.1);
        *known.2.entry(event.type_name().to_owned()).or_default() += 1;
        self.workers.push(known);
        if self.workers.len() > most.1 {
            let goes = self.workers.iter().position(|known| is_gone(known.1.as_ref())).unwrap_or(0);
            self.workers.remove(goes);
            self.forgotten.1 += 1;
        }
    }

    fn clear(&mut self) {
        self.tasks.retain(|(task, _)| !is_ended(task));
        self.workers.retain(|known| !is_gone(known.1.as_ref()));
        self.workers.iter_mut().for_each(|known| known.2.clear());
        self.others.clear();
        (self.events, self.seen) = (0, 0);
    }
}

proptest! {
    #[test]
    fn a_state_matches_a_simple_model_within_its_bounds(
        steps in prop::collection::vec(step(), 0..120), most in (1..8_usize, 2..4_usize)
    ) {
        let (mut state, mut simple) = (State::bounded(most.0, most.1), Simple::default());
        let mut last = None;
        for (number, step) in (3..).zip(steps) {
            let event = match step {
                Step::Process { id, state, worker, late } => {
                    received(number, "task-told", Some(process(id, state, worker)), None, number - late)
                }
                Step::Worker { id, state } => received(number, "worker-told", None, Some(worker(id, state)), number),
                Step::Other => received(number, "something-else", None, None, number),
                Step::Again => {
                    if let Some(event) = &last {
                        prop_assert!(!state.apply(event), "it was taken in before");
                    }
                    continue;
                }
                Step::Clear => {
                    state.clear();
                    simple.clear();
                    continue;
                }
            };
            prop_assert!(state.apply(&event));
            simple.apply(&event, most);
            last = Some(event);
        }
        let newest: Vec<_> = simple.tasks.iter().rev().map(|(task, _)| task).collect();
        prop_assert_eq!(state.tasks_by_time().collect::<Vec<_>>(), newest.clone());
        prop_assert_eq!(state.tasks().count(), newest.len());
        for name in ["task 0", "task 1", "task 2", "task 3"] {
            let of_name: Vec<_> = newest.iter().copied().filter(|task| task.name == name).collect();
            prop_assert_eq!(state.tasks_by_type(name).collect::<Vec<_>>(), of_name);
        }
        for id in (1..5).filter_map(WorkerId::new) {
            let of_worker: Vec<_> = newest.iter().copied().filter(|task| task.worker_id == Some(id)).collect();
            prop_assert_eq!(state.tasks_by_worker(id).collect::<Vec<_>>(), of_worker);
        }
        prop_assert_eq!(state.workers().collect::<Vec<_>>(), simple.workers.iter().rev().filter_map(|known| known.1.as_ref()).collect::<Vec<_>>());
        for (id, model, counts) in &simple.workers {
            prop_assert_eq!(state.worker(*id), model.as_ref());
            prop_assert_eq!(state.counts(Some(*id)), Some(counts));
        }
        prop_assert_eq!(state.counts(None), Some(&simple.others));
        prop_assert_eq!((state.event_count(), state.task_count()), (simple.events, simple.seen));
        prop_assert_eq!((state.forgotten_tasks(), state.forgotten_workers()), simple.forgotten);
    }

    #[test]
    fn changes_since_a_mark_are_those_of_later_events(before in prop::collection::vec(1..9_u64, 0..20), after in prop::collection::vec(1..9_u64, 0..20)) {
        let mut state = State::default();
        let mut number = 0;
        let mut tell = |state: &mut State, id: u64| {
            number += 1;
            state.apply(&received(number, "task-told", Some(process(id, "running", None)), None, number));
        };
        for id in before {
            tell(&mut state, id);
        }
        let mark = state.mark();
        prop_assert_eq!(state.tasks_since(mark).count(), 0);
        for id in &after {
            tell(&mut state, *id);
        }
        let told: std::collections::BTreeSet<_> = after.iter().filter_map(|id| ProcessId::new(*id)).collect();
        prop_assert_eq!(state.tasks_since(mark).map(|task| task.id).collect::<std::collections::BTreeSet<_>>(), told);
        prop_assert_eq!(state.tasks_since(Mark::default()).count(), state.tasks().count());
    }
}

#[test]
fn types_beyond_a_hundred_are_counted_together() {
    let mut state = State::default();
    for number in 1..=1_000 {
        state.apply(&received(number, &format!("type {number}"), None, Some(worker(1, "online")), number));
    }
    let counts = state.counts(WorkerId::new(1)).unwrap();
    assert_eq!((counts.len(), counts[OTHER_TYPES]), (MOST_TYPES + 1, 900));
}

#[test]
fn a_state_without_room_still_counts() {
    let mut state = State::bounded(0, 0);
    state.apply(&received(1, "task-told", Some(process(1, "running", Some(1))), Some(worker(1, "online")), 1));
    assert_eq!((state.tasks().count(), state.workers().count(), state.event_count()), (0, 0, 1));
}

#[test]
fn a_reload_replaces_tasks_and_workers_and_keeps_counts() {
    let mut state = State::default();
    for id in 1..=3 {
        state.apply(&received(id, "task-told", Some(process(id, "running", Some(id))), Some(worker(id, "online")), id));
    }
    let task = |id, state| (serde_json::from_value::<Process>(process(id, state, None)).unwrap(), 9);
    state.reload(&[task(2, "succeeded"), task(7, "running")], &[(serde_json::from_value(worker(2, "lost")).unwrap(), 9)]);
    let tasks: Vec<_> = state.tasks_by_time().map(|task| (task.id.get(), task.state.as_str())).collect();
    assert_eq!(tasks, [(7, "running"), (2, "succeeded")]);
    assert_eq!(state.workers().map(|worker| worker.state.as_str()).collect::<Vec<_>>(), ["lost"]);
    assert_eq!((state.event_count(), state.counts(WorkerId::new(3)).unwrap()["task-told"]), (3, 1));
    // An event that arrives late contains the older model.
    state.apply(&received(4, "task-told", Some(process(2, "running", None)), None, 4));
    assert_eq!(state.task(RootId::new(1).unwrap(), ProcessId::new(2).unwrap()).unwrap().state.as_str(), "succeeded");
}
