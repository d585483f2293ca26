//! Events of tasks as Celery sends them, for the readers of Flower's WebSocket.

use monitor_wire::{Event, StreamMessage, WorkerRef};
use serde_json::{Map, Value};

use crate::read::{iso, uuid_of};

/// Returns the event of a task as Celery sends it. None for an event that is not about a task of a queue.
pub fn event(message: &StreamMessage) -> Option<Value> {
    let Value::Object(mut event) = serde_json::to_value(&message.event).ok()? else { return None };
    if !event.get("type")?.as_str()?.starts_with("task-") {
        return None;
    }
    let mut shown = Map::new();
    let worker: Option<WorkerRef> = event.remove("worker").and_then(|worker| serde_json::from_value(worker).ok());
    shown.insert("hostname".to_owned(), worker.as_ref().map(name_of).into());
    shown.insert("pid".to_owned(), worker.map(|worker| worker.pid).into());
    let task = message.process.as_ref();
    shown.insert("name".to_owned(), task.map(|task| task.name.clone()).into());
    for unknown in ["id", "attempt", "links", "parent_id"] {
        event.remove(unknown);
    }
    for (key, value) in event {
        let us = value.as_u64();
        let (key, value) = match &*key {
            "native_id" => ("uuid", value),
            "time_us" => ("timestamp", us.map(|us| us as f64 / 1e6).into()),
            "eta_us" => ("eta", iso(us).into()),
            "expires_us" => ("expires", iso(us).into()),
            "runtime_ns" => ("runtime", us.map(|ns| ns as f64 / 1e9).into()),
            "requeued" => ("requeue", value),
            "root_id" => ("root_id", message.event.root_id().map(uuid_of).into()),
            other => (other, value),
        };
        shown.insert(key.to_owned(), value);
    }
    Some(shown.into())
}

/// Name of a node.
pub(crate) fn name_of(worker: &WorkerRef) -> String {
    format!("{}@{}", worker.program, worker.hostname)
}

/// Worker that sent the event of a task.
pub(crate) fn sender(event: &Event) -> Option<&WorkerRef> {
    match event {
        Event::TaskSent(event) => event.worker.as_ref(),
        Event::TaskReceived(event) => event.worker.as_ref(),
        Event::TaskStarted(event) => event.worker.as_ref(),
        Event::TaskSucceeded(event) => event.worker.as_ref(),
        Event::TaskFailed(event) => event.worker.as_ref(),
        Event::TaskRejected(event) => event.worker.as_ref(),
        Event::TaskRevoked(event) => event.worker.as_ref(),
        Event::TaskRetried(event) => event.worker.as_ref(),
        _ => None,
    }
}
