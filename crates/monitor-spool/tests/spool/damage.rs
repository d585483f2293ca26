//! Folders that were damaged or manipulated.

use std::fs;

use monitor_spool::{Life, Meta, Parcel};

use crate::support::{TestSpool, drain, event, file, journal, lane};

/// Damages the folder of a dead program with events 1 to 6 in the journal and 7 to 9 in the lane, and checks the events that are replayed.
fn check(harm: impl Fn(&std::path::Path), expected: &[u64]) -> monitor_spool::Replay {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let (worker, path) = (begun.folder.worker(), begun.folder.path().to_owned());
    journal(&mut begun, 1, 3);
    journal(&mut begun, 4, 3);
    lane(&begun, 7..=9);
    drop(begun);
    harm(&path);
    assert_eq!(test.spool.list().unwrap()[0].life, Life::Dead);
    let mut replay = test.replay(worker);
    let found: Vec<u64> = drain(&mut replay).into_iter().map(|(_, process)| process).filter(|process| *process != 0).collect();
    assert_eq!(found, expected);
    replay
}

#[test]
fn damage_loses_only_the_damaged_part_and_is_counted() {
    let replay = check(
        |path| {
            let name = file(path, "journal-");
            let mut bytes = fs::read(&name).unwrap();
            bytes[60] ^= 1;
            fs::write(&name, bytes).unwrap();
        },
        &[4, 5, 6, 7, 8, 9],
    );
    assert_eq!(replay.damaged(), 1);
    let dropped = replay.dropped();
    assert_eq!((dropped[0].event_type.as_str(), dropped[0].reason.as_str(), dropped[0].count), ("unknown", "damaged", 3));
}

#[test]
fn a_batch_whose_writing_was_broken_off_is_no_damage() {
    for is_finished in [false, true] {
        let test = TestSpool::new();
        let mut begun = test.begin();
        let worker = begun.folder.worker();
        journal(&mut begun, 1, 3);
        let path = file(begun.folder.path(), "journal-");
        let whole = fs::metadata(&path).unwrap().len();
        let events: Vec<_> = (4..7).map(event).collect();
        begun.journal.append(&Parcel::encode(4, &events).unwrap(), &Meta::default()).unwrap();
        if is_finished {
            begun.program.advance(7, 0);
        }
        // The records of the batch are still in the lane.
        lane(&begun, 4..7);
        drop(begun);
        fs::File::options().write(true).open(&path).unwrap().set_len(whole + 100).unwrap();
        let mut replay = test.replay(worker);
        let found: Vec<u64> = drain(&mut replay).into_iter().map(|(_, process)| process).filter(|process| *process != 0).collect();
        assert_eq!(found, [1, 2, 3, 4, 5, 6]);
        let dropped: Vec<_> = replay.dropped().into_iter().map(|dropped| (dropped.reason, dropped.count)).collect();
        assert_eq!((replay.damaged(), dropped), if is_finished { (1, vec![("damaged".to_owned(), 3)]) } else { (0, Vec::new()) });
    }
}

#[test]
fn damage_is_counted_once_however_often_shipping_breaks_off() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let (worker, path) = (begun.folder.worker(), begun.folder.path().to_owned());
    journal(&mut begun, 1, 3);
    journal(&mut begun, 4, 3);
    lane(&begun, 7..=9);
    begun.program.marks().dropped("process-started");
    drop(begun);
    for (prefix, at) in [("journal-", 60), ("lane-", 60)] {
        let name = file(&path, prefix);
        let mut bytes = fs::read(&name).unwrap();
        bytes[at] ^= 1;
        fs::write(&name, bytes).unwrap();
    }
    for _ in 0..3 {
        let mut replay = test.replay(worker);
        assert_eq!(replay.next().unwrap().first(), 4);
        let mut dropped: Vec<_> = replay.dropped().into_iter().map(|d| (d.event_type, d.reason, d.count)).collect();
        dropped.sort();
        let expected = [("process-started", "memory", 1), ("unknown", "damaged", 4)];
        assert_eq!(dropped, expected.map(|(kind, reason, count)| (kind.to_owned(), reason.to_owned(), count)));
    }
    assert_eq!(drain(&mut test.replay(worker)).len(), 5);
}

#[test]
fn events_are_sent_without_the_program_file() {
    let replay = check(|path| fs::remove_file(path.join("program")).unwrap(), &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(replay.worker().program, "(unknown)");
}

#[test]
fn files_cut_short_or_empty_are_read_as_far_as_they_go() {
    check(|path| fs::File::options().write(true).open(file(path, "journal-")).unwrap().set_len(100).unwrap(), &[7, 8, 9]);
    check(|path| fs::write(path.join("program"), "").unwrap(), &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check(|path| fs::write(file(path, "lane-"), "").unwrap(), &[1, 2, 3, 4, 5, 6]);
}

#[test]
fn foreign_file_names_are_left_alone() {
    check(
        |path| {
            for name in [
                "journal-",
                "journal-01",
                "journal--1",
                "journal-99999999999999999999999",
                "region-",
                "region-1-2-3",
                "segment-1",
                "x\n\u{1b}[31m",
            ] {
                fs::write(path.join(name), [0xff; 5_000]).unwrap();
            }
            fs::create_dir(path.join("journal-7")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path.join("lane-70")).unwrap();
            let fifo = std::ffi::CString::new(path.join("region-3").to_str().unwrap()).unwrap();
            #[allow(unsafe_code, reason = "std makes no pipes with names")]
            // SAFETY: the name ends with a zero byte.
            unsafe {
                assert_eq!(libc::mkfifo(fifo.as_ptr(), 0o600), 0);
            }
        },
        &[1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
}

#[test]
fn an_absurd_length_allocates_no_memory() {
    check(
        |path| {
            // Longer than the total memory, without a block on the disk.
            fs::File::create_new(path.join("journal-5")).unwrap().set_len(1 << 42).unwrap();
            fs::File::create_new(path.join("segment-0-18446744073709551615")).unwrap().set_len(1 << 20).unwrap();
            fs::File::create_new(path.join("chunk-4294967295-4294967295")).unwrap().set_len(1 << 20).unwrap();
        },
        &[1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
}
