//! Keeps rings and queue in the spool, so that they outlive the program.

#![allow(unsafe_code, reason = "gives out memory of files")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use monitor_core::image::{CHUNK_BYTES, FIRST_RECORDS, FOLDS_BYTES, REGION_BYTES, segment_bytes};
use monitor_core::keep::{Keeper, Memory, Piece, Queued, Slip};
use monitor_core::record;

use crate::wire::{Kind, Registered, Source};
use crate::{Entry, Lane, Marks, Pieces, SpoolError};

/// A larger one is not made before it is needed.
const LARGEST_SPARE: usize = segment_bytes(8 * FIRST_RECORDS);

/// Once the disk refuses anything, all goes on in memory.
#[derive(Debug)]
pub struct SpoolKeeper {
    pieces: Pieces,
    lane: Lane,
    marks: Marks,
    /// The JSON of an event without its times, or of an error; empty if there is none.
    encode: fn(Queued<'_>) -> Vec<u8>,
    /// Held while something is appended and queued.
    order: Mutex<()>,
    has_failed: AtomicBool,
    /// Something was recorded that found no room: it is in memory alone.
    has_overflown: AtomicBool,
    /// Why, until it is told. Not by the thread that finds out: it may hold a lock, and whom it tells is the program's.
    failure: Mutex<Option<SpoolError>>,
    /// Something was used that should be ready for the next one.
    is_used: AtomicBool,
    /// Calls are recorded, or may be at any moment.
    has_calls: AtomicBool,
    /// Bytes of what follows the largest ring.
    next_ring: AtomicUsize,
    /// Number of the last entry that is needed no more.
    settled: AtomicU64,
}

impl SpoolKeeper {
    /// `encode` makes an event, without its times, or an error JSON; nothing where there is none.
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

    /// Whether it has not failed.
    pub fn is_good(&self) -> bool {
        !self.has_failed.load(Ordering::Acquire)
    }

    /// Whether all that was recorded is in it.
    pub fn is_whole(&self) -> bool {
        self.is_good() && !self.has_overflown.load(Ordering::Acquire)
    }

    /// From here on all goes on in memory.
    pub fn fail(&self, why: SpoolError) {
        if !self.has_failed.swap(true, Ordering::AcqRel) {
            self.marks.given_up();
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
    }

    /// The program ends at this time, in Unix microseconds. The process that ships the rest sends a goodbye with this time, unless the
    /// time is 0, because the journal has the goodbye.
    pub fn ended(&self, time_us: u64) {
        self.marks.ended(time_us);
    }

    /// Gives back the memory and the files of the lane, once it has failed.
    pub fn release_lane(&self) {
        if !self.is_good() {
            self.lane.release();
        }
    }

    /// Why it has failed, once.
    pub fn failure(&self) -> Option<SpoolError> {
        if self.is_good() { None } else { self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() }
    }

    /// Entries up to this number are needed no more.
    pub fn settled(&self, number: u64) {
        self.settled.store(number, Ordering::Relaxed);
        self.lane.taken(number);
    }

    /// Number of entries that came by the queue and are in no batch, or little more.
    pub fn unread(&self) -> u64 {
        self.lane.last().saturating_sub(self.settled.load(Ordering::Relaxed))
    }

    /// No memory is made ready for calls before there is one.
    pub fn without_calls(&self) {
        self.has_calls.store(false, Ordering::Relaxed);
    }

    /// Makes files ready for all that a call may need next, so that no recording thread has to.
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

/// Bytes of a ring with twice as many records.
const fn following(bytes: usize) -> usize {
    2 * bytes - segment_bytes(0)
}

// SAFETY: pieces are new mappings of zeroed files, or of memory, which start at a page and belong to who asked for them.
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
        // SAFETY: as promised by the caller. What is memory alone has no file, which is no mistake.
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
