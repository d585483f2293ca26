//! The facts about a process as a queue task.

use monitor_wire::{
    Attachment, Error, ErrorKind, Event, Fields, Kind, Outcome, Phase, ProcessId, Task, TaskFailed, TaskReceived, TaskRetried, TaskRevoked,
    TaskSent,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::process::{Definition, End, ProcessFacts};
use crate::told::{Told, keep_first, keep_last};

/// All facts that queue events reported about a task. Independent of order and repetition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFacts {
    /// The first event that reports the attempt as waiting: sent, received, requeued, or to be retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Told<()>>,
    /// Message, as first sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Told<Message>>,
    /// Message, as last received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Told<Message>>,
    /// First start of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Told<()>>,
    /// Last start of the attempt, with the pid of the process that executes it. A requeued task starts again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Told<Option<u32>>>,
    /// Last time that the attempt was returned to its queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeued: Option<Told<()>>,
    /// The attempt that follows a failed one, with its planned start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried: Option<Told<Option<u64>>>,
    /// Result of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Told<Value>>,
    /// Traceback of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<Told<String>>,
}

/// Content of a task's message, as the event says that reports it as sent or received.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// Name of the task.
    pub name: String,
    /// Batch mark of a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Process that sent the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<ProcessId>,
    /// Positional arguments: a list, or a text of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
    /// Keyword arguments: an object, or a text of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kwargs: Option<Value>,
    /// Earliest start, in Unix microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_us: Option<u64>,
    /// Time from which the task is not started any more, in Unix microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<u64>,
    /// Name of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Exchange that the message was published to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// Routing key of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
}

impl ProcessFacts {
    /// Applies a queue event. Other events have no effect.
    pub(crate) fn apply_task(&mut self, told: &Told<()>, event: &Event) {
        let next = Told { attempt: told.attempt.saturating_add(1), ..told.map(()) };
        match event {
            Event::TaskSent(of) => self.task_mut().send(told, sent(of)),
            Event::TaskReceived(of) => self.task_mut().receive(told, received(of)),
            Event::TaskStarted(of) => {
                let task = self.task_mut();
                keep_first(&mut task.started, told.map(()));
                keep_last(&mut task.running, told.map(of.pid));
                self.remember_start(told);
            }
            Event::TaskSucceeded(of) => {
                let task = self.task_mut();
                if let Some(result) = &of.result {
                    keep_first(&mut task.result, told.map(result.clone()));
                }
                self.take_end(told.map(End { elapsed_ns: of.runtime_ns, ..end(Outcome::SUCCEEDED, None) }));
            }
            Event::TaskFailed(TaskFailed { exception, traceback, .. }) => {
                self.task_mut().keep_traceback(told, traceback.as_ref());
                self.take_end(told.map(End { error: Some(error(exception)), ..end(Outcome::FAILED, None) }));
            }
            Event::TaskRejected(of) if of.requeued => {
                let task = self.task_mut();
                keep_last(&mut task.requeued, told.map(()));
                keep_first(&mut task.waiting, told.map(()));
            }
            Event::TaskRejected(_) => {
                self.task_mut();
                self.take_end(told.map(end(Outcome::CANCELLED, Some("rejected"))));
            }
            Event::TaskRevoked(TaskRevoked { terminated, signum, expired, .. }) => {
                self.task_mut();
                let reason = match (terminated, expired) {
                    (true, _) => "terminated",
                    (false, true) => "expired",
                    (false, false) => "revoked",
                };
                self.take_end(told.map(End { signal: *signum, ..end(Outcome::CANCELLED, Some(reason)) }));
            }
            Event::TaskRetried(TaskRetried { exception, traceback, eta_us, .. }) => {
                let task = self.task_mut();
                keep_first(&mut task.waiting, next.map(()));
                keep_last(&mut task.retried, next.map(*eta_us));
                task.keep_traceback(told, traceback.as_ref());
                let error = exception.as_deref().map(error);
                self.take_end(told.map(End { error, ..end(Outcome::FAILED, Some("retried")) }));
            }
            _ => {}
        }
    }

    fn task_mut(&mut self) -> &mut TaskFacts {
        self.task.get_or_insert_default()
    }

    fn take_end(&mut self, told: Told<End>) {
        self.remember_end(&told);
        self.keep_end(told);
    }

    /// Returns true if the attempt was returned to its queue after its last start.
    pub(crate) fn is_requeued(&self) -> bool {
        let Some(task) = &self.task else { return false };
        let Some(requeued) = self.now(task.requeued.as_ref()) else { return false };
        let started = self.now(self.started.as_ref()).map(|told| told.stamp);
        let running = self.now(task.running.as_ref()).map(|told| told.stamp);
        started.max(running).is_none_or(|start| start < requeued.stamp)
    }

    /// Returns the process as a task, if there are queue events about it.
    pub(crate) fn shown_task(&self) -> Option<Box<Task>> {
        let task = self.task.as_deref()?;
        let text = |pick: fn(&Message) -> Option<&String>| task.message(pick).cloned();
        let retried = self.now(task.retried.as_ref());
        // Only messages of the current attempt specify when it begins.
        let eta_us = match retried {
            Some(retried) => {
                let messages = [&task.received, &task.sent].into_iter().flatten();
                let mut of_this_attempt = messages.filter(|told| told.attempt == self.attempt);
                of_this_attempt.find_map(|told| told.what.eta_us).or(retried.what)
            }
            None => task.message(|message| message.eta_us.as_ref()).copied(),
        };
        Some(Box::new(Task {
            phase: self.phase(task),
            queue: text(|message| message.queue.as_ref()),
            exchange: text(|message| message.exchange.as_ref()),
            routing_key: text(|message| message.routing_key.as_ref()),
            args: task.message(|message| message.args.as_ref()).cloned(),
            kwargs: task.message(|message| message.kwargs.as_ref()).cloned(),
            result: self.now(task.result.as_ref()).map(|told| told.what.clone()),
            traceback: task.traceback.as_ref().map(|told| told.what.clone()),
            eta_us,
            expires_us: task.message(|message| message.expires_us.as_ref()).copied(),
            sent_us: task.sent.as_ref().map(|told| told.stamp.time_us),
            sent_by: task.sent.as_ref().map(|told| told.worker),
            received_us: task.received.as_ref().map(|told| told.stamp.time_us),
            received_by: task.received.as_ref().map(|told| told.worker),
            pid: self.now(task.running.as_ref()).and_then(|told| told.what),
        }))
    }

