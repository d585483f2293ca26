//! Tests of batch tasks, their runs, and the events that agents send about them.

use monitor_wire::{Batch, BatchAgent, BatchRun, BatchStatus, Event, State};
use serde_json::{Value, json};

use super::{Place, Say as _};
use crate::retention::Retention;
use crate::{
    BatchQueries as _, BatchRunsQuery, BatchTasksQuery, Budget, Chore, Expects, Housekeeping as _, Intake as _, Queries as _, Refused,
    RootKey, Rules, Store, TaskChange, TaskEdit, TasksChanged, Turn,
};

const DUE: u64 = 1_795_228_200_000_000;

fn definition(rows: u64) -> TaskEdit {
    let Value::Object(definition) = json!({"name": "gold", "command": ["true"], "config": {"rows": rows}}) else { unreachable!() };
    TaskEdit::Define(definition)
}

fn change(name: &str, expects: Expects, edit: TaskEdit) -> TaskChange {
    TaskChange { name: name.to_owned(), who: "ada".to_owned(), expects, edit }
}

fn ask(store: &impl Store, name: &str, expects: Expects, edit: TaskEdit, now_us: u64) -> (TasksChanged, Vec<Event>) {
    let (changed, told) = store.change_tasks(&[change(name, expects, edit)], now_us).unwrap();
    (changed, told.iter().map(|change| change.message.event.clone()).collect())
}

fn batch(worker: &str, sequence: u64, events: &Value) -> Batch {
    let worker = json!({"id": format!("5b0c00000000000000000000000000{worker}"), "hostname": "db-1", "pid": 1, "program": "monitor-agent"});
    let batch = json!({"version": 1, "worker": worker, "sequence": sequence, "sent_us": DUE, "events": events});
    Batch::from_json(batch.to_string().as_bytes()).unwrap()
}

fn names(store: &impl Store) -> Vec<String> {
    let page = store.batch_tasks(&BatchTasksQuery { limit: 9, ..BatchTasksQuery::default() }).unwrap();
    page.tasks.into_iter().map(|task| task.name).collect()
}

