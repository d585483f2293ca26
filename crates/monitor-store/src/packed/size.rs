//! Estimates how much memory a batch takes, so that the queue of waiting batches can be bounded.

use monitor_wire::{Dropped, Error, Event, Fields, FoldError, Link, Process, Registered, Source, Task, Worker, WorkerRef};
use serde_json::Value;

use super::{Ending, Packed, PackedEvent, Place, Site};

/// Returns the approximate memory size of a batch in bytes, with its events and all their texts.
pub(super) fn size(batch: &Packed) -> usize {
    let sites = batch.sites.iter().map(|site| size_of::<Site>() + of_site(site));
    let texts = batch.threads.iter().chain(&batch.marks).map(|text| 16 + text.len());
    let endings = batch.endings.iter().map(|of| size_of::<Ending>() + ending(of));
    let others = batch.events.iter().map(|event| match event {
        PackedEvent::Other(event) => size_of::<Event>() + of_event(event),
        PackedEvent::Started(_) | PackedEvent::Ended(_) => 0,
    });
    let lists = batch.events.len() * size_of::<PackedEvent>() + batch.roots.len() * 16;
    size_of::<Packed>()
        + worker(&batch.worker)
        + lists
        + dropped(&batch.dropped)
        + sites.chain(texts).chain(endings).chain(others).sum::<usize>()
}

/// Returns an upper bound for the size of any packed start or end in the batch.
pub(super) fn largest_packed(batch: &Packed) -> usize {
    let longest = |texts: &[Box<str>]| texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let start = batch.sites.iter().map(of_site).max().unwrap_or(0) + longest(&batch.threads) + longest(&batch.marks);
    start.max(batch.endings.iter().map(ending).max().unwrap_or(0))
}

/// Returns the size of the texts of an event, with those in the shared lists.
pub(super) fn of_packed(batch: &Packed, index: usize) -> usize {
    let text = |texts: &[Box<str>], place: Place| texts.get(place as usize).map_or(0, |text| text.len());
    match &batch.events[index] {
        PackedEvent::Started(of) => of_site(&batch.sites[of.site as usize]) + text(&batch.threads, of.thread) + text(&batch.marks, of.mark),
        PackedEvent::Ended(of) => batch.endings.get(of.ending as usize).map_or(0, ending),
        PackedEvent::Other(event) => of_event(event),
    }
}

fn of_site(site: &Site) -> usize {
    site.name.len() + site.kind.as_str().len() + source(&site.source)
}

pub(super) fn of_event(event: &Event) -> usize {
    macro_rules! with_common {
        ($of:expr, $own:expr) => {
            text(&$of.native_id) + links(&$of.links) + workers(&$of.worker) + $own
        };
    }
    match event {
        Event::ProcessQueued(of) => with_common!(of, of.name.len() + of.kind.as_str().len() + text(&of.batch) + fields(&of.fields)),
        Event::ProcessStarted(of) => {
            let words = of.kind.as_str().len() + of.attachment.as_str().len();
            with_common!(of, of.name.len() + words + text(&of.batch) + text(&of.thread) + source(&of.source) + fields(&of.fields))
        }
        Event::ProcessUpdated(of) => with_common!(of, text(&of.name) + text(&of.batch) + fields(&of.fields)),
        Event::ProcessProgressed(of) => with_common!(of, text(&of.unit)),
        Event::ProcessLogged(of) => {
            with_common!(of, of.level.len() + of.message.len() + text(&of.target) + text(&of.stream) + fields(&of.fields))
        }
        Event::ProcessFolded(of) => {
            with_common!(
                of,
                of.name.len() + of.kind.as_str().len() + of.histogram.len() * size_of::<(u32, u64)>() + fold_errors(&of.errors)
            )
        }
        Event::ProcessEnded(of) => {
            with_common!(of, of.outcome.as_str().len() + text(&of.reason) + of.error.as_ref().map_or(0, error))
        }
        Event::TaskSent(of) => {
            let words = text(&of.batch) + text(&of.queue) + text(&of.exchange) + text(&of.routing_key);
            with_common!(of, of.name.len() + words + values(&of.args) + values(&of.kwargs))
        }
        Event::TaskReceived(of) => {
            let words = text(&of.batch) + text(&of.queue) + text(&of.exchange) + text(&of.routing_key);
            with_common!(of, of.name.len() + words + values(&of.args) + values(&of.kwargs))
        }
        Event::TaskStarted(of) => with_common!(of, 0),
        Event::TaskSucceeded(of) => with_common!(of, values(&of.result)),
        Event::TaskFailed(of) => with_common!(of, of.exception.len() + text(&of.traceback)),
        Event::TaskRejected(of) => with_common!(of, 0),
        Event::TaskRevoked(of) => with_common!(of, 0),
        Event::TaskRetried(of) => with_common!(of, text(&of.exception) + text(&of.traceback)),
        Event::WorkerOnline(of) => {
            let function = |of: &Registered| 128 + of.name.len() + of.kind.as_str().len() + of.source.file.len();
            of.version.len()
                + of.role.as_str().len()
                + of.capabilities.iter().map(|of| 24 + of.len()).sum::<usize>()
                + workers(&of.worker)
                + of.registered.iter().map(function).sum::<usize>()
        }
        Event::Unplaced(of) => size_of::<Event>() + of.native_source.len() + of_event(of.event()),
        Event::WorkerHeartbeat(of) => workers(&of.worker),
        Event::WorkerOffline(of) => workers(&of.worker),
        Event::Unknown(of) => of.event_type.len() + fields(&of.fields),
        Event::ProcessOverdue(of) => of.reason.len(),
        Event::ProcessNotified(of) => with_common!(of, of.severity.len() + of.title.len() + text(&of.text) + text(&of.key)),
        Event::RunSkipped(of) => of.task.len() + of.agent.len() + of.reason.as_str().len() + text(&of.blocked_by),
        Event::RunMissed(of) => of.task.len() + of.agent.len() + of.reason.as_str().len(),
        Event::BatchTaskChanged(of) => {
            let values =
                |of: &serde_json::Map<String, Value>| of.iter().map(|(key, value)| 64 + key.len() + of_value(value)).sum::<usize>();
            of.task.len() + of.status.as_str().len() + text(&of.who) + text(&of.agent) + of.definition.as_ref().map_or(0, values)
        }
        Event::AgentDecided(of) => of.agent.len() + of.mistakes.iter().map(|of| 24 + of.len()).sum::<usize>(),
        Event::WorkerLost(_) | Event::WorkerFound(_) => 0,
    }
}

