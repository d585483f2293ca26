//! Stores rings and queue in the spool, so that they outlive the program.

#![allow(unsafe_code, reason = "gives out memory of files")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use monitor_core::image::{CHUNK_BYTES, FIRST_RECORDS, FOLDS_BYTES, REGION_BYTES, segment_bytes};
use monitor_core::keep::{Keeper, Memory, Piece, Queued, Slip};
use monitor_core::record;

use crate::wire::{Kind, Registered, Source};
use crate::{Entry, Lane, Marks, Pieces, SpoolError};

/// Size above which no spare ring is created in advance.
const LARGEST_SPARE: usize = segment_bytes(8 * FIRST_RECORDS);

/// Connection between recorder and spool. After the first disk error, recording continues in memory.
#[derive(Debug)]
pub struct SpoolKeeper {
    pieces: Pieces,
    lane: Lane,
    marks: Marks,
    /// Serializes an event without its times, or an error. Returns an empty vector if there is no JSON form.
    encode: fn(Queued<'_>) -> Vec<u8>,
    /// Locked while a record is appended and queued, so that lane and queue have the same order.
    order: Mutex<()>,
    has_failed: AtomicBool,
    /// True if a record did not fit into the spool and is only in memory.
    has_overflown: AtomicBool,
    /// The disk error, until it is reported. It is not reported by the thread that detects it, because that thread may hold a lock, and the
    /// subscriber is code of the program.
    failure: Mutex<Option<SpoolError>>,
    /// True if a prepared piece was used and should be replaced.
    is_used: AtomicBool,
    /// True if calls are recorded or may be recorded at any moment.
    has_calls: AtomicBool,
    /// Size of the ring after the largest existing ring, in bytes.
    next_ring: AtomicUsize,
    /// Number of the last lane entry that is no longer needed.
    settled: AtomicU64,
}

impl SpoolKeeper {
    /// Creates the keeper. `encode` serializes an event without its times, or an error; its result is empty if there is no JSON form.
    pub fn new(pieces: Pieces, lane: Lane, marks: Marks, encode: fn(Queued<'_>) -> Vec<u8>) -> Self {
        SpoolKeeper {
            pieces,
            lane,
            marks,
            encode,
            order: Mutex::new(()),
            has_failed: AtomicBool::new(false),
            has_overflown: AtomicBool::new(false),
            failure: Mutex::new(None),
            is_used: AtomicBool::new(true),
            has_calls: AtomicBool::new(true),
            next_ring: AtomicUsize::new(0),
            settled: AtomicU64::new(0),
        }
    }

    /// Returns true if no error has occurred.
    pub fn is_good(&self) -> bool {
        !self.has_failed.load(Ordering::Acquire)
    }

    /// Returns true if all records are in the spool.
    pub fn is_whole(&self) -> bool {
        self.is_good() && !self.has_overflown.load(Ordering::Acquire)
    }

    /// Switches to recording in memory.
    pub fn fail(&self, why: SpoolError) {
        if !self.has_failed.swap(true, Ordering::AcqRel) {
            self.marks.given_up();
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
    }

    /// Notes that the program ends at this time, in Unix microseconds. The process that ships the rest sends a goodbye with this time. The
    /// time is 0 if the journal already contains the goodbye.
    pub fn ended(&self, time_us: u64) {
        self.marks.ended(time_us);
    }

    /// Releases memory and files of the lane after a failure.
    pub fn release_lane(&self) {
        if !self.is_good() {
            self.lane.release();
        }
    }

    /// Returns the error, once.
    pub fn failure(&self) -> Option<SpoolError> {
        if self.is_good() { None } else { self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() }
    }

    /// Notes that lane entries up to this number are no longer needed.
    pub fn settled(&self, number: u64) {
        self.settled.store(number, Ordering::Relaxed);
        self.lane.taken(number);
    }

    /// Returns approximately the number of lane entries that are in no batch.
    pub fn unread(&self) -> u64 {
        self.lane.last().saturating_sub(self.settled.load(Ordering::Relaxed))
    }

    /// Disables the preparation of memory for calls until the first call is recorded.
    pub fn without_calls(&self) {
        self.has_calls.store(false, Ordering::Relaxed);
    }

    /// Prepares files for future calls, so that no recording thread has to create them.
    pub fn prepare(&self) {
        if !self.is_good() || !self.is_used.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut prepared = Ok(());
        if self.has_calls.load(Ordering::Relaxed) {
            self.pieces.warm();
            let next_ring = self.next_ring.load(Ordering::Relaxed).min(LARGEST_SPARE);
            let wanted = [next_ring, CHUNK_BYTES, FOLDS_BYTES, segment_bytes(FIRST_RECORDS), REGION_BYTES];
            prepared = wanted.into_iter().filter(|bytes| *bytes > 0).try_for_each(|bytes| self.pieces.prepare(bytes, 1));
        }
        if self.lane.is_half_full() {
            prepared = prepared.and_then(|()| self.lane.prepare());
        }
        match prepared {
            Ok(()) | Err(SpoolError::Full { .. }) => {}
            Err(error) => self.fail(error),
        }
    }
}

/// Returns the size of a ring with twice as many records.
const fn following(bytes: usize) -> usize {
    2 * bytes - segment_bytes(0)
}

// SAFETY: pieces are new mappings of zeroed files, or of memory. They start at a page boundary and belong to the caller.
unsafe impl Keeper for SpoolKeeper {
    fn map(&self, piece: Piece, bytes: usize) -> Option<NonNull<u8>> {
        if let Piece::Segment { .. } = piece {
            self.next_ring.fetch_max(following(bytes), Ordering::Relaxed);
        }
        self.has_calls.store(true, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Release);
        if self.is_good() {
            match self.pieces.map(piece, bytes) {
                Ok(start) => return Some(start),
                Err(SpoolError::Full { .. }) => return None,
                Err(error) => self.fail(error),
            }
        }
        Memory.map(piece, bytes)
    }

    unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller. A piece that exists only in memory has no file, which is not an error.
        unsafe { self.pieces.unmap(piece, start, bytes) };
    }

    unsafe fn detach(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller; the words of rings are atomic.
        unsafe { self.pieces.detach(piece, start, bytes) };
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn site(&self, number: u32, site: &'static record::Site) {
        if !self.is_good() {
            return;
        }
        let source = Source { file: site.file.to_owned(), line: site.line };
        let site = Registered { name: site.name.to_owned(), kind: Kind::from(site.kind), source };
        match self.marks.site(u64::from(number), &site) {
            Ok(()) => {}
            Err(SpoolError::Full { .. }) => self.has_overflown.store(true, Ordering::Release),
            Err(error) => self.fail(error),
        }
    }

    fn encode(&self, queued: Queued<'_>) -> Vec<u8> {
        if self.is_good() { (self.encode)(queued) } else { Vec::new() }
    }

    fn append(&self, slip: Slip, encoded: &[u8], queue: &mut dyn FnMut(u64)) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match slip {
            Slip::Record { begun, at } => Entry::Sent { begun, at, event: encoded },
            Slip::Failure { id } => Entry::Failed { id, error: encoded },
        };
        let appended = if self.is_good() && !encoded.is_empty() { self.lane.append(&entry) } else { Ok(self.lane.last()) };
        let number = appended.unwrap_or_else(|error| {
            if matches!(error, SpoolError::Full { .. }) {
                self.has_overflown.store(true, Ordering::Release);
            } else {
                self.fail(error);
            }
            self.lane.last()
        });
        queue(number);
        self.is_used.store(true, Ordering::Release);
    }

    fn dropped(&self, event: &'static str) {
        self.marks.dropped(event);
    }
}
