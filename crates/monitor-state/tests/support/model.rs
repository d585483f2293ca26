//! A simple and slow model of the rules: it reads all events at once for each value.

use std::collections::{BTreeMap, BTreeSet};

use monitor_state::{Facts, about_worker};
use monitor_wire::{Batch, Event, Root, WorkerId};
use serde_json::{Map, Value, json};

/// Asserts that the facts of these batches agree with the model, and don't depend on the order of the batches.
pub fn check(batches: &[Batch]) {
    let facts = Facts::of(batches);
    assert_eq!(facts, Facts::of(batches.iter().rev()), "the order of batches matters");
    let history = History::of(batches);
    assert_eq!(facts.roots().map(|root| json!(root)).collect::<Vec<_>>(), history.roots());
    for root in facts.roots() {
        let (shown, processes) = facts.tree(root, 7).expect("it was just listed");
        let expected = history.tree(&json!(root));
        assert_eq!(processes.iter().map(|process| json!(process)).collect::<Vec<_>>(), expected);
        check_root(&shown, &expected);
    }
}

/// The root's own face; its counts are those of its processes.
fn check_root(shown: &Root, processes: &[Value]) {
    let mut counts = BTreeMap::<_, u64>::new();
    for process in processes {
        let state = process["state"].as_str().expect("a word");
        let is_known = ["pending", "running", "succeeded", "failed", "cancelled", "lost"].contains(&state);
        *counts.entry(if is_known { state } else { "other" }).or_default() += 1;
    }
    let shown = json!(shown);
    let told = shown["counts"].as_object().expect("counts").iter().filter(|(_, count)| **count != 0);
    assert_eq!(told.map(|(state, count)| (state.as_str(), count.as_u64().unwrap())).collect::<BTreeMap<_, _>>(), counts);
    if let Some(own) = processes.iter().find(|process| process["orphan"] == false && process["depth"] == 0) {
        for key in ["name", "state", "started_us", "ended_us", "elapsed_ns", "worker_id"] {
            assert_eq!(shown[key], own[key], "{key}");
        }
    }
}

/// Key that identifies and orders events: time, worker of the batch, number.
type Stamp = (u64, Value, u64);

/// One event, each once.
#[derive(Debug)]
struct Said {
    stamp: Stamp,
    /// Worker that the event is about: its own worker, or else the batch's.
    worker: Value,
    json: Value,
}

impl Said {
    fn is(&self, what: &str) -> bool {
        self.json["type"] == what
    }

    fn attempt(&self) -> u64 {
        self.json["attempt"].as_u64().unwrap_or_else(|| self.json["retries"].as_u64().unwrap_or(0) + 1)
    }

    /// The highest attempt that it speaks of.
    fn reaches(&self) -> u64 {
        self.attempt() + u64::from(self.is("task-retried"))
    }

    fn is_start(&self) -> bool {
        self.is("process-started") || self.is("task-started")
    }

    fn is_end(&self) -> bool {
        !self.json["outcome"].is_null()
    }

    fn is_requeueing(&self) -> bool {
        self.is("task-rejected") && self.json["requeued"] == true
    }

    /// The attempt that waits by its word.
    fn waits(&self) -> Option<u64> {
        let waits = self.is("process-queued") || self.is("task-sent") || self.is("task-received") || self.is_requeueing();
        if self.is("task-retried") { Some(self.attempt() + 1) } else { waits.then(|| self.attempt()) }
    }
}

/// All events, ordered by stamp.
struct History {
    said: Vec<Said>,
    /// Workers that sent batches themselves.
    senders: BTreeSet<WorkerId>,
}

