//! `monitor task`

mod check;
mod next;

use std::process::ExitCode;

use clap::Subcommand;

use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor task next \"30 2 * * 1-5\" --zone Europe/Berlin
  monitor task check tasks/*.toml

Nothing runs tasks by itself yet: these commands try rules and definitions out.";

const EXIT_CODES: &str = "\
Exit codes:
  0  it went well
  1  it failed
  2  the command line is wrong, or a rule or definition is";

/// Tries rules of time and definitions of batch tasks
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Next(next::Args),
}

/// What was written is wrong: the exit code is that of a wrong command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

pub(crate) fn run(args: &Args) -> ExitCode {
    let result = match &args.command {
        Command::Check(args) => check::run(args),
        Command::Next(args) => next::run(args),
    };
    let is_wrong = result.as_ref().err().is_some_and(anyhow::Error::is::<Wrong>);
    let code = exit::report(result);
    if is_wrong { ExitCode::from(2) } else { code }
}
