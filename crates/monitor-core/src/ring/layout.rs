//! The layout of recorded calls in memory: whole words, all atomic, initially zero.
//!
//! ```text
//! region, one per recording thread
//! ├─ writer      data written by the thread: number of records, depth, …
//! ├─ reader      data written by the drainer: number of records taken, …
//! ├─ current     stack of the frames and of the slots of futures that are current on the thread
//! ├─ frames      calls that run on the thread, at their places in that stack
//! ├─ chunks      open table of the futures that began on the thread
//! ├─ refused     number of starts that found no room, by tree
//! ├─ children    number of calls by pair of parent and name, for the latest pairs of the thread
//! ├─ folds       calls that are counted instead of recorded: one slot per parent and name
//! └─ fold_places the slot where a search starts
//! segment, one or more per region
//! └─ records     ring of the ended calls
//! ```
//! A record has 64 bytes: start, id, parent, root (2 words), end, facts, check. The last word is the checksum and is stored last: it
//! commits the record. A frame holds the same without an end, and data for its owner.

#![allow(unsafe_code, reason = "memory of the operating system's is given its form here")]

mod fold;
mod segment;

use std::mem::size_of;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

pub(super) use self::fold::{CLOSING, FREE, Fold, FoldReader};
pub(super) use self::segment::{Segment, SegmentRef};
pub(super) use super::line::{ENDED_IN_SLOT, FACTORS, Line, RUNNING, Word, Words, inverse};
use crate::keep::{Keeper, Piece};
use crate::memory;

/// Maximum number of sync calls open in the frames of one thread. Deeper calls are recorded in another way.
pub(super) const DEPTH: usize = 512;
/// Number of futures in one chunk of the open table.
pub(super) const CHUNK: usize = 64;
/// Maximum number of chunks per thread.
pub(super) const CHUNKS: usize = 512;
/// Maximum number of bytes of a thread's name that are kept in its region.
pub(super) const NAME: usize = 64;
/// Number of trees whose refused starts one thread counts by itself.
const REFUSED: usize = 16;
/// Number of pairs of parent and name whose children one thread counts.
const CHILDREN: usize = 128;
/// Number of slots that such a pair may take.
const WAYS: usize = 4;
/// Number of fold slots that are added together.
const FOLDS_AT_ONCE: usize = 8;
/// Maximum number of such additions.
const FOLD_CHUNKS: usize = 64;

pub(super) const REGION_BYTES: usize = size_of::<Region>();
pub(super) const CHUNK_BYTES: usize = size_of::<Chunk>();
pub(super) const FOLD_CHUNK_BYTES: usize = FOLDS_AT_ONCE * size_of::<Fold>();

/// A running call or future, or a context that is current.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Frame {
    pub(super) line: Line,
    /// The parent of its children: its own id or, if it is folded, the mark of its fold.
    pub(super) below: Word,
    fold: AtomicPtr<Fold>,
    /// Id of a folded call that the drainer has reported individually. Written by the drainer.
    pub(super) promoted: Word,
    /// The [`recording`](crate::switch::recording) that it began in, in the bits above the [`Mark`]s.
    marks: Word,
    /// In slots: the region that the slot belongs to.
    home: AtomicPtr<Region>,
    /// In free slots: the next free one.
    next_free: AtomicPtr<Frame>,
    /// A value that depends on the kind of frame. 0 for nothing.
    ///
    /// - Process recorded by the queue: its id, until its ids are read.
    /// - Process without a row: its key, see [`set_quiet`](super::current::set_quiet).
    /// - Call: its id, once it was [lent](super::Lent) and has a child on another thread.
    /// - Slot: the token returned by [`context::push`](crate::context::push) if the future was dropped before its end.
    pub(super) leftover: Word,
    /// The parent of its children, if [`counts`](super::counts) may hold a count of them.
    pub(super) gave_way: Word,
}

/// A flag of a frame.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum Mark {
    /// Its thread was already panicking when it began.
    Panicking = 1,
    /// Threads without a context may join its tree.
    Entry = 2,
    /// It ended while another frame was above it.
    Gone = 4,
    /// It represents a process of this program that was recorded by the queue.
    Queued = 8,
    /// Its ids were read, so it may have been marked as failed.
    Known = 16,
    /// It was pushed for a process that has no row of its own.
    Quiet = 32,
}

impl Frame {
    /// Resets the marks for something that begins in this [`recording`](crate::switch::recording).
    #[inline]
    pub(super) fn set_marks(&self, recording: u32, was_panicking: bool) {
        self.marks.set(u64::from(recording) << 32 | u64::from(was_panicking));
    }

