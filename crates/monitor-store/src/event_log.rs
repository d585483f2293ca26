//! The event log stores the events that the stream has sent, one piece per transaction, so that they can be sent again.
//!
//! A piece contains the received batches of its transaction ([`compact`]), the events that the server created, and the order of all events.
//! It does not contain the models that the events changed. When an event is sent again, its message contains the current models and the
//! number of the change that they reflect.

use monitor_state::ProcessEvent;
use monitor_wire::{Event, LogEntry, Process, ProcessId, Root, RootId, Worker, WorkerId};

use crate::packed::compact::{self, Malformed, Reader};
use crate::packed::{Packed, PackedEvent};

/// Version of the format of a piece. Readers refuse other versions.
const VERSION: u8 = 1;

/// Flag of a run with one event and its subject. Without it, the run is a sequence of consecutive events of a batch.
const IS_ALONE: u8 = 1;
const HAS_WORKER: u8 = 1 << 1;
const HAS_ROOT: u8 = 1 << 2;
const HAS_PROCESS: u8 = 1 << 3;
/// Flag of a run with an event that the server created.
const IS_OWN: u8 = 1 << 4;

/// Limits on the size and age of the event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepEvents {
    /// Approximate maximum size in bytes. 0 turns the log off.
    pub bytes: u64,
    /// Maximum age of events.
    pub age: std::time::Duration,
}

impl KeepEvents {
    /// Limits that apply unless they are set otherwise.
    pub const DEFAULT: Self = Self { bytes: 512 << 20, age: std::time::Duration::from_secs(7 * 86_400) };
}

/// Position of a reader inside the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Number of the last event that the reader has processed.
    pub seq: u64,
    /// True if events after `seq` are no longer in the log, so the reader has missed some.
    pub is_behind: bool,
}

/// Ids of the models that an event is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Subject {
    /// The tree whose model is sent with the event.
    pub root_id: Option<RootId>,
    /// The process.
    pub process_id: Option<ProcessId>,
    /// The worker.
    pub worker_id: Option<WorkerId>,
}

/// Current models for a [`Subject`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Models {
    /// Model of the tree. `None` if it was dropped.
    pub root: Option<Root>,
    /// Model of the process.
    pub process: Option<Process>,
    /// Model of the worker.
    pub worker: Option<Worker>,
}

/// The events of a transaction, read from the log.
#[derive(Debug)]
pub struct Logged {
    first_seq: u64,
    batches: Vec<Packed>,
    own: Vec<Event>,
    runs: Vec<Run>,
    lines: Vec<Line>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    event: u32,
    run: u32,
}

/// A sequence of consecutive events of a batch that are sent with the model of the same worker, or a single event.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Index of the batch. `None` for an event that the server created.
    pub batch: Option<u32>,
    /// Index of the first event.
    pub event: u32,
    /// Number of events.
    pub count: u32,
    /// Models to send with the events. In a sequence, only the worker is set: trees and processes follow from the events.
    pub about: Subject,
    /// True for a single event whose whole subject is `about`.
    pub is_alone: bool,
}

/// Writes a piece. The batches are already encoded.
pub fn write<'a>(batches: impl ExactSizeIterator<Item = &'a [u8]>, own: &[&Event], runs: &[Run]) -> Vec<u8> {
    let mut to = vec![VERSION];
    compact::number(&mut to, batches.len() as u64);
    batches.for_each(|batch| compact::bytes(&mut to, batch));
    compact::number(&mut to, own.len() as u64);
    for event in own {
        compact::bytes(&mut to, &serde_json::to_vec(event).expect("plain data with text keys is JSON"));
    }
    compact::number(&mut to, runs.len() as u64);
    for Run { batch, event, count, about, is_alone } in runs {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let [worker, root, process] = [about.worker_id.is_some(), about.root_id.is_some(), about.process_id.is_some()];
        let about_flags = flag(worker, HAS_WORKER) | flag(root, HAS_ROOT) | flag(process, HAS_PROCESS);
        to.push(about_flags | flag(*is_alone, IS_ALONE) | flag(batch.is_none(), IS_OWN));
        if let Some(batch) = batch {
            compact::number(&mut to, u64::from(*batch));
        }
        compact::number(&mut to, u64::from(*event));
        if !is_alone {
            compact::number(&mut to, u64::from(*count));
        }
        about.worker_id.iter().for_each(|id| to.extend_from_slice(&id.get().to_be_bytes()));
        about.root_id.iter().for_each(|id| to.extend_from_slice(&id.get().to_be_bytes()));
        about.process_id.iter().for_each(|id| to.extend_from_slice(&id.get().to_le_bytes()));
    }
    to
}

