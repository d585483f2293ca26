//! Following the journal of a program while it is written.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use monitor_spool::{About, Answer, Batches, Begun, Follower, Life, Parcel, Settled};
use monitor_wire::Dropped;

use crate::support::{TestSpool, about, begin_as, drain, file, journal, processes};

/// Limit of a folder with which a journal file is closed at 4 KiB.
const SMALL: u64 = 32 << 10;

fn follow(test: &TestSpool, begun: &Begun) -> Follower {
    test.spool.follow(begun.folder.worker()).unwrap().unwrap()
}

/// Returns the numbers of the events, and checks that the processes have the same numbers.
fn numbers(parcel: &Parcel) -> Vec<u64> {
    let numbers: Vec<u64> = (parcel.first()..=parcel.last()).collect();
    assert_eq!(processes(parcel), numbers);
    numbers
}

/// Returns the numbers of the next batch.
fn next(follower: &mut Follower) -> Vec<u64> {
    follower.next().as_ref().map(numbers).unwrap_or_default()
}

/// Returns the numbers of the next batch and acknowledges it.
fn take(follower: &mut Follower) -> Vec<u64> {
    take_told(follower).map(|(numbers, _)| numbers).unwrap_or_default()
}

/// Like [`take`], and also returns the reported dropped events.
fn take_told(follower: &mut Follower) -> Option<(Vec<u64>, Vec<Dropped>)> {
    let taken = follower.request(0, |parcel, head| (numbers(parcel), head.dropped.to_vec()))?;
    assert_eq!(follower.settle(&Answer::Accepted), Settled::Taken);
    Some(taken)
}

/// Returns the numbers of the journal files.
fn files(folder: &Path) -> Vec<u64> {
    let number = |name: String| name.strip_prefix("journal-")?.parse().ok();
    let mut files: Vec<u64> =
        fs::read_dir(folder).unwrap().filter_map(|entry| number(entry.unwrap().file_name().into_string().unwrap())).collect();
    files.sort_unstable();
    files
}

/// Appends batches of three events, starting with number `first`, until a batch starts a new file. Returns the number of that batch's first
/// event.
fn fill(begun: &mut Begun, mut first: u64) -> u64 {
    journal(begun, first, 3);
    let last = files(begun.folder.path()).pop();
    loop {
        first += 3;
        journal(begun, first, 3);
        if files(begun.folder.path()).pop() != last {
            return first;
        }
    }
}

/// Flips a bit.
fn damage(path: &Path, at: u64) {
    let disk = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    disk.read_exact_at(&mut byte, at).unwrap();
    disk.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn a_journal_is_followed_while_it_grows() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let mut follower = follow(&test, &begun);
    assert_eq!((next(&mut follower), follower.acknowledged()), (vec![], 0));
    assert_eq!(follower.worker().id, begun.folder.worker());
    journal(&mut begun, 1, 3);
    assert_eq!((next(&mut follower), next(&mut follower), follower.acknowledged()), (vec![1, 2, 3], vec![1, 2, 3], 0));
    // New events are added to the batch.
    journal(&mut begun, 4, 2);
    assert_eq!((take(&mut follower), follower.acknowledged()), (vec![1, 2, 3, 4, 5], 5));
    assert!(next(&mut follower).is_empty());
    // The numbers of a batch have no gaps.
    journal(&mut begun, 6, 1);
    journal(&mut begun, 8, 2);
    assert_eq!((take(&mut follower), take(&mut follower), take(&mut follower)), (vec![6], vec![8, 9], vec![]));
    // The size of a batch is limited.
    journal(&mut begun, 10, 3_000);
    journal(&mut begun, 3_010, 2_000);
    journal(&mut begun, 5_010, 1);
    assert!(take(&mut follower).into_iter().eq(10..5_010));
    assert_eq!((take(&mut follower), follower.acknowledged()), (vec![5_010], 5_010));
}

#[test]
fn no_event_written_during_reading_is_missed() {
    const END: u64 = 6_001;
    let test = TestSpool::new();
    // Large enough for all events in several files, however slow the reader is.
    let mut begun = test.begin_within(1 << 20);
    let mut follower = follow(&test, &begun);
    let writer = std::thread::spawn(move || {
        (1..END).step_by(3).for_each(|first| journal(&mut begun, first, 3));
        begun
    });
    let mut found = Vec::new();
    while found.last() != Some(&(END - 1)) {
        let is_written = writer.is_finished();
        let taken = take(&mut follower);
        assert!(!is_written || !taken.is_empty(), "the rest behind {:?} is missed", found.last());
        found.extend(taken);
    }
    assert!(found.into_iter().eq(1..END));
    assert!(matches!(files(writer.join().unwrap().folder.path())[..], [last] if last > 2));
}

#[test]
fn the_reader_waits_for_the_rest_of_a_block() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    journal(&mut begun, 1, 1);
    let path = file(begun.folder.path(), "journal-");
    let whole = fs::metadata(&path).unwrap().len();
    journal(&mut begun, 2, 1);
    let (bytes, disk) = (fs::read(&path).unwrap(), File::options().write(true).open(&path).unwrap());
    for end in whole..bytes.len() as u64 {
        disk.set_len(end).unwrap();
        let mut follower = follow(&test, &begun);
        let mut found = take(&mut follower);
        // The missing bytes may all be zero: padding, and the end of the compressed data.
        let is_zeroes = bytes[end as usize..].iter().all(|byte| *byte == 0);
        assert!(found == [1] || (is_zeroes && found == [1, 2]), "{found:?} of {end} bytes");
        // The space may be allocated before the content is written.
        disk.set_len(bytes.len() as u64).unwrap();
        assert!(is_zeroes || next(&mut follower).is_empty(), "{end}");
        disk.write_all_at(&bytes[end as usize..], end).unwrap();
        found.extend(take(&mut follower));
        assert_eq!(found, [1, 2], "{end}");
    }
}

