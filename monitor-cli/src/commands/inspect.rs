//! `monitor inspect`

use monitor_wire::Fields;

use super::asking::{Whom, ask};
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor inspect ping
  monitor inspect ping -d 'worker@build-*' -t 3s
  monitor inspect stats -d worker@build-7
  monitor inspect active --json | jq '.lines[].value.processes'
  monitor inspect registered -d worker@build-7:4711
  monitor inspect ping -d 'worker@*' --dry-run      whom it would ask";

/// Asks the workers that are online what only they know, and waits until each has answered
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// What to ask: `ping`, whether they answer; `stats`, their memory, processor time and what waits to be sent; `active`, what runs;
    /// `registered`, which functions they have
    #[arg(value_parser = ["ping", "stats", "active", "registered"])]
    method: String,
    #[command(flatten)]
    whom: Whom,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    ask(&args.whom, &args.method, Fields::new())
}