impl Logged {
    /// Reads a piece with the events from number `first_seq` to `last_seq`.
    ///
    /// # Errors
    /// Returns an error if the piece is damaged.
    pub fn read(piece: &[u8], first_seq: u64, last_seq: u64) -> Result<Self, Malformed> {
        let mut from = Reader::new(piece);
        if from.byte()? != VERSION {
            return Err(Malformed("its format is unknown"));
        }
        let batches: Vec<Packed> = (0..from.count()?).map(|_| compact::read(from.bytes()?)).collect::<Result<_, _>>()?;
        let own: Vec<Event> = (0..from.count()?).map(|_| from.json()).collect::<Result<_, _>>()?;
        let expected = (last_seq.wrapping_sub(first_seq).wrapping_add(1)) as usize;
        let (mut runs, mut lines) = (Vec::new(), Vec::new());
        for run in 0..from.count()? {
            let flags = from.byte()?;
            let batch = if flags & IS_OWN == 0 { Some(from.place(batches.len())?) } else { None };
            let events = batch.map_or(own.len(), |batch| batches[batch as usize].len());
            let event = from.place(events)?;
            let count = if flags & IS_ALONE == 0 { from.number()? as usize } else { 1 };
            if count > events - event as usize || count > expected - lines.len() {
                return Err(Malformed("it has other events than it says"));
            }
            let worker_id = if flags & HAS_WORKER == 0 { None } else { Some(from.worker()?) };
            let root_id = if flags & HAS_ROOT == 0 { None } else { Some(from.root()?) };
            let process_id = if flags & HAS_PROCESS == 0 { None } else { Some(from.process()?) };
            let about = Subject { root_id, process_id, worker_id };
            runs.push(Run { batch, event, count: count as u32, about, is_alone: flags & IS_ALONE != 0 });
            lines.extend((0..count).map(|at| Line { event: event + at as u32, run: run as u32 }));
        }
        if lines.len() != expected || lines.is_empty() || !from.is_empty() {
            return Err(Malformed("it has other events than it says"));
        }
        let bytes = batches.iter().map(|batch| batch.bytes).sum::<usize>() + size_of_val(&*lines) + size_of_val(&*runs) + piece.len();
        Ok(Self { first_seq, batches, own, runs, lines, bytes })
    }

    /// Returns the number of the first event.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Returns the number of the last event.
    pub fn last_seq(&self) -> u64 {
        self.first_seq + self.lines.len() as u64 - 1
    }

    /// Returns the number of events, which is at least one.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// Returns the approximate memory size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the type of the event at an index, starting at 0.
    pub fn type_name(&self, index: usize) -> &str {
        let (batch, event, _) = self.line(index);
        batch.map_or_else(|| self.own[event].type_name(), |batch| batch.type_name(event))
    }

    /// Returns the tree that the event belongs to. `None` for events about workers.
    pub fn root_id(&self, index: usize) -> Option<RootId> {
        let (batch, event, _) = self.line(index);
        let Some(batch) = batch else { return self.own[event].root_id() };
        match &batch.events[event] {
            PackedEvent::Started(of) => Some(batch.roots[of.root as usize]),
            PackedEvent::Ended(of) => Some(batch.roots[of.root as usize]),
            PackedEvent::Other(event) => event.root_id(),
        }
    }

    /// Returns the event as it was received.
    pub fn event(&self, index: usize) -> Event {
        let (batch, event, _) = self.line(index);
        batch.map_or_else(|| self.own[event].clone(), |batch| batch.event(event))
    }

    /// Returns the log line, if the event is a log event.
    pub fn log(&self, index: usize) -> Option<LogEntry> {
        let (batch, event, _) = self.line(index);
        batch?.log(event)
    }

    /// Returns the ids of the models that the event is about.
    pub fn about(&self, index: usize) -> Subject {
        let (batch, event, run) = self.line(index);
        let Some(batch) = batch.filter(|_| !run.is_alone) else { return run.about };
        let of = |root_id, id| Subject { root_id: Some(root_id), process_id: Some(id), ..run.about };
        match &batch.events[event] {
            PackedEvent::Started(started) => of(batch.roots[started.root as usize], started.id),
            PackedEvent::Ended(ended) => of(batch.roots[ended.root as usize], ended.id),
            PackedEvent::Other(event) => ProcessEvent::of(event).map_or(run.about, |about| of(about.root_id, about.id)),
        }
    }

    /// Returns the worker that sent the event. `None` if the server created it.
    pub fn sender(&self, index: usize) -> Option<WorkerId> {
        self.line(index).0.map(|batch| batch.worker.id)
    }

    fn line(&self, index: usize) -> (Option<&Packed>, usize, &Run) {
        let Line { event, run } = self.lines[index];
        let run = &self.runs[run as usize];
        (run.batch.map(|batch| &self.batches[batch as usize]), event as usize, run)
    }
}