impl History {
    fn of(batches: &[Batch]) -> Self {
        let mut all = BTreeMap::new();
        for batch in batches {
            for (number, event) in (batch.sequence..).zip(&batch.events) {
                all.entry((batch.worker.id, number)).or_insert(event);
            }
        }
        let said = |((by, number), event): (_, &Event)| {
            let json = as_end(serde_json::to_value(event).expect("events are JSON"));
            let own = json["worker"]["id"].clone();
            let worker = if own.is_null() { json!(about_worker(event, by).0) } else { own };
            Said { stamp: (json["time_us"].as_u64().unwrap_or(0), json!(by), number), worker, json }
        };
        let mut all: Vec<_> = all.into_iter().map(said).collect();
        all.sort_by_key(|said| (said.stamp.0, said.stamp.1.to_string(), said.stamp.2));
        Self { said: all, senders: batches.iter().map(|batch| batch.worker.id).collect() }
    }

    /// The events about processes.
    fn of_processes(&self) -> impl Iterator<Item = &Said> {
        const TYPES: [&str; 7] = ["queued", "started", "updated", "progressed", "logged", "folded", "ended"];
        let is_one = |said: &&Said| {
            TYPES.iter().any(|kind| said.is(&format!("process-{kind}")))
                || said.json["type"].as_str().is_some_and(|kind| kind.starts_with("task-"))
        };
        self.said.iter().filter(is_one)
    }

    fn roots(&self) -> Vec<Value> {
        let ids: BTreeSet<_> = self.of_processes().map(|said| said.json["root_id"].to_string()).collect();
        ids.iter().map(|id| serde_json::from_str(id).expect("it was JSON")).collect()
    }

    /// Returns true if a worker is lost, and the time at which it went offline.
    fn gone(&self, worker: &Value) -> (bool, Option<u64>) {
        let reports_itself = self.senders.iter().any(|sender| json!(sender) == *worker);
        // Nothing counts that others relay about a worker that reports itself.
        let counts = |said: &Said| said.worker == *worker && (!reports_itself || said.stamp.1 == *worker);
        let about = |what: &'static str| self.said.iter().filter(move |said| counts(said) && said.is(what)).map(|said| said.stamp.0);
        let alive = about("worker-online").chain(about("worker-heartbeat")).max();
        let offline = about("worker-offline").max().filter(|offline| alive <= Some(*offline));
        (offline.is_none() && about("worker-lost").max() > about("worker-found").max(), offline)
    }

    /// The tree's processes as they are shown: in pre-order, siblings as they began.
    fn tree(&self, root: &Value) -> Vec<Value> {
        let mut said = BTreeMap::<_, Vec<_>>::new();
        for event in self.of_processes().filter(|said| said.json["root_id"] == *root && !said.is("process-logged")) {
            said.entry(event.json["id"].to_string()).or_default().push(event);
        }
        let nodes: BTreeMap<_, _> = said.into_iter().map(|(id, said)| (id, self.process(&said))).collect();
        let place = |id: &String| (nodes[id].at, id.clone());
        let tops = nodes.iter().filter(|(_, node)| node.is_defined && node.shown["parent_id"].is_null());
        let own = tops.map(|(id, _)| id.clone()).min_by_key(place);
        let told = |id: &String| Some(nodes[id].shown["parent_id"].to_string()).filter(|parent| nodes.contains_key(parent));
        // In a cycle, the parent of the first process is ignored.
        let known = |id: &String| {
            let mut cycle = vec![id.clone()];
            while let Some(next) = told(&cycle[cycle.len() - 1]) {
                if next == *id {
                    let first = cycle.into_iter().min_by_key(place)?;
                    return told(id).filter(|_| first != *id);
                }
                if cycle.contains(&next) {
                    break;
                }
                cycle.push(next);
            }
            told(id)
        };
        let mut shown = Vec::new();
        for (id, node) in &nodes {
            let mut process = node.shown.clone();
            let is_own = own.as_ref() == Some(id);
            // A parent that is not there and has the lower half of the root's id is the root's own process.
            let parent = node.shown["parent_id"].to_string();
            let half = &root.as_str().expect("an id")[16..];
            let is_own_s =
                own.is_some() && !nodes.contains_key(&parent) && parent.trim_matches('"') == half && half.contains(|digit| digit != '0');
            process["orphan"] = (!is_own && !is_own_s && known(id).is_none()).into();
            let mut path = vec![place(id)];
            let mut at = id.clone();
            while let Some(above) = known(&at).or_else(|| own.clone().filter(|own| *own != at)) {
                path.insert(0, place(&above));
                at = above;
            }
            process["depth"] = (path.len() - 1).into();
            shown.push((path, process));
        }
        shown.sort_by(|(one, _), (other, _)| one.cmp(other));
        shown.into_iter().map(|(_, process)| process).collect()
    }

