//! The past few events, as readers of the stream are sent them.
//!
//! Readers pull: each keeps its own place and is woken when there is more. So a slow one costs no memory of its own; when what
//! it has not yet read is forgotten, it is told to load anew. A change becomes JSON when the first reader wants it, and is kept for
//! the others.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use monitor_wire::{ProcessId, RootId, StreamMessage, WorkerId};
use tokio::sync::watch;

use crate::store::Changes;

/// About how many bytes a reader takes at once, and makes JSON of for that: each may hold as many while it waits for its socket, and
/// what is made the ring can only forget afterwards.
const READ_AT_ONCE_BYTES: usize = 256 << 10;
/// How many changes a reader looks at at once, whether they are for it or not.
const LOOKED_AT_AT_ONCE: usize = 1 << 16;
/// What a frame costs besides its bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// Holds the newest events up to a number of bytes.
#[derive(Clone)]
pub struct Live {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Sender<u64>,
}

/// An event, encoded once for all readers.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number.
    pub seq: u64,
    /// Its type.
    pub event_type: Arc<str>,
    /// [`monitor_wire::StreamMessage`] as JSON, without line breaks.
    pub data: Arc<str>,
    /// What it is about.
    pub about: About,
}

/// What an event is about, for those who want little.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// Its process.
    pub process_id: Option<ProcessId>,
    /// The worker that it is about, or that runs its process.
    pub worker_id: Option<WorkerId>,
    /// The process's name.
    pub name: Option<Arc<str>>,
}

/// What comes after a place.
#[derive(Debug)]
pub enum Read {
    /// These, oldest first, and where to go on; none if nothing has happened since that is wanted.
    Frames(Vec<Frame>, u64),
    /// It is forgotten, or never was: load anew, and go on after this number.
    Reset(u64),
}

struct Ring {
    parts: VecDeque<Arc<Part>>,
    bytes: usize,
    max_bytes: usize,
    /// Number of the newest event that is no longer, or never was, in `parts`.
    forgotten: u64,
    newest: u64,
}

/// The changes of a transaction.
struct Part {
    changes: Changes,
    frames: Box<[OnceLock<Option<Frame>>]>,
    /// What the frames take that are encoded by now.
    encoded: AtomicUsize,
    /// What of it the ring has counted.
    counted: AtomicUsize,
}

impl Live {
    /// Nothing yet, after `seq`.
    pub fn new(seq: u64, max_bytes: usize) -> Self {
        let ring = Ring { parts: VecDeque::new(), bytes: 0, max_bytes, forgotten: seq, newest: seq };
        Self { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(seq) }
    }

    /// Makes durable changes known.
    pub fn publish(&self, changes: Changes) {
        if changes.count() == 0 {
            return;
        }
        let newest = self.lock().push(Part::new(changes));
        self.newest.send_replace(newest);
    }

    /// Number of the newest event.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// How many wait for more.
    pub fn readers(&self) -> usize {
        self.newest.receiver_count()
    }

    /// Tells when there is more.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The next events after number `after` of those that are wanted: first by type and tree, which costs nothing, then by what they
    /// are about, for which they become JSON.
    pub fn read(&self, after: u64, is_wanted: impl Fn(&str, Option<RootId>) -> bool, is_about: impl Fn(&About) -> bool) -> Read {
        let (parts, newest) = {
            let ring = self.lock();
            if after < ring.forgotten || after > ring.newest {
                return Read::Reset(ring.newest);
            }
            let first = ring.parts.partition_point(|part| part.last_seq() <= after);
            (ring.parts.range(first..).cloned().collect::<Vec<_>>(), ring.newest)
        };
        let (mut frames, mut bytes, mut looked_at, mut encoded) = (Vec::new(), 0, 0, 0);
        let mut at = newest;
        'all: for part in &parts {
            for seq in part.changes.first_seq().max(after + 1)..=part.last_seq() {
                if bytes.max(encoded) >= READ_AT_ONCE_BYTES || looked_at >= LOOKED_AT_AT_ONCE {
                    at = seq - 1;
                    break 'all;
                }
                looked_at += 1;
                let index = (seq - part.changes.first_seq()) as usize;
                let tell = part.changes.tell();
                if is_wanted(tell.type_name(index), tell.root_id(index))
                    && let Some(frame) = part.frame(index, &mut encoded)
                    && is_about(&frame.about)
                {
                    bytes += frame.cost();
                    frames.push(frame);
                }
            }
        }
        if encoded > 0 {
            self.lock().recount(&parts);
        }
        Read::Frames(frames, at)
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, part: Part) -> u64 {
        self.bytes += part.cost();
        self.newest = part.last_seq();
        self.parts.push_back(Arc::new(part));
        self.forget();
        self.newest
    }

    fn forget(&mut self) {
        while self.bytes > self.max_bytes
            && let Some(part) = self.parts.pop_front()
        {
            self.bytes -= part.cost() + part.counted.load(Ordering::Relaxed);
            self.forgotten = part.last_seq();
        }
    }

    /// Counts what these parts have encoded meanwhile.
    fn recount(&mut self, parts: &[Arc<Part>]) {
        // One that was forgotten meanwhile no longer counts.
        for part in parts.iter().filter(|part| part.last_seq() > self.forgotten) {
            let encoded = part.encoded.load(Ordering::Relaxed);
            self.bytes += encoded - part.counted.swap(encoded, Ordering::Relaxed);
        }
        self.forget();
    }
}

