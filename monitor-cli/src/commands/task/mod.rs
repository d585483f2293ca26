//! `monitor task`

mod check;
mod import_crontab;
#[cfg(target_os = "linux")]
mod local;
mod next;

use std::process::ExitCode;

use clap::Subcommand;

use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor task next \"30 2 * * 1-5\" --zone Europe/Berlin
  monitor task check tasks/*.toml
  monitor task list                        when each task of this machine's agent is due
  monitor task run gold --wait -- --all    now, with an argument
  monitor task pause gold --until 2h
  monitor task runs gold
  crontab -l | monitor task import-crontab - --print

`monitor agent --tasks FOLDER` starts tasks when they are due.";

const EXIT_CODES: &str = "\
Exit codes:
  0  it went well
  1  it failed
  2  the command line is wrong, or a rule or definition is";

/// Batch tasks: tries rules of time and definitions, shows what this machine's agent does, and asks it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    ImportCrontab(import_crontab::Args),
    Next(next::Args),
    #[cfg(target_os = "linux")]
    List(local::List),
    #[cfg(target_os = "linux")]
    Runs(local::Runs),
    #[cfg(target_os = "linux")]
    Run(local::Run),
    #[cfg(target_os = "linux")]
    Kill(local::Kill),
    #[cfg(target_os = "linux")]
    Pause(local::Pause),
    #[cfg(target_os = "linux")]
    Resume(local::Resume),
}

#[cfg(target_os = "linux")]
pub(crate) use local::{CheckAlive, check_alive};

/// What was written is wrong: the exit code is that of a wrong command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

pub(crate) fn run(args: &Args) -> ExitCode {
    let result = match &args.command {
        Command::Check(args) => check::run(args),
        Command::ImportCrontab(args) => import_crontab::run(args),
        Command::Next(args) => next::run(args),
        #[cfg(target_os = "linux")]
        Command::List(args) => local::list(args),
        #[cfg(target_os = "linux")]
        Command::Runs(args) => local::runs(args),
        #[cfg(target_os = "linux")]
        Command::Run(args) => local::run(args),
        #[cfg(target_os = "linux")]
        Command::Kill(args) => local::kill(args),
        #[cfg(target_os = "linux")]
        Command::Pause(args) => local::pause(args),
        #[cfg(target_os = "linux")]
        Command::Resume(args) => local::resume(args),
    };
    let is_wrong = result.as_ref().err().is_some_and(anyhow::Error::is::<Wrong>);
    let code = exit::report(result);
    if is_wrong { ExitCode::from(2) } else { code }
}
