//! The past few events, as readers of the stream are sent them.
//!
//! Readers pull: each keeps its own place and is woken when there is more that it may want. So a slow one costs no memory of its own; when what
//! it has not yet read is forgotten, it is told to load anew. A change becomes JSON when the first reader wants it, and is kept for
//! the others.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use foldhash::{HashMap, HashSet};
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

/// Calls those who want the same: has the number of the newest event of a part in which there may be some of it.
pub type Calls = watch::Receiver<u64>;

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

/// Which events a reader wants, as far as their types and trees tell, which costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Of these types; of any if there are none.
    pub types: BTreeSet<String>,
    /// Of this tree, or of no tree.
    pub root_id: Option<RootId>,
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
    /// Those who read, by what they want.
    groups: HashMap<Wanted, Group>,
}

/// Readers that want the same.
struct Group {
    calls: watch::Sender<u64>,
    /// Number of the newest event of a forgotten part in which there was some of it. What else is forgotten they need not know.
    missed: u64,
}

/// The changes of a transaction.
struct Part {
    changes: Changes,
    index: OnceLock<Index>,
    frames: Box<[OnceLock<Option<Frame>>]>,
    /// What the frames take that are encoded by now.
    encoded: AtomicUsize,
    /// What of it the ring has counted.
    counted: AtomicUsize,
}

/// What a part has, so that whoever wants none of it need not look at each change. Made for the first reader who
/// does not want all.
struct Index {
    /// Types of its events, each with a place.
    types: HashMap<Arc<str>, u32>,
    /// The place of the type of each change.
    type_of: Vec<u32>,
    /// The trees of its events.
    roots: HashSet<Option<RootId>>,
}

impl Live {
    /// Nothing yet, after `seq`.
    pub fn new(seq: u64, max_bytes: usize) -> Self {
        let ring = Ring { parts: VecDeque::new(), bytes: 0, max_bytes, forgotten: seq, newest: seq, groups: HashMap::default() };
        Self { ring: Arc::new(Mutex::new(ring)), newest: watch::Sender::new(seq) }
    }

    /// Makes durable changes known.
    pub fn publish(&self, changes: Changes) {
        if changes.count() == 0 {
            return;
        }
        let part = Arc::new(Part::new(changes));
        if self.lock().groups.keys().any(|wanted| *wanted != Wanted::default()) {
            // Others needn't wait for it.
            part.index();
        }
        let newest = self.lock().push(&part);
        // At last: whoever sees this number has been called for all up to it.
        self.newest.send_replace(newest);
    }

    /// Number of the newest event.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// How many wait for more.
    pub fn readers(&self) -> usize {
        self.lock().groups.values().map(|group| group.calls.receiver_count()).sum()
    }

    /// Tells when there is more that may be wanted. However many readers want the same, what came is looked at for them once.
    pub fn call(&self, wanted: &Wanted) -> Calls {
        let mut ring = self.lock();
        let (newest, missed) = (ring.newest, ring.forgotten);
        let group = ring.groups.entry(wanted.clone()).or_insert_with(|| Group { calls: watch::Sender::new(newest), missed });
        group.calls.subscribe()
    }

    /// Tells when there is more.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Number of the newest event, if none after number `after` is wanted, though they may be forgotten. What is called later than this
    /// is new.
    pub fn skip(&self, after: u64, calls: &mut Calls) -> Option<u64> {
        let newest = self.newest();
        (*calls.borrow_and_update()..=newest).contains(&after).then_some(newest)
    }

