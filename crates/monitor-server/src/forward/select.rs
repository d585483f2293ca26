//! What of the log of events goes on: processes that have ended, each as one span.

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

/// About so many events that may make a span are taken from the log at once.
const MOST: usize = 500;
/// And so many transactions are looked at, so that a server that is to stop doesn't wait for long.
const MOST_PIECES: usize = 500;
/// So many spans are remembered as sent, so that what is told twice goes once.
const REMEMBERED: usize = 1 << 16;
/// So many folds wait for the ends of their parents; beyond that all of them are forgotten but for what is told of them later.
const MOST_WAITING: usize = 1 << 16;

type Key = (RootId, ProcessId);
/// By what a span would be another one if it were sent again: state, attempt, end, and calls that were counted.
type Version = (String, u32, Option<u64>, Option<u64>);

/// Reads the log of events.
pub(super) struct Selector {
    filter: OtlpFilter,
    sent: HashSet<(Key, Version)>,
    sent_order: VecDeque<(Key, Version)>,
    /// Folds by the process that their calls were made in, until that has ended.
    waiting: HashMap<Key, Vec<ProcessId>>,
    /// Whether senders are receivers of OTLP.
    receivers: HashMap<WorkerId, bool>,
}

/// An event that may make a span.
struct Told {
    of: Key,
    what: What,
}

enum What {
    /// An attempt ended, at this time.
    Ended { attempt: u32, time_us: u64 },
    /// Its worker has gone.
    Left,
    /// More calls were counted.
    Folded,
}

/// A process to be sent, with the start and end of its span.
struct Chosen {
    process: Process,
    root: Root,
    times: Option<(u64, u64)>,
}

impl Selector {
    pub(super) fn new(filter: OtlpFilter) -> Self {
        Self { filter, sent: HashSet::new(), sent_order: VecDeque::new(), waiting: HashMap::new(), receivers: HashMap::new() }
    }

    /// The spans of what ended after event number `after`.
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
            // A worker that leaves in the transaction in which a process of it began is not told again for that process.
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

    /// Whoever is sent what came by OTLP might send it back.
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

    /// Of what was told, the processes that have ended and were not sent, and folds whose parents have.
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

    /// Chooses a process, if it is over, and the folds that waited for it.
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

    /// Chooses a fold if the process that its calls were made in is over, or lets it wait for that.
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

    /// Takes what was not sent as it is.
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

    /// The spans of those that the filter admits, with their workers and the lines of their logs.
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

/// When its span begins and ends, in Unix nanoseconds. What was lost ends when its worker was last heard of.
fn times_of(store: &dyn Queries, process: &Process) -> Result<Option<(u64, u64)>, StoreError> {
    let worker = match process.worker_id.filter(|_| process.ended_us.is_none()) {
        Some(id) => store.models(&[Subject { worker_id: Some(id), ..Subject::default() }])?.0.pop().and_then(|models| models.worker),
        None => None,
    };
    Ok(monitor_otlp::times(process, worker.map(|worker| worker.last_seen_us)))
}

/// Adds the lines of a process's log as events: the first ones, and a count of the others.
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
