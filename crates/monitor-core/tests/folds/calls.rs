//! Tests folds of calls of attributed functions.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use monitor_core::private::{Guard, How, site, tell};
use monitor_core::record::Outcome;
use monitor_core::{Context, Process, fail, field, queue, rename};

use crate::told::Told;
use crate::{AFTER, enter, fails, panics, poll, top, total, waits, with_receiver};

#[test]
fn children_with_the_same_name_above_a_limit_are_counted() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..1_000 {
                drop(enter(0));
            }
            drop(enter(1));
            told.drain(receiver);
            assert_eq!(total(told.of("top/a", "succeeded")), 1_000);
            assert!(told.of("top/a", "succeeded")[1] > 900, "{:?}", told.counts());
            assert_eq!(told.of("top/b", "succeeded"), [1, 0]);
            for _ in 0..100 {
                drop(enter(0));
            }
            told.drain(receiver);
            assert_eq!(total(told.of("top/a", "succeeded")), 1_100);
        }
        told.drain(receiver);
        assert_eq!(told.over.len(), told.folds.len(), "the parent has ended");
        let fold = told.folds.values().next().expect("one");
        let (min, max) = fold.range_ns.expect("some ended");
        assert!(min <= max && fold.count * min <= fold.total_ns && fold.total_ns <= fold.count * (max + 1), "{fold:?}");
    });
}

#[test]
fn failures_are_kept_singly_up_to_a_limit_and_all_are_counted() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for number in 0..500 {
                if number % 2 == 0 { fails(0) } else { panics(0) }
            }
        }
        told.drain(receiver);
        let [singly, counted] = told.of("top/a", "failed");
        assert_eq!(singly + counted, 500);
        assert!((AFTER + 100..AFTER + 110).contains(&singly), "{singly}");
        for ended in told.ends.values() {
            if let Outcome::Failed(failure) = &ended.outcome {
                assert!(["no", "a panic"].contains(&&*failure.message), "{failure:?}");
            }
        }
    });
}

#[test]
fn a_call_whose_ids_are_read_is_reported_singly_and_so_are_its_children() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..100 {
                drop(enter(0));
            }
            let _outer = enter(0);
            let context = Context::current().expect("current");
            drop(enter(1));
            told.drain(receiver);
            assert!(told.starts.contains_key(&context.process()));
            assert_eq!(told.of("top/a/b", "succeeded"), [1, 0]);
            thread::spawn(move || {
                let _current = context.enter();
                for _ in 0..100 {
                    drop(enter(2));
                }
            })
            .join()
            .expect("no panic");
        }
        told.drain(receiver);
        assert_eq!(told.of("top/a", "running"), [0, 0]);
        assert_eq!(total(told.of("top/a", "succeeded")), 101);
        assert_eq!(total(told.of("top/a/c", "succeeded")), 100);
        assert!(told.of("top/a/c", "succeeded")[1] > 50, "children of a context fold as well");
    });
}

#[test]
fn folds_nest() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..100 {
                let _outer = enter(0);
                drop(enter(1));
                fails(2);
            }
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 100);
        assert_eq!((total(told.of("top/a/b", "succeeded")), total(told.of("top/a/c", "failed"))), (100, 100));
        assert!(told.of("top/a/b", "succeeded")[1] > 50, "{:?}", told.counts());
        assert_eq!(told.over.len(), told.folds.len());
    });
}

#[test]
fn a_running_call_is_counted_and_reported_singly_after_a_second() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let _top = top();
        for _ in 0..100 {
            drop(enter(0));
        }
        let begun = Instant::now();
        let hangs = enter(0);
        let inner = enter(1);
        told.drain(receiver);
        assert_eq!(told.of("top/a", "running"), [0, 1], "{:?}", told.counts());
        while told.of("top/a", "running") == [0, 1] {
            assert!(begun.elapsed() < Duration::from_secs(60), "never told singly");
            told.drain(receiver);
        }
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(told.of("top/a", "running"), [1, 0], "{:?}", told.counts());
        drop(inner);
        drop(hangs);
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 101);
        assert_eq!(told.of("top/a", "running"), [0, 0]);
    });
}

