//! The past few events, as readers of the stream are sent them.
//!
//! Readers pull: each keeps its own place and is woken when there is more. So a slow one costs no memory of its own; when what
//! it has not yet read is forgotten, it is told to load anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monitor_wire::{Event, RootId, StreamMessage};
use tokio::sync::watch;

use crate::store::Change;

/// About how many bytes a reader takes at once: each may hold as many while it waits for its socket.
const READ_AT_ONCE_BYTES: usize = 256 << 10;
/// How many changes are encoded before they join the others.
const PUBLISHED_AT_ONCE: usize = 256;
/// What a frame costs besides its bytes.
const FRAME_OVERHEAD_BYTES: usize = size_of::<Frame>() + 64;

/// Holds the newest events up to a number of bytes.
#[derive(Debug, Clone)]
pub struct Live {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Sender<u64>,
}

/// An event, encoded once for all readers.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number.
    pub seq: u64,
    /// Its tree; none for events of workers.
    pub root_id: Option<RootId>,
    /// Its type.
    pub event_type: Arc<str>,
    /// [`StreamMessage`] as JSON, without line breaks.
    pub data: Arc<str>,
}

/// What comes after a place.
#[derive(Debug)]
pub enum Read {
    /// These, oldest first; none if nothing has happened since.
    Frames(Vec<Frame>),
    /// It is forgotten, or never was: load anew, and go on after this number.
    Reset(u64),
}

#[derive(Debug)]
struct Ring {
    frames: VecDeque<Frame>,
    bytes: usize,
    max_bytes: usize,
    /// Number of the newest event that is no longer, or never was, in `frames`.
    forgotten: u64,
    newest: u64,
}

impl Live {
    /// Nothing yet, after `seq`.
    pub fn new(seq: u64, max_bytes: usize) -> Self {
        let ring = Ring { frames: VecDeque::new(), bytes: 0, max_bytes, forgotten: seq, newest: seq };
        Self { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(seq) }
    }

    /// Makes durable changes known.
    pub fn publish(&self, changes: &[Change]) {
        let Some(newest) = changes.last().map(|change| change.seq) else { return };
        // In parts, so that a large batch is not held encoded beyond what the ring may hold.
        for part in changes.chunks(PUBLISHED_AT_ONCE) {
            let frames: Vec<_> = part.iter().filter_map(Frame::new).collect();
            self.lock().push(frames);
        }
        self.lock().newest = newest;
        self.newest.send_replace(newest);
    }

    /// Number of the newest event.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Tells when there is more.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The next events after number `after`, which must not be later than the newest.
    pub fn read(&self, after: u64) -> Read {
        self.lock().read(after)
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            self.bytes += frame.cost();
            self.newest = frame.seq;
            self.frames.push_back(frame);
        }
        while self.bytes > self.max_bytes
            && let Some(frame) = self.frames.pop_front()
        {
            self.bytes -= frame.cost();
            self.forgotten = frame.seq;
        }
    }

    fn read(&self, after: u64) -> Read {
        if after < self.forgotten || after > self.newest {
            return Read::Reset(self.newest);
        }
        let first = self.frames.partition_point(|frame| frame.seq <= after);
        let mut bytes = 0;
        let frames = self.frames.range(first..).take_while(|frame| {
            let is_room = bytes < READ_AT_ONCE_BYTES;
            bytes += frame.cost();
            is_room
        });
        Read::Frames(frames.cloned().collect())
    }
}

impl Frame {
    fn new(change: &Change) -> Option<Self> {
        let message = &*change.message;
        let data = match serde_json::to_string(message) {
            Ok(data) => data.into(),
            Err(error) => {
                tracing::error!(seq = change.seq, %error, "an event can't be written as JSON and is left out of the stream");
                return None;
            }
        };
        Some(Self { seq: change.seq, root_id: root_of(message), event_type: message.event.type_name().into(), data })
    }

    fn cost(&self) -> usize {
        self.data.len() + self.event_type.len() + FRAME_OVERHEAD_BYTES
    }
}

fn root_of(message: &StreamMessage) -> Option<RootId> {
    match &message.event {
        Event::ProcessQueued(event) => Some(event.root_id),
        Event::ProcessStarted(event) => Some(event.root_id),
        Event::ProcessUpdated(event) => Some(event.root_id),
        Event::ProcessProgressed(event) => Some(event.root_id),
        Event::ProcessLogged(event) => Some(event.root_id),
        Event::ProcessFolded(event) => Some(event.root_id),
        Event::ProcessEnded(event) => Some(event.root_id),
        Event::Unknown(event) => event.fields.get("root_id").and_then(|id| id.as_str()?.parse().ok()),
        Event::WorkerOnline(_) | Event::WorkerHeartbeat(_) | Event::WorkerOffline(_) | Event::WorkerLost(_) | Event::WorkerFound(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(seq: u64) -> Change {
        let event = serde_json::from_value(serde_json::json!({"type": "news", "n": seq})).unwrap();
        Change { seq, message: Arc::new(StreamMessage { event, root: None, process: None, worker: None }) }
    }

    fn read(live: &Live, after: u64) -> Result<Vec<u64>, u64> {
        match live.read(after) {
            Read::Frames(frames) => Ok(frames.iter().map(|frame| frame.seq).collect()),
            Read::Reset(newest) => Err(newest),
        }
    }

    #[test]
    fn what_is_remembered_is_resumed_and_all_else_is_a_reset() {
        let cost = Frame::new(&change(10)).unwrap().cost();
        let live = Live::new(7, 3 * cost);
        assert_eq!(read(&live, 7), Ok(vec![]));
        assert_eq!(read(&live, 6), Err(7), "from before this server");
        assert_eq!(read(&live, 8), Err(7), "of another database");
        live.publish(&[change(8), change(9)]);
        assert_eq!(read(&live, 7), Ok(vec![8, 9]));
        live.publish(&[change(10), change(11)]);
        assert_eq!(read(&live, 7), Err(11), "forgotten");
        assert_eq!(read(&live, 8), Ok(vec![9, 10, 11]));
        assert_eq!(read(&live, 10), Ok(vec![11]));
        assert_eq!(live.newest(), 11);
    }

    #[test]
    fn a_reader_takes_a_part_at_once() {
        let live = Live::new(0, usize::MAX);
        live.publish(&(1..=10_000).map(change).collect::<Vec<_>>());
        let mut seen = 0;
        let mut reads = 0;
        while seen < 10_000 {
            let Ok(numbers) = read(&live, seen) else { panic!("nothing is forgotten") };
            assert_eq!(numbers[0], seen + 1);
            seen += numbers.len() as u64;
            reads += 1;
        }
        assert!((5..100).contains(&reads), "{reads}");
    }

    #[test]
    fn an_event_larger_than_the_ring_is_forgotten_at_once() {
        let live = Live::new(0, 1);
        live.publish(&[change(1)]);
        assert_eq!(read(&live, 0), Err(1));
        assert_eq!(read(&live, 1), Ok(vec![]));
    }
}
