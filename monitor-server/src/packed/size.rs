//! How much memory a batch takes, so that what waits can be bounded.

use monitor_wire::{Error, Event, Fields, Link, Source};
use serde_json::Value;

use super::{Packed, PackedEvent, Site};

/// About how many bytes a batch holds: its events and every text in them.
pub(super) fn size(batch: &Packed) -> usize {
    let dropped = batch.dropped.iter().map(|dropped| 64 + dropped.event_type.len() + dropped.reason.len());
    let sites = batch.sites.iter().map(|site| size_of::<Site>() + site.name.len() + source(&site.source));
    let texts = batch.threads.iter().chain(&batch.marks).map(|text| 16 + text.len());
    let errors = batch.errors.iter().map(|of| size_of::<Error>() + error(of));
    let others = batch.events.iter().map(|event| match event {
        PackedEvent::Other(event) => size_of::<Event>() + of_event(event),
        PackedEvent::Started(_) | PackedEvent::Ended(_) => 0,
    });
    let lists = batch.events.len() * size_of::<PackedEvent>() + batch.roots.len() * 16;
    size_of::<Packed>() + lists + dropped.chain(sites).chain(texts).chain(errors).chain(others).sum::<usize>()
}

pub(super) fn of_event(event: &Event) -> usize {
    macro_rules! with_common {
        ($of:expr, $own:expr) => {
            text(&$of.native_id)
                + links(&$of.links)
                + $of.worker.as_ref().map_or(0, |worker| worker.hostname.len() + worker.program.len())
                + $own
        };
    }
    match event {
        Event::ProcessQueued(of) => with_common!(of, of.name.len() + text(&of.batch) + fields(&of.fields)),
        Event::ProcessStarted(of) => {
            with_common!(of, of.name.len() + text(&of.batch) + text(&of.thread) + source(&of.source) + fields(&of.fields))
        }
        Event::ProcessUpdated(of) => with_common!(of, text(&of.name) + text(&of.batch) + fields(&of.fields)),
        Event::ProcessProgressed(of) => with_common!(of, text(&of.unit)),
        Event::ProcessLogged(of) => {
            with_common!(of, of.level.len() + of.message.len() + text(&of.target) + text(&of.stream) + fields(&of.fields))
        }
        Event::ProcessFolded(of) => with_common!(of, of.name.len() + of.histogram.len() * size_of::<(u32, u64)>()),
        Event::ProcessEnded(of) => with_common!(of, text(&of.reason) + of.error.as_ref().map_or(0, error)),
        Event::WorkerOnline(of) => {
            of.version.len() + of.registered.iter().map(|function| 128 + function.name.len() + function.source.file.len()).sum::<usize>()
        }
        Event::Unknown(of) => of.event_type.len() + fields(&of.fields),
        Event::ProcessOverdue(of) => of.reason.len(),
        Event::WorkerHeartbeat(_) | Event::WorkerOffline(_) | Event::WorkerLost(_) | Event::WorkerFound(_) => 0,
    }
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

fn error(error: &Error) -> usize {
    let chain = error.chain.iter().map(|cause| size_of::<String>() + cause.len());
    error.message.len() + text(&error.type_name) + source(&error.source) + chain.sum::<usize>()
}

fn fields(fields: &Fields) -> usize {
    fields.iter().map(|(key, value)| 64 + key.len() + of_value(value)).sum()
}

/// What was read from JSON is only so deep: this can't overflow the stack.
pub(super) fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() + of_value(value)).sum(),
        Value::Object(values) => values.iter().map(|(key, value)| 64 + key.len() + of_value(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
