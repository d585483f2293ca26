//! The events of a dead program are replayed once and in order.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use monitor_core::image::made;
use monitor_core::keep::Piece;
use monitor_spool::{
    Answer, Answered, Batches, Calibration, ClockSample, Entry, Head, Life, Meta, Next, Parcel, Replay, Settled, Way, send_all,
};
use monitor_wire::{Batch, Dropped, Event, RootId};

use crate::support::{LIMIT, TestSpool, about, child, drain, event, journal, lane, processes, say, sites};

#[test]
fn numbered_events_are_sent_first_and_the_others_numbered_after_them() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let worker = begun.folder.worker();
    lane(&begun, 1..=5);
    journal(&mut begun, 1, 3);
    begun.journal.append(&Parcel::encode(4, &[event(4)]).unwrap(), &Meta { lane: 4, ..Meta::default() }).unwrap();
    begun.program.advance(7, 4);
    begun.program.acknowledge(3);
    begun.journal.acknowledge(3);
    lane(&begun, 6..=7);
    drop(begun);
    let mut replay = test.replay(worker);
    assert_eq!(replay.waiting(), 4);
    assert_eq!(drain(&mut replay), [(4, 4), (7, 5), (8, 6), (9, 7)]);
    let path = replay.path().to_owned();
    replay.finish().unwrap();
    assert!(!path.exists());
    assert!(test.spool.claim(worker).unwrap().is_none());
}

#[test]
fn a_replay_that_breaks_off_goes_on_where_it_stopped() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let worker = begun.folder.worker();
    journal(&mut begun, 1, 2);
    journal(&mut begun, 3, 2);
    lane(&begun, 5..12_000);
    drop(begun);
    let mut found = Vec::new();
    for _ in 0..5 {
        let mut replay = test.replay(worker);
        let Some(parcel) = replay.next() else { break };
        found.extend((parcel.first()..).zip(processes(parcel)));
        replay.settle(&Answer::Accepted);
        // The next batch gets no answer.
        replay.next();
    }
    let expected: Vec<_> = (1..12_000).map(|number| (number, number)).collect();
    assert!(found == expected, "{} events", found.len());
    assert_eq!(test.replay(worker).next().map(Parcel::count), Some(0), "only that it is gone");
}

#[test]
fn times_are_filled_in_by_the_programs_clock() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let worker = begun.folder.worker();
    begun.program.calibrate(Calibration { ticks: 10_000, wall_ns: 2_000_000_000_000, ns_per_tick: 0.5 });
    lane(&begun, [2_000]);
    let ended = br#"{"type":"process-ended","root_id":"0199a3ce929d0e0e47360199a3ce929d","id":"00000000000007d0","time_us":0,"outcome":"succeeded"}"#;
    begun.lane.append(&Entry::Sent { begun: 10_000, at: 50_000, event: ended }).unwrap();
    drop(begun);
    let mut replay = test.replay(worker);
    let head = Head { worker: &replay.worker().clone(), sent_us: 5, dropped: &replay.dropped(), lost: true };
    let body = replay.next().unwrap().body(&head);
    assert_eq!(monitor_spool::content_encoding(&body), if cfg!(feature = "zstd") { "zstd" } else { "gzip" });
    let mut json = Vec::new();
    match monitor_spool::content_encoding(&body) {
        "gzip" => flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut json).unwrap(),
        _ => zstd::Decoder::new(&body[..]).unwrap().read_to_end(&mut json).unwrap(),
    };
    let batch = Batch::from_json(&json).unwrap();
    assert_eq!((batch.worker.program.as_str(), batch.sequence, batch.sent_us), ("nightly", 1, 5));
    let [Event::WorkerOnline(online), Event::ProcessStarted(started), Event::ProcessEnded(ended)] = &batch.events[..] else {
        panic!("{batch:?}")
    };
    assert_eq!((online.version.as_str(), online.registered.len()), ("1.2.3", 3));
    assert_eq!((started.time_us, ended.time_us, ended.elapsed_ns), (1_999_999_996, 2_000_000_020, Some(20_000)));
}

/// Server that accepts all events except 2 and 4. Contains the numbers of the accepted events.
struct Server(RefCell<Vec<u64>>);

impl Way for Server {
    /// First number, last number, and count.
    type Request = (u64, u64, u64);

    fn now_us(&self) -> u64 {
        0
    }

    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request {
        assert!(head.lost, "it said no goodbye");
        (parcel.first(), parcel.last(), parcel.count())
    }

    async fn send(&self, request: Self::Request) -> Answer {
        match request {
            (1, _, 7) => Answer::Unreadable { number: 2, why: String::new() },
            (4, _, 1) => Answer::TooLarge { why: String::new() },
            (first, _, count) if first <= 4 && count > 1 => Answer::TooLarge { why: String::new() },
            (first, last, _) => {
                self.0.borrow_mut().extend(first..=last);
                Answer::Accepted
            }
        }
    }
}

