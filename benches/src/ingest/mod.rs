//! Measures the throughput of a server compared with the limits of the machine: `cargo xtask bench server`.
//!
//! The server is the real binary with default settings; the load is generated on the same cores. The stored data is checked afterwards.

mod caps;
mod commands;
mod dropping;
mod duties;
pub(crate) mod http;
mod kinds;
mod limits;
mod live;
mod load;
mod readers;
mod reads;
mod trees;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use self::limits::Speed;
use self::load::{Plan, Sent};
use self::trees::Shape;
use crate::machine;
use crate::report::{Bound, Column, Row, Section, Table, Target, progress};
use crate::server::Server;

/// How the server is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// The binary `monitor`, built in release.
    #[arg(long)]
    monitor: PathBuf,
    /// Seconds instead of minutes: for trying, not for figures.
    #[arg(long)]
    quick: bool,
    /// Only this measurement; may be repeated.
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Measurement>,
    /// One JSON document on stdout instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only the rows whose name contains this, like `8 × 1000`.
    #[arg(long, default_value = "")]
    row: String,
    /// Millions of processes that `grown` stores before it measures.
    #[arg(long, default_value_t = 10)]
    millions: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// Events per second, by connections and size of batches.
    Connections,
    /// Events per second and bytes on disk, by the shape of trees.
    Shapes,
    /// Events per second and bytes on disk of other kinds of processes, next to functions.
    Kinds,
    /// The server's time by activity.
    Duties,
    /// 50,000 events per second.
    Paced,
    /// 50,000 events per second while a million processes are dropped.
    Dropping,
    /// Highest rate while the server keeps only 40 runs.
    Caps,
    /// Cost of subscribers, and the delay of their events.
    Live,
    /// Cost of 2,000 readers of the stream, half of them slow.
    Readers,
    /// 2,000 workers with a channel each: the time until all answer a ping, and the memory of an idle channel.
    Commands,
    /// With a file of many processes: ingest, start-up, and reads at the same time.
    Grown,
}

impl Measurement {
    pub(crate) fn run(self, options: &Options) -> Result<Section> {
        match self {
            Self::Connections => connections(options),
            Self::Shapes => shapes(options),
            Self::Kinds => kinds::measure(options),
            Self::Duties => duties::measure(options),
            Self::Paced => paced(options),
            Self::Dropping => dropping::measure(options),
            Self::Caps => caps::measure(options),
            Self::Live => live::measure(options),
            Self::Readers => readers::measure(options),
            Self::Commands => commands::measure(options),
            Self::Grown => reads::grown(options),
        }
    }
}

/// Result of a load on a new server, with the stored data and the used resources.
struct Run {
    sent: Sent,
    bytes_per_process: f64,
    rss_mib: f64,
    raw: Speed,
    /// Processor time of the server per event, in microseconds.
    cpu_us: f64,
}

fn run(options: &Options, plan: Plan, name: &str) -> Result<Run> {
    progress(&format!("{name}: the machine"));
    let folder = tempfile::tempdir()?;
    let before = limits::raw_insert(folder.path(), plan)?;
    drop(folder);
    progress(&format!("{name}: the server"));
    let server = Server::start_free(&options.monitor)?;
    let cpu = server.cpu_seconds()?;
    let sent = plan.send(server.address(), None)?;
    let (rss_mib, cpu_us) = (server.peak_rss_mib()?, (server.cpu_seconds()? - cpu) * 1e6 / sent.events as f64);
    progress(&format!("{name}: is it all there"));
    let held = server.held()?;
    let processes = sent.events / plan.shape.events_per_process();
    ensure!(held.processes == processes, "{processes} processes were sent, {} are there", held.processes);
    plan.check(server.address())?;
    let bytes_per_process = held.bytes as f64 / held.processes as f64;
    drop(server);
    // The speed of a disk varies, so it is measured before and after.
    let folder = tempfile::tempdir()?;
    let after = limits::raw_insert(folder.path(), plan)?;
    let raw = Speed { rate: f64::midpoint(before.rate, after.rate), cpu_us: f64::midpoint(before.cpu_us, after.cpu_us) };
    Ok(Run { sent, bytes_per_process, rss_mib, raw, cpu_us })
}

fn columns() -> Vec<Column> {
    vec![
        Column::new("k events/s", 0),
        Column::new("k/s, raw SQLite", 0),
        Column::new("× raw", 2),
        Column::new("CPU µs/event", 2),
        Column::new("raw", 2),
        Column::new("ack p50 ms", 1),
        Column::new("p99", 1),
        Column::new("refused", 0),
        Column::new("RSS MiB", 0),
        Column::new("bytes/process", 0),
        Column::new("sent, bytes/event", 0),
    ]
}

fn row(name: &str, run: &Run) -> Row {
    let sent = &run.sent;
    let figures = [
        sent.rate() / 1e3,
        run.raw.rate / 1e3,
        sent.rate() / run.raw.rate,
        run.cpu_us,
        run.raw.cpu_us,
        sent.ack(0.5),
        sent.ack(0.99),
        sent.refused as f64,
        run.rss_mib,
        run.bytes_per_process,
        sent.bytes as f64 / sent.events as f64,
    ];
    Row { name: name.to_owned(), figures: figures.into_iter().map(Some).collect() }
}

