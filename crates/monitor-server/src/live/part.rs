//! Changes of a transaction, prepared for readers: an index of their types and runs, and each change as JSON once a reader needs it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::{HashMap, HashSet};
use monitor_store::Changes;
use monitor_wire::{Event, Kind, ProcessId, RootId, StreamMessage, WorkerId};

use super::Wanted;

/// Memory overhead of a frame, in bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// Event, encoded once for all readers.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Number of the event.
    pub(super) seq: u64,
    /// Type of the event.
    pub(super) event_type: Arc<str>,
    /// [`monitor_wire::StreamMessage`] as JSON, without line breaks.
    pub(super) data: Arc<str>,
    /// Subject of the event.
    pub(super) about: About,
}

/// Subject of an event, for readers with a narrow filter.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    /// Its process.
    pub(super) process_id: Option<ProcessId>,
    /// Worker that the event is about, or that runs the process.
    pub(super) worker_id: Option<WorkerId>,
    /// Worker that sent the event. The worker that sends a queue task differs from the one that executes it.
    pub(super) sender: Option<WorkerId>,
    /// Name of the process.
    pub(super) name: Option<Arc<str>>,
    /// Kind of the process.
    pub(super) kind: Option<Kind>,
    /// Id of the process in a system with its own ids.
    pub(super) native_id: Option<Arc<str>>,
}

/// Changes of a transaction.
pub(super) struct Part {
    pub(super) changes: Changes,
    index: OnceLock<Index>,
    frames: Box<[OnceLock<Option<Frame>>]>,
    /// Events with the root as their only model, by position.
    root_frames: Mutex<HashMap<usize, Option<Frame>>>,
    /// Size of the frames that exist so far.
    pub(super) encoded: AtomicUsize,
    /// Part of `encoded` that the ring has included in its size.
    pub(super) counted: AtomicUsize,
}

/// Index of a part, so that readers which want nothing of it need not examine each change. It is built for the first reader that does not
/// want all events.
pub(super) struct Index {
    /// Types of the events, each with its position in the list of types.
    types: HashMap<Arc<str>, u32>,
    /// Position of the type of each change.
    type_of: Vec<u32>,
    /// Roots of the events.
    roots: HashSet<Option<RootId>>,
}

impl Part {
    pub(super) fn new(changes: Changes) -> Self {
        let frames = (0..changes.count()).map(|_| OnceLock::new()).collect();
        let root_frames = Mutex::default();
        Self { changes, index: OnceLock::new(), frames, root_frames, encoded: AtomicUsize::new(0), counted: AtomicUsize::new(0) }
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.changes.first_seq() + self.changes.count() as u64 - 1
    }

    pub(super) fn cost(&self) -> usize {
        self.changes.tell().bytes() + self.frames.len() * (size_of::<OnceLock<Option<Frame>>>() + size_of::<u32>())
    }

    pub(super) fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.changes))
    }

    /// True if the part may contain wanted events.
    pub(super) fn has(&self, wanted: &Wanted) -> bool {
        let is_of_root = || {
            let roots = &self.index().roots;
            // Both sets can be arbitrarily large, so the smaller one is iterated.
            roots.contains(&None)
                || if wanted.roots.len() <= roots.len() {
                    wanted.roots.iter().any(|root| roots.contains(&Some(*root)))
                } else {
                    roots.iter().flatten().any(|root| wanted.roots.contains(root))
                }
        };
        let is_of_type = || wanted.types.has_any(&self.index().types);
        (wanted.roots.is_empty() || wanted.each_root || is_of_root()) && (wanted.types.are_all() || is_of_type())
    }

    /// Returns true for each wanted type of the part, and for each change the position of its type. `None` if all types are wanted.
    pub(super) fn types(&self, wanted: &Wanted) -> Option<(Vec<bool>, &[u32])> {
        if wanted.types.are_all() {
            return None;
        }
        let Index { types, type_of, .. } = self.index();
        let mut is_wanted = vec![false; types.len()];
        for (name, place) in types {
            is_wanted[*place as usize] = wanted.types.has(name);
        }
        Some((is_wanted, type_of))
    }

    pub(super) fn frame(&self, index: usize, encoded: &mut usize) -> Option<Frame> {
        self.frames[index].get_or_init(|| self.encode(index, |message| message, encoded)).clone()
    }

    /// Returns an event with the root as its only model.
    pub(super) fn root_frame(&self, index: usize, encoded: &mut usize) -> Option<Frame> {
        let mut frames = self.root_frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.entry(index).or_insert_with(|| self.encode(index, with_root_alone, encoded)).clone()
    }

    fn encode(&self, index: usize, told: impl FnOnce(StreamMessage) -> StreamMessage, encoded: &mut usize) -> Option<Frame> {
        let seq = self.changes.first_seq() + index as u64;
        let tell = self.changes.tell();
        let message = told(StreamMessage { as_of: self.last_seq(), ..tell.message(index) });
        let mut frame = Frame::of(seq, tell.type_name(index), &message)?;
        frame.about.sender = tell.sender(index);
        *encoded += frame.cost();
        self.encoded.fetch_add(frame.cost(), Ordering::Relaxed);
        Some(frame)
    }
}

