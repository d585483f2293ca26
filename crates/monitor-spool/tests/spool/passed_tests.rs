//! Events below a test that passed within a second are not sent. They remain in the spool until the test has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use monitor_spool::{About, Answer, Batches, Begun, Follower, FollowerOfTests, Meta, Parcel, PassedTests, Replay, Settled};
use monitor_wire::Event;
use serde_json::json;

use crate::support::{TestSpool, about, begin_as, drain, processes};

const LIMIT: u64 = 64 << 20;

fn event(event_type: &str, number: u64, parent: u64, more: &serde_json::Value) -> Event {
    let parent = (parent > 0).then(|| format!("{parent:016x}"));
    let mut json = json!({
        "type": event_type, "root_id": "0199a3ce929d0e0e47360199a3ce929d", "id": format!("{number:016x}"), "parent_id": parent,
        "kind": "normal", "name": "step", "time_us": 0,
    });
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

fn started(number: u64, parent: u64) -> Event {
    event("process-started", number, parent, &json!({}))
}

fn passed(number: u64) -> Event {
    event("process-ended", number, 0, &json!({"outcome": "succeeded", "elapsed_ns": 5}))
}

/// A program that writes consecutively numbered events.
struct Program {
    begun: Begun,
    next: u64,
}

impl Program {
    /// Creates the program of tests, or a program started by a test.
    fn new(test: &TestSpool, is_of_tests: bool) -> Self {
        let mut about = about();
        about.worker.pid = if is_of_tests { std::process::id() } else { u32::MAX };
        Self { begun: begin_as(&test.spool, &About { process_start: 0, ..about }, LIMIT), next: 1 }
    }

    fn write(&mut self, events: &[Event]) {
        self.append(&Parcel::encode(self.next, events).unwrap(), &[]);
        self.next += events.len() as u64;
        self.begun.program.advance(self.next, 0);
    }

    fn append(&mut self, parcel: &Parcel, slow_tests: &[u64]) {
        self.begun.journal.append(parcel, &Meta { slow_tests: slow_tests.to_vec(), ..Meta::default() }).unwrap();
    }

    fn follow(&self, test: &TestSpool) -> Follower {
        test.spool.follow(self.begun.folder.worker()).unwrap().unwrap()
    }

    /// Ends the program and claims its folder.
    fn claim(self, test: &TestSpool, acknowledged: u64, tests: &mut PassedTests) -> Replay {
        let worker = self.begun.folder.worker();
        drop(self);
        test.spool.claim_of_tests(worker, acknowledged, tests).unwrap().unwrap()
    }
}

/// Returns number and process of all events that are sent now.
fn take(follower: &mut Follower, tests: &mut PassedTests) -> Vec<(u64, u64)> {
    let (mut follower, mut taken) = (FollowerOfTests { follower, tests }, Vec::new());
    while let Some(events) = follower.request(0, |parcel, _| (parcel.first()..).zip(processes(parcel)).collect::<Vec<_>>()) {
        assert_eq!(follower.settle(&Answer::Accepted), Settled::Taken);
        taken.extend(events);
    }
    taken
}

#[test]
fn calls_below_a_test_are_held_back_and_acknowledged_when_it_ends() {
    let (test, mut tests) = (TestSpool::new(), PassedTests::new(std::process::id()));
    tests.found_program();
    let mut program = Program::new(&test, true);
    let mut follower = program.follow(&test);
    // A program, two tests, and calls in both.
    program.write(&[started(1, 0), started(2, 1), started(3, 1), started(20, 2), started(30, 3)]);
    assert_eq!((take(&mut follower, &mut tests), follower.acknowledged()), (vec![(1, 1), (2, 2), (3, 3)], 3));
    program.write(&[passed(2), passed(20)]);
    assert_eq!((take(&mut follower, &mut tests), follower.acknowledged()), (vec![(6, 2)], 4));
    program.write(&[event("process-ended", 3, 0, &json!({"outcome": "failed", "elapsed_ns": 5})), passed(30), started(21, 20)]);
    assert_eq!((take(&mut follower, &mut tests), follower.acknowledged()), (vec![(5, 30), (8, 3), (9, 30)], 10));
    assert_eq!(program.begun.program.followed(), 10);
}

#[test]
fn a_slow_test_is_shown_while_it_runs() {
    let (test, mut tests) = (TestSpool::new(), PassedTests::new(std::process::id()));
    let mut program = Program::new(&test, true);
    let mut follower = program.follow(&test);
    program.write(&[started(1, 0), started(2, 1), started(20, 2)]);
    assert_eq!(take(&mut follower, &mut tests), [(1, 1), (2, 2)]);
    let nothing = Parcel::plain(program.next, 0, b"[]");
    program.append(&nothing, &[2]);
    program.write(&[started(21, 20)]);
    assert_eq!(take(&mut follower, &mut tests), [(3, 20), (4, 21)]);
    // A plain follower reads all events.
    let mut plain = program.follow(&test);
    assert_eq!(plain.request(0, |parcel, _| processes(parcel)), Some(vec![1, 2, 20, 21]));
}

#[test]
fn calls_outside_of_known_tests_are_shown_after_some_time() {
    // Ten seconds by default.
    for (tests, is_shown) in
        [(PassedTests::new(std::process::id()), false), (PassedTests::new(std::process::id()).waiting_for_tests(Duration::ZERO), true)]
    {
        let (test, mut tests) = (TestSpool::new(), tests);
        let mut program = Program::new(&test, true);
        let mut follower = program.follow(&test);
        // The start of 30, a call or test above 31, was dropped. 20 is below a running test.
        program.write(&[started(1, 0), started(2, 1), started(20, 2), started(31, 30)]);
        let taken = take(&mut follower, &mut tests);
        assert_eq!(taken, if is_shown { vec![(1, 1), (2, 2), (4, 31)] } else { vec![(1, 1), (2, 2)] });
        // Further events below the same process are shown from then on.
        program.write(&[started(32, 31), passed(31)]);
        let later = take(&mut follower, &mut tests);
        assert_eq!(later, if is_shown { vec![(5, 32), (6, 31)] } else { vec![] });
    }
}

#[test]
fn a_refused_batch_is_offered_again() {
    let (test, mut tests) = (TestSpool::new(), PassedTests::new(std::process::id()));
    let mut program = Program::new(&test, true);
    let mut follower = program.follow(&test);
    program.write(&[started(1, 0), started(2, 1), started(20, 2)]);
    let mut of_tests = FollowerOfTests { follower: &mut follower, tests: &mut tests };
    let first = of_tests.request(0, |parcel, _| processes(parcel)).unwrap();
    assert_eq!((&first, of_tests.settle(&Answer::Away { why: String::new() })), (&vec![1, 2], Settled::Waits));
    program.write(&[started(3, 1)]);
    assert_eq!(take(&mut follower, &mut tests), [(1, 1), (2, 2), (4, 3)]);
    assert_eq!(follower.acknowledged(), 2);
}

#[test]
fn a_killed_program_leaves_all_of_the_test_that_ran() {
    for is_followed in [true, false] {
        let (test, mut tests) = (TestSpool::new(), PassedTests::new(std::process::id()));
        let mut program = Program::new(&test, true);
        let mut follower = program.follow(&test);
        program.write(&[started(1, 0), started(2, 1), started(3, 1), started(20, 2), started(30, 3), passed(2)]);
        let taken = if is_followed { take(&mut follower, &mut tests) } else { Vec::new() };
        assert_eq!(taken.iter().map(|(number, _)| *number).collect::<Vec<_>>(), if is_followed { vec![1, 2, 3, 6] } else { vec![] });
        program.write(&[started(31, 30), started(21, 20)]);
        let mut replay = program.claim(&test, follower.acknowledged(), &mut tests);
        assert!(replay.decide(&tests));
        let left: Vec<u64> = drain(&mut replay).into_iter().map(|(_, process)| process).filter(|process| *process > 3).collect();
        assert_eq!(left, [30, 31], "{is_followed}");
    }
}

#[test]
fn a_program_that_has_ended_waits_for_the_test_that_has_started_it() {
    for outcome in ["succeeded", "failed"] {
        let (test, mut tests) = (TestSpool::new(), PassedTests::new(std::process::id()));
        tests.found_program();
        let mut program = Program::new(&test, true);
        let mut follower = program.follow(&test);
        let mut child = Program::new(&test, false);
        child.write(&[started(50, 20), started(51, 50), passed(51), passed(50)]);
        let mut replay = child.claim(&test, 0, &mut tests);
        assert!(!replay.decide(&tests));
        program.write(&[started(1, 0), started(2, 1), started(20, 2)]);
        take(&mut follower, &mut tests);
        assert!(!replay.decide(&tests));
        program.write(&[event("process-ended", 2, 0, &json!({"outcome": outcome, "elapsed_ns": 5}))]);
        take(&mut follower, &mut tests);
        assert!(replay.decide(&tests));
        let left: Vec<u64> = drain(&mut replay).into_iter().map(|(_, process)| process).collect();
        assert_eq!(left, if outcome == "failed" { vec![50, 51, 51, 50] } else { vec![] });
        replay.finish().unwrap();
    }
}

#[test]
fn excess_calls_of_a_running_test_are_shown_but_not_of_a_passed_test() {
    let (test, mut tests) = (TestSpool::new(), PassedTests::new(std::process::id()).holding_back(64 << 10));
    let mut program = Program::new(&test, true);
    let mut follower = program.follow(&test);
    program.write(&[started(1, 0), started(2, 1), started(3, 1), started(20, 2), started(30, 3)]);
    // More than 64 KiB of events for both, and finally for only one of them.
    let name = "x".repeat(500);
    let large = |number, parent| vec![event("process-started", number, parent, &json!({"name": name})); 40];
    for number in 0..2 {
        program.write(&large(200 + number, 20));
    }
    // The events after a gap form another batch.
    program.next += 1;
    program.write(&[passed(2)]);
    for number in 0..2 {
        program.write(&large(300 + number, 30));
    }
    let sent = |taken: Vec<(u64, u64)>| -> BTreeSet<u64> { taken.into_iter().map(|(_, process)| process).collect() };
    assert_eq!(sent(take(&mut follower, &mut tests)), BTreeSet::from([1, 2, 3]));
    program.write(&large(302, 30));
    assert_eq!(sent(take(&mut follower, &mut tests)), BTreeSet::from([30, 300, 301, 302]));
    // It stays shown, because a part of it was sent.
    program.write(&[passed(3), started(303, 30)]);
    assert_eq!(sent(take(&mut follower, &mut tests)), BTreeSet::from([3, 303]));
}
