//! `monitor inspect`

use clap::builder::{PossibleValue, PossibleValuesParser};
use monitor_wire::{Fields, Method, MethodScope};

use super::asking::{self, Whom, ask};
use super::queue::completed_ids;
use crate::exit::{self, Misused};

const EXAMPLES: &str = "\
Examples:
  monitor inspect ping
  monitor inspect ping -d 'worker@build-*' -t 3s
  monitor inspect stats -d worker@build-7
  monitor inspect active --json | jq '.lines[].value.processes'
  monitor inspect registered -d worker@build-7:4711
  monitor inspect reserved                      List waiting queue tasks
  monitor inspect query 8a1c7f0e                Show the state of a queue task
  monitor inspect ping -d 'worker@*' --dry-run  List the addressed workers
  monitor inspect --list                        List all methods and workers";

/// Query online workers for their state, and wait for their answers
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// Method to query
    #[arg(value_parser = methods(), required_unless_present = "list")]
    method: Option<String>,
    /// Ids of queue tasks, or their first six or more digits, for `query`
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// List all methods, with the workers that support them now
    #[arg(long, conflicts_with = "method")]
    list: bool,
    #[command(flatten)]
    whom: Whom,
}

fn methods() -> PossibleValuesParser {
    let reading = Method::ALL.iter().filter(|method| method.scope == MethodScope::Read);
    PossibleValuesParser::new(reading.map(|method| PossibleValue::new(method.name).help(method.help)))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(method) = &args.method else { return asking::list(&args.whom.connection, "read") };
    let mut arguments = Fields::new();
    match (method.as_str(), &args.ids[..]) {
        ("query", []) => return Err(Misused("which tasks? Say `monitor inspect query ID…`".to_owned()).into()),
        ("query", ids) => drop(arguments.insert("ids".to_owned(), completed_ids(&args.whom.connection, ids)?.into())),
        (_, []) => {}
        (_, [first, ..]) => return Err(Misused(format!("{method} takes no argument, but {first:?} is one")).into()),
    }
    ask(&args.whom, method, arguments)
}
