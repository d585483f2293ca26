//! A slot that counts calls.

use super::Word;
use crate::fold::BUCKETS;

/// Calls of one name below one parent, counted by one thread.
#[derive(Debug)]
#[repr(C, align(128))]
pub(in crate::ring) struct Fold {
    /// Represents the fold as the parent of its calls' children. Stored last when the slot comes into use.
    pub(in crate::ring) mark: Word,
    pub(in crate::ring) parent: Word,
    pub(in crate::ring) root: [Word; 2],
    /// Site and thread, and `MAY_BE_BRIEF` if the parent may be a call that is counted itself: then the fold moves with it.
    pub(in crate::ring) facts: Word,
    /// Start, in ticks.
    pub(in crate::ring) start: Word,
    /// Its own number, counted from 1.
    pub(in crate::ring) number: Word,
    /// Number of failures that were recorded individually.
    pub(in crate::ring) failures_kept: Word,
    pub(in crate::ring) begun: Word,
    /// Number of calls that ended and are counted. Stored last: it commits the rest.
    pub(in crate::ring) ended: Word,
    /// Sum of all durations, at the index given by whether `ended` is even or odd.
    pub(in crate::ring) total: [Word; 2],
    pub(in crate::ring) min: Word,
    pub(in crate::ring) max: Word,
    /// Bucket of the last call, which is added to the histogram by the next call.
    pub(in crate::ring) last: Word,
    /// Minimum duration of a call that is recorded individually.
    pub(in crate::ring) slow_from: Word,
    /// Number of calls that began in it and are recorded individually.
    pub(in crate::ring) left: Word,
    pub(in crate::ring) failed: Word,
    pub(in crate::ring) cancelled: Word,
    /// Key of these calls in the counts of all threads, see [`counts`](crate::ring::counts).
    pub(in crate::ring) key: Word,
    pub(in crate::ring) reader: FoldReader,
    pub(in crate::ring) buckets: [Word; BUCKETS],
}

/// The part of a fold that is written by others than the recording thread.
#[derive(Debug)]
#[repr(C, align(128))]
pub(in crate::ring) struct FoldReader {
    /// 0 if in use, otherwise [`CLOSING`] or [`FREE`].
    pub(in crate::ring) state: Word,
    /// Number of calls that began in it and are accounted for elsewhere: they ended, or left the fold, on another thread.
    pub(in crate::ring) elsewhere: Word,
    /// The last revision that was reported.
    pub(in crate::ring) revision: Word,
}

/// State of a fold whose parent has ended: no call may begin in it.
pub(in crate::ring) const CLOSING: u64 = 1;
/// State of a fold slot that is available to another parent.
pub(in crate::ring) const FREE: u64 = 2;
