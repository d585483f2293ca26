//! Signs, and what is kept of alerts.

use monitor_alerts::{Cause, Facts, Hush, HushKind, Message, MessageKind, Pattern, Relief, Rule, Severity, Subject, SubjectKind, What};
use monitor_wire::Batch;
use serde_json::{Value, json};

use super::{Place, Say as _};
use crate::retention::Retention;
use crate::store::{
    AlertQueries as _, AlertsChange, Attempt, Budget, Chore, DeliveriesOf, DeliveryState, Expects, Housekeeping as _, Intake as _, NotesOf,
    RuleEdit, Rules, Store, TaskChange, TaskEdit, Turn, Watched,
};

const NOW: u64 = 1_795_228_200_000_000;

fn batch(sequence: u64, events: &Value) -> Batch {
    let worker = json!({"id": "5b0c00000000000000000000000000a1", "hostname": "db-1", "pid": 1, "program": "monitor-agent"});
    let batch = json!({"version": 1, "worker": worker, "sequence": sequence, "sent_us": NOW, "events": events});
    Batch::from_json(batch.to_string().as_bytes()).unwrap()
}

/// A process that ends so, with a name and a kind.
fn process(number: u64, name: &str, is_run: bool, outcome: &str) -> Value {
    let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}")});
    let with = |more: Value| {
        let mut event = of.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let start = if is_run {
        let fields = json!({"task.name": name, "task.version": 1, "task.due_us": NOW, "task.trigger": "time", "task.agent": "db-1"});
        with(json!({"type": "process-started", "time_us": NOW + number, "kind": "run", "name": name, "fields": fields,
            "native_id": format!("{name}@{number}.1")}))
    } else {
        with(json!({"type": "process-started", "time_us": NOW + number, "kind": "root", "name": name}))
    };
    let error = if outcome == "failed" { json!({"kind": "exit", "message": format!("order {number} not found")}) } else { Value::Null };
    let end = with(json!({"type": "process-ended", "time_us": NOW + number + 5, "elapsed_ns": 5_000, "outcome": outcome, "error": error}));
    json!([start, end])
}

fn signs(store: &impl Store) -> Vec<String> {
    let signs = store.signs_after(0, 100).unwrap();
    assert_eq!(store.last_sign(), signs.last().map_or(0, |sign| sign.seq));
    signs.iter().map(|sign| format!("{} {}", sign.what.as_str(), sign.subject)).collect()
}

fn define(store: &impl Store, edit: TaskEdit) {
    let change = TaskChange { name: "gold".to_owned(), who: "ada".to_owned(), expects: Expects::Anything, edit };
    store.change_tasks(&[change], NOW).unwrap().0.unwrap();
}

fn a_run_is_a_sign_when_it_ends_with_its_tasks_owner_and_survives_a_restart<P: Place>() {
    let place = P::new();
    let store = place.open();
    let Value::Object(definition) = json!({"name": "gold", "command": ["true"], "owner": "ada@example.com", "tags": ["nightly"]}) else {
        unreachable!()
    };
    define(&store, TaskEdit::Define(definition));
    let failed = batch(1, &process(1, "gold", true, "failed"));
    store.say(std::slice::from_ref(&failed), NOW).unwrap();
    store.say(&[failed], NOW).unwrap();
    store.say(&[batch(3, &process(2, "gold", true, "succeeded"))], NOW + 7).unwrap();
    assert_eq!(signs(&store), ["failed task:gold", "succeeded task:gold"]);
    drop(store);
    let store = place.open();
    assert_eq!(signs(&store).len(), 2);
    let sign = store.signs_after(0, 1).unwrap().remove(0);
    assert_eq!((sign.time_us, sign.what, sign.agent.as_deref()), (NOW, What::Cause(Cause::Failed), Some("db-1")));
    let Facts { run, owner, tags, error, shape, .. } = sign.facts;
    assert_eq!((run.as_deref(), owner.as_deref(), tags), (Some("gold@1.1"), Some("ada@example.com"), vec!["nightly".to_owned()]));
    assert_eq!((error.as_deref(), shape.as_deref()), (Some("order 1 not found"), Some("order … not found")));
    let root = format!("{:032x}", 0x019f_u128 << 112 | 1);
    assert_eq!(store.signs_of(&root, None, 9).unwrap().len(), 1);
    assert_eq!(
        (store.signs_of(&root, Some("0000000000000009"), 9).unwrap().len(), store.signs_between((NOW + 1, NOW + 9), 9).unwrap().len()),
        (0, 1)
    );
    place.check(&store);
}

