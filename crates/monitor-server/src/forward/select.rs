//! Selects the processes in the log of events to forward: processes that have ended, each as one span.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use monitor_otlp::proto::{Resource, Span};
use monitor_otlp::{MOST_LINES, Part, has_counted_all, is_over};
use monitor_state::ProcessEvent;
use monitor_store::{LogsQuery, Models, Queries, RootKey, StoreError, Subject};
use monitor_wire::{Event, Process, ProcessId, Root, RootId, Worker, WorkerId};

use super::OtlpFilter;
use super::batch::Batch;
use crate::export::resource;
use crate::otlp::Receiver;

/// Approximate number of events read per batch that may lead to a span.
const MOST: usize = 500;
/// Maximum number of transactions read per batch, so that stopping the server does not have to wait long.
const MOST_PIECES: usize = 500;
/// Number of sent spans that are remembered. A process whose end is reported twice is sent once.
const REMEMBERED: usize = 1 << 16;
/// Maximum number of folds that wait for the ends of their parents. Beyond it all of them are forgotten, and a fold is sent only if it is
/// reported again later.
const MOST_WAITING: usize = 1 << 16;

type Key = (RootId, ProcessId);
/// Properties that make a span differ from one already sent: state, attempt, end, and number of counted calls.
type Version = (String, u32, Option<u64>, Option<u64>);

/// Reader of the log of events.
pub(super) struct Selector {
    filter: OtlpFilter,
    sent: HashSet<(Key, Version)>,
    sent_order: VecDeque<(Key, Version)>,
    /// Folds by the process that made their calls, until that process has ended.
    waiting: HashMap<Key, Vec<ProcessId>>,
    /// Known workers, with true for OTLP receivers.
    receivers: HashMap<WorkerId, bool>,
}

/// Event that may lead to a span.
struct Told {
    of: Key,
    what: What,
}

enum What {
    /// An attempt ended at this time.
    Ended { attempt: u32, time_us: u64 },
    /// The worker of the process is gone.
    Left,
    /// More calls of a fold were counted.
    Folded,
}

/// Process to send, with the start and end of its span.
struct Chosen {
    process: Process,
    root: Root,
    times: Option<(u64, u64)>,
}

impl Selector {
    pub(super) fn new(filter: OtlpFilter) -> Self {
        Self { filter, sent: HashSet::new(), sent_order: VecDeque::new(), waiting: HashMap::new(), receivers: HashMap::new() }
    }

    /// Returns the spans of processes that ended after event number `after`.
    pub(super) fn read(&mut self, store: &dyn Queries, after: u64) -> Result<Batch, StoreError> {
        let (mut told, mut next, mut is_more) = (Vec::new(), after, true);
        for _ in 0..MOST_PIECES {
            if told.len() == MOST {
                break;
            }
            let Some(piece) = store.logged(next)? else {
                is_more = false;
                break;
            };
            // If a worker leaves in the same transaction as the start of a process of it, no later event reports that this process was
            // lost.
            let has_left = (0..piece.count()).any(|place| matches!(piece.type_name(place), "worker-offline" | "worker-lost"));
            for place in (next + 1 - piece.first_seq()) as usize..piece.count() {
                next = piece.first_seq() + place as u64;
                let what = match piece.type_name(place) {
                    "process-ended" => match piece.event(place) {
                        Event::ProcessEnded(ended) => What::Ended { attempt: ended.attempt, time_us: ended.time_us },
                        _ => continue,
                    },
                    "task-succeeded" | "task-failed" | "task-rejected" | "task-revoked" => match ProcessEvent::of(&piece.event(place)) {
                        Some(about) => What::Ended { attempt: about.attempt, time_us: about.time_us },
                        None => continue,
                    },
                    "process-folded" => What::Folded,
                    "worker-offline" | "worker-lost" => What::Left,
                    "process-started" if has_left => What::Left,
                    _ => continue,
                };
                let Subject { root_id: Some(root), process_id: Some(id), .. } = piece.about(place) else { continue };
                if let Some(sender) = piece.sender(place)
                    && self.is_receiver(store, sender)?
                {
                    continue;
                }
                told.push(Told { of: (root, id), what });
                if told.len() == MOST {
                    break;
                }
            }
        }
        let chosen = self.choose(store, told)?;
        Ok(Batch { parts: Part::of(self.spans(store, chosen)?), next, is_more })
    }

