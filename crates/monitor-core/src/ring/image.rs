//! Reads the data that a program has left in the memory of its rings, from plain bytes, which may be damaged or forged.
//!
//! Each record is validated by its own checksum. The reader relies on no count, length or pointer in the memory: the number and the place
//! of a record follow from the record itself. So a damaged byte invalidates the record that contains it, and no other.

#[doc(hidden)]
pub mod made;

use std::collections::HashSet;

use super::layout::{
    CHUNK, DEPTH, ENDED_IN_SLOT, FACTORS, FOLD_CHUNK_BYTES, FREE, Fold, FoldReader, Frame, NAME, RUNNING, Reader, Region, Segment, Words,
    Writer, inverse,
};
pub use super::registry::FIRST_RECORDS;
use super::{Ending, Facts};
use crate::fold::BUCKETS;
use crate::record::Attachment;

/// Version of the memory layout. A reader knows only its own version.
pub const LAYOUT: u32 = 3;

/// Size of a region in bytes.
pub const REGION_BYTES: usize = size_of::<Region>();
/// Size of a chunk in bytes.
pub const CHUNK_BYTES: usize = CHUNK * FRAME;
/// Size in bytes of the fold slots that are added together.
pub const FOLDS_BYTES: usize = FOLD_CHUNK_BYTES;
/// Returns the size in bytes of a segment for this many records.
pub const fn segment_bytes(records: usize) -> usize {
    size_of::<Segment>() + records * LINE
}

/// Maximum distance of a record from the last one taken. Beyond it, data that looks like a record is ignored.
const FARTHEST: u64 = 1 << 32;

const LINE: usize = 64;
const FRAME: usize = size_of::<Frame>();

/// The contents of one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Number of the thread that has the region.
    pub thread: u64,
    /// Name of that thread.
    pub thread_name: String,
    /// Calls that have ended and were not taken. A [`Call`] that is `running` in another region has ended nevertheless.
    pub ended: Vec<Call>,
    /// Running calls, without those in a fold.
    pub running: Vec<Call>,
    /// Counts of the folds.
    pub folds: Vec<Counted>,
    /// Marks of the folds of running calls that were reported individually, one entry for each call.
    pub promoted: Vec<u64>,
    /// Number of places among the records not taken that hold no valid record.
    pub damaged: u64,
    /// Number of starts that found no room since the program began.
    pub refused: u64,
}

/// A process as it is stored in a ring. Times are in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its id.
    pub id: u64,
    /// Its parent, or 0 if it has none.
    pub parent: u64,
    /// Its tree.
    pub root: u128,
    /// Number of its site in the program that wrote it. It is among the [`registered`](crate::registered) sites, or beyond them.
    pub site: u32,
    /// How its parent was determined.
    pub attachment: Attachment,
    /// Number of the thread on which it began.
    pub thread: u64,
    /// Start.
    pub start: u64,
    /// Time of its end, and how it ended. `None` while it runs.
    pub end: Option<(u64, End)>,
    /// True if it must be counted in a fold. Its parent is then the mark of the fold.
    pub is_folded: bool,
    /// True if it must be counted if it is [`brief`](crate::brief).
    pub may_be_brief: bool,
    /// True if there are folds below it that move with it if it is counted.
    pub has_folds: bool,
}

/// The counts of a fold, which belongs to one thread. Times and durations are in ticks.
///
/// There is no checksum, because the values change with each call. Counts that are inconsistent are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Represents the fold as a parent.
    pub mark: u64,
    /// Its parent, or the mark of the fold that the parent belongs to.
    pub parent: u64,
    /// True if it moves with its parent if that is counted.
    pub may_move: bool,
    /// Its tree.
    pub root: u128,
    /// Number of the site.
    pub site: u32,
    /// Start of the first call.
    pub start: u64,
    /// The last revision that was reported.
    pub revision: u64,
    /// Number of calls that ended on this thread.
    pub ended: u64,
    /// Number of calls that began and are not known to have ended.
    pub running: u64,
    /// Number of failed calls.
    pub failed: u64,
    /// Number of cancelled calls.
    pub cancelled: u64,
    /// Sum of all durations.
    pub total: u64,
    /// The shortest and the longest duration, `None` if no call ended. The range may include the call that was being counted last.
    pub range: Option<(u64, u64)>,
    /// Number of ended calls, by number of the bucket.
    pub histogram: Vec<(u32, u64)>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It returned.
    Succeeded,
    /// It was dropped before its end.
    Cancelled,
    /// It returned an error.
    Error,
    /// It panicked.
    Panic,
}

