//! The storage of recorded data until it is drained: memory of this program, or files that outlive it.

#![allow(unsafe_code, reason = "what keeps the rings gives out raw memory")]

use std::ptr::NonNull;

use crate::memory;
use crate::record::{Failure, Record, Site};

/// A piece of the rings' memory. Regions are numbered from 0 in the order of their threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// A thread's header, with its running calls.
    Region(u32),
    /// A ring of records.
    Segment {
        /// Number of its region.
        region: u32,
        /// Number of its first record.
        base: u64,
    },
    /// Open futures.
    Chunk {
        /// Number of their region.
        region: u32,
        /// Index in the region's table, from 0.
        index: u32,
    },
    /// Folds.
    Folds {
        /// Number of their region.
        region: u32,
        /// Index in the region's table, from 0.
        index: u32,
    },
}

/// An item that is about to be queued.
#[derive(Debug, Clone, Copy)]
pub enum Queued<'a> {
    /// A record. Its own times are not set.
    Record(&'a Record),
    /// The message of a failure whose end is recorded in a ring.
    Failure(&'a Failure),
}

/// Data of a queued item.
#[derive(Debug, Clone, Copy)]
pub enum Slip {
    /// Data of a record. Times are in ticks.
    Record {
        /// Start of the process, for ends.
        begun: u64,
        /// Time of the record.
        at: u64,
    },
    /// Data of a failure message.
    Failure {
        /// Id of the failed process.
        id: u64,
    },
}

/// Storage of rings and queue. Called by monitored threads inside the recorder, so its calls are not recorded.
///
/// # Safety
/// `map` must return zeroed memory that starts at a page boundary and is not used elsewhere until it is passed to `unmap`.
pub unsafe trait Keeper: Send + Sync {
    /// Returns memory for a piece. `None` if there is none left.
    fn map(&self, piece: Piece, bytes: usize) -> Option<NonNull<u8>>;

    /// Frees the memory of a piece.
    ///
    /// # Safety
    /// `start` must be the result of `map` for the same piece and number of bytes, and must not be used afterwards.
    unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize);

    /// Releases the storage of a piece outside of this program's memory. The memory stays usable and ends with the program, but its content
    /// after the first page may become zeros.
    ///
    /// # Safety
    /// `start` must be the result of `map` for the same piece and number of bytes, and its content after the first page must not be needed.
    unsafe fn detach(&self, _piece: Piece, _start: NonNull<u8>, _bytes: usize) {}

    /// Returns true if a forked child would write to the same memory as its parent.
    fn is_shared(&self) -> bool {
        false
    }

    /// Stores a site that was created at run time. Rings refer to it by this number.
    fn site(&self, _number: u32, _site: &'static Site) {}

    /// Encodes an item for [`append`](Self::append).
    fn encode(&self, _: Queued<'_>) -> Vec<u8> {
        Vec::new()
    }

    /// Stores an encoded item and calls `queue` with its number. Numbers start at 1. Calls are serialized, so
    /// numbers are in the order of the queue.
    fn append(&self, _slip: Slip, _encoded: &[u8], queue: &mut dyn FnMut(u64)) {
        queue(0);
    }

    /// Notes that a record of this event type was dropped.
    fn dropped(&self, _event: &'static str) {}
}

/// Storage in this program's memory, which ends with the program.
#[derive(Debug, Clone, Copy)]
pub struct Memory;

// SAFETY: mappings of the operating system are zeroed, start at a page boundary and are owned by the caller.
unsafe impl Keeper for Memory {
    fn map(&self, _: Piece, bytes: usize) -> Option<NonNull<u8>> {
        memory::map(bytes)
    }

    unsafe fn unmap(&self, _: Piece, start: NonNull<u8>, bytes: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe { memory::unmap(start, bytes) };
    }
}