    /// True if the sender is an OTLP receiver. Spans that were received by OTLP are not forwarded, because the receiver could send them
    /// back in a loop.
    fn is_receiver(&mut self, store: &dyn Queries, sender: WorkerId) -> Result<bool, StoreError> {
        if self.receivers.len() > REMEMBERED {
            self.receivers.clear();
        }
        Ok(match self.receivers.entry(sender) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let (models, _) = store.models(&[Subject { worker_id: Some(sender), ..Subject::default() }])?;
                let is_receiver = |worker: &Worker| worker.program == Receiver::PROGRAM;
                *unknown.insert(models.first().and_then(|models| models.worker.as_ref()).is_some_and(is_receiver))
            }
        })
    }

    /// Selects the processes that have ended and were not sent, and the folds whose parents have ended.
    fn choose(&mut self, store: &dyn Queries, told: Vec<Told>) -> Result<Vec<Chosen>, StoreError> {
        let subjects: Vec<_> = told.iter().map(|told| subject(told.of)).collect();
        let (models, _) = store.models(&subjects)?;
        let mut chosen = Vec::new();
        for (told, models) in told.into_iter().zip(models) {
            let Models { root: Some(root), process: Some(process), .. } = models else { continue };
            match told.what {
                What::Folded => self.choose_fold(store, root, process, &mut chosen)?,
                What::Ended { attempt, time_us } if (attempt, Some(time_us)) != (process.attempt, process.ended_us) => {}
                What::Ended { .. } | What::Left => self.choose_ended(store, root, process, &mut chosen)?,
            }
        }
        Ok(chosen)
    }

    /// Selects a process if it has ended, and the folds that waited for it.
    fn choose_ended(&mut self, store: &dyn Queries, root: Root, process: Process, chosen: &mut Vec<Chosen>) -> Result<(), StoreError> {
        if process.fold.is_some() || !is_over(&process) {
            return Ok(());
        }
        let times = times_of(store, &process)?;
        for id in self.waiting.remove(&(process.root_id, process.id)).unwrap_or_default() {
            let (mut models, _) = store.models(&[subject((process.root_id, id))])?;
            if let Some(fold) = models.pop().and_then(|models| models.process).filter(has_counted_all) {
                self.add(Chosen { process: fold, root: root.clone(), times }, chosen);
            }
        }
        self.add(Chosen { process, root, times }, chosen);
        Ok(())
    }

    /// Selects a fold if the process that made its calls has ended. Otherwise the fold waits for the end.
    fn choose_fold(&mut self, store: &dyn Queries, root: Root, fold: Process, chosen: &mut Vec<Chosen>) -> Result<(), StoreError> {
        let mut above = fold.parent_id;
        let (mut seen, mut parent) = (HashSet::new(), None);
        while let Some(id) = above.filter(|id| seen.insert(*id)) {
            let (mut models, _) = store.models(&[subject((fold.root_id, id))])?;
            parent = models.pop().and_then(|models| models.process);
            above = parent.as_ref().filter(|process| process.fold.is_some()).and_then(|process| process.parent_id);
        }
        let Some(parent) = parent.filter(|process| process.fold.is_none()) else { return Ok(()) };
        if !is_over(&parent) {
            if self.waiting.len() >= MOST_WAITING {
                self.waiting.clear();
            }
            let waiting = self.waiting.entry((fold.root_id, parent.id)).or_default();
            if !waiting.contains(&fold.id) {
                waiting.push(fold.id);
            }
        } else if has_counted_all(&fold) {
            let times = times_of(store, &parent)?;
            self.add(Chosen { process: fold, root, times }, chosen);
        }
        Ok(())
    }

    /// Adds a process unless the same version of it was sent.
    fn add(&mut self, new: Chosen, chosen: &mut Vec<Chosen>) {
        let Process { state, attempt, ended_us, fold, .. } = &new.process;
        let version = (state.to_string(), *attempt, *ended_us, fold.as_ref().map(|fold| fold.count));
        let key = ((new.process.root_id, new.process.id), version);
        if self.sent.insert(key.clone()) {
            self.sent_order.push_back(key);
            if self.sent_order.len() > REMEMBERED
                && let Some(oldest) = self.sent_order.pop_front()
            {
                self.sent.remove(&oldest);
            }
            chosen.push(new);
        }
    }

    /// Creates the spans of the processes that the filter admits, with their workers and log lines.
    fn spans(&self, store: &dyn Queries, chosen: Vec<Chosen>) -> Result<Vec<(Arc<Resource>, Span)>, StoreError> {
        let mut workers = HashMap::<Option<WorkerId>, (Option<Worker>, Arc<Resource>)>::new();
        let mut spans = Vec::new();
        for Chosen { process, root, times } in chosen {
            let Some(times) = times else { continue };
            let (worker, resource) = match workers.entry(process.worker_id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let (mut models, _) = store.models(&[Subject { worker_id: process.worker_id, ..Subject::default() }])?;
                    let worker = models.pop().and_then(|models| models.worker);
                    let resource = worker.as_ref().map(resource).unwrap_or_default();
                    unknown.insert((worker, Arc::new(resource)))
                }
            };
            if self.filter.admits(&process, &root, worker.as_ref()) {
                let mut span = monitor_otlp::span(&process, times);
                add_lines(store, &process, &mut span)?;
                spans.push((resource.clone(), span));
            }
        }
        Ok(spans)
    }
}

fn subject((root_id, process_id): Key) -> Subject {
    Subject { root_id: Some(root_id), process_id: Some(process_id), worker_id: None }
}

/// Returns the begin and end of the span, in Unix nanoseconds. A lost process ends when its worker was last seen.
fn times_of(store: &dyn Queries, process: &Process) -> Result<Option<(u64, u64)>, StoreError> {
    let worker = match process.worker_id.filter(|_| process.ended_us.is_none()) {
        Some(id) => store.models(&[Subject { worker_id: Some(id), ..Subject::default() }])?.0.pop().and_then(|models| models.worker),
        None => None,
    };
    Ok(monitor_otlp::times(process, worker.map(|worker| worker.last_seen_us)))
}

/// Adds the first lines of a process's log as span events, and the number of the others.
fn add_lines(store: &dyn Queries, process: &Process, span: &mut Span) -> Result<(), StoreError> {
    let mut query = LogsQuery { process: Some(process.id), limit: MOST_LINES, ..LogsQuery::default() };
    let (mut left_out, mut events) = (0_u64, Vec::new());
    while let Some(page) = store.logs(RootKey::Id(process.root_id), &query)? {
        let taken = page.logs.len().min(MOST_LINES - events.len());
        events.extend(page.logs[..taken].iter().map(monitor_otlp::event));
        left_out += (page.logs.len() - taken) as u64;
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            left_out += page.missing;
            break;
        }
    }
    events.append(&mut span.events);
    (span.events, span.dropped_events_count) = (events, u32::try_from(left_out).unwrap_or(u32::MAX));
    Ok(())
}
