//! Requests that change nothing: workers, tasks and queues.

use std::fmt::Write as _;
use std::time::SystemTime;

use futures_util::future::join_all;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use monitor_wire::{Command, CommandStatus, Process, ProcessesPage, QueueTasksPage, QueueTypes, Queues, RootId, Worker, WorkerState};
use serde_json::{Map, Value, json};

use crate::{Answer, Ask, Request, encoded};

/// Maximum number of tasks in an answer.
const MOST_TASKS: usize = 10_000;
/// Maximum number of tasks in a page of the API.
const PAGE: usize = 1_000;
/// Time to wait for the replies of workers, in milliseconds.
pub(crate) const TIMEOUT_MS: u64 = 5_000;
/// Inspections of a worker, by the names of the API and of Flower.
const INSPECTIONS: [(&str, &str); 8] = [
    ("stats", "stats"),
    ("active-queues", "active_queues"),
    ("registered", "registered"),
    ("scheduled", "scheduled"),
    ("active", "active"),
    ("reserved", "reserved"),
    ("revoked", "revoked"),
    ("conf", "conf"),
];

pub(crate) async fn answer(api: &impl Ask, request: &Request, path: &[&str]) -> Result<Answer, Answer> {
    match path {
        ["workers"] => workers(api, request).await,
        ["tasks"] => tasks(api, request).await,
        ["task", "types"] => types(api).await,
        ["task", "info", id] => info(api, id).await,
        ["task", "result", id] => result(api, id).await,
        ["queues", "length"] => queues(api).await,
        _ => Err(Answer::html(404, "404: Not Found")),
    }
}

/// Reads an answer of the API.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Answer> {
    serde_json::from_value(value).map_err(|error| Answer::text(500, format!("the server's answer can't be read: {error}")))
}

/// Returns the nodes of Celery, by their names. Of the workers with one name, it is the one that was seen last.
pub(crate) async fn nodes(api: &impl Ask) -> Result<Vec<(String, Worker)>, Answer> {
    let answer = api.ask("/workers?limit=1000".to_owned(), None).await?;
    let mut workers: Vec<Worker> = typed(answer["workers"].clone())?;
    workers.sort_by_key(|worker| std::cmp::Reverse(worker.last_seen_us));
    let mut nodes: Vec<(String, Worker)> = Vec::new();
    for worker in workers.into_iter().filter(|worker| worker.version.as_ref().is_some_and(|of| of.contains("celery "))) {
        let name = format!("{}@{}", worker.program, worker.hostname);
        if !nodes.iter().any(|(known, _)| *known == name) {
            nodes.push((name, worker));
        }
    }
    nodes.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(nodes)
}

pub(crate) async fn node(api: &impl Ask, name: &str) -> Result<Worker, Answer> {
    let found = nodes(api).await?.into_iter().find(|(known, _)| known == name);
    found.map(|(_, worker)| worker).ok_or_else(|| Answer::text(404, format!("Unknown worker '{name}'")))
}

pub(crate) fn is_online(worker: &Worker) -> bool {
    worker.state == WorkerState::ONLINE
}

async fn workers(api: &impl Ask, request: &Request) -> Result<Answer, Answer> {
    let mut nodes = nodes(api).await?;
    if let Some(name) = request.text("workername") {
        nodes.retain(|(known, _)| known == name);
        if nodes.is_empty() {
            return Err(Answer::text(404, format!("Unknown worker '{name}'")));
        }
    }
    if request.flag("status") {
        return Ok(Answer::json(nodes.iter().map(|(name, worker)| (name.clone(), is_online(worker).into())).collect::<Map<_, _>>().into()));
    }
    let online: Vec<_> = nodes.iter().filter(|(_, worker)| is_online(worker)).collect();
    let to: Vec<String> = online.iter().map(|(_, worker)| worker.id.to_string()).collect();
    if to.is_empty() {
        return Ok(Answer::json(json!({})));
    }
    let ask = async |method: &str| -> Result<Command, Answer> {
        let body = json!({"method": method, "to": {"workers": to}, "timeout_ms": TIMEOUT_MS});
        typed(api.ask("/commands".to_owned(), Some(body)).await?)
    };
    let replies = join_all(INSPECTIONS.map(|(method, key)| {
        let asked = ask(method);
        async move { (key, asked.await) }
    }));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut answer: Map<String, Value> = online.iter().map(|(name, _)| (name.clone(), json!({"timestamp": now}))).collect();
    for (key, command) in replies.await {
        for line in command?.lines.into_iter().filter(|line| line.status == CommandStatus::OK) {
            let name = online.iter().find(|(_, worker)| Some(worker.id) == line.worker_id).map(|(name, _)| name);
            if let Some(of) = name.and_then(|name| answer.get_mut(name)) {
                of[key] = line.value.unwrap_or_default();
            }
        }
    }
    Ok(Answer::json(answer.into()))
}