    /// The next events after number `after` of those that are wanted: first by type and tree, then by what they are about, for which
    /// they become JSON.
    pub fn read(&self, after: u64, wanted: &Wanted, is_about: impl Fn(&About) -> bool) -> Read {
        let (parts, newest) = {
            let ring = self.lock();
            let missed = ring.groups.get(wanted).map_or(ring.forgotten, |group| group.missed);
            if after < missed || after > ring.newest {
                return Read::Reset(ring.newest);
            }
            let first = ring.parts.partition_point(|part| part.last_seq() <= after);
            (ring.parts.range(first..).cloned().collect::<Vec<_>>(), ring.newest)
        };
        let (mut frames, mut bytes, mut looked_at, mut encoded) = (Vec::new(), 0, 0, 0);
        let mut at = newest;
        'all: for part in &parts {
            if !part.has(wanted) {
                continue;
            }
            let types = part.types(wanted);
            for seq in part.changes.first_seq().max(after + 1)..=part.last_seq() {
                if bytes.max(encoded) >= READ_AT_ONCE_BYTES || looked_at >= LOOKED_AT_AT_ONCE {
                    at = seq - 1;
                    break 'all;
                }
                looked_at += 1;
                let place = (seq - part.changes.first_seq()) as usize;
                if types.as_ref().is_none_or(|(types, of)| types[of[place] as usize])
                    && wanted.is_root(|| part.changes.tell().root_id(place))
                    && let Some(frame) = part.frame(place, &mut encoded)
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
        Self { changes, index: OnceLock::new(), frames, encoded: AtomicUsize::new(0), counted: AtomicUsize::new(0) }
    }

    fn last_seq(&self) -> u64 {
        self.changes.first_seq() + self.changes.count() as u64 - 1
    }

    fn cost(&self) -> usize {
        self.changes.tell().bytes() + self.frames.len() * (size_of::<OnceLock<Option<Frame>>>() + size_of::<u32>())
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.changes))
    }

    /// Whether some of it may be wanted.
    fn has(&self, wanted: &Wanted) -> bool {
        let is_of_root = || [None, wanted.root_id].iter().any(|root| self.index().roots.contains(root));
        let is_of_type = || {
            let types = &self.index().types;
            // Both may be as many as somebody likes.
            if wanted.types.len() <= types.len() {
                wanted.types.iter().any(|name| types.contains_key(&**name))
            } else {
                types.keys().any(|name| wanted.types.contains(&**name))
            }
        };
        (wanted.root_id.is_none() || is_of_root()) && (wanted.types.is_empty() || is_of_type())
    }

    /// Which of its types are wanted, and the type of each change, by its place among these; none if all are.
    fn types(&self, wanted: &Wanted) -> Option<(Vec<bool>, &[u32])> {
        if wanted.types.is_empty() {
            return None;
        }
        let Index { types, type_of, .. } = self.index();
        let mut is_wanted = vec![false; types.len()];
        for (name, place) in types {
            is_wanted[*place as usize] = wanted.types.contains(&**name);
        }
        Some((is_wanted, type_of))
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

impl Wanted {
    /// Whether one of this tree, or of none, is wanted.
    fn is_root(&self, of: impl FnOnce() -> Option<RootId>) -> bool {
        self.root_id.is_none_or(|root| of().is_none_or(|of| of == root))
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

    fn of_type(event_type: &str) -> Wanted {
        Wanted { types: [event_type.to_owned()].into_iter().collect(), root_id: None }
    }

    fn read(live: &Live, after: u64) -> Result<Vec<u64>, u64> {
        match live.read(after, &Wanted::default(), |_| true) {
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
            matches!(live.read(9, &of_type("neither"), |_| true), Read::Frames(frames, 13) if frames.is_empty()),
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
            let Read::Frames(frames, next) = live.read(at, &of_type("even"), |_| true) else { panic!("nothing is forgotten") };
            seen.extend(frames.iter().map(|frame| frame.seq));
            (at, reads) = (next, reads + 1);
        }
        assert_eq!(seen, (1..=5_000).map(|half| 2 * half).collect::<Vec<_>>());
        assert!(reads > 1);
    }

    #[test]
    fn whoever_wants_little_is_called_for_that_alone_and_forgets_nothing_by_what_came_between() {
        let live = Live::new(7, 1);
        let [mut even, mut neither, mut all] = [of_type("even"), of_type("neither"), Wanted::default()].map(|wanted| live.call(&wanted));
        assert_eq!((live.readers(), live.skip(7, &mut even)), (3, Some(7)), "nothing is there");
        live.publish(changes(8..=8));
        live.publish(changes(9..=9));
        let called = [&even, &neither, &all].map(|calls| calls.has_changed().unwrap());
        assert_eq!(called, [true, false, true]);
        assert_eq!((live.skip(7, &mut even), live.skip(8, &mut even)), (None, Some(9)));
        assert!(matches!(live.read(7, &of_type("even"), |_| true), Read::Reset(9)), "some of it was wanted");
        assert!(matches!(live.read(8, &of_type("even"), |_| true), Read::Frames(_, 9)), "none of it was");
        assert_eq!(read(&live, 7), Err(9), "all of it is forgotten");
        assert_eq!(live.skip(7, &mut neither), Some(9), "but none of it was wanted");
        assert_eq!((live.skip(8, &mut all), live.skip(10, &mut neither)), (None, None), "of another database");
        assert_eq!(live.skip(8, &mut live.call(&of_type("odd"))), None, "nobody has looked for whoever comes late");
        drop((even, all));
        live.publish(changes(10..=10));
        assert_eq!((live.readers(), live.skip(9, &mut neither)), (1, Some(10)));
    }

    #[test]
    fn whoever_wants_one_tree_is_told_of_it_and_of_what_is_of_none() {
        let root = |number| RootId::new(number).unwrap();
        let message = |of: Option<u128>| {
            let event = match of {
                Some(of) => {
                    serde_json::json!({"type": "process-ended", "root_id": root(of), "id": "a3ce929d0e0e4736", "time_us": 1, "outcome": "succeeded"})
                }
                None => serde_json::json!({"type": "worker-heartbeat", "time_us": 1}),
            };
            StreamMessage { event: serde_json::from_value(event).unwrap(), root: None, process: None, worker: None, log: None }
        };
        let live = Live::new(0, usize::MAX);
        live.publish(Changes::new(1, [Some(1), Some(2), Some(1)].map(message).to_vec()));
        let wanted = |number| Wanted { types: BTreeSet::new(), root_id: Some(root(number)) };
        let calls = [1, 2, 3].map(|number| live.call(&wanted(number)));
        let called = || calls.each_ref().map(|calls| *calls.borrow());
        live.publish(Changes::new(4, [Some(2)].map(message).to_vec()));
        assert_eq!(called(), [3, 4, 3]);
        live.publish(Changes::new(5, [None].map(message).to_vec()));
        assert_eq!(called(), [5; 3]);
        let seqs = |number| {
            let Read::Frames(frames, 5) = live.read(0, &wanted(number), |_| true) else { panic!("all is looked at") };
            frames.iter().map(|frame| frame.seq).collect::<Vec<_>>()
        };
        assert_eq!((seqs(1), seqs(2), seqs(3)), (vec![1, 3, 5], vec![2, 4, 5], vec![5]));
    }

    #[test]
    fn a_reader_who_wants_none_of_it_makes_but_a_part_of_it_json_at_once() {
        let live = Live::new(0, usize::MAX);
        live.publish(changes(1..=20_000));
        let Read::Frames(frames, at) = live.read(0, &Wanted::default(), |_| false) else { panic!("nothing is forgotten") };
        assert!(frames.is_empty() && at > 0 && at < 20_000, "{at}");
        let encoded = live.lock().parts[0].encoded.load(Ordering::Relaxed);
        assert!(encoded < READ_AT_ONCE_BYTES + 1_000, "{encoded}");
        // What is there already costs nothing.
        assert!(matches!(live.read(0, &Wanted::default(), |_| false), Read::Frames(_, further) if further > at));
    }
}
