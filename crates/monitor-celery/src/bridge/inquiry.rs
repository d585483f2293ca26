//! Finds out what happened to tasks whose events are missing, for example because Redis had no subscriber.
//!
//! The server lists the open tasks. The nodes list the tasks that they hold, and Celery's results contain the ends of tasks. Events may still be on their
//! way, so a difference counts only if it remains for some seconds.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monitor_api::{Client, Error};
use monitor_spool::now_us;
use monitor_wire::{Event, Phase, Process, ProcessId, RootId, State, WorkerId, WorkerRef};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::outbox::Outbox;
use crate::broker::Broker;
use crate::ids::{process_id, root_id};
use crate::pidbox::Request;
use crate::results::Results;
use crate::text::{python_repr, python_tuple};
use crate::translate::Translator;
use crate::transport::Connection;

/// Pause between inquiries.
const EVERY: Duration = Duration::from_secs(60);
/// Age at which a task without a new event is asked for.
const LONG_US: u64 = 60 * 1_000_000;
/// Time for events that are on their way.
const SETTLE: Duration = Duration::from_secs(5);
/// Maximum wait for the events in the outbox.
const PATIENCE: Duration = Duration::from_secs(30);
/// Wait for the replies of nodes.
const REPLIES: Duration = Duration::from_secs(3);
/// Number of tasks in one request to nodes.
const CHUNK: usize = 500;
/// Number of tasks in a page of the server's list, and of pages that an inquiry reads. The next one continues behind them.
const PAGE: usize = 1_000;
const PAGES: usize = 5;
/// Maximum number of tasks of a node that are looked up after a gap.
const MOST: usize = 5_000;
/// Number of absent tasks in memory above which they are forgotten. Each is then lost one inquiry later.
const MOST_ABSENT: usize = 100_000;
/// Age of lost tasks whose results are still looked up: Celery keeps results for a day.
const DAY_US: u64 = 24 * 3_600 * 1_000_000;

/// A fact about a task that the server does not know.
#[derive(Debug)]
pub(crate) enum Finding {
    /// An event of Celery that was missed, and how it is known: from a `node` or a `result`.
    Missed { event: Map<String, Value>, root: RootId, id: ProcessId, from: &'static str },
    /// Its node no longer holds the task, and its end is not known.
    Gone(Box<Process>),
    /// An event of the bridge itself.
    Own(Box<Event>),
}

/// The parts of a bridge that an inquiry uses.
pub(super) struct Inquiry<'a> {
    pub(super) client: &'a Client,
    /// The store of results, if one is known.
    pub(super) results: Option<&'a Broker>,
    pub(super) outbox: &'a Mutex<Outbox>,
    pub(super) connection: &'a Mutex<Option<Arc<Connection>>>,
    pub(super) translator: &'a Mutex<Translator>,
    pub(super) found: mpsc::UnboundedSender<Vec<Finding>>,
    /// Tasks that no node held when they were last asked for.
    pub(super) absent: HashSet<String>,
    /// Position in the list of open tasks at which the next inquiry continues.
    pub(super) cursor: Option<String>,
}

/// A task that a node holds.
struct Held {
    node: String,
    is_active: bool,
    /// Celery's description of it.
    info: Map<String, Value>,
}

