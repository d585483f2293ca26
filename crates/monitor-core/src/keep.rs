//! Where what is recorded lies until it is taken: memory of this program, or files that outlive it.

#![allow(unsafe_code, reason = "what keeps the rings gives out raw memory")]

use std::ptr::NonNull;

use crate::memory;
use crate::record::{Failure, Record, Site};

/// A piece of what the rings lie in. Regions are numbered from 0 as threads come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// What a thread writes about itself, and what runs on it.
    Region(u32),
    /// A ring of records.
    Segment {
        /// Its region.
        region: u32,
        /// Number of its first record.
        base: u64,
    },
    /// Open futures.
    Chunk {
        /// Their region.
        region: u32,
        /// Its place in the region's table, from 0.
        index: u32,
    },
    /// Folds.
    Folds {
        /// Their region.
        region: u32,
        /// Their place in the region's table, from 0.
        index: u32,
    },
}

/// What is about to be queued.
#[derive(Debug, Clone, Copy)]
pub enum Queued<'a> {
    /// A record; its own times are not filled in.
    Record(&'a Record),
    /// The words of a failure whose end comes by a ring.
    Failure(&'a Failure),
}

/// Data of a queued item.
#[derive(Debug, Clone, Copy)]
pub enum Slip {
    /// Of a record, in ticks.
    Record {
        /// Ends: when the process began.
        begun: u64,
        /// When it happened.
        at: u64,
    },
    /// Of a failure's words.
    Failure {
        /// The process that failed.
        id: u64,
    },
}

/// Keeps rings and queue. It is called by monitored threads, inside the recorder: what it calls is not recorded.
///
/// # Safety
/// `map` returns zeroed memory that starts at a page and is used by nobody else, until it is given to `unmap`.
pub unsafe trait Keeper: Send + Sync {
    /// Memory for a piece; `None` if there is none left.
    fn map(&self, piece: Piece, bytes: usize) -> Option<NonNull<u8>>;

    /// Takes a piece back.
    ///
    /// # Safety
    /// `start` is what `map` returned for the same piece and number of bytes, and nobody uses it any more.
    unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize);

    /// Gives back the room that a piece takes outside of this program's memory. The memory can still be used, but behind its first page
    /// it may be zeros, and it ends with the program.
    ///
    /// # Safety
    /// `start` is what `map` returned for the same piece and number of bytes, and nobody needs what is in it behind the first page.
    unsafe fn detach(&self, _piece: Piece, _start: NonNull<u8>, _bytes: usize) {}

    /// Whether a forked child would write into the same memory as its parent.
    fn is_shared(&self) -> bool {
        false
    }

    /// Keeps what a place is that was made at run time: rings name it by this number.
    fn site(&self, _number: u32, _site: &'static Site) {}

    /// The form in which [`append`](Self::append) takes it.
    fn encode(&self, _: Queued<'_>) -> Vec<u8> {
        Vec::new()
    }

    /// Keeps what was encoded and calls `queue` with its number, one at a time: they count from 1, in the order of the queue.
    fn append(&self, _slip: Slip, _encoded: &[u8], queue: &mut dyn FnMut(u64)) {
        queue(0);
    }

    /// A record of this type of event was dropped.
    fn dropped(&self, _event: &'static str) {}
}

/// Keeps them in this program's memory: they end with it.
#[derive(Debug, Clone, Copy)]
pub struct Memory;

// SAFETY: mappings of the operating system's are zeroed, start at a page and belong to who asked for them.
unsafe impl Keeper for Memory {
    fn map(&self, _: Piece, bytes: usize) -> Option<NonNull<u8>> {
        memory::map(bytes)
    }

    unsafe fn unmap(&self, _: Piece, start: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller.
        unsafe { memory::unmap(start, bytes) };
    }
}
