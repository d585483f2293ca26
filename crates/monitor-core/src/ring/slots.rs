//! The open table of a thread: which slot the next future gets.

use super::host;
use super::layout::{CHUNK, CHUNK_BYTES, CHUNKS, Frame, Region};
use crate::inside;

/// Futures that began on one thread and are open in its table, at most.
const MOST: u64 = (CHUNK * CHUNKS) as u64;

/// A free slot; `None` if the table is full, or memory is.
#[inline]
pub(super) fn take(region: &'static Region) -> Option<&'static Frame> {
    region.pop_free().or_else(|| more(region))
}

/// Takes back what others have freed, if that is worth a look at all slots, or begins a further one.
#[cold]
#[inline(never)]
fn more(region: &'static Region) -> Option<&'static Frame> {
    let writer = &region.writer;
    let (slots, freed) = (writer.slots.get(), region.reader.freed.observe());
    if freed.wrapping_sub(writer.freed_seen.get()) > slots / 4 {
        writer.freed_seen.set(freed);
        for number in (1..=slots).rev() {
            if let Some(slot) = region.slot(number).filter(|slot| slot.line.is_clear()) {
                region.push_free(slot);
            }
        }
        if let Some(slot) = region.pop_free() {
            return Some(slot);
        }
    }
    if slots == MOST {
        return None;
    }
    let number = slots + 1;
    if slots.is_multiple_of(CHUNK as u64) {
        if !host::reserve(CHUNK_BYTES) {
            return None;
        }
        let _inside = inside::enter();
        if !region.add_chunk(host::keeper(), number) {
            host::release(CHUNK_BYTES);
            return None;
        }
    }
    let slot = region.slot(number)?;
    slot.set_home(region);
    writer.slots.publish(number);
    Some(slot)
}

/// Whether the table is as large as it may be.
pub(super) fn are_all_in_use(region: &Region) -> bool {
    region.writer.slots.get() == MOST
}
