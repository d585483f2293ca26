//! Tests woven calls that are too short for a row of their own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use monitor_core::private::{Carried, Guard, How, site};
use monitor_core::record::Outcome;
use monitor_core::{Context, queue};

use crate::told::{Told, name_of};
use crate::{IS_WOVEN, enter, fails, fails_through, panics, poll, top, total, waits, with_receiver};

/// Returns the records of a program's woven calls.
fn told(receiver: &mut queue::Receiver, calls: impl FnOnce()) -> Told {
    let mut told = Told::default();
    IS_WOVEN.set(true);
    {
        let _top = top();
        calls();
    }
    IS_WOVEN.set(false);
    told.drain(receiver);
    told
}

#[test]
fn brief_calls_are_counted_from_the_first_call() {
    with_receiver(|receiver| {
        let told = told(receiver, || {
            for _ in 0..3 {
                let _outer = enter(0);
                for _ in 0..2 {
                    let _inner = enter(1);
                    drop(enter(2));
                    drop(enter(0));
                }
            }
        });
        assert_eq!(told.starts.len(), 1, "the top: {:?}", told.counts());
        // Nested calls are counted by name, at every depth.
        let expected = [("top/a", 3), ("top/a/b", 6), ("top/a/c", 6), ("top/a/a", 6)];
        for (path, count) in expected {
            assert_eq!(told.of(path, "succeeded"), [0, count], "{path}: {:?}", told.counts());
        }
        for fold in told.folds.values() {
            let (min, max) = fold.range_ns.expect("some ended");
            let counted: u64 = fold.histogram.iter().map(|(_, count)| count).sum();
            assert!(min <= max && counted == fold.count && fold.count * min <= fold.total_ns, "{fold:?}");
        }
    });
}

#[test]
fn many_calls_with_the_same_name_do_not_give_their_caller_a_row() {
    with_receiver(|receiver| {
        let told = told(receiver, || {
            for _ in 0..50 {
                let _outer = enter(0);
                for _ in 0..30 {
                    let _inner = enter(1);
                    (0..30).for_each(|_| drop(enter(2)));
                }
            }
        });
        for (name, count) in [("a", 50), ("b", 50 * 30), ("c", 50 * 30 * 30)] {
            let of_name = told.counts().into_iter().filter(|((path, _), _)| path.ends_with(&format!("/{name}")));
            assert_eq!(of_name.map(|(_, counts)| total(counts)).sum::<u64>(), count, "{name}: {:?}", told.counts());
        }
        // Ten of the outer calls may have rows, for they are not folded. In each there are two names, and one of them in the other.
        assert!(told.starts.len() + told.folds.len() <= 20, "{:?}", told.counts());
    });
}

#[test]
fn calls_of_attributes_and_roots_are_unchanged() {
    with_receiver(|receiver| {
        let told = told(receiver, || {
            let _woven = enter(0);
            drop(Guard::enter(site!("explicit", "normal", 1), How::Normal));
            drop(Guard::enter(site!("root", "root", 1), How::Root));
            drop(enter(1));
        });
        for path in ["top/a", "top/a/explicit", "top/a/root"] {
            assert_eq!(told.of(path, "succeeded"), [1, 0], "{path}: {:?}", told.counts());
        }
        assert_eq!(told.of("top/a/b", "succeeded"), [0, 1]);
    });
}

#[test]
fn the_first_failures_have_rows_and_their_callers_have_none() {
    with_receiver(|receiver| {
        let told = told(receiver, || {
            for number in 0..5 {
                let _outer = enter(0);
                let _inner = enter(1);
                drop(enter(2));
                if number == 3 {
                    fails(3);
                }
            }
        });
        for path in ["top/a", "top/a/b", "top/a/c"] {
            assert_eq!(told.of(path, "succeeded"), [0, 5], "{path}: {:?}", told.counts());
        }
        assert_eq!(told.of("top/a/d", "failed"), [1, 0], "{:?}", told.counts());
        let failure = told.ends.values().find_map(|ended| if let Outcome::Failed(failure) = &ended.outcome { Some(failure) } else { None });
        assert_eq!(failure.expect("told").message, "no");
    });
}

#[test]
fn further_failures_are_counted_with_their_error_texts() {
    with_receiver(|receiver| {
        let told = told(receiver, || {
            for _ in 0..9 {
                let _outer = enter(0);
                for _ in 0..9 {
                    let _inner = enter(1);
                    (0..2).for_each(|_| fails(3));
                    (0..2).for_each(|_| panics(3));
                }
            }
        });
        assert_eq!((told.starts.len(), told.of("top/a", "succeeded")), (11, [0, 9]), "{:?}", told.counts());
        assert_eq!(told.of("top/a/d", "failed"), [10, 314], "{:?}", told.counts());
        let texts: Vec<_> = told.folds.values().flat_map(|fold| &fold.errors).collect();
        let counts: Vec<_> = texts.iter().map(|error| (error.text.as_str(), error.count)).collect();
        assert_eq!(counts, [("a panic", 158), ("no", 156)]);
        assert!(texts.iter().all(|error| error.first_us > 0 && error.first_us <= error.last_us), "{texts:?}");
    });
}

#[test]
fn a_propagated_failure_is_one_branch() {
    with_receiver(|receiver| {
        let told = told(receiver, || fails_through(&[1, 2, 3]));
        for path in ["top/b", "top/b/c", "top/b/c/d"] {
            assert_eq!(told.of(path, "failed"), [1, 0], "{path}: {:?}", told.counts());
        }
    });
}