    /// Takes the marks of another frame.
    pub(super) fn copy_marks(&self, other: &Frame) {
        self.marks.set(other.marks.get());
    }

    /// Returns the [`recording`](crate::switch::recording) that it began in.
    #[inline]
    pub(super) fn recording(&self) -> u32 {
        (self.marks.get() >> 32) as u32
    }

    #[inline]
    pub(super) fn is(&self, mark: Mark) -> bool {
        self.marks.get() & mark as u64 != 0
    }

    /// Returns true if its end needs more work than that of most calls.
    #[inline]
    pub(super) fn is_unusual(&self) -> bool {
        self.marks.get() & (Mark::Entry as u64 | Mark::Known as u64) != 0
    }

    pub(super) fn mark(&self, mark: Mark) {
        self.marks.set(self.marks.get() | mark as u64);
    }

    pub(super) fn unmark(&self, mark: Mark) {
        self.marks.set(self.marks.get() & !(mark as u64));
    }

    /// Returns the fold that it is counted in, if it is folded.
    #[inline]
    pub(super) fn fold(&self) -> Option<&'static Fold> {
        // SAFETY: null, or a slot that lives as long as the program.
        unsafe { self.fold.load(Ordering::Relaxed).as_ref() }
    }

    /// Takes it out of its fold. Only one of several concurrent callers gets the fold.
    pub(super) fn take_fold(&self) -> Option<&'static Fold> {
        // SAFETY: see `fold`.
        unsafe { self.fold.swap(null_mut(), Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(super) fn set_fold(&self, fold: Option<&'static Fold>) {
        self.fold.store(fold.map_or(null_mut(), |fold| std::ptr::from_ref(fold).cast_mut()), Ordering::Relaxed);
    }

    /// Returns parent and tree of its children.
    #[inline]
    pub(super) fn parent_ids(&self) -> (u64, [u64; 2]) {
        (self.below.get(), self.line.ids().1)
    }

    /// Returns the region of a slot.
    pub(super) fn home(&self) -> Option<&'static Region> {
        // SAFETY: null until `set_home`, which takes a region that lives as long as the program.
        unsafe { self.home.load(Ordering::Relaxed).as_ref() }
    }

    pub(super) fn set_home(&self, region: &'static Region) {
        self.home.store(std::ptr::from_ref(region).cast_mut(), Ordering::Relaxed);
    }
}

/// A part of an open table.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Chunk {
    pub(super) slots: [Frame; CHUNK],
}

/// The number of children with the same name that a parent has had on a thread.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Child {
    /// Key of parent and site, see [`child_key`]. 0 if the slot is free.
    pub(super) key: Word,
    /// Number of children that were not yet added to the counts of the other threads.
    pub(super) count: Word,
    /// The last id of the thread when the last child began.
    pub(super) seen: Word,
    /// A pointer, whose lowest bits say what it points to, see [`ChildrenSeen`].
    place: AtomicPtr<u8>,
}

