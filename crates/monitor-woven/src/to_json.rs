//! Converts the records of woven functions to the JSON of wire events. Written by hand, because serde would be compiled into every woven
//! program.

use std::fmt::Write;

use monitor_core::keep::Queued;
use monitor_core::record::{Attachment, Ended, Failure, Folded, FoldedError, Origin, Outcome, Record, Started};
use monitor_spool::Folds;
use monitor_spool::json::{List, Text};

/// Returns the event of a record. `None` for records that attributes don't produce.
pub(crate) fn event(record: &Record, folds: &mut Folds) -> Option<String> {
    match record {
        Record::Started(record) => Some(started(record, folds)),
        Record::Ended(record) => Some(ended(record)),
        Record::Folded(record) => folded(record, folds),
        Record::Updated(_) | Record::Logged(_) | Record::Progressed(_) | Record::Task(_) => None,
    }
}

/// Serializes a queued item for the spool. Empty if it has no JSON form.
pub(crate) fn queued(queued: Queued<'_>) -> Vec<u8> {
    let json = match queued {
        Queued::Record(record) => event(record, &mut Folds::default()),
        Queued::Failure(failure) => Some(error(failure)),
    };
    json.unwrap_or_default().into_bytes()
}

/// Creates the first event of a worker.
pub(crate) fn online(time_us: u64, version: &str, heartbeat_ms: u64) -> String {
    let version = Text(version);
    format!(
        r#"{{"type":"worker-online","time_us":{time_us},"started_us":{time_us},"version":{version},"heartbeat_interval_ms":{heartbeat_ms}}}"#
    )
}