/// Returns the result of a future that is ready immediately.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits"),
    }
}

/// Server that accepts a batch only at the second attempt.
struct Busy(Cell<u32>);

impl Way for Busy {
    type Request = u64;

    fn now_us(&self) -> u64 {
        0
    }

    fn request(&self, parcel: &Parcel, _: &Head<'_>) -> u64 {
        parcel.first()
    }

    async fn send(&self, _: u64) -> Answer {
        let asked = self.0.replace(self.0.get() + 1);
        if asked < 3 { Answer::Busy { why: String::new(), retry_after: Some(Duration::from_secs(7)) } } else { Answer::Accepted }
    }
}

#[test]
fn an_unaccepted_batch_is_sent_again_after_the_wait_set_by_the_server() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let worker = begun.folder.worker();
    journal(&mut begun, 1, 5);
    drop(begun);
    let mut replay = test.replay(worker);
    let (server, mut waits) = (Busy(Cell::new(0)), Vec::new());
    let stopped = async |_: &mut Replay, answered: Answered<'_>| {
        waits.push((answered.settled, answered.wait));
        if waits.len() == 2 { Next::Stop } else { Next::GoOn }
    };
    assert!(!at_once(send_all(&mut replay, &server, stopped)), "the rest is left");
    assert_eq!(waits, [(Settled::Waits, Some(Duration::from_secs(7))); 2]);
    assert!(replay.waiting() > 0 && replay.accepted() == 0);
    assert!(at_once(send_all(&mut replay, &server, async |_: &mut Replay, _: Answered<'_>| Next::GoOnAfresh)));
    assert_eq!(replay.accepted(), 5);
}

#[test]
fn only_events_that_the_server_cannot_accept_are_given_up() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let worker = begun.folder.worker();
    journal(&mut begun, 1, 5);
    journal(&mut begun, 6, 2);
    drop(begun);
    let mut replay = test.replay(worker);
    let server = Server(RefCell::default());
    let mut given_up = 0;
    let then = async |_: &mut Replay, answered: Answered<'_>| {
        given_up += u32::from(answered.settled == Settled::GivenUp);
        assert_eq!(answered.wait, None, "the next one is sent at once");
        Next::GoOn
    };
    assert!(at_once(send_all(&mut replay, &server, then)));
    assert_eq!((server.0.take(), given_up), (vec![1, 3, 5, 6, 7], 2));
    let dropped = replay.dropped();
    assert_eq!(dropped.len(), 1);
    assert_eq!((dropped[0].event_type.as_str(), dropped[0].reason.as_str(), dropped[0].count), ("process-started", "rejected", 2));
}

#[test]
fn unreported_drops_are_reported() {
    let test = TestSpool::new();
    let begun = test.begin();
    let worker = begun.folder.worker();
    let marks = begun.program.marks();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| marks.dropped("process-started")));
        }
    });
    marks.dropped("anything");
    drop((begun, marks));
    let mut replay = test.replay(worker);
    let parcel = replay.next().expect("news");
    assert_eq!((parcel.first(), parcel.count()), (1, 0));
    let dropped: Vec<_> = replay.dropped().into_iter().map(|d| (d.event_type, d.reason, d.count)).collect();
    let expected = [("process-started", 1_000), ("other", 1)].map(|(kind, count)| (kind.to_owned(), "memory".to_owned(), count));
    assert_eq!(dropped, expected);
    replay.settle(&Answer::Accepted);
    assert!(replay.next().is_none());
}

#[test]
fn drops_reported_by_type_are_not_reported_again_as_other() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let worker = begun.folder.worker();
    (0..3).for_each(|_| begun.program.marks().dropped("process-logged"));
    let told = Dropped { event_type: "process-logged".to_owned(), reason: "memory".to_owned(), root_id: None, count: 2 };
    let meta = Meta { dropped: vec![told.clone()], ..Meta::default() };
    begun.journal.append(&Parcel::encode(1, &[event(1)]).unwrap(), &meta).unwrap();
    begun.program.advance(2, 0);
    drop(begun);
    assert_eq!(test.replay(worker).dropped(), [told.clone(), Dropped { event_type: "other".to_owned(), count: 1, ..told }]);
}

#[test]
fn impossibly_large_counts_do_no_harm() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let (worker, path) = (begun.folder.worker(), begun.folder.path().to_owned());
    let most = Dropped { event_type: "process-started".to_owned(), reason: "memory".to_owned(), root_id: None, count: u64::MAX };
    let meta = Meta { dropped: vec![most.clone(), Dropped { root_id: RootId::new(1), ..most }], ..Meta::default() };
    begun.journal.append(&Parcel::encode(1, &[event(1)]).unwrap(), &meta).unwrap();
    begun.program.advance(2, 0);
    drop(begun);
    for region in 0..2 {
        std::fs::write(path.join(format!("region-{region}")), made::region(&[], 0, u64::MAX - 1)).unwrap();
    }
    let mut replay = test.replay(worker);
    assert_eq!(drain(&mut replay), [(1, 1)]);
    assert!(replay.dropped().iter().all(|dropped| dropped.count == u64::MAX));
}

