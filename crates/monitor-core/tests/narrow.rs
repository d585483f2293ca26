//! Tests rings if their memory refuses large segments: recording continues in further small segments.

#![cfg(feature = "record")]

use std::ptr::NonNull;

use monitor_core::image::{FIRST_RECORDS, segment_bytes};
use monitor_core::keep::{Keeper, Memory, Piece};
use monitor_core::private::{Guard, How, site};
use monitor_core::record::Record;
use monitor_core::{Process, queue, switch};

/// Memory, in no larger pieces of a ring than these.
struct Narrow;

const LARGEST: usize = segment_bytes(4 * FIRST_RECORDS);

#[allow(unsafe_code, reason = "hands on what memory does")]
// SAFETY: as that of `Memory`.
unsafe impl Keeper for Narrow {
    fn map(&self, piece: Piece, bytes: usize) -> Option<NonNull<u8>> {
        if matches!(piece, Piece::Segment { .. }) && bytes > LARGEST { None } else { Memory.map(piece, bytes) }
    }

    unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller.
        unsafe { Memory.unmap(piece, start, bytes) };
    }
}

#[test]
fn a_ring_that_cannot_grow_continues_in_a_larger_ring() {
    const CALLS: usize = 20 * FIRST_RECORDS;
    let mut receiver = queue::open_with(64 << 20, &Narrow).expect("opened once");
    switch::turn_on();
    let top = Process::builder("top").enter();
    for _ in 0..CALLS {
        drop(Guard::enter(site!("leaf", "normal", 1), How::Normal));
    }
    drop(top);
    let mut ended = 0;
    while let Some(entry) = receiver.try_recv() {
        receiver.release(entry.bytes);
        ended += usize::from(matches!(entry.record, Record::Ended(_)));
    }
    assert_eq!((ended, queue::dropped()), (CALLS + 1, vec![]));
}