fn plan(shape: Shape, events: u64, connections: u64, events_per_batch: usize) -> Plan {
    Plan { shape, events, connections, events_per_batch, first_connection: 0 }
}

fn connections(options: &Options) -> Result<Section> {
    let most = if options.quick { 200_000 } else { 4_000_000 };
    let mut table = Table { title: "trees of 200".to_owned(), columns: columns(), rows: Vec::new() };
    let mut targets = Vec::new();
    for (connections, size) in [(1, 100), (1, 1_000), (8, 100), (8, 1_000), (64, 100), (64, 1_000)] {
        let events = if size == 100 { most / 4 } else { most };
        let name = format!("{connections} × {size}");
        if !name.contains(&options.row) {
            continue;
        }
        let run = run(options, plan(Shape::Trees(200), events, connections, size), &name)?;
        table.rows.push(row(&name, &run));
        match (connections, size) {
            (8, 1_000) => {
                targets.push(Target::new("8 × 1,000: of raw SQLite", run.sent.rate() / run.raw.rate, Bound::AtLeast(0.6)));
                targets.push(Target::new("bytes per process, trees of 200", run.bytes_per_process, Bound::AtMost(70.0)));
            }
            (1, 100) => targets.push(Target::new("1 × 100: events/s", run.sent.rate(), Bound::AtLeast(120_000.0))),
            (64, 1_000) => targets.push(Target::new("64 × 1,000: RSS, MiB", run.rss_mib, Bound::AtMost(256.0))),
            _ => {}
        }
    }
    let folder = tempfile::tempdir()?;
    let sync = limits::fdatasync(folder.path())?;
    let note =
        format!("fdatasync of 8 KiB: p50 {:.2} ms, p99 {:.2} ms. Load average {}.", sync.median(), sync.quantile(0.99), machine::load());
    Ok(Section { title: "Ingest: connections × events per batch", tables: vec![table], notes: vec![note], targets })
}

fn shapes(options: &Options) -> Result<Section> {
    let events = if options.quick { 100_000 } else { 2_000_000 };
    let huge = if options.quick { 200_000 } else { 16_000_000 };
    let mut table = Table { title: "8 × 1,000".to_owned(), columns: columns(), rows: Vec::new() };
    let mut targets = Vec::new();
    let shapes = [
        ("lone roots, 100 to a batch mark", Shape::Batches, events, Some(300_000.0), Some(250.0)),
        ("lone roots, a batch mark each", Shape::Trees(1), events, None, None),
        ("trees of 10", Shape::Trees(10), events, None, Some(100.0)),
        ("trees of 200", Shape::Trees(200), events, None, Some(70.0)),
        ("trees of 10,000", Shape::Trees(10_000), events, None, None),
        ("8 huge trees, ids ascend", Shape::Huge, huge, Some(250_000.0), None),
        ("8 huge trees, random ids", Shape::HugeRandom, huge / 4, None, None),
    ];
    for (name, shape, events, rate, bytes) in shapes.into_iter().filter(|shape| shape.0.contains(&options.row)) {
        let run = run(options, plan(shape, events, 8, 1_000), name)?;
        table.rows.push(row(name, &run));
        targets.extend(rate.map(|rate| Target::new(format!("{name}: events/s"), run.sent.rate(), Bound::AtLeast(rate))));
        targets.extend(bytes.map(|bytes| Target::new(format!("{name}: bytes per process"), run.bytes_per_process, Bound::AtMost(bytes))));
    }
    let note = format!("Load average {}.", machine::load());
    Ok(Section { title: "Ingest: shapes of trees", tables: vec![table], notes: vec![note], targets })
}

fn paced(options: &Options) -> Result<Section> {
    let events = if options.quick { 100_000 } else { 1_500_000 };
    let plan = plan(Shape::Trees(200), events, 8, 500);
    let server = Server::start_free(&options.monitor)?;
    let sent = plan.send(server.address(), Some(50_000.0))?;
    let rss_mib = server.peak_rss_mib()?;
    plan.check(server.address())?;
    let figures = [sent.rate() / 1e3, sent.ack(0.5), sent.ack(0.99), sent.ack(1.0), rss_mib].map(Some).to_vec();
    let columns = ["k events/s", "ack p50 ms", "p99", "slowest", "RSS MiB"].map(|name| Column::new(name, 1)).to_vec();
    let rows = vec![Row { name: "8 × 500".to_owned(), figures }];
    let targets =
        vec![Target::new("ack p99, ms", sent.ack(0.99), Bound::AtMost(30.0)), Target::new("RSS, MiB", rss_mib, Bound::AtMost(256.0))];
    let notes = vec![format!("Load average {}.", machine::load())];
    let tables = vec![Table { title: "trees of 200".to_owned(), columns, rows }];
    Ok(Section { title: "Ingest: 50,000 events a second", tables, notes, targets })
}
