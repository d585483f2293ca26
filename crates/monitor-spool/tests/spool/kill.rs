//! A program killed at any moment leaves all stored events, each exactly once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use monitor_core::keep::Piece;
use monitor_spool::{Entry, Meta, Parcel, Spool};
use monitor_wire::Event;

use crate::support::{TestSpool, begin, child, drain, event, json};

/// Offsets of the child's counters: number of stored events, and last acknowledged event.
const KEPT: u64 = 0;
const ACKNOWLEDGED: u64 = 8;
const ROUNDS: u64 = 40;

fn writes_until_it_is_killed(spool: &Spool) {
    let count = File::options().write(true).open(spool.path().with_file_name("count")).unwrap();
    let note = |at: u64, number: u64| count.write_all_at(&number.to_le_bytes(), at).unwrap();
    let mut begun = begin(spool, 1 << 28);
    let (mut next, mut taken) = (1, 0);
    loop {
        for _ in 0..=next % 50 {
            begun.lane.append(&Entry::Sent { begun: 0, at: next, event: &json(next) }).unwrap();
            note(KEPT, next);
            next += 1;
        }
        if next % 7 == 0 {
            let start = begun.pieces.map(Piece::Region(0), 65_536).unwrap();
            #[allow(unsafe_code, reason = "memory that was just mapped, given back once")]
            // SAFETY: the bytes were mapped, and no other code has seen them.
            unsafe {
                start.write_bytes(7, 65_536);
                begun.pieces.unmap(Piece::Region(0), start, 65_536);
            }
            begun.lane.prepare().unwrap();
        }
        let events: Vec<Event> = (taken + 1..next).map(event).collect();
        let parcel = Parcel::encode(taken + 1, &events).unwrap();
        begun.journal.append(&parcel, &Meta { lane: next - 1, ..Meta::default() }).unwrap();
        begun.program.advance(next, next - 1);
        begun.lane.taken(next - 1);
        taken = next - 1;
        if next % 3 == 0 {
            let last = begun.journal.front().unwrap().last();
            note(ACKNOWLEDGED, last);
            begun.program.acknowledge(last);
            begun.journal.acknowledge(last);
        }
    }
}

#[test]
fn events_kept_by_a_killed_program_are_found_once() {
    let mut writer = child("kill::events_kept_by_a_killed_program_are_found_once", |spool| writes_until_it_is_killed(&spool));
    let (mut all, mut lives) = (0, 0);
    for round in 0..ROUNDS {
        let test = TestSpool::new();
        let name = test.dir.path().join("count");
        std::fs::write(&name, [0; 16]).unwrap();
        let mut child = writer.env("SPOOL", test.spool.path()).spawn().unwrap();
        let read = |at: u64| {
            let mut word = [0; 8];
            File::open(&name).unwrap().read_exact_at(&mut word, at).unwrap();
            u64::from_le_bytes(word)
        };
        while read(KEPT) < round * 37 {
            std::thread::sleep(Duration::from_micros(200));
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (kept, acknowledged) = (read(KEPT), read(ACKNOWLEDGED));
        let found = test.spool.list().unwrap();
        let Some(found) = found.first() else {
            assert_eq!(kept, 0, "killed before its folder had its name");
            continue;
        };
        assert_eq!((found.damaged, &found.problems[..]), (0, &[][..]), "round {round}");
        let mut replay = test.replay(found.worker_id);
        let events: Vec<(u64, u64)> = drain(&mut replay).into_iter().filter(|(_, process)| *process != 0).collect();
        let (first, last) = (events.first().map_or(0, |e| e.1), events.last().map_or(0, |e| e.1));
        assert!(events.iter().map(|e| e.1).eq(first..first + events.len() as u64), "round {round}: in order and once: {events:?}");
        assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0), "round {round}");
        assert!((kept..=kept + 1).contains(&last) || (events.is_empty() && kept == acknowledged), "round {round}: {last} of {kept}");
        // An event that was acknowledged just before the kill is sent again with the same number.
        assert!(events.is_empty() || first <= acknowledged + 1, "round {round}: {first} after {acknowledged}");
        assert!(events.iter().all(|(number, process)| number == process || *process > acknowledged), "round {round}");
        all += events.len();
        lives += 1;
    }
    assert!(lives > ROUNDS / 2 && all > 1_000, "{all} events of {lives} programs");
}
