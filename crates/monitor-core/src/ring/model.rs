//! Model of frame, ring and slot for loom, which tries all interleavings and reorderings.

use loom::sync::Arc;
use loom::thread;

use atomic::AtomicU64;
use line::{Line, RUNNING, Word, Words};

#[allow(dead_code, reason = "tried are frames and records")]
#[path = "line.rs"]
mod line;

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

const END: u64 = 9;
const FACTS: u64 = 1 << 33;

/// The memory shared by a thread and the drainer: the frame of the running call, a ring of one record, and the
/// numbers of records written and taken.
struct Shared {
    frame: Line,
    ring: Line,
    head: Word,
    tail: Word,
}

fn word() -> Word {
    Word(AtomicU64::new(0))
}

fn call(id: u64) -> Words {
    Words { start: id + 7, id, parent: 3, root: [4, 5], end: 0, facts: 6 }
}

fn ended(id: u64) -> Words {
    Words { end: END, facts: 6 | FACTS, ..call(id) }
}

/// Begins and ends a call if the ring has room for its record, like `writer::begin` and `writer::publish`.
fn record(shared: &Shared, id: u64) -> bool {
    let head = shared.head.get();
    if head == shared.tail.observe() + 1 {
        return false;
    }
    shared.frame.write(&call(id), RUNNING);
    shared.ring.write_ended(&shared.frame, END, FACTS, head);
    shared.frame.clear();
    shared.head.publish(head + 1);
    true
}

/// Scans once, like `Rings::look` and `Rings::commit`. Returns the record that it takes and the call that it finds running.
fn look(shared: &Shared) -> (Option<Words>, Option<Words>) {
    let (tail, head) = (shared.tail.get(), shared.head.observe());
    let taken = (tail < head).then(|| shared.ring.read(tail).expect("what counts is whole"));
    let running = shared.frame.read(RUNNING);
    shared.tail.publish(head);
    (taken, running)
}

#[test]
fn a_published_record_is_complete_and_its_frame_is_cleared() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let line = || Line::new(word);
        let shared = Arc::new(Shared { frame: line(), ring: line(), head: word(), tail: word() });
        let thread = {
            let shared = shared.clone();
            thread::spawn(move || (1..=2).map(|id| record(&shared, id)).collect::<Vec<_>>())
        };
        let mut taken = Vec::new();
        for _ in 0..2 {
            let (record, running) = look(&shared);
            if let (Some(record), Some(running)) = (record, running) {
                assert!(running.id > record.id, "told as running after it was told as ended");
            }
            if let Some(running) = running {
                assert_eq!(running, call(running.id));
            }
            taken.extend(record);
        }
        let recorded = thread.join().unwrap();
        taken.extend(look(&shared).0);
        let ids: Vec<u64> = (1..=2).zip(&recorded).filter(|(_, is_recorded)| **is_recorded).map(|(id, _)| id).collect();
        assert_eq!(taken, ids.into_iter().map(ended).collect::<Vec<_>>());
    });
}

/// Ends a folded future on another thread than it began on, like `fold::take` and `writer::publish_unusual`. Returns its words.
fn end_elsewhere(slot: &Line) -> Words {
    slot.retire();
    let words = slot.own();
    slot.clear();
    words
}

#[test]
fn a_slot_is_reused_only_after_the_end_of_its_last_future_is_written() {
    loom::model(|| {
        let slot = Arc::new(Line::new(word));
        slot.write(&call(1), RUNNING);
        let other = {
            let slot = slot.clone();
            thread::spawn(move || end_elsewhere(&slot))
        };
        // Like `slots::more`, which takes it back, and `writer::begin`, which uses it.
        let is_taken = slot.is_clear();
        if is_taken {
            slot.write(&call(2), RUNNING);
        }
        assert_eq!(other.join().unwrap(), call(1));
        assert_eq!(slot.read(RUNNING), is_taken.then(|| call(2)));
    });
}
