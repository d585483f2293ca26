//! How recorded calls lie in memory: whole words, all atomic, zeroed at first.
//!
//! ```text
//! region, one per recording thread
//! ├─ writer      what the thread writes: how many records, how deep, …
//! ├─ reader      what the one who drains writes: how many it has taken, …
//! ├─ current     frames and slots of futures that are current on the thread now: a stack
//! ├─ frames      what runs on the thread now, at its place in that stack
//! ├─ chunks      what runs as futures that began on the thread: an open table
//! ├─ refused     how many starts found no room, by tree
//! ├─ children    how many of one name the thread began below one parent, for the latest of these pairs
//! ├─ folds       calls that are counted instead of recorded: one slot per parent and name
//! └─ fold_places which of these to look at first
//! segment, one or more per region
//! └─ records     what has ended: a ring
//! ```
//! A record is 64 bytes: start, id, parent, root (2 words), end, facts, check. Its last word is its checksum and is stored
//! last: it commits the record. A frame holds the same without an end, and what only its owner needs.

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

/// Sync calls that one thread may have open in its frames; what is deeper is recorded in another way.
pub(super) const DEPTH: usize = 512;
/// Futures of one chunk of the open table.
pub(super) const CHUNK: usize = 64;
/// Chunks of one thread.
pub(super) const CHUNKS: usize = 512;
/// Bytes of a thread's name that are kept with its region.
pub(super) const NAME: usize = 64;
/// Trees whose refused starts one thread counts by itself.
const REFUSED: usize = 16;
/// Pairs of a parent and a name whose children one thread counts.
const CHILDREN: usize = 128;
/// Places that such a pair may take.
const WAYS: usize = 4;
/// Fold slots that are added at once.
const FOLDS_AT_ONCE: usize = 8;
/// As often.
const FOLD_CHUNKS: usize = 64;

pub(super) const REGION_BYTES: usize = size_of::<Region>();
pub(super) const CHUNK_BYTES: usize = size_of::<Chunk>();
pub(super) const FOLD_CHUNK_BYTES: usize = FOLDS_AT_ONCE * size_of::<Fold>();

/// Something that runs.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Frame {
    pub(super) line: Line,
    /// What its children have for a parent: its own id or, if it is folded, the mark of its fold.
    pub(super) below: Word,
    fold: AtomicPtr<Fold>,
    /// The id of a folded call that the one who drains has told of singly; written by that one.
    pub(super) promoted: Word,
    /// What was [`recording`](crate::switch::recording) when it began, above the [`Mark`]s.
    marks: Word,
    /// Slots: whose they are.
    home: AtomicPtr<Region>,
    /// Free slots: the next free one.
    next_free: AtomicPtr<Frame>,
    /// Frames of what came by the queue: its id, while nobody else knows that.
    /// Frames of what has no row: its key, see [`set_quiet`](super::current::set_quiet).
    /// Frames of calls: their id, once something on another thread hangs below what was [lent](super::Lent).
    /// Slots: what [`context::push`](crate::context::push) gave when the future was dropped before its end; 0 for nothing.
    pub(super) leftover: Word,
    /// What its children have for a parent, if [`counts`](super::counts) may know of them.
    pub(super) gave_way: Word,
}

/// What is so with a frame or is not.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(super) enum Mark {
    /// Its thread was panicking already when it began.
    Panicking = 1,
    /// Threads without a context may take it for the tree that they belong to.
    Entry = 2,
    /// It ended while another was above it.
    Gone = 4,
    /// It stands for a process of this program that came by the queue.
    Queued = 8,
    /// Its ids were read: somebody may have said that it failed.
    Known = 16,
    /// It was pushed for a process that has no row of its own.
    Quiet = 32,
}

impl Frame {
    /// Something begins in it while this is [`recording`](crate::switch::recording).
    #[inline]
    pub(super) fn set_marks(&self, recording: u32, was_panicking: bool) {
        self.marks.set(u64::from(recording) << 32 | u64::from(was_panicking));
    }

    /// The same is so with it as with another.
    pub(super) fn copy_marks(&self, other: &Frame) {
        self.marks.set(other.marks.get());
    }

