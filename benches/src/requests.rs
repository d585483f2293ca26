//! Measures the cost of a request to an axum service with our layer, compared with axum-tracing-opentelemetry: nanoseconds (measured
//! alternately), and instructions of the serving thread.

use std::collections::HashMap;

use anyhow::Result;

use crate::Options;
use crate::child::{Around, Child, Order, Verb};
use crate::contenders::requests::{ALL, BARE, OTEL, OURS};
use crate::instructions;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;
use crate::work::Shape;

/// Requests of a sample.
const REQUESTS: u64 = 1_000;

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let server = Server::start(&options.monitor)?;
    let around = Around { server: Some(&server), ..Around::default() };
    let mut children = Vec::new();
    for contender in ALL {
        children.push((contender.name, Child::start(contender, around)?));
    }
    let rounds = if options.quick { 20 } else { 200 };
    let mut samples: HashMap<&str, Samples> = HashMap::new();
    for round in 0..rounds {
        progress(&format!("requests: round {} of {rounds}", round + 1));
        for (name, child) in &mut children {
            let taken = child.ask(Order { verb: Verb::Time, shape: Shape::Sync, trees: 1, calls: REQUESTS })?;
            samples.entry(*name).or_default().add(taken as f64 / REQUESTS as f64);
        }
    }
    drop(children);
    let counts = instructions::is_there();
    let mut rows = Vec::new();
    for contender in ALL {
        let taken = &samples[contender.name];
        let counted = if counts { Some(instructions::count_shape(contender, &server, Shape::Sync)?) } else { None };
        let figures = vec![Some(taken.median()), Some(taken.quantile(0.05)), Some(taken.quantile(0.95)), counted];
        rows.push(Row { name: contender.name.to_owned(), figures });
    }
    let ns = |name: &str| rows.iter().find(|row| row.name == name).and_then(|row| row.figures[0]).unwrap_or(f64::NAN);
    let what = format!("{OURS} beyond {BARE} / {OTEL} beyond {BARE}");
    let targets = vec![Target::new(what, (ns(OURS) - ns(BARE)) / (ns(OTEL) - ns(BARE)), Bound::AtMost(1.0))];
    let columns = vec![Column::new("ns p50", 1), Column::new("p05", 1), Column::new("p95", 1), Column::new("instructions", 0)];
    let title = format!("{REQUESTS} one after the other, with a caller's traceparent, without a network");
    Ok(Section { title: "a request to a service of axum", tables: vec![Table { title, columns, rows }], targets, ..Section::default() })
}