/// Removes all models except the root.
pub(super) fn with_root_alone(message: StreamMessage) -> StreamMessage {
    StreamMessage { process: None, worker: None, log: None, ..message }
}

impl Index {
    fn of(changes: &Changes) -> Self {
        let tell = changes.tell();
        let mut index = Self { types: HashMap::default(), type_of: Vec::with_capacity(changes.count()), roots: HashSet::default() };
        let mut last = None;
        for place in 0..changes.count() {
            let (name, root) = (tell.type_name(place), tell.root_id(place));
            let at = index.types.get(name).copied().unwrap_or_else(|| {
                let next = index.types.len() as u32;
                index.types.insert(name.into(), next);
                next
            });
            index.type_of.push(at);
            if last != Some(root) {
                index.roots.insert(root);
                last = Some(root);
            }
        }
        index
    }
}

impl About {
    fn of(message: &StreamMessage) -> Self {
        let StreamMessage { process, worker, .. } = message;
        let by_worker = worker.as_ref().map(|worker| worker.id);
        Self {
            process_id: process.as_ref().map(|process| process.id),
            worker_id: process.as_ref().and_then(|process| process.worker_id).or(by_worker),
            sender: None,
            name: process.as_ref().map(|process| process.name.as_str().into()),
            kind: process.as_ref().map(|process| process.kind.clone()),
            native_id: process.as_ref().and_then(|process| process.native_id.as_deref().map(Into::into)),
        }
    }

    /// Returns the facts about a process that its event itself contains.
    pub(super) fn told_by(event: &Event) -> Self {
        let (name, kind, native_id) = match event {
            Event::ProcessQueued(of) => (Some(&of.name), of.kind.clone(), &of.native_id),
            Event::ProcessStarted(of) => (Some(&of.name), of.kind.clone(), &of.native_id),
            Event::ProcessFolded(of) => return Self { name: Some(of.name.as_str().into()), ..Self::default() },
            Event::TaskSent(of) => (Some(&of.name), Kind::TASK, &of.native_id),
            Event::TaskReceived(of) => (Some(&of.name), Kind::TASK, &of.native_id),
            Event::TaskStarted(of) => (None, Kind::TASK, &of.native_id),
            Event::TaskSucceeded(of) => (None, Kind::TASK, &of.native_id),
            Event::TaskFailed(of) => (None, Kind::TASK, &of.native_id),
            Event::TaskRejected(of) => (None, Kind::TASK, &of.native_id),
            Event::TaskRevoked(of) => (None, Kind::TASK, &of.native_id),
            Event::TaskRetried(of) => (None, Kind::TASK, &of.native_id),
            _ => return Self::default(),
        };
        let text = |text: &String| Arc::from(text.as_str());
        Self { name: name.map(text), kind: Some(kind), native_id: native_id.as_ref().map(text), ..Self::default() }
    }
}

impl Frame {
    /// Encodes an event. Returns `None` and logs an error if that fails.
    pub(super) fn of(seq: u64, event_type: &str, message: &StreamMessage) -> Option<Self> {
        match serde_json::to_string(message) {
            Ok(data) => Some(Self { seq, event_type: event_type.into(), data: data.into(), about: About::of(message) }),
            Err(error) => {
                tracing::error!(seq, %error, "an event can't be written as JSON and is left out of the stream");
                None
            }
        }
    }

    pub(super) fn cost(&self) -> usize {
        let texts = [&self.about.name, &self.about.native_id].into_iter().flatten().map(|text| text.len()).sum::<usize>();
        self.data.len() + self.event_type.len() + texts + FRAME_OVERHEAD_BYTES
    }
}
