//! What is no longer in memory, told from the store's log of events.
//!
//! The facts are told as they came. The models beside them are read when they are told, so that they may be newer, and say what they are
//! as of. A reader who catches up leaves most of the processors to those who store: while many events come in, it rests after each piece.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::{HashMap, HashSet};
use monitor_store::{Logged, Models, Queries, StoreError, Subject};
use monitor_wire::StreamMessage;
use tokio::time::Instant;

use super::names::Names;
use super::part::{About, Frame, with_root_alone};
use super::wanted::Extent;
use super::{LOOKED_AT_AT_ONCE, READ_AT_ONCE_BYTES, Wanted};

/// So many bytes of pieces that were read stay in memory for the next readers; at least one piece.
const KEPT_BYTES: usize = 16 << 20;
/// Models are read for at most so many events at once.
const MODELS_AT_ONCE: usize = 64;
/// About how many bytes of JSON the models beside an event take.
const MODELS_BYTES: usize = 1_000;
/// The server is busy while so many events come in a second.
const BUSY_EVENTS_PER_SECOND: f64 = 20_000.0;
/// The rate of events is looked at again after so long.
const RATE_OVER: Duration = Duration::from_millis(200);
/// While the server is busy, a piece is followed by a rest of so many times as long as it took.
const REST: u32 = 5;
/// No rest is longer.
const MAX_REST: Duration = Duration::from_millis(500);

/// Tells what has been told before.
pub(super) struct Past {
    store: Arc<dyn Queries>,
    names: Arc<Names>,
    read: Mutex<Read>,
    rate: Mutex<Rate>,
}

/// Pieces of the log that were read, the one that was used last at the end.
#[derive(Default)]
struct Read {
    pieces: VecDeque<Arc<Logged>>,
    bytes: usize,
}

/// How many events come in.
struct Rate {
    since: Instant,
    newest: u64,
    is_busy: bool,
}

impl Past {
    pub(super) fn new(store: Arc<dyn Queries>, names: Arc<Names>) -> Self {
        let rate = Rate { since: Instant::now(), newest: 0, is_busy: false };
        Self { store, names, read: Mutex::default(), rate: Mutex::new(rate) }
    }

    /// The next events after number `after` of those that are wanted, and after which number to go on, but no further than `newest`; none
    /// if they are no longer in the log.
    pub(super) fn read(&self, mut after: u64, newest: u64, wanted: &Wanted) -> Result<Option<(Vec<Frame>, u64)>, StoreError> {
        let (mut frames, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
        let Some(mut piece) = self.piece(after)? else { return Ok(None) };
        loop {
            let mut places = Places::of(&piece, wanted);
            while after < piece.last_seq().min(newest) {
                let first = (after + 1 - piece.first_seq()) as usize;
                let last = (piece.last_seq().min(newest) - piece.first_seq()) as usize;
                // As many as fit into what is left, of about the size that they have in the log.
                let each = MODELS_BYTES + piece.bytes() / piece.count();
                let most = (READ_AT_ONCE_BYTES.saturating_sub(bytes) / each).clamp(1, MODELS_AT_ONCE);
                let (chosen, next) = places.next(first..=last, most, LOOKED_AT_AT_ONCE - looked_at);
                looked_at += next - first;
                for frame in self.frames(&piece, &chosen, wanted)? {
                    if wanted.is_about(&frame.about, &self.names)? {
                        bytes += frame.cost();
                        frames.push(frame);
                    }
                }
                after = piece.first_seq() + next as u64 - 1;
                if bytes >= READ_AT_ONCE_BYTES || looked_at >= LOOKED_AT_AT_ONCE {
                    return Ok(Some((frames, after)));
                }
            }
            if after >= newest {
                return Ok(Some((frames, after)));
            }
            match self.piece(after)? {
                Some(next) => piece = next,
                // It went meanwhile, or was never written: whoever goes on from here is told so.
                None => return Ok(Some((frames, after))),
            }
        }
    }

    /// The piece with the event after `after`.
    fn piece(&self, after: u64) -> Result<Option<Arc<Logged>>, StoreError> {
        let has = |piece: &Arc<Logged>| (piece.first_seq()..=piece.last_seq()).contains(&(after + 1));
        let lock = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut read = lock();
            if let Some(place) = read.pieces.iter().position(has)
                && let Some(piece) = read.pieces.remove(place)
            {
                read.pieces.push_back(piece.clone());
                return Ok(Some(piece));
            }
        }
        let Some(piece) = self.store.logged(after)?.map(Arc::new) else { return Ok(None) };
        let read = &mut *lock();
        if !read.pieces.iter().any(has) {
            read.bytes += piece.bytes();
            read.pieces.push_back(piece.clone());
        }
        while read.bytes > KEPT_BYTES
            && read.pieces.len() > 1
            && let Some(oldest) = read.pieces.pop_front()
        {
            read.bytes -= oldest.bytes();
        }
        Ok(Some(piece))
    }

