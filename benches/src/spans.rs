//! Measures the cost of a `tracing` span with our layer, compared with other layers: nanoseconds (measured alternately), instructions of
//! the calling thread, and the arrived part of a burst.

use std::collections::HashMap;

use anyhow::Result;

use crate::Options;
use crate::burst::{self, Burst};
use crate::child::{Around, Child, Order, Verb};
use crate::contenders::spans::{self, FASTRACE, OTEL, OURS, OURS_OFF, REGISTRY};
use crate::contenders::{ALL, Contender, OURS_ON, PLAIN};
use crate::instructions;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;
use crate::work::Shape;

/// Number of spans below a root, and number of samples.
const CALLS: u64 = 1_000;

/// Spans are not folded, so each has its own row.
const BURST: Burst = Burst { title: "100,000 spans below one root", trees: 1, calls: 100_000, settings: &[] };

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let server = Server::start(&options.monitor)?;
    let around = Around { server: Some(&server), ..Around::default() };
    let yardsticks = ALL.iter().filter(|contender| [PLAIN, OURS_ON].contains(&contender.name));
    let contenders: Vec<&Contender> = yardsticks.chain(spans::ALL).collect();
    let mut children = Vec::new();
    for contender in &contenders {
        children.push((contender.name, Child::start(contender, around)?));
    }
    let rounds = if options.quick { 20 } else { 200 };
    let mut samples: HashMap<&str, Samples> = HashMap::new();
    for round in 0..rounds {
        progress(&format!("spans: round {} of {rounds}", round + 1));
        for (name, child) in &mut children {
            let taken = child.ask(Order { verb: Verb::Time, shape: Shape::Sync, trees: 1, calls: CALLS })?;
            samples.entry(*name).or_default().add(taken as f64 / CALLS as f64);
        }
    }
    drop(children);
    let counts = instructions::is_there();
    let mut rows = Vec::new();
    for contender in &contenders {
        let taken = &samples[contender.name];
        let counted = if counts { Some(instructions::count_shape(contender, &server, Shape::Sync)?) } else { None };
        let figures = vec![Some(taken.median()), Some(taken.quantile(0.05)), Some(taken.quantile(0.95)), counted];
        rows.push(Row { name: contender.name.to_owned(), figures });
    }
    let mut targets = targets(&rows);
    let columns = vec![Column::new("ns p50", 1), Column::new("p05", 1), Column::new("p95", 1), Column::new("instructions", 0)];
    let title = format!("{CALLS} below a root, the root's share included");
    let (arrived, wanted) = BURST.measure(options, &[OURS[0], OURS[1], OTEL[0], OTEL[1], FASTRACE[0], FASTRACE[1]])?;
    targets.extend(wanted);
    let tables = vec![Table { title, columns, rows }, arrived];
    let notes = vec![format!(
        "The burst: {} repetitions, in one thread, each in a new process; rivals count what they export.",
        burst::repetitions(options)
    )];
    Ok(Section { title: "a span of tracing, entered once", tables, targets, notes })
}

fn targets(rows: &[Row]) -> Vec<Target> {
    let ns = |name: &str| rows.iter().find(|row| row.name == name).and_then(|row| row.figures[0]).unwrap_or(f64::NAN);
    let of = |fields: usize| {
        let beyond = ns(OURS[fields]) - ns(REGISTRY[fields]);
        [
            (format!("{} beyond Registry / {OURS_ON}", OURS[fields]), beyond / ns(OURS_ON), 2.0),
            (format!("{} beyond Registry / {}", OURS[fields], OTEL[fields]), beyond / ns(OTEL[fields]), 0.25),
            (format!("{} / {}", OURS_OFF[fields], REGISTRY[fields]), ns(OURS_OFF[fields]) / ns(REGISTRY[fields]), 1.05),
        ]
    };
    let all = (0..2).flat_map(of).enumerate();
    // Targets only apply to spans without fields, except the target for disabled monitoring.
    let goals = all.filter(|(number, _)| [0, 1, 2, 5].contains(number));
    goals.map(|(_, (what, measured, limit))| Target::new(what, measured, Bound::AtMost(limit))).collect()
}
