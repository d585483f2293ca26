//! Benchmarks compared with other tools: the cost of a monitored call (`cargo xtask bench client`), the throughput of a server (`cargo
//! xtask bench server`), the punctuality of batch tasks (`cargo xtask bench batch`), the delay of alerts (`cargo xtask bench alerts`), and
//! the throughput of event receivers (`cargo xtask bench events`).
//!
//! A harness of our own replaces Criterion, which measures one thing after another in one process. Here each contender needs a separate
//! process, because it changes global state, and contenders alternate, so that the machine's load affects all of them equally.

mod alerts;
mod batch;
mod burst;
mod calls;
mod child;
mod compile;
mod contenders;
mod cores;
mod events;
mod ingest;
mod instructions;
mod machine;
mod options;
mod report;
mod requests;
mod server;
mod spans;
mod startup;
mod weight;
mod work;
mod woven;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::Section;

/// Measure the client, the server, batch tasks, alerts and receivers of events, next to other tools.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measure the client: calls, start, compile time, bursts.
    Client(Options),
    /// Measure the server: ingest, bytes on disk, reads.
    Server(ingest::Options),
    /// Measure batch tasks: the delay of starts, and the starts that are lost when the scheduler is killed.
    Batch(batch::Options),
    /// Measure alerts: the delay and number of messages, and the messages that are lost when the sender is killed.
    Alerts(alerts::Options),
    /// Measure receivers of events: their rate, their losses, and the delay of workers' answers.
    Events(events::Options),
    /// Role of a program of ours in the measurements of events.
    #[command(hide = true, subcommand)]
    EventsRole(events::roles::Role),
    /// One contender, controlled by standard input.
    #[command(hide = true)]
    Contender {
        /// Its name in the tables.
        name: String,
        /// The core of the thread that calls; what works in the background stays where it was started.
        #[arg(long)]
        core: Option<usize>,
    },
}

/// How the client is measured.
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
    only: Vec<Measurement>,
    /// One JSON document on stdout instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Nanoseconds per leaf call.
    Calls,
    /// Instructions per leaf call, by callgrind.
    Instructions,
    /// Cost of a span of tracing below our layer.
    Tracing,
    /// Cost of a request to an axum service below our layer.
    Requests,
    /// Cost of the linked client at the start, and cost of the first call.
    Startup,
    /// `cargo check` per monitored function.
    Compile,
    /// Share of a burst that arrives.
    Burst,
    /// Time of a cold build, number of its crates, and size of the program.
    Weight,
    /// Time that weaving adds to a program that ends immediately.
    Woven,
}

impl Measurement {
    fn run(self, options: &Options) -> Result<Section> {
        match self {
            Self::Calls => calls::measure(options),
            Self::Instructions => instructions::measure(options),
            Self::Tracing => spans::measure(options),
            Self::Requests => requests::measure(options),
            Self::Startup => startup::measure(options),
            Self::Compile => compile::measure(options),
            Self::Burst => burst::measure(options),
            Self::Weight => weight::measure(options),
            Self::Woven => woven::measure(options),
        }
    }
}

fn main() -> Result<()> {
    match Command::parse().what {
        What::Client(options) => report::print(&options.only, options.json, |measurement| measurement.run(&options)),
        What::Server(options) => report::print(&options.only, options.json, |measurement| measurement.run(&options)),
        What::Batch(options) => report::print(&options.only, options.json, |measurement| measurement.run(&options)),
        What::Alerts(options) => report::print(&options.only, options.json, |measurement| measurement.run(&options)),
        What::Events(options) => report::print(&options.only, options.json, |measurement| measurement.run(&options)),
        What::EventsRole(role) => role.run(),
        What::Contender { name, core } => child::serve(&name, core),
    }
}
