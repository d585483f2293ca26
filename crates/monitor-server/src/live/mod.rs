//! The newest events in memory, as sent to readers of the stream.
//!
//! Readers pull: each keeps its own position and is woken when there may be more events that it wants. A slow reader therefore costs no
//! more than the one piece that it holds (`piece`). Events that are no longer in memory are read from the store's log of events (`past`). A
//! reader of events that are in neither gets a reset and must load its data again. An event is converted to JSON when the first reader
//! needs it, and the JSON is kept for the others.

mod names;
mod part;
mod past;
mod piece;
mod wanted;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::{HashMap, HashSet};
use monitor_store::{Changes, Queries, StoreError};
use tokio::sync::watch;

use self::names::Names;
use self::part::{Frame, Part};
use self::past::Past;
use self::piece::Pieces;
pub use self::piece::{Format, Next, Piece};
use self::wanted::Extent;
pub use self::wanted::{Pattern, Wanted, WantedTypes, WantedWorker};

/// Approximate number of bytes that a reader takes at a time, and that are converted to JSON for it. The rest of a piece is for the text
/// around each event.
const READ_AT_ONCE_BYTES: usize = piece::PIECE_BYTES * 3 / 4;
/// Maximum number of changes that a reader examines at a time, including those it does not want.
const LOOKED_AT_AT_ONCE: usize = 1 << 16;

/// The newest events, up to a number of bytes.
#[derive(Clone)]
pub struct Live {
    ring: Arc<Mutex<Ring>>,
    newest: watch::Sender<u64>,
    pieces: Arc<Pieces>,
    past: Option<Arc<Past>>,
    names: Arc<Names>,
}

/// Reader of the stream. Readers with the same filter form a group, so that each event is filtered once for all of them.
#[derive(Debug, Clone)]
pub struct Subscription {
    group: u64,
    wanted: Arc<Wanted>,
    /// Number of the newest event of a part that may contain wanted events.
    calls: watch::Receiver<u64>,
}

/// Events after a position, if they are in memory.
#[derive(Debug)]
enum Read {
    /// Wanted events, oldest first, and the position to continue from. Empty if no wanted event has occurred.
    Frames(Vec<Frame>, u64),
    /// The events are no longer in memory, or never were. Contains the number of the newest event.
    Reset(u64),
}

struct Ring {
    parts: VecDeque<Arc<Part>>,
    bytes: usize,
    max_bytes: usize,
    /// Number of the newest event that is no longer in `parts`, or that occurred before the server started.
    forgotten: u64,
    newest: u64,
    /// Groups of readers by filter.
    groups: HashMap<Arc<Wanted>, Group>,
    /// Number of groups created so far.
    group_count: u64,
}

/// Readers with the same filter.
struct Group {
    number: u64,
    calls: watch::Sender<u64>,
    /// Number of the newest event of a forgotten part that may have contained wanted events. Other forgotten parts don't matter to these
    /// readers.
    missed: u64,
}

impl Live {
    /// Creates an empty ring for events after `seq`, for up to `max_readers` readers.
    pub fn new(seq: u64, max_bytes: usize, max_readers: usize) -> Self {
        let (parts, groups) = (VecDeque::new(), HashMap::default());
        let ring = Ring { parts, bytes: 0, max_bytes, forgotten: seq, newest: seq, groups, group_count: 0 };
        let (ring, pieces) = (Arc::new(Mutex::new(ring)), Arc::new(Pieces::new(max_readers)));
        Self { ring, newest: watch::Sender::new(seq), pieces, past: None, names: Arc::new(Names::new(None)) }
    }

    /// Adds the store's log of events as the source of events that are no longer in memory.
    #[must_use]
    pub fn with_past(self, store: Arc<dyn Queries>) -> Self {
        let names = Arc::new(Names::new(Some(store.clone())));
        Self { past: Some(Arc::new(Past::new(store, names.clone()))), names, ..self }
    }

    /// Publishes changes that are durable.
    pub fn publish(&self, changes: Changes) {
        if changes.count() == 0 {
            return;
        }
        let part = Arc::new(Part::new(changes));
        if self.lock().groups.keys().any(|wanted| wanted.needs_index()) {
            // The index is built outside the lock, so that readers don't wait for it.
            part.index();
        }
        let newest = self.lock().push(&part);
        // Comes last: a reader that sees this number has already been called for all wanted events up to it. `skip` relies on this order.
        // With the reverse order it could see the new number and the old call, and skip a wanted event.
        self.newest.send_replace(newest);
    }