#[test]
fn files_are_removed_after_the_server_has_them_except_the_last() {
    let test = TestSpool::new();
    let mut begun = test.begin_within(SMALL);
    let folder = begun.folder.path().to_owned();
    let mut follower = follow(&test, &begun);
    let second = fill(&mut begun, 1);
    let third = fill(&mut begun, second + 3);
    assert_eq!((next(&mut follower).len() as u64, files(&folder)), (second - 1, vec![1, 2, 3]));
    assert!(take(&mut follower).into_iter().eq(1..second));
    assert_eq!(files(&folder), [1, 2, 3], "it goes with the next one");
    assert!(next(&mut follower).into_iter().eq(second..third) && files(&folder) == [1, 2, 3], "the server does not have it");
    assert!(take(&mut follower).into_iter().eq(second..third));
    assert_eq!(files(&folder), [2, 3]);
    // The writer can reuse the space.
    let used = begun.folder.used_bytes();
    begun.journal.acknowledge(begun.program.followed());
    assert!(begun.folder.used_bytes() + 4_096 <= used);
    assert_eq!((take(&mut follower), files(&folder)), ((third..third + 3).collect(), vec![3]));
    assert_eq!((take(&mut follower), files(&folder)), (vec![], vec![3]));
    journal(&mut begun, third + 3, 3);
    assert_eq!((take(&mut follower), files(&folder)), ((third + 3..third + 6).collect(), vec![3]));
    // A new follower finds the remaining events.
    assert!(next(&mut follow(&test, &begun)).into_iter().eq(third..third + 6));
}

#[test]
fn a_damaged_batch_and_later_batches_wait_for_the_end_of_the_program() {
    // Flip a bit of the header, or of the payload. In the latter case the number of lost events is known.
    for (at, lost) in [(8, 0), (60, 3)] {
        let test = TestSpool::new();
        let mut begun = test.begin_within(SMALL);
        let (worker, folder) = (begun.folder.worker(), begun.folder.path().to_owned());
        let mut follower = follow(&test, &begun);
        journal(&mut begun, 1, 3);
        let path = file(&folder, "journal-");
        let begins = fs::metadata(&path).unwrap().len();
        let end = fill(&mut begun, 4) + 3;
        damage(&path, begins + at);
        assert_eq!((take(&mut follower), next(&mut follower)), (vec![1, 2, 3], vec![]));
        assert_eq!((follower.acknowledged(), files(&folder)), (3, vec![1, 2]));
        drop(begun);
        let mut replay = test.spool.claim_behind(worker, follower.acknowledged()).unwrap().unwrap();
        let dropped = replay.dropped();
        assert_eq!(dropped.iter().map(|dropped| (dropped.reason.as_str(), dropped.count)).max(), (lost > 0).then_some(("damaged", lost)));
        assert_eq!(replay.damaged(), 1);
        assert!(drain(&mut replay).into_iter().map(|(number, _)| number).eq(7..end), "{at}");
    }
}

#[test]
fn discarded_events_are_skipped_and_reported() {
    let test = TestSpool::new();
    let mut begun = test.begin_within(SMALL);
    let folder = begun.folder.path().to_owned();
    let mut follower = follow(&test, &begun);
    journal(&mut begun, 1, 3);
    let path = file(&folder, "journal-");
    assert_eq!(take(&mut follower), [1, 2, 3]);
    let mut end = fill(&mut begun, 4) + 3;
    damage(&path, fs::metadata(&path).unwrap().len() - 60);
    let before = take(&mut follower);
    assert_eq!((before.first(), next(&mut follower)), (Some(&4), vec![]));
    while path.exists() {
        begun.journal.acknowledge(begun.program.followed());
        journal(&mut begun, end, 3);
        end += 3;
    }
    let first = next(&mut follower)[0];
    let (mut found, mut told) = (Vec::new(), Vec::new());
    while let Some((numbers, dropped)) = take_told(&mut follower) {
        found.extend(numbers);
        told = dropped;
    }
    assert!(found.into_iter().eq(first..end));
    // No event that the server has is counted as lost.
    let lost = first - 1 - before.last().unwrap();
    assert!(lost > 0 && told.iter().map(|dropped| dropped.count).sum::<u64>() == lost, "{lost}: {told:?}");
    assert!(told.iter().all(|dropped| dropped.reason == "spool"), "{told:?}");
}

#[test]
fn programs_are_found_by_their_launch() {
    let test = TestSpool::new();
    let of = |launch: &str| begin_as(&test.spool, &About { launch: Some(launch.to_owned()), ..about() }, SMALL);
    let (ours, theirs, plain) = (of("ours"), of("theirs"), test.begin());
    let worker = ours.folder.worker();
    let launched = || -> Vec<_> { test.spool.launched("ours").unwrap().into_iter().map(|(worker, life)| (worker.id, life)).collect() };
    assert_eq!(launched(), [(worker, Life::Living)]);
    drop((ours, theirs, plain));
    assert_eq!(launched(), [(worker, Life::Dead)]);
    assert!(test.spool.follow(worker).unwrap().is_some());
    assert!(test.spool.clear(worker).unwrap());
    assert!(test.spool.follow(worker).unwrap().is_none() && launched().is_empty());
}