/// Creates a heartbeat or a goodbye.
pub(crate) fn worker(event_type: &str, time_us: u64) -> String {
    format!(r#"{{"type":"{event_type}","time_us":{time_us}}}"#)
}

fn head(json: &mut String, event_type: &str, root: u128, id: u64, time_us: u64) {
    let _ = write!(json, r#"{{"type":"{event_type}","root_id":"{root:032x}","id":"{id:016x}","time_us":{time_us}"#);
}

fn parent(json: &mut String, parent: u64, folds: &Folds) {
    if let Some(parent) = folds.parent(parent) {
        let _ = write!(json, r#","parent_id":"{parent}""#);
    }
}

fn started(record: &Started, folds: &Folds) -> String {
    let Started { root, id, parent: of, origin, time_us, thread, attachment, extra } = record;
    let mut json = String::with_capacity(320);
    head(&mut json, "process-started", *root, *id, *time_us);
    parent(&mut json, *of, folds);
    kind_and_name(&mut json, origin);
    let _ = write!(json, r#","thread":{}"#, Text(thread));
    if let Origin::Site(site) = origin {
        let _ = write!(json, r#","source":{}"#, source(site.file, site.line));
    }
    match attachment {
        Attachment::Explicit => {}
        Attachment::Inferred => json.push_str(r#","attachment":"inferred""#),
        Attachment::Unattached => json.push_str(r#","attachment":"unattached""#),
    }
    if let Some(batch) = extra.as_ref().and_then(|extra| extra.batch.as_ref()) {
        let _ = write!(json, r#","batch":{}"#, Text(batch));
    }
    json.push('}');
    json
}

fn kind_and_name(json: &mut String, origin: &Origin) {
    let kind = match origin {
        Origin::Site(site) => site.kind,
        Origin::Named(named) => &named.kind,
    };
    let _ = write!(json, r#","kind":{},"name":{}"#, Text(kind), Text(origin.name()));
}

fn folded(record: &Folded, folds: &mut Folds) -> Option<String> {
    let id = folds.id(record)?;
    let Folded { root, parent: of, shard, origin, time_us, revision, count, running, failed, cancelled, total_ns, .. } = record;
    let mut json = String::with_capacity(512);
    head(&mut json, "process-folded", *root, id.get(), *time_us);
    parent(&mut json, *of, folds);
    kind_and_name(&mut json, origin);
    let _ = write!(json, r#","shard":{shard},"revision":{revision},"count":{count},"running":{running},"failed":{failed}"#);
    let _ = write!(json, r#","cancelled":{cancelled},"total_ns":{total_ns}"#);
    if let Some((min, max)) = record.range_ns {
        let _ = write!(json, r#","min_ns":{min},"max_ns":{max}"#);
    }
    let buckets = List(record.histogram.iter().map(|(bucket, count)| format!("[{bucket},{count}]")));
    let _ = write!(json, r#","histogram":[{buckets}]"#);
    if !record.errors.is_empty() {
        let errors = List(record.errors.iter().map(|FoldedError { text, count, first_us, last_us }| {
            format!(r#"{{"text":{},"count":{count},"first_us":{first_us},"last_us":{last_us}}}"#, Text(text))
        }));
        let _ = write!(json, r#","errors":[{errors}]"#);
    }
    json.push('}');
    Some(json)
}

fn ended(record: &Ended) -> String {
    let Ended { root, id, time_us, elapsed_ns, outcome, extra } = record;
    let mut json = String::with_capacity(192);
    head(&mut json, "process-ended", *root, *id, *time_us);
    let word = match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed(_) => "failed",
    };
    if let Some(elapsed_ns) = elapsed_ns {
        let _ = write!(json, r#","elapsed_ns":{elapsed_ns}"#);
    }
    let _ = write!(json, r#","outcome":"{word}""#);
    let mut exit_code = extra.as_ref().and_then(|extra| extra.exit_code);
    if let Outcome::Failed(failure) = outcome {
        let _ = write!(json, r#","error":{}"#, error(failure));
        exit_code = exit_code.or(failure.exit_code);
    }
    if let Some(exit_code) = exit_code {
        let _ = write!(json, r#","exit_code":{exit_code}"#);
    }
    json.push('}');
    json
}

fn error(failure: &Failure) -> String {
    let mut json = format!(r#"{{"kind":{},"message":{}"#, Text(failure.kind), Text(&failure.message));
    if let Some(name) = &failure.type_name {
        let _ = write!(json, r#","type":{}"#, Text(name));
    }
    if !failure.chain.is_empty() {
        let _ = write!(json, r#","chain":[{}]"#, List(failure.chain.iter().map(|cause| Text(cause))));
    }
    if let Some((file, line)) = &failure.place {
        let _ = write!(json, r#","source":{}"#, source(file, *line));
    }
    json.push('}');
    json
}

fn source(file: &str, line: u32) -> String {
    format!(r#"{{"file":{},"line":{line}}}"#, Text(file))
}

#[cfg(test)]
#[allow(unused_qualifications, reason = "monitor-spool has ids of its own where it can't read")]
mod tests {
    use monitor_core::record::{Named, Site, StartExtra};
    use monitor_wire as wire;
    use monitor_wire::{Event, ProcessId, RootId};
    use proptest::prelude::*;

    use super::*;

    static SITE: Site = Site::new("a \"b\"\n", "normal", "src\\main.rs", 7);

    fn read(json: &str) -> Event {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
    }

    fn ids(root: u128, id: u64) -> (RootId, ProcessId) {
        (RootId::new(root).unwrap(), ProcessId::new(id).unwrap())
    }

    proptest! {
        #[test]
        fn a_written_start_is_read_back(root in 1_u128.., id in 1_u64.., parent: u64, text: String, batch: Option<String>, how in 0..3_usize) {
            let (attachment, word) = [
                (Attachment::Explicit, wire::Attachment::EXPLICIT),
                (Attachment::Inferred, wire::Attachment::INFERRED),
                (Attachment::Unattached, wire::Attachment::UNATTACHED),
            ][how].clone();
            let named = Named { name: text.clone(), kind: text.clone().into(), place: None };
            for (origin, source) in [
                (Origin::Site(&SITE), Some(wire::Source { file: SITE.file.to_owned(), line: 7 })),
                (Origin::Named(Box::new(named)), None),
            ] {
                let (name, kind) = match &origin {
                    Origin::Site(site) => (site.name, site.kind),
                    Origin::Named(named) => (&*named.name, &*named.kind),
                };
                let (root_id, process) = ids(root, id);
                let meant = wire::ProcessStarted {
                    parent_id: ProcessId::new(parent),
                    thread: Some(text.clone()),
                    source,
                    attachment: word.clone(),
                    batch: batch.clone(),
                    ..wire::ProcessStarted::new(root_id, process, 5, kind.into(), name.to_owned())
                };
                let extra = Some(Box::new(StartExtra { batch: batch.clone(), ..StartExtra::default() }));
                let thread = text.as_str().into();
                let started = Started { root, id, parent, origin, time_us: 5, thread, attachment, extra };
                let json = event(&Record::Started(started), &mut Folds::default()).unwrap();
                prop_assert_eq!(read(&json), Event::ProcessStarted(meant));
            }
        }

        #[test]
        fn a_written_end_is_read_back(root in 1_u128.., id in 1_u64.., text: String, chain: Vec<String>, line: Option<u32>) {
            let (root_id, process) = ids(root, id);
            let place = line.map(|line| (text.clone().into(), line));
            let failure = Failure { kind: "error", type_name: line.map(|_| "app::Error".into()), message: text.clone(), chain: chain.clone(), place, ..Failure::default() };
            let error = wire::Error {
                kind: "error".into(),
                type_name: line.map(|_| "app::Error".to_owned()),
                message: text.clone(),
                chain,
                source: line.map(|line| wire::Source { file: text.clone(), line }),
                code: None,
                tail: None,
            };
            for (outcome, word, error) in [
                (Outcome::Succeeded, wire::Outcome::SUCCEEDED, None),
                (Outcome::Cancelled, wire::Outcome::CANCELLED, None),
                (Outcome::Failed(Box::new(failure)), wire::Outcome::FAILED, Some(error)),
            ] {
                let ended = Ended { root, id, time_us: 5, elapsed_ns: Some(6), outcome, extra: None };
                let meant = wire::ProcessEnded { elapsed_ns: Some(6), error, ..wire::ProcessEnded::new(root_id, process, 5, word) };
                prop_assert_eq!(read(&event(&Record::Ended(ended), &mut Folds::default()).unwrap()), Event::ProcessEnded(meant));
            }
        }

        #[test]
        fn a_written_fold_is_read_back(root in 1_u128.., parent in 1_u64.., range_ns: Option<(u64, u64)>, histogram: Vec<(u32, u64)>, text: String) {
            let error = FoldedError { text: text.clone(), count: 2, first_us: 3, last_us: 4 };
            let folded = Folded {
                root, parent, mark: 3, shard: 4, origin: Origin::Site(&SITE), time_us: 5, revision: 6, count: 7, running: 8, failed: 9,
                cancelled: 10, total_ns: 11, range_ns, histogram: histogram.clone(), errors: vec![error], is_last: true,
            };
            let (root_id, parent_id) = ids(root, parent);
            let meant = wire::ProcessFolded {
                root_id,
                id: monitor_spool::wire::ProcessId::new(parent).map(|parent| monitor_spool::fold_id(parent, SITE.name).get()).and_then(ProcessId::new).unwrap(),
                time_us: 5,
                parent_id: Some(parent_id),
                kind: SITE.kind.into(),
                name: SITE.name.to_owned(),
                shard: 4, revision: 6, count: 7, running: 8, failed: 9, cancelled: 10, total_ns: 11,
                min_ns: range_ns.map(|(min, _)| min),
                max_ns: range_ns.map(|(_, max)| max),
                histogram,
                errors: vec![wire::FoldError { text, count: 2, first_us: 3, last_us: 4 }],
                attempt: 1,
                worker: None,
                native_id: None,
                links: Vec::new(),
            };
            prop_assert_eq!(read(&event(&Record::Folded(Box::new(folded)), &mut Folds::default()).unwrap()), Event::ProcessFolded(meant));
        }
    }

    #[test]
    fn written_worker_events_are_read_back() {
        assert_eq!(read(&worker("worker-heartbeat", 1)).type_name(), "worker-heartbeat");
        assert_eq!(read(&worker("worker-offline", 1)).type_name(), "worker-offline");
        let Event::WorkerOnline(online) = read(&online(7, "0.1", 10_000)) else { panic!("another event") };
        assert_eq!((online.time_us, &*online.version, online.heartbeat_interval_ms), (7, "0.1", 10_000));
    }
}