/// The first scan sees both the fold and the call that has left it.
#[test]
fn a_slow_call_between_scans_is_reported_singly_and_not_counted_as_running() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let _top = top();
        for _ in 0..100 {
            drop(enter(0));
        }
        let begun = Instant::now();
        let hangs = enter(0);
        // Time is what this is about.
        while begun.elapsed() <= Duration::from_millis(1_100) {
            thread::park_timeout(Duration::from_millis(1_100).saturating_sub(begun.elapsed()));
        }
        told.drain(receiver);
        assert_eq!((told.of("top/a", "running"), total(told.of("top/a", "succeeded"))), ([1, 0], 100), "{:?}", told.counts());
        drop(hangs);
        told.drain(receiver);
        assert_eq!((told.of("top/a", "running"), total(told.of("top/a", "succeeded"))), ([0, 0], 101), "{:?}", told.counts());
    });
}

#[test]
fn more_names_than_a_parent_has_at_hand_are_counted_each() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for number in 0..7_000 {
                drop(enter(number));
            }
        }
        told.drain(receiver);
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            let counts = told.of(&format!("top/{name}"), "succeeded");
            assert_eq!(total(counts), 1_000);
            assert!(counts[1] > 900, "{name}: {counts:?}");
        }
    });
}

#[test]
fn roots_are_never_folded() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let root = site!("root", "root", 1);
        for _ in 0..100 {
            drop(Guard::enter(root, How::Root));
        }
        {
            let _top = top();
            for _ in 0..100 {
                drop(Guard::enter(root, How::Root));
            }
        }
        told.drain(receiver);
        assert_eq!((told.of("root", "succeeded"), told.of("top/root", "succeeded"), told.folds.len()), ([100, 0], [100, 0], 0));
    });
}

#[test]
fn futures_are_counted_wherever_they_end() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let begun = Instant::now();
        // Calls longer than a second are reported individually.
        let is_quick = || begun.elapsed() < Duration::from_secs(1);
        let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        {
            let _top = top();
            futures.extend((0..1_000).map(|_| Box::pin(waits(0, 2)) as _));
            for future in &mut futures {
                assert!(poll(future.as_mut()).is_pending());
            }
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "running")), 1_000);
        assert!(told.of("top/a", "running")[1] > 900 || !is_quick());
        let elsewhere = futures.split_off(500);
        for mut future in futures.drain(..400) {
            while poll(future.as_mut()).is_pending() {}
        }
        drop(futures);
        told.drain(receiver);
        thread::spawn(move || {
            let _other = Process::builder("other").enter();
            let mut elsewhere = elsewhere;
            for mut future in elsewhere.drain(..400) {
                while poll(future.as_mut()).is_pending() {}
            }
            drop(elsewhere);
        })
        .join()
        .expect("no panic");
        told.drain(receiver);
        assert_eq!((total(told.of("top/a", "succeeded")), total(told.of("top/a", "cancelled"))), (800, 200), "{:?}", told.counts());
        assert!(told.of("top/a", "cancelled")[1] > 150 || !is_quick(), "{:?}", told.counts());
        assert_eq!(total(told.of("top/a/g", "succeeded")), 800);
        assert_eq!(told.over.len(), told.folds.len(), "{:?}", told.counts());
    });
}

#[test]
fn futures_that_end_on_another_thread_are_reported_or_counted_once() {
    const COUNT: u64 = 100_000;
    with_receiver(|receiver| {
        let mut told = Told::default();
        let (begun, to_end) = mpsc::sync_channel::<Pin<Box<dyn Future<Output = ()> + Send>>>(256);
        let ends = thread::spawn(move || {
            let _other = Process::builder("other").enter();
            for mut future in to_end {
                while poll(future.as_mut()).is_pending() {}
            }
        });
        {
            let _top = top();
            for number in 0..COUNT {
                let mut future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(waits(0, 1));
                assert!(poll(future.as_mut()).is_pending());
                begun.send(future).expect("the other thread runs");
                if number % 1_000 == 0 {
                    told.look(receiver);
                }
            }
        }
        drop(begun);
        ends.join().expect("no panic");
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), COUNT, "{:?}", told.counts());
        assert_eq!(told.over.len(), told.folds.len(), "{:?}", told.counts());
    });
}

