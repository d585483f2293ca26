//! Events that are no longer in memory, read from the store's log of events.
//!
//! The events are the original ones. The models next to them are read when they are sent, so they can be newer than the event; their
//! `as_of` states how new. Reading the past uses much CPU time, so while many events arrive, a reader that catches up pauses after each
//! piece and leaves the CPU to ingest.

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

/// Memory for pieces of the log that were read, kept for other readers. At least one piece is kept.
const KEPT_BYTES: usize = 16 << 20;
/// Maximum number of events whose models are read at a time.
const MODELS_AT_ONCE: usize = 64;
/// Approximate size of an event's models as JSON.
const MODELS_BYTES: usize = 1_000;
/// Rate of incoming events above which the server counts as busy.
const BUSY_EVENTS_PER_SECOND: f64 = 20_000.0;
/// Interval at which the rate of events is measured.
const RATE_OVER: Duration = Duration::from_millis(200);
/// Length of the pause after a piece while the server is busy, as a multiple of the time that the piece took.
const REST: u32 = 5;
/// Maximum length of a pause.
const MAX_REST: Duration = Duration::from_millis(500);

/// Reader of the log of events.
pub(super) struct Past {
    store: Arc<dyn Queries>,
    names: Arc<Names>,
    read: Mutex<Read>,
    rate: Mutex<Rate>,
}

/// Cached pieces of the log, least recently used first.
#[derive(Default)]
struct Read {
    pieces: VecDeque<Arc<Logged>>,
    bytes: usize,
}

/// Measured rate of incoming events.
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

    /// Returns the next wanted events after number `after`, and the position to continue from, which is at most `newest`. Returns `None` if
    /// the events are no longer in the log.
    pub(super) fn read(&self, mut after: u64, newest: u64, wanted: &Wanted) -> Result<Option<(Vec<Frame>, u64)>, StoreError> {
        let (mut frames, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
        let Some(mut piece) = self.piece(after)? else { return Ok(None) };
        loop {
            let mut places = Places::of(&piece, wanted);
            while after < piece.last_seq().min(newest) {
                let first = (after + 1 - piece.first_seq()) as usize;
                let last = (piece.last_seq().min(newest) - piece.first_seq()) as usize;
                // The number that fits into the remaining space, estimated from the size of the events in the log.
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
                // The piece was deleted in the meantime, or never written. The reader learns of it when it continues from here.
                None => return Ok(Some((frames, after))),
            }
        }
    }

    /// Returns the piece that contains the event after `after`.
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

    /// Returns the events at these positions of a piece, with the current models of their subjects.
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
            // The run may have been deleted. The event itself still contains some facts.
            if frame.about.process_id.is_none() {
                frame.about = About { process_id: subject.process_id, worker_id: frame.about.worker_id, ..told };
            }
            frame.about.sender = piece.sender(*place);
            Some(frame)
        };
        Ok(places.iter().zip(&subjects).zip(models).filter_map(frame).collect())
    }

    /// Returns the time to pause after a piece that took `took`. `newest` is the number of the newest event.
    pub(super) fn rest(&self, took: Duration, newest: u64) -> Duration {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.look(Instant::now(), newest);
        if rate.is_busy { (took * REST).min(MAX_REST) } else { Duration::ZERO }
    }
}

impl Rate {
    /// Measures the rate again if the last measurement is old enough.
    fn look(&mut self, now: Instant, newest: u64) {
        let passed = now.saturating_duration_since(self.since);
        if passed >= RATE_OVER {
            let came = newest.saturating_sub(self.newest);
            // The first measurement has no previous number to compare with.
            let is_busy = self.newest > 0 && came as f64 > BUSY_EVENTS_PER_SECOND * passed.as_secs_f64();
            *self = Self { since: now, newest, is_busy };
        }
    }
}

/// Finds the events of a piece that may be wanted, by type and run.
struct Places<'a> {
    piece: &'a Logged,
    wanted: &'a Wanted,
    types: HashMap<&'a str, bool>,
    /// Positions of the newest event of each run that is sent as its root only.
    newest_of_trees: HashSet<usize>,
}

impl<'a> Places<'a> {
    fn of(piece: &'a Logged, wanted: &'a Wanted) -> Self {
        let is_of_type = |place| wanted.types.has(piece.type_name(place));
        let newest_of_trees = wanted.newest_of_trees(&mut HashSet::default(), piece.count(), is_of_type, |place| piece.root_id(place));
        Self { piece, wanted, types: HashMap::default(), newest_of_trees }
    }

    /// Returns up to `most` of these positions, after examining up to `looked_at` of them, and the position to continue from.
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
    fn a_server_is_busy_while_many_events_arrive() {
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