/// What is known of the children of one name besides their number.
#[derive(Debug, Clone, Copy)]
pub(super) enum ChildrenSeen {
    /// Further children are counted in this fold.
    Fold(&'static Fold),
    /// No child is folded yet. Their parent had this frame or slot when the first child began; it may be used for something else now.
    Parent(&'static Frame),
    /// No child is folded yet. Their parents are the calls that were counted in this fold; it may count others now.
    ParentFold(&'static Fold),
    /// No child is folded yet, and their parent may be anywhere.
    Unknown,
}

impl ChildrenSeen {
    const FOLD: usize = 1;
    const PARENT: usize = 2;
    const PARENT_FOLD: usize = 4;
    const BITS: usize = 7;
}

const SITE: u64 = FACTORS[1];

/// Returns the key of a parent and a site. Ids are random, so no two pairs have the same key.
#[inline]
pub(super) fn child_key(parent: u64, site: u64) -> u64 {
    parent.wrapping_add(site.wrapping_mul(SITE))
}

/// Returns the site of a key if the key belongs to this parent.
pub(super) fn site_of(key: u64, parent: u64) -> Option<u64> {
    const MOST_SITES: u64 = 1 << 32;
    Some(key.wrapping_sub(parent).wrapping_mul(inverse(SITE))).filter(|site| *site < MOST_SITES)
}

impl Child {
    /// Returns the fold that further children begin in, if there is one.
    #[inline]
    #[allow(clippy::cast_ptr_alignment, reason = "what `set_place` was given is aligned")]
    pub(super) fn fold(&self) -> Option<&'static Fold> {
        let place = self.place.load(Ordering::Relaxed);
        // SAFETY: a fold, by what `set_place` was given, and folds live as long as the program.
        if place.addr() & ChildrenSeen::FOLD != 0 { Some(unsafe { &*place.byte_sub(ChildrenSeen::FOLD).cast::<Fold>() }) } else { None }
    }

    #[inline]
    #[allow(clippy::cast_ptr_alignment, reason = "what `set_place` was given is aligned")]
    pub(super) fn place(&self) -> ChildrenSeen {
        let place = self.place.load(Ordering::Relaxed);
        let pointer = place.map_addr(|place| place & !ChildrenSeen::BITS);
        // SAFETY: the pointer comes from `set_place`, and everything that it takes lives as long as the program.
        unsafe {
            match place.addr() & ChildrenSeen::BITS {
                ChildrenSeen::FOLD => ChildrenSeen::Fold(&*pointer.cast::<Fold>()),
                ChildrenSeen::PARENT => ChildrenSeen::Parent(&*pointer.cast::<Frame>()),
                ChildrenSeen::PARENT_FOLD => ChildrenSeen::ParentFold(&*pointer.cast::<Fold>()),
                _ => ChildrenSeen::Unknown,
            }
        }
    }

    #[inline]
    pub(super) fn set_place(&self, place: ChildrenSeen) {
        let (pointer, bits): (*const u8, usize) = match place {
            ChildrenSeen::Fold(fold) => (std::ptr::from_ref(fold).cast(), ChildrenSeen::FOLD),
            ChildrenSeen::Parent(frame) => (std::ptr::from_ref(frame).cast(), ChildrenSeen::PARENT),
            ChildrenSeen::ParentFold(fold) => (std::ptr::from_ref(fold).cast(), ChildrenSeen::PARENT_FOLD),
            ChildrenSeen::Unknown => (std::ptr::null(), 0),
        };
        self.place.store(pointer.map_addr(|pointer| pointer | bits).cast_mut(), Ordering::Relaxed);
    }

    pub(super) fn swap(&self, other: &Child) {
        for (own, other) in [(&self.key, &other.key), (&self.count, &other.count), (&self.seen, &other.seen)] {
            let value = own.get();
            own.set(other.get());
            other.set(value);
        }
        let place = self.place.load(Ordering::Relaxed);
        self.place.store(other.place.load(Ordering::Relaxed), Ordering::Relaxed);
        other.place.store(place, Ordering::Relaxed);
    }
}

/// Refused starts of a tree. The tree changes only while the queue's count of drops is locked.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Refused {
    /// The tree, or zero for starts that would have begun one, because such a tree is unknown to everyone.
    pub(super) root: [Word; 2],
    pub(super) count: Word,
}

/// The part of a region that is written by the recording thread.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Writer {
    /// Number of records written.
    pub(super) head: Word,
    /// Number of frames in use.
    pub(super) depth: Word,
    /// A start is admitted while `head + depth` is below this: each open frame has a place for its record.
    pub(super) limit: Word,
    /// Number of frames that may be used.
    pub(super) ceiling: Word,
    /// Number of frames in use that have ended already.
    pub(super) gone: Word,
    /// The last id that was given.
    pub(super) last_id: Word,
    /// Address of the program's sites.
    pub(super) sites: Word,
    /// Number of the thread, as stored in the facts of its calls.
    pub(super) thread: Word,
    /// The first free slot.
    free: AtomicPtr<Frame>,
    /// Number of slots that were ever used.
    pub(super) slots: Word,
    /// Value of [`Reader::freed`] when the thread last searched for free slots.
    pub(super) freed_seen: Word,
    /// Capacity of the current segment, in records.
    pub(super) capacity: Word,
    /// Number of the region.
    pub(super) region: Word,
    /// Number of children of one parent and name that are counted before they are added to the counts of the other threads.
    pub(super) fold_share: Word,
    /// Number of fold slots that were ever used.
    pub(super) folds: Word,
    /// How often a fold slot came into use.
    pub(super) fold_news: Word,
    segment: AtomicPtr<Segment>,
    /// Number of refused starts, and its product with an odd number, so that a reader can validate it.
    pub(super) refused: [Word; 2],
    /// Number of children of one parent and name that are recorded individually.
    pub(super) fold_after: Word,
    /// Bits added to the facts of woven calls: `MAY_BE_BRIEF`, or none.
    pub(super) woven: Word,
}

/// The part of a region that is written by others than the recording thread.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Reader {
    /// Number of records taken.
    pub(super) tail: Word,
    /// Number of slots that were freed by others.
    pub(super) freed: Word,
    /// 1 if the thread is gone and the region waits for another one.
    pub(super) is_left: Word,
    /// Length of the thread's name in bytes, and those bytes in little-endian words.
    pub(super) name_len: Word,
    pub(super) name: [Word; NAME / 8],
}

