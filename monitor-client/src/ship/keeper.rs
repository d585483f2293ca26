//! Keeps rings and queue in the spool, so that they outlive the program.

#![allow(unsafe_code, reason = "gives out memory of files")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use monitor_core::image::{CHUNK_BYTES, FIRST_RECORDS, REGION_BYTES, segment_bytes};
use monitor_core::keep::{Keeper, Memory, Piece, Queued, Slip};
use monitor_spool::{Entry, Lane, Marks, Pieces, SpoolError};

use super::folds::Folds;
use super::to_wire;

/// Once the disk refuses anything, all goes on in memory.
#[derive(Debug)]
pub(super) struct SpoolKeeper {
    pieces: Pieces,
    lane: Lane,
    marks: Marks,
    /// Held while something is appended and queued.
    order: Mutex<()>,
    has_failed: AtomicBool,
    /// Why, until it is told. Not by the thread that finds out: it may hold a lock, and whom it tells is the program's.
    failure: Mutex<Option<SpoolError>>,
    /// Something was used that should be ready for the next one.
    is_used: AtomicBool,
    has_chunks: AtomicBool,
}

impl SpoolKeeper {
    pub(super) fn new(pieces: Pieces, lane: Lane, marks: Marks) -> Self {
        SpoolKeeper {
            pieces,
            lane,
            marks,
            order: Mutex::new(()),
            has_failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            is_used: AtomicBool::new(true),
            has_chunks: AtomicBool::new(false),
        }
    }

    /// Whether it has not failed.
    pub(super) fn is_good(&self) -> bool {
        !self.has_failed.load(Ordering::Acquire)
    }

    /// From here on all goes on in memory.
    pub(super) fn fail(&self, why: SpoolError) {
        if !self.has_failed.swap(true, Ordering::AcqRel) {
            self.marks.given_up();
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
    }

    /// Why it has failed, once.
    pub(super) fn failure(&self) -> Option<SpoolError> {
        if self.is_good() { None } else { self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() }
    }

    /// Entries up to this number are needed no more.
    pub(super) fn settled(&self, number: u64) {
        self.lane.taken(number);
    }

    /// Makes files ready, so that no recording thread has to.
    pub(super) fn prepare(&self) {
        if !self.is_good() || !self.is_used.swap(false, Ordering::AcqRel) {
            return;
        }
        let chunks = usize::from(self.has_chunks.load(Ordering::Relaxed));
        let prepared = [(REGION_BYTES, 1), (segment_bytes(FIRST_RECORDS), 1), (CHUNK_BYTES, chunks)]
            .into_iter()
            .try_for_each(|(bytes, count)| self.pieces.prepare(bytes, count));
        match prepared.and_then(|()| self.lane.prepare()) {
            Ok(()) | Err(SpoolError::Full { .. }) => {}
            Err(error) => self.fail(error),
        }
    }
}

// SAFETY: pieces are new mappings of zeroed files, or of memory, which start at a page and belong to who asked for them.
unsafe impl Keeper for SpoolKeeper {
    fn map(&self, piece: Piece, bytes: usize) -> Option<NonNull<u8>> {
        self.is_used.store(true, Ordering::Release);
        if let Piece::Chunk { .. } = piece {
            self.has_chunks.store(true, Ordering::Relaxed);
        }
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

    fn is_shared(&self) -> bool {
        true
    }

    fn encode(&self, queued: Queued<'_>) -> Vec<u8> {
        if !self.is_good() {
            return Vec::new();
        }
        let encoded = match queued {
            Queued::Record(record) => to_wire::event(record.clone(), &mut Folds::default()).map(|event| serde_json::to_vec(&event)),
            Queued::Failure(failure) => Some(serde_json::to_vec(&to_wire::error(failure.clone()))),
        };
        encoded.and_then(Result::ok).unwrap_or_default()
    }

    fn append(&self, slip: Slip, encoded: &[u8], queue: &mut dyn FnMut(u64)) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match slip {
            Slip::Record { begun, at } => Entry::Sent { begun, at, event: encoded },
            Slip::Failure { id } => Entry::Failed { id, error: encoded },
        };
        let appended = if self.is_good() && !encoded.is_empty() { self.lane.append(&entry) } else { Ok(self.lane.last()) };
        let number = appended.unwrap_or_else(|error| {
            // One that finds no room is kept in memory alone.
            if !matches!(error, SpoolError::Full { .. }) {
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
