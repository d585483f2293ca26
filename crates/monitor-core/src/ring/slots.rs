//! Assigns the slots of a thread's open table to futures.

use super::host;
use super::layout::{CHUNK, CHUNK_BYTES, CHUNKS, Frame, Region};
use crate::inside;

/// Maximum number of futures that began on one thread and are open in its table.
const MOST: u64 = (CHUNK * CHUNKS) as u64;

/// Takes a free slot. `None` if the table or the memory is full.
#[inline]
pub(super) fn take(region: &'static Region) -> Option<&'static Frame> {
    region.pop_free().or_else(|| more(region))
}

/// Takes back the slots freed by others, if there are enough to be worth a search, or adds a new slot.
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

/// Returns true if the table has its maximum size.
pub(super) fn are_all_in_use(region: &Region) -> bool {
    region.writer.slots.get() == MOST
}