    /// Returns a process, computed from all events about it.
    #[expect(clippy::too_many_lines, reason = "each line is something that is shown")]
    fn process(&self, said: &[&Said]) -> Node {
        let attempt = said.iter().map(|said| said.reaches()).max().expect("something was said");
        let all = |what: &'static str| said.iter().copied().filter(move |said| said.is(what));
        let now = |what: &'static str| all(what).find(|said| said.attempt() == attempt);
        // The first of the highest attempt that has one.
        let newest = |what: &'static str| all(what).min_by_key(|said| std::cmp::Reverse(said.attempt()));
        let current = |said: &&Said| said.attempt() == attempt;
        let started = said.iter().copied().filter(current).find(|said| said.is_start());
        let ended = said.iter().copied().filter(current).find(|said| said.is_end());
        let queued = said.iter().copied().find(|said| said.waits() == Some(attempt));
        // A task that a queue has started again runs on the worker of the newest start.
        let running = all("task-started").rfind(|said| said.attempt() == attempt).or_else(|| now("process-started"));
        let requeued = said.iter().copied().filter(current).rfind(|said| said.is_requeueing());
        let last_start =
            said.iter().rposition(|said| said.attempt() == attempt && (said.is("task-started") || is_same(now("process-started"), said)));
        let last_requeued = said.iter().rposition(|said| said.attempt() == attempt && said.is_requeueing());
        let is_requeued = requeued.is_some() && last_requeued > last_start;
        let sign = said.iter().copied().filter(|said| said.is("process-updated") || said.is("process-progressed"));
        let sign = sign.min_by_key(|said| std::cmp::Reverse(said.attempt()));
        let shards = shards(said);

        let waits = queued.is_some() || !shards.is_empty();
        // If an attempt ends with a retry, the worker that reported this end must begin the next attempt.
        let retried = ended.filter(|said| !said.json["retry"].is_null());
        let runs = running
            .or_else(|| sign.filter(|sign| sign.attempt() == attempt && !waits))
            .filter(|_| ended.is_none() && !is_requeued)
            .or(retried);
        let (is_lost, offline) = runs.map(|said| self.gone(&said.worker)).unwrap_or_default();
        let is_waiting = retried.is_some() && offline.is_none();
        let offline = offline.filter(|_| retried.is_none());
        let fold = self.fold(&shards);
        let definitions = newest("process-queued").into_iter().chain(newest("process-started"));
        let messages = messages(said);
        let of_messages = messages.first().map(|message| {
            let parent = messages.iter().map(|message| &message.json["parent_id"]).find(|parent| !parent.is_null());
            json!({"name": message.json["name"], "kind": "task", "parent_id": parent})
        });
        let definition = definitions.max_by_key(|said| said.attempt()).map(|said| &said.json).or(of_messages.as_ref());
        let defined = |key: &str| definition.or(shards.first().map(|shard| &shard.json)).map_or(Value::Null, |json| json[key].clone());
        let updated = |key: &str| all("process-updated").map(|said| &said.json[key]).rfind(|value| !value.is_null()).cloned();
        let word = |value: Value| if value.is_null() { json!("") } else { value };

        let began_us = started.map(|said| said.stamp.0);
        let before = said.iter().filter(|said| said.is_start() && said.attempt() < attempt);
        let before = before.min_by_key(|said| said.attempt()).map(|said| said.stamp.0);
        let started_us = before.or(began_us);
        let ended_us = ended.filter(|_| !is_waiting).map(|said| said.stamp.0).or(offline.map(|offline| offline.max(began_us.unwrap_or(0))));
        let measured = ended.filter(|_| !is_waiting && before.is_none()).and_then(|said| said.json["elapsed_ns"].as_u64());
        let elapsed_ns = measured.or_else(|| Some(1_000 * ended_us?.saturating_sub(started_us?)));
        let end = |key: &str| ended.map_or(Value::Null, |said| said.json[key].clone());
        let mut fields = Map::new();
        for (key, value) in [newest("process-queued"), newest("process-started")]
            .into_iter()
            .flatten()
            .chain(all("process-updated"))
            .flat_map(|said| said.json["fields"].as_object().into_iter().flatten())
        {
            fields.insert(key.clone(), value.clone());
        }
        let contrary = said.iter().filter(|said| said.is_end() && said.attempt() == attempt).skip(1).take(8);
        let contradictions = contrary.filter(|said| said.json["outcome"] != end("outcome")).count();
        let links: BTreeMap<_, _> = said
            .iter()
            .flat_map(|said| said.json["links"].as_array().into_iter().flatten())
            .map(|link| (["root_id", "id", "relation"].map(|key| link[key].as_str().expect("a word").to_owned()), link))
            .collect();
        let progress = all("process-progressed").rfind(|said| said.attempt() == attempt);
        let state = match (&fold, started.is_some() || queued.is_some()) {
            _ if ended.is_some() && !is_waiting => end("outcome"),
            _ if is_lost => json!("lost"),
            _ if is_waiting => json!("retrying"),
            _ if offline.is_some() => json!("cancelled"),
            (Some((_, state)), false) => json!(state),
            _ if (started.is_none() || is_requeued) && queued.is_some() => json!("pending"),
            _ => json!("running"),
        };
        let mut shown = json!({
            "id": said[0].json["id"], "root_id": said[0].json["root_id"], "attempt": attempt.max(1), "state": state,
            "parent_id": updated("parent_id").unwrap_or_else(|| defined("parent_id")),
            "name": word(updated("name").unwrap_or_else(|| defined("name"))),
            "kind": word(defined("kind")),
            "thread": definition.map(|json| &json["thread"]), "source": definition.map(|json| &json["source"]),
            "attachment": definition.and_then(|json| json["attachment"].as_str()).unwrap_or("explicit"),
            "started_us": started_us, "ended_us": ended_us, "elapsed_ns": elapsed_ns,
            "worker_id": running.or(ended).or(runs).map(|said| &said.worker),
            "error": if ended.is_some() { end("error") } else { error_of(fold.as_ref()) }, "exit_code": end("exit_code"), "signal": end("signal"),
            "reason": if offline.is_some() { json!("exited") } else { end("reason") },
            "native_id": said.iter().map(|said| &said.json["native_id"]).find(|id| !id.is_null()),
            "links": links.into_values().collect::<Vec<_>>(), "fields": fields,
            "progress": progress.map(|said| ["done", "total", "unit"].map(|key| (key.to_owned(), said.json[key].clone()))).map(Map::from_iter),
            "fold": fold.map(|(fold, _)| fold),
        });
        let of = |said: &Said| said.json["retry"]["of"].as_u64();
        let by_attempt: Vec<_> = attempts(said).into_iter().filter(|(number, ..)| *number < attempt).collect();
        let last_of = || by_attempt.iter().rev().find_map(|(_, _, ended)| of((*ended)?));
        let at_start = || now("process-started")?.json["attempts_of"].as_u64();
        if let Some(of) = retried.and_then(of).or_else(at_start).or_else(last_of) {
            shown["attempts_of"] = of.into();
        }
        if is_waiting
            && !is_lost
            && let Some(next_us) = retried.and_then(|said| said.json["retry"]["next_us"].as_u64())
        {
            shown["next_attempt_us"] = next_us.into();
        }
        if !by_attempt.is_empty() || retried.is_some() {
            let all = by_attempt.iter().copied().chain([(attempt, started, ended)]);
            let state = shown["state"].clone();
            let state = |number| if number == attempt { state.clone() } else { json!("lost") };
            shown["attempts"] = all.map(|(number, started, ended)| shown_attempt(number, started, ended, state(number))).collect();
        }
        if said.iter().any(|said| said.json["type"].as_str().is_some_and(|kind| kind.starts_with("task-"))) {
            let is_begun = started.is_some() && !is_requeued;
            shown["task"] = shown_task(said, attempt, (&end("outcome"), &end("reason")), (is_begun, requeued));
        }
        if contradictions > 0 {
            shown["contradictions"] = contradictions.into();
        }
        let of_shards = shards.iter().map(|shard| shard.stamp.0).min();
        let at = [queued, ended, sign].into_iter().flatten().map(|said| said.stamp.0).next().or(of_shards).unwrap_or(0);
        let at = started_us.unwrap_or(at);
        Node { at, is_defined: definition.is_some() || !shards.is_empty(), shown }
    }