#[test]
fn a_call_whose_ids_are_read_has_a_row() {
    with_receiver(|receiver| {
        let mut known = None;
        let told = told(receiver, || {
            drop(enter(0));
            let _outer = enter(0);
            let _read = enter(1);
            let context = Context::current().expect("current");
            known = Some(context.process());
            std::thread::spawn(move || {
                IS_WOVEN.set(true);
                let _current = context.enter();
                drop(enter(2));
            })
            .join()
            .expect("no panic");
        });
        assert!(told.starts.contains_key(&known.expect("read")));
        assert_eq!((told.of("top/a", "succeeded"), told.of("top/a/b", "succeeded")), ([1, 1], [1, 0]), "{:?}", told.counts());
        assert_eq!(told.of("top/a/b/c", "succeeded"), [0, 1]);
    });
}

/// Calls `work` on another thread, and waits for it.
fn lent_to_another_thread(work: impl FnOnce() + Send) {
    let lender = Carried::lender();
    let carried = lender.carried();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            IS_WOVEN.set(true);
            let _current = carried.enter();
            work();
        });
    });
}

#[test]
fn a_call_that_waits_for_other_threads_has_a_row_if_something_began_there() {
    with_receiver(|receiver| {
        let mut known = None;
        let told = told(receiver, || {
            for number in 0..5 {
                let _outer = enter(0);
                let _lends = enter(1);
                lent_to_another_thread(|| match number {
                    1 => drop(enter(2)),
                    3 => known = Context::current(),
                    _ => {}
                });
            }
        });
        assert!(told.starts.contains_key(&known.expect("current there").process()), "its ids were read");
        assert_eq!((told.of("top/a", "succeeded"), told.of("top/a/b", "succeeded")), ([2, 3], [2, 3]), "{:?}", told.counts());
        assert_eq!(total(told.of("top/a/b/c", "succeeded")), 1, "{:?}", told.counts());
    });
}

#[test]
fn a_call_through_an_ended_lender_is_not_below_the_lender() {
    with_receiver(|receiver| {
        let told = told(receiver, || {
            let carried = {
                let _lends = enter(0);
                Carried::lender().carried()
            };
            // A new call in the same frame.
            let _later = enter(1);
            std::thread::spawn(move || {
                IS_WOVEN.set(true);
                let _current = carried.enter();
                drop(enter(2));
            })
            .join()
            .expect("no panic");
        });
        assert_eq!(told.of("top/a", "succeeded"), [0, 1], "{:?}", told.counts());
        assert_eq!(total(told.of("top/a/c", "succeeded")), 0, "{:?}", told.counts());
    });
}

#[test]
fn futures_that_call_nothing_are_counted_and_all_others_have_rows() {
    with_receiver(|receiver| {
        let told = told(receiver, || {
            for _ in 0..3 {
                let mut future = Box::pin(waits(0, 1));
                assert!(poll(future.as_mut()).is_pending());
                assert!(poll(future.as_mut()).is_ready());
            }
        });
        assert_eq!((told.of("top/a", "succeeded"), told.of("top/a/g", "succeeded")), ([3, 0], [0, 3]), "{:?}", told.counts());
    });
}

#[test]
fn a_call_that_ends_while_a_scan_takes_its_children_has_a_row() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Much to read, so that looks take their time.
            scope.spawn(|| {
                IS_WOVEN.set(true);
                while !is_over.load(Ordering::Relaxed) {
                    let _outer = enter(2);
                    (0..9).for_each(|_| drop(enter(3)));
                }
            });
            let calls = scope.spawn(|| {
                IS_WOVEN.set(true);
                for _ in 0..100 {
                    // Long enough to be reported while it runs, and still brief.
                    let (_outer, begun) = (enter(0), Instant::now());
                    drop(enter(1));
                    while begun.elapsed() < Duration::from_millis(6) {
                        std::hint::spin_loop();
                    }
                }
            });
            while !calls.is_finished() {
                told.look(receiver);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        told.drain(receiver);
        assert!(told.folds.values().any(|folded| name_of(&folded.origin) == "b"), "no look came while one ran: {:?}", told.counts());
    });
}

/// Each scan results in a batch, after which the program may be killed, so every record that a scan takes must be reported or counted in
/// it.
#[test]
fn records_taken_by_a_scan_are_reported_or_counted_in_its_batch() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let (mut taken_before, mut calls) = (receiver.taken().rings, 0);
        IS_WOVEN.set(true);
        {
            let _top = top();
            // Fewer of each than are counted in another way.
            for round in 0..9 {
                let _outer = enter(0);
                for _ in 0..9 {
                    let _inner = enter(1);
                    (0..9).for_each(|_| drop(enter(2)));
                    if round % 2 == 0 {
                        receiver.look(Duration::from_millis(5));
                        std::iter::from_fn(|| receiver.take()).for_each(|entry| told.add(entry.record));
                        let taken = receiver.taken().rings;
                        calls += taken
                            .iter()
                            .map(|(ring, count)| {
                                count - taken_before.iter().find(|(other, _)| other == ring).map_or(0, |(_, count)| *count)
                            })
                            .sum::<u64>();
                        taken_before = taken;
                        let counted: u64 = told.folds.values().map(|fold| fold.count).sum();
                        assert_eq!(counted + told.ends.len() as u64, calls, "{:?}", told.counts());
                    }
                }
            }
        }
        IS_WOVEN.set(false);
        told.drain(receiver);
        let sum = |name: &str| -> u64 {
            told.counts().iter().filter(|((path, _), _)| path.ends_with(name)).map(|(_, counts)| total(*counts)).sum()
        };
        assert_eq!((sum("/a"), sum("/b"), sum("/c")), (9, 81, 729), "{:?}", told.counts());
    });
}
