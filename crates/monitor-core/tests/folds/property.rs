//! Property test: the reported and counted calls of random threads agree with a plain count.

use std::collections::BTreeMap;
use std::thread;

use monitor_core::private::Carried;
use monitor_core::{Context, Process, queue};
use proptest::prelude::*;

use crate::told::Told;
use crate::{IS_WOVEN, enter, fails, panics, poll, top, total, waits, with_receiver};

/// An action of a thread.
#[derive(Debug, Clone)]
enum Step {
    /// `.1` calls of this name.
    Calls(usize, u64),
    Fails(usize, u64),
    Panics(usize),
    /// Futures of this name that are polled once, and then to their end, dropped, or ended by another thread.
    Futures(usize, u64, End),
    /// `.1` calls of this name that execute the steps.
    Nested(usize, u64, Vec<Step>),
    /// Like `Nested`, but another thread executes the steps, and the call waits for it.
    Lends(usize, u64, Vec<Step>),
    /// A call of this name that reads its ids.
    Reads(usize),
    /// `.1` processes of this name, started manually, that execute the steps.
    ByHand(usize, u64, Vec<Step>, ByHand),
    /// Like `Calls`, as futures that are polled twice.
    Instrumented(usize, u64),
}

#[derive(Debug, Clone, Copy)]
enum ByHand {
    Succeeds,
    Fails,
    Cancelled,
    /// Other code may know its ids, through the process itself or because it is current.
    HandedOn,
    Current,
    /// It records data of its own.
    Says,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Here,
    Dropped,
    There,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![Just(End::Here), Just(End::Dropped), Just(End::There)];
    let leaf = prop_oneof![
        (0..7_usize, 0..60_u64).prop_map(|(name, count)| Step::Calls(name, count)),
        (0..7_usize, 0..30_u64).prop_map(|(name, count)| Step::Fails(name, count)),
        (0..7_usize).prop_map(Step::Panics),
        (0..7_usize, 0..40_u64, end).prop_map(|(name, count, end)| Step::Futures(name, count, end)),
        (0..7_usize).prop_map(Step::Reads),
        (0..7_usize, 0..40_u64).prop_map(|(name, count)| Step::Instrumented(name, count)),
    ];
    let step = leaf.prop_recursive(3, 24, 6, |inner| {
        let how = [ByHand::Succeeds, ByHand::Succeeds, ByHand::Fails, ByHand::Cancelled, ByHand::HandedOn, ByHand::Current, ByHand::Says];
        let inner = prop::collection::vec(inner, 0..4);
        prop_oneof![
            (0..7_usize, 0..30_u64, inner.clone()).prop_map(|(name, count, steps)| Step::Nested(name, count, steps)),
            (0..7_usize, 0..4_u64, inner.clone()).prop_map(|(name, count, steps)| Step::Lends(name, count, steps)),
            (0..7_usize, 0..20_u64, inner, prop::sample::select(how.to_vec()))
                .prop_map(|(name, count, steps, how)| Step::ByHand(name, count, steps, how)),
        ]
    });
    prop::collection::vec(step, 0..12)
}

/// A call that waits for another thread, which does these steps.
fn lends(name: usize, steps: &[Step], path: &str, plain: &mut Plain) {
    let _guard = enter(name);
    let (lender, is_woven) = (Carried::lender(), IS_WOVEN.get());
    let carried = lender.carried();
    thread::scope(|scope| {
        let there = scope.spawn(move || {
            IS_WOVEN.set(is_woven);
            let _current = carried.enter();
            run(steps, path, plain);
        });
        there.join().expect("no panic");
    });
}

