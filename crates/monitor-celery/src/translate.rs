//! Translates events of Celery into events of the wire format.
//!
//! A task is a process with the id of its UUID ([`ids`](crate::ids)). Its run is the one of Celery's `root_id`, and its parent the task of Celery's
//! `parent_id`. Facts that an event lacks come from earlier events of the task. If these are not known either, the event is sent without a run, and the
//! server finds it.

use std::collections::HashMap;
use std::sync::Arc;

use monitor_wire::{
    Event, Fields, MAX_TIME_US, Outcome, ProcessId, RootId, State, TaskFailed, TaskReceived, TaskRejected, TaskRetried, TaskRevoked,
    TaskSent, TaskStarted, TaskSucceeded, UnknownEvent, Unplaced, WorkerId, WorkerRef,
};
use serde_json::{Map, Value};

use crate::flow::Flow;
use crate::groups::{self, Change, Groups};
use crate::ids::{LONGEST_ID, SOURCE, parent_id, process_id, root_id};
use crate::message::{Unreadable, short};
use crate::nodes::{Nodes, Notice};
use crate::options::Arguments;
use crate::tasks::Tasks;
use crate::text::{cut, first_bytes, mask_kwargs};

/// Largest event of an application's own type, in bytes of JSON.
const LARGEST_OWN: usize = 256 << 10;
/// Longest name of a task or a queue that is sent, in bytes.
const LONGEST_NAME: usize = 4 << 10;

/// Translates the events of a cluster, in the order of their arrival.
#[derive(Debug)]
pub(crate) struct Translator {
    /// Name of the cluster, which is the batch mark of its runs.
    cluster: String,
    nodes: Nodes,
    tasks: Tasks,
    arguments: Arguments,
    /// Attempts after the first one that were announced or started since the last call of [`take_retries`](Self::take_retries).
    retries: Vec<Retry>,
    flow: Flow,
    groups: Groups,
}

/// An attempt of a task after its first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) task: String,
    pub(crate) attempt: u32,
    /// False if it was only announced.
    pub(crate) has_started: bool,
}

/// Facts that all events about a task have.
struct Common<'a> {
    event: &'a Map<String, Value>,
    task: &'a str,
    root: Option<RootId>,
    id: ProcessId,
    time_us: u64,
    worker: Option<WorkerRef>,
}

impl Translator {
    /// Creates a translator for a cluster whose nodes accept these commands.
    pub(crate) fn new(cluster: &str, methods: &[&str], arguments: Arguments) -> Self {
        let (nodes, cluster) = (Nodes::new(cluster, methods), cluster.to_owned());
        Self { cluster, nodes, tasks: Tasks::default(), arguments, retries: Vec::new(), flow: Flow::default(), groups: Groups::default() }
    }