/// The word of the API for a state of Celery, as a parameter.
fn of_state(state: &str) -> Option<String> {
    let phase = match &*state.to_ascii_uppercase() {
        "PENDING" => "sent",
        "RECEIVED" => "received",
        "STARTED" => "started",
        "SUCCESS" => "succeeded",
        "FAILURE" => "failed",
        "REVOKED" => "revoked",
        "RETRY" => "retried",
        "REJECTED" => "rejected",
        _ => return None,
    };
    Some(format!("&phase={phase}"))
}

fn state(phase: &str) -> &'static str {
    match phase {
        "received" | "requeued" => "RECEIVED",
        "started" => "STARTED",
        "succeeded" => "SUCCESS",
        "failed" => "FAILURE",
        "revoked" => "REVOKED",
        "retried" => "RETRY",
        "rejected" => "REJECTED",
        _ => "PENDING",
    }
}

/// Builds the query of the API for the parameters of a list of tasks. None if no task can match.
fn query(request: &Request) -> Result<Option<String>, Answer> {
    let mut query = String::new();
    let sort = request.text("sort_by").unwrap_or("-received");
    let is_known = matches!(sort.trim_start_matches('-'), "name" | "state" | "received" | "started" | "runtime");
    let _ = write!(query, "sort={}", if is_known { sort } else { "-received" });
    for (name, ours) in [("taskname", "type"), ("workername", "worker")] {
        if let Some(value) = request.text(name).filter(|value| *value != "All") {
            let _ = write!(query, "&{ours}={}", encoded(value));
        }
    }
    let mut states: Vec<&str> = request.text("state").filter(|state| *state != "All").into_iter().collect();
    let (words, filters): (Vec<_>, Vec<_>) =
        request.text("search").unwrap_or_default().split_whitespace().partition(|word| !word.starts_with("state:"));
    states.extend(filters.iter().map(|word| &word["state:".len()..]));
    // A task has one state.
    states.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    if states.len() > 1 {
        return Ok(None);
    }
    for state in states {
        let Some(phase) = of_state(state) else { return Ok(None) };
        query.push_str(&phase);
    }
    if !words.is_empty() {
        let _ = write!(query, "&q={}", encoded(&words.join(" ").replace("uuid:", "id:")));
    }
    for (name, ours) in [
        ("received_start", "received_after"),
        ("received_end", "received_before"),
        ("started_start", "started_after"),
        ("started_end", "started_before"),
    ] {
        if let Some(text) = request.text(name) {
            let time = DateTime::strptime("%Y-%m-%d %H:%M", text).ok().and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
            let time = time.ok_or_else(|| Answer::text(400, format!("`{name}` is {text:?}, expected a time such as 2026-01-31 08:00")))?;
            let _ = write!(query, "&{ours}={}", time.as_microsecond().max(0));
        }
    }
    Ok(Some(query))
}