impl Reader {
    /// Stores as much of the name as there is room for.
    pub(super) fn set_name(&self, name: &str) {
        let mut bytes = [0; NAME];
        let len = (0..=name.len().min(NAME)).rfind(|at| name.is_char_boundary(*at)).unwrap_or(0);
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        self.name_len.set(0);
        for (word, bytes) in self.name.iter().zip(bytes.as_chunks().0) {
            word.set(u64::from_le_bytes(*bytes));
        }
        self.name_len.publish(len as u64);
    }
}

/// The memory that one thread records into.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Region {
    pub(super) writer: Writer,
    pub(super) reader: Reader,
    chunks: [AtomicPtr<Chunk>; CHUNKS],
    folds: [AtomicPtr<Fold>; FOLD_CHUNKS],
    children: [Child; CHILDREN],
    pub(super) refused: [Refused; REFUSED],
    /// For each frame in use: the frame itself if it is current, or the slot of the future that is. Only valid for its own thread.
    current: [AtomicPtr<Frame>; DEPTH],
    pub(super) frames: [Frame; DEPTH],
    /// Numbers of fold slots, by the [`child_key`] that they count: where a search starts.
    fold_places: [Word; FOLDS_AT_ONCE * FOLD_CHUNKS],
}

impl Region {
    /// Creates a region with a first segment for `records` records.
    pub(super) fn new(keeper: &dyn Keeper, number: u32, records: usize) -> Option<(&'static Self, SegmentRef)> {
        let segment = SegmentRef::new(keeper, number, records, 0)?;
        let Some(memory) = keeper.map(Piece::Region(number), REGION_BYTES) else {
            // SAFETY: the segment was not passed to anyone else.
            unsafe { segment.free(keeper, number) };
            return None;
        };
        // SAFETY: zeroed memory of this size, aligned to a page, is a region of zeroed atomics; it is never given back.
        let region: &'static Region = unsafe { memory.cast::<Region>().as_ref() };
        region.writer.region.set(u64::from(number));
        region.set_segment(segment);
        Some((region, segment))
    }

    /// Returns the place where this thread counts the refused starts of a tree, which may hold those of another tree.
    pub(super) fn refused(&self, root: [u64; 2]) -> &Refused {
        // These are random bits.
        &self.refused[root[1] as usize % REFUSED]
    }

    /// Returns its number among the regions of the program.
    pub(super) fn number(&self) -> u32 {
        self.writer.region.get() as u32
    }

    /// Copies the current contexts of its thread into private memory of this program.
    pub(super) fn copy(&self) -> Option<NonNull<u8>> {
        let start = memory::map(REGION_BYTES)?;
        // SAFETY: zeroed memory of this size, aligned to a page, is a region of zeroed atomics.
        let copy: &Region = unsafe { start.cast::<Region>().as_ref() };
        copy.set_segment(self.segment());
        copy.writer.depth.set(self.writer.depth.get());
        copy.writer.gone.set(self.writer.gone.get());
        for depth in 0..self.writer.depth.get() as usize {
            let (Some(frame), copied) = (self.current(depth), &copy.frames[depth]) else { continue };
            // The child's processes will be below it.
            super::fold::keep(frame);
            copied.line.set_ids(frame.line.own().id, frame.line.own().root);
            copied.below.set(frame.below.get());
            copied.copy_marks(&self.frames[depth]);
            // The place where the copy will be
            copy.set_current(depth, &self.frames[depth]);
        }
        Some(start)
    }