    /// The sum of the shards, and the state that follows from it.
    fn fold(&self, shards: &[&Said]) -> Option<(Value, &'static str)> {
        if shards.is_empty() {
            return None;
        }
        let (mut running, mut cancelled, mut is_lost) = (0, 0, false);
        for shard in shards {
            let open = shard.json["running"].as_u64().expect("a count");
            cancelled += shard.json["cancelled"].as_u64().expect("a count");
            let (lost, offline) = self.gone(&shard.worker);
            is_lost |= lost && open > 0;
            *(if offline.is_some() { &mut cancelled } else { &mut running }) += open;
        }
        let each = |key: &'static str| shards.iter().filter_map(move |shard| shard.json[key].as_u64());
        let (count, failed) = (each("count").sum::<u64>(), each("failed").sum::<u64>());
        let mut histogram = BTreeMap::<_, u64>::new();
        for bucket in shards.iter().flat_map(|shard| shard.json["histogram"].as_array().into_iter().flatten()) {
            *histogram.entry(bucket[0].as_u64()).or_default() += bucket[1].as_u64().expect("a count");
        }
        let mut sums = json!({
            "count": count, "running": running, "failed": failed, "cancelled": cancelled, "total_ns": each("total_ns").sum::<u64>(),
            "min_ns": each("min_ns").min(), "max_ns": each("max_ns").max(), "histogram": histogram.into_iter().collect::<Vec<_>>(),
        });
        let errors = errors(shards);
        if !errors.is_empty() {
            sums["errors"] = errors.into();
        }
        let state = match () {
            () if is_lost => "lost",
            () if running > 0 => "running",
            () if failed > 0 => "failed",
            () if cancelled > 0 && cancelled == count => "cancelled",
            () => "succeeded",
        };
        Some((sums, state))
    }
}

