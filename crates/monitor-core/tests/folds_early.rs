//! Tests that calls are folded before the shipper's first scan.

#![cfg(feature = "record")]

use std::time::Duration;

use monitor_core::private::{Guard, How, site};
use monitor_core::record::Record;
use monitor_core::{Process, fold, queue, switch};

#[test]
fn a_loop_is_folded_before_the_shipper_runs() {
    const AFTER: u64 = 1_000;
    const CALLS: u64 = 200_000;
    fold::set_after(AFTER);
    let mut receiver = queue::open(1 << 30).expect("opened once");
    switch::turn_on();
    {
        let _top = Process::builder("top").enter();
        for _ in 0..CALLS {
            drop(Guard::enter(site!("step", "normal", 1), How::Normal));
        }
    }
    let (mut single, mut counted) = (0, 0);
    while receiver.look(Duration::ZERO) {
        while let Some(entry) = receiver.try_recv() {
            match &entry.record {
                Record::Started(started) if started.parent != 0 => single += 1,
                Record::Folded(folded) => counted = folded.count,
                _ => {}
            }
            receiver.release(entry.bytes);
        }
    }
    assert_eq!(single + counted, CALLS);
    // Some calls begin before the length of a tick is known, and on a busy machine some take a millisecond; these have rows.
    assert!((AFTER..=2 * AFTER).contains(&single), "{single} rows");
}
