//! Tests unusual uses of subscribers: they must neither panic nor assign a wrong parent.

use std::sync::{Arc, Barrier};

use monitor_client::{Level, Process};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Instrument, Span, Subscriber, info_span};
use tracing_subscriber::layer::{self, Layer};
use tracing_subscriber::prelude::*;

use crate::support::{check, check_sorted, record, run};
use crate::{subscriber, traced};

#[test]
fn spans_are_left_in_any_order() {
    check(
        || {
            traced(|| {
                let first = info_span!("first").entered();
                let second = info_span!("second").entered();
                drop(first);
                info_span!("below second").in_scope(|| ());
                let third = info_span!("third").entered();
                drop(second);
                info_span!("below third").in_scope(|| ());
                drop(third);
                info_span!("below nothing").in_scope(|| ());
            });
        },
        "
        first span
          second span
            below second span
            third span
              below third span
        below nothing span
        ",
    );
}

#[test]
fn a_span_is_entered_on_several_threads_and_closed_by_another() {
    let trees = record(|| {
        let subscriber = subscriber();
        tracing::dispatcher::with_default(&subscriber, || {
            let shared = info_span!("shared");
            let barrier = Arc::new(Barrier::new(4));
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (shared, barrier, subscriber) = (shared.clone(), barrier.clone(), subscriber.clone());
                    std::thread::spawn(move || {
                        let _default = tracing::dispatcher::set_default(&subscriber);
                        let within = shared.enter();
                        barrier.wait();
                        info_span!("child").in_scope(|| info_span!("grandchild").in_scope(|| ()));
                        barrier.wait();
                        drop(within);
                        info_span!("alone").in_scope(|| ());
                    })
                })
                .collect();
            drop(shared);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    });
    let shared = trees.find("shared").started.id;
    let of = |name: &str| trees.processes.iter().filter(|process| process.name() == name).collect::<Vec<_>>();
    assert_eq!((of("child").len(), of("grandchild").len(), of("alone").len()), (4, 4, 4));
    assert!(of("child").iter().all(|child| child.started.parent == shared));
    assert!(of("alone").iter().all(|alone| alone.started.parent == 0));
    assert!(trees.processes.iter().all(|process| process.ended.is_some()));
}

#[test]
fn a_span_that_is_closed_while_it_is_entered_ends_when_it_is_left() {
    check(
        || {
            let subscriber = subscriber();
            tracing::dispatcher::with_default(&subscriber, || {
                let span = info_span!("closed early");
                let id = span.id().unwrap();
                subscriber.enter(&id);
                drop(span);
                info_span!("still below").in_scope(|| ());
                // Reports to the layer that the span is closed before reporting its exit.
                subscriber.exit(&id);
                info_span!("after").in_scope(|| ());
            });
        },
        "
        closed early span
          still below span
        after span
        ",
    );
}

#[test]
fn two_subscribers_and_two_layers_distinguish_their_spans() {
    check_sorted(
        || {
            let (one, other) = (subscriber(), subscriber());
            let twice =
                Dispatch::new(tracing_subscriber::registry().with(monitor_client::tracing::layer()).with(monitor_client::tracing::layer()));
            tracing::dispatcher::with_default(&one, || {
                let a = info_span!("a of one").entered();
                tracing::dispatcher::with_default(&other, || {
                    let b = info_span!("b of the other").entered();
                    drop(a);
                    info_span!("c of the other").in_scope(|| ());
                    drop(b);
                });
                run(async { info_span!("elsewhere").in_scope(|| ()) }.with_subscriber(other.clone()).instrument(info_span!("d of one")));
            });
            tracing::dispatcher::with_default(&twice, || info_span!("e once").in_scope(|| info_span!("f once").in_scope(|| ())));
        },
        "
        a of one span
          b of the other span
            c of the other span
        d of one span
          elsewhere span
        e once span
          f once span
        ",
    );
}

#[test]
fn an_entered_span_that_is_forgotten_ends_with_its_thread() {
    let trees = record(|| {
        let subscriber = subscriber();
        std::thread::spawn(move || {
            tracing::dispatcher::with_default(&subscriber, || {
                std::mem::forget(info_span!("forgotten").entered());
                drop(Process::builder("below").begin());
            });
        })
        .join()
        .unwrap();
        drop(Process::builder("beside").begin());
    });
    let parent = |name: &str| trees.find(name).started.parent;
    assert_eq!((parent("below"), parent("beside")), (trees.find("forgotten").started.id, 0));
}

/// A layer that itself records events through this crate.
struct Echo;

impl<S: Subscriber> Layer<S> for Echo {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        monitor_client::log(Level::Info, format!("echo of {}", attributes.metadata().name()));
        Process::builder("echo").run_any(|_| tracing::info!("an event from inside a layer of its own subscriber is not recorded"));
    }

    fn on_event(&self, _: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        monitor_client::log(Level::Info, "echo of a line");
    }

    fn on_close(&self, _: Id, _: layer::Context<'_, S>) {
        monitor_client::log(Level::Info, "echo of an end");
    }
}