    /// Returns the number of the newest event.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Returns the number of subscribed readers.
    pub fn readers(&self) -> usize {
        self.lock().groups.values().map(|group| group.calls.receiver_count()).sum()
    }

    /// Subscribes a reader. However many readers have the same filter, each event is filtered once for all of them.
    pub fn subscribe(&self, wanted: Wanted) -> Subscription {
        let mut ring = self.lock();
        let ring = &mut *ring;
        let wanted = ring.groups.get_key_value(&wanted).map_or_else(|| Arc::new(wanted), |(wanted, _)| wanted.clone());
        let group = ring.groups.entry(wanted.clone()).or_insert_with(|| {
            ring.group_count += 1;
            Group { number: ring.group_count, calls: watch::Sender::new(ring.newest), missed: ring.forgotten }
        });
        Subscription { group: group.number, wanted, calls: group.calls.subscribe() }
    }

    /// Returns a receiver for the number of the newest event.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Returns the number of the newest event if no event after `after` is wanted, even if they are no longer in memory. A call that
    /// arrives after this returns counts as new. Reads `newest` before the calls, because [`Live::publish`] updates them in the reverse
    /// order.
    pub fn skip(&self, after: u64, reader: &mut Subscription) -> Option<u64> {
        let newest = self.newest();
        (*reader.calls.borrow_and_update()..=newest).contains(&after).then_some(newest)
    }

    /// Returns the next wanted events after number `after`. They are filtered first by type and run, without JSON, and then by their
    /// subject, which requires the conversion to JSON.
    fn read(&self, after: u64, wanted: &Wanted) -> Result<Read, StoreError> {
        let (parts, newest) = {
            let ring = self.lock();
            let missed = ring.groups.get(wanted).map_or(ring.forgotten, |group| group.missed);
            if after < missed || after > ring.newest {
                return Ok(Read::Reset(ring.newest));
            }
            let first = ring.parts.partition_point(|part| part.last_seq() <= after);
            (ring.parts.range(first..).cloned().collect::<Vec<_>>(), ring.newest)
        };
        let (parts, newest) = if wanted.each_root { at_once(parts, newest) } else { (parts, newest) };
        let (mut frames, mut bytes, mut looked_at, mut encoded) = (Vec::new(), 0, 0, 0);
        let mut at = newest;
        let mut newest_of_trees = newest_of_trees(&parts, wanted);
        'all: for part in &parts {
            let newest_of_trees = newest_of_trees.pop().unwrap_or_default();
            if !part.has(wanted) {
                continue;
            }
            let types = part.types(wanted);
            let is_of_type = |place: usize| types.as_ref().is_none_or(|(types, of)| types[of[place] as usize]);
            for seq in part.changes.first_seq().max(after + 1)..=part.last_seq() {
                if bytes.max(encoded) >= READ_AT_ONCE_BYTES || looked_at >= LOOKED_AT_AT_ONCE {
                    at = seq - 1;
                    break 'all;
                }
                looked_at += 1;
                let place = (seq - part.changes.first_seq()) as usize;
                if !is_of_type(place) {
                    continue;
                }
                let frame = match wanted.extent(|| part.changes.tell().root_id(place)) {
                    Extent::All => part.frame(place, &mut encoded),
                    Extent::Root if newest_of_trees.contains(&place) => part.root_frame(place, &mut encoded),
                    Extent::Root | Extent::Nothing => None,
                };
                if let Some(frame) = frame
                    && wanted.is_about(&frame.about, &self.names)?
                {
                    bytes += frame.cost();
                    frames.push(frame);
                }
            }
        }
        if encoded > 0 {
            self.lock().recount(&parts);
        }
        Ok(Read::Frames(frames, at))
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, part: &Arc<Part>) -> u64 {
        self.bytes += part.cost();
        self.newest = part.last_seq();
        self.parts.push_back(part.clone());
        self.forget();
        self.groups.retain(|wanted, group| {
            let is_awaited = group.calls.receiver_count() > 0;
            if is_awaited && part.has(wanted) {
                group.calls.send_replace(self.newest);
            }
            is_awaited
        });
        self.newest
    }

    fn forget(&mut self) {
        while self.bytes > self.max_bytes
            && let Some(part) = self.parts.pop_front()
        {
            self.bytes -= part.cost() + part.counted.load(Ordering::Relaxed);
            self.forgotten = part.last_seq();
            for (_, group) in self.groups.iter_mut().filter(|(wanted, _)| part.has(wanted)) {
                group.missed = part.last_seq();
            }
        }
    }

    /// Adds the JSON that these parts have created in the meantime to the size of the ring.
    fn recount(&mut self, parts: &[Arc<Part>]) {
        // A part that has been forgotten in the meantime no longer counts.
        for part in parts.iter().filter(|part| part.last_seq() > self.forgotten) {
            let encoded = part.encoded.load(Ordering::Relaxed);
            self.bytes += encoded - part.counted.swap(encoded, Ordering::Relaxed);
        }
        self.forget();
    }
}

