//! Rings of records.

#![allow(unsafe_code, reason = "memory of the operating system's is given its form here")]

use std::mem::size_of;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::{Line, Word};
use crate::keep::{Keeper, Piece};

/// A ring of records, the current one of a region or one before it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(in crate::ring) struct Segment {
    /// Number of its first record.
    base: u64,
    /// Its capacity in records, a power of two.
    pub(in crate::ring) records: u64,
    /// Number after its last record, once there is a next segment.
    end: Word,
    next: AtomicPtr<Segment>,
}

/// A segment that is in use.
#[derive(Debug, Clone, Copy)]
pub(in crate::ring) struct SegmentRef(pub(super) NonNull<Segment>);

// SAFETY: it points to memory that belongs to no thread and holds atomics, apart from the header, which was written before it was shared.
unsafe impl Send for SegmentRef {}

impl SegmentRef {
    /// Creates a segment for `records` records of a region, a power of two. The first record has the number `base`.
    pub(in crate::ring) fn new(keeper: &dyn Keeper, region: u32, records: usize, base: u64) -> Option<Self> {
        let start = keeper.map(Piece::Segment { region, base }, Self::bytes_of(records))?.cast::<Segment>();
        let header = Segment { base, records: records as u64, end: Word(AtomicU64::new(0)), next: AtomicPtr::new(null_mut()) };
        // SAFETY: new memory, large enough and aligned to a page.
        unsafe { start.write(header) };
        Some(SegmentRef(start))
    }

    pub(in crate::ring) const fn bytes_of(records: usize) -> usize {
        size_of::<Segment>() + records * size_of::<Line>()
    }

    pub(in crate::ring) fn bytes(self) -> usize {
        Self::bytes_of(self.records())
    }

    pub(in crate::ring) fn records(self) -> usize {
        self.header().records as usize
    }

    pub(in crate::ring) fn base(self) -> u64 {
        self.header().base
    }

    /// Returns the line of the record with this number.
    #[inline]
    pub(in crate::ring) fn line(&self, number: u64) -> &Line {
        let header = self.header();
        let index = number.wrapping_sub(header.base) & (header.records - 1);
        // SAFETY: the mapping is as long as the header and `records` lines, and the index is smaller than that, which is a power of two.
        unsafe { self.0.add(1).cast::<Line>().add(index as usize).as_ref() }
    }

    /// Returns the next segment, and the number of its first record.
    pub(in crate::ring) fn next(self) -> Option<(SegmentRef, u64)> {
        let next = NonNull::new(self.header().next.load(Ordering::Acquire))?;
        Some((SegmentRef(next), self.header().end.get()))
    }

    /// Ends the segment: from the record with the number `end` on, records are in `next`.
    pub(in crate::ring) fn close(self, end: u64, next: SegmentRef) {
        self.header().end.set(end);
        self.header().next.store(next.0.as_ptr(), Ordering::Release);
    }

    /// Frees the segment.
    ///
    /// # Safety
    /// Nobody writes to it or reads from it any more, and keeper and region are those of `new`.
    pub(in crate::ring) unsafe fn free(self, keeper: &dyn Keeper, region: u32) {
        let (piece, bytes) = (Piece::Segment { region, base: self.base() }, self.bytes());
        // SAFETY: guaranteed by the caller; the memory is what `new` got.
        unsafe { keeper.unmap(piece, self.0.cast(), bytes) };
    }

    /// Gives back the space that the records take outside of this program's memory. The header, which is in the first page, stays. Records
    /// that are lost or half written by this are invalid by their checksums.
    ///
    /// # Safety
    /// Nobody reads its records any more, and keeper and region are those of `new`.
    pub(in crate::ring) unsafe fn detach(self, keeper: &dyn Keeper, region: u32) {
        let (piece, bytes) = (Piece::Segment { region, base: self.base() }, self.bytes());
        // SAFETY: guaranteed by the caller; the memory is what `new` got.
        unsafe { keeper.detach(piece, self.0.cast(), bytes) };
    }

    #[inline]
    fn header(&self) -> &Segment {
        // SAFETY: written by `new`; alive until `free`, which is the last use by its contract.
        unsafe { self.0.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Frame, RUNNING, Words};
    use super::*;
    use crate::keep::Memory;

    fn words(n: u64) -> Words {
        Words { start: n, id: n * 7, parent: n * 11, root: [n * 13, n * 17], end: n * 19, facts: n * 23 }
    }

    #[test]
    fn sizes_match_the_format() {
        assert_eq!((size_of::<Line>(), size_of::<Frame>(), size_of::<Segment>()), (64, 128, 64));
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        let segment = SegmentRef::new(&Memory, 0, 4, 0).expect("memory");
        let line = segment.line(2);
        assert_eq!(line.read(2), None);
        line.write(&words(5), 2);
        assert_eq!(line.read(2), Some(words(5)));
        assert_eq!(line.read(6), None, "of another lap");
        let all = line.all();
        for word in all {
            for bit in 0..64 {
                word.set(word.get() ^ 1 << bit);
                assert_eq!(line.read(2), None);
                word.set(word.get() ^ 1 << bit);
            }
        }
        // SAFETY: used nowhere else.
        unsafe { segment.free(&Memory, 0) };
    }

    #[test]
    fn an_end_is_written_as_a_whole_record_would_be() {
        let segment = SegmentRef::new(&Memory, 0, 4, 0).expect("memory");
        let (running, ended) = (segment.line(0), segment.line(3));
        running.write(&Words { end: 0, facts: 0b1001, ..words(5) }, RUNNING);
        ended.write_ended(running, 77, 0b0110, 3);
        assert_eq!(ended.read(3), Some(Words { end: 77, facts: 0b1111, ..words(5) }));
        // SAFETY: used nowhere else.
        unsafe { segment.free(&Memory, 0) };
    }

    #[test]
    fn a_ring_begins_again_at_its_first_place() {
        let segment = SegmentRef::new(&Memory, 0, 4, 10).expect("memory");
        assert!(std::ptr::eq(segment.line(10), segment.line(14)));
        assert!(!std::ptr::eq(segment.line(10), segment.line(13)));
        // SAFETY: used nowhere else.
        unsafe { segment.free(&Memory, 0) };
    }
}