/// Number, start and end of each attempt that has any, by number.
fn attempts<'a>(said: &[&'a Said]) -> Vec<(u64, Option<&'a Said>, Option<&'a Said>)> {
    let numbers: BTreeSet<_> = said.iter().filter(|said| said.is_start() || said.is_end()).map(|said| said.attempt()).collect();
    let first = |number: u64, is_one: fn(&Said) -> bool| said.iter().copied().find(|said| is_one(said) && said.attempt() == number);
    numbers.into_iter().map(|number| (number, first(number, Said::is_start), first(number, Said::is_end))).collect()
}

/// Returns the fields of a task that only events of queues set. `requeued` is the last event that put it back into the queue.
fn shown_task(said: &[&Said], attempt: u64, (outcome, reason): (&Value, &Value), (is_begun, requeued): (bool, Option<&Said>)) -> Value {
    let all = |what: &'static str| said.iter().copied().filter(move |said| said.is(what));
    let newest = |what: &'static str| all(what).min_by_key(|said| std::cmp::Reverse(said.attempt()));
    let messages = messages(said);
    let place = |what: Option<&Said>| what.and_then(|what| said.iter().rposition(|said| is_same(Some(what), said)));
    let received = all("task-received").rfind(|said| said.attempt() == attempt);
    let retried = all("task-retried").rfind(|said| said.attempt() + 1 == attempt);
    let phase = match (outcome.as_str(), reason.as_str()) {
        (Some("cancelled"), Some("rejected")) => "rejected".to_owned(),
        (Some("cancelled"), Some("revoked" | "terminated" | "expired")) => "revoked".to_owned(),
        (Some(outcome), _) => outcome.to_owned(),
        (None, _) if is_begun => "started".to_owned(),
        (None, _) if requeued.is_some() && place(requeued) > place(received) => "requeued".to_owned(),
        (None, _) if received.is_some() => "received".to_owned(),
        (None, _) if retried.is_some() => "retried".to_owned(),
        (None, _) => "sent".to_owned(),
    };
    let text = |key: &str| messages.iter().map(|message| &message.json[key]).find(|value| !value.is_null());
    let of_attempt = messages.iter().filter(|message| message.attempt() == attempt).map(|message| &message.json["eta_us"]);
    let eta = match retried {
        Some(retried) => of_attempt.chain([&retried.json["eta_us"]]).find(|eta| !eta.is_null()),
        None => text("eta_us"),
    };
    let (sent, received) = (newest("task-sent"), last_received(said));
    let result = all("task-succeeded").find(|said| said.attempt() == attempt && !said.json["result"].is_null());
    let traceback = said.iter().filter(|said| !said.json["traceback"].is_null()).min_by_key(|said| std::cmp::Reverse(said.attempt()));
    let pid = all("task-started").rfind(|said| said.attempt() == attempt);
    json!({
        "phase": phase, "queue": text("queue"), "exchange": text("exchange"), "routing_key": text("routing_key"),
        "args": text("args"), "kwargs": text("kwargs"), "result": result.map(|said| &said.json["result"]),
        "traceback": traceback.map(|said| &said.json["traceback"]), "eta_us": eta, "expires_us": text("expires_us"),
        "sent_us": sent.map(|said| said.stamp.0), "sent_by": sent.map(|said| &said.worker),
        "received_us": received.map(|said| said.stamp.0), "received_by": received.map(|said| &said.worker),
        "pid": pid.map(|said| &said.json["pid"]),
    })
}

