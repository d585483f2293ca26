//! Memory for the records of a thread: in its ring, in a larger ring, or none. Starts without room are counted.

use super::layout::{FACTORS, Refused, Region, SegmentRef};
use super::writer::Begun;
use super::{host, registry, slots};
use crate::inside;

/// Returns true if there is room for another record besides those of all open frames. Begins a larger segment if necessary.
#[inline]
pub(super) fn admits(region: &Region, depth: u64) -> bool {
    let writer = &region.writer;
    writer.head.get() + depth < writer.limit.get() || has_room(region) || grow(region)
}

/// Returns true if the segment has room for another record, considering what the reader has taken meanwhile.
#[cold]
#[inline(never)]
fn has_room(region: &Region) -> bool {
    let writer = &region.writer;
    let limit = region.reader.tail.observe().max(region.segment().base()) + writer.capacity.get();
    writer.limit.set(limit);
    writer.head.get() + writer.depth.get() < limit
}

/// Begins a larger segment, or the largest one that fits into the program's limit and into the storage of the rings.
#[cold]
#[inline(never)]
fn grow(region: &Region) -> bool {
    let _inside = inside::enter();
    let keeper = host::keeper();
    let (old, head) = (region.segment(), region.writer.head.get());
    let smallest = registry::FIRST_RECORDS.max(old.records() / 2);
    let mut records = old.records() * 2;
    while records >= smallest {
        let bytes = SegmentRef::bytes_of(records);
        if host::reserve(bytes) {
            if let Some(next) = SegmentRef::new(keeper, region.number(), records, head) {
                old.close(head, next);
                region.set_segment(next);
                region.writer.limit.set(head + records as u64);
                return true;
            }
            host::release(bytes);
        }
        records /= 2;
    }
    false
}

/// Counts a start that found no room. It takes the lock only if the tree has changed, because a full recorder must not block.
#[cold]
#[inline(never)]
pub(super) fn refuse<T>(region: &Region, (parent, root): (u64, [u64; 2])) -> Begun<T> {
    let root = if parent == 0 { [0, 0] } else { root };
    let place = region.refused(root);
    if [place.root[0].get(), place.root[1].get()] == root {
        place.count.set(place.count.get() + 1);
    } else {
        host::count_refused(root_of(place), place.count.get(), || {
            place.root[0].set(root[0]);
            place.root[1].set(root[1]);
            place.count.set(1);
        });
    }
    let [count, check] = &region.writer.refused;
    count.set(count.get() + 1);
    check.publish(count.get().wrapping_mul(FACTORS[0]));
    Begun::Refused
}

/// Handles a start without a slot: if the table is full, the start is recorded in another way; if memory is full, it is refused.
#[cold]
#[inline(never)]
pub(super) fn without_slot<T>(region: &Region, parent: (u64, [u64; 2])) -> Begun<T> {
    if slots::are_all_in_use(region) { Begun::Elsewhere } else { refuse(region, parent) }
}

/// Returns the number of a thread's starts that found no room, by tree. Must be called while
/// the queue's count of drops is locked.
pub(super) fn refused(region: &Region) -> impl Iterator<Item = (u128, u64)> {
    region.refused.iter().map(|place| (root_of(place), place.count.get())).filter(|(_, count)| *count > 0)
}

fn root_of(place: &Refused) -> u128 {
    u128::from(place.root[0].get()) << 64 | u128::from(place.root[1].get())
}