    /// Returns the changes of the set of nodes since the last call.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        self.nodes.take_notices()
    }

    /// Returns the nodes that send heartbeats.
    pub(crate) fn nodes(&self) -> Vec<(String, WorkerRef)> {
        self.nodes.alive()
    }

    /// Forgets nodes that have sent no heartbeat for a long time.
    pub(crate) fn forget_silent_nodes(&mut self, now_us: u64) {
        self.nodes.forget_silent(now_us);
    }

    /// Returns the attempts to remember over a restart: events after the receipt of a task don't contain its attempt.
    pub(crate) fn take_retries(&mut self) -> Vec<Retry> {
        std::mem::take(&mut self.retries)
    }

    /// Returns the numbers of tasks that were sent to queues and have left them since the last call.
    pub(crate) fn take_flow(&mut self) -> Flow {
        std::mem::take(&mut self.flow)
    }

    /// Returns when the tasks that wait in each queue were sent, in Unix microseconds and in no order.
    pub(crate) fn waiting(&self) -> HashMap<Arc<str>, Vec<u64>> {
        self.tasks.waiting()
    }

    /// Returns the changes of groups to remember over a restart.
    pub(crate) fn take_group_changes(&mut self) -> Vec<Change> {
        self.groups.take_changes()
    }

    /// Adds the groups that were remembered over a restart. Returns those that have not ended.
    pub(crate) fn remember_groups(&mut self, changes: &[Change]) -> Vec<Change> {
        self.groups.remember(changes)
    }

    /// Notes that a task has ended in an unknown way. Returns events about its group.
    pub(crate) fn is_gone(&mut self, task: &str, now_us: u64) -> Vec<Event> {
        self.groups.ended(task, &Outcome::from(State::LOST.as_str()), now_us)
    }

    /// Adds an attempt that was remembered over a restart.
    pub(crate) fn remember(&mut self, retry: &Retry) {
        let known = self.tasks.entry(&retry.task);
        known.announce(retry.attempt, None);
        if retry.has_started {
            known.has_started(retry.attempt);
        }
    }

    /// Returns the ids of tasks that a worker has received and not ended: those of a run, or only these processes of it.
    pub(crate) fn open_tasks(&self, worker: WorkerId, root: RootId, processes: &[ProcessId]) -> Vec<String> {
        self.tasks.open(worker, root, processes)
    }

    /// Translates an event. `now_us` replaces its time if that can't be read.
    pub(crate) fn translate(&mut self, event: &Map<String, Value>, now_us: u64) -> Result<Vec<Event>, Unreadable> {
        let event_type = event.get("type").and_then(Value::as_str).ok_or_else(|| Unreadable("an event has no type".to_owned()))?;
        let seconds = event.get("timestamp").and_then(Value::as_f64).filter(|at| (1.0..MAX_TIME_US as f64 / 1e6).contains(at));
        let time_us = seconds.map_or(now_us, |seconds| (seconds * 1e6).round() as u64);
        if matches!(event_type, "worker-online" | "worker-heartbeat" | "worker-offline") {
            let no_name = || Unreadable(format!("a {event_type} has no valid `hostname`"));
            return self.nodes.translate(event_type, event, (time_us, now_us)).ok_or_else(no_name);
        }
        if event_type == groups::ANNOUNCED {
            return self.group(event, time_us);
        }
        if event_type.starts_with("task-") {
            let event = self.task(event_type, event, time_us)?;
            let end = outcome(&event).map(|(task, outcome)| self.groups.ended(task, &outcome, time_us));
            return Ok(std::iter::once(event).chain(end.into_iter().flatten()).collect());
        }
        Err(Unreadable(format!("the event type {:?} is neither of a task nor of a worker", short(event_type))))
    }

    /// Announces a group. Tasks that are known already move below it, or get a link to it.
    fn group(&mut self, event: &Map<String, Value>, time_us: u64) -> Result<Vec<Event>, Unreadable> {
        let (mut events, firsts) = self.groups.announce(event, &self.cluster, time_us)?;
        for task in firsts {
            let known = self.tasks.entry(&task);
            let Some(root) = known.root else { continue };
            events.extend(self.groups.link(&task, root).map(|link| groups::linked(root, &task, link, time_us)));
            if let Some(group) = self.groups.of(&task, root).filter(|group| known.parent != Some(*group)) {
                known.parent = Some(group);
                events.push(groups::moved(root, &task, group, time_us));
            }
        }
        Ok(events)
    }

    fn task(&mut self, event_type: &str, event: &Map<String, Value>, time_us: u64) -> Result<Event, Unreadable> {
        let task = event.get("uuid").and_then(Value::as_str).filter(|id| (1..=LONGEST_ID).contains(&id.len()));
        let task = task.ok_or_else(|| Unreadable(format!("a {} has no `uuid` of 1 to {LONGEST_ID} bytes", short(event_type))))?;
        let id = process_id(task);
        // The hostname of task-sent is the sender, which is no worker.
        let worker = match event_type {
            "task-sent" => None,
            "task-received" | "task-started" | "task-succeeded" | "task-failed" | "task-rejected" | "task-revoked" | "task-retried" => {
                self.nodes.sender(event)
            }
            _ => self.nodes.sender_in_pool(event),
        };
        if matches!(event_type, "task-sent" | "task-received") {
            return Ok(self.message(event_type == "task-sent", Common { event, task, root: None, id, time_us, worker }));
        }
        let known = self.tasks.entry(task);
        let at = worker.as_ref().map(|worker| worker.id);
        let common = Common { event, task, root: known.root, id, time_us, worker };
        let attempt = match event_type {
            "task-started" => known.start(at),
            "task-retried" => known.retry(at),
            "task-succeeded" | "task-failed" | "task-rejected" | "task-revoked" => known.end(at),
            _ => return common.own(event_type),
        };
        // The end of the next attempt may arrive before the event that a former one is tried again.
        let is_former = event_type == "task-retried" && known.has_ended() && attempt < known.latest();
        known.waits_since_us = None;
        if event_type != "task-started"
            && let Some(queue) = &known.queue
        {
            self.flow.ended(queue);
        }
        // Only the events of its message have the name of a task.
        let is_shown = known.is_shown.unwrap_or(matches!(self.arguments, Arguments::All));
        let is_last = event_type != "task-started" && event_type != "task-retried" && !common.flag("requeue");
        self.tasks.set_ended(task, is_former || is_last);
        if event_type == "task-started" && attempt > 1 {
            self.retries.push(Retry { task: task.to_owned(), attempt, has_started: true });
        }
        common.later(event_type, attempt, is_shown)
    }

    /// Translates the event of a message: `task-sent` or `task-received`.
    fn message(&mut self, is_sent: bool, mut common: Common<'_>) -> Event {
        let Common { event, task, .. } = common;
        let text = |key: &str| event.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id_of = |key: &str| text(key).filter(|id| id.len() <= LONGEST_ID);
        let root = root_id(id_of("root_id").unwrap_or(task));
        let name = text("name").map_or("unknown", |name| first_bytes(name, LONGEST_NAME));
        let retries = event.get("retries").and_then(Value::as_u64).and_then(|retries| u32::try_from(retries).ok()).unwrap_or(0);
        let attempt = retries.saturating_add(1);

        let known = self.tasks.entry(task);
        // A retried task announces itself as its parent.
        let announced = id_of("parent_id").filter(|parent| *parent != task).map(parent_id);
        let root = *known.root.get_or_insert(root);
        known.parent = self.groups.of(task, root).or(known.parent).or(announced);
        known.announce(attempt, common.worker.as_ref().map(|worker| worker.id));
        if !is_sent {
            known.waits_since_us = None;
        } else if let Some(queue) = text("queue").and_then(|queue| self.flow.sent(queue)) {
            known.sent(attempt, &queue, common.time_us);
        }
        let parent = known.parent;
        if attempt > 1 {
            self.retries.push(Retry { task: task.to_owned(), attempt, has_started: false });
        }
        common.root = Some(root);
        // A program may pass only the id of its run. Then the task is below the run's own process.
        let is_first = root == root_id(task);
        let parent_id = parent.or_else(|| root.own_process().filter(|_| !is_first));
        let batch = parent_id.is_none().then(|| self.cluster.clone());
        let is_shown = self.arguments.include(name);
        self.tasks.entry(task).is_shown = Some(is_shown);
        let repr = |key: &str| text(key).filter(|_| is_shown).map(|text| Value::from(cut(text)));
        let kwargs = text("kwargs").filter(|_| is_shown).map(|text| Value::from(cut(&mask_kwargs(text))));
        let word = |key: &str| text(key).map(|text| first_bytes(text, LONGEST_NAME).to_owned());
        let time = |key: &str| {
            text(key).and_then(|text| text.parse::<jiff::Timestamp>().ok()).and_then(|at| u64::try_from(at.as_microsecond()).ok())
        };
        macro_rules! message {
            ($name:ident) => {
                $name {
                    root_id: root,
                    id: common.id,
                    time_us: common.time_us,
                    parent_id,
                    name: name.to_owned(),
                    batch: batch.clone(),
                    args: repr("args"),
                    kwargs,
                    retries: Some(retries),
                    eta_us: time("eta"),
                    expires_us: time("expires"),
                    queue: word("queue"),
                    exchange: word("exchange"),
                    routing_key: word("routing_key"),
                    attempt,
                    worker: common.worker.clone(),
                    native_id: Some(task.to_owned()),
                    links: self.groups.link(task, root).into_iter().collect(),
                }
            };
        }
        if is_sent { Event::TaskSent(message!(TaskSent)) } else { Event::TaskReceived(message!(TaskReceived)) }
    }
}

