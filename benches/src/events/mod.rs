//! Measures the throughput and losses of event receivers, and the response time of workers: `cargo xtask bench events`.
//!
//! Ours is the real `monitor server` with programs that use `monitor-client` and `monitor-receiver`. It is compared with Celery on Redis,
//! with events as its workers send them and received as Flower receives them. Both send the same four events per task.

pub(crate) mod roles;
mod side;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::Value;

use self::side::{Kind, Side};
use crate::machine;
use crate::options::RivalOptions;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};

/// Number of events per task.
const EVENTS: f64 = 4.0;
const WORKERS: usize = 20;
const PINGS: usize = 20;
/// While terminal monitors are watched.
const PACE: f64 = 2_000.0;
/// Delay before a killed server or broker is started again, the default of systemd.
const RESTART: Duration = Duration::from_millis(100);
const KILLS: usize = 5;

/// How events are measured.
pub(crate) type Options = RivalOptions<Measurement>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// Events a second through a receiver with a handler and a state.
    Rate,
    /// Events that are lost when the handler is slow.
    Slow,
    /// Events that are lost while the server or broker is killed.
    Killed,
    /// From a ping of 20 workers to the complete answer.
    Ping,
    /// Processor of a terminal monitor.
    Screen,
}

impl Measurement {
    pub(crate) fn run(self, options: &Options) -> Result<Section> {
        match self {
            Self::Rate => rate(options),
            Self::Slow => slow(options),
            Self::Killed => killed(options),
            Self::Ping => ping(options),
            Self::Screen => screen(options),
        }
    }
}

impl Options {
    fn sides(&self) -> impl Iterator<Item = Result<(Kind, Side)>> {
        Kind::ALL.into_iter().filter(|kind| kind.name().contains(&self.row)).map(|kind| {
            progress(kind.name());
            Ok((kind, Side::start(kind, &self.monitor, &self.rivals)?))
        })
    }
}

fn figure(said: &Value, name: &str) -> Result<f64> {
    said[name].as_f64().with_context(|| format!("no {name} in {said}"))
}

/// Returns the ratio of their value to ours, given our row first.
fn times(rows: &[Row], column: usize) -> Option<f64> {
    let of = |kind: Kind| rows.iter().find(|row| row.name == kind.name())?.figures.get(column).copied().flatten();
    Some(of(Kind::Ours)? / of(Kind::Celery)?)
}

fn columns(names: &[&str], decimals: usize) -> Vec<Column> {
    names.iter().map(|name| Column::new(*name, decimals)).collect()
}

/// All events are sent before the receiver reads the first one.
fn rate(options: &Options) -> Result<Section> {
    let mut table = Table {
        title: "a handler and a state".to_owned(),
        columns: columns(&["events", "told/s", "received", "received/s", "while they are told, /s"], 0),
        rows: Vec::new(),
    };
    for side in options.sides() {
        let (kind, side) = side?;
        // Redis limits the backlog of a subscriber to 32 MB, about 60,000 of these events.
        let tasks = if options.quick || kind == Kind::Celery { 10_000.0 } else { 100_000.0 };
        let mut receiver = side.role("receive", [tasks * EVENTS, 0.0])?;
        let mut teller = side.role("tell", [tasks, 0.0])?;
        teller.begin()?;
        let told = teller.end()?;
        receiver.begin()?;
        let received = receiver.end()?;
        let (_, meanwhile) = meanwhile(&side, tasks, 0.0, 0.0, |_| Ok(()))?;
        table.rows.push(Row {
            name: kind.name().to_owned(),
            figures: vec![
                Some(tasks * EVENTS),
                Some(figure(&told, "told")? / figure(&told, "seconds")?),
                Some(figure(&received, "received")?),
                Some(figure(&received, "received")? / figure(&received, "seconds")?),
                Some(figure(&meanwhile, "received")? / figure(&meanwhile, "seconds")?),
            ],
        });
    }
    let more = times(&table.rows, 3).map(|times| Target::new("events received a second, × Celery's", times, Bound::AtLeast(10.0)));
    let notes = vec![
        "Received: all were told before, and wait at the server, or in Redis for the connection.".to_owned(),
        "While they are told: teller, server or broker, and receiver share the cores. Celery tells by groups of 24, as its workers do."
            .to_owned(),
        "Ours are stored on disk before they are received; Redis passes them on.".to_owned(),
        load(),
    ];
    Ok(Section { title: "Events: through a receiver", tables: vec![table], notes, targets: more.into_iter().collect() })
}

/// Sends and receives at the same time. Returns the final reports of both.
fn meanwhile(side: &Side, tasks: f64, rate: f64, pause: f64, act: impl FnOnce(&Side) -> Result<()>) -> Result<(Value, Value)> {
    let mut receiver = side.role("receive", [tasks * EVENTS, pause])?;
    let mut teller = side.role("tell", [tasks, rate])?;
    receiver.begin()?;
    teller.begin()?;
    act(side)?;
    Ok((teller.end()?, receiver.end()?))
}

fn lost(told: &Value, received: &Value) -> Result<Vec<Option<f64>>> {
    let (told, received_, again) = (figure(told, "told")?, figure(received, "received")?, figure(received, "again")?);
    Ok(vec![Some(told), Some(received_), Some(told - received_), Some(again)])
}