/// `state`: that of an attempt without an end.
fn shown_attempt(number: u64, started: Option<&Said>, ended: Option<&Said>, state: Value) -> Value {
    let end = |key: &str| ended.map_or(Value::Null, |said| said.json[key].clone());
    let between = || Some(1_000 * ended?.stamp.0.saturating_sub(started?.stamp.0));
    let mut error = end("error");
    if let Some(error) = error.as_object_mut() {
        error.remove("tail");
    }
    let is_over = !["running", "pending", "retrying"].map(Value::from).contains(&state);
    let outcome = if ended.is_none() && is_over { state } else { end("outcome") };
    let mut shown = json!({
        "attempt": number, "outcome": outcome, "started_us": started.map(|said| said.stamp.0), "ended_us": ended.map(|said| said.stamp.0),
        "elapsed_ns": end("elapsed_ns").as_u64().or_else(between), "error": error, "reason": end("reason"), "exit_code": end("exit_code"),
        "signal": end("signal"),
    });
    if let Some(worker) = started.or(ended).map(|said| &said.worker) {
        shown["worker_id"] = worker.clone();
    }
    shown
}

fn is_same(one: Option<&Said>, other: &Said) -> bool {
    one.is_some_and(|one| one.stamp == other.stamp)
}

/// Adds the fields of an end to an event of a queue that ends an attempt. Other events are returned unchanged.
fn as_end(mut json: Value) -> Value {
    let revoked = match (&json["terminated"], &json["expired"]) {
        (Value::Bool(true), _) => "terminated",
        (_, Value::Bool(true)) => "expired",
        _ => "revoked",
    };
    let error = json["exception"].as_str().map(|exception| json!({"kind": "error", "message": exception}));
    let end = match json["type"].as_str() {
        Some("task-succeeded") => json!({"outcome": "succeeded", "elapsed_ns": json["runtime_ns"]}),
        Some("task-failed") => json!({"outcome": "failed", "error": error}),
        Some("task-rejected") if json["requeued"] == false => json!({"outcome": "cancelled", "reason": "rejected"}),
        Some("task-revoked") => json!({"outcome": "cancelled", "reason": revoked, "signal": json["signum"]}),
        Some("task-retried") => json!({"outcome": "failed", "reason": "retried", "error": error}),
        _ => return json,
    };
    let end = end.as_object().expect("an object").clone();
    json.as_object_mut().expect("an event").extend(end);
    json
}

