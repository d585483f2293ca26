//! Pieces of the stream, as sent to readers. Readers with the same filter and position share a piece, and all pieces that some reader has
//! not sent yet are counted in one memory budget.
//!
//! Pieces are written with a limited number of permits. The first reader that needs a piece writes it; others that need the same one wait
//! for a permit and then find it. The newest pieces are kept for readers that need them a little later. Each reader holds one piece at a
//! time until its socket has consumed it. The budget has room for one piece per reader, so however slow the readers are, none waits for
//! another; only events larger than a piece make other readers wait.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldhash::HashMap;
use monitor_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::part::Frame;
use super::{Live, Read, Subscription};

/// Approximate maximum size of a piece. A single larger event makes a larger piece.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// Memory for the newest pieces, kept for other readers.
pub(crate) const RECENT_BYTES: usize = 8 << 20;
/// Memory overhead of a piece, in bytes.
const PIECE_OVERHEAD_BYTES: usize = 256;

/// Format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Server-sent events.
    Events,
    /// One line of JSON per event, for a WebSocket.
    Lines,
}

/// Formatted events.
#[derive(Debug)]
pub struct Piece {
    text: String,
    until: u64,
    room: OwnedSemaphorePermit,
}

/// Events after a position.
#[derive(Debug)]
pub enum Next {
    /// The next events. Empty if no wanted event has occurred.
    Piece(Arc<Piece>),
    /// The events are no longer available, or never were: the reader must load its data again and continue after this number.
    Reset(u64),
}

/// Formatted events, before they are counted in the budget.
struct Written {
    text: String,
    until: u64,
    /// Time to wait before they are sent.
    rest: Duration,
}

/// Reason why no piece was written.
enum Unwritten {
    /// The events are no longer available, or never were.
    Reset(u64),
    /// The events could not be read.
    Failed,
}

/// Writer and cache of pieces.
pub(super) struct Pieces {
    kibibytes: Arc<Semaphore>,
    most: usize,
    most_of_readers: u32,
    turns: Arc<Semaphore>,
    recent: Mutex<Recent>,
}

/// Key of a piece that readers can share: same filter, same format, same position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    group: u64,
    format: Format,
    after: u64,
}

#[derive(Default)]
struct Recent {
    pieces: HashMap<Key, Arc<Piece>>,
    oldest_first: VecDeque<Key>,
    bytes: usize,
    made: u64,
}

impl Piece {
    /// Returns the number of the event to continue after.
    pub fn until(&self) -> u64 {
        self.until
    }

    /// True if the piece contains no events.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn cost(&self) -> usize {
        self.room.num_permits() << 10
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Format {
    fn write(self, Frame { seq, event_type, data, .. }: &Frame, text: &mut String) {
        let _ = match self {
            Self::Events => {
                // The type can be any text that a client sent. A line break would end the field early.
                let event_type = event_type.replace(|c: char| c.is_control(), "\u{fffd}");
                writeln!(text, "id: {seq}\nevent: {event_type}\ndata: {data}\n")
            }
            Self::Lines => {
                let event_type = serde_json::Value::from(&**event_type);
                writeln!(text, r#"{{"id":{seq},"event":{event_type},"data":{data}}}"#)
            }
        };
    }
}

impl Pieces {
    /// Creates a budget with room for one piece for each of `readers` readers.
    pub(super) fn new(readers: usize) -> Self {
        let most_of_readers = u32::try_from(readers.clamp(1, 1 << 20) * (PIECE_BYTES >> 10)).unwrap_or(u32::MAX);
        let most = most_of_readers as usize + (RECENT_BYTES >> 10);
        // At most half of the CPU cores write pieces, so that others remain free for ingest.
        let turns = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        Self {
            kibibytes: Arc::new(Semaphore::new(most)),
            most,
            most_of_readers,
            turns: Arc::new(Semaphore::new(turns)),
            recent: Mutex::default(),
        }
    }

    fn find(&self, key: &Key) -> Option<Arc<Piece>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).pieces.get(key).cloned()
    }

    fn keep(&self, key: Key, piece: &Arc<Piece>) {
        let recent = &mut *self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.made += 1;
        let Entry::Vacant(place) = recent.pieces.entry(key) else { return };
        place.insert(piece.clone());
        recent.oldest_first.push_back(key);
        recent.bytes += piece.cost();
        while recent.bytes > RECENT_BYTES
            && let Some(oldest) = recent.oldest_first.pop_front()
            && let Some(piece) = recent.pieces.remove(&oldest)
        {
            recent.bytes -= piece.cost();
        }
    }

    /// Reserves memory for `bytes` bytes. A request for more than the share of all readers gets exactly that share.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.most_of_readers);
        self.kibibytes.clone().acquire_many_owned(kibibytes).await.ok()
    }

    /// Adjusts the reservation to the size of a text. A reservation that is too small is released before a larger one is acquired: if two
    /// readers each kept one while waiting for more, they could wait for each other forever.
    async fn fit(&self, mut room: OwnedSemaphorePermit, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kibibytes = bytes.div_ceil(1 << 10);
        if let Some(surplus) = room.num_permits().checked_sub(kibibytes) {
            drop(room.split(surplus));
            return Some(room);
        }
        drop(room);
        self.room(bytes).await
    }
}