    fn phase(&self, task: &TaskFacts) -> Phase {
        if let Some(ended) = self.now(self.ended.as_ref()) {
            return match (ended.what.outcome.as_str(), ended.what.reason.as_deref()) {
                ("cancelled", Some("rejected")) => Phase::REJECTED,
                ("cancelled", Some("revoked" | "terminated" | "expired")) => Phase::REVOKED,
                (outcome, _) => Phase::from(outcome),
            };
        }
        let (requeued, received) = (self.now(task.requeued.as_ref()), self.now(task.received.as_ref()));
        if self.start().is_some() && !self.is_requeued() {
            Phase::STARTED
        } else if requeued.is_some_and(|requeued| received.is_none_or(|received| received.stamp < requeued.stamp)) {
            Phase::REQUEUED
        } else if received.is_some() {
            Phase::RECEIVED
        } else if self.now(task.retried.as_ref()).is_some() {
            Phase::RETRIED
        } else {
            Phase::SENT
        }
    }
}

impl TaskFacts {
    fn send(&mut self, told: &Told<()>, message: Message) {
        keep_first(&mut self.waiting, told.map(()));
        keep_first(&mut self.sent, told.map(message));
    }

    fn receive(&mut self, told: &Told<()>, message: Message) {
        keep_first(&mut self.waiting, told.map(()));
        keep_last(&mut self.received, told.map(message));
    }

    fn keep_traceback(&mut self, told: &Told<()>, traceback: Option<&String>) {
        if let Some(traceback) = traceback {
            keep_first(&mut self.traceback, told.map(traceback.clone()));
        }
    }

    /// Merges facts of the same task.
    pub(crate) fn merge(&mut self, other: Self) {
        let Self { waiting, sent, received, started, running, requeued, retried, result, traceback } = other;
        each(&mut self.waiting, waiting, keep_first);
        each(&mut self.sent, sent, keep_first);
        each(&mut self.received, received, keep_last);
        each(&mut self.started, started, keep_first);
        each(&mut self.running, running, keep_last);
        each(&mut self.requeued, requeued, keep_last);
        each(&mut self.retried, retried, keep_last);
        each(&mut self.result, result, keep_first);
        each(&mut self.traceback, traceback, keep_first);
    }

    /// Returns the messages. The message of the higher attempt is first, and within an attempt the received one.
    fn messages(&self) -> impl Iterator<Item = &Message> {
        let is_sent_newer = self.sent.as_ref().map(|told| told.attempt) > self.received.as_ref().map(|told| told.attempt);
        let both = if is_sent_newer { [&self.sent, &self.received] } else { [&self.received, &self.sent] };
        both.into_iter().flatten().map(|told| &told.what)
    }

    fn message<T>(&self, pick: impl Fn(&Message) -> Option<&T>) -> Option<&T> {
        self.messages().find_map(pick)
    }

    /// Returns the batch mark in the messages.
    pub(crate) fn batch(&self) -> Option<&String> {
        self.message(|message| message.batch.as_ref())
    }

    /// Returns the definition in the messages. `None` if there is no message.
    pub(crate) fn definition(&self) -> Option<Definition> {
        let name = self.messages().next()?.name.clone();
        Some(Definition {
            parent_id: self.message(|message| message.parent_id.as_ref()).copied(),
            kind: Kind::TASK,
            name,
            batch: self.batch().cloned(),
            thread: None,
            source: None,
            attachment: Attachment::EXPLICIT,
            fields: Fields::new(),
            timeout_ms: None,
            attempts_of: None,
        })
    }
}

fn each<T>(kept: &mut Option<Told<T>>, told: Option<Told<T>>, keep: fn(&mut Option<Told<T>>, Told<T>)) {
    if let Some(told) = told {
        keep(kept, told);
    }
}

fn end(outcome: Outcome, reason: Option<&str>) -> End {
    let reason = reason.map(str::to_owned);
    End { elapsed_ns: None, outcome, error: None, exit_code: None, signal: None, reason, retry: None }
}

fn error(exception: &str) -> Error {
    let message = exception.to_owned();
    Error { kind: ErrorKind::ERROR, type_name: None, message, chain: Vec::new(), source: None, code: None, tail: None }
}

macro_rules! message {
    ($of:expr) => {
        Message {
            name: $of.name.clone(),
            batch: $of.batch.clone(),
            parent_id: $of.parent_id,
            args: $of.args.clone(),
            kwargs: $of.kwargs.clone(),
            eta_us: $of.eta_us,
            expires_us: $of.expires_us,
            queue: $of.queue.clone(),
            exchange: $of.exchange.clone(),
            routing_key: $of.routing_key.clone(),
        }
    };
}

fn sent(of: &TaskSent) -> Message {
    message!(of)
}

fn received(of: &TaskReceived) -> Message {
    message!(of)
}
