use monitor_wire::WorkerId;
use serde_json::{Value, json};

use super::*;

const PROGRAM: u32 = 70;

/// The program of tests, or with another pid a program started by a test.
fn worker(pid: u32) -> WorkerRef {
    WorkerRef { id: WorkerId::new(u128::from(pid)).unwrap(), hostname: String::new(), pid, program: String::new() }
}

fn id(number: u64) -> String {
    format!("{number:016x}")
}

fn root() -> String {
    format!("{:032x}", 1)
}

fn started(number: u64, parent: u64, time_us: u64) -> Value {
    let parent = (parent > 0).then(|| id(parent));
    json!({"type": "process-started", "root_id": root(), "id": id(number), "parent_id": parent, "time_us": time_us, "kind": "normal", "name": "a"})
}

fn ended(number: u64, outcome: &str, elapsed_ms: u64) -> Value {
    json!({"type": "process-ended", "root_id": root(), "id": id(number), "time_us": 0, "outcome": outcome, "elapsed_ns": elapsed_ms * 1_000_000})
}

fn folded(number: u64, parent: u64, failed: u64) -> Value {
    json!({"type": "process-folded", "root_id": root(), "id": id(number), "parent_id": id(parent), "time_us": 0, "count": 3, "failed": failed})
}

fn learn(tests: &mut PassedTests, pid: u32, events: &[Value]) {
    let heads: Vec<EventHead<'_>> = events.iter().map(|event| EventHead::deserialize(event).unwrap()).collect();
    tests.learn(&worker(pid), heads.iter());
}

fn fate(tests: &PassedTests, pid: u32, number: u64) -> Fate {
    let event = started(number, 0, 0);
    tests.fate(&worker(pid), EventHead::deserialize(&event).unwrap().key().unwrap())
}

fn fates(tests: &PassedTests, pid: u32, numbers: impl IntoIterator<Item = u64>) -> Vec<Fate> {
    numbers.into_iter().map(|number| fate(tests, pid, number)).collect()
}

/// Decisions for a program whose process is 1.
fn begun() -> PassedTests {
    let mut tests = PassedTests::new(PROGRAM);
    tests.found_program();
    learn(&mut tests, PROGRAM, &[started(1, 0, 0)]);
    tests
}

#[test]
fn calls_below_a_test_wait_for_its_end() {
    for (outcome, elapsed_ms, expected) in [
        ("succeeded", 3, Fate::LeftOut),
        ("succeeded", 1_000, Fate::LeftOut),
        ("succeeded", 1_001, Fate::Shown),
        ("failed", 3, Fate::Shown),
        ("cancelled", 3, Fate::Shown),
        ("another", 3, Fate::Shown),
    ] {
        let mut tests = begun();
        // A call is recorded before the call that made it.
        learn(&mut tests, PROGRAM, &[started(4, 3, 0), folded(5, 4, 0), started(3, 2, 0), started(2, 1, 0)]);
        assert_eq!(fates(&tests, PROGRAM, 1..=5), [Fate::Shown, Fate::Shown, Fate::Open, Fate::Open, Fate::Open]);
        learn(&mut tests, PROGRAM, &[ended(2, outcome, elapsed_ms)]);
        assert_eq!(fates(&tests, PROGRAM, 1..=2), [Fate::Shown; 2]);
        assert_eq!(fates(&tests, PROGRAM, 3..=5), [expected; 3], "{outcome} {elapsed_ms}");
        // Calls on a thread that outlives the test.
        learn(&mut tests, PROGRAM, &[started(6, 4, 0), started(7, 5, 0)]);
        assert_eq!(fates(&tests, PROGRAM, 6..=7), [expected; 2], "{outcome} {elapsed_ms}");
    }
}

#[test]
fn a_brief_test_is_counted_and_has_no_rows_unless_it_failed() {
    let mut tests = begun();
    learn(&mut tests, PROGRAM, &[folded(2, 1, 0), folded(3, 2, 1), folded(4, 1, 1), folded(5, 4, 1)]);
    assert_eq!(fates(&tests, PROGRAM, 2..=5), [Fate::Shown, Fate::LeftOut, Fate::Shown, Fate::Shown]);
    // Another call of the test fails.
    learn(&mut tests, PROGRAM, &[folded(2, 1, 1)]);
    assert_eq!(fate(&tests, PROGRAM, 3), Fate::Shown);
}

