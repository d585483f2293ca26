//! Tests folds of spans, which may be current on several threads at once.

use std::sync::Barrier;
use std::thread;

use monitor_core::Context;
use monitor_core::queue;
use monitor_core::record::{Failure, Fields, Origin, Site};
use monitor_core::span::{self, Below, Span};

use crate::told::Told;
use crate::{enter, top, total, with_receiver};

fn begin() -> Span {
    static KEY: u64 = 0;
    let site = span::site((&raw const KEY).addr(), || Site::new("span", "span", "spans.rs", 1)).expect("a site");
    Span::begin(Origin::Site(site), Below::Current, Fields::new()).expect("recorded")
}

#[test]
fn spans_without_fields_are_counted_as_calls_are() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..1_000 {
                let span = begin();
                {
                    let _current = span.enter();
                    drop(enter(1));
                }
                span.end(None);
            }
        }
        told.drain(receiver);
        let counts = told.of("top/span", "succeeded");
        assert_eq!((total(counts), total(told.of("top/span/b", "succeeded"))), (1_000, 1_000));
        assert!(counts[1] > 900, "{counts:?}");
        assert_eq!((told.over.len(), queue::dropped()), (told.folds.len(), vec![]));
    });
}

#[test]
fn a_span_that_two_threads_are_in_leaves_its_fold_once() {
    const SPANS: u64 = 300;
    with_receiver(|receiver| {
        let mut told = Told::default();
        let mut failed = 0;
        {
            let _top = top();
            for number in 0..SPANS {
                let span = begin();
                let barrier = Barrier::new(2);
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            let _current = span.enter();
                            barrier.wait();
                            if number % 3 == 0 {
                                assert!(Context::current().is_some());
                            }
                            drop(enter(1));
                        });
                    }
                });
                let failure = (number % 7 == 0).then(|| Failure { kind: "error", message: "no".to_owned(), ..Failure::default() });
                failed += u64::from(failure.is_some());
                span.end(failure);
            }
        }
        told.drain(receiver);
        assert_eq!((total(told.of("top/span", "succeeded")), total(told.of("top/span", "failed"))), (SPANS - failed, failed));
        assert_eq!(total(told.of("top/span/b", "succeeded")), 2 * SPANS);
        // Each fold adds up, or it would not be over.
        assert_eq!((told.over.len(), told.of("top/span", "running")), (told.folds.len(), [0, 0]));
    });
}