impl Live {
    /// Returns the next events after number `after` as a piece. Returns `None` on failure.
    pub async fn next(&self, reader: &Subscription, after: u64, format: Format) -> Option<Next> {
        let pieces = &self.pieces;
        let key = Key { group: reader.group, format, after };
        if let Some(piece) = pieces.find(&key) {
            return Some(Next::Piece(piece));
        }
        let turn = pieces.turns.clone().acquire_owned().await.ok()?;
        // Another reader may have written the piece while this one waited for the permit.
        if let Some(piece) = pieces.find(&key) {
            return Some(Next::Piece(piece));
        }
        let room = pieces.room(PIECE_BYTES).await?;
        let (live, wanted) = (self.clone(), reader.wanted.clone());
        // The permit moves into the closure, so it is held until the piece is written even if the caller is dropped.
        let written = tokio::task::spawn_blocking(move || (live.write(after, &wanted, format), turn));
        let (Written { text, until, rest }, turn) = match written.await.ok()? {
            (Ok(written), turn) => (written, turn),
            (Err(Unwritten::Reset(newest)), _) => return Some(Next::Reset(newest)),
            (Err(Unwritten::Failed), _) => return None,
        };
        let room = pieces.fit(room, text.len() + PIECE_OVERHEAD_BYTES).await?;
        let piece = Arc::new(Piece { text, until, room });
        if until > after {
            pieces.keep(key, &piece);
        }
        // The piece is in the cache now, so readers that wait for the permit find it.
        drop(turn);
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        Some(Next::Piece(piece))
    }

    fn write(&self, after: u64, wanted: &super::Wanted, format: Format) -> Result<Written, Unwritten> {
        let begun = Instant::now();
        let failed = |error: StoreError| {
            tracing::error!(error = &error as &dyn std::error::Error, "the events of the stream can't be read");
            Unwritten::Failed
        };
        let (frames, until, rest) = match self.read(after, wanted).map_err(failed)? {
            // Only the newest event of each root is sent. While many events arrive, a pause here lets several changes of a root be combined
            // into one message.
            Read::Frames(frames, until) if wanted.each_root => (frames, until, self.rest(begun.elapsed())),
            Read::Frames(frames, until) => (frames, until, Duration::ZERO),
            Read::Reset(newest) => {
                let Some(past) = self.past.as_ref().filter(|_| after <= newest) else { return Err(Unwritten::Reset(newest)) };
                let read = past.read(after, newest, wanted).map_err(failed)?;
                let (frames, until) = read.ok_or(Unwritten::Reset(newest))?;
                (frames, until, self.rest(begun.elapsed()))
            }
        };
        let mut text = String::new();
        for frame in &frames {
            format.write(frame, &mut text);
        }
        text.shrink_to_fit();
        Ok(Written { text, until, rest })
    }

    /// Returns the time to pause after reading for `took`, so that CPU time is left for ingest.
    fn rest(&self, took: Duration) -> Duration {
        self.past.as_ref().map_or(Duration::ZERO, |past| past.rest(took, self.newest()))
    }

    /// Returns the number of bytes in pieces that readers have not sent yet or that are kept for others.
    pub fn unsent_bytes(&self) -> u64 {
        (self.pieces.most - self.pieces.kibibytes.available_permits()) as u64 * 1024
    }