type Plain = BTreeMap<(String, &'static str), u64>;

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Does it, and counts plainly.
fn run(steps: &[Step], path: &str, plain: &mut Plain) {
    for step in steps {
        match step {
            Step::Calls(name, count) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "succeeded")).or_default() += count;
                (0..*count).for_each(|_| drop(enter(*name)));
            }
            Step::Fails(name, count) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "failed")).or_default() += count;
                (0..*count).for_each(|_| fails(*name));
            }
            Step::Panics(name) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "failed")).or_default() += 1;
                panics(*name);
            }
            Step::Reads(name) => {
                *plain.entry((format!("{path}/{}", NAMES[*name]), "succeeded")).or_default() += 1;
                *plain.entry((format!("{path}/{}/g", NAMES[*name]), "succeeded")).or_default() += 1;
                let _guard = enter(*name);
                assert!(Context::current().is_some());
                drop(enter(6));
            }
            Step::Nested(name, count, steps) => {
                let path = format!("{path}/{}", NAMES[*name]);
                *plain.entry((path.clone(), "succeeded")).or_default() += count;
                for _ in 0..*count {
                    let _guard = enter(*name);
                    run(steps, &path, plain);
                }
            }
            Step::Lends(name, count, steps) => {
                let path = format!("{path}/{}", NAMES[*name]);
                *plain.entry((path.clone(), "succeeded")).or_default() += count;
                (0..*count).for_each(|_| lends(*name, steps, &path, plain));
            }
            Step::ByHand(name, count, steps, how) => {
                let path = format!("{path}/{}", NAMES[*name]);
                let outcome = match how {
                    ByHand::Fails => "failed",
                    ByHand::Cancelled => "cancelled",
                    _ => "succeeded",
                };
                *plain.entry((path.clone(), outcome)).or_default() += count;
                for _ in 0..*count {
                    let process = Process::builder(NAMES[*name]).enter();
                    match how {
                        ByHand::HandedOn => {
                            *plain.entry((format!("{path}/f"), "succeeded")).or_default() += 1;
                            let context = process.context().expect("recorded");
                            drop(Process::builder("f").parent(context).begin());
                        }
                        ByHand::Current => assert!(Context::current().is_some()),
                        ByHand::Says => process.field("key", 1),
                        ByHand::Succeeds | ByHand::Fails | ByHand::Cancelled => {}
                    }
                    run(steps, &path, plain);
                    match how {
                        ByHand::Fails => process.fail("no"),
                        ByHand::Cancelled => process.cancel(),
                        _ => process.succeed(),
                    }
                }
            }
            Step::Instrumented(name, count) => {
                let path = format!("{path}/{}", NAMES[*name]);
                *plain.entry((path.clone(), "succeeded")).or_default() += count;
                *plain.entry((format!("{path}/a/g"), "succeeded")).or_default() += count;
                *plain.entry((format!("{path}/a"), "succeeded")).or_default() += count;
                for _ in 0..*count {
                    let mut future = Box::pin(Process::builder(NAMES[*name]).instrument(waits(0, 1)));
                    assert!(poll(future.as_mut()).is_pending());
                    assert!(poll(future.as_mut()).is_ready());
                }
            }
            Step::Futures(name, count, end) => {
                let path = format!("{path}/{}", NAMES[*name]);
                let outcome = if matches!(end, End::Dropped) { "cancelled" } else { "succeeded" };
                *plain.entry((path.clone(), outcome)).or_default() += count;
                let mut futures: Vec<_> = (0..*count).map(|_| Box::pin(waits(*name, 1))).collect();
                for future in &mut futures {
                    assert!(poll(future.as_mut()).is_pending());
                }
                if matches!(end, End::Dropped) {
                    continue;
                }
                *plain.entry((format!("{path}/g"), "succeeded")).or_default() += count;
                let mut finish = move || futures.iter_mut().for_each(|future| assert!(poll(future.as_mut()).is_ready()));
                if matches!(end, End::Here) {
                    finish();
                } else {
                    thread::scope(|scope| scope.spawn(finish).join().expect("no panic"));
                }
            }
        }
    }
}

fn by_name(counts: Plain) -> Plain {
    let mut names = Plain::new();
    for ((path, outcome), count) in counts {
        *names.entry((path.rsplit('/').next().unwrap_or_default().to_owned(), outcome)).or_default() += count;
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_reported_singly_or_counted_in_its_fold(threads in prop::collection::vec(steps(), 1..4), is_woven: bool) {
        with_receiver(|receiver| {
            let mut told = Told::default();
            let mut plain = Plain::new();
            let top = top();
            let context = top.context().expect("recorded");
            let before = queue::dropped();
            let threads: Vec<_> = threads
                .into_iter()
                .map(|steps| {
                    thread::spawn(move || {
                        IS_WOVEN.set(is_woven);
                        let _current = context.enter();
                        let mut plain = Plain::new();
                        run(&steps, "top", &mut plain);
                        plain
                    })
                })
                .collect();
            while threads.iter().any(|thread| !thread.is_finished()) {
                told.look(receiver);
            }
            for thread in threads {
                for (key, count) in thread.join().expect("no panic") {
                    *plain.entry(key).or_default() += count;
                }
            }
            drop(top);
            plain.insert(("top".to_owned(), "succeeded"), 1);
            prop_assert_eq!(queue::dropped(), before);
            told.drain(receiver);
            let counted: Plain = told.counts().into_iter().map(|(key, counts)| (key, total(counts))).collect();
            plain.retain(|_, count| *count > 0);
            if is_woven {
                // Calls within brief calls are counted by name and not by path.
                prop_assert_eq!(by_name(counted), by_name(plain));
            } else {
                prop_assert_eq!(counted, plain);
                prop_assert_eq!(told.over.len(), told.folds.len(), "all is over");
            }
            Ok(())
        })?;
    }
}