impl Part {
    fn new(changes: Changes) -> Self {
        let frames = (0..changes.count()).map(|_| OnceLock::new()).collect();
        Self { changes, frames, encoded: AtomicUsize::new(0), counted: AtomicUsize::new(0) }
    }

    fn last_seq(&self) -> u64 {
        self.changes.first_seq() + self.changes.count() as u64 - 1
    }

    fn cost(&self) -> usize {
        self.changes.tell().bytes() + self.frames.len() * size_of::<OnceLock<Option<Frame>>>()
    }

    fn frame(&self, index: usize, encoded: &mut usize) -> Option<Frame> {
        let frame = self.frames[index].get_or_init(|| {
            let seq = self.changes.first_seq() + index as u64;
            let tell = self.changes.tell();
            let message = tell.message(index);
            match serde_json::to_string(&message) {
                Ok(data) => {
                    let about = About::of(&message);
                    let frame = Frame { seq, event_type: tell.type_name(index).into(), data: data.into(), about };
                    *encoded += frame.cost();
                    self.encoded.fetch_add(frame.cost(), Ordering::Relaxed);
                    Some(frame)
                }
                Err(error) => {
                    tracing::error!(seq, %error, "an event can't be written as JSON and is left out of the stream");
                    None
                }
            }
        });
        frame.clone()
    }
}

impl About {
    fn of(message: &StreamMessage) -> Self {
        let StreamMessage { process, worker, .. } = message;
        let by_worker = worker.as_ref().map(|worker| worker.id);
        Self {
            process_id: process.as_ref().map(|process| process.id),
            worker_id: process.as_ref().and_then(|process| process.worker_id).or(by_worker),
            name: process.as_ref().map(|process| process.name.as_str().into()),
        }
    }
}

impl Frame {
    fn cost(&self) -> usize {
        self.data.len() + self.event_type.len() + self.about.name.as_ref().map_or(0, |name| name.len()) + FRAME_OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(seqs: std::ops::RangeInclusive<u64>) -> Changes {
        let message = |seq: u64| {
            let event = serde_json::from_value(serde_json::json!({"type": if seq.is_multiple_of(2) { "even" } else { "odd" }, "n": seq}));
            StreamMessage { event: event.unwrap(), root: None, process: None, worker: None, log: None }
        };
        Changes::new(*seqs.start(), seqs.map(message).collect::<Vec<_>>())
    }

    fn read(live: &Live, after: u64) -> Result<Vec<u64>, u64> {
        match live.read(after, |_, _| true, |_| true) {
            Read::Frames(frames, _) => Ok(frames.iter().map(|frame| frame.seq).collect()),
            Read::Reset(newest) => Err(newest),
        }
    }

    #[test]
    fn what_is_remembered_is_resumed_and_all_else_is_a_reset() {
        let cost = Part::new(changes(8..=9)).cost();
        let live = Live::new(7, 2 * cost);
        assert_eq!(read(&live, 7), Ok(vec![]));
        assert_eq!(read(&live, 6), Err(7), "from before this server");
        assert_eq!(read(&live, 8), Err(7), "of another database");
        live.publish(changes(8..=9));
        live.publish(changes(10..=11));
        live.publish(changes(12..=13));
        assert_eq!(read(&live, 8), Err(13), "forgotten");
        assert_eq!(live.newest(), 13);
        assert!(
            matches!(live.read(9, |_, _| false, |_| true), Read::Frames(frames, 13) if frames.is_empty()),
            "what nobody wants is not encoded"
        );
        assert_eq!(read(&live, 13), Ok(vec![]));
    }

    #[test]
    fn what_is_encoded_counts_and_makes_older_ones_forgotten() {
        let live = Live::new(0, 2 * Part::new(changes(1..=2)).cost());
        live.publish(changes(1..=2));
        live.publish(changes(3..=4));
        assert_eq!(read(&live, 2), Ok(vec![3, 4]));
        assert_eq!(read(&live, 0), Err(4));
    }

    #[test]
    fn a_reader_takes_a_part_at_once_and_only_what_it_wants() {
        let live = Live::new(0, usize::MAX);
        live.publish(changes(1..=5_000));
        live.publish(changes(5_001..=10_000));
        let (mut seen, mut at, mut reads) = (Vec::new(), 0, 0);
        while at < 10_000 {
            let Read::Frames(frames, next) = live.read(at, |event_type, _| event_type == "even", |_| true) else {
                panic!("nothing is forgotten")
            };
            seen.extend(frames.iter().map(|frame| frame.seq));
            (at, reads) = (next, reads + 1);
        }
        assert_eq!(seen, (1..=5_000).map(|half| 2 * half).collect::<Vec<_>>());
        assert!(reads > 1);
    }

    #[test]
    fn a_reader_who_wants_none_of_it_makes_but_a_part_of_it_json_at_once() {
        let live = Live::new(0, usize::MAX);
        live.publish(changes(1..=20_000));
        let Read::Frames(frames, at) = live.read(0, |_, _| true, |_| false) else { panic!("nothing is forgotten") };
        assert!(frames.is_empty() && at > 0 && at < 20_000, "{at}");
        let encoded = live.lock().parts[0].encoded.load(Ordering::Relaxed);
        assert!(encoded < READ_AT_ONCE_BYTES + 1_000, "{encoded}");
        // What is there already costs nothing.
        assert!(matches!(live.read(0, |_, _| true, |_| false), Read::Frames(_, further) if further > at));
    }
}
