//! The changes of a transaction as readers look at them: which types and trees they are of, and each as JSON when the first reader wants it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::{HashMap, HashSet};
use monitor_store::Changes;
use monitor_wire::{Event, Kind, ProcessId, RootId, StreamMessage, WorkerId};

use super::Wanted;

/// What a frame costs besides its bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// An event, encoded once for all readers.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Its number.
    pub(super) seq: u64,
    /// Its type.
    pub(super) event_type: Arc<str>,
    /// [`monitor_wire::StreamMessage`] as JSON, without line breaks.
    pub(super) data: Arc<str>,
    /// What it is about.
    pub(super) about: About,
}

/// What an event is about, for those who want little.
#[derive(Debug, Clone, Default)]
pub(super) struct About {
    /// Its process.
    pub(super) process_id: Option<ProcessId>,
    /// The worker that it is about, or that runs its process.
    pub(super) worker_id: Option<WorkerId>,
    /// The worker that told it. It may be another one: who sends a task is not who works on it.
    pub(super) sender: Option<WorkerId>,
    /// The process's name.
    pub(super) name: Option<Arc<str>>,
    /// The process's kind.
    pub(super) kind: Option<Kind>,
    /// The id of the process in a system with ids of its own.
    pub(super) native_id: Option<Arc<str>>,
}

/// The changes of a transaction.
pub(super) struct Part {
    pub(super) changes: Changes,
    index: OnceLock<Index>,
    frames: Box<[OnceLock<Option<Frame>>]>,
    /// Events with the root of their tree alone, by their places.
    root_frames: Mutex<HashMap<usize, Option<Frame>>>,
    /// What the frames take that are encoded by now.
    pub(super) encoded: AtomicUsize,
    /// What of it the ring has counted.
    pub(super) counted: AtomicUsize,
}

/// What a part has, so that whoever wants none of it need not look at each change. Made for the first reader who
/// does not want all.
pub(super) struct Index {
    /// Types of its events, each with a place.
    types: HashMap<Arc<str>, u32>,
    /// The place of the type of each change.
    type_of: Vec<u32>,
    /// The trees of its events.
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

    /// Whether some of it may be wanted.
    pub(super) fn has(&self, wanted: &Wanted) -> bool {
        let is_of_root = || {
            let roots = &self.index().roots;
            // Both may be as many as somebody likes.
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

    /// Which of its types are wanted, and the type of each change, by its place among these; none if all are.
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

    /// An event with the root of its tree alone.
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

/// Leaves of the models the root.
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

    /// Returns what an event itself tells of its process.
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
    /// Writes an event; none if that can't be done, which is said.
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