    /// What was [`recording`](crate::switch::recording) when it began.
    #[inline]
    pub(super) fn recording(&self) -> u32 {
        (self.marks.get() >> 32) as u32
    }

    #[inline]
    pub(super) fn is(&self, mark: Mark) -> bool {
        self.marks.get() & mark as u64 != 0
    }

    /// Returns true if its end has more to do than that of most calls.
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

    /// What it is counted in, if it is folded.
    #[inline]
    pub(super) fn fold(&self) -> Option<&'static Fold> {
        // SAFETY: null, or a slot that lives as long as the program.
        unsafe { self.fold.load(Ordering::Relaxed).as_ref() }
    }

    /// Takes it out of its fold: given back to one alone of those that do so at once.
    pub(super) fn take_fold(&self) -> Option<&'static Fold> {
        // SAFETY: as above.
        unsafe { self.fold.swap(null_mut(), Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(super) fn set_fold(&self, fold: Option<&'static Fold>) {
        self.fold.store(fold.map_or(null_mut(), |fold| std::ptr::from_ref(fold).cast_mut()), Ordering::Relaxed);
    }

    /// Parent and tree of what begins below it.
    #[inline]
    pub(super) fn parent_ids(&self) -> (u64, [u64; 2]) {
        (self.below.get(), self.line.ids().1)
    }

    /// The region of a slot.
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

/// How many children of one name a parent has had on a thread.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Child {
    /// Parent and site, see [`child_key`]; 0 for none.
    pub(super) key: Word,
    /// Those that were not added to what other threads have counted.
    pub(super) count: Word,
    /// The last id of the thread when there was one more.
    pub(super) seen: Word,
    /// See [`ChildrenSeen`]: a pointer, and in its lowest bits to what.
    place: AtomicPtr<u8>,
}

/// What is known of the children of one name besides their number.
#[derive(Debug, Clone, Copy)]
pub(super) enum ChildrenSeen {
    /// Further ones are counted in this fold.
    Fold(&'static Fold),
    /// None is folded by now. Their parent had this frame or slot when the first of them began; it may be another one's now.
    Parent(&'static Frame),
    /// None is folded by now. Their parents are the calls that were counted in this fold; it may count others now.
    ParentFold(&'static Fold),
    /// None is folded by now, and their parent may live anywhere.
    Unknown,
}

impl ChildrenSeen {
    const FOLD: usize = 1;
    const PARENT: usize = 2;
    const PARENT_FOLD: usize = 4;
    const BITS: usize = 7;
}

const SITE: u64 = FACTORS[1];

/// Stands for a parent and a site. Ids are random, so no two pairs have the same.
#[inline]
pub(super) fn child_key(parent: u64, site: u64) -> u64 {
    parent.wrapping_add(site.wrapping_mul(SITE))
}

/// The site, if the key is of this parent.
pub(super) fn site_of(key: u64, parent: u64) -> Option<u64> {
    const MOST_SITES: u64 = 1 << 32;
    Some(key.wrapping_sub(parent).wrapping_mul(inverse(SITE))).filter(|site| *site < MOST_SITES)
}

impl Child {
    /// The fold that further ones begin in, if there is one.
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
        // SAFETY: what `set_place` was given, all of which lives as long as the program.
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

/// Starts of one tree that found no room. Which tree it is changes only while the queue's count of drops is locked.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Refused {
    /// Zero for what begins a tree: nobody will know that one.
    pub(super) root: [Word; 2],
    pub(super) count: Word,
}

/// What the recording thread writes.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Writer {
    /// Records written so far.
    pub(super) head: Word,
    /// Frames in use.
    pub(super) depth: Word,
    /// A start is admitted while `head + depth` is below: each open frame has the place of its record.
    pub(super) limit: Word,
    /// Frames may be used up to here.
    pub(super) ceiling: Word,
    /// How many of the frames in use are gone.
    pub(super) gone: Word,
    /// The last id that was given.
    pub(super) last_id: Word,
    /// Where the sites of the program lie.
    pub(super) sites: Word,
    /// Number of the thread, as it stands in the facts of what it begins.
    pub(super) thread: Word,
    /// The first free slot.
    free: AtomicPtr<Frame>,
    /// Slots that were ever used.
    pub(super) slots: Word,
    /// [`Reader::freed`] when free slots were last looked for.
    pub(super) freed_seen: Word,
    /// Bytes of the current segment's records, in records.
    pub(super) capacity: Word,
    /// Number of the region.
    pub(super) region: Word,
    /// So many children of one parent and name are counted before they are added to those of other threads.
    pub(super) fold_share: Word,
    /// Fold slots that were ever used.
    pub(super) folds: Word,
    /// How often one came into use.
    pub(super) fold_news: Word,
    segment: AtomicPtr<Segment>,
    /// Starts that found no room, and the same times an odd number: a reader can tell that it is a count.
    pub(super) refused: [Word; 2],
    /// So many children of one parent and name are recorded singly.
    pub(super) fold_after: Word,
    /// What the facts of a woven call say further: that it may be brief, or nothing.
    pub(super) woven: Word,
}

/// What others than the recording thread write.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Reader {
    /// Records taken so far.
    pub(super) tail: Word,
    /// Slots that were freed by others.
    pub(super) freed: Word,
    /// The thread is gone: the region waits for another one.
    pub(super) is_left: Word,
    /// Bytes of the thread's name, and those bytes in little-endian words.
    pub(super) name_len: Word,
    pub(super) name: [Word; NAME / 8],
}

impl Reader {
    /// What of a name has room.
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

/// What one thread records into.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Region {
    pub(super) writer: Writer,
    pub(super) reader: Reader,
    chunks: [AtomicPtr<Chunk>; CHUNKS],
    folds: [AtomicPtr<Fold>; FOLD_CHUNKS],
    children: [Child; CHILDREN],
    pub(super) refused: [Refused; REFUSED],
    /// For each frame in use what is current by it: itself, or the slot of a future. Means something to its own thread alone.
    current: [AtomicPtr<Frame>; DEPTH],
    pub(super) frames: [Frame; DEPTH],
    /// Numbers of fold slots, by the [`child_key`] of what they count: where to look first.
    fold_places: [Word; FOLDS_AT_ONCE * FOLD_CHUNKS],
}

impl Region {
    /// A new one, with a first segment for `records` records.
    pub(super) fn new(keeper: &dyn Keeper, number: u32, records: usize) -> Option<(&'static Self, SegmentRef)> {
        let segment = SegmentRef::new(keeper, number, records, 0)?;
        let Some(memory) = keeper.map(Piece::Region(number), REGION_BYTES) else {
            // SAFETY: nobody else has seen it.
            unsafe { segment.free(keeper, number) };
            return None;
        };
        // SAFETY: zeroed memory of this size, aligned to a page, is a region of zeroed atomics; it is never given back.
        let region: &'static Region = unsafe { memory.cast::<Region>().as_ref() };
        region.writer.region.set(u64::from(number));
        region.set_segment(segment);
        Some((region, segment))
    }

    /// Where this thread counts the refused starts of a tree, or of another one.
    pub(super) fn refused(&self, root: [u64; 2]) -> &Refused {
        // Random bits.
        &self.refused[root[1] as usize % REFUSED]
    }

    /// Its number among the regions of the program.
    pub(super) fn number(&self) -> u32 {
        self.writer.region.get() as u32
    }

    /// What is current on its thread, in memory of this program's own.
    pub(super) fn copy(&self) -> Option<NonNull<u8>> {
        let start = memory::map(REGION_BYTES)?;
        // SAFETY: zeroed memory of this size, aligned to a page, is a region of zeroed atomics.
        let copy: &Region = unsafe { start.cast::<Region>().as_ref() };
        copy.set_segment(self.segment());
        copy.writer.depth.set(self.writer.depth.get());
        copy.writer.gone.set(self.writer.gone.get());
        for depth in 0..self.writer.depth.get() as usize {
            let (Some(frame), copied) = (self.current(depth), &copy.frames[depth]) else { continue };
            // The child's processes will hang below it.
            super::fold::keep(frame);
            copied.line.set_ids(frame.line.own().id, frame.line.own().root);
            copied.below.set(frame.below.get());
            copied.copy_marks(&self.frames[depth]);
            // Where it will be.
            copy.set_current(depth, &self.frames[depth]);
        }
        Some(start)
    }

    /// What is current by this frame, which is in use.
    #[inline]
    pub(super) fn current(&self, depth: usize) -> Option<&'static Frame> {
        // SAFETY: null, or a frame or slot that lives as long as the program.
        unsafe { self.current.get(depth)?.load(Ordering::Relaxed).as_ref() }
    }

    /// Has a frame make something current; `depth` is below [`DEPTH`].
    #[inline]
    pub(super) fn set_current(&self, depth: usize, frame: &Frame) {
        self.current[depth].store(std::ptr::from_ref(frame).cast_mut(), Ordering::Relaxed);
    }

    /// The segment that is written to.
    #[inline]
    pub(super) fn segment(&self) -> SegmentRef {
        // SAFETY: set by `new` before anybody saw the region, and never to null.
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

    /// No slot is free.
    pub(super) fn clear_free(&self) {
        self.writer.free.store(null_mut(), Ordering::Relaxed);
    }

    /// The slot of this number, from 1; `None` if there is no such chunk yet.
    pub(super) fn slot(&self, number: u64) -> Option<&'static Frame> {
        let index = number as usize - 1;
        // SAFETY: null, or a chunk that lives as long as the program.
        let chunk = unsafe { self.chunks.get(index / CHUNK)?.load(Ordering::Acquire).as_ref() };
        chunk.map(|chunk| &chunk.slots[index % CHUNK])
    }

    /// Where the children of this key are counted, if not in its neighbourhood.
    #[inline]
    pub(super) fn child(&self, key: u64) -> &Child {
        // Ids of a thread ascend, so the lowest bits tell its parents apart.
        &self.children[key as usize % CHILDREN]
    }

    /// All places where the children of this key may be counted.
    pub(super) fn child_ways(&self, key: u64) -> &[Child] {
        let first = key as usize % CHILDREN / WAYS * WAYS;
        &self.children[first..first + WAYS]
    }

    /// The fold slot of this number, from 1; `None` if there is no such chunk yet.
    #[inline]
    pub(super) fn fold(&self, number: u64) -> Option<&'static Fold> {
        let index = (number as usize).wrapping_sub(1);
        let chunk = NonNull::new(self.folds.get(index / FOLDS_AT_ONCE)?.load(Ordering::Acquire))?;
        // SAFETY: a chunk of that many folds, which lives as long as the program.
        Some(unsafe { chunk.add(index % FOLDS_AT_ONCE).as_ref() })
    }

    /// Holds the number of the fold slot of this key, or of another one's.
    pub(super) fn fold_place(&self, key: u64) -> &Word {
        &self.fold_places[(key.wrapping_mul(FACTORS[0]) >> 32) as usize % (FOLDS_AT_ONCE * FOLD_CHUNKS)]
    }

    /// Adds the chunk that holds the fold slot of this number, which is the first one in it.
    pub(super) fn add_folds(&self, keeper: &dyn Keeper, number: u64) -> bool {
        let index = (number as usize - 1) / FOLDS_AT_ONCE;
        let Some(place) = self.folds.get(index) else { return false };
        let piece = Piece::Folds { region: self.number(), index: index as u32 };
        let Some(memory) = keeper.map(piece, FOLD_CHUNK_BYTES) else { return false };
        // Zeroed memory of this size, aligned to a page, is folds of zeroed atomics; it is never given back.
        place.store(memory.cast::<Fold>().as_ptr(), Ordering::Release);
        true
    }

    /// Whether the fold slot of this number is the first one of a chunk.
    pub(super) fn begins_fold_chunk(number: u64) -> bool {
        (number as usize - 1).is_multiple_of(FOLDS_AT_ONCE)
    }

    /// All that are counted.
    pub(super) fn all_children(&self) -> &[Child] {
        &self.children
    }

    /// Adds the chunk that holds the slot of this number.
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