#[test]
fn a_test_that_runs_for_more_than_a_second_is_shown() {
    let mut tests = begun();
    learn(&mut tests, PROGRAM, &[started(2, 1, 0), started(3, 2, 0), started(4, 1, 0), started(5, 4, 0), ended(4, "succeeded", 5)]);
    tests.show_slow([2, 4, 99].map(|number| ProcessId::new(number).unwrap()));
    assert_eq!(fates(&tests, PROGRAM, [3, 5]), [Fate::Shown, Fate::LeftOut]);
    learn(&mut tests, PROGRAM, &[ended(2, "succeeded", 1_000)]);
    assert_eq!(fate(&tests, PROGRAM, 3), Fate::Shown);
}

#[test]
fn a_call_waits_for_the_call_above_it() {
    let mut tests = begun();
    learn(&mut tests, PROGRAM, &[started(2, 1, 0), started(4, 3, 0), ended(2, "succeeded", 5)]);
    assert_eq!(fate(&tests, PROGRAM, 4), Fate::Open);
    learn(&mut tests, PROGRAM, &[started(3, 2, 0)]);
    assert_eq!(fate(&tests, PROGRAM, 4), Fate::LeftOut);
}

#[test]
fn calls_of_a_program_started_by_a_test_wait_for_the_test() {
    const CHILD: u32 = 71;
    let mut tests = PassedTests::new(PROGRAM);
    // The program of tests is unknown, because a runner has started it with another pid.
    learn(&mut tests, CHILD, &[started(10, 3, 0), started(11, 10, 0)]);
    assert_eq!(fates(&tests, CHILD, 10..=11), [Fate::Shown; 2]);
    tests.found_program();
    assert_eq!(fates(&tests, CHILD, 10..=11), [Fate::Open; 2]);
    learn(&mut tests, PROGRAM, &[started(1, 0, 0)]);
    assert_eq!(fates(&tests, CHILD, 10..=11), [Fate::Open; 2], "the call that started it is not known");
    learn(&mut tests, PROGRAM, &[started(2, 1, 0), started(3, 2, 0)]);
    assert_eq!(fates(&tests, CHILD, 10..=11), [Fate::Open; 2]);
    learn(&mut tests, PROGRAM, &[ended(2, "succeeded", 5)]);
    assert_eq!(fates(&tests, CHILD, 10..=11), [Fate::LeftOut; 2]);
    // A separate tree is not affected by tests.
    let own = EventKey { root_id: RootId::new(9).unwrap(), id: ProcessId::new(11).unwrap() };
    assert_eq!(tests.fate(&worker(CHILD), own), Fate::Shown);
}

#[test]
fn few_programs_started_by_a_slow_test_have_rows_below_them() {
    let mut tests = begun();
    learn(&mut tests, PROGRAM, &[started(2, 1, 0), started(3, 2, 0), started(4, 3, 0)]);
    // Each starts with a call below the same call and makes two nested calls. The inner call is recorded before the outer.
    let programs = 71..81_u32;
    let of = |pid: u32, call: u64| u64::from(pid) * 10 + call;
    for pid in programs.clone() {
        learn(&mut tests, pid, &[started(of(pid, 2), of(pid, 1), 0), started(of(pid, 0), 4, 0), started(of(pid, 1), of(pid, 0), 0)]);
        match pid {
            78 => learn(&mut tests, pid, &[ended(of(pid, 0), "failed", 3)]),
            79 => learn(&mut tests, pid, &[ended(of(pid, 0), "succeeded", 1_001)]),
            80 => {}
            _ => learn(&mut tests, pid, &[ended(of(pid, 1), "succeeded", 2), ended(of(pid, 0), "succeeded", 3)]),
        }
    }
    let below = |tests: &PassedTests| -> Vec<Fate> {
        let calls = programs.clone().map(|pid| fates(tests, pid, [of(pid, 1), of(pid, 2)]));
        calls.map(|fates| if fates[0] == fates[1] { fates[0] } else { panic!("{fates:?}") }).collect()
    };
    assert_eq!(below(&tests), [Fate::Open; 10]);
    tests.show_slow([ProcessId::new(2).unwrap()]);
    let expected = [[Fate::Shown; 3].as_slice(), &[Fate::LeftOut; 4], &[Fate::Shown, Fate::Shown]].concat();
    assert_eq!(below(&tests), [expected.as_slice(), &[Fate::Open]].concat());
    assert_eq!(fates(&tests, 75, [of(75, 0)]), [Fate::Shown], "the program itself");
    // The last program runs for long, or was killed.
    let mut long = tests;
    let event = started(of(80, 2), 0, 0);
    long.show_program(&worker(80), EventHead::deserialize(&event).unwrap().key().unwrap());
    learn(&mut long, PROGRAM, &[ended(2, "failed", 2_000)]);
    assert_eq!(below(&long), [expected.as_slice(), &[Fate::Shown]].concat());
    let mut dead = begun();
    learn(&mut dead, PROGRAM, &[started(2, 1, 0), ended(2, "succeeded", 2_000)]);
    learn(&mut dead, 80, &[started(800, 2, 0), started(801, 800, 0)]);
    assert_eq!(fates(&dead, 80, [800, 801]), [Fate::Shown, Fate::Open]);
    dead.is_dead(&worker(80));
    assert_eq!(fates(&dead, 80, [800, 801]), [Fate::Shown; 2]);
}

