//! Metadata that a task carries: the ids of its process and of its sender.

use std::convert::Infallible;

use apalis_core::task::ExecutionContext;
use apalis_core::task::metadata::{Metadata, MetadataStore};
use apalis_core::task::status::Status;
use monitor_client::Context;
use monitor_client::task::{self, Receive, Ticket};

/// Process of the task itself, as a W3C `traceparent`.
const PROCESS: &str = "monitor.traceparent";
pub(crate) const NAME: &str = "monitor.name";
const QUEUE: &str = "monitor.queue";
/// Number of attempts lost together with their workers. Redis delivers such a task again without counting the attempt.
pub(crate) const LOSSES: &str = "monitor.losses";
/// Caller of the task, as written by tracers and by apalis' own `TracingContext` (trace, span, flags and state, separated by `;`).
const CALLER: &str = "traceparent";
const CALLER_OF_APALIS: &str = "apalis_core.tracing.context";

/// A ticket that is passed in the metadata.
pub(crate) struct Carried(pub(crate) Ticket);

impl Metadata for Carried {
    type Error = Infallible;

    fn extract(store: &MetadataStore) -> Result<Self, Infallible> {
        let get = |key| store.get(key).map(str::to_owned);
        Ok(Self(Ticket { traceparent: get(PROCESS), name: get(NAME), queue: get(QUEUE), ..Ticket::default() }))
    }

    fn inject(&self, store: &mut MetadataStore) -> Result<(), Infallible> {
        let Self(Ticket { traceparent, name, queue, .. }) = self;
        for (key, value) in [(PROCESS, traceparent), (NAME, name), (QUEUE, queue)] {
            if let Some(value) = value {
                store.replace(key, value);
            }
        }
        // Also set for other tracers of the worker, unless the program has set a caller for them.
        if let Some(traceparent) = traceparent {
            store.insert_if_absent(CALLER, traceparent);
        }
        Ok(())
    }
}

/// Starts recording a task that a worker has received, or that no worker will receive.
pub(crate) fn receive(task: &ExecutionContext, retries: u32, name: impl FnOnce() -> String, queue: Option<String>) -> Receive {
    let (mut ticket, caller) = received(task);
    ticket.name = ticket.name.or_else(|| Some(name()));
    ticket.queue = ticket.queue.or(queue);
    ticket.retries = retries;
    let receive = task::receive(&ticket).nowhere();
    match caller {
        Some(caller) => receive.parent(caller),
        None => receive,
    }
}

/// Returns the number of earlier attempts.
pub(crate) fn retries(task: &ExecutionContext, losses: u32) -> u32 {
    u32::try_from(task.attempt()).unwrap_or(u32::MAX).saturating_add(losses)
}

/// Returns the number of attempts lost together with their workers, and true if that is one more than noted before.
///
/// In Redis, a worker locks a task at its start and writes the time at its end. If a task was locked after its last end and is still marked
/// as running when another worker receives it, that attempt was lost. For other backends, and while the task is retried within its worker,
/// this gives no information.
pub(crate) fn losses(task: &ExecutionContext, is_in_redis: bool) -> (u32, bool) {
    let number = |key| task.metadata().get(key).and_then(|text| text.parse::<u64>().ok());
    let noted = number(LOSSES).and_then(|noted| u32::try_from(noted).ok()).unwrap_or(0);
    let is_locked = task.lock_at().is_some_and(|locked| number("done_at").is_none_or(|ended| locked > ended));
    let is_new = is_in_redis && is_locked && task.status() == Status::Running;
    (noted.saturating_add(u32::from(is_new)), is_new)
}

/// Returns the ticket of a received task, and the process that sent it if the ticket does not contain it.
///
/// A task from an unmonitored sender carries no ids. If its own id is unique, the ids are derived from it, so that the task is the same
/// process in every program that retries it.
fn received(task: &ExecutionContext) -> (Ticket, Option<Context>) {
    let Ok(Carried(mut ticket)) = Carried::extract(task.metadata());
    ticket.uuid = task.task_id().map(ToString::to_string);
    ticket.queue = ticket.queue.or_else(|| task.queue().map(ToString::to_string));
    if ticket.context().is_some() {
        return (ticket, None);
    }
    let caller = caller(task.metadata());
    ticket.traceparent = ticket.uuid.as_deref().and_then(|id| ids_of(id, caller));
    (ticket, caller)
}

/// Returns the sender of the task according to the sender's tracer.
fn caller(metadata: &MetadataStore) -> Option<Context> {
    let read = |traceparent: &str| Ticket { traceparent: Some(traceparent.to_owned()), ..Ticket::default() }.context();
    metadata.get(CALLER).and_then(read).or_else(|| {
        let mut parts = metadata.get(CALLER_OF_APALIS)?.splitn(4, ';');
        read(&format!("00-{}-{}-01", parts.next()?, parts.next()?))
    })
}

/// Derives ids from the task's own id, as a `traceparent`: below a caller, or as the root of a new tree.
fn ids_of(task: &str, caller: Option<Context>) -> Option<String> {
    let number = unique(task);
    let root = caller.map(Context::root).or(number)?;
    let process = number.map_or_else(|| hash(task), |number| number as u64);
    Some(format!("00-{root:032x}-{process:016x}-01"))
}

