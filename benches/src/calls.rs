//! Measures nanoseconds per leaf call: contenders run in separate processes and are sampled alternately.

use std::collections::HashMap;

use anyhow::Result;

use crate::Options;
use crate::child::{Around, Child, Order, Verb};
use crate::contenders::{self, FASTRACE, OURS_FOLDED, OURS_OFF, OURS_ON, TRACING_OFF, TRACING_OTEL, TWO_TSC};
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;
use crate::work::Shape;

/// Calls of a sample, if the tree is smaller.
const SAMPLE: u64 = 2_000;
const MILLION: u64 = 1_000_000;
/// The tree that the targets speak of: the root's own cost is spread thin, and nothing is full yet.
const JUDGED: u64 = 1_000;

type Figures = HashMap<(&'static str, &'static str), Samples>;

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let server = Server::start(&options.monitor)?;
    let around = Around { server: Some(&server), ..Around::default() };
    let mut children = Vec::new();
    for contender in contenders::ALL {
        children.push((contender.name, Child::start(contender, around)?));
    }
    let mut section = Section { title: "ns per leaf call, the root's share included", ..Section::default() };
    for calls in [1, 10, JUDGED, MILLION] {
        let rounds = match (calls, options.quick) {
            (MILLION, false) => 5,
            (MILLION, true) => 1,
            (_, false) => 60,
            (_, true) => 10,
        };
        let before = server.held()?;
        let figures = take_turns(&mut children, calls, rounds)?;
        let after = server.held()?;
        section.tables.push(table(format!("{calls} under a root, ns p50"), &figures));
        section.notes.push(format!(
            "{calls} under a root, {rounds} rounds: of {OURS_ON} and {OURS_FOLDED}, {} processes arrived, folds as one each, and {} were dropped \
             and counted",
            after.processes - before.processes,
            after.dropped - before.dropped,
        ));
        match calls {
            JUDGED => section.targets.extend(targets(&figures)),
            MILLION => section.targets.push(by_turns(&figures)),
            _ => {}
        }
    }
    drop(children);
    let rounds = if options.quick { 3 } else { 20 };
    let title = format!("the first {SAMPLE} of a new process, {JUDGED} under a root, ns p50");
    section.tables.push(table(title, &first_samples(around, rounds)?));
    Ok(section)
}

/// Takes one sample of each shape per round, each from a new process, so that records are written to new memory.
fn first_samples(around: Around<'_>, rounds: u32) -> Result<Figures> {
    let mut figures = Figures::new();
    for round in 0..rounds {
        for shape in Shape::ALL {
            for contender in contenders::ALL {
                progress(&format!("new processes: round {} of {rounds}", round + 1));
                let taken =
                    Child::start(contender, around)?.ask(Order { verb: Verb::Time, shape, trees: SAMPLE / JUDGED, calls: JUDGED })?;
                figures.entry((contender.name, shape.name())).or_default().add(taken as f64 / SAMPLE as f64);
            }
        }
    }
    Ok(figures)
}

/// One sample of each shape from each contender, as often as there are rounds.
fn take_turns(children: &mut [(&'static str, Child)], calls: u64, rounds: u32) -> Result<Figures> {
    let trees = (SAMPLE / calls).max(1);
    let mut figures = Figures::new();
    for round in 0..rounds {
        progress(&format!("{calls} under a root: round {} of {rounds}", round + 1));
        for shape in Shape::ALL {
            for (name, child) in &mut *children {
                let taken = child.ask(Order { verb: Verb::Time, shape, trees, calls })?;
                figures.entry((*name, shape.name())).or_default().add(taken as f64 / (trees * calls) as f64);
            }
        }
    }
    Ok(figures)
}

fn table(title: String, figures: &Figures) -> Table {
    let mut columns = Vec::new();
    for shape in Shape::ALL {
        columns.push(Column::new(shape.name(), 1));
        columns.extend([Column::new("p05", 1), Column::new("p95", 1), Column::new("on / it", 2)]);
    }
    let row = |name: &'static str| {
        let of = |shape: Shape| {
            let (samples, ours) = (&figures[&(name, shape.name())], &figures[&(OURS_ON, shape.name())]);
            let ratio = ours.median() / samples.median();
            [samples.median(), samples.quantile(0.05), samples.quantile(0.95), ratio].map(Some)
        };
        Row { name: name.to_owned(), figures: Shape::ALL.into_iter().flat_map(of).collect() }
    };
    Table { title, columns, rows: contenders::ALL.iter().map(|contender| row(contender.name)).collect() }
}

fn targets(figures: &Figures) -> Vec<Target> {
    let ratio = |ours: &'static str, other: &'static str, shape: Shape| {
        figures[&(ours, shape.name())].median() / figures[&(other, shape.name())].median()
    };
    let mut targets = Vec::new();
    for shape in Shape::ALL.into_iter().filter(|shape| *shape != Shape::Turns) {
        let fastrace_share = if shape == Shape::Sync { 0.4 } else { 0.25 };
        for (ours, other, limit) in
            [(OURS_OFF, TRACING_OFF, 1.0), (OURS_ON, TWO_TSC, 1.25), (OURS_ON, FASTRACE, fastrace_share), (OURS_ON, TRACING_OTEL, 0.04)]
        {
            let what = format!("{}: {ours} / {other}", shape.name());
            targets.push(Target::new(what, ratio(ours, other, shape), Bound::AtMost(limit)));
        }
    }
    targets
}

/// Calls of parents that take turns are counted as those of a parent that is alone, and cost hardly more.
fn by_turns(figures: &Figures) -> Target {
    let folding = |shape: Shape| figures[&(OURS_FOLDED, shape.name())].median();
    let what = format!("{MILLION} under two that take turns / under one: {OURS_FOLDED}");
    Target::new(what, folding(Shape::Turns) / folding(Shape::Sync), Bound::AtMost(1.15))
}