#[test]
fn tests_that_did_not_end_are_shown_when_their_program_is_dead() {
    let mut tests = begun();
    let child = [started(10, 3, 0), started(20, 99, 0)];
    learn(&mut tests, PROGRAM, &[started(2, 1, 0), started(3, 2, 0), started(4, 1, 0), started(5, 4, 0), ended(4, "succeeded", 1)]);
    learn(&mut tests, 71, &child);
    assert_eq!(fates(&tests, 71, [10, 20]), [Fate::Open; 2]);
    tests.program_is_over();
    assert_eq!(fates(&tests, PROGRAM, [3, 5]), [Fate::Shown, Fate::LeftOut]);
    assert_eq!(fates(&tests, 71, [10, 20]), [Fate::Shown; 2]);
}

#[test]
fn a_test_shown_for_lack_of_room_is_shown_in_all_programs() {
    let mut tests = begun();
    learn(&mut tests, PROGRAM, &[started(2, 1, 0), started(3, 2, 0)]);
    learn(&mut tests, 71, &[started(10, 3, 0), started(20, 99, 0)]);
    for (pid, number) in [(PROGRAM, 3), (71, 20)] {
        let event = started(number, 0, 0);
        tests.show(EventHead::deserialize(&event).unwrap().key().unwrap());
        assert_eq!(fate(&tests, pid, number), Fate::Shown);
    }
    learn(&mut tests, PROGRAM, &[ended(2, "succeeded", 5)]);
    assert_eq!((fate(&tests, PROGRAM, 3), fates(&tests, 71, [10, 20])), (Fate::Shown, vec![Fate::Shown; 2]));
}

#[test]
fn no_more_processes_are_known_than_there_is_room_for_and_circles_end() {
    let mut tests = begun();
    learn(&mut tests, PROGRAM, &[started(2, 1, 0), started(7, 8, 0), started(8, 7, 0), ended(2, "succeeded", 5)]);
    assert_eq!(fate(&tests, PROGRAM, 7), Fate::Open);
    for number in 100..110 {
        learn(&mut tests, PROGRAM, &[started(number, 2, 0), folded(number + 100, 2, 0)]);
    }
    tests.order = (0..MAX_KNOWN as u64).filter_map(|number| ProcessId::new(1 << 40 | number)).collect();
    // Running processes are not forgotten.
    learn(&mut tests, PROGRAM, &(105..110).map(|number| ended(number, "succeeded", 1)).collect::<Vec<_>>());
    assert_eq!((tests.order.len(), tests.above.len()), (MAX_KNOWN, 22));
    tests.order.drain(..MAX_KNOWN - 5);
    tests.order.extend((0..MAX_KNOWN as u64 - 5).filter_map(|number| ProcessId::new(1 << 40 | number)));
    learn(&mut tests, PROGRAM, &(100..105).map(|number| ended(number, "succeeded", 1)).collect::<Vec<_>>());
    assert_eq!(fates(&tests, PROGRAM, [100, 105]), [Fate::LeftOut, Fate::Open]);
}