/// Returns the number represented by a ULID or UUID. Other ids are not unique across queues, or after a queue was emptied.
fn unique(id: &str) -> Option<u128> {
    match id.len() {
        26 => id.bytes().try_fold(0_u128, |number, letter| {
            let value = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".iter().position(|digit| *digit == letter.to_ascii_uppercase())?;
            Some(number.checked_mul(32)? | value as u128)
        }),
        36 if id.bytes().filter(|letter| *letter == b'-').count() == 4 => u128::from_str_radix(&id.replace('-', ""), 16).ok(),
        _ => None,
    }
}

/// FNV-1a hash, which is stable across versions and programs.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use apalis_core::task::Task;
    use apalis_core::task::builder::TaskBuilder;
    use apalis_core::task::task_id::TaskId;

    use super::*;

    const SENDER: &str = "00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-01";

    fn task(id: &str, metadata: &[(&str, &str)]) -> Task<()> {
        TaskBuilder::new(()).task_id(TaskId::from_string(id)).with_metadata(metadata.iter().copied().collect()).build()
    }

    fn ids(id: &str, metadata: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let (ticket, caller) = received(task(id, metadata).ctx());
        (ticket.traceparent, caller.map(|caller| format!("{:032x} {:016x}", caller.root(), caller.process())))
    }

    #[test]
    fn a_ticket_is_carried_in_the_metadata() {
        let ticket = Ticket {
            uuid: Some("七".to_owned()),
            traceparent: Some(SENDER.to_owned()),
            name: Some("渲染".to_owned()),
            queue: Some("视频".to_owned()),
            retries: 0,
        };
        let mut sent = task("七", &[("traceparent", "of another tracer")]);
        sent.inject_metadata(&Carried(ticket.clone())).unwrap();
        assert_eq!(sent.metadata().get("traceparent"), Some("of another tracer"));
        assert_eq!(received(sent.ctx()), (ticket.clone(), None));
        let mut sent = task("七", &[]);
        sent.inject_metadata(&Carried(ticket)).unwrap();
        assert_eq!(sent.metadata().get("traceparent"), Some(SENDER));
    }

    #[test]
    fn a_task_of_a_sender_that_is_not_monitored_has_ids_that_follow_from_its_own() {
        let of_itself = "00-0199a3ce929d0e0e47360199a3ce929d-47360199a3ce929d-01";
        assert_eq!(ids("0199a3ce-929d-0e0e-4736-0199a3ce929d", &[]), (Some(of_itself.to_owned()), None));
        assert_eq!(ids("01K6HWX4MX1R74EDG1K6HWX4MX", &[]).0, ids("01k6hwx4mx1r74edg1k6hwx4mx", &[]).0);
        let below = |caller: &(&str, &str)| {
            let (ids, parent) = ids("17", &[*caller]);
            assert_eq!(parent.as_deref(), Some("0199a3ce929d0e0e47360199a3ce929d a3ce929d0e0e4736"));
            assert!(ids.unwrap().starts_with("00-0199a3ce929d0e0e47360199a3ce929d-"));
        };
        below(&("traceparent", SENDER));
        below(&("apalis_core.tracing.context", "0199a3ce929d0e0e47360199a3ce929d;a3ce929d0e0e4736;1;a=b"));
    }

    #[test]
    fn attempts_that_were_lost_are_counted() {
        let lost = |status, locked, metadata: &[(&str, &str)]| {
            let task = TaskBuilder::new(()).status(status).lock_at(locked).with_metadata(metadata.iter().copied().collect()).build();
            losses(task.ctx(), true)
        };
        assert_eq!(lost(Status::Pending, None, &[]), (0, false));
        assert_eq!(lost(Status::Running, Some(7), &[]), (1, true));
        assert_eq!(lost(Status::Running, Some(7), &[("done_at", "5"), (LOSSES, "2")]), (3, true));
        // The task has failed and is retried, by another worker or by the same worker.
        assert_eq!(lost(Status::Failed, Some(7), &[("done_at", "7"), (LOSSES, "2")]), (2, false));
        assert_eq!(lost(Status::Running, Some(7), &[("done_at", "7")]), (0, false));
        assert_eq!(lost(Status::Running, None, &[]), (0, false));
        for odd in ["-1", "x", "", "99999999999999999999", "4294967296"] {
            assert_eq!(lost(Status::Pending, None, &[(LOSSES, odd), ("done_at", odd)]), (0, false), "{odd}");
        }
        assert_eq!(lost(Status::Running, Some(7), &[(LOSSES, "4294967295")]).0, u32::MAX);
        let elsewhere = TaskBuilder::new(()).status(Status::Running).lock_at(Some(7)).build();
        assert_eq!(losses(elsewhere.ctx(), false), (0, false));
    }

    #[test]
    fn invalid_ids_are_ignored() {
        for id in
            ["17", "", "七", "ZZZZZZZZZZZZZZZZZZZZZZZZZZ", "0199a3ce-929d-0e0e-4736-0199a3ce929g", "-----0199a3ce929d0e0e47360199a3ce929d"]
        {
            let hostile = [("monitor.traceparent", "nonsense"), ("traceparent", ""), ("apalis_core.tracing.context", ";;;;")];
            assert_eq!(ids(id, &hostile), (None, None), "{id}");
        }
        assert_eq!(ids("17", &[("apalis_core.tracing.context", "-;-;-;-")]), (None, None));
    }
}
