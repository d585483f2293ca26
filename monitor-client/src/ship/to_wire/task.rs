//! Queue tasks, whose starts and ends are separate event types.

use std::fmt::Write as _;

use monitor_core::record::{Ended, Failure, Outcome, Started, TaskEnd, TaskMessage, TaskStep, Tasked};
use monitor_wire::{
    Event, ProcessId, RootId, TaskFailed, TaskReceived, TaskRejected, TaskRetried, TaskRevoked, TaskSent, TaskStarted, TaskSucceeded,
};
use serde_json::Value;

use super::unix_us;

/// Creates an event of a task. `$more` are the fields that only this event type has.
macro_rules! event {
    ($name:ident, $of:expr, $attempt:expr, $native_id:expr, { $($more:tt)* }) => {
        Event::$name($name {
            root_id: RootId::new($of.root)?,
            id: ProcessId::new($of.id)?,
            time_us: $of.time_us,
            attempt: $attempt.max(1),
            worker: None,
            native_id: Some($native_id),
            links: Vec::new(),
            $($more)*
        })
    };
}

/// Creates an event from a message.
macro_rules! message {
    ($name:ident, $of:expr, $attempt:expr, $native_id:expr, $message:expr) => {{
        let TaskMessage { parent, name, args, kwargs, eta, expires, queue, exchange, routing_key } = $message;
        event!($name, $of, $attempt, $native_id, {
            parent_id: ProcessId::new(parent),
            name,
            batch: None,
            args: args.map(value),
            kwargs: kwargs.map(value),
            retries: None,
            eta_us: eta.and_then(unix_us),
            expires_us: expires.and_then(unix_us),
            queue,
            exchange,
            routing_key,
        })
    }};
}

/// Converts a step of a task that is not running.
pub(super) fn step(of: Tasked) -> Option<Event> {
    Some(match of.step {
        TaskStep::Sent(message) => message!(TaskSent, of, of.attempt, of.native_id, message),
        TaskStep::Received(message) => message!(TaskReceived, of, of.attempt, of.native_id, message),
        TaskStep::Rejected { requeued } => event!(TaskRejected, of, of.attempt, of.native_id, { requeued }),
        TaskStep::Revoked { expired } => event!(TaskRevoked, of, of.attempt, of.native_id, { terminated: false, signum: None, expired }),
    })
}

/// Converts the start of an attempt.
pub(super) fn started(of: Started) -> Option<Event> {
    let extra = of.extra?;
    Some(event!(TaskStarted, of, extra.attempt, extra.task?, { pid: None }))
}

/// Converts the end of an attempt.
pub(super) fn ended(of: Ended) -> Option<Event> {
    let extra = of.extra?;
    let TaskEnd { native_id, result, rejected } = *extra.task?;
    let attempt = extra.attempt;
    Some(match (of.outcome, extra.retry, rejected) {
        (_, _, Some(requeued)) => event!(TaskRejected, of, attempt, native_id, { requeued }),
        (Outcome::Succeeded, ..) => event!(TaskSucceeded, of, attempt, native_id, { result: result.map(value), runtime_ns: of.elapsed_ns }),
        (Outcome::Cancelled, ..) => event!(TaskRevoked, of, attempt, native_id, { terminated: true, signum: None, expired: false }),
        (Outcome::Failed(failure), Some(retry), _) => event!(TaskRetried, of, attempt, native_id, {
            traceback: traceback(&failure),
            exception: Some(failure.message),
            eta_us: unix_us(retry.next),
        }),
        (Outcome::Failed(failure), None, _) => event!(TaskFailed, of, attempt, native_id, {
            traceback: traceback(&failure),
            exception: failure.message,
        }),
    })
}

/// Parses JSON. Any other text becomes a string.
fn value(json: String) -> Value {
    serde_json::from_str(&json).unwrap_or(Value::String(json))
}

/// Formats the type, place and message of an error, with a line for each of its sources.
fn traceback(failure: &Failure) -> Option<String> {
    let mut text = failure.type_name.as_deref().unwrap_or(failure.kind).to_owned();
    if let Some((file, line)) = &failure.place {
        let _ = write!(text, " at {file}:{line}");
    }
    if !failure.message.is_empty() {
        let _ = write!(text, ": {}", failure.message);
    }
    for cause in &failure.chain {
        let _ = write!(text, "\n  caused by: {cause}");
    }
    Some(text).filter(|text| !text.is_empty())
}
