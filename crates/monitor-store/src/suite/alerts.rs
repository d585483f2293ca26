//! Tests of signs and of the stored data about alerts.

use monitor_alerts::{
    Alert, AlertState, Cause, Facts, Hush, HushKind, Message, MessageKind, Order, Pattern, Relief, Rule, Severity, Subject, SubjectKind,
    What,
};
use monitor_wire::Batch;
use serde_json::{Value, json};

use super::{Place, Say as _};
use crate::retention::Retention;
use crate::{
    AlertQueries as _, AlertsChange, Attempt, BatchQueries as _, BatchTasksQuery, Budget, Chore, DeliveriesOf, DeliveryState, Expects,
    FollowUpAttempt, Housekeeping as _, Intake as _, NotesOf, RuleEdit, Rules, Store, TaskChange, TaskEdit, Turn, Watched,
};

const NOW: u64 = 1_795_228_200_000_000;

fn batch(sequence: u64, events: &Value) -> Batch {
    let worker = json!({"id": "5b0c00000000000000000000000000a1", "hostname": "db-1", "pid": 1, "program": "monitor-agent"});
    let batch = json!({"version": 1, "worker": worker, "sequence": sequence, "sent_us": NOW, "events": events});
    Batch::from_json(batch.to_string().as_bytes()).unwrap()
}

/// Returns the start and the end of a process: a run of the batch task `name` if `is_run`, else a root.
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
    let error = if outcome == "failed" {
        json!({"kind": "error", "message": format!("order {number} not found"), "chain": ["no such row (os error 2)"]})
    } else {
        Value::Null
    };
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

pub fn a_run_is_a_sign_when_it_ends_with_its_tasks_owner_and_survives_a_restart<P: Place>() {
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
    assert_eq!((error.as_deref(), shape.as_deref()), (Some("order 1 not found: no such row"), Some("order … not found: no such row")));
    let root = format!("{:032x}", 0x019f_u128 << 112 | 1);
    assert_eq!(store.signs_of(&root, None, 9).unwrap().len(), 1);
    assert_eq!(
        (store.signs_of(&root, Some("0000000000000009"), 9).unwrap().len(), store.signs_between((NOW + 1, NOW + 9), 9).unwrap().len()),
        (0, 1)
    );
    let newest: Vec<_> = store.signs_between((NOW, NOW + 9), 1).unwrap().iter().map(|sign| sign.time_us).collect();
    assert_eq!(newest, [NOW + 7], "of too many, the newest");
    place.check(&store);
}

pub fn a_run_is_a_sign_if_its_end_arrives_first_or_replaces_another<P: Place>() {
    let place = P::new();
    let store = place.open();
    let Value::Array(events) = process(1, "gold", true, "failed") else { unreachable!() };
    store.say(&[batch(1, &json!([events[1]]))], NOW).unwrap();
    assert_eq!(signs(&store), Vec::<String>::new());
    store.say(&[batch(2, &json!([events[0]]))], NOW).unwrap();
    assert_eq!(signs(&store), ["failed task:gold"]);
    // The earlier of two ends counts: an agent may judge a command that succeeded as failed.
    store.say(&[batch(3, &process(2, "gold", true, "succeeded"))], NOW).unwrap();
    let mut judged = process(2, "gold", true, "failed")[1].clone();
    judged["time_us"] = json!(NOW + 6);
    store.say(&[batch(5, &json!([judged]))], NOW).unwrap();
    assert_eq!(signs(&store), ["failed task:gold", "succeeded task:gold", "failed task:gold"]);
    place.check(&store);
}

pub fn processes_of_a_name_are_signs_only_if_a_rule_watches_it<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[batch(1, &process(1, "parse", false, "failed"))], NOW).unwrap();
    assert_eq!(signs(&store), Vec::<String>::new());
    store.watch(Watched { names: vec![Pattern::new("par*")], fast: false }).unwrap();
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
    // Within a transaction, signs are in the order of the ends, not in that of the events or of the ids.
    let mut both = process(8, "parse", false, "succeeded").as_array().unwrap().clone();
    both[1]["time_us"] = json!(NOW + 99);
    both.extend(process(9, "parse", false, "failed").as_array().unwrap().clone());
    store.say(&[batch(20, &json!(both))], NOW).unwrap();
    assert_eq!(signs(&store)[3..], ["failed name:parse", "succeeded name:parse"]);
    place.check(&store);
}