pub fn each_change_is_a_version_and_an_event<P: Place>() {
    let place = P::new();
    let store = place.open();
    let (changed, told) = ask(&store, "gold", Expects::New, definition(1), 5);
    assert_eq!((changed, told.len()), (Ok(vec![1]), 1));
    assert!(matches!(&told[0], Event::BatchTaskChanged(of) if of.task == "gold" && of.version == 1 && of.who.as_deref() == Some("ada")));
    let refused = |expects, edit| ask(&store, "gold", expects, edit, 6).0.unwrap_err().1;
    assert_eq!(refused(Expects::New, definition(2)), Refused::Exists);
    assert_eq!(refused(Expects::Version(7), definition(2)), Refused::Version(1));
    assert_eq!(ask(&store, "none", Expects::Anything, TaskEdit::Resume, 6).0, Err(("none".to_owned(), Refused::Missing)));
    assert_eq!(ask(&store, "gold", Expects::Version(1), definition(1), 6), (Ok(vec![1]), vec![]), "it is so already");
    assert_eq!(ask(&store, "gold", Expects::Version(1), definition(2), 7).0, Ok(vec![2]));
    assert_eq!(ask(&store, "gold", Expects::Anything, TaskEdit::Pause(Some(99)), 8).1.len(), 1);
    let task = store.batch_task("gold").unwrap().unwrap();
    assert_eq!((task.version, task.status, task.until_us, task.changed_us), (2, BatchStatus::PAUSED, Some(99), 8));
    assert_eq!(ask(&store, "gold", Expects::Anything, TaskEdit::Pause(Some(99)), 9).1, vec![], "it is paused already");
    let newer = |after| store.batch_changes(after).unwrap().into_iter().map(|(revision, _)| revision).collect::<Vec<_>>();
    assert_eq!((newer(0), newer(2), newer(3)), (vec![3], vec![3], vec![]));
    let versions = store.batch_versions("gold").unwrap();
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(versions[0].diff, [r#"- config = {"rows":1}"#, r#"+ config = {"rows":2}"#]);
    // If one change is refused, none is applied.
    let both = [change("tin", Expects::New, definition(1)), change("gold", Expects::New, definition(1))];
    let (changed, told) = store.change_tasks(&both, 9).unwrap();
    assert_eq!((changed, told.count(), names(&store)), (Err(("gold".to_owned(), Refused::Exists)), 0, vec!["gold".to_owned()]));
    assert_eq!(ask(&store, "gold", Expects::Version(2), TaskEdit::Delete, 10).0, Ok(vec![3]));
    assert_eq!(names(&store), Vec::<String>::new());
    drop(store);
    let store = place.open();
    assert_eq!(store.batch_task("gold").unwrap().unwrap().status, BatchStatus::DELETED);
    assert_eq!(ask(&store, "gold", Expects::New, definition(3), 11).0, Ok(vec![4]), "versions go on");
    place.check(&store);
}

/// Returns the start and the end of a run. If `as_text`, the due time is a string, as agents send it.
fn run_events(as_text: bool, end: &Value) -> Value {
    let due = if as_text { json!(DUE.to_string()) } else { json!(DUE) };
    let of = json!({"root_id": "019f0000000000000000000000000001", "id": "00000000000000c1", "native_id": "gold@20261121T023000Z.1"});
    let with = |more: Value| {
        let mut event = of.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let fields = json!({"task.name": "gold", "task.version": 2, "task.due_us": due, "task.trigger": "time", "task.agent": "db-1"});
    json!([
        with(json!({"type": "process-started", "time_us": DUE + 5, "kind": "run", "name": "gold", "fields": fields})),
        with(json!({"type": "process-ended", "time_us": DUE + 9_000_000, "elapsed_ns": 8_999_000_000_u64, "outcome": end["outcome"],
            "exit_code": end["exit_code"], "reason": "exited", "error": end["error"]})),
    ])
}

fn failed() -> Value {
    json!({"outcome": "failed", "exit_code": 3, "error": {"kind": "exit", "message": "no prices"}})
}

fn runs(store: &impl Store, query: BatchRunsQuery) -> Vec<BatchRun> {
    store.batch_runs(&BatchRunsQuery { limit: 9, ..query }).unwrap().runs
}

pub fn a_run_is_folded_from_its_events_in_any_order_and_outlives_its_tree<P: Place>() {
    let mut found = Vec::new();
    for (order, as_text) in [([0, 1], false), ([1, 0], true)] {
        let place = P::new();
        let store = place.open();
        let events = run_events(as_text, &failed());
        for number in order {
            let sent = batch("a1", number as u64 + 1, &json!([events[number]]));
            store.say(std::slice::from_ref(&sent), DUE).unwrap();
            store.say(&[sent], DUE).unwrap();
        }
        found.extend(runs(&store, BatchRunsQuery::default()));
        assert_eq!(store.drop_root(RootKey::Number(1), true, DUE).unwrap().map(|changes| changes.count()), Some(1));
        let rules = Rules { retention: &Retention::default(), aged_us: DUE, now_us: DUE };
        let mut turn = Some(Turn::Change);
        while let Some(next) = turn {
            turn = store.tidy(Chore::Trees, &rules, Budget { turn: next, time: std::time::Duration::ZERO, trees: 9 }).unwrap().more;
        }
        assert!(store.root(RootKey::Number(1)).unwrap().is_none());
        found.extend(runs(&store, BatchRunsQuery::default()));
        place.check(&store);
    }
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|run| *run == found[0]), "{found:#?}");
    let run = &found[0];
    assert_eq!((run.task.as_str(), run.version, run.due_us, run.agent.as_deref()), ("gold", 2, DUE, Some("db-1")));
    assert_eq!((run.outcome.as_str(), run.exit_code, run.error.as_deref()), ("failed", Some(3), Some("no prices")));
    assert_eq!((run.started_us, run.ended_us, run.elapsed_ns), (Some(DUE + 5), Some(DUE + 9_000_000), Some(8_999_000_000)));
}

pub fn a_run_whose_agent_is_lost_is_lost_until_its_end_comes<P: Place>() {
    let place = P::new();
    let store = place.open();
    let events = run_events(true, &json!({"outcome": "succeeded", "exit_code": 0}));
    let online = json!({"type": "worker-online", "time_us": DUE, "started_us": DUE, "version": "1", "heartbeat_interval_ms": 1_000});
    store.say(&[batch("a1", 1, &json!([online, events[0]]))], DUE).unwrap();
    assert_eq!(runs(&store, BatchRunsQuery::default())[0].outcome, State::RUNNING);
    store.lose_workers(DUE + 60_000_000, 0).unwrap();
    assert_eq!(runs(&store, BatchRunsQuery::default())[0].outcome, State::LOST);
    store.say(&[batch("a1", 3, &json!([events[1]]))], DUE + 70_000_000).unwrap();
    assert_eq!(runs(&store, BatchRunsQuery::default())[0].outcome, State::SUCCEEDED);
    place.check(&store);
}

pub fn runs_are_filtered_and_paged<P: Place>() {
    let place = P::new();
    let store = place.open();
    ask(&store, "gold", Expects::New, definition(1), 5).0.unwrap();
    for number in 1..=5_u64 {
        let mut events = run_events(true, &if number % 2 == 0 { failed() } else { json!({"outcome": "succeeded", "exit_code": 0}) });
        for event in events.as_array_mut().unwrap() {
            event["root_id"] = json!(format!("019f{number:028}"));
            event["id"] = json!(format!("{number:016}"));
            event["native_id"] = json!(format!("gold@20261121T02300{number}Z.1"));
        }
        events[0]["fields"]["task.due_us"] = json!((DUE + number * 1_000_000).to_string());
        store.say(&[batch("a1", 2 * number, &events)], DUE).unwrap();
    }
    let dues = |query: BatchRunsQuery| runs(&store, query).iter().map(|run| (run.due_us - DUE) / 1_000_000).collect::<Vec<_>>();
    let any = BatchRunsQuery::default;
    for (query, expected) in [
        (any(), vec![5, 4, 3, 2, 1]),
        (BatchRunsQuery { task: Some("gold".to_owned()), exit_code: Some(3), ..any() }, vec![4, 2]),
        (BatchRunsQuery { outcome: Some(State::SUCCEEDED), agent: Some("db-1".to_owned()), ..any() }, vec![5, 3, 1]),
        (BatchRunsQuery { from_us: Some(DUE + 2_000_000), to_us: Some(DUE + 4_000_000), ..any() }, vec![3, 2]),
        (BatchRunsQuery { task: Some("tin".to_owned()), ..any() }, vec![]),
        (BatchRunsQuery { agent: Some("none".to_owned()), ..any() }, vec![]),
    ] {
        assert_eq!(dues(query.clone()), expected, "{query:?}");
    }
    let (mut cursor, mut paged) = (None, Vec::new());
    loop {
        let page = store.batch_runs(&BatchRunsQuery { limit: 2, cursor, ..any() }).unwrap();
        paged.extend(page.runs.iter().map(|run| (run.due_us - DUE) / 1_000_000));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, [5, 4, 3, 2, 1]);
    for wrong in ["", "x", "x.y", "99999999999999999999.a"] {
        assert!(store.batch_runs(&BatchRunsQuery { limit: 2, cursor: Some(wrong.to_owned()), ..any() }).is_err(), "{wrong}");
    }
    let task = store.batch_task("gold").unwrap().unwrap();
    let marks: Vec<_> = task.runs.iter().map(|mark| mark.outcome.as_str()).collect();
    assert_eq!((marks, task.failed_in_a_row), (vec!["succeeded", "failed", "succeeded", "failed", "succeeded"], 0));
    assert_eq!((task.last_run.map(|run| run.due_us), task.missed_us), (Some(DUE + 5_000_000), None));
    let missed = |number: u64, due_us: u64| {
        batch(
            "a2",
            number,
            &json!([{"type": "run-missed", "time_us": 1, "task": "gold", "agent": "db-1", "version": 2,
            "first_due_us": due_us, "last_due_us": due_us, "count": 1, "reason": "agent-down"}]),
        )
    };
    for (number, due_us, expected) in [(1, DUE + 1, None), (2, DUE + 6_000_000, Some(DUE + 6_000_000)), (3, DUE + 2, Some(DUE + 6_000_000))]
    {
        store.say(&[missed(number, due_us)], DUE).unwrap();
        assert_eq!(store.batch_task("gold").unwrap().unwrap().missed_us, expected, "a missed due time counts until a run follows");
    }
    place.check(&store);
}

pub fn events_of_agents_are_kept_once_in_any_order<P: Place>() {
    let skipped = json!({"type": "run-skipped", "time_us": 1, "task": "gold", "agent": "db-1", "version": 2, "due_us": 50, "reason": "overlap",
        "blocked_by": "gold@20261121T023000Z.1"});
    let paused = json!({"type": "run-skipped", "time_us": 1, "task": "gold", "agent": "db-1", "version": 2, "due_us": 100,
        "last_due_us": 150, "count": 51, "reason": "paused"});
    let missed = json!({"type": "run-missed", "time_us": 1, "task": "gold", "agent": "db-1", "version": 2, "first_due_us": 60,
        "last_due_us": 90, "count": 31, "reason": "agent-down"});
    let decided = |until: u64| {
        let pause = if until == 200 { json!(150) } else { Value::Null };
        json!({"type": "agent-decided", "time_us": 1, "agent": "db-1", "until_us": until, "paused_from_us": pause, "files_only": until == 200, "mistakes": [until.to_string()]})
    };
    let file = |time: u64, version: u64, status: &str| {
        json!({"type": "batch-task-changed", "time_us": time, "task": "tin", "version": version,
        "status": status, "agent": "db-1", "who": "/etc/tasks/tin.toml", "definition": {"name": "tin", "command": ["true"]}})
    };
    let events = [skipped, missed, decided(200), decided(100), file(5, 1, "active"), file(6, 2, "active"), paused];
    let mut kept = Vec::new();
    for order in [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]] {
        let place = P::new();
        let store = place.open();
        for number in order {
            let sent = batch("a1", number as u64 + 1, &json!([events[number]]));
            store.say(std::slice::from_ref(&sent), 9).unwrap();
            store.say(&[sent], 9).unwrap();
        }
        let task = store.batch_task("tin").unwrap().unwrap();
        assert_eq!((task.version, task.agent.as_deref()), (2, Some("db-1")));
        let refused = ask(&store, "tin", Expects::Anything, definition(1), 10).0.unwrap_err().1;
        assert_eq!(refused, Refused::OfAgent("db-1".to_owned()));
        kept.push((store.batch_decisions("gold", (0, 1_000), 9).unwrap(), store.batch_agents().unwrap(), task));
        assert_eq!(store.batch_decisions("gold", (55, 70), 9).unwrap().len(), 1);
        assert_eq!(store.batch_decisions("gold", (120, 130), 9).unwrap().len(), 1, "within several");
        assert_eq!(store.batch_decisions("gold", (0, 1_000), 1).unwrap().len(), 1);
        // An agent can't change a task that the server manages.
        ask(&store, "gold", Expects::New, definition(1), 10).0.unwrap();
        let mut theirs = file(99, 9, "deleted");
        theirs["task"] = json!("gold");
        store.say(&[batch("a1", 20, &json!([theirs]))], 9).unwrap();
        assert_eq!(store.batch_task("gold").unwrap().unwrap().status, BatchStatus::ACTIVE);
        place.check(&store);
    }
    assert_eq!(kept[0], kept[1]);
    let agent = BatchAgent {
        name: "db-1".to_owned(),
        decided_us: 200,
        paused_from_us: Some(150),
        paused_until_us: None,
        files_only: true,
        mistakes: vec!["200".to_owned()],
    };
    assert_eq!(kept[0].1, [agent]);
    let told: Vec<_> = kept[0].0.iter().map(|of| (of.first_due_us, of.count, of.what.as_str(), of.reason.as_str())).collect();
    assert_eq!(told, [(50, 1, "skipped", "overlap"), (60, 31, "missed", "agent-down"), (100, 51, "skipped", "paused")]);
}