#[test]
fn rings_with_an_unknown_layout_are_kept() {
    let test = TestSpool::new();
    let clock = ClockSample { ticks: 1_000, wall_ns: 1, is_counter: false };
    let layout = u64::from(monitor_core::image::LAYOUT) + 1;
    let mut begun = test.spool.begin(&about(), sites(), layout, clock, LIMIT).unwrap();
    let (worker, path) = (begun.folder.worker(), begun.folder.path().to_owned());
    begun.pieces.map(Piece::Region(0), 65_536).unwrap();
    journal(&mut begun, 1, 2);
    lane(&begun, 3..10);
    drop(begun);
    for found in [vec![(1, 1), (2, 2)], vec![]] {
        let mut replay = test.replay(worker);
        assert_eq!(drain(&mut replay), found, "its journal, once");
        let error = replay.finish().unwrap_err().to_string();
        assert!(error.contains("another version"), "{error}");
        assert!(path.join("region-0").exists() && path.join("lane-1").exists());
    }
}

/// Returns the peak memory of this program, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn large_files_and_files_that_seem_large_are_read_with_little_memory() {
    const ENTRIES: u64 = 100_000;
    let mut reader = child("replay::large_files_and_files_that_seem_large_are_read_with_little_memory", |spool| {
        let worker = spool.list().unwrap()[0].worker_id;
        let mut replay = spool.claim(worker).unwrap().unwrap();
        say(&format!("{} {}", drain(&mut replay).len(), most_memory()));
    });
    let test = TestSpool::new();
    let begun = test.begin();
    let path = begun.folder.path().to_owned();
    lane(&begun, 1..=ENTRIES);
    drop(begun);
    for region in 0..3 {
        for name in [format!("region-{region}"), format!("chunk-{region}-0"), format!("fold-{region}-0")] {
            std::fs::File::create_new(path.join(name)).unwrap().set_len(1 << 30).unwrap();
        }
    }
    let output = reader.env("SPOOL", test.spool.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let said = said.lines().find(|line| line.starts_with(&format!("{} ", ENTRIES + 1))).unwrap_or_else(|| panic!("{said}"));
    let kib: u64 = said.split_once(' ').unwrap().1.parse().unwrap();
    assert!(kib < 120 << 10, "{kib} KiB");
}

#[test]
fn a_program_that_gave_up_the_spool_leaves_only_its_journal() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let worker = begun.folder.worker();
    journal(&mut begun, 1, 2);
    lane(&begun, 3..10);
    begun.program.marks().given_up();
    drop(begun);
    assert_eq!(drain(&mut test.replay(worker)), [(1, 1), (2, 2)]);
}

#[test]
fn a_living_writer_can_be_followed() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let look = || {
        let found = test.spool.list().unwrap();
        assert_eq!((found.len(), found[0].life, found[0].damaged, found[0].problems.len()), (1, Life::Living, 0, 0));
        assert_eq!(found[0].about.as_ref().unwrap().worker.pid, std::process::id());
        (found[0].waiting, found[0].unread)
    };
    assert_eq!(look(), (0, 0));
    lane(&begun, 1..=10);
    assert_eq!(look(), (0, 10));
    journal(&mut begun, 1, 4);
    begun.program.advance(5, 4);
    assert_eq!(look(), (4, 6));
    begun.program.acknowledge(4);
    begun.journal.acknowledge(4);
    assert_eq!(look(), (0, 6));
}

#[test]
fn memory_of_the_rings_is_zeroed_bounded_and_given_back() {
    let test = TestSpool::new();
    let begun = test.begin_within(1 << 20);
    let used = begun.folder.used_bytes();
    begun.pieces.prepare(65_536, 2).unwrap();
    let spares = begun.folder.used_bytes();
    let start = begun.pieces.map(Piece::Region(0), 65_536).unwrap();
    assert_eq!((spares - used, begun.folder.used_bytes()), (131_072, spares));
    assert!(begun.folder.path().join("region-0").exists());
    #[allow(unsafe_code, reason = "memory that was just mapped, given back once")]
    // SAFETY: 65,536 bytes were mapped, and no other code has seen them.
    unsafe {
        let bytes = std::slice::from_raw_parts_mut(start.as_ptr(), 65_536);
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(7);
        assert_eq!(std::fs::read(begun.folder.path().join("region-0")).unwrap(), bytes);
        begun.pieces.unmap(Piece::Region(0), start, 65_536);
    }
    assert!(!begun.folder.path().join("region-0").exists());
    let error = begun.pieces.map(Piece::Segment { region: 0, base: 0 }, 1 << 20).unwrap_err().to_string();
    assert!(error.contains("MONITOR_SPOOL_BYTES") && error.contains("1048576"), "{error}");
}
