//! `monitor job wait`

use std::time::Duration;

use super::EXIT_CODES;
use super::follow::{Limit, follow};
use crate::client::Connection;

const EXAMPLES: &str = "\
Examples:
  monitor job wait 7
  monitor job wait 7 --timeout 10m
  monitor job wait 7 --polls 5 --interval 20s   Wait for at most 100 seconds";

/// Follow a job until it ends
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Number of the job
    job: u64,
    /// Maximum time to wait [default: until the job ends]
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read_positive, conflicts_with_all = ["polls", "interval"])]
    timeout: Option<Duration>,
    /// Maximum number of intervals to wait
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    polls: Option<u32>,
    /// Length of an interval
    #[arg(long, value_name = "DURATION", default_value = "20s", requires = "polls", value_parser = monitor_duration::read_positive)]
    interval: Duration,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let limit = match (args.polls, args.timeout) {
        (Some(polls), _) => Limit::Polls(polls, args.interval),
        (None, Some(timeout)) => Limit::Time(timeout),
        (None, None) => Limit::None,
    };
    // A job that doesn't exist is an error at once, also if the server restarts later.
    args.connection.ask(args.connection.client()?.job(args.job))?;
    follow(&args.connection, args.job, limit)
}