    /// Returns the number of pieces written since the server started. A piece counts once, however many readers share it.
    pub fn pieces_written(&self) -> u64 {
        self.pieces.recent.lock().unwrap_or_else(PoisonError::into_inner).made
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use monitor_wire::StreamMessage;

    use super::super::Wanted;
    use super::*;
    use monitor_store::Changes;
    use monitor_store::memory::{Memory, MemoryStore};

    /// Returns events of about `bytes` bytes each.
    fn changes(seqs: std::ops::RangeInclusive<u64>, bytes: usize) -> Changes {
        let message = |seq: u64| {
            let event = serde_json::json!({"type": "large", "n": seq, "text": "x".repeat(bytes)});
            StreamMessage { event: serde_json::from_value(event).unwrap(), root: None, process: None, worker: None, log: None, as_of: 0 }
        };
        Changes::new(*seqs.start(), seqs.map(message).collect::<Vec<_>>())
    }

    async fn piece(live: &Live, reader: &Subscription, after: u64, format: Format) -> Arc<Piece> {
        match live.next(reader, after, format).await {
            Some(Next::Piece(piece)) => piece,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn readers_with_equal_filters_share_pieces() {
        let live = Live::new(0, usize::MAX, 1_000);
        let readers: Vec<_> = (0..1_000).map(|_| live.subscribe(Wanted::default())).collect();
        let other = live.subscribe(Wanted { name: Some("of nothing".to_owned()), ..Wanted::default() });
        live.publish(changes(1..=1_000, 100));
        let first = piece(&live, &readers[0], 0, Format::Events).await;
        assert!((1..1_000).contains(&first.until()), "a part of it");
        let (mut after, mut made) = (0, 0);
        while after < 1_000 {
            let one = piece(&live, &readers[0], after, Format::Events).await;
            for reader in &readers {
                assert!(Arc::ptr_eq(&one, &piece(&live, reader, after, Format::Events).await));
            }
            assert!(one.text.len() <= PIECE_BYTES && one.text.starts_with(&format!("id: {}\nevent: large\ndata: {{", after + 1)));
            (after, made) = (one.until(), made + 1);
        }
        assert_eq!(live.pieces_written(), made);
        let lines = piece(&live, &readers[0], 0, Format::Lines).await;
        assert!(lines.text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"] == "large"));
        assert!(piece(&live, &other, 0, Format::Events).await.is_empty());
    }

    #[tokio::test]
    async fn pieces_of_readers_and_the_cache_stay_within_the_memory_budget() {
        let live = Live::new(0, usize::MAX, 4);
        let reader = live.subscribe(Wanted::default());
        live.publish(changes(1..=12_000, 1_000));
        let (mut after, mut held) = (0, VecDeque::new());
        while after < 12_000 {
            let piece = piece(&live, &reader, after, Format::Events).await;
            after = piece.until();
            held.push_back(piece);
            // Each of four readers holds one piece at a time.
            if held.len() > 3 {
                held.pop_front();
            }
            assert!(live.unsent_bytes() <= (4 * PIECE_BYTES + RECENT_BYTES) as u64);
        }
        assert!(live.unsent_bytes() > RECENT_BYTES as u64 / 2, "some are kept for others");
    }

    #[tokio::test(start_paused = true)]
    async fn events_larger_than_a_piece_wait_until_others_have_sent_theirs() {
        let live = Live::new(0, usize::MAX, 64);
        let reader = live.subscribe(Wanted::default());
        live.publish(changes(1..=40, 20 * PIECE_BYTES));
        let (mut held, budget) = (VecDeque::new(), 64 * PIECE_BYTES + RECENT_BYTES);
        let next = async |after: u64| {
            let next = piece(&live, &reader, after, Format::Events);
            tokio::time::timeout(Duration::from_secs(1), next).await.ok()
        };
        while let Some(piece) = next(held.len() as u64).await {
            assert_eq!(piece.until(), held.len() as u64 + 1, "one is a piece by itself");
            held.push_back(piece);
        }
        let bytes: usize = held.iter().map(|piece| piece.text.len()).sum();
        assert!(bytes <= budget && bytes + 40 * PIECE_BYTES > budget, "{bytes}");
        let after = held.len() as u64;
        held.pop_front();
        held.pop_front();
        assert!(next(after).await.is_some(), "what was sent makes room");
    }

    /// Returns ends of processes of 40 runs.
    fn ends(seqs: std::ops::RangeInclusive<u64>) -> Changes {
        let message = |seq: u64| {
            let (root, id) = (format!("{:032x}", 1 + seq % 40), format!("{seq:016x}"));
            let event = serde_json::json!({"type": "process-ended", "root_id": root, "id": id, "time_us": 1, "outcome": "succeeded"});
            StreamMessage { event: serde_json::from_value(event).unwrap(), root: None, process: None, worker: None, log: None, as_of: 0 }
        };
        Changes::new(*seqs.start(), seqs.map(message).collect::<Vec<_>>())
    }

    /// While many events arrive, a reader of roots pauses after each piece. Events that arrive during the pause are delivered when it ends,
    /// even if no later event wakes the reader.
    #[tokio::test(start_paused = true)]
    async fn events_during_a_pause_of_a_reader_of_roots_are_sent_afterwards() {
        const CROWD: u64 = 30_000;
        let live = Live::new(0, usize::MAX, 9).with_past(Arc::new(MemoryStore::open(&Memory::default())));
        let mut reader = live.subscribe(Wanted { each_root: true, ..Wanted::default() });
        let (mut after, mut rests) = (0, 0);
        for round in 1..=3 {
            let last = round * (CROWD + 1);
            live.publish(ends(last - CROWD..=last - 1));
            tokio::time::advance(Duration::from_millis(250)).await;
            let (begun, made) = (tokio::time::Instant::now(), live.pieces_written());
            let one_more = async {
                while live.pieces_written() == made {
                    tokio::task::yield_now().await;
                }
                // The piece is written and not sent yet.
                live.publish(ends(last..=last));
            };
            let (first, ()) = tokio::join!(piece(&live, &reader, after, Format::Lines), one_more);
            rests += u32::from(begun.elapsed() > Duration::ZERO);
            assert_eq!(first.until(), last - 1);
            assert_eq!(live.skip(first.until(), &mut reader), None, "there is more");
            let second = piece(&live, &reader, first.until(), Format::Lines).await;
            assert!(second.text.contains(&format!("\"id\":{last},")), "{}", second.text);
            after = second.until();
            assert_eq!(live.skip(after, &mut reader), Some(last), "that was all");
        }
        assert!(rests > 0, "so many events came that readers rest");
    }
}
