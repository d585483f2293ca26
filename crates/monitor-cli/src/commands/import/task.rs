//! Events of a queue task, for a process in an export that is a task.

use monitor_wire::{
    Event, Phase, Process, Task, TaskFailed, TaskReceived, TaskRejected, TaskRetried, TaskSent, TaskStarted, TaskSucceeded, WorkerId,
    WorkerRef,
};

/// Returns the task events of a process, without the process events. Empty if the process is no queue task. `reference` describes a worker.
pub(super) fn events(process: &Process, at_us: u64, reference: impl Fn(WorkerId) -> Option<WorkerRef>) -> Vec<Event> {
    let Some(task) = process.task.as_deref() else { return Vec::new() };
    let Task { phase, sent_us, received_us, result, traceback, .. } = task;
    let before = process.attempts.iter().rev().find_map(|attempt| attempt.worker_id);
    let worker = process.worker_id.or(before).and_then(&reference);
    // The next attempt is waiting, so the known worker is that of the attempt before.
    let is_retried = *phase == Phase::RETRIED;
    let attempt = if is_retried { process.attempt.saturating_sub(1).max(1) } else { process.attempt };
    let mut events = Vec::new();
    macro_rules! event {
        ($name:ident, $time:expr, $attempt:expr, $worker:expr, { $($field:ident: $value:expr,)* }) => {
            events.push(Event::$name($name {
                root_id: process.root_id, id: process.id, time_us: $time, $($field: $value,)*
                attempt: $attempt, worker: $worker, native_id: process.native_id.clone(), links: Vec::new(),
            }))
        };
    }
    macro_rules! message {
        ($name:ident, $time:expr, $attempt:expr, $worker:expr) => {
            event!($name, $time, $attempt, $worker, {
                parent_id: process.parent_id, name: process.name.clone(), batch: None, args: task.args.clone(), kwargs: task.kwargs.clone(), retries: None,
                eta_us: task.eta_us, expires_us: task.expires_us, queue: task.queue.clone(), exchange: task.exchange.clone(),
                routing_key: task.routing_key.clone(),
            })
        };
    }
    if let Some(sent_us) = sent_us {
        message!(TaskSent, *sent_us, 1, task.sent_by.and_then(&reference));
    }
    if let Some(received_us) = received_us {
        message!(TaskReceived, *received_us, attempt, task.received_by.and_then(&reference));
    }
    if (task.pid.is_some() || (sent_us.is_none() && received_us.is_none()))
        && let Some(started_us) = process.started_us
    {
        event!(TaskStarted, started_us, process.attempt, worker.clone(), { pid: task.pid, });
    }
    let last_us = process.ended_us.or(process.started_us).max(*received_us).unwrap_or(at_us);
    if *phase == Phase::REQUEUED {
        event!(TaskRejected, last_us.saturating_add(1), process.attempt, worker.clone(), { requeued: true, });
    }
    if is_retried {
        let before = process.attempts.iter().rev().find_map(|attempt| attempt.ended_us).unwrap_or(last_us);
        let exception = process.attempts.iter().rev().find_map(|attempt| Some(attempt.error.as_ref()?.message.clone()));
        event!(TaskRetried, before, attempt, worker, { exception: exception, traceback: traceback.clone(), eta_us: task.eta_us, });
    } else if let Some(result) = result {
        event!(TaskSucceeded, last_us, process.attempt, worker, { result: Some(result.clone()), runtime_ns: process.elapsed_ns, });
    } else if let (Some(traceback), Some(error)) = (traceback, &process.error) {
        event!(TaskFailed, last_us, process.attempt, worker, { exception: error.message.clone(), traceback: Some(traceback.clone()), });
    }
    events
}