/// The task that has ended, if an event is its end, and how.
fn outcome(event: &Event) -> Option<(&str, Outcome)> {
    let (native_id, outcome) = match event {
        // Its run is not known here.
        Event::Unplaced(of) => return outcome(of.event()),
        Event::TaskSucceeded(of) => (&of.native_id, Outcome::SUCCEEDED),
        Event::TaskFailed(of) => (&of.native_id, Outcome::FAILED),
        Event::TaskRejected(of) if !of.requeued => (&of.native_id, Outcome::CANCELLED),
        Event::TaskRevoked(of) => (&of.native_id, Outcome::CANCELLED),
        _ => return None,
    };
    Some((native_id.as_deref()?, outcome))
}

impl Common<'_> {
    fn flag(&self, key: &str) -> bool {
        self.event.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.event.get(key).and_then(Value::as_str).map(|text| cut(text).into_owned())
    }

    /// Translates an event that comes after the receipt of its task.
    fn later(self, event_type: &str, attempt: u32, is_shown: bool) -> Result<Event, Unreadable> {
        macro_rules! about {
            ($name:ident { $($field:ident: $value:expr),* }) => {
                Event::$name($name {
                    root_id: self.root.unwrap_or_else(placeholder),
                    id: self.id,
                    time_us: self.time_us,
                    $($field: $value,)*
                    attempt,
                    worker: self.worker.clone(),
                    native_id: Some(self.task.to_owned()),
                    links: Vec::new(),
                })
            };
        }
        let result = || self.text("result").filter(|_| is_shown).map(Value::from);
        let runtime = || self.event.get("runtime").and_then(Value::as_f64).filter(|of| (0.0..1e9).contains(of)).map(|of| (of * 1e9) as u64);
        let signum = || self.event.get("signum").and_then(Value::as_i64).and_then(|signal| i32::try_from(signal).ok());
        let event = match event_type {
            "task-started" => about!(TaskStarted { pid: None }),
            "task-succeeded" => about!(TaskSucceeded { result: result(), runtime_ns: runtime() }),
            "task-failed" => about!(TaskFailed {
                exception: self.text("exception").unwrap_or_else(|| "unknown".to_owned()),
                traceback: self.text("traceback")
            }),
            "task-rejected" => about!(TaskRejected { requeued: self.flag("requeue") }),
            "task-revoked" => about!(TaskRevoked { terminated: self.flag("terminated"), signum: signum(), expired: self.flag("expired") }),
            "task-retried" => about!(TaskRetried {
                exception: self.text("exception").filter(|exception| exception != "None"),
                traceback: self.text("traceback"),
                eta_us: None
            }),
            other => return self.own(other),
        };
        if self.root.is_some() {
            return Ok(event);
        }
        Unplaced::new(SOURCE.to_owned(), event).map(Event::Unplaced).ok_or_else(|| Unreadable("an event without a run".to_owned()))
    }

    /// Keeps an event of a type that the application has defined, such as `task-progress`.
    fn own(&self, event_type: &str) -> Result<Event, Unreadable> {
        let size = serde_json::to_string(self.event).map_or(usize::MAX, |json| json.len());
        if size > LARGEST_OWN {
            return Err(Unreadable(format!("a {} has {size} bytes, and the limit is {LARGEST_OWN}", short(event_type))));
        }
        let mut fields: Fields = self.event.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        fields.insert("type".to_owned(), event_type.into());
        fields.insert("id".to_owned(), self.id.to_string().into());
        fields.insert("native_id".to_owned(), self.task.into());
        fields.insert("time_us".to_owned(), self.time_us.into());
        match self.root {
            Some(root) => fields.insert("root_id".to_owned(), root.to_string().into()),
            // Celery's own has another form.
            None => fields.remove("root_id"),
        };
        if let Some(worker) = self.worker.as_ref().and_then(|worker| serde_json::to_value(worker).ok()) {
            fields.insert("worker".to_owned(), worker);
        }
        Ok(Event::Unknown(UnknownEvent { event_type: event_type.to_owned(), fields }))
    }
}

/// Run of an event whose run is not known. [`Unplaced`] leaves it out.
fn placeholder() -> RootId {
    RootId::new(1).expect("not zero")
}

#[cfg(test)]
mod tests;
