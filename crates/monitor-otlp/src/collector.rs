//! Creates spans from a program's own events, for programs that send spans without a server. The server creates spans from its store.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use monitor_state::{ProcessEvent, ProcessFacts, WorkerStatus};
use monitor_wire::{Batch, Event, LogEntry, Process, ProcessId, ProcessLogged, RootId, WorkerId};
use prost::Message as _;

use crate::proto::{Resource, Span, SpanEvent};
use crate::span::{has_counted_all, times};
use crate::{MOST_LINES, event, is_over, resource, span};

/// Maximum number of open processes. Processes started beyond that get no span and are counted.
const MOST_OPEN: usize = 1 << 17;
/// Number of ended processes that are remembered, because calls below them may still be folded.
const MOST_ENDED: usize = 1 << 14;
/// Maximum size of the log lines of open processes, in bytes. Further lines are only counted in their spans.
const MOST_LINE_BYTES: usize = 16 << 20;

type Key = (RootId, ProcessId);
/// Start and end of a span, in Unix nanoseconds.
type Times = (u64, u64);

/// Folds the events of a program and creates a span for each ended process.
///
/// Batches must be passed in the order of their numbers, each as often as it is sent until it is settled. A repeated batch produces the
/// same spans. A batch with higher numbers implies that the previous batches are settled.
#[derive(Debug, Default)]
pub struct Collector {
    /// Number of the last applied event.
    applied: u64,
    open: HashMap<Key, Open>,
    /// Ended processes with the number of the event that ended them. They are removed once that event is settled.
    over: VecDeque<(u64, Key)>,
    ended: HashMap<Key, Ended>,
    /// Keys of the ended processes, oldest first.
    ended_order: VecDeque<Key>,
    line_bytes: usize,
    left_out: u64,
    /// Time of the program's goodbye.
    offline_us: Option<u64>,
    resource: Option<Arc<Resource>>,
}

/// A process or fold that may still change.
#[derive(Debug, Default)]
struct Open {
    facts: ProcessFacts,
    lines: Vec<SpanEvent>,
    line_bytes: usize,
    more_lines: u32,
    /// Folds of calls made by this process.
    folds: Vec<ProcessId>,
    /// Number of the event that last produced a span of this fold, and the number of calls in that span.
    sent: Option<(u64, u64)>,
}

/// A process with a settled span, kept for folds that are reported later.
#[derive(Debug)]
struct Ended {
    times: Option<Times>,
    folds: Vec<ProcessId>,
}

impl Collector {
    /// Returns the spans of processes that ended in a batch.
    pub fn collect(&mut self, batch: &Batch) -> Vec<(Arc<Resource>, Span)> {
        self.settle(batch.sequence);
        let numbered = || (batch.sequence..).zip(&batch.events);
        for (number, event) in numbered() {
            if number > self.applied {
                self.apply(number, batch.worker.id, event);
                self.applied = number;
            }
        }
        let resource = self.resource.get_or_insert_with(|| Arc::new(resource(&batch.worker))).clone();
        self.choose(batch).into_iter().map(|span| (resource.clone(), span)).collect()
    }

