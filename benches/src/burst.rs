//! Measures how much of a burst arrives at our server, or at an exporter that only counts, which is the best case for the other tools.

use anyhow::{Context, Result};

use crate::Options;
use crate::child::{Around, Child, Order, Verb};
use crate::contenders::{self, Contender, FASTRACE, OTEL, OURS_FOLDED, TRACING_OTEL};
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;
use crate::work::Shape;

/// A burst of `trees` trees with `calls` leaves each, in one thread.
pub(crate) struct Burst {
    pub(crate) title: &'static str,
    pub(crate) trees: u64,
    pub(crate) calls: u64,
    /// Settings of ours that are not the defaults.
    pub(crate) settings: &'static [(&'static str, &'static str)],
}

const BURSTS: &[Burst] = &[
    Burst { title: "1,000,000 calls under one root", trees: 1, calls: 1_000_000, settings: &[] },
    Burst { title: "100,000 roots of 10", trees: 100_000, calls: 10, settings: &[("MONITOR_BUFFER_BYTES", "1073741824")] },
];

/// For trying, a burst is a tenth of that.
const QUICK_SHARE: u64 = 10;

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let mut section = Section { title: "what arrives of a burst in one thread", ..Section::default() };
    let repetitions = repetitions(options);
    for burst in BURSTS {
        let (table, targets) = burst.measure(options, &[OURS_FOLDED, OTEL, TRACING_OTEL, FASTRACE])?;
        section.tables.push(table);
        section.targets.extend(targets);
    }
    section
        .notes
        .push(format!("{repetitions} repetitions, each in a new process; ours with a new server each time, which does the counting."));
    section.notes.push("Of ours, all but the first thousand of the million are counted in a fold. Trees of ten fold nothing.".to_owned());
    section.notes.push("The second burst has MONITOR_BUFFER_BYTES at 1 GiB; all else, and all of the rivals, is default.".to_owned());
    section.notes.push("The rivals are counted by an exporter that only counts, after a flush.".to_owned());
    Ok(section)
}

/// Returns the number of bursts per contender.
pub(crate) fn repetitions(options: &Options) -> u32 {
    if options.quick { 1 } else { 5 }
}

impl Burst {
    /// Measures the arrived spans of each contender; returns the table and our targets.
    pub(crate) fn measure(&self, options: &Options, contenders: &[&str]) -> Result<(Table, Vec<Target>)> {
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        let repetitions = repetitions(options);
        for name in contenders {
            let contender = contenders::named(name).context("one of ours")?;
            let (mut percents, mut accounted) = (Samples::default(), Samples::default());
            for repetition in 0..repetitions {
                progress(&format!("{}, {} of {repetitions}: {name}", self.title, repetition + 1));
                let outcome = one(options, self, contender)?;
                let percent_of = |part: u64| 100.0 * part as f64 / outcome.made as f64;
                percents.add(percent_of(outcome.arrived));
                if let Some(dropped) = outcome.dropped {
                    accounted.add(percent_of(outcome.arrived + dropped));
                }
            }
            if contender.is_monitored {
                // The worst value counts, because no span may be lost.
                for (what, samples) in
                    [("arrives or is counted in a fold", &percents), ("arrives or is counted, as dropped at the least", &accounted)]
                {
                    let worst = samples.quantile(0.0);
                    targets.push(Target::new(format!("{}, {name}: % that {what}", self.title), worst, Bound::AtLeast(100.0)));
                }
            }
            let accounted = (!accounted.is_empty()).then(|| accounted.median());
            let [p50, min, max] = [0.5, 0.0, 1.0].map(|part| Some(percents.quantile(part)));
            rows.push(Row { name: (*name).to_owned(), figures: vec![p50, min, max, accounted] });
        }
        let columns = ["p50", "min", "max", "with what is counted as dropped"].map(|name| Column::new(name, 2)).to_vec();
        Ok((Table { title: format!("{}, % that arrives", self.title), columns, rows }, targets))
    }
}

/// Result of a burst.
struct Outcome {
    /// Processes or spans.
    made: u64,
    arrived: u64,
    /// Number of dropped spans, if they are counted.
    dropped: Option<u64>,
}

fn one(options: &Options, burst: &Burst, contender: &Contender) -> Result<Outcome> {
    let server = contender.is_monitored.then(|| Server::start(&options.monitor)).transpose()?;
    let mut child = Child::start(contender, Around { server: server.as_ref(), settings: burst.settings, ..Around::default() })?;
    // Calls of the warm-up do not belong to the burst.
    let warm = child.ask(Order { verb: Verb::Count, shape: Shape::Sync, trees: 0, calls: 0 })?;
    let before = server.as_ref().map(Server::held).transpose()?;
    let share = if options.quick { QUICK_SHARE } else { 1 };
    let (trees, calls) = if burst.trees == 1 { (1, burst.calls / share) } else { (burst.trees / share, burst.calls) };
    let exported = child.ask(Order { verb: Verb::Count, shape: Shape::Sync, trees, calls })? - warm;
    let made = trees * (calls + 1);
    let Some((server, before)) = server.zip(before) else { return Ok(Outcome { made, arrived: exported, dropped: None }) };
    let after = server.held()?;
    Ok(Outcome { made, arrived: after.processes + server.folded()? - before.processes, dropped: Some(after.dropped - before.dropped) })
}