/// Reads a region, its segments by the numbers of their first records, its chunks and its folds. Each of these may be shorter or longer
/// than it should be. The first `taken` records are left out.
pub fn read(region: &[u8], segments: &[(u64, &[u8])], chunks: &[&[u8]], folds: &[&[u8]], taken: u64) -> Image {
    let mut image = Image { thread: word(region, offset::THREAD), thread_name: name(region), refused: refused(region), ..Image::default() };
    let mut segments = segments.to_vec();
    segments.sort_unstable_by_key(|(base, _)| *base);
    let head = word(region, offset::HEAD);
    for (at, (base, bytes)) in segments.iter().enumerate() {
        let next = segments.get(at + 1).map_or(u64::MAX, |(base, _)| *base);
        ended(&mut image, bytes, *base, taken, next, head);
    }
    for frame in region.get(offset::FRAMES..).unwrap_or_default().chunks_exact(FRAME).take(DEPTH) {
        slot(&mut image, frame);
    }
    for chunk in chunks {
        for frame in chunk.chunks_exact(FRAME).take(CHUNK) {
            slot(&mut image, frame);
        }
    }
    for folds in folds {
        image.folds.extend(folds.chunks_exact(size_of::<Fold>()).filter_map(counted));
    }
    // A call is recorded before its frame is cleared, so it may be in both.
    let ended: HashSet<u64> = image.ended.iter().map(|call| call.id).collect();
    image.running.retain(|call| !ended.contains(&call.id));
    image
}

/// Returns how many records of a region were taken, as noted there by the reader. To be used if there is no better source.
pub fn taken(region: &[u8]) -> u64 {
    let (taken, head) = (word(region, offset::TAIL), word(region, offset::HEAD));
    if taken <= head { taken } else { 0 }
}

/// Returns the number of starts that found no room. The program may have died between writing the two words.
fn refused(region: &[u8]) -> u64 {
    let [count, check] = [0, 8].map(|at| word(region, offset::REFUSED + at));
    let counted = check.wrapping_mul(inverse(FACTORS[0]));
    if count.wrapping_sub(counted) <= 1 { count } else { 0 }
}

mod offset {
    use std::mem::offset_of;

    use super::{Frame, Reader, Region, Segment, Writer};

    pub(super) const HEAD: usize = offset_of!(Region, writer) + offset_of!(Writer, head);
    pub(super) const TAIL: usize = offset_of!(Region, reader) + offset_of!(Reader, tail);
    pub(super) const THREAD: usize = offset_of!(Region, writer) + offset_of!(Writer, thread);
    pub(super) const REFUSED: usize = offset_of!(Region, writer) + offset_of!(Writer, refused);
    pub(super) const NAME_LEN: usize = offset_of!(Region, reader) + offset_of!(Reader, name_len);
    pub(super) const NAME: usize = offset_of!(Region, reader) + offset_of!(Reader, name);
    pub(super) const FRAMES: usize = offset_of!(Region, frames);
    pub(super) const RECORDS: usize = offset_of!(Segment, records);
    pub(super) const PROMOTED: usize = offset_of!(Frame, promoted);
    pub(super) const BELOW: usize = offset_of!(Frame, below);

    pub(super) mod fold {
        use std::mem::offset_of;

        use super::super::{Fold, FoldReader};

        pub(in super::super) const MARK: usize = offset_of!(Fold, mark);
        pub(in super::super) const PARENT: usize = offset_of!(Fold, parent);
        pub(in super::super) const ROOT: usize = offset_of!(Fold, root);
        pub(in super::super) const FACTS: usize = offset_of!(Fold, facts);
        pub(in super::super) const START: usize = offset_of!(Fold, start);
        pub(in super::super) const BEGUN: usize = offset_of!(Fold, begun);
        pub(in super::super) const ENDED: usize = offset_of!(Fold, ended);
        pub(in super::super) const TOTAL: usize = offset_of!(Fold, total);
        pub(in super::super) const MIN: usize = offset_of!(Fold, min);
        pub(in super::super) const MAX: usize = offset_of!(Fold, max);
        pub(in super::super) const LAST: usize = offset_of!(Fold, last);
        pub(in super::super) const LEFT: usize = offset_of!(Fold, left);
        pub(in super::super) const FAILED: usize = offset_of!(Fold, failed);
        pub(in super::super) const CANCELLED: usize = offset_of!(Fold, cancelled);
        pub(in super::super) const BUCKETS: usize = offset_of!(Fold, buckets);
        pub(in super::super) const READER: usize = offset_of!(Fold, reader);
        pub(in super::super) const STATE: usize = offset_of!(FoldReader, state);
        pub(in super::super) const ELSEWHERE: usize = offset_of!(FoldReader, elsewhere);
        pub(in super::super) const REVISION: usize = offset_of!(FoldReader, revision);
    }
}