impl Inquiry<'_> {
    /// Asks after each new connection to the broker, and every minute. Returns if the server does not let the bridge read.
    pub(super) async fn keep(mut self, connected: &Notify) {
        loop {
            let is_after_gap = tokio::select! {
                () = connected.notified() => true,
                () = sleep(EVERY) => false,
            };
            if is_after_gap {
                // Nodes announce themselves by their heartbeats.
                sleep(SETTLE).await;
            }
            match self.ask(is_after_gap).await {
                Ok(()) => {}
                Err(error) if matches!(error.status(), Some(401 | 403)) => {
                    tracing::warn!(
                        "tasks whose end was missed stay started, because the server does not let the bridge read: {error}; use a token with \
                         the scopes ingest and read"
                    );
                    return;
                }
                Err(error) => tracing::debug!("open tasks can't be asked for: {}", error.causes()),
            }
        }
    }

    async fn ask(&mut self, is_after_gap: bool) -> Result<(), Error> {
        let Some(connection) = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return Ok(()) };
        let nodes = self.translator.lock().unwrap_or_else(PoisonError::into_inner).nodes();
        let open = self.open(is_after_gap).await?;
        let ids: Vec<&str> = open.keys().map(String::as_str).collect();
        let mut silent = HashSet::new();
        let mut held = asked(&connection, &nodes, &ids, &mut silent).await;
        if is_after_gap {
            held.extend(all(&connection, nodes.len()).await);
        }
        let not_held: Vec<&str> = ids.iter().copied().filter(|id| !held.contains_key(*id)).collect();
        let ends = self.ends(&not_held).await;
        if !self.settle().await {
            return Ok(());
        }
        let asked: HashMap<WorkerId, &str> =
            nodes.iter().filter(|(node, _)| !silent.contains(node)).map(|(node, worker)| (worker.id, node.as_str())).collect();
        let (mut found, mut absent) = (Vec::new(), HashSet::new());
        for (id, before) in &open {
            let mut finding = difference(id, before, held.get(id), ends.get(id.as_str()), &nodes);
            if finding.is_none() && !held.contains_key(id) && is_held_by(before, &asked) {
                absent.insert(id.clone());
                finding = self.absent.contains(id).then(|| Finding::Gone(Box::new(before.clone())));
            }
            if let Some(finding) = finding
                && self.task(id).await?.is_some_and(|now| is_unchanged(before, &now))
            {
                found.push(finding);
            }
        }
        for (id, held) in held.iter().filter(|(id, _)| !open.contains_key(*id)) {
            if self.task(id).await?.is_none() {
                found.extend(unknown(id, held, &nodes));
            }
        }
        self.absent.retain(|id| !open.contains_key(id));
        if self.absent.len() > MOST_ABSENT {
            self.absent.clear();
        }
        self.absent.extend(absent);
        if !found.is_empty() {
            let _ = self.found.send(found);
        }
        Ok(())
    }

    /// Returns a task as the server knows it.
    async fn task(&self, id: &str) -> Result<Option<Process>, Error> {
        match self.client.queue_task(id).send().await {
            Ok(task) => Ok(Some(task)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns tasks of Celery that have not ended, by their ids. After a gap, the result of a lost task may be known as well.
    async fn open(&mut self, is_after_gap: bool) -> Result<HashMap<String, Process>, Error> {
        let now_us = now_us();
        if is_after_gap {
            self.cursor = None;
        }
        let mut open = HashMap::new();
        let page = || self.client.queue_tasks().parameter("state", "pending,running").parameter("sort", "received").limit(PAGE);
        let mut cursor = self.cursor.take();
        for _ in 0..PAGES {
            let page = match &cursor {
                Some(cursor) => page().cursor(cursor).send().await?,
                None => page().send().await?,
            };
            open.extend(page.tasks.into_iter().filter(|task| is_after_gap || is_old(task, now_us)).filter_map(of_celery));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        self.cursor = cursor;
        if is_after_gap && self.results.is_some() {
            let lost = self.client.queue_tasks().parameter("state", "lost").parameter("received_after", &now_us.saturating_sub(DAY_US));
            open.extend(lost.limit(PAGE).send().await?.tasks.into_iter().filter_map(of_celery));
        }
        Ok(open)
    }

    /// Looks up results.
    async fn ends<'b>(&self, tasks: &[&'b str]) -> HashMap<&'b str, Map<String, Value>> {
        let Some(place) = self.results else { return HashMap::new() };
        let read = async {
            let results = Results::open(place).await?;
            let mut ends = HashMap::new();
            for tasks in tasks.chunks(CHUNK) {
                let found = results.ends(tasks).await?;
                ends.extend(tasks.iter().zip(found).filter_map(|(task, end)| Some((*task, end?))));
            }
            Ok::<_, crate::error::BrokerError>(ends)
        };
        read.await.unwrap_or_else(|error| {
            tracing::warn!("results can't be read: {error}");
            HashMap::new()
        })
    }

    /// Waits until the server has the events that the bridge has received. Returns false if that takes too long.
    async fn settle(&self) -> bool {
        sleep(SETTLE).await;
        let until = Instant::now() + PATIENCE;
        while self.outbox.lock().unwrap_or_else(PoisonError::into_inner).waiting() > 0 {
            if Instant::now() > until {
                return false;
            }
            sleep(Duration::from_millis(50)).await;
        }
        true
    }
}