fn processes_of_a_name_are_signs_only_where_a_rule_asks_for_it<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[batch(1, &process(1, "parse", false, "failed"))], NOW).unwrap();
    assert_eq!(signs(&store), Vec::<String>::new());
    store.watch(Watched { names: vec![Pattern::new("par*")] }).unwrap();
    for (number, name, outcome) in [
        (2, "parse", "failed"),
        (3, "other", "failed"),
        (4, "parse", "succeeded"),
        (5, "parse", "succeeded"),
        (6, "parse", "cancelled"),
        (7, "parse", "failed"),
    ] {
        store.say(&[batch(2 * number, &process(number, name, false, outcome))], NOW).unwrap();
    }
    assert_eq!(signs(&store), ["failed name:parse", "succeeded name:parse", "failed name:parse"], "of those that went well only the first");
    // Of one transaction the order of the ends counts, and not that of the ids.
    let mut both = process(9, "parse", false, "succeeded").as_array().unwrap().clone();
    both.extend(process(8, "parse", false, "failed").as_array().unwrap().clone());
    store.say(&[batch(20, &json!(both))], NOW).unwrap();
    assert_eq!(signs(&store)[3..], ["failed name:parse", "succeeded name:parse"]);
    place.check(&store);
}

fn an_agent_that_isnt_heard_of_is_a_sign_and_so_is_its_return_under_another_worker<P: Place>() {
    let place = P::new();
    let store = place.open();
    let online = json!({"type": "worker-online", "time_us": NOW, "started_us": NOW, "version": "1", "heartbeat_interval_ms": 1_000});
    let decided = json!({"type": "agent-decided", "time_us": NOW, "agent": "db-1", "until_us": NOW});
    store.say(&[batch(1, &json!([online, decided]))], NOW).unwrap();
    store.lose_workers(NOW + 60_000_000, 0).unwrap();
    assert_eq!(signs(&store), ["unknown agent:db-1"]);
    let mut again = batch(1, &json!([decided]));
    again.worker.id = "5b0c00000000000000000000000000a2".parse().unwrap();
    let missed = json!({"type": "run-missed", "time_us": 1, "task": "gold", "agent": "db-1", "version": 2, "first_due_us": 60,
        "last_due_us": 90, "count": 31, "reason": "agent-down"});
    again.events.insert(0, serde_json::from_value(missed).unwrap());
    store.say(std::slice::from_ref(&again), NOW + 70_000_000).unwrap();
    assert_eq!(signs(&store), ["unknown agent:db-1", "found agent:db-1", "missed task:gold"], "it is heard of before it is judged");
    assert_eq!(store.signs_after(1, 9).unwrap()[0].what, What::Relief(Relief::Found));
    place.check(&store);
}