#[test]
fn a_scan_that_only_counts_returns_that_it_took_records() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let _top = top();
        let mut futures: Vec<_> = (0..5_000).map(|_| Box::pin(waits(0, 1))).collect();
        for future in &mut futures {
            assert!(poll(future.as_mut()).is_pending());
        }
        told.drain(receiver);
        thread::spawn(move || {
            let _other = Process::builder("other").enter();
            assert!(futures.iter_mut().all(|future| poll(future.as_mut()).is_ready()));
        })
        .join()
        .expect("no panic");
        let mut looks = 0;
        while receiver.look(Duration::from_millis(5)) {
            looks += 1;
            std::iter::from_fn(|| receiver.take()).for_each(|entry| told.add(entry.record));
        }
        assert!(looks >= 1, "5,000 records were taken, and nearly all of them only counted");
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 5_000);
    });
}

#[test]
fn futures_above_the_size_of_the_table_are_recorded() {
    const COUNT: u64 = 40_000;
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            let mut futures: Vec<_> = (0..COUNT).map(|_| Box::pin(waits(0, 1))).collect();
            for (number, future) in futures.iter_mut().enumerate() {
                assert!(poll(future.as_mut()).is_pending());
                if number % 1_000 == 100 {
                    told.look(receiver);
                }
            }
            told.drain(receiver);
            assert_eq!(total(told.of("top/a", "running")), COUNT);
            for future in &mut futures {
                assert!(poll(future.as_mut()).is_ready());
            }
        }
        told.drain(receiver);
        assert_eq!((total(told.of("top/a", "succeeded")), queue::dropped()), (COUNT, vec![]));
    });
}

#[test]
fn slots_of_folds_are_used_again() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        for _ in 0..2_000 {
            {
                let _top = top();
                for _ in 0..20 {
                    drop(enter(0));
                }
            }
            told.look(receiver);
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 40_000);
        assert_eq!((told.folds.len(), told.over.len()), (2_000, 2_000));
        assert_eq!(queue::dropped(), []);
    });
}

#[test]
fn calls_below_a_repeatedly_entered_context_are_folded() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let top = top();
            let context = top.context().expect("recorded");
            for _ in 0..100 {
                thread::spawn(move || {
                    let _current = context.enter();
                    for _ in 0..10 {
                        drop(enter(0));
                    }
                })
                .join()
                .expect("no panic");
                told.look(receiver);
            }
        }
        told.drain(receiver);
        let counts = told.of("top/a", "succeeded");
        assert_eq!(total(counts), 1_000);
        assert!(counts[1] > 500, "{counts:?}");
    });
}

#[test]
fn a_call_that_adds_data_to_itself_is_reported_singly() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            (0..100).for_each(|_| drop(enter(0)));
            told.drain(receiver);
            let [singly, _] = told.of("top/a", "succeeded");
            for _ in 0..3 {
                let _call = enter(0);
                field("status", 502);
                rename("another name");
                fail("said so");
            }
            told.drain(receiver);
            assert_eq!((told.of("top/a", "failed"), told.of("top/a", "succeeded")[0]), ([3, 0], singly));
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 100);
    });
}

#[test]
fn nothing_is_formatted_of_a_call_that_is_counted() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let (mut asked, calls) = (0, 1_000);
        {
            let _top = top();
            for _ in 0..calls {
                let mut call = enter(0);
                tell(&mut call, |told| {
                    asked += 1;
                    told.debug("args.n", &asked);
                });
            }
        }
        told.drain(receiver);
        let [singly, counted] = told.of("top/a", "succeeded");
        assert_eq!(singly + counted, calls);
        assert_eq!((asked, told.updated.len() as u64), (AFTER, AFTER), "each that began outside of the fold");
        // A call that is found slow at its end leaves the fold. It is too late to ask it.
        let slow = told.ends.values().filter(|ended| ended.elapsed_ns.is_some_and(|ns| ns >= 1_000_000));
        let unasked = slow.filter(|ended| told.starts[&ended.id].parent != 0 && !told.updated.contains(&ended.id)).count() as u64;
        assert_eq!(singly, AFTER + unasked);
        assert!(counted > 900, "{counted}");
    });
}