async fn tasks(api: &impl Ask, request: &Request) -> Result<Answer, Answer> {
    let limit = request.number::<i64>("limit", "int")?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(MOST_TASKS).min(MOST_TASKS);
    let mut offset = request.number::<i64>("offset", "int")?.unwrap_or(0).max(0);
    let Some(query) = query(request)? else { return Ok(Answer::json(json!({}))) };
    let nodes = nodes(api).await?;
    let (mut found, mut cursor) = (Map::new(), String::new());
    while found.len() < limit {
        let size = (limit - found.len()).min(PAGE);
        let path = format!("/queue-tasks?{query}&limit={size}&offset={offset}{cursor}");
        let page: QueueTasksPage = typed(api.ask(path, None).await?)?;
        for task in &page.tasks {
            found.extend(task.native_id.clone().map(|id| (id, shown(task, &nodes, &Relatives::default()))));
        }
        let Some(next) = page.next_cursor else { break };
        (cursor, offset) = (format!("&cursor={}", encoded(&next)), 0);
    }
    Ok(Answer::json(found.into()))
}

/// A time as in events of Celery.
pub(crate) fn iso(us: Option<u64>) -> Option<String> {
    let time = jiff::Timestamp::from_microsecond(i64::try_from(us?).ok()?).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string())
}

