//! Generated memory as a program might have left it, for tests of the reader.

use super::super::layout::{CHUNK, DEPTH, ENDED_IN_SLOT, RUNNING, Words};
use super::{FOLDS_BYTES, FRAME, Fold, LINE, REGION_BYTES, Segment, offset};
use crate::fold::BUCKETS;

/// The place of a record.
#[derive(Debug, Clone, Copy)]
pub enum RecordPlace {
    /// In a ring, with this number.
    Ring(u64),
    /// In a frame or slot: it runs.
    Running,
    /// In its slot: it has ended.
    Ended,
}

/// Builds a record with a valid check: start, id, parent, both words of its root, end, facts.
pub fn record(words: [u64; 7], place: RecordPlace) -> [u8; LINE] {
    let [start, id, parent, high, low, end, facts] = words;
    let salt = match place {
        RecordPlace::Ring(number) => number,
        RecordPlace::Running => RUNNING,
        RecordPlace::Ended => ENDED_IN_SLOT,
    };
    let check = Words { start, id, parent, root: [high, low], end, facts }.check(salt);
    let mut bytes = [0; LINE];
    for (at, word) in words.into_iter().chain([check]).enumerate() {
        put(&mut bytes, at * 8, word);
    }
    bytes
}

/// Builds a region of these frames, in which `head` records were written and `refused` starts found no room.
pub fn region(frames: &[[u8; LINE]], head: u64, refused: u64) -> Vec<u8> {
    let mut bytes = vec![0; REGION_BYTES];
    put(&mut bytes, offset::HEAD, head);
    put(&mut bytes, offset::REFUSED, refused);
    put(&mut bytes, offset::REFUSED + 8, refused.wrapping_mul(super::FACTORS[0]));
    for (at, frame) in frames.iter().take(DEPTH).enumerate() {
        let at = offset::FRAMES + at * FRAME;
        bytes[at..at + LINE].copy_from_slice(frame);
    }
    bytes
}

/// Builds a chunk of these slots, each with the mark of the fold if its call was reported individually.
pub fn chunk(slots: &[([u8; LINE], u64)]) -> Vec<u8> {
    let mut bytes = vec![0; CHUNK * FRAME];
    for (slot, (line, mark)) in bytes.chunks_exact_mut(FRAME).zip(slots) {
        slot[..LINE].copy_from_slice(line);
        slot.copy_within(8..16, offset::PROMOTED);
        put(slot, offset::BELOW, *mark);
    }
    bytes
}

/// Builds a ring of `places` places, a power of two, whose first record has the number `base`, with these records.
pub fn segment(base: u64, places: usize, records: &[(u64, [u8; LINE])]) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<Segment>() + places * LINE];
    put(&mut bytes, offset::RECORDS, places as u64);
    for (number, line) in records {
        let at = size_of::<Segment>() + (number.wrapping_sub(base) as usize & (places - 1)) * LINE;
        bytes[at..at + LINE].copy_from_slice(line);
    }
    bytes
}

/// The counts of a fold. All calls that ended took the same time.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "as in the memory")]
pub struct Counts {
    pub mark: u64,
    pub parent: u64,
    pub root: u64,
    pub facts: u64,
    pub begun: u64,
    pub ended: u64,
    pub each: u64,
    pub bucket: u64,
    pub left: u64,
    pub elsewhere: u64,
    pub failed: u64,
    pub revision: u64,
}

/// Builds these folds.
pub fn folds(counts: &[Counts]) -> Vec<u8> {
    let mut bytes = vec![0; FOLDS_BYTES];
    for (fold, counts) in bytes.chunks_exact_mut(size_of::<Fold>()).zip(counts) {
        let bucket = counts.bucket as usize % BUCKETS;
        let words = [
            (offset::fold::MARK, counts.mark),
            (offset::fold::PARENT, counts.parent),
            (offset::fold::ROOT + 8, counts.root),
            (offset::fold::FACTS, counts.facts),
            (offset::fold::BEGUN, counts.begun),
            (offset::fold::ENDED, counts.ended),
            (offset::fold::TOTAL + (counts.ended & 1) as usize * 8, counts.ended.wrapping_mul(counts.each)),
            (offset::fold::MIN, counts.each),
            (offset::fold::MAX, counts.each),
            (offset::fold::LAST, bucket as u64),
            (offset::fold::LEFT, counts.left),
            (offset::fold::FAILED, counts.failed),
            (offset::fold::READER + offset::fold::ELSEWHERE, counts.elsewhere),
            (offset::fold::READER + offset::fold::REVISION, counts.revision),
            (offset::fold::BUCKETS + bucket * 8, counts.ended.saturating_sub(1)),
        ];
        for (at, word) in words {
            put(fold, at, word);
        }
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
}