#[test]
fn a_subscriber_that_logs_itself_does_not_recurse() {
    let echo_first = || Dispatch::new(tracing_subscriber::registry().with(Echo).with(monitor_client::tracing::layer()));
    let echo_last = || Dispatch::new(tracing_subscriber::registry().with(monitor_client::tracing::layer()).with(Echo));
    for subscriber in [echo_first as fn() -> Dispatch, echo_last] {
        let trees = record(|| {
            // A layer that is made before anything is recorded passes everything by.
            let subscriber = subscriber();
            tracing::dispatcher::with_default(&subscriber, || {
                let _outer = info_span!("outer").entered();
                tracing::info!("said");
                info_span!("inner", number = 1).in_scope(|| ());
            });
        });
        let mut said: Vec<_> = trees.find("outer").logs.iter().map(|(_, text)| text.as_str()).collect();
        said.sort_unstable();
        assert_eq!(said, ["echo of a line", "echo of an end", "echo of inner", "said"]);
        let outer = trees.find("outer").started.id;
        let parents: Vec<_> = trees.processes.iter().map(|process| (process.name(), process.started.parent == outer)).collect();
        assert_eq!(parents.iter().filter(|(name, below)| *name == "echo" && *below).count(), 1, "{parents:?}");
        assert!(parents.contains(&("inner", true)) && parents.len() == 4, "{parents:?}");
        assert!(trees.processes.iter().all(|process| process.ended.is_some()), "{parents:?}");
    }
}

#[test]
fn a_runtime_that_is_dropped_ends_the_spans_of_its_tasks() {
    let trees = record(|| {
        let subscriber = subscriber();
        tracing::dispatcher::with_default(&subscriber, || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            let begun = Arc::new(Barrier::new(3));
            for number in 0..2 {
                let begun = begun.clone();
                let task = async move {
                    let _within = info_span!("within", number);
                    // Outside of the runtime's own, so that both have begun when it goes.
                    tokio::task::block_in_place(|| begun.wait());
                    std::future::pending::<()>().await;
                };
                runtime.spawn(task.instrument(info_span!("task")).with_subscriber(subscriber.clone()));
            }
            begun.wait();
            drop(runtime);
            info_span!("after").in_scope(|| ());
        });
    });
    assert!(trees.processes.iter().all(|process| process.ended.is_some()));
    let of = |name: &str| trees.processes.iter().filter(|process| process.name() == name).collect::<Vec<_>>();
    let mut tasks: Vec<u64> = of("task").iter().map(|task| task.started.id).collect();
    tasks.sort_unstable();
    let mut parents: Vec<u64> = of("within").iter().map(|within| within.started.parent).collect();
    parents.sort_unstable();
    assert_eq!((parents, trees.find("after").started.parent), (tasks, 0));
}

/// Each span has a field that its parent has, too.
#[test]
fn threads_that_pass_spans_around_keep_every_parent() {
    const THREADS: u64 = 4;
    const SPANS: u64 = 500;
    let trees = record(|| {
        let subscriber = subscriber();
        tracing::dispatcher::with_default(&subscriber, || {
            let roots: Arc<Vec<Span>> = Arc::new((0..8).map(|number| info_span!(parent: None, "root", number)).collect());
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (roots, subscriber) = (roots.clone(), subscriber.clone());
                    std::thread::spawn(move || {
                        let _default = tracing::dispatcher::set_default(&subscriber);
                        let mut passed = Vec::new();
                        for number in 0..SPANS {
                            let at = one_of_eight(thread * SPANS + number);
                            let root = roots[at].enter();
                            let child = info_span!("child", of = at);
                            let within = child.enter();
                            let grandchild = info_span!("grandchild", of = at);
                            if number % 2 == 0 {
                                drop(root);
                                grandchild.in_scope(|| info_span!("last").in_scope(|| ()));
                                drop(within);
                            } else {
                                drop(within);
                                drop(root);
                            }
                            passed.push((child, grandchild));
                        }
                        passed
                    })
                })
                .collect();
            // Closed by this thread, all of them.
            for thread in threads {
                drop(thread.join().unwrap());
            }
        });
    });
    let fields = |process: &crate::support::Recorded| process.started.extra.as_ref().map(|extra| extra.fields[0].1.clone());
    let by_id: std::collections::HashMap<u64, _> = trees.processes.iter().map(|process| (process.started.id, process)).collect();
    assert_eq!(trees.processes.len() as u64, 8 + THREADS * SPANS * 2 + THREADS * SPANS / 2);
    for process in &trees.processes {
        assert!(process.ended.is_some(), "{} has ended", process.name());
        let parent = by_id.get(&process.started.parent);
        let told = parent.map(|parent| (parent.name(), fields(parent)));
        match process.name() {
            "root" => assert!(told.is_none()),
            "child" => assert_eq!(told, Some(("root", fields(process)))),
            "grandchild" => assert_eq!(told, Some(("child", fields(process)))),
            _ => assert_eq!(told.map(|(name, _)| name), Some("grandchild")),
        }
    }
}

/// One of eight, in no order.
fn one_of_eight(number: u64) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61) as usize
}