    /// The events at these places of a piece, with what there is now of all that they are about.
    fn frames(&self, piece: &Logged, places: &[usize], wanted: &Wanted) -> Result<Vec<Frame>, StoreError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let subjects: Vec<_> = places.iter().map(|place| piece.about(*place)).collect();
        let (models, as_of) = self.store.models(&subjects)?;
        let frame = |((place, subject), Models { root, process, worker }): ((&usize, &Subject), Models)| {
            let (event, log) = (piece.event(*place), piece.log(*place));
            let told = About::told_by(&event);
            let mut message = StreamMessage { event, root, process, worker, log, as_of };
            if wanted.extent(|| piece.root_id(*place)) == Extent::Root {
                message = with_root_alone(message);
            }
            let mut frame = Frame::of(piece.first_seq() + *place as u64, piece.type_name(*place), &message)?;
            // Its tree may be dropped by now: what the event says itself is still known.
            if frame.about.process_id.is_none() {
                frame.about = About { process_id: subject.process_id, worker_id: frame.about.worker_id, ..told };
            }
            frame.about.sender = piece.sender(*place);
            Some(frame)
        };
        Ok(places.iter().zip(&subjects).zip(models).filter_map(frame).collect())
    }

    /// How long to rest after a piece that took so long, when the newest event has this number.
    pub(super) fn rest(&self, took: Duration, newest: u64) -> Duration {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.look(Instant::now(), newest);
        if rate.is_busy { (took * REST).min(MAX_REST) } else { Duration::ZERO }
    }
}

impl Rate {
    /// Looks how many events came, if the last look was long ago.
    fn look(&mut self, now: Instant, newest: u64) {
        let passed = now.saturating_duration_since(self.since);
        if passed >= RATE_OVER {
            let came = newest.saturating_sub(self.newest);
            // Of the time before the first look nothing is known.
            let is_busy = self.newest > 0 && came as f64 > BUSY_EVENTS_PER_SECOND * passed.as_secs_f64();
            *self = Self { since: now, newest, is_busy };
        }
    }
}

/// Finds the events of a piece that may be wanted, by type and tree.
struct Places<'a> {
    piece: &'a Logged,
    wanted: &'a Wanted,
    types: HashMap<&'a str, bool>,
    /// Places of the newest event of each tree of which only the root is told.
    newest_of_trees: HashSet<usize>,
}

impl<'a> Places<'a> {
    fn of(piece: &'a Logged, wanted: &'a Wanted) -> Self {
        let is_of_type = |place| wanted.types.has(piece.type_name(place));
        let newest_of_trees = wanted.newest_of_trees(&mut HashSet::default(), piece.count(), is_of_type, |place| piece.root_id(place));
        Self { piece, wanted, types: HashMap::default(), newest_of_trees }
    }

    /// At most `most` of these places, of which no more than `looked_at` are looked at; and the place to go on from.
    fn next(&mut self, places: std::ops::RangeInclusive<usize>, most: usize, looked_at: usize) -> (Vec<usize>, usize) {
        let (mut chosen, mut next) = (Vec::new(), *places.start());
        for place in places.take(looked_at) {
            if chosen.len() == most {
                break;
            }
            next = place + 1;
            let is_wanted = match self.wanted.extent(|| self.piece.root_id(place)) {
                Extent::All => true,
                Extent::Root => self.newest_of_trees.contains(&place),
                Extent::Nothing => false,
            };
            if is_wanted && self.is_of_type(place) {
                chosen.push(place);
            }
        }
        (chosen, next)
    }

    fn is_of_type(&mut self, place: usize) -> bool {
        let wanted = &self.wanted.types;
        let name = self.piece.type_name(place);
        *self.types.entry(name).or_insert_with(|| wanted.has(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_busy_while_many_events_come_in() {
        let begun = Instant::now();
        let mut rate = Rate { since: begun, newest: 0, is_busy: false };
        let mut busy = |after_ms: u64, newest: u64| {
            rate.look(begun + Duration::from_millis(after_ms), newest);
            rate.is_busy
        };
        assert!(!busy(1_000, 5_000_000), "nothing is known of the time before");
        assert!(!busy(1_100, 6_000_000), "too early to tell");
        assert!(busy(2_000, 6_000_000));
        assert!(busy(2_100, 6_000_000), "too early to tell");
        assert!(!busy(3_000, 6_010_000));
    }
}