/// Returns the task with its id, if it belongs to Celery.
fn of_celery(task: Process) -> Option<(String, Process)> {
    let id = task.native_id.clone()?;
    (process_id(&id) == task.id).then_some((id, task))
}

/// Time of the last known event about a task.
fn is_old(task: &Process, now_us: u64) -> bool {
    let of_task = task.task.as_ref();
    let times = [task.started_us, of_task.and_then(|task| task.received_us), of_task.and_then(|task| task.sent_us)];
    times.into_iter().flatten().max().unwrap_or_default().saturating_add(LONG_US) < now_us
}

fn phase(task: &Process) -> Option<&Phase> {
    task.task.as_ref().map(|task| &task.phase)
}

fn is_unchanged(before: &Process, now: &Process) -> bool {
    (&before.state, before.attempt, phase(before)) == (&now.state, now.attempt, phase(now))
}

/// Returns true if one of these nodes has received the task, and should hold it.
fn is_held_by(task: &Process, asked: &HashMap<WorkerId, &str>) -> bool {
    let Some(of_task) = &task.task else { return false };
    let worker = match of_task.phase.as_str() {
        "started" => task.worker_id,
        "received" => of_task.received_by,
        _ => None,
    };
    worker.is_some_and(|worker| asked.contains_key(&worker))
}

/// Returns the event that the server lacks, if a node or a result contradicts the state of the task there.
fn difference(
    id: &str,
    before: &Process,
    held: Option<&Held>,
    end: Option<&Map<String, Value>>,
    nodes: &[(String, WorkerRef)],
) -> Option<Finding> {
    let missed = |event: Value, from: &'static str| {
        let Value::Object(event) = event else { return None };
        Some(Finding::Missed { event, root: before.root_id, id: before.id, from })
    };
    match (held, end) {
        (Some(held), _) if held.is_active && before.state == State::PENDING => missed(held.started(id, nodes)?, "node"),
        (Some(held), _) if !held.is_active && phase(before) == Some(&Phase::SENT) => {
            missed(held.received(id, Some(before), nodes)?, "node")
        }
        (None, Some(end)) => {
            let mut end = end.clone();
            let worker = before.worker_id.or_else(|| before.task.as_ref()?.received_by);
            if let Some((node, worker)) = nodes.iter().find(|(_, known)| Some(known.id) == worker) {
                end.insert("hostname".to_owned(), node.as_str().into());
                end.insert("pid".to_owned(), worker.pid.into());
            }
            missed(Value::Object(end), "result")
        }
        _ => None,
    }
}

/// Returns the events of a task that the server does not know. Its run is not known either, so it begins one.
fn unknown(id: &str, held: &Held, nodes: &[(String, WorkerRef)]) -> Vec<Finding> {
    let events = [held.received(id, None, nodes), held.is_active.then(|| held.started(id, nodes)).flatten()];
    let missed = |event| {
        let Value::Object(event) = event else { return None };
        Some(Finding::Missed { event, root: root_id(id), id: process_id(id), from: "node" })
    };
    events.into_iter().flatten().filter_map(missed).collect()
}

