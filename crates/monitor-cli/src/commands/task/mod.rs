//! `monitor task`

#[cfg(target_os = "linux")]
mod alive;
mod apply;
mod change;
mod check;
mod explain;
mod helper;
#[cfg(unix)]
mod import_crontab;
mod list;
#[cfg(target_os = "linux")]
mod local;
mod next;
mod orders;
mod pause;
mod publications;
mod read;
mod rehearse;
mod runs;
mod versions;
mod whom;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use monitor_api::Error;

use crate::exit;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor task add --name gold --rule \"30 2 * * 1-5\" -- node index.js
  monitor task list                      List tasks with their due times
  monitor task run gold --wait -- --all  Run a task now, with an argument
  monitor task pause gold --until 2h     Skip runs for two hours
  monitor task explain gold              Explain each due time
  monitor task apply tasks/              Apply the definitions in a folder
  monitor task check tasks/*.toml        Check definitions
  crontab -l | monitor task import-crontab - --print

Commands use a server or an agent of this machine: the one in --server or --data; else the agent in `MONITOR_AGENT_DATA`, the server in \
`MONITOR_SERVER_URL`, the agent that runs in the default folder, or the server of this machine. Definitions are stored on a server, or \
in the files of `monitor agent --tasks FOLDER`. add, edit, delete, versions, restore, apply and export always use a server.";

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  failure
  2  wrong usage, or a mistake in a rule or definition
  3  server not reached
  4  not found";

/// Define, run and monitor batch tasks
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(list::Show),
    Add(Box<change::Add>),
    Edit(change::Edit),
    Delete(change::Delete),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Run(orders::Run),
    Kill(orders::Kill),
    Runs(Box<runs::Args>),
    Explain(explain::Args),
    Rehearse(rehearse::Args),
    Publications(publications::Publications),
    RestorePublication(publications::RestorePublication),
    History(publications::History),
    Versions(versions::Versions),
    Restore(versions::Restore),
    Apply(apply::Apply),
    Export(apply::Export),
    #[cfg(unix)]
    ImportCrontab(import_crontab::Args),
    Helper(helper::Args),
    Check(check::Args),
    Next(next::Args),
}

#[cfg(target_os = "linux")]
pub(crate) use alive::{CheckAlive, check_alive};
#[cfg(target_os = "linux")]
pub(crate) use publications::shown;

/// A mistake in the input, with the exit code of a wrong command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

/// A requested thing that doesn't exist.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Missing(String);

pub(crate) fn run(args: &Args) -> ExitCode {
    let result = match &args.command {
        Command::List(args) => list::list(args),
        Command::Show(args) => list::show(args),
        Command::Add(args) => change::add(args),
        Command::Edit(args) => change::edit(args),
        Command::Delete(args) => change::delete(args),
        Command::Pause(args) => pause::pause(args),
        Command::Resume(args) => pause::resume(args),
        Command::Run(args) => orders::run(args),
        Command::Kill(args) => orders::kill(args),
        Command::Runs(args) => runs::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Rehearse(args) => rehearse::run(args),
        Command::Publications(args) => publications::publications(args),
        Command::RestorePublication(args) => publications::restore(args),
        Command::History(args) => publications::history(args),
        Command::Versions(args) => versions::versions(args),
        Command::Restore(args) => versions::restore(args),
        Command::Apply(args) => apply::apply(args),
        Command::Export(args) => apply::export(args),
        #[cfg(unix)]
        Command::ImportCrontab(args) => import_crontab::run(args),
        Command::Helper(args) => helper::run(args),
        Command::Check(args) => check::run(args),
        Command::Next(args) => next::run(args),
    };
    let result = result.map_err(|error| match error.downcast_ref::<Error>().and_then(Error::problem) {
        // The server returns all mistakes of a definition, one per line.
        Some(problem) if problem.status == 400 && problem.parameter.is_none() => {
            let mut lines: Vec<&str> = problem.detail.lines().collect();
            let last = lines.pop().unwrap_or_default();
            for line in lines {
                let _ = writeln!(anstream::stderr(), "{}", visible(line));
            }
            Wrong(last.to_owned()).into()
        }
        _ => error,
    });
    let own = match &result {
        Err(error) if error.is::<Wrong>() => Some(2),
        Err(error) if error.is::<Missing>() => Some(4),
        _ => None,
    };
    let code = exit::report(result);
    own.map_or(code, ExitCode::from)
}

/// Parses a time: `10m ago`, `2026-11-21`, `2026-11-21T08:00` in this machine's time zone, or with an offset.
pub(crate) fn time(text: &str) -> Result<jiff::Timestamp, String> {
    let civil = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::system()).ok();
    let ago = || {
        let ago = monitor_duration::read(text.strip_suffix("ago")?.trim_end()).ok()?;
        jiff::Timestamp::now().checked_sub(ago).ok()
    };
    let at = text.parse().ok().or_else(|| civil().map(|at| at.timestamp())).or_else(ago);
    at.ok_or_else(|| "expected a time such as 10m ago, 2026-11-21, 2026-11-21T08:00 or 2026-11-21T08:00Z".to_owned())
}
