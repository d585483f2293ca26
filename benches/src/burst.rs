//! How much of a burst arrives: at our server, or at an exporter that does nothing but count, which is the best case for a rival.

use anyhow::{Context, Result};

use crate::Options;
use crate::child::{Around, Child, Order, Verb};
use crate::contenders::{self, FASTRACE, OTEL, OURS_ON, TRACING_OTEL};
use crate::report::{Bound, Column, Row, Section, Table, Target, progress};
use crate::server::Server;
use crate::work::Shape;

/// As many trees of as many leaves, in one thread.
struct Burst {
    title: &'static str,
    trees: u64,
    calls: u64,
    /// Settings of ours that are not the defaults.
    settings: &'static [(&'static str, &'static str)],
}

const BURSTS: &[Burst] = &[
    Burst { title: "1,000,000 calls under one root", trees: 1, calls: 1_000_000, settings: &[] },
    Burst { title: "100,000 roots of 10", trees: 100_000, calls: 10, settings: &[("MONITOR_BUFFER_BYTES", "1073741824")] },
];

/// Each time every contender's burst is a tenth of that: for trying.
const QUICK_SHARE: u64 = 10;

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let mut section = Section { title: "what arrives of a burst in one thread", ..Section::default() };
    for burst in BURSTS {
        let mut rows = Vec::new();
        for name in [OURS_ON, OTEL, TRACING_OTEL, FASTRACE] {
            progress(&format!("{}: {name}", burst.title));
            let (made, arrived, dropped) = one(options, burst, name)?;
            let percent = 100.0 * arrived as f64 / made as f64;
            if name == OURS_ON {
                section.targets.push(Target::new(format!("{}: % that arrives", burst.title), percent, Bound::AtLeast(100.0)));
            }
            rows.push(Row { name: name.to_owned(), figures: vec![Some(made as f64), Some(arrived as f64), dropped, Some(percent)] });
        }
        let columns = vec![Column::new("made", 0), Column::new("arrived", 0), Column::new("dropped, counted", 0), Column::new("%", 2)];
        section.tables.push(Table { title: burst.title.to_owned(), columns, rows });
    }
    section
        .notes
        .push("Ours is counted by the server; the second burst has MONITOR_BUFFER_BYTES at 1 GiB, all else is default.".to_owned());
    section.notes.push("The rivals are counted by an exporter that only counts, after a flush.".to_owned());
    Ok(section)
}

/// How many processes were made, how many arrived, and how many are counted as dropped, where that is counted.
fn one(options: &Options, burst: &Burst, name: &str) -> Result<(u64, u64, Option<f64>)> {
    let contender = contenders::named(name).context("one of ours")?;
    let server = contender.is_monitored.then(|| Server::start(&options.monitor)).transpose()?;
    let mut child = Child::start(contender, Around { server: server.as_ref(), settings: burst.settings, ..Around::default() })?;
    // Whatever the child did to warm up is no part of the burst.
    let warm = child.ask(Order { verb: Verb::Count, shape: Shape::Sync, trees: 0, calls: 0 })?;
    let before = server.as_ref().map(Server::held).transpose()?;
    let share = if options.quick { QUICK_SHARE } else { 1 };
    let (trees, calls) = if burst.trees == 1 { (1, burst.calls / share) } else { (burst.trees / share, burst.calls) };
    let exported = child.ask(Order { verb: Verb::Count, shape: Shape::Sync, trees, calls })? - warm;
    let made = trees * (calls + 1);
    let Some((server, before)) = server.zip(before) else { return Ok((made, exported, None)) };
    let after = server.held()?;
    Ok((made, after.processes - before.processes, Some((after.dropped - before.dropped) as f64)))
}