impl Held {
    fn event(&self, event_type: &str, id: &str, nodes: &[(String, WorkerRef)]) -> Option<Value> {
        let (_, worker) = nodes.iter().find(|(node, _)| *node == self.node)?;
        Some(json!({"type": event_type, "uuid": id, "hostname": self.node, "pid": worker.pid}))
    }

    fn started(&self, id: &str, nodes: &[(String, WorkerRef)]) -> Option<Value> {
        let mut event = self.event("task-started", id, nodes)?;
        event["timestamp"] = self.info.get("time_start").cloned().unwrap_or_default();
        Some(event)
    }

    fn received(&self, id: &str, before: Option<&Process>, nodes: &[(String, WorkerRef)]) -> Option<Value> {
        let mut event = self.event("task-received", id, nodes)?;
        let of = |key: &str| self.info.get(key);
        event["name"] = of("name")?.clone();
        event["args"] = of("args").and_then(Value::as_array).map(|args| python_tuple(args)).into();
        event["kwargs"] = of("kwargs").filter(|of| of.is_object()).map(python_repr).into();
        if let Some(key) = of("delivery_info").and_then(|of| of.get("routing_key")) {
            event["routing_key"] = key.clone();
        }
        // It waits since a time that is not known, at the latest since its start.
        event["timestamp"] = of("time_start").cloned().unwrap_or_default();
        if let Some(before) = before {
            event["root_id"] = before.root_id.to_string().into();
            event["parent_id"] = before.parent_id.map(|parent| parent.to_string()).into();
            event["retries"] = before.attempt.saturating_sub(1).into();
        }
        Some(event)
    }
}

/// Asks the nodes for these tasks. Nodes that don't reply are added to `silent`.
async fn asked(
    connection: &Connection,
    nodes: &[(String, WorkerRef)],
    tasks: &[&str],
    silent: &mut HashSet<String>,
) -> HashMap<String, Held> {
    let mut held = HashMap::new();
    for tasks in tasks.chunks(CHUNK) {
        let replies = replies(connection, "query_task", json!({"ids": tasks}), nodes.len()).await;
        silent.extend(nodes.iter().filter(|(node, _)| !replies.iter().any(|(of, _)| of == node)).map(|(node, _)| node.clone()));
        for (node, reply) in replies {
            let Value::Object(tasks) = reply else { continue };
            for (id, state) in tasks {
                let Some([Value::String(state), Value::Object(info)]) = state.as_array().map(Vec::as_slice) else { continue };
                held.insert(id, Held { node: node.clone(), is_active: state == "active", info: info.clone() });
            }
        }
    }
    held
}

/// Asks the nodes for all tasks that they hold.
async fn all(connection: &Connection, nodes: usize) -> HashMap<String, Held> {
    let mut held = HashMap::new();
    for method in ["scheduled", "reserved", "active"] {
        for (node, reply) in replies(connection, method, json!({}), nodes).await {
            for task in reply.as_array().map(Vec::as_slice).unwrap_or_default().iter().take(MOST) {
                let Some(info) = task.get("request").unwrap_or(task).as_object() else { continue };
                let Some(id) = info.get("id").and_then(Value::as_str) else { continue };
                held.insert(id.to_owned(), Held { node: node.clone(), is_active: method == "active", info: info.clone() });
            }
        }
    }
    held
}

/// Asks all nodes. Returns the replies that arrive in time, by the names of the nodes.
pub(super) async fn replies(connection: &Connection, method: &str, arguments: Value, nodes: usize) -> Vec<(String, Value)> {
    let Value::Object(arguments) = arguments else { return Vec::new() };
    let request = Request { arguments, expected: Some(nodes).filter(|nodes| *nodes > 0), ..Request::to_all(method, REPLIES) };
    match connection.request(&request).await {
        Ok(replies) => replies.into_iter().map(|reply| (reply.node, reply.value)).collect(),
        Err(error) => {
            tracing::debug!(method, "the nodes can't be asked: {error}");
            Vec::new()
        }
    }
}