fn what_agents_and_people_tell_of_tasks_are_signs<P: Place>() {
    let place = P::new();
    let store = place.open();
    let missed = json!({"type": "run-missed", "time_us": 1, "task": "gold", "agent": "db-1", "version": 2, "first_due_us": 60,
        "last_due_us": 90, "count": 31, "reason": "agent-down"});
    let skipped =
        json!({"type": "run-skipped", "time_us": 1, "task": "gold", "agent": "db-1", "version": 2, "due_us": 50, "reason": "overlap"});
    let notified = json!({"type": "process-notified", "time_us": 1, "root_id": "019f0000000000000000000000000001", "id": "00000000000000c1",
        "severity": "error", "title": "disk 7 is full", "key": "disk"});
    store.say(&[batch(1, &json!([missed, skipped, notified]))], NOW).unwrap();
    let Value::Object(definition) = json!({"name": "gold", "command": ["true"]}) else { unreachable!() };
    define(&store, TaskEdit::Define(definition.clone()));
    define(&store, TaskEdit::Delete);
    define(&store, TaskEdit::Define(definition));
    assert_eq!(signs(&store), ["missed task:gold", "skipped task:gold", "notified key:disk", "deleted task:gold", "restored task:gold"]);
    let signs = store.signs_after(0, 9).unwrap();
    assert_eq!((signs[0].facts.times, signs[2].facts.severity), (Some(31), Some(Severity::Critical)));
    place.check(&store);
}

fn message(id: &str, channel: &str) -> Message {
    Message {
        id: id.to_owned(),
        alert: 1,
        kind: MessageKind::Fired,
        rule: "failed".to_owned(),
        subject: Subject::new(SubjectKind::Task, "gold"),
        cause: Cause::Failed,
        severity: Severity::Warning,
        time_us: NOW,
        since_us: NOW,
        resolved_us: None,
        count: 1,
        names: Vec::new(),
        note: None,
        facts: Facts::default(),
        channel: channel.to_owned(),
        address: None,
        to: Vec::new(),
    }
}

fn a_decision_is_kept_whole_or_not_at_all<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[batch(1, &process(1, "gold", true, "failed"))], NOW).unwrap();
    let signs = store.signs_after(0, 9).unwrap();
    let text = "[channel.ops]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"";
    let settings = monitor_alerts::Settings::from_toml(text).unwrap();
    let rules = monitor_alerts::rules(&[], &[]);
    let world = monitor_alerts::World { rules: &rules, channels: &settings.channels, hushes: &[] };
    let mut state = monitor_alerts::State::default();
    let made = monitor_alerts::step(&mut state, world, &signs, NOW);
    let changed = state.take_changes();
    let change = AlertsChange {
        cursor: Some((0, 1)),
        entries: changed.entries,
        common: Some(changed.common),
        alerts: made.alerts.into_values().collect(),
        notes: made.notes,
        messages: made.messages,
        ..AlertsChange::default()
    };
    assert!(store.change_alerts(&change, NOW).unwrap());
    assert!(!store.change_alerts(&change, NOW).unwrap(), "the cursor is elsewhere");
    drop(store);
    let store = place.open();
    let (cursor, entries, common) = store.alert_memory().unwrap();
    assert_eq!((cursor, monitor_alerts::State::new(entries, common)), (1, state));
    let alert = store.alert(1).unwrap().unwrap();
    assert_eq!((alert.count, store.alerts(&crate::store::AlertsQuery { limit: 9, ..Default::default() }).unwrap()), (1, vec![alert]));
    assert_eq!(store.deliveries(DeliveriesOf::Alert(1), 9).unwrap().len(), 1);
    let words = |of| store.alert_notes(of, 9).unwrap().iter().map(|note| note.what.as_str()).collect::<Vec<_>>();
    assert_eq!((words(NotesOf::Sign(1)), words(NotesOf::Alert(1))), (vec!["fired"], vec!["fired", "nobody", "told"]));
    place.check(&store);
}