/// Reads the records of a segment with numbers from `taken` up to `next`, exclusive.
fn ended(image: &mut Image, bytes: &[u8], base: u64, taken: u64, next: u64, head: u64) {
    let lines = bytes.get(size_of::<Segment>()..).unwrap_or_default();
    let places = places(bytes, lines.len() / LINE);
    let mut found = Vec::new();
    for (index, line) in lines.chunks_exact(LINE).enumerate() {
        let Some((words, number)) = numbered(line) else { continue };
        let is_at_its_place = number >= base && (number - base) & (places - 1) == index as u64;
        if is_at_its_place && (taken..next).contains(&number) && number - taken.max(base) < FARTHEST {
            found.push((number, words));
        }
    }
    found.sort_unstable_by_key(|(number, _)| *number);
    // The head is trusted only here, and only if it is plausible.
    let (from, to) = (taken.max(base), head.min(next));
    if to.saturating_sub(from) <= places {
        let counted = found.iter().filter(|(number, _)| *number < to).count() as u64;
        image.damaged += to.saturating_sub(from).saturating_sub(counted);
    }
    image.ended.extend(found.into_iter().map(|(_, words)| call(&words, true)));
}

/// Returns the number of places in a ring, as stored there. If that doesn't fit the bytes, which may be cut off or filled up to a page, it
/// follows from their length.
fn places(bytes: &[u8], lines: usize) -> u64 {
    let said = word(bytes, offset::RECORDS);
    let is_plausible = said.is_power_of_two() && (lines as u64 / 2..=lines as u64 * 2).contains(&said);
    if is_plausible { said } else { 1 << lines.max(1).ilog2() }
}

/// Reads the running call of a frame, or the one that has ended in its slot.
fn slot(image: &mut Image, frame: &[u8]) {
    let (words, check) = words(frame);
    if check == 0 {
    } else if check == words.check(RUNNING) {
        if !Facts(words.facts).is_folded() {
            image.running.push(call(&words, false));
        } else if word(frame, offset::PROMOTED) == words.id {
            image.promoted.push(word(frame, offset::BELOW));
        }
    } else if check == words.check(ENDED_IN_SLOT) {
        image.ended.push(call(&words, true));
    }
}

fn call(words: &Words, is_ended: bool) -> Call {
    let facts = Facts(words.facts);
    let end = match facts.ending() {
        Ending::Succeeded => End::Succeeded,
        Ending::Cancelled => End::Cancelled,
        Ending::Error => End::Error,
        Ending::Panic => End::Panic,
    };
    Call {
        id: words.id,
        parent: words.parent,
        root: words.root(),
        site: facts.site_number() as u32,
        attachment: facts.attachment(),
        thread: facts.thread(),
        start: words.start,
        end: is_ended.then_some((words.end, end)),
        is_folded: facts.is_folded(),
        may_be_brief: facts.may_be_brief(),
        has_folds: facts.has_folds(),
    }
}

/// Reads a fold that is in use and whose numbers are consistent.
fn counted(bytes: &[u8]) -> Option<Counted> {
    /// Maximum count. It is so small that no sum overflows.
    const MOST: u64 = 1 << 48;
    let at = |offset| word(bytes, offset);
    let [mark, begun, ended] = [offset::fold::MARK, offset::fold::BEGUN, offset::fold::ENDED].map(at);
    let state = at(offset::fold::READER + offset::fold::STATE);
    if mark == 0 || state == FREE || begun > MOST {
        return None;
    }
    let elsewhere = at(offset::fold::LEFT).checked_add(at(offset::fold::READER + offset::fold::ELSEWHERE))?;
    let running = begun.checked_sub(ended)?.checked_sub(elsewhere)?;
    let [failed, cancelled, min, max] = [offset::fold::FAILED, offset::fold::CANCELLED, offset::fold::MIN, offset::fold::MAX].map(at);
    let total = at(offset::fold::TOTAL + (ended & 1) as usize * 8);
    let mut buckets: Vec<u64> = (0..BUCKETS).map(|index| at(offset::fold::BUCKETS + index * 8)).collect();
    let sum = buckets.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count))?;
    // The histogram is one call behind, except while that call is being counted.
    if sum.checked_add(1) == Some(ended) {
        *buckets.get_mut(usize::try_from(at(offset::fold::LAST)).ok()?)? += 1;
    } else if sum != ended {
        return None;
    }
    let is_plausible = ended == 0 || (min <= max && total / ended <= max && failed.checked_add(cancelled)? <= ended);
    let root = u128::from(at(offset::fold::ROOT)) << 64 | u128::from(at(offset::fold::ROOT + 8));
    is_plausible.then(|| Counted {
        mark,
        parent: at(offset::fold::PARENT),
        may_move: Facts(at(offset::fold::FACTS)).may_be_brief(),
        root,
        site: Facts(at(offset::fold::FACTS)).site_number() as u32,
        start: at(offset::fold::START),
        revision: at(offset::fold::READER + offset::fold::REVISION),
        ended,
        running,
        failed,
        cancelled,
        total,
        range: (ended > 0).then_some((min, max)),
        histogram: (0..).zip(buckets).filter(|(_, count)| *count > 0).collect(),
    })
}

