//! Tests the outcomes of processes from spans.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use monitor_client::tracing::{FailOn, layer};
use tracing::{Instrument, error, field, info_span, instrument};

use crate::support::{check, record, run};
use crate::{traced, traced_by};

#[instrument(err)]
fn reads(path: &str) -> Result<String, std::io::Error> {
    Err(std::io::Error::other("no such table"))
}

#[test]
fn a_span_fails_by_an_error_a_status_or_a_panic() {
    check(
        || {
            traced(|| {
                let _ = reads("orders");
                info_span!("says so").in_scope(|| {
                    info_span!("not its parent").in_scope(|| ());
                    error!("the disk is full");
                });
                info_span!("by status", otel.status_code = "ERROR", otel.status_description = "refused").in_scope(|| ());
                let late = info_span!("by a later status", otel.status_code = field::Empty);
                late.record("otel.status_code", "error");
                drop(late);
                info_span!("template", otel.name = "GET /users").in_scope(|| ());
                let _ = catch_unwind(|| info_span!("panics").in_scope(|| panic!("the end of the tape")));
                let _ = catch_unwind(|| run(async { panic!("in a future") }.instrument(info_span!("a future"))));
                info_span!("catches").in_scope(|| drop(catch_unwind(|| panic!("caught"))));
            });
        },
        "
        reads span {path: orders} [error ] error: no such table
        says so span [error the disk is full] error: the disk is full
          not its parent span
        by status span error: refused
        by a later status span error: otel.status_code is ERROR
        GET /users span
        panics span panic: the end of the tape
        a future span panic: in a future
        catches span
        ",
    );
}

#[test]
fn errors_fail_no_span_if_configured() {
    check(
        || {
            traced_by(layer().fail_on(FailOn::Never), || {
                info_span!("outer").in_scope(|| error!("only said"));
            });
        },
        "outer span [error only said]",
    );
}

#[test]
fn a_failure_has_its_place_and_its_cause() {
    let trees = record(|| {
        traced(|| {
            let inner = std::io::Error::other(fmt::Error);
            let error: &(dyn std::error::Error + 'static) = &inner;
            info_span!("outer").in_scope(|| error!(error, "could not write"));
        });
    });
    let failure = trees.find("outer").failure();
    assert_eq!(failure.message, "could not write");
    assert_eq!(failure.chain[0], fmt::Error.to_string());
    assert!(failure.place.as_ref().is_some_and(|(file, line)| file.ends_with("outcomes.rs") && *line > 0), "{failure:?}");
}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("not to be shown")
    }
}

#[test]
fn a_value_that_panics_or_is_huge_does_no_harm() {
    let trees = record(|| {
        traced(|| {
            let work = || info_span!("outer", before = 1, value = ?Panics, after = 2).in_scope(|| ());
            assert!(catch_unwind(AssertUnwindSafe(work)).is_ok());
            info_span!("large", text = "x".repeat(1 << 20)).in_scope(|| ());
        });
    });
    let fields = |name: &str| trees.find(name).started.extra.as_ref().map(|extra| extra.fields.clone()).unwrap_or_default();
    assert_eq!(fields("outer")[0].0, "before");
    let monitor_client::Value::Text(text) = &fields("large")[0].1 else { panic!("no text") };
    assert!(text.len() < 20_000 && text.ends_with("bytes cut]"));
}