fn a_message_waits_until_it_is_taken_or_given_up<P: Place>() {
    let place = P::new();
    let store = place.open();
    let change =
        AlertsChange { messages: vec![message("1.1", "ops"), message("1.2", "lead"), message("1.1", "ops")], ..AlertsChange::default() };
    store.change_alerts(&change, NOW).unwrap();
    let due = |now| store.deliveries_due(now, 9).unwrap().into_iter().map(|of| of.message.id).collect::<Vec<_>>();
    assert_eq!(due(NOW), ["1.1", "1.2"], "an id is there once");
    let attempt = |message: &str, state, next_us| Attempt { message: message.to_owned(), state, next_us, answer: "500".to_owned() };
    let tell = |attempt| store.change_alerts(&AlertsChange { attempts: vec![attempt], ..AlertsChange::default() }, NOW).unwrap();
    tell(attempt("1.1", DeliveryState::Waiting, NOW + 5));
    tell(attempt("1.2", DeliveryState::Sent, NOW));
    tell(attempt("1.2", DeliveryState::Waiting, NOW));
    assert_eq!((due(NOW), due(NOW + 5), store.next_delivery_us().unwrap()), (vec![], vec!["1.1".to_owned()], Some(NOW + 5)));
    tell(attempt("1.1", DeliveryState::Undelivered, NOW));
    assert_eq!((due(u64::MAX), store.next_delivery_us().unwrap()), (vec![], None));
    let of = store.deliveries(DeliveriesOf::Channel("ops"), 9).unwrap().remove(0);
    assert_eq!((of.attempts, of.state, of.answer.as_deref()), (2, DeliveryState::Undelivered, Some("500")));
    place.check(&store);
}

fn hushes_and_rules_are_kept<P: Place>() {
    let place = P::new();
    let store = place.open();
    let hush =
        Hush { scope: "*".to_owned(), from_us: NOW, until_us: NOW + 9, who: "ada".to_owned(), why: None, kind: HushKind::Maintenance };
    store.change_alerts(&AlertsChange { hushes: vec![hush.clone(), hush.clone()], ..AlertsChange::default() }, NOW).unwrap();
    assert_eq!(store.hushes(NOW).unwrap(), [(1, hush.clone()), (2, hush)]);
    store.change_alerts(&AlertsChange { ended_hushes: vec![1], ..AlertsChange::default() }, NOW + 1).unwrap();
    assert_eq!(store.hushes(NOW + 1).unwrap().len(), 1);
    let rule =
        Rule::from_json(json!({"name": "own", "on": {"cause": ["failed"]}, "to": ["@owner"]}), &std::collections::BTreeMap::new()).unwrap();
    for rule in [Some(rule.clone()), Some(rule.clone()), None] {
        let edit = RuleEdit { name: "own".to_owned(), who: "ada".to_owned(), rule };
        store.change_alerts(&AlertsChange { rules: vec![edit], ..AlertsChange::default() }, NOW).unwrap();
    }
    let kept = store.alert_rules().unwrap().remove(0);
    assert_eq!((kept.version, kept.definition), (3, None), "it was deleted, and its versions go on");
    place.check(&store);
}

fn old_signs_go_and_numbers_are_not_used_again<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[batch(1, &process(1, "gold", true, "failed"))], NOW).unwrap();
    let aged_us = NOW + 91 * 86_400 * 1_000_000;
    let rules = Rules { retention: &Retention::default(), aged_us, now_us: aged_us };
    let mut turn = Some(Turn::Change);
    while let Some(next) = turn {
        turn = store.tidy(Chore::Rest, &rules, Budget { turn: next, time: std::time::Duration::ZERO, trees: 9 }).unwrap().more;
    }
    assert_eq!(store.signs_after(0, 9).unwrap().len(), 0);
    drop(store);
    let store = place.open();
    store.say(&[batch(3, &process(2, "gold", true, "failed"))], NOW).unwrap();
    assert_eq!(store.signs_after(1, 9).unwrap().len(), 1, "whoever has taken the first finds the second");
    place.check(&store);
}

for_each_store!(
    a_run_is_a_sign_when_it_ends_with_its_tasks_owner_and_survives_a_restart,
    processes_of_a_name_are_signs_only_where_a_rule_asks_for_it,
    an_agent_that_isnt_heard_of_is_a_sign_and_so_is_its_return_under_another_worker,
    what_agents_and_people_tell_of_tasks_are_signs,
    a_decision_is_kept_whole_or_not_at_all,
    a_message_waits_until_it_is_taken_or_given_up,
    hushes_and_rules_are_kept,
    old_signs_go_and_numbers_are_not_used_again,
);