/// Returns the messages that count, the higher attempt first. Within an attempt, the received message is first.
fn messages<'a>(said: &[&'a Said]) -> Vec<&'a Said> {
    let sent = said.iter().copied().filter(|said| said.is("task-sent")).min_by_key(|said| std::cmp::Reverse(said.attempt()));
    let mut both: Vec<_> = last_received(said).into_iter().chain(sent).collect();
    both.sort_by_key(|said| std::cmp::Reverse(said.attempt()));
    both
}

/// The last of the highest attempt that was received.
fn last_received<'a>(said: &[&'a Said]) -> Option<&'a Said> {
    said.iter().copied().filter(|said| said.is("task-received")).max_by_key(|said| said.attempt())
}

/// The error texts of all shards together, by their first moment and then their letters.
fn errors(shards: &[&Said]) -> Vec<Value> {
    let all: Vec<_> = shards.iter().flat_map(|shard| shard.json["errors"].as_array().into_iter().flatten()).collect();
    let texts: BTreeSet<_> = all.iter().map(|error| error["text"].as_str()).collect();
    let sum = |text: Option<&str>| {
        let of = |key: &'static str| all.iter().filter(|error| error["text"].as_str() == text).filter_map(move |error| error[key].as_u64());
        json!({"text": text, "count": of("count").sum::<u64>(), "first_us": of("first_us").min(), "last_us": of("last_us").max()})
    };
    let mut errors: Vec<_> = texts.into_iter().map(sum).collect();
    errors.sort_by_key(|error| error["first_us"].as_u64());
    errors
}

/// A fold's error texts, as the error of a process.
fn error_of(fold: Option<&(Value, &'static str)>) -> Value {
    let errors = fold.and_then(|(fold, _)| fold["errors"].as_array()).into_iter().flatten();
    let texts: Vec<_> = errors.filter_map(|error| error["text"].as_str()).collect();
    if texts.is_empty() { Value::Null } else { json!({"kind": "error", "message": texts.join("\n")}) }
}

/// Returns the highest revision of each shard of a fold, ascending by (worker, shard).
fn shards<'a>(said: &[&'a Said]) -> Vec<&'a Said> {
    let mut newest = BTreeMap::<_, &Said>::new();
    for shard in said.iter().copied().filter(|said| said.is("process-folded")) {
        let revision = |said: &Said| said.json["revision"].as_u64();
        let kept = newest.entry((shard.worker.to_string(), shard.json["shard"].as_u64())).or_insert(shard);
        if revision(shard) >= revision(kept) {
            *kept = shard;
        }
    }
    newest.into_values().collect()
}

/// A process, and what its place depends on.
struct Node {
    at: u64,
    is_defined: bool,
    shown: Value,
}
