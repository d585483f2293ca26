//! Generated events: few ids, times and names, so that they meet in every way.

use std::collections::BTreeMap;

use monitor_wire::{
    Attachment, Batch, Error, ErrorKind, Event, Fields, FoldError, Kind, Link, Outcome, ProcessEnded, ProcessFolded, ProcessId,
    ProcessLogged, ProcessProgressed, ProcessQueued, ProcessStarted, ProcessUpdated, Retry, Source, TaskFailed, TaskReceived, TaskRejected,
    TaskRetried, TaskRevoked, TaskSent, TaskStarted, TaskSucceeded, UnknownEvent, Unplaced, WorkerChanged, WorkerHeartbeat, WorkerOffline,
    WorkerOnline, WorkerRef, WorkerRole,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{batch, process, root, worker, worker_ref};

const WORKERS: [char; 3] = ['A', 'B', 'C'];
const NAMES: [&str; 5] = ["load", "", "'; DROP TABLE process; --", "<script>\0\"%_\\", "一个测试根任务"];

fn name() -> impl Strategy<Value = String> {
    select(NAMES.as_slice()).prop_map(str::to_owned)
}

fn id() -> impl Strategy<Value = ProcessId> {
    select([1, 1, 2, 3, 105, 106].as_slice()).prop_map(process)
}

fn kind() -> impl Strategy<Value = Kind> {
    select(["root", "normal", "task", "unheard-of"].as_slice()).prop_map(Kind::from)
}

fn fields() -> impl Strategy<Value = Fields> {
    btree_map(select(["x", "y\0"].as_slice()).prop_map(str::to_owned), (0..3).prop_map(|value| serde_json::json!({ "v": value })), 0..3)
}

fn error() -> impl Strategy<Value = Option<Error>> {
    let source = option::of((name(), 0..9_u32)).prop_map(|source| source.map(|(file, line)| Source { file, line }));
    let told = (option::of(-1..2_i32), option::of(name()));
    let error = (name(), vec(name(), 0..2), source, told).prop_map(|(message, chain, source, (code, tail))| Error {
        kind: ErrorKind::from("odd"),
        type_name: None,
        message,
        chain,
        source,
        code,
        tail,
    });
    option::of(error)
}

/// Fields that all events about processes have, mostly with their default values.
type Common = (u8, ProcessId, u64, u32, Option<WorkerRef>, Option<String>, Vec<Link>);

fn common() -> impl Strategy<Value = Common> {
    let attempt = prop_oneof![5 => Just(1_u32), 1 => Just(2), 1 => Just(3)];
    let relayed = prop_oneof![6 => Just(None), 1 => select(WORKERS.as_slice()).prop_map(|letter| Some(worker_ref(letter)))];
    let native = prop_oneof![6 => Just(None), 1 => name().prop_map(Some)];
    let link = (1..3_u8, id(), name()).prop_map(|(tree, id, relation)| Link { root_id: root(tree), id, relation });
    (
        prop_oneof![4 => Just(1), 1 => Just(2)],
        id(),
        1..12_u64,
        attempt,
        relayed,
        native,
        prop_oneof![6 => Just(Vec::new()), 1 => vec(link, 1..3)],
    )
}

macro_rules! with_common {
    ($common:expr, $name:ident { $($field:ident $(: $value:block)?),* $(,)? }) => {{
        let (tree, id, time_us, attempt, worker, native_id, links) = $common;
        Event::$name($name { root_id: root(tree), id, time_us, attempt, worker, native_id, links, $($field $(: $value)?),* })
    }};
}

/// Processes of another system, whose ids follow from `q` and their native ids.
const NAMED: [(u64, &str); 2] = [(0x208f_e506_3c6a_9d7d, "n-1"), (0xa3d6_7807_1ab3_3cf4, "n-2")];

/// Generates an event about a process of another system, with or without its tree. Each of these processes is in one tree, and its events
/// contain its native id.
fn named_event() -> impl Strategy<Value = Event> {
    (event(), select(&[0, 1][..]), 0..4_u8).prop_filter_map("an event about a process", |(event, which, how)| {
        let (id, native_id) = NAMED[which];
        let mut event = serde_json::to_value(event).expect("plain data");
        let fields = event.as_object_mut()?;
        let event_type = fields["type"].as_str()?.to_owned();
        if !Unplaced::TYPES.contains(&&*event_type) {
            return None;
        }
        fields.insert("native_id".to_owned(), native_id.into());
        fields.insert("id".to_owned(), format!("{id:016x}").into());
        fields.insert("root_id".to_owned(), root(1 + which as u8).to_string().into());
        if how > 0 {
            fields.remove("root_id");
            fields.insert("native_source".to_owned(), "q".into());
        }
        Some(serde_json::from_value(event).expect("an event"))
    })
}

/// Like [`history`], but some of the events don't name their tree.
pub fn unplaced_history() -> impl Strategy<Value = BTreeMap<char, Vec<Event>>> {
    let some = prop_oneof![2 => event().boxed(), 3 => named_event().boxed()];
    btree_map(select(WORKERS.as_slice()), vec(some, 0..14), 1..4)
}

/// Its parts are boxed, or a test's stack is too small for all of them.
pub fn event() -> impl Strategy<Value = Event> {
    let parent = || prop_oneof![1 => Just(None), 3 => id().prop_map(Some)];
    let batch_mark = || prop_oneof![3 => Just(None), 1 => name().prop_map(Some)];
    let started = (common(), parent(), kind(), name(), batch_mark(), option::of(name()), option::of(0..9_u32), fields(), any::<bool>())
        .prop_map(|(common, parent_id, kind, name, batch, thread, line, fields, is_plain)| {
            let source = line.map(|line| Source { file: "src/main.rs".to_owned(), line });
            let fields = if is_plain { Fields::new() } else { fields };
            let attachment = if is_plain { Attachment::EXPLICIT } else { Attachment::INFERRED };
            let timeout_ms = (!is_plain).then_some(5);
            let attempts_of = line.filter(|line| !is_plain && *line > 1);
            with_common!(
                common,
                ProcessStarted { parent_id, kind, name, batch, thread, source, attachment, fields, timeout_ms, attempts_of }
            )
        });
    let retry = (option::of(1..12_u64), option::of(1..5_u32)).prop_map(|(next_us, of)| Retry { next_us, of });
    let retry = option::weighted(0.3, retry);
    let outcome = select(["succeeded", "failed", "failed", "cancelled", "evaporated"].as_slice()).prop_map(Outcome::from);
    let ended = (common(), option::of(0..9_u64), outcome, error(), option::weighted(0.1, 0..3_i32), option::weighted(0.1, name()), retry)
        .prop_map(|(common, elapsed_ns, outcome, error, exit_code, reason, retry)| {
            let signal = exit_code;
            with_common!(common, ProcessEnded { elapsed_ns, outcome, error, exit_code, signal, reason, retry })
        });
    let queued = (common(), parent(), kind(), name(), batch_mark(), fields()).prop_map(|(common, parent_id, kind, name, batch, fields)| {
        with_common!(common, ProcessQueued { parent_id, kind, name, batch, fields })
    });
    let updated = (common(), option::of(id()), option::of(name()), batch_mark(), fields())
        .prop_map(|(common, parent_id, name, batch, fields)| with_common!(common, ProcessUpdated { parent_id, name, batch, fields }));
    let progressed = (common(), 0..9_u8, option::of(name())).prop_map(|(common, done, unit)| {
        let (done, total) = (f64::from(done) / 2.0, None);
        with_common!(common, ProcessProgressed { done, total, unit })
    });
    let logged = (common(), name()).prop_map(|(common, message)| {
        let (level, target, stream, fields) = ("info".to_owned(), None, None, Fields::new());
        with_common!(common, ProcessLogged { level, message, target, stream, fields })
    });
    let folded = (common(), parent(), name(), 0..2_u64, 0..4_u64, option::of(0..9_u64)).prop_map(
        |(common, parent_id, name, shard, revision, min_ns)| {
            // Counts only ever grow.
            let (count, running, failed, cancelled) = (4 * revision, revision % 2, revision, revision);
            let (kind, total_ns, max_ns) = (Kind::NORMAL, count * 7, min_ns);
            let histogram = vec![(9, revision), (20 + shard as u32, count - running - revision)];
            let error =
                |text: &str| FoldError { text: text.to_owned(), count: 1 + shard, first_us: 1 + shard, last_us: 1 + shard + revision };
            let errors = ["no such unit", if shard == 0 { "expected …" } else { "unknown '…'" }];
            let errors = errors.iter().take(revision as usize).map(|text| error(text)).collect();
            with_common!(
                common,
                ProcessFolded {
                    parent_id,
                    kind,
                    name,
                    shard,
                    revision,
                    count,
                    running,
                    failed,
                    cancelled,
                    total_ns,
                    min_ns,
                    max_ns,
                    histogram,
                    errors
                }
            )
        },
    );
    prop_oneof![
        8 => started.boxed(), 5 => ended.boxed(), 1 => queued.boxed(), 2 => updated.boxed(), 1 => progressed.boxed(), 1 => logged.boxed(),
        2 => folded.boxed(), 2 => worker_event().boxed(), 6 => task_event().boxed(),
    ]
}

/// An event of a queue.
fn task_event() -> impl Strategy<Value = Event> {
    let value = || option::of(0..3_u8).prop_map(|value| value.map(|value| serde_json::json!([value])));
    let parent = || prop_oneof![1 => Just(None), 1 => id().prop_map(Some)];
    let times = || (option::of(1..12_u64), option::of(1..12_u64));
    let names = || (name(), option::of(name()));
    let message = (parent(), names(), value(), value(), option::weighted(0.2, 0..2_u32), times(), option::of(name()), option::of(name()));
    let message = (common(), message, any::<bool>()).prop_map(|(common, message, is_sent)| {
        let (parent_id, (name, batch), args, kwargs, retries, (eta_us, expires_us), queue, exchange) = message;
        let routing_key = exchange.clone();
        if is_sent {
            with_common!(
                common,
                TaskSent { parent_id, name, batch, args, kwargs, retries, eta_us, expires_us, queue, exchange, routing_key }
            )
        } else {
            with_common!(
                common,
                TaskReceived { parent_id, name, batch, args, kwargs, retries, eta_us, expires_us, queue, exchange, routing_key }
            )
        }
    });
    let rest = (common(), 0..7_u8, option::of(0..3_u32), option::of(name()), any::<bool>(), value());
    let rest = rest.prop_map(|(common, which, number, text, flag, result)| {
        let eta_us = number.map(u64::from);
        match which {
            0 | 1 => with_common!(common, TaskStarted { pid: { number } }),
            2 => with_common!(common, TaskSucceeded { result: { result }, runtime_ns: { eta_us } }),
            3 => with_common!(common, TaskFailed { exception: { text.clone().unwrap_or_default() }, traceback: { text } }),
            4 => with_common!(common, TaskRejected { requeued: { flag || number.is_some() } }),
            5 => {
                let signum = number.map(|number| number as i32);
                with_common!(common, TaskRevoked { terminated: { flag }, signum: { signum }, expired: { number == Some(1) } })
            }
            _ => with_common!(common, TaskRetried { exception: { text.clone() }, traceback: { text }, eta_us: { eta_us } }),
        }
    });
    prop_oneof![2 => message.boxed(), 5 => rest.boxed()]
}

fn worker_event() -> impl Strategy<Value = Event> {
    let relayed = option::weighted(0.2, select(WORKERS.as_slice()).prop_map(worker_ref));
    (0..6_u8, 1..12_u64, relayed, select(WORKERS.as_slice())).prop_map(|(which, time_us, relayed, about)| {
        let changed = WorkerChanged { time_us, worker_id: worker(about) };
        match which {
            0 => Event::WorkerOnline(WorkerOnline {
                time_us,
                started_us: time_us,
                version: "1".to_owned(),
                heartbeat_interval_ms: time_us % 3,
                registered: Vec::new(),
                role: WorkerRole::PROGRAM,
                capabilities: Vec::new(),
                worker: relayed,
            }),
            1 => Event::WorkerHeartbeat(WorkerHeartbeat { time_us, worker: relayed, active: Some(time_us), ..WorkerHeartbeat::default() }),
            2 => Event::WorkerOffline(WorkerOffline { time_us, worker: relayed }),
            3 => Event::WorkerLost(changed),
            4 => Event::WorkerFound(changed),
            _ => {
                let fields = [("type".to_owned(), "moon-phase".into()), ("time_us".to_owned(), time_us.into())].into();
                Event::Unknown(UnknownEvent { event_type: "moon-phase".to_owned(), fields })
            }
        }
    })
}

/// Generates the events of each worker, in the worker's own order.
pub fn history() -> impl Strategy<Value = BTreeMap<char, Vec<Event>>> {
    btree_map(select(WORKERS.as_slice()), vec(event(), 0..14), 1..4)
}

/// Generates an order of arrival for a history: cut into batches, some events more than once, in any order.
pub fn delivery(history: &BTreeMap<char, Vec<Event>>) -> BoxedStrategy<Vec<Batch>> {
    let mut parts = Just(Vec::new()).boxed();
    for (letter, events) in history.clone() {
        let cuts = (vec(any::<Index>(), 0..3), vec((any::<Index>(), any::<Index>()), 0..3));
        parts = (parts, cuts)
            .prop_map(move |(mut batches, (cuts, repeats))| {
                let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(events.len() + 1)).chain([0, events.len()]).collect();
                cuts.sort_unstable();
                let repeats = repeats.iter().map(|(a, b)| (a.index(events.len() + 1), b.index(events.len() + 1)));
                let ranges = cuts.windows(2).map(|cut| (cut[0], cut[1])).chain(repeats.map(|(a, b)| (a.min(b), a.max(b))));
                batches.extend(ranges.map(|(from, to)| batch(letter, from as u64 + 1, events[from..to].to_vec())));
                batches
            })
            .boxed();
    }
    parts.prop_shuffle().boxed()
}