/// Returns the start of the run with this number.
fn run_of(number: u64, due_us: u64, trigger: &str, agent: &str) -> Value {
    let mut started = run_events(false, &failed())[0].take();
    started["root_id"] = json!(format!("019f{number:028}"));
    started["id"] = json!(format!("{number:016}"));
    started["native_id"] = json!(format!("gold@20261121T023000Z.{number}"));
    for (key, value) in [("task.due_us", json!(due_us)), ("task.trigger", json!(trigger)), ("task.agent", json!(agent))] {
        started["fields"][key] = value;
    }
    started
}

pub fn decisions_of_an_agent_are_known_by_task_since_its_version<P: Place>() {
    let place = P::new();
    let store = place.open();
    let dues = |task: &str, agent: &str| {
        let decided = store.batch_decided(task, agent).unwrap();
        (decided.from_us, decided.dues.iter().map(|dues| (dues.first_us, dues.last_us)).collect::<Vec<_>>())
    };
    assert_eq!(dues("gold", "db-1"), (0, vec![]), "a task that was never there");
    ask(&store, "gold", Expects::New, definition(1), 40).0.unwrap();
    let missed = |agent: &str, first: u64, last: u64| {
        json!({"type": "run-missed", "time_us": 1, "task": "gold", "agent": agent, "version": 1, "first_due_us": first, "last_due_us": last,
            "count": 2, "reason": "agent-down"})
    };
    let skipped =
        json!({"type": "run-skipped", "time_us": 1, "task": "gold", "agent": "db-1", "version": 1, "due_us": 90, "reason": "lock"});
    let runs = [
        run_of(1, 30, "time", "db-1"),
        run_of(2, 50, "time", "db-1"),
        run_of(3, 80, "missed", "db-1"),
        run_of(4, 82, "request", "db-1"),
        run_of(5, 84, "retry", "db-1"),
        run_of(6, 86, "time", "db-2"),
    ];
    let events: Vec<Value> = runs.into_iter().chain([missed("db-1", 60, 70), missed("db-2", 61, 71), skipped]).collect();
    store.say(&[batch("a1", 1, &json!(events))], DUE).unwrap();
    assert_eq!(dues("gold", "db-1"), (40, vec![(50, 50), (60, 70), (80, 80), (90, 90)]));
    assert_eq!(dues("gold", "db-2"), (40, vec![(61, 71), (86, 86)]));
    // Pausing and resuming create no version.
    ask(&store, "gold", Expects::Anything, TaskEdit::Pause(None), 75).0.unwrap();
    ask(&store, "gold", Expects::Anything, TaskEdit::Resume, 76).0.unwrap();
    assert_eq!(dues("gold", "db-1").0, 40);
    ask(&store, "gold", Expects::Anything, definition(2), 79).0.unwrap();
    assert_eq!(dues("gold", "db-1"), (79, vec![(80, 80), (90, 90)]));
    // If there are too many, the newest are returned, and `from_us` is the time since which they are complete.
    let many: Vec<Value> = (10..100).map(|number| run_of(number, 100 + number, "time", "db-1")).collect();
    store.say(&[batch("a1", 20, &json!(many))], DUE).unwrap();
    let (from, known) = dues("gold", "db-1");
    assert_eq!((from, known.len(), known.first(), known.last()), (150, 49, Some(&(151, 151)), Some(&(199, 199))));
    place.check(&store);
}
