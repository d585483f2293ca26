//! The only place that converts the core's records to wire events.

mod task;

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use monitor_core::keep::Queued;
use monitor_core::record::{
    self, Ended, Failure, Fields, Folded, FoldedError, Logged, Origin, Outcome, Progressed, Record, Started, Updated, Value,
};
use monitor_core::{Context, Retry};
use monitor_spool::Folds;
use monitor_wire as wire;
use monitor_wire::{Event, ProcessId, RootId};

/// Converts a record to an event. `None` for ids that are zero, which the core never creates.
pub(super) fn event(record: Record, folds: &mut Folds) -> Option<Event> {
    match record {
        Record::Started(record) => started(record, folds),
        Record::Folded(record) => folded(*record, folds),
        Record::Updated(record) => updated(*record),
        Record::Logged(record) => logged(*record),
        Record::Progressed(record) => progressed(&record),
        Record::Task(record) => task::step(*record),
        Record::Ended(record) => ended(record),
    }
}

/// Converts a queued item to JSON for the spool. Empty if it has no event.
pub(super) fn json(queued: Queued<'_>) -> Vec<u8> {
    let encoded = match queued {
        Queued::Record(record) => event(record.clone(), &mut Folds::default()).map(|event| serde_json::to_vec(&event)),
        Queued::Failure(failure) => Some(serde_json::to_vec(&error(failure.clone()))),
    };
    encoded.and_then(Result::ok).unwrap_or_default()
}

/// Converts a failure to an error on the wire.
fn error(failure: Failure) -> wire::Error {
    wire::Error {
        kind: wire::ErrorKind::from(failure.kind),
        type_name: failure.type_name.map(Cow::into_owned),
        message: failure.message,
        chain: failure.chain,
        source: failure.place.map(|(file, line)| source(&file, line)),
        code: failure.code,
        tail: failure.tail,
    }
}

fn started(record: Started, folds: &Folds) -> Option<Event> {
    if record.extra.as_ref().is_some_and(|extra| extra.task.is_some()) {
        return task::started(record);
    }
    let site_timeout = record.origin.timeout_ms();
    let (name, kind, source) = match record.origin {
        Origin::Site(site) => (site.name.to_owned(), wire::Kind::from(site.kind), Some(source(site.file, site.line))),
        Origin::Named(named) => (named.name, wire::Kind::from(&*named.kind), named.place.map(|place| source(place.file(), place.line()))),
    };
    let record::StartExtra { batch, fields: own_fields, timeout_ms, attempt, attempts_of, links, task: _ } =
        record.extra.map(|extra| *extra).unwrap_or_default();
    Some(Event::ProcessStarted(wire::ProcessStarted {
        parent_id: folds.parent(record.parent),
        batch,
        thread: Some(record.thread.to_string()),
        source,
        attachment: match record.attachment {
            record::Attachment::Explicit => wire::Attachment::EXPLICIT,
            record::Attachment::Inferred => wire::Attachment::INFERRED,
            record::Attachment::Unattached => wire::Attachment::UNATTACHED,
        },
        fields: fields(own_fields),
        timeout_ms: timeout_ms.or(site_timeout),
        attempts_of,
        attempt: attempt.max(1),
        links: links.into_iter().filter_map(link).collect(),
        ..wire::ProcessStarted::new(RootId::new(record.root)?, ProcessId::new(record.id)?, record.time_us, kind, name)
    }))
}

fn link((other, relation): (Context, String)) -> Option<wire::Link> {
    Some(wire::Link { root_id: RootId::new(other.root())?, id: ProcessId::new(other.process())?, relation })
}

