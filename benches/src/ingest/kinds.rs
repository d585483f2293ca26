//! Measures processes other than functions: commands with exit codes and queue tasks, alternating with functions.

use anyhow::{Result, ensure};

use super::load::Plan;
use super::trees::Shape;
use super::{Options, plan};
use crate::machine;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};
use crate::server::Server;

/// Number of measurements of each kind.
const TURNS: usize = 3;

/// Results of a kind.
#[derive(Default)]
struct Kind {
    rate: Samples,
    cpu_us: Samples,
    bytes: f64,
    logged: f64,
}

impl Kind {
    fn turn(&mut self, options: &Options, plan: Plan) -> Result<()> {
        let server = Server::start_free(&options.monitor)?;
        let cpu = server.cpu_seconds()?;
        let sent = plan.send(server.address(), None)?;
        self.rate.add(sent.rate());
        self.cpu_us.add((server.cpu_seconds()? - cpu) * 1e6 / sent.events as f64);
        let (held, processes) = (server.held()?, sent.events / plan.shape.events_per_process());
        ensure!(held.processes == processes, "{processes} processes were sent, {} are there", held.processes);
        plan.check(server.address())?;
        self.bytes = (held.bytes - held.logged) as f64 / processes as f64;
        self.logged = held.logged as f64 / sent.events as f64;
        Ok(())
    }
}

pub(super) fn measure(options: &Options) -> Result<Section> {
    let events = if options.quick { 200_000 } else { 2_000_000 };
    let shapes = [
        ("functions", Shape::Trees(200), None),
        ("commands with an exit code", Shape::Scripts, Some(110.0)),
        ("tasks of a queue", Shape::Tasks, Some(450.0)),
    ];
    let mut kinds = shapes.map(|_| Kind::default());
    for turn in 1..=TURNS {
        for ((name, shape, _), kind) in shapes.iter().zip(&mut kinds) {
            progress(&format!("{name}: turn {turn} of {TURNS}"));
            kind.turn(options, plan(*shape, events, 8, 1_000))?;
        }
    }
    let columns = [("k events/s", 0), ("× functions", 2), ("CPU µs/event", 2), ("bytes/process", 0), ("of the log, bytes/event", 1)];
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    let functions = kinds[0].rate.median();
    for ((name, _, bytes), kind) in shapes.iter().zip(&mut kinds) {
        let rate = kind.rate.median();
        let figures = [rate / 1e3, rate / functions, kind.cpu_us.median(), kind.bytes, kind.logged];
        rows.push(Row { name: (*name).to_owned(), figures: figures.map(Some).to_vec() });
        if let Some(bytes) = bytes {
            targets.push(Target::new(format!("{name}: bytes per process"), kind.bytes, Bound::AtMost(*bytes)));
            targets.push(Target::new(format!("{name}: of the speed of functions"), rate / functions, Bound::AtLeast(0.6)));
        }
    }
    let columns = columns.map(|(name, decimals)| Column::new(name, decimals)).to_vec();
    Ok(Section {
        title: "Ingest: what isn't functions",
        tables: vec![Table { title: format!("8 × 1,000, trees of 200; medians of {TURNS} turns"), columns, rows }],
        notes: vec![format!("Without the log of events, which is bounded. Load average {}.", machine::load())],
        targets,
    })
}