/// Returns a record and its number, which is part of its checksum. The number of anything that is no record is as good as random.
fn numbered(line: &[u8]) -> Option<(Words, u64)> {
    let (words, check) = words(line);
    (check != 0).then(|| (words, check.wrapping_sub(words.check(0)).wrapping_mul(inverse(FACTORS[7]))))
}

fn words(bytes: &[u8]) -> (Words, u64) {
    let [start, id, parent, high, low, end, facts, check] = std::array::from_fn(|at| word(bytes, at * 8));
    (Words { start, id, parent, root: [high, low], end, facts }, check)
}

/// Returns the word at an offset, or 0 behind the end.
fn word(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..offset + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

fn name(region: &[u8]) -> String {
    let len = word(region, offset::NAME_LEN).min(NAME as u64) as usize;
    String::from_utf8_lossy(region.get(offset::NAME..offset::NAME + len).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::layout::SegmentRef;
    use super::*;
    use crate::keep::Memory;

    /// Returns the next number of a generator that is good enough for test bytes (splitmix64).
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn bytes_of<T>(value: &T) -> Vec<u8> {
        #[allow(unsafe_code, reason = "to see the memory as a file has it")]
        // SAFETY: plain words without relevant padding, alive and not written to meanwhile.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) }.to_vec()
    }

    fn example(number: u64) -> Words {
        let facts = Facts::new(number as usize % 7, Attachment::Inferred, 5).ended(Ending::Error).0;
        Words { start: 1_000 + number, id: number + 1, parent: 9, root: [3, 4], end: 2_000 + number, facts }
    }

    /// Builds a region with two running calls, and a ring of 8 places in which the records 100 to 111 were written, the
    /// last one not yet counted in the head.
    fn left_behind() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let (region, _) = Region::new(&Memory, 2, 8).expect("memory");
        region.reader.set_name("the thread with a name that is longer than what there is room für");
        region.writer.thread.set(5);
        region.writer.head.set(111);
        for (frame, id) in region.frames.iter().zip([3, 4]) {
            frame.line.write(&Words { id, ..example(0) }, RUNNING);
        }
        let ring = SegmentRef::new(&Memory, 2, 8, 100).expect("memory");
        for number in 100..112 {
            ring.line(number).write(&example(number), number);
        }
        assert!(region.add_chunk(&Memory, 1));
        let slots = [1, 2].map(|number| region.slot(number).expect("added"));
        slots[0].line.write(&example(500), RUNNING);
        slots[1].line.write(&example(501), ENDED_IN_SLOT);
        let segment = [100, 8, 0, 0, 0, 0, 0, 0_u64].iter().flat_map(|word| word.to_ne_bytes());
        let lines = (0..8).flat_map(|index| bytes_of(ring.line(100 + index)));
        (bytes_of(region), segment.chain(lines).collect(), slots.iter().flat_map(|slot| bytes_of(*slot)).collect())
    }

    fn ids(calls: &[Call]) -> Vec<u64> {
        calls.iter().map(|call| call.id).collect()
    }

    #[test]
    fn unread_and_running_calls_are_found() {
        let (region, ring, chunk) = left_behind();
        for (taken, first) in [(0, 104), (104, 104), (109, 109), (112, 112)] {
            let image = read(&region, &[(100, &ring)], &[&chunk], &[], taken);
            let ended: Vec<u64> = (first + 1..113).chain([502]).collect();
            assert_eq!((ids(&image.ended), ids(&image.running)), (ended, vec![3, 4, 501]), "{taken}");
            assert_eq!(image.damaged, 0, "{taken}");
            assert_eq!((image.thread, &*image.thread_name), (5, "the thread with a name that is longer than what there is room f"));
        }
        let image = read(&region, &[(100, &ring)], &[], &[], 110);
        let call = Call {
            id: 111,
            parent: 9,
            root: 3 << 64 | 4,
            site: 5,
            attachment: Attachment::Inferred,
            thread: 5,
            start: 1_110,
            end: Some((2_110, End::Error)),
            is_folded: false,
            may_be_brief: false,
            has_folds: false,
        };
        assert_eq!(image.ended[0], call);
        // A record whose frame was not cleared yet
        let (_, running) = (call, Words { id: 112, ..example(0) });
        let mut region = region;
        let line = offset::FRAMES..offset::FRAMES + LINE;
        let words = [running.start, 112, 9, 3, 4, running.end, running.facts, running.check(RUNNING)];
        region[line].copy_from_slice(&words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>());
        assert_eq!(ids(&read(&region, &[(100, &ring)], &[], &[], 110).running), [4]);
    }

    #[test]
    fn a_damaged_bit_costs_only_its_record() {
        let (region, ring, chunk) = left_behind();
        let whole = read(&region, &[(100, &ring)], &[&chunk], &[], 104);
        for bit in 0..ring.len() * 8 {
            let mut ring = ring.clone();
            ring[bit / 8] ^= 1 << (bit % 8);
            let image = read(&region, &[(100, &ring)], &[&chunk], &[], 104);
            let place = (bit / 8).checked_sub(size_of::<Segment>()).map(|at| at / LINE);
            let left: Vec<Call> = whole
                .ended
                .iter()
                .filter(|call| place.is_none_or(|place| (call.id - 101) as usize % 8 != place || call.id > 500))
                .copied()
                .collect();
            assert_eq!((&image.ended, &image.running), (&left, &whole.running), "bit {bit}");
        }
        for bit in 0..(offset::FRAMES + 3 * FRAME) * 8 {
            // All counted words, and one bit of each word in the rest
            if bit / 8 % 8 != bit / 64 % 8 {
                continue;
            }
            let mut region = region.clone();
            region[bit / 8] ^= 1 << (bit % 8);
            let image = read(&region, &[(100, &ring)], &[&chunk], &[], 104);
            assert_eq!(image.ended, whole.ended, "bit {bit}");
            assert!(image.running.len() >= whole.running.len() - 1, "bit {bit}");
        }
    }

    #[test]
    fn arbitrary_bytes_contain_no_records() {
        let mut state = 7;
        let (region, ring, chunk) = left_behind();
        for round in 0..300 {
            let mut noise = |len: usize| (0..len).map(|_| random(&mut state) as u8).collect::<Vec<u8>>();
            let (a, b, c) = (noise(REGION_BYTES), noise(round * 61), noise(CHUNK_BYTES + round));
            let image =
                read(&a, &[(u64::MAX, &b), (0, &b), (5, &ring[..round.min(ring.len())])], &[&c, &[]], &[&c, &b], u64::from(b.len() as u8));
            assert!(
                image.running.is_empty() && image.folds.is_empty() && image.ended.iter().all(|call| (100..112).contains(&(call.id - 1))),
                "{image:?}"
            );
            // Wrong counts
            let mut region = region.clone();
            region[..offset::FRAMES].iter_mut().for_each(|byte| *byte = noise(1)[0]);
            assert_eq!(read(&region, &[(100, &ring)], &[&chunk], &[], 104).ended.len(), 9);
            let _ = read(&region[..round * 7], &[(100, &ring), (100, &ring), (103, &b)], &[&chunk[..round % 256]], &[], 0);
        }
        assert_eq!(read(&[], &[], &[], &[], 0), Image::default());
        assert_eq!(read(&[0; 100], &[(0, &[0; 1_000])], &[&[0; 300]], &[&[0; 9_000]], u64::MAX), Image::default());
    }

    #[test]
    fn refused_starts_are_counted_unless_a_byte_of_the_count_is_damaged() {
        let mut region = vec![0; REGION_BYTES];
        let put = |region: &mut Vec<u8>, at: usize, word: u64| region[at..at + 8].copy_from_slice(&word.to_ne_bytes());
        assert_eq!(refused(&region), 0);
        put(&mut region, offset::REFUSED, 7);
        put(&mut region, offset::REFUSED + 8, 7_u64.wrapping_mul(FACTORS[0]));
        assert_eq!(refused(&region), 7);
        for bit in 0..128 {
            let byte = offset::REFUSED + bit / 8;
            region[byte] ^= 1 << (bit % 8);
            assert_eq!(refused(&region), 0, "bit {bit}");
            region[byte] ^= 1 << (bit % 8);
        }
        // Killed between the two words
        put(&mut region, offset::REFUSED, 8);
        assert_eq!(refused(&region), 8);
        assert_eq!(refused(&[]), 0);
    }
}
