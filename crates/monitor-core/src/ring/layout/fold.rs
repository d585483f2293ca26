//! A slot that calls are counted in.

use super::Word;
use crate::fold::BUCKETS;

/// Calls of one name below one parent, counted by one thread.
#[derive(Debug)]
#[repr(C, align(128))]
pub(in crate::ring) struct Fold {
    /// Stands for the fold as the parent of what its calls begin; stored last when the slot comes into use.
    pub(in crate::ring) mark: Word,
    pub(in crate::ring) parent: Word,
    pub(in crate::ring) root: [Word; 2],
    /// Site and thread, and that it may be brief if its parent may be a call that is counted itself: then the fold moves with it.
    pub(in crate::ring) facts: Word,
    /// When it began, in ticks.
    pub(in crate::ring) start: Word,
    /// Its own number, from 1.
    pub(in crate::ring) number: Word,
    /// Failures that were recorded singly.
    pub(in crate::ring) failures_kept: Word,
    pub(in crate::ring) begun: Word,
    /// How many ended and are counted: stored last, it commits the rest.
    pub(in crate::ring) ended: Word,
    /// All durations together, by whether `ended` is even or odd.
    pub(in crate::ring) total: [Word; 2],
    pub(in crate::ring) min: Word,
    pub(in crate::ring) max: Word,
    /// Bucket of the last call: it is counted in there by the next one.
    pub(in crate::ring) last: Word,
    /// A call that takes so long is recorded singly.
    pub(in crate::ring) slow_from: Word,
    /// How many began in it and are recorded singly.
    pub(in crate::ring) left: Word,
    pub(in crate::ring) failed: Word,
    pub(in crate::ring) cancelled: Word,
    /// What all threads count these calls by, see [`counts`](crate::ring::counts).
    pub(in crate::ring) key: Word,
    pub(in crate::ring) reader: FoldReader,
    pub(in crate::ring) buckets: [Word; BUCKETS],
}

/// What others than the recording thread write.
#[derive(Debug)]
#[repr(C, align(128))]
pub(in crate::ring) struct FoldReader {
    /// 0 in use, [`CLOSING`] or [`FREE`].
    pub(in crate::ring) state: Word,
    /// How many began in it and are accounted for elsewhere: they ended, or were pinned, on another thread.
    pub(in crate::ring) elsewhere: Word,
    /// The last revision that was told.
    pub(in crate::ring) revision: Word,
}

/// Its parent has ended: nothing is to begin in it any more.
pub(in crate::ring) const CLOSING: u64 = 1;
/// It is for another parent.
pub(in crate::ring) const FREE: u64 = 2;