fn folded(record: Folded, folds: &mut Folds) -> Option<Event> {
    let (id, parent_id) = (folds.id(&record)?, folds.parent(record.parent));
    let (name, kind) = match record.origin {
        Origin::Site(site) => (site.name.to_owned(), wire::Kind::from(site.kind)),
        Origin::Named(named) => (named.name, wire::Kind::from(&*named.kind)),
    };
    Some(Event::ProcessFolded(wire::ProcessFolded {
        root_id: RootId::new(record.root)?,
        id,
        time_us: record.time_us,
        parent_id,
        kind,
        name,
        shard: record.shard,
        revision: record.revision,
        count: record.count,
        running: record.running,
        failed: record.failed,
        cancelled: record.cancelled,
        total_ns: record.total_ns,
        min_ns: record.range_ns.map(|(min, _)| min),
        max_ns: record.range_ns.map(|(_, max)| max),
        histogram: record.histogram,
        errors: record.errors.into_iter().map(folded_error).collect(),
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    }))
}

fn folded_error(error: FoldedError) -> wire::FoldError {
    let FoldedError { text, count, first_us, last_us } = error;
    wire::FoldError { text, count, first_us, last_us }
}

fn updated(record: Updated) -> Option<Event> {
    Some(Event::ProcessUpdated(wire::ProcessUpdated {
        root_id: RootId::new(record.root)?,
        id: ProcessId::new(record.id)?,
        time_us: record.time_us,
        parent_id: None,
        name: record.name,
        batch: None,
        fields: fields(record.fields),
        attempt: 1,
        worker: None,
        native_id: None,
        links: record.links.into_iter().filter_map(link).collect(),
    }))
}

fn logged(record: Logged) -> Option<Event> {
    Some(Event::ProcessLogged(wire::ProcessLogged {
        root_id: RootId::new(record.root)?,
        id: ProcessId::new(record.id)?,
        time_us: record.time_us,
        level: record.level.as_str().to_owned(),
        message: record.message,
        target: record.target.map(Cow::into_owned),
        stream: record.stream.map(str::to_owned),
        fields: fields(record.fields),
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    }))
}

fn progressed(record: &Progressed) -> Option<Event> {
    Some(Event::ProcessProgressed(wire::ProcessProgressed {
        root_id: RootId::new(record.root)?,
        id: ProcessId::new(record.id)?,
        time_us: record.time_us,
        done: record.done,
        total: record.total,
        unit: None,
        attempt: 1,
        worker: None,
        native_id: None,
        links: Vec::new(),
    }))
}

fn ended(record: Ended) -> Option<Event> {
    if record.extra.as_ref().is_some_and(|extra| extra.task.is_some()) {
        return task::ended(record);
    }
    let record::EndExtra { mut exit_code, signal, reason, attempt, retry, task: _ } = record.extra.map(|extra| *extra).unwrap_or_default();
    let (outcome, error) = match record.outcome {
        Outcome::Succeeded => (wire::Outcome::SUCCEEDED, None),
        Outcome::Cancelled => (wire::Outcome::CANCELLED, None),
        Outcome::Failed(failure) => {
            exit_code = exit_code.or(failure.exit_code);
            (wire::Outcome::FAILED, Some(error(*failure)))
        }
    };
    Some(Event::ProcessEnded(wire::ProcessEnded {
        elapsed_ns: record.elapsed_ns,
        error,
        exit_code,
        signal,
        reason: reason.map(Cow::into_owned),
        attempt: attempt.max(1),
        retry: retry.map(|Retry { next, of }| wire::Retry { next_us: unix_us(next), of: Some(of) }),
        ..wire::ProcessEnded::new(RootId::new(record.root)?, ProcessId::new(record.id)?, record.time_us, outcome)
    }))
}

fn unix_us(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_micros()).ok().filter(|time| *time <= wire::MAX_TIME_US)
}

fn source(file: &str, line: u32) -> wire::Source {
    wire::Source { file: file.to_owned(), line }
}

fn fields(own: Fields) -> wire::Fields {
    own.into_iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Bool(value) => value.into(),
                Value::Signed(value) => value.into(),
                Value::Unsigned(value) => value.into(),
                // JSON has no NaN and no infinity.
                Value::Float(value) => serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Into::into),
                Value::Text(value) => value.into(),
            };
            (key.into_owned(), value)
        })
        .collect()
}