fn slow(options: &Options) -> Result<Section> {
    let tasks = if options.quick { 5_000.0 } else { 25_000.0 };
    let mut table = Table {
        title: "a handler that takes 1 ms".to_owned(),
        columns: columns(&["told", "received", "lost", "twice"], 0),
        rows: Vec::new(),
    };
    for side in options.sides() {
        let (kind, side) = side?;
        let (told, received) = meanwhile(&side, tasks, 0.0, 1.0, |_| Ok(()))?;
        table.rows.push(Row { name: kind.name().to_owned(), figures: lost(&told, &received)? });
    }
    let targets = none_lost(&table);
    let notes = vec!["Told as fast as it goes. Redis ends a connection for which 32 MB wait.".to_owned(), load()];
    Ok(Section { title: "Events: a slow handler", tables: vec![table], notes, targets })
}

fn none_lost(table: &Table) -> Vec<Target> {
    let ours = table.rows.iter().find(|row| row.name == Kind::Ours.name());
    let lost = ours.and_then(|row| Some(row.figures[2]?.abs() + row.figures[3]?));
    lost.map(|lost| Target::new("lost, and told twice", lost, Bound::AtMost(0.0))).into_iter().collect()
}

fn killed(options: &Options) -> Result<Section> {
    let (tasks, rate) = (if options.quick { 5_000.0 } else { 10_000.0 }, 500.0);
    let mut table = Table {
        title: format!("{rate} tasks a second, {KILLS} × SIGKILL"),
        columns: columns(&["told", "received", "lost", "twice"], 0),
        rows: Vec::new(),
    };
    for side in options.sides() {
        let (kind, mut side) = side?;
        let mut receiver = side.role("receive", [tasks * EVENTS, 0.0])?;
        let mut teller = side.role("tell", [tasks, rate])?;
        receiver.begin()?;
        teller.begin()?;
        for number in 1..=KILLS {
            std::thread::sleep(Duration::from_secs_f64(tasks / rate / (KILLS + 1) as f64));
            progress(&format!("{}: kill {number} of {KILLS}", kind.name()));
            side.kill(RESTART)?;
        }
        let (told, received) = (teller.end()?, receiver.end()?);
        table.rows.push(Row { name: kind.name().to_owned(), figures: lost(&told, &received)? });
    }
    let targets = none_lost(&table);
    let notes = vec![
        format!("Server or broker is started again after {} ms, with what it has on disk.", RESTART.as_millis()),
        "Celery's teller goes on as its workers do: what could not be sent is sent by a new connection. Its receiver connects again after a second, as Flower's."
            .to_owned(),
        load(),
    ];
    Ok(Section { title: "Events: killed meanwhile", tables: vec![table], notes, targets })
}

fn ping(options: &Options) -> Result<Section> {
    let mut table = Table { title: format!("{WORKERS} workers, ms"), columns: columns(&["p50", "p95", "most"], 1), rows: Vec::new() };
    for side in options.sides() {
        let (kind, side) = side?;
        let mut workers = side.workers(WORKERS)?;
        let asked = (|| {
            let mut asking = side.role("ping", [PINGS as f64, WORKERS as f64])?;
            asking.begin()?;
            asking.end()
        })();
        for worker in &mut workers {
            worker.kill()?;
            worker.wait()?;
        }
        for (way, took) in asked?.as_object().context("ways and their times")? {
            let mut samples = Samples::default();
            took.as_array().into_iter().flatten().filter_map(Value::as_f64).for_each(|seconds| samples.add(seconds * 1e3));
            let figures = [0.5, 0.95, 1.0].map(|part| Some(samples.quantile(part))).to_vec();
            table.rows.push(Row { name: format!("{}, {way}", kind.name()), figures });
        }
    }
    let ours = table.rows.first().filter(|row| row.name.starts_with(Kind::Ours.name())).and_then(|row| row.figures[1]);
    let targets = ours.map(|ours| Target::new("a ping of 20 workers, ms, p95", ours, Bound::AtMost(50.0)));
    let notes = vec![
        "`celery inspect ping` waits until its timeout of 1 s is over, for it doesn't know how many workers there are; `limit=20` is told."
            .to_owned(),
        "Celery's workers: `--pool solo`, without gossip and mingle.".to_owned(),
        load(),
    ];
    Ok(Section { title: "Events: ping", tables: vec![table], notes, targets: targets.into_iter().collect() })
}

fn screen(options: &Options) -> Result<Section> {
    let (settle, span) = if options.quick { (3.0, 5.0) } else { (5.0, 20.0) };
    let mut table = Table { title: format!("{PACE} events a second"), columns: columns(&["% of a core"], 2), rows: Vec::new() };
    for side in options.sides() {
        let (kind, side) = side?;
        let screen = side.screen()?;
        let mut teller = side.role("tell", [PACE / EVENTS * (settle + span + 2.0), PACE / EVENTS])?;
        teller.begin()?;
        std::thread::sleep(Duration::from_secs_f64(settle));
        let (before, begun) = (screen.cpu_seconds()?, Instant::now());
        std::thread::sleep(Duration::from_secs_f64(span));
        let part = (screen.cpu_seconds()? - before) / begun.elapsed().as_secs_f64();
        teller.end()?;
        table.rows.push(Row { name: kind.name().to_owned(), figures: vec![Some(part * 100.0)] });
    }
    let targets = table.rows.first().filter(|row| row.name == Kind::Ours.name()).and_then(|row| row.figures[0]);
    let targets = targets.map(|part| Target::new("`monitor top`, % of a core", part, Bound::AtMost(25.0)));
    let notes = vec!["`monitor top` beside `celery events`, 140 × 40.".to_owned(), load()];
    Ok(Section { title: "Events: terminal monitors", tables: vec![table], notes, targets: targets.into_iter().collect() })
}

fn load() -> String {
    format!("Load average {}.", machine::load())
}
