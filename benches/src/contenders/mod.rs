//! All contenders, each in a file of its own, with the same work: leaf functions under a root.

mod fastrace;
mod hotpath;
mod opentelemetry;
mod ours;
mod plain;
pub(crate) mod requests;
pub(crate) mod spans;
mod tracing;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::work::Shape;

/// How a contender calls `calls` leaves of a shape under one root.
pub(crate) type Tree = fn(Shape, u64);

/// Description of a contender. Each runs in a separate process, because it changes global state.
pub(crate) struct Contender {
    /// Its name in tables and on the command line of its child.
    pub(crate) name: &'static str,
    /// True if its child gets a server, and monitoring is on.
    pub(crate) is_monitored: bool,
    /// Settings of ours that are not the defaults.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// Sets up what records.
    pub(crate) start: fn() -> Running,
    /// One tree.
    pub(crate) tree: Tree,
}

/// A contender after its setup.
pub(crate) struct Running {
    /// Waits until all records have left the program, so that no work remains during the next sample.
    pub(crate) settle: Box<dyn Fn()>,
}

impl Running {
    /// For contenders that leave no pending work.
    fn nothing() -> Self {
        Self { settle: Box::new(|| ()) }
    }
}

/// All of them, in the order of the tables: yardsticks, ours, rivals.
pub(crate) const ALL: &[Contender] = &[
    Contender { name: PLAIN, is_monitored: false, settings: &[], start: Running::nothing, tree: plain::tree },
    Contender { name: TWO_TSC, is_monitored: false, settings: &[], start: Running::nothing, tree: plain::two_reads },
    Contender { name: OURS_OFF, is_monitored: false, settings: &[], start: Running::nothing, tree: ours::tree },
    Contender { name: OURS_ON, is_monitored: true, settings: SINGLE, start: ours::start, tree: ours::tree },
    Contender { name: OURS_FOLDED, is_monitored: true, settings: &[], start: ours::start, tree: ours::tree },
    Contender { name: TRACING_OFF, is_monitored: false, settings: &[], start: Running::nothing, tree: tracing::tree },
    Contender { name: "tracing + Registry", is_monitored: false, settings: &[], start: tracing::registry, tree: tracing::tree },
    Contender { name: TRACING_OTEL, is_monitored: false, settings: &[], start: tracing::opentelemetry, tree: tracing::tree },
    Contender { name: OTEL, is_monitored: false, settings: &[], start: opentelemetry::start, tree: opentelemetry::tree },
    Contender { name: FASTRACE, is_monitored: false, settings: &[], start: fastrace::start, tree: fastrace::tree },
    Contender { name: "hotpath", is_monitored: false, settings: &[], start: hotpath::start, tree: hotpath::tree },
];

/// Ours, while a second thread records as well. Only its number of instructions is meaningful: on a machine with few cores, its time would
/// mainly show that the threads compete.
pub(crate) const BESIDE_ANOTHER: Contender = Contender {
    name: "ours, on, a second thread too",
    is_monitored: true,
    settings: SINGLE,
    start: ours::start,
    tree: ours::tree_beside_another,
};

/// Nothing is folded.
const SINGLE: &[(&str, &str)] = &[("MONITOR_FOLD_AFTER", "off")];

pub(crate) const PLAIN: &str = "plain call";
pub(crate) const TWO_TSC: &str = "two raw TSC reads";
pub(crate) const OURS_OFF: &str = "ours, off";
pub(crate) const OURS_ON: &str = "ours, on";
/// With default settings: all but the first 1,000 leaves of a root are counted.
pub(crate) const OURS_FOLDED: &str = "ours, on, folding";
pub(crate) const TRACING_OFF: &str = "tracing, no subscriber";
pub(crate) const TRACING_OTEL: &str = "tracing-opentelemetry";
pub(crate) const OTEL: &str = "OpenTelemetry SDK";
pub(crate) const FASTRACE: &str = "fastrace";

/// The contender of this name.
pub(crate) fn named(name: &str) -> Option<&'static Contender> {
    ALL.iter().chain(spans::ALL).chain(requests::ALL).chain([&BESIDE_ANOTHER]).find(|contender| contender.name == name)
}

/// Number of spans received by a contender's exporter, which counts and drops them.
static EXPORTED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of spans received by the exporter in this process.
pub(crate) fn exported() -> u64 {
    EXPORTED.load(Ordering::Relaxed)
}

fn count_exported(spans: usize) {
    EXPORTED.fetch_add(spans as u64, Ordering::Relaxed);
}

/// One tree of a contender whose leaves are `leaf`, `ready` and `yields`, and whose roots are `root` and `async_root`.
macro_rules! tree {
    () => {
        pub(super) fn tree(shape: crate::work::Shape, calls: u64) {
            use crate::work::{Shape, both, drive, repeat, repeat_async, repeat_by_turns};
            match shape {
                Shape::Sync => root(|| repeat(calls, leaf)),
                Shape::Ready => drive(async_root(repeat_async(calls, ready))),
                Shape::Yields => drive(async_root(repeat_async(calls, yields))),
                Shape::Turns => {
                    let part = |calls| async_root(repeat_by_turns(calls, leaf));
                    drive(both(part(calls / 2), part(calls - calls / 2)));
                }
            }
        }
    };
}
use tree;