    /// Returns the number of processes without a span because too many were open at their start.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn apply(&mut self, number: u64, worker: WorkerId, event: &Event) {
        if let Event::WorkerOffline(offline) = event {
            self.offline_us = Some(offline.time_us);
        }
        let Some(about) = ProcessEvent::of(event) else { return };
        let key = (about.root_id, about.id);
        if self.ended.contains_key(&key) {
            return;
        }
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&key) {
            self.left_out += u64::from(matches!(event, Event::ProcessStarted(_)));
            return;
        }
        // Events sent on different ways may arrive before the start.
        let open = self.open.entry(key).or_default();
        open.facts.apply(number, worker, &about);
        match event {
            Event::ProcessLogged(line) => self.line_bytes += open.log(line, worker, number, MOST_LINE_BYTES - self.line_bytes),
            Event::ProcessEnded(_) => self.over.push_back((number, key)),
            Event::ProcessFolded(_) => self.hang(key),
            _ => {}
        }
    }

    /// Registers a fold with the process that made its calls.
    fn hang(&mut self, fold: Key) {
        let folds = match self.made_in(fold) {
            Some(Place::Open(key)) => self.open.get_mut(&key).map(|open| &mut open.folds),
            Some(Place::Ended(key)) => self.ended.get_mut(&key).map(|ended| &mut ended.folds),
            None => None,
        };
        if let Some(folds) = folds.filter(|folds| !folds.contains(&fold.1)) {
            folds.push(fold.1);
        }
    }

    /// Returns the process that made the calls of a fold: the nearest ancestor that is not a fold. `None` if it belongs to another program.
    fn made_in(&self, (root, fold): Key) -> Option<Place> {
        let (mut above, mut seen) = (fold, HashSet::new());
        while seen.insert(above) {
            let open = self.open.get(&(root, above))?;
            above = open.view((root, above), WorkerStatus::Online).parent_id?;
            if self.ended.contains_key(&(root, above)) {
                return Some(Place::Ended((root, above)));
            }
            if self.open.get(&(root, above))?.facts.shards.is_empty() {
                return Some(Place::Open((root, above)));
            }
        }
        None
    }

    /// Returns the spans of processes that these events ended, each once.
    fn choose(&mut self, batch: &Batch) -> Vec<Span> {
        let mut chosen = Chosen { settled: batch.sequence, seen: HashSet::new(), spans: Vec::new() };
        for (number, event) in (batch.sequence..).zip(&batch.events) {
            match event {
                Event::ProcessEnded(of) => self.add_ended(number, (of.root_id, of.id), &mut chosen),
                Event::ProcessFolded(of) => self.add_fold(number, (of.root_id, of.id), &mut chosen),
                // Processes still open at the goodbye end with the program.
                Event::WorkerOffline(_) => {
                    let mut keys: Vec<_> = self.open.keys().copied().collect();
                    keys.sort_unstable();
                    for key in keys {
                        self.add_ended(number, key, &mut chosen);
                        self.add_fold(number, key, &mut chosen);
                    }
                }
                _ => {}
            }
        }
        chosen.spans
    }

    fn add_ended(&mut self, number: u64, key: Key, chosen: &mut Chosen) {
        let Some(open) = self.open.get(&key).filter(|open| open.facts.is_defined() && open.facts.shards.is_empty()) else { return };
        let process = open.view(key, self.status());
        if is_over(&process) && chosen.seen.insert(key) {
            chosen.spans.extend(times(&process, self.offline_us).map(|times| open.span(&process, times)));
            for fold in open.folds.clone() {
                self.add_fold(number, (key.0, fold), chosen);
            }
        }
    }

    /// Adds the span of a fold, if none of its calls is running and the process that made them has ended. A fold is reported several times;
    /// it produces another span if its count has grown.
    fn add_fold(&mut self, number: u64, key: Key, chosen: &mut Chosen) {
        let Some(open) = self.open.get(&key).filter(|open| !open.facts.shards.is_empty()) else { return };
        let fold = open.view(key, self.status());
        let count = fold.fold.as_ref().map_or(0, |counts| counts.count);
        let is_sent = open.sent.is_some_and(|(at, counted)| at < chosen.settled && counted == count);
        let times = match self.made_in(key) {
            Some(Place::Ended(parent)) => self.ended[&parent].times,
            Some(Place::Open(parent)) => {
                let process = self.open[&parent].view(parent, self.status());
                times(&process, self.offline_us).filter(|_| is_over(&process))
            }
            // The fold ends with this program.
            None => self.offline_us.map(|end| (open.facts.at_us(), end)).map(|(start, end)| (start * 1_000, end.max(start) * 1_000)),
        };
        if let Some(times) = times.filter(|_| has_counted_all(&fold) && !is_sent)
            && chosen.seen.insert(key)
            && let Some(open) = self.open.get_mut(&key)
        {
            chosen.spans.push(open.span(&fold, times));
            open.sent = Some((number, count));
        }
    }

    /// Removes processes that ended before this number.
    fn settle(&mut self, number: u64) {
        while self.over.front().is_some_and(|(at, _)| *at < number) {
            let Some((_, key)) = self.over.pop_front() else { break };
            // Another attempt may follow.
            let Some(process) = self.open.get(&key).map(|open| open.view(key, self.status())).filter(is_over) else { continue };
            let Some(open) = self.open.remove(&key) else { continue };
            self.line_bytes -= open.line_bytes;
            self.ended.insert(key, Ended { times: times(&process, None), folds: open.folds });
            self.ended_order.push_back(key);
        }
        while self.ended_order.len() > MOST_ENDED {
            let Some(oldest) = self.ended_order.pop_front() else { break };
            for fold in self.ended.remove(&oldest).map(|ended| ended.folds).unwrap_or_default() {
                self.open.remove(&(oldest.0, fold));
            }
        }
    }

    fn status(&self) -> WorkerStatus {
        self.offline_us.map_or(WorkerStatus::Online, |time_us| WorkerStatus::Offline { time_us })
    }
}

/// Spans selected from a batch.
struct Chosen {
    /// Events before this number are settled.
    settled: u64,
    seen: HashSet<Key>,
    spans: Vec<Span>,
}

/// Storage of a process.
#[derive(Debug, Clone, Copy)]
enum Place {
    Open(Key),
    Ended(Key),
}

impl Open {
    /// Stores a log line if it fits into `room` bytes. Returns the number of bytes used.
    fn log(&mut self, line: &ProcessLogged, worker_id: WorkerId, number: u64, room: usize) -> usize {
        let ProcessLogged { id, time_us, level, message, target, stream, fields, .. } = line.clone();
        let entry = LogEntry { process_id: id, time_us, level, message, target, stream, fields, worker_id, number };
        let line = event(&entry);
        let bytes = line.encoded_len() + size_of::<SpanEvent>();
        if self.lines.len() == MOST_LINES || bytes > room {
            self.more_lines = self.more_lines.saturating_add(1);
            return 0;
        }
        self.lines.push(line);
        self.line_bytes += bytes;
        bytes
    }

    fn view(&self, (root, id): Key, status: WorkerStatus) -> Process {
        self.facts.view(root, id, &mut |_| status)
    }

    fn span(&self, process: &Process, times: Times) -> Span {
        let mut span = span(process, times);
        span.events.splice(0..0, self.lines.iter().cloned());
        span.dropped_events_count = self.more_lines;
        span
    }
}
