//! Tests that a record that is damaged in memory does not affect other records, and is counted as damaged.

#![cfg(feature = "record")]
#![allow(unsafe_code, reason = "turns a bit of what was recorded")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use monitor_core::keep::{Keeper, Memory, Piece};
use monitor_core::private::{Guard, How, site};
use monitor_core::record::{Origin, Record};
use monitor_core::{Process, queue, switch};

static RING: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// Memory that stores the address of the ring for the test.
struct Shown;

// SAFETY: as that of `Memory`.
unsafe impl Keeper for Shown {
    fn map(&self, piece: Piece, bytes: usize) -> Option<NonNull<u8>> {
        let start = Memory.map(piece, bytes)?;
        if let Piece::Segment { .. } = piece {
            RING.store(start.cast::<AtomicU64>().as_ptr(), Ordering::SeqCst);
        }
        Some(start)
    }

    unsafe fn unmap(&self, piece: Piece, start: NonNull<u8>, bytes: usize) {
        // SAFETY: as promised by the caller.
        unsafe { Memory.unmap(piece, start, bytes) };
    }
}

#[test]
fn a_damaged_record_is_counted_as_damaged() {
    let mut receiver = queue::open_with(64 << 20, &Shown).expect("opened once");
    switch::turn_on();
    let top = Process::builder("top").enter();
    (0..3).for_each(|_| drop(Guard::enter(site!("call", "normal", 1), How::Normal)));
    // The second record: a line of 8 words after a header of the same size.
    // SAFETY: the address is within the ring, which stays allocated until the receiver has scanned it; its words are atomic.
    let id = unsafe { RING.load(Ordering::SeqCst).add(2 * 8 + 1).as_ref() }.expect("a ring");
    id.fetch_xor(1, Ordering::SeqCst);
    drop(top);
    receiver.look(Duration::ZERO);
    let is_call = |record: &Record| matches!(record, Record::Started(started) if matches!(&started.origin, Origin::Site(site) if site.name == "call"));
    let calls = std::iter::from_fn(|| receiver.take()).filter(|entry| is_call(&entry.record)).count();
    let damaged = queue::DropKey { event: "process-ended", root: None, reason: "damaged" };
    assert_eq!((calls, queue::dropped()), (2, vec![(damaged, 1)]));
}
