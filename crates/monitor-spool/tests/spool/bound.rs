//! Size limits of a folder, and of all folders together. The oldest events are dropped first and counted.

use std::collections::BTreeMap;

use monitor_spool::{Answer, Batches, Meta, Parcel};
use monitor_wire::{Dropped, Event, RootId};

use crate::support::{TestSpool, drain, journal, lane, processes};

/// Creates an event with incompressible text, in one of two trees.
fn large(number: u64) -> Event {
    let mut state = number;
    let words: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    })
    .take(60)
    .collect();
    let root = format!("{:032x}", number % 2 + 1);
    let json = serde_json::json!({
        "type": "process-logged", "root_id": root, "id": format!("{number:016x}"), "time_us": 0, "level": "info", "message": words,
    });
    serde_json::from_value(json).unwrap()
}

/// Creates the start or the end of a process.
fn half(is_start: bool, root: u64, id: u64) -> Event {
    let json = serde_json::json!({
        "type": if is_start { "process-started" } else { "process-ended" }, "root_id": format!("{root:032x}"),
        "id": format!("{id:016x}"), "kind": "normal", "name": "step", "time_us": 1, "outcome": "succeeded",
    });
    serde_json::from_value(json).unwrap()
}

#[test]
fn a_full_journal_keeps_the_root_and_open_processes() {
    const LIMIT: u64 = 512 << 10;
    let test = TestSpool::new();
    let mut begun = test.begin_within(LIMIT);
    let worker = begun.folder.worker();
    let mut next = 1;
    let mut append = |begun: &mut monitor_spool::Begun, events: &[Event]| {
        begun.journal.append(&Parcel::encode(next, events).unwrap(), &Meta::default()).unwrap();
        next += events.len() as u64;
        begun.program.advance(next, 0);
        assert!(begun.folder.used_bytes() <= LIMIT);
        next - events.len() as u64
    };
    // A root, a call that stays open, a call that ends much later, and many calls that end soon.
    let mut kept =
        vec![append(&mut begun, &[half(true, 1, 1)]), append(&mut begun, &[half(true, 1, 2)]), append(&mut begun, &[half(true, 1, 3)])];
    for id in 10..4_000 {
        append(&mut begun, &[half(true, 1, id), large(2 * id), half(false, 1, id)]);
        if id == 2_000 {
            kept.push(append(&mut begun, &[half(false, 1, 3)]));
        }
    }
    let all = next - 1;
    let on_disk: u64 = std::fs::read_dir(begun.folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(on_disk, begun.folder.used_bytes());
    let (waiting, dropped) = (begun.journal.waiting(), count(&begun.journal.dropped()));
    assert_eq!(dropped.values().sum::<u64>() + waiting, all);
    let started = ("process-started".to_owned(), "spool".to_owned(), Some(1));
    let ended = ("process-ended".to_owned(), "spool".to_owned(), Some(1));
    assert!(dropped[&started] > 2_000 && dropped[&started] == dropped[&ended], "{dropped:?}");
    assert_eq!(begun.journal.front_joined().unwrap().first(), 1);
    drop(begun);
    let mut replay = test.replay(worker);
    assert_eq!(count(&replay.dropped()), dropped);
    let found: Vec<u64> = drain(&mut replay).into_iter().map(|(number, _)| number).collect();
    assert_eq!(found[..kept.len()], kept);
    assert!(found[kept.len()..].iter().copied().eq(found[kept.len()]..=all), "the newest, without a gap");
}

#[test]
fn open_processes_that_do_not_fit_are_given_up_in_the_end() {
    const LIMIT: u64 = 512 << 10;
    let test = TestSpool::new();
    let mut begun = test.begin_within(LIMIT);
    for id in 1..=10_000 {
        begun.journal.append(&Parcel::encode(id, &[half(true, 1, id)]).unwrap(), &Meta::default()).unwrap();
        assert!(begun.folder.used_bytes() <= LIMIT);
    }
    let lost: u64 = count(&begun.journal.dropped()).values().sum();
    assert!(lost > 5_000, "{lost}");
    assert_eq!(begun.journal.waiting() + lost, 10_000);
}

fn count(dropped: &[Dropped]) -> BTreeMap<(String, String, Option<u128>), u64> {
    dropped.iter().map(|d| ((d.event_type.clone(), d.reason.clone(), d.root_id.map(RootId::get)), d.count)).collect()
}

#[test]
fn a_full_journal_gives_up_its_oldest_and_counts_it_by_type_and_tree() {
    const LIMIT: u64 = 512 << 10;
    let test = TestSpool::new();
    let mut begun = test.begin_within(LIMIT);
    let worker = begun.folder.worker();
    let mut next = 1;
    for _ in 0..200 {
        let events: Vec<Event> = (next..next + 10).map(large).collect();
        begun.journal.append(&Parcel::encode(next, &events).unwrap(), &Meta::default()).unwrap();
        next += 10;
        begun.program.advance(next, 0);
        assert!(begun.folder.used_bytes() <= LIMIT);
    }
    let on_disk: u64 = std::fs::read_dir(begun.folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(on_disk, begun.folder.used_bytes());
    let waiting = begun.journal.waiting();
    let lost = next - 1 - waiting;
    assert!(lost > 100 && waiting > 100, "{lost} lost, {waiting} wait");
    let expected: BTreeMap<_, _> =
        [1, 2].map(|root| (("process-logged".to_owned(), "spool".to_owned(), Some(root)), lost / 2)).into_iter().collect();
    assert_eq!(count(&begun.journal.dropped()), expected);
    drop(begun);
    // The dropped events are reported although the program was killed before it could report them.
    let mut replay = test.replay(worker);
    assert_eq!(count(&replay.dropped()), expected);
    let found: Vec<u64> = drain(&mut replay).into_iter().map(|(number, _)| number).collect();
    assert!(found.into_iter().eq(lost + 1..next));
}

#[test]
fn an_acknowledged_journal_stays_small() {
    let test = TestSpool::new();
    let mut begun = test.begin_within(8 << 20);
    for number in 1..2_000 {
        begun.journal.append(&Parcel::encode(number, &[large(number)]).unwrap(), &Meta::default()).unwrap();
        begun.program.acknowledge(number);
        begun.journal.acknowledge(number);
        assert!(begun.folder.used_bytes() < 700 << 10, "{number}: {}", begun.folder.used_bytes());
    }
    assert!(begun.journal.is_empty() && begun.journal.dropped().is_empty());
}

#[test]
fn a_full_lane_keeps_its_entries() {
    let test = TestSpool::new();
    let begun = test.begin_within(600 << 10);
    let worker = begun.folder.worker();
    let mut kept = 0;
    let error = loop {
        let json = crate::support::json(kept + 1);
        match begun.lane.append(&monitor_spool::Entry::Sent { begun: 0, at: 1_000 + kept, event: &json }) {
            Ok(number) => kept = number,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("MONITOR_SPOOL_BYTES") && kept > 1_000, "{kept}: {error}");
    drop(begun);
    assert_eq!(drain(&mut test.replay(worker)).len() as u64, kept + 1, "and that the program began");
}

#[test]
fn files_of_the_lane_are_removed_when_all_entries_are_taken() {
    let test = TestSpool::new();
    let begun = test.begin();
    begun.lane.prepare().unwrap();
    lane(&begun, 1..=5_000);
    let files = || {
        std::fs::read_dir(begun.folder.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("lane-"))
            .count()
    };
    let many = files();
    assert!(many > 3);
    begun.lane.taken(2_500);
    let fewer = files();
    assert!(fewer < many && fewer > 1);
    begun.lane.taken(begun.lane.last());
    assert_eq!(files(), 1);
}

#[test]
fn the_oldest_dead_program_is_given_up_first_and_reported() {
    let test = TestSpool::new();
    let mut workers = Vec::new();
    for _ in 0..3 {
        let mut begun = test.begin();
        workers.push((begun.folder.worker(), begun.folder.path().to_owned()));
        for number in 1..=300 {
            begun.journal.append(&Parcel::encode(number, &[large(number)]).unwrap(), &Meta::default()).unwrap();
            begun.program.advance(number + 1, 0);
        }
        lane(&begun, 301..=310);
    }
    let living = test.begin();
    // Folders of the same age are sorted by name.
    workers.sort();
    let total = |test: &TestSpool| test.spool.list().unwrap().iter().map(|found| found.bytes).sum::<u64>();
    let before = total(&test);
    assert_eq!(test.spool.keep_within(before).unwrap(), 0);
    let freed = test.spool.keep_within(before - 1).unwrap();
    assert_eq!(total(&test), before - freed);
    let waiting: Vec<u64> = workers
        .iter()
        .map(|(worker, _)| test.spool.list().unwrap().into_iter().find(|found| found.worker_id == *worker).unwrap())
        .map(|found| found.waiting + found.unread)
        .collect();
    assert_eq!(waiting, [0, 310, 310]);
    let mut replay = test.replay(workers[0].0);
    let parcel = replay.next().expect("to tell what was given up");
    assert_eq!((processes(parcel).len(), parcel.first()), (0, 311));
    assert_eq!(count(&replay.dropped()).values().sum::<u64>(), 310);
    replay.settle(&Answer::Accepted);
    assert!(replay.next().is_none());
    // Records of a living program are never dropped, regardless of the limit.
    test.spool.keep_within(0).unwrap();
    assert!(living.folder.path().join("program").exists());
    assert_eq!(drain(&mut test.replay(workers[2].0)).len(), 0);
}

#[test]
fn old_unfinished_folders_are_removed() {
    let test = TestSpool::new();
    for name in [".new-x", ".gone-y", ".launch-z"] {
        let dir = test.spool.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("program"), "x").unwrap();
    }
    test.spool.keep_within(u64::MAX).unwrap();
    assert_eq!(std::fs::read_dir(test.spool.path()).unwrap().count(), 3);
    let is_of_before = |name: &str, hours: u64| {
        let dir = std::fs::File::open(test.spool.path().join(name)).unwrap();
        dir.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3_600 * hours)).unwrap();
    };
    // The folders were just created, and then the clock was set forward.
    for name in [".new-x", ".gone-y", ".launch-z", "."] {
        is_of_before(name, 2);
    }
    test.spool.keep_within(u64::MAX).unwrap();
    assert_eq!(std::fs::read_dir(test.spool.path()).unwrap().count(), 3);
    is_of_before(".", 0);
    test.spool.keep_within(u64::MAX).unwrap();
    assert_eq!(std::fs::read_dir(test.spool.path()).unwrap().count(), 0);
}