    /// Returns the frame or slot that is current at this depth, which is in use.
    #[inline]
    pub(super) fn current(&self, depth: usize) -> Option<&'static Frame> {
        // SAFETY: null, or a frame or slot that lives as long as the program.
        unsafe { self.current.get(depth)?.load(Ordering::Relaxed).as_ref() }
    }

    /// Makes a frame or slot current at this depth, which is below [`DEPTH`].
    #[inline]
    pub(super) fn set_current(&self, depth: usize, frame: &Frame) {
        self.current[depth].store(std::ptr::from_ref(frame).cast_mut(), Ordering::Relaxed);
    }

    /// Returns the segment that is written to.
    #[inline]
    pub(super) fn segment(&self) -> SegmentRef {
        // SAFETY: set by `new` before the region was shared, and never to null.
        SegmentRef(unsafe { NonNull::new_unchecked(self.writer.segment.load(Ordering::Relaxed)) })
    }

    pub(super) fn set_segment(&self, segment: SegmentRef) {
        self.writer.segment.store(segment.0.as_ptr(), Ordering::Relaxed);
        self.writer.capacity.set(segment.records() as u64);
    }

    /// Takes the first free slot.
    #[inline]
    pub(super) fn pop_free(&self) -> Option<&'static Frame> {
        // SAFETY: null, or a slot that lives as long as the program.
        let slot = unsafe { self.writer.free.load(Ordering::Relaxed).as_ref() }?;
        self.writer.free.store(slot.next_free.load(Ordering::Relaxed), Ordering::Relaxed);
        Some(slot)
    }

    /// Makes this slot the first free one.
    #[inline]
    pub(super) fn push_free(&self, slot: &'static Frame) {
        slot.next_free.store(self.writer.free.load(Ordering::Relaxed), Ordering::Relaxed);
        self.writer.free.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Relaxed);
    }

    /// Empties the list of free slots.
    pub(super) fn clear_free(&self) {
        self.writer.free.store(null_mut(), Ordering::Relaxed);
    }

    /// Returns the slot with this number, counted from 1. `None` if its chunk doesn't exist yet.
    pub(super) fn slot(&self, number: u64) -> Option<&'static Frame> {
        let index = number as usize - 1;
        // SAFETY: null, or a chunk that lives as long as the program.
        let chunk = unsafe { self.chunks.get(index / CHUNK)?.load(Ordering::Acquire).as_ref() };
        chunk.map(|chunk| &chunk.slots[index % CHUNK])
    }

    /// Returns the slot where a lookup of this key starts; the key may also be counted in a neighbour.
    #[inline]
    pub(super) fn child(&self, key: u64) -> &Child {
        // Ids of a thread ascend, so the lowest bits differ between its parents.
        &self.children[key as usize % CHILDREN]
    }

    /// Returns all slots where this key may be counted.
    pub(super) fn child_ways(&self, key: u64) -> &[Child] {
        let first = key as usize % CHILDREN / WAYS * WAYS;
        &self.children[first..first + WAYS]
    }

    /// Returns the fold slot with this number, counted from 1. `None` if its chunk doesn't exist yet.
    #[inline]
    pub(super) fn fold(&self, number: u64) -> Option<&'static Fold> {
        let index = (number as usize).wrapping_sub(1);
        let chunk = NonNull::new(self.folds.get(index / FOLDS_AT_ONCE)?.load(Ordering::Acquire))?;
        // SAFETY: a chunk of that many folds, which lives as long as the program.
        Some(unsafe { chunk.add(index % FOLDS_AT_ONCE).as_ref() })
    }

    /// Returns the word with the number of the fold slot of this key, or of another key.
    pub(super) fn fold_place(&self, key: u64) -> &Word {
        &self.fold_places[(key.wrapping_mul(FACTORS[0]) >> 32) as usize % (FOLDS_AT_ONCE * FOLD_CHUNKS)]
    }

    /// Adds the chunk that begins with the fold slot of this number. Returns false if there is no memory.
    pub(super) fn add_folds(&self, keeper: &dyn Keeper, number: u64) -> bool {
        let index = (number as usize - 1) / FOLDS_AT_ONCE;
        let Some(place) = self.folds.get(index) else { return false };
        let piece = Piece::Folds { region: self.number(), index: index as u32 };
        let Some(memory) = keeper.map(piece, FOLD_CHUNK_BYTES) else { return false };
        // Zeroed memory of this size, aligned to a page, is folds of zeroed atomics; it is never given back.
        place.store(memory.cast::<Fold>().as_ptr(), Ordering::Release);
        true
    }

    /// Returns true if the fold slot with this number is the first one of a chunk.
    pub(super) fn begins_fold_chunk(number: u64) -> bool {
        (number as usize - 1).is_multiple_of(FOLDS_AT_ONCE)
    }

    /// Returns all slots for pairs of parent and name.
    pub(super) fn all_children(&self) -> &[Child] {
        &self.children
    }

    /// Adds the chunk that holds the slot of this number. Returns false if there is no memory.
    pub(super) fn add_chunk(&self, keeper: &dyn Keeper, number: u64) -> bool {
        let index = (number as usize - 1) / CHUNK;
        let Some(place) = self.chunks.get(index) else { return false };
        let piece = Piece::Chunk { region: self.number(), index: index as u32 };
        let Some(memory) = keeper.map(piece, CHUNK_BYTES) else { return false };
        // Zeroed memory of this size, aligned to a page, is a chunk of zeroed atomics; it is never given back.
        place.store(memory.cast::<Chunk>().as_ptr(), Ordering::Release);
        true
    }
}