fn values<'a>(values: impl IntoIterator<Item = &'a Value>) -> usize {
    values.into_iter().map(of_value).sum()
}

fn worker(worker: &WorkerRef) -> usize {
    worker.hostname.len() + worker.program.len()
}

fn workers<'a>(workers: impl IntoIterator<Item = &'a WorkerRef>) -> usize {
    workers.into_iter().map(worker).sum()
}

fn fold_errors(errors: &[FoldError]) -> usize {
    errors.iter().map(|error| size_of::<FoldError>() + error.text.len()).sum()
}

/// Returns the approximate size in bytes of all that a process contains, without the struct itself.
pub fn of_process(of: &Process) -> usize {
    let Process { name, kind, state, native_id, thread, reason, attachment, .. } = of;
    let words = name.len() + kind.as_str().len() + state.as_str().len() + attachment.as_str().len();
    let rare = text(native_id) + text(thread) + text(reason) + of.progress.iter().map(|progress| text(&progress.unit)).sum::<usize>();
    let fold = of.fold.as_ref().map_or(0, |fold| fold.histogram.len() * size_of::<(u32, u64)>() + fold_errors(&fold.errors));
    words
        + rare
        + fold
        + of.task.as_deref().map_or(0, of_task)
        + source(&of.source)
        + of.error.as_ref().map_or(0, error)
        + links(&of.links)
        + fields(&of.fields)
}

fn of_task(of: &Task) -> usize {
    let words = text(&of.queue) + text(&of.exchange) + text(&of.routing_key) + text(&of.traceback);
    size_of::<Task>() + words + values(&of.args) + values(&of.kwargs) + values(&of.result)
}

/// Returns the approximate size in bytes of all that a worker contains, without the struct itself.
pub fn of_worker(of: &Worker) -> usize {
    of.hostname.len() + of.program.len() + text(&of.version) + dropped(&of.dropped)
}

fn dropped(dropped: &[Dropped]) -> usize {
    dropped.iter().map(|dropped| size_of::<Dropped>() + dropped.event_type.len() + dropped.reason.len()).sum()
}

fn text<'a>(text: impl IntoIterator<Item = &'a String>) -> usize {
    text.into_iter().map(String::len).sum()
}

fn source<'a>(source: impl IntoIterator<Item = &'a Source>) -> usize {
    source.into_iter().map(|source| source.file.len()).sum()
}

fn links(links: &[Link]) -> usize {
    links.iter().map(|link| size_of::<Link>() + link.relation.len()).sum()
}

/// Returns the size of an end's values apart from its outcome.
pub fn ending(of: &Ending) -> usize {
    of.error.as_ref().map_or(0, error) + text(&of.reason)
}

/// Returns the size of an error's texts.
pub fn error(error: &Error) -> usize {
    let chain = error.chain.iter().map(|cause| size_of::<String>() + cause.len());
    error.kind.as_str().len()
        + error.message.len()
        + text(&error.type_name)
        + text(&error.tail)
        + source(&error.source)
        + chain.sum::<usize>()
}

/// Returns the approximate memory size of fields in bytes.
pub fn fields(fields: &Fields) -> usize {
    fields.iter().map(|(key, value)| 64 + key.len() + of_value(value)).sum()
}

/// Returns the size of a value's texts and containers. The recursion can't overflow the stack, because the JSON decoder limits the depth of
/// values.
pub(super) fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() + of_value(value)).sum(),
        Value::Object(values) => values.iter().map(|(key, value)| 64 + key.len() + of_value(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