pub fn a_silent_agent_is_a_sign_and_so_is_its_return_under_another_worker<P: Place>() {
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

pub fn task_events_of_agents_and_users_are_signs<P: Place>() {
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

const MINUTE: u64 = 60_000_000;

/// Returns the start and the end of run `number` of a task. It starts `late_us` after its due time and takes `took_us` microseconds.
fn run(task: &str, number: u64, late_us: u64, took_us: u64) -> Value {
    let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{number:016x}")});
    let with = |more: Value| {
        let mut event = of.clone();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let (due_us, start_us) = (NOW + number * 60 * MINUTE, NOW + number * 60 * MINUTE + late_us);
    let fields = json!({"task.name": task, "task.version": 1, "task.due_us": due_us, "task.trigger": "time", "task.agent": "db-1"});
    json!([
        with(json!({"type": "process-started", "time_us": start_us, "kind": "run", "name": task, "fields": fields,
            "native_id": format!("{task}@{number}.1")})),
        with(json!({"type": "process-ended", "time_us": start_us + took_us, "elapsed_ns": took_us * 1_000, "outcome": "succeeded"})),
    ])
}

fn gold(more: &Value) -> TaskEdit {
    let mut definition = json!({"name": "gold", "command": ["true"]});
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let Value::Object(definition) = definition else { unreachable!() };
    TaskEdit::Define(definition)
}

pub fn a_run_that_starts_after_start_within_is_a_sign_once<P: Place>() {
    let place = P::new();
    let store = place.open();
    define(&store, gold(&json!({"start-within": "5m", "jitter": "1m"})));
    let say = |number: u64, events: &[Value]| store.say(&[batch(2 * number, &json!(events))], NOW).unwrap();
    let late = run("gold", 1, 6 * MINUTE + 1, 9);
    // Run 1 ends in a batch of its own. The later runs start and end in one batch, and are checked as well.
    let [start, end] = late.as_array().unwrap().as_slice() else { unreachable!() };
    say(1, std::slice::from_ref(start));
    assert_eq!(signs(&store), ["late task:gold"]);
    store.say(&[batch(3, &json!([end]))], NOW).unwrap();
    say(2, run("gold", 2, 6 * MINUTE, 9).as_array().unwrap());
    say(3, run("gold", 3, 7 * MINUTE, 9).as_array().unwrap());
    say(4, run("other", 4, 7 * MINUTE, 9).as_array().unwrap());
    let expected =
        ["late task:gold", "succeeded task:gold", "succeeded task:gold", "late task:gold", "succeeded task:gold", "succeeded task:other"];
    assert_eq!(signs(&store), expected, "a task that says nothing of it may start at any time");
    let facts = store.signs_after(0, 1).unwrap().remove(0).facts;
    assert_eq!(
        (facts.limit_ns, facts.started_us.zip(facts.due_us).map(|(at, due)| at - due)),
        (Some(360_000_000_000), Some(6 * MINUTE + 1))
    );
    // A run requested by hand is never late.
    let mut asked = run("gold", 5, 7 * MINUTE, 9);
    asked[0]["fields"]["task.trigger"] = json!("request");
    say(5, asked.as_array().unwrap());
    assert_eq!(signs(&store).len(), expected.len() + 1);
    place.check(&store);
}

pub fn a_run_that_ends_far_too_soon_is_a_sign_if_a_rule_watches_it<P: Place>() {
    let place = P::new();
    let store = place.open();
    define(&store, gold(&json!({})));
    let say = |number: u64, took_us: u64| {
        store.say(&[batch(2 * number, &run("gold", number, 0, took_us))], NOW).unwrap();
        signs(&store).iter().filter(|sign| sign.starts_with("fast")).count()
    };
    assert_eq!((1..=10).map(|number| say(number, 1_000 + number)).max(), Some(0));
    assert_eq!(say(11, 1), 0, "no rule asks for it");
    store.watch(Watched { fast: true, ..Watched::default() }).unwrap();
    assert_eq!((say(12, 101), say(13, 99)), (0, 1), "a tenth of 1,005");
    let sign = store.signs_after(0, 100).unwrap().pop().unwrap();
    assert_eq!((sign.what, sign.facts.usual_ns, sign.facts.elapsed_ns), (What::Cause(Cause::Fast), Some(1_005_000), Some(99_000)));
    assert_eq!(signs(&store)[12], "succeeded task:gold", "it ended well all the same");
    store.say(&[batch(40, &run("new", 20, 0, 1_000)), batch(42, &run("new", 21, 0, 1))], NOW).unwrap();
    assert_eq!(signs(&store).len(), 16, "of a task with a short history nobody knows what is usual");
    place.check(&store);
}

pub fn dropped_events_are_a_sign_at_most_once_a_minute<P: Place>() {
    let place = P::new();
    let store = place.open();
    let drop = |sequence: u64, count: u64, now_us: u64| {
        let dropped = json!([{"type": "process-logged", "reason": "queue-full", "count": count}]);
        let worker = json!({"id": "5b0c00000000000000000000000000a1", "hostname": "db-1", "pid": 1, "program": "import"});
        let batch = json!({"version": 1, "worker": worker, "sequence": sequence, "sent_us": NOW, "events": [], "dropped": dropped});
        store.say(&[Batch::from_json(batch.to_string().as_bytes()).unwrap()], now_us).unwrap();
        signs(&store)
    };
    assert_eq!(drop(1, 3, NOW), ["drops worker:import@db-1"]);
    assert_eq!(drop(1, 3, NOW + MINUTE).len(), 1, "the same count is no news");
    drop(1, 5, NOW + 1);
    assert_eq!(drop(1, 9, NOW + MINUTE).len(), 2);
    let counts: Vec<_> = store.signs_after(0, 9).unwrap().into_iter().map(|sign| sign.facts.times).collect();
    assert_eq!(counts, [Some(3), Some(6)], "what came within the minute is counted with what is told next");
    place.check(&store);
}

pub fn a_worker_that_is_lost_with_work_open_is_a_sign_and_so_is_its_next_start<P: Place>() {
    let place = P::new();
    let store = place.open();
    let of = |id: &str, program: &str, sequence: u64, events: Value| {
        let worker = json!({"id": format!("5b0c0000000000000000000000000{id}"), "hostname": "db-1", "pid": 1, "program": program});
        let batch = json!({"version": 1, "worker": worker, "sequence": sequence, "sent_us": NOW, "events": events});
        Batch::from_json(batch.to_string().as_bytes()).unwrap()
    };
    let online = json!({"type": "worker-online", "time_us": NOW, "started_us": NOW, "version": "1", "heartbeat_interval_ms": 1_000});
    let start = |number: u64| {
        json!({"type": "process-started", "time_us": NOW, "kind": "root", "name": "serve",
        "root_id": format!("019f{number:028x}"), "id": format!("{number:016x}")})
    };
    let run = run("gold", 9, 0, 9)[0].clone();
    store.say(&[of("0a1", "import", 1, json!([online, start(1), start(2)])), of("0a2", "idle", 1, json!([online]))], NOW).unwrap();
    store.say(&[of("0a3", "launcher", 1, json!([online, run]))], NOW).unwrap();
    store.lose_workers(NOW + MINUTE, 0).unwrap();
    let expected = ["lost task:gold", "lost worker:import@db-1"];
    assert_eq!(signs(&store), expected, "who had nothing to do is not missed, and of a run its task is told");
    let facts = &store.signs_after(1, 9).unwrap()[0].facts;
    assert_eq!((facts.times, facts.machine.as_deref(), facts.program.as_deref()), (Some(2), Some("db-1"), Some("import")));
    drop(store);
    let store = place.open();
    store.say(&[of("0a4", "import", 1, json!([online]))], NOW + MINUTE).unwrap();
    store.say(&[of("0a5", "import", 1, json!([online])), of("0a2", "idle", 3, json!([]))], NOW + MINUTE).unwrap();
    assert_eq!(signs(&store)[2..], ["found worker:import@db-1"], "whichever of its name comes back, once");
    place.check(&store);
}

pub fn a_lost_program_that_reported_the_end_of_its_work_has_no_open_work<P: Place>() {
    let place = P::new();
    let store = place.open();
    let online = json!({"type": "worker-online", "time_us": NOW, "started_us": NOW, "version": "1", "heartbeat_interval_ms": 1_000});
    let of = |number: u64| {
        let all = process(number, "serve", false, "succeeded");
        (all[0].clone(), all[1].clone())
    };
    // After a worker has died, another process sends the rest of its spool. The last batch is marked `lost`, as no offline event was sent.
    let last = |sequence: u64, events: Value| Batch { lost: true, ..batch(sequence, &events) };
    let (started, ended) = of(1);
    store.say(&[batch(1, &json!([online, started]))], NOW).unwrap();
    store.say(&[last(3, json!([ended]))], NOW).unwrap();
    assert_eq!(signs(&store), [""; 0]);
    let (started, ended) = of(2);
    store.say(&[batch(4, &json!([online, started, of(3).0, of(4).0])), last(8, json!([ended]))], NOW).unwrap();
    assert_eq!(signs(&store), ["lost worker:monitor-agent@db-1"]);
    assert_eq!(store.signs_after(0, 9).unwrap()[0].facts.times, Some(2), "of the three, two are open");
    place.check(&store);
}

pub fn a_task_that_is_paused_for_over_a_day_is_a_sign_once_and_so_is_the_end_of_its_pause<P: Place>() {
    const DAY: u64 = 86_400_000_000;
    let place = P::new();
    let store = place.open();
    define(&store, gold(&json!({"owner": "ada"})));
    define(&store, TaskEdit::Pause(Some(NOW + 3 * DAY)));
    let look = |store: &P::Store, now_us: u64| {
        store.find_overdue(now_us).unwrap();
        signs(store)
    };
    assert_eq!(look(&store, NOW + DAY - 1).len(), 0);
    assert_eq!(look(&store, NOW + DAY), ["deleted task:gold"]);
    drop(store);
    let store = place.open();
    assert_eq!(look(&store, NOW + 2 * DAY).len(), 1, "once");
    let facts = store.signs_after(0, 1).unwrap().remove(0).facts;
    assert_eq!((facts.reason.as_deref(), facts.owner.as_deref(), facts.text.as_deref()), (Some("paused"), Some("ada"), Some("ada")));
    assert_eq!(look(&store, NOW + 3 * DAY)[1..], ["restored task:gold"], "its time is over");
    assert_eq!(look(&store, NOW + 9 * DAY).len(), 2);
    // A new pause is measured from its own start, and a short pause gives no sign.
    define(&store, TaskEdit::Resume);
    define(&store, TaskEdit::Pause(None));
    assert_eq!(look(&store, NOW + DAY)[3..], ["deleted task:gold"]);
    define(&store, TaskEdit::Resume);
    assert_eq!(look(&store, NOW + 9 * DAY)[4..], ["restored task:gold"]);
    define(&store, TaskEdit::Pause(Some(NOW + DAY)));
    assert_eq!(look(&store, NOW + 9 * DAY).len(), 5, "it ended before a day had passed");
    place.check(&store);
}

pub fn a_run_ordered_by_an_alert_waits_until_it_was_requested<P: Place>() {
    let place = P::new();
    let store = place.open();
    let order = |alert| Order {
        alert,
        time_us: NOW,
        rule: "failed".to_owned(),
        task: "clean-up".to_owned(),
        repeats: None,
        agent: Some("db-1".to_owned()),
    };
    let change = AlertsChange { orders: vec![order(1), order(2), order(1)], cursor: Some((0, 0)), ..AlertsChange::default() };
    assert!(store.change_alerts(&change, NOW).unwrap() && store.change_alerts(&change, NOW).unwrap());
    drop(store);
    let store = place.open();
    let due = |now_us| store.follow_ups_due(now_us, 9).unwrap().into_iter().map(|of| (of.order.alert, of.attempts)).collect::<Vec<_>>();
    assert_eq!((due(NOW - 1), due(NOW)), (vec![], vec![(1, 0), (2, 0)]), "an alert starts one run");
    assert_eq!(store.follow_ups_due(NOW, 1).unwrap().remove(0).order, order(1));
    let tell = |alert, state, next_us| {
        let followed = vec![FollowUpAttempt { alert, state, next_us, answer: "no agent".to_owned() }];
        store.change_alerts(&AlertsChange { followed, ..AlertsChange::default() }, NOW).unwrap();
    };
    tell(1, DeliveryState::Waiting, NOW + 5);
    tell(2, DeliveryState::Sent, NOW);
    tell(2, DeliveryState::Waiting, NOW);
    assert_eq!((due(NOW), due(NOW + 5)), (vec![], vec![(1, 1)]));
    tell(1, DeliveryState::Undelivered, NOW);
    assert_eq!(due(u64::MAX), vec![]);
    // If the cursor is wrong, the change is refused as a whole, including its orders.
    let late = AlertsChange { orders: vec![order(3)], cursor: Some((7, 8)), ..AlertsChange::default() };
    assert!(!store.change_alerts(&late, NOW).unwrap() && due(u64::MAX).is_empty());
    place.check(&store);
}

pub fn a_job_on_hosts_is_a_sign_when_it_ends_and_when_it_loses_a_host<P: Place>() {
    let place = P::new();
    let store = place.open();
    let process = |number: u64, id: u64, kind: &str, name: &str, fields: Value, end: Value| {
        let of = json!({"root_id": format!("019f{number:028x}"), "id": format!("{id:016x}"), "time_us": NOW + number});
        let with = |more: Value| {
            let mut event = of.clone();
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        let mut end = with(end);
        end["type"] = json!("process-ended");
        [with(json!({"type": "process-started", "kind": kind, "name": name, "fields": fields})), end]
    };
    let failed = |reason: &str| json!({"outcome": "failed", "reason": reason, "error": {"kind": "error", "message": "1 of 2 hosts"}});
    let of = |status: u16| json!({"job.id": 12, "job.name": "deploy", "job.status": status});
    let own = json!({"job.id": 12});
    let events = [
        process(1, 3, "host", "web-1", of(310), failed("agent not reachable")),
        process(1, 4, "host", "web-2", of(104), failed("exit code not 0")),
        process(1, 5, "host", "web-3", of(9), json!({"outcome": "succeeded"})),
        process(1, 2, "step", "step 1", own.clone(), failed("failed")),
        process(1, 1, "job", "deploy", own.clone(), failed("failed")),
        process(2, 1, "job", "deploy", own.clone(), failed("timeout")),
        process(3, 1, "job", "deploy", own.clone(), json!({"outcome": "cancelled"})),
        process(4, 1, "job", "deploy", own, json!({"outcome": "succeeded"})),
        process(5, 1, "job", "by another program", json!({}), failed("failed")),
    ];
    // The lost host is retried, and then fails by itself.
    let mut again = process(6, 3, "host", "web-1", of(104), failed("exit code not 0"));
    for event in &mut again {
        event["attempt"] = json!(2);
        event["root_id"] = events[0][0]["root_id"].clone();
    }
    let batches: Vec<_> = events.iter().chain([&again]).zip(0..).map(|(pair, place)| batch(2 * place + 1, &json!(pair))).collect();
    for batch in &batches {
        store.say(std::slice::from_ref(batch), NOW).unwrap();
    }
    // Sent again, they count once.
    store.say(&batches[..1], NOW).unwrap();
    assert_eq!(signs(&store), ["lost job:deploy", "failed job:deploy", "timeout job:deploy", "succeeded job:deploy"]);
    let all = store.signs_after(0, 9).unwrap();
    let facts = &all[0].facts;
    assert_eq!((facts.job, facts.machine.as_deref(), facts.error.as_deref()), (Some(12), Some("web-1"), Some("1 of 2 hosts")));
    assert_eq!((all[0].agent.as_deref(), all[0].process.as_deref()), (Some("web-1"), None));
    assert_eq!((all[1].facts.job, all[1].process.as_deref()), (Some(12), Some("0000000000000001")));
    place.check(&store);
}

pub fn a_task_shows_the_time_of_its_last_warning<P: Place>() {
    let place = P::new();
    let store = place.open();
    define(&store, gold(&json!({})));
    let warned = || store.batch_task("gold").unwrap().unwrap().last_warning_us;
    assert_eq!(warned(), None);
    let alert = |id, name: &str, last_us| Alert {
        id,
        rule: "failed".to_owned(),
        subject: Subject::new(SubjectKind::Task, name),
        cause: Cause::Failed,
        severity: Severity::Warning,
        state: AlertState::Firing,
        since_us: NOW,
        last_us,
        resolved_us: None,
        count: 1,
        acknowledged_by: None,
        told: Vec::new(),
        facts: Facts::default(),
    };
    let alerts = vec![alert(1, "gold", NOW + 7), alert(2, "gold", NOW + 3), alert(3, "golden", NOW + 9)];
    store.change_alerts(&AlertsChange { alerts, ..AlertsChange::default() }, NOW).unwrap();
    assert_eq!(warned(), Some(NOW + 7));
    let page = store.batch_tasks(&BatchTasksQuery { limit: 9, ..BatchTasksQuery::default() }).unwrap();
    assert_eq!(page.tasks[0].last_warning_us, Some(NOW + 7));
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
        subjects: 1,
        names: Vec::new(),
        note: None,
        facts: Facts::default(),
        channel: channel.to_owned(),
        address: None,
        to: Vec::new(),
    }
}

pub fn a_decision_is_kept_whole_or_not_at_all<P: Place>() {
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
    assert_eq!((alert.count, store.alerts(&crate::AlertsQuery { limit: 9, ..Default::default() }).unwrap()), (1, vec![alert]));
    assert_eq!(store.deliveries(DeliveriesOf::Alert(1), 9).unwrap().len(), 1);
    let words = |of| store.alert_notes(of, 9).unwrap().iter().map(|note| note.what.as_str()).collect::<Vec<_>>();
    assert_eq!((words(NotesOf::Sign(1)), words(NotesOf::Alert(1))), (vec!["fired"], vec!["fired", "nobody", "told"]));
    place.check(&store);
}

pub fn a_message_waits_until_it_is_taken_or_given_up<P: Place>() {
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

pub fn hushes_and_rules_are_kept<P: Place>() {
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

pub fn old_signs_are_removed_and_numbers_are_not_used_again<P: Place>() {
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