/// A root id as a UUID.
pub(crate) fn uuid_of(root: RootId) -> String {
    let hex = root.to_string();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Tasks that are next to a task in its tree, by their ids.
#[derive(Debug, Default)]
struct Relatives {
    parent: Option<String>,
    children: Vec<String>,
}

impl Relatives {
    /// Finds the parent of a task and, among the tasks of its run that the API returns at once, the children.
    async fn of(api: &impl Ask, task: &Process) -> Result<Self, Answer> {
        let parent = match task.parent_id {
            Some(parent) => api.ask(format!("/roots/{}/processes/{parent}", task.root_id), None).await.ok(),
            None => None,
        };
        let parent = parent.and_then(|parent| parent["native_id"].as_str().map(str::to_owned));
        let path = format!("/processes?root={}&kind=task&limit={PAGE}", task.root_id);
        let newest_first: ProcessesPage = typed(api.ask(path, None).await?)?;
        let children = newest_first.processes.into_iter().rev().filter(|process| process.parent_id == Some(task.id));
        Ok(Self { parent, children: children.filter_map(|child| child.native_id).collect() })
    }
}

/// A task as Flower shows it. Facts that the server does not keep are null.
fn shown(process: &Process, nodes: &[(String, Worker)], Relatives { parent, children }: &Relatives) -> Value {
    let task = process.task.as_deref();
    let seconds = |us: Option<u64>| us.map(|us| us as f64 / 1e6);
    let phase = task.map_or("", |task| task.phase.as_str());
    let ended = |of: &str| seconds(process.ended_us).filter(|_| phase == of);
    let (sent, received) = (task.and_then(|task| task.sent_us), task.and_then(|task| task.received_us));
    let worker = task.and_then(|task| task.received_by).or(process.worker_id);
    let worker = nodes.iter().find(|(_, of)| Some(of.id) == worker).map(|(name, _)| name);
    let succeeded = phase == "succeeded";
    let retried = process.attempts.iter().filter(|attempt| attempt.attempt < process.attempt).filter_map(|attempt| attempt.ended_us).max();
    // The events of Celery say that the default exchange has an empty name.
    let exchange = task.and_then(|task| task.exchange.clone().or_else(|| task.routing_key.as_ref().map(|_| String::new())));
    json!({
        "uuid": process.native_id, "name": process.name, "state": state(phase),
        "received": seconds(received), "sent": seconds(sent), "started": seconds(process.started_us),
        "rejected": ended("rejected"), "succeeded": ended("succeeded"), "failed": ended("failed"), "retried": seconds(retried), "revoked": ended("revoked"),
        "args": task.and_then(|task| task.args.clone()), "kwargs": task.and_then(|task| task.kwargs.clone()),
        "eta": iso(task.and_then(|task| task.eta_us)), "expires": iso(task.and_then(|task| task.expires_us)),
        "retries": process.attempt.saturating_sub(1), "result": task.and_then(|task| task.result.clone()),
        "exception": process.error.as_ref().map(|error| error.message.clone()).filter(|_| !succeeded),
        "timestamp": seconds([process.ended_us, process.started_us, received, sent].into_iter().flatten().max()),
        "runtime": process.elapsed_ns.filter(|_| succeeded).map(|ns| ns as f64 / 1e9),
        "traceback": task.and_then(|task| task.traceback.clone()).filter(|_| !succeeded),
        "exchange": exchange, "routing_key": task.and_then(|task| task.routing_key.clone()),
        "clock": null, "client": null, "root": uuid_of(process.root_id), "root_id": uuid_of(process.root_id),
        "parent": parent, "parent_id": parent, "children": children, "worker": worker,
    })
}

async fn types(api: &impl Ask) -> Result<Answer, Answer> {
    let types: QueueTypes = typed(api.ask("/queue-tasks/types".to_owned(), None).await?)?;
    let mut names: Vec<String> = types.types.into_iter().map(|of| of.name).collect();
    names.sort();
    Ok(Answer::json(json!({"task-types": names})))
}

/// Returns a task by its id in the queue.
pub(crate) async fn task(api: &impl Ask, id: &str) -> Result<Option<Process>, Answer> {
    match api.ask(format!("/queue-tasks/{}", encoded(id)), None).await {
        Ok(found) => typed(found).map(Some),
        Err(failure) if failure.status == 404 => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

async fn info(api: &impl Ask, id: &str) -> Result<Answer, Answer> {
    let task = task(api, id).await?.ok_or_else(|| Answer::text(404, format!("Unknown task '{id}'")))?;
    let relatives = Relatives::of(api, &task).await?;
    Ok(Answer::json(shown(&task, &nodes(api).await?, &relatives)))
}

async fn result(api: &impl Ask, id: &str) -> Result<Answer, Answer> {
    Ok(Answer::json(task(api, id).await?.map_or_else(|| json!({"task-id": id, "state": "PENDING"}), |task| outcome(id, &task))))
}

/// State and result of a task.
pub(crate) fn outcome(id: &str, process: &Process) -> Value {
    let task = process.task.as_deref();
    let state = state(task.map_or("", |task| task.phase.as_str()));
    let mut answer = json!({"task-id": id, "state": state});
    match state {
        "SUCCESS" => answer["result"] = task.and_then(|task| task.result.as_ref()).map(literal).unwrap_or_default(),
        "FAILURE" => {
            answer["result"] = process.error.as_ref().map(|error| error.message.clone()).into();
            answer["traceback"] = task.and_then(|task| task.traceback.clone()).into();
        }
        // Celery stores this exception, with one of three reasons.
        "REVOKED" => answer["result"] = process.reason.as_ref().map(|reason| format!("TaskRevokedError('{reason}')")).into(),
        _ => {}
    }
    answer
}

/// Value of a simple Python literal. Celery's events contain results in this form; other values stay texts.
fn literal(result: &Value) -> Value {
    let Some(text) = result.as_str() else { return result.clone() };
    let unquoted = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).filter(|text| !text.contains(['\\', '\'']));
    match (text, unquoted) {
        ("None", _) => Value::Null,
        ("True", _) => true.into(),
        ("False", _) => false.into(),
        (_, Some(unquoted)) => unquoted.into(),
        _ => serde_json::from_str(text).ok().filter(Value::is_number).unwrap_or_else(|| text.into()),
    }
}

async fn queues(api: &impl Ask) -> Result<Answer, Answer> {
    let queues: Queues = typed(api.ask(format!("/queues?timeout={TIMEOUT_MS}"), None).await?)?;
    // Each worker of a queue reports the same length.
    let length = |queue: &monitor_wire::Queue| queue.workers.iter().filter_map(|worker| worker.waiting).max();
    let lengths = queues.queues.iter().filter_map(|queue| Some(json!({"name": queue.name, "messages": length(queue)?})));
    Ok(Answer::json(json!({"active_queues": lengths.collect::<Vec<_>>()})))
}
