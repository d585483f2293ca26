//! Events for tests: written as lines, or generated. The store's tests and the fuzz targets use it too.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses a part of it")]

pub mod chosen;
pub mod generate;
pub mod model;
pub mod script;

use monitor_wire::{Batch, Event, ProcessId, RootId, WorkerId, WorkerRef};

pub fn root(number: u8) -> RootId {
    RootId::new((0x0199 << 112) | u128::from(number)).unwrap()
}

/// Ids from 100 on have the top bit set.
pub fn process(number: u64) -> ProcessId {
    ProcessId::new(if number < 100 { number } else { number | 1 << 63 }).unwrap()
}

pub fn worker(letter: char) -> WorkerId {
    WorkerId::new(u128::from(u32::from(letter))).unwrap()
}

pub fn worker_ref(letter: char) -> WorkerRef {
    WorkerRef { id: worker(letter), hostname: format!("host-{letter}"), pid: u32::from(letter), program: "test".to_owned() }
}

pub fn batch(letter: char, sequence: u64, events: Vec<Event>) -> Batch {
    Batch { version: 1, worker: worker_ref(letter), sequence, sent_us: 0, dropped: Vec::new(), lost: false, events }
}