#[test]
fn small_batches_that_wait_are_sent_together_but_not_across_a_gap_and_not_too_many() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    (1..=300).step_by(3).for_each(|first| journal(&mut begun, first, 3));
    (0..10).for_each(|batch| journal(&mut begun, 302 + batch * 1_000, 1_000));
    let joined = begun.journal.front_joined().unwrap();
    assert_eq!((joined.first(), joined.count()), (1, 300));
    assert!(processes(&joined).into_iter().eq(1..=300));
    begun.journal.acknowledge(300);
    let joined = begun.journal.front_joined().unwrap();
    assert_eq!((joined.first(), joined.count()), (302, 5_000));
    assert!(processes(&joined).into_iter().eq(302..5_302));
    // Half of it was acknowledged.
    begun.journal.acknowledge(2_301);
    assert_eq!(begun.journal.front_joined().unwrap().first(), 2_302);
}

#[test]
fn the_batch_that_is_being_sent_is_given_up_last() {
    let test = TestSpool::new();
    let mut begun = test.begin_within(512 << 10);
    let batch = |first: u64| Parcel::encode(first, &(first..first + 10).map(large).collect::<Vec<_>>()).unwrap();
    begun.journal.append(&batch(1), &Meta::default()).unwrap();
    assert_eq!(begun.journal.front_joined().unwrap().last(), 10);
    let mut next = 11;
    while begun.journal.dropped().is_empty() {
        begun.journal.append(&batch(next), &Meta::default()).unwrap();
        next += 10;
    }
    assert_eq!(begun.journal.first_waiting(), Some(1));
    begun.journal.acknowledge(10);
    let lost: u64 = count(&begun.journal.dropped()).values().sum();
    assert_eq!(10 + lost + begun.journal.waiting(), next - 1);
}

