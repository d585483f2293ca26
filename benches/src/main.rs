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

/// What a monitored call costs, what a server takes in, how punctually tasks start and how soon somebody hears, beside the rivals.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The client: its calls, its start, its compile time, its bursts.
    Client(Options),
    /// The server: ingest, bytes on disk, reads.
    Server(ingest::Options),
    /// Batch tasks: how punctually they start, and what is lost when who starts them is killed.
    Batch(batch::Options),
    /// Alerts: how soon and how often somebody hears, and what is lost when who tells is killed.
    Alerts(alerts::Options),
    /// Events: what a receiver takes in, what is lost, how soon workers answer.
    Events(events::Options),
    /// What a program of ours does in the bench of events.
    #[command(hide = true, subcommand)]
    EventsRole(events::roles::Role),
    /// One contender, told by stdin what to do.
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
    /// What a span of tracing costs below our layer.
    Tracing,
    /// What a request to a service of axum costs below our layer.
    Requests,
    /// What linking the client costs at start, and what the first call costs.
    Startup,
    /// `cargo check` per monitored function.
    Compile,
    /// How much of a burst arrives.
    Burst,
    /// What a cold build, its crates and the program weigh.
    Weight,
    /// What weaving adds to a program that ends at once.
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