/// Returns the parts, oldest first, that are examined at a time, and the number of their newest event.
fn at_once(mut parts: Vec<Arc<Part>>, newest: u64) -> (Vec<Arc<Part>>, u64) {
    let mut changes = 0;
    let enough = parts.iter().position(|part| {
        changes += part.changes.count();
        changes >= LOOKED_AT_AT_ONCE
    });
    let Some(last) = enough else { return (parts, newest) };
    parts.truncate(last + 1);
    let newest = newest.min(parts[last].last_seq());
    (parts, newest)
}

/// Returns the positions of the newest event of each run that is sent as its root only: one set per part, beginning with the last part.
fn newest_of_trees(parts: &[Arc<Part>], wanted: &Wanted) -> Vec<HashSet<usize>> {
    let mut seen = HashSet::default();
    let of_part = |part: &Arc<Part>| {
        let types = part.types(wanted);
        let is_of_type = |place: usize| types.as_ref().is_none_or(|(types, of)| types[of[place] as usize]);
        wanted.newest_of_trees(&mut seen, part.changes.count(), is_of_type, |place| part.changes.tell().root_id(place))
    };
    parts.iter().rev().map(of_part).collect()
}

impl Subscription {
    /// Waits until there may be more wanted events.
    pub async fn called(&mut self) {
        if self.calls.changed().await.is_err() {
            // The ring has been dropped, because the server is stopping.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use monitor_wire::{RootId, StreamMessage};

    use super::*;

    fn changes(seqs: std::ops::RangeInclusive<u64>) -> Changes {
        let message = |seq: u64| {
            let event = serde_json::from_value(serde_json::json!({"type": if seq.is_multiple_of(2) { "even" } else { "odd" }, "n": seq}));
            StreamMessage { event: event.unwrap(), root: None, process: None, worker: None, log: None, as_of: 0 }
        };
        Changes::new(*seqs.start(), seqs.map(message).collect::<Vec<_>>())
    }

    fn of_type(event_type: &str) -> Wanted {
        Wanted { types: WantedTypes::read([event_type]).unwrap(), ..Wanted::default() }
    }

    fn read(live: &Live, after: u64) -> Result<Vec<u64>, u64> {
        match live.read(after, &Wanted::default()).unwrap() {
            Read::Frames(frames, _) => Ok(frames.iter().map(|frame| frame.seq).collect()),
            Read::Reset(newest) => Err(newest),
        }
    }

    #[test]
    fn a_reader_resumes_from_buffered_events_and_gets_a_reset_otherwise() {
        let cost = Part::new(changes(8..=9)).cost();
        let live = Live::new(7, 2 * cost, 9);
        assert_eq!(read(&live, 7), Ok(vec![]));
        assert_eq!(read(&live, 6), Err(7), "from before this server");
        assert_eq!(read(&live, 8), Err(7), "of another database");
        live.publish(changes(8..=9));
        live.publish(changes(10..=11));
        live.publish(changes(12..=13));
        assert_eq!(read(&live, 8), Err(13), "forgotten");
        assert_eq!(live.newest(), 13);
        assert!(
            matches!(live.read(9, &of_type("neither")).unwrap(), Read::Frames(frames, 13) if frames.is_empty()),
            "what nobody wants is not encoded"
        );
        assert_eq!(read(&live, 13), Ok(vec![]));
    }

    #[test]
    fn encoded_frames_count_towards_the_buffer_and_evict_older_events() {
        let live = Live::new(0, 2 * Part::new(changes(1..=2)).cost(), 9);
        live.publish(changes(1..=2));
        live.publish(changes(3..=4));
        assert_eq!(read(&live, 2), Ok(vec![3, 4]));
        assert_eq!(read(&live, 0), Err(4));
    }

    #[test]
    fn a_reader_gets_matching_events_in_parts_of_limited_size() {
        let live = Live::new(0, usize::MAX, 9);
        live.publish(changes(1..=5_000));
        live.publish(changes(5_001..=10_000));
        let (mut seen, mut at, mut reads) = (Vec::new(), 0, 0);
        while at < 10_000 {
            let Read::Frames(frames, next) = live.read(at, &of_type("even")).unwrap() else { panic!("nothing is forgotten") };
            seen.extend(frames.iter().map(|frame| frame.seq));
            (at, reads) = (next, reads + 1);
        }
        assert_eq!(seen, (1..=5_000).map(|half| 2 * half).collect::<Vec<_>>());
        assert!(reads > 1);
    }

    #[test]
    fn a_filtered_reader_wakes_only_for_its_events_and_survives_evictions() {
        let live = Live::new(7, 1, 9);
        let [mut even, mut neither, mut all] =
            [of_type("even"), of_type("neither"), Wanted::default()].map(|wanted| live.subscribe(wanted));
        assert_eq!((live.readers(), live.skip(7, &mut even)), (3, Some(7)), "nothing is there");
        live.publish(changes(8..=8));
        live.publish(changes(9..=9));
        let called = [&even, &neither, &all].map(|calls| calls.calls.has_changed().unwrap());
        assert_eq!(called, [true, false, true]);
        assert_eq!((live.skip(7, &mut even), live.skip(8, &mut even)), (None, Some(9)));
        assert!(matches!(live.read(7, &of_type("even")), Ok(Read::Reset(9))), "some of it was wanted");
        assert!(matches!(live.read(8, &of_type("even")), Ok(Read::Frames(_, 9))), "none of it was");
        assert_eq!(read(&live, 7), Err(9), "all of it is forgotten");
        assert_eq!(live.skip(7, &mut neither), Some(9), "but none of it was wanted");
        assert_eq!((live.skip(8, &mut all), live.skip(10, &mut neither)), (None, None), "of another database");
        assert_eq!(live.skip(8, &mut live.subscribe(of_type("odd"))), None, "nobody has looked for whoever comes late");
        drop((even, all));
        live.publish(changes(10..=10));
        assert_eq!((live.readers(), live.skip(9, &mut neither)), (1, Some(10)));
    }

    #[test]
    fn a_reader_of_a_tree_gets_its_events_and_events_of_no_tree() {
        let root = |number| RootId::new(number).unwrap();
        let message = |of: Option<u128>| {
            let event = match of {
                Some(of) => {
                    serde_json::json!({"type": "process-ended", "root_id": root(of), "id": "a3ce929d0e0e4736", "time_us": 1, "outcome": "succeeded"})
                }
                None => serde_json::json!({"type": "worker-heartbeat", "time_us": 1}),
            };
            StreamMessage { event: serde_json::from_value(event).unwrap(), root: None, process: None, worker: None, log: None, as_of: 0 }
        };
        let live = Live::new(0, usize::MAX, 9);
        live.publish(Changes::new(1, [Some(1), Some(2), Some(1)].map(message).to_vec()));
        let wanted = |number| Wanted { roots: [root(number)].into_iter().collect(), ..Wanted::default() };
        let calls = [1, 2, 3].map(|number| live.subscribe(wanted(number)));
        let called = || calls.each_ref().map(|calls| *calls.calls.borrow());
        live.publish(Changes::new(4, [Some(2)].map(message).to_vec()));
        assert_eq!(called(), [3, 4, 3]);
        live.publish(Changes::new(5, [None].map(message).to_vec()));
        assert_eq!(called(), [5; 3]);
        let seqs = |number| {
            let Read::Frames(frames, 5) = live.read(0, &wanted(number)).unwrap() else { panic!("all is looked at") };
            frames.iter().map(|frame| frame.seq).collect::<Vec<_>>()
        };
        assert_eq!((seqs(1), seqs(2), seqs(3)), (vec![1, 3, 5], vec![2, 4, 5], vec![5]));
    }

    #[test]
    fn a_reader_without_matching_events_encodes_only_a_part_at_a_time() {
        let live = Live::new(0, usize::MAX, 9);
        live.publish(changes(1..=20_000));
        let nobody = Wanted { name: Some("of nothing".to_owned()), ..Wanted::default() };
        let Read::Frames(frames, at) = live.read(0, &nobody).unwrap() else { panic!("nothing is forgotten") };
        assert!(frames.is_empty() && at > 0 && at < 20_000, "{at}");
        let encoded = live.lock().parts[0].encoded.load(Ordering::Relaxed);
        assert!(encoded < READ_AT_ONCE_BYTES + 1_000, "{encoded}");
        // JSON that exists already costs nothing.
        assert!(matches!(live.read(0, &nobody), Ok(Read::Frames(_, further)) if further > at));
    }
}