#[test]
fn a_batch_that_can_never_fit_is_the_only_loss() {
    let test = TestSpool::new();
    let mut begun = test.begin_within(1 << 20);
    journal(&mut begun, 1, 50);
    let events: Vec<Event> = (51..4_051).map(large).collect();
    begun.journal.append(&Parcel::encode(51, &events).unwrap(), &Meta::default()).unwrap();
    journal(&mut begun, 4_051, 50);
    assert_eq!((begun.journal.waiting(), count(&begun.journal.dropped()).values().sum::<u64>()), (100, 4_000));
    assert!(begun.journal.dropped().iter().all(|dropped| dropped.reason == "spool"));
}

#[test]
fn a_program_that_has_numbered_all_leaves_its_journal_alone() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    begun.pieces.prepare(65_536, 2).unwrap();
    begun.pieces.map(monitor_core::keep::Piece::Region(0), 65_536).unwrap();
    lane(&begun, 1..=3);
    begun.lane.prepare().unwrap();
    journal(&mut begun, 1, 3);
    begun.folder.remove_memory();
    let mut names: Vec<_> =
        std::fs::read_dir(begun.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["journal-1", "lock", "program"]);
    // Recording after that has no effect and does no harm.
    lane(&begun, 4..=5);
    let worker = begun.folder.worker();
    drop(begun);
    assert_eq!(drain(&mut test.replay(worker)), [(1, 1), (2, 2), (3, 3)]);
}
