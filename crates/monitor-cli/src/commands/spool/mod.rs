//! `monitor spool`

mod clear;
mod list;
mod ship;

use std::ffi::OsString;

use anyhow::Context;
use clap::Subcommand;
use monitor_spool::{Found, Life, Spool, SpoolError};

use crate::exit;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor spool list
  monitor spool ship --server http://127.0.0.1:60010
  monitor spool clear --yes";

/// Shows, ships or removes what programs have recorded that no server has yet
///
/// A monitored program keeps what it records in files until a server has it. What a killed program leaves is shipped by the
/// next one, by `monitor server` on the same machine, or by `monitor spool ship`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    #[command(flatten)]
    place: SpoolArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Ship(ship::Args),
    Clear(clear::Args),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Args { place, command } = args;
    match command {
        Command::List(args) => list::run(place, args),
        Command::Ship(args) => ship::run(place, args),
        Command::Clear(args) => clear::run(place, args),
    }
}

/// Which spool.
#[derive(Debug, clap::Args)]
struct SpoolArgs {
    /// The folder of the spool [default: `monitor/spool` in the user's folder for state]
    #[arg(long, global = true, value_name = "DIR", env = "MONITOR_SPOOL_DIR")]
    dir: Option<OsString>,
}

impl SpoolArgs {
    /// The spool, if there is one.
    fn open(&self) -> anyhow::Result<Option<Spool>> {
        let dir = monitor_spool::dir_of(self.dir.as_deref());
        let dir = dir.context("there is no spool: MONITOR_SPOOL_DIR is off, or there is no home folder; name the folder with --dir")?;
        Ok(Spool::existing(&dir)?)
    }

    /// The spool and what is in it.
    fn list(&self) -> anyhow::Result<Option<(Spool, Vec<Found>)>> {
        let Some(spool) = self.open()? else { return Ok(None) };
        let found = spool.list()?;
        Ok(Some((spool, found)))
    }
}

/// Program and number, as they may be shown.
fn title(found: &Found) -> String {
    match &found.about {
        Some(about) => format!("{} ({})", visible(&about.worker.program), about.worker.pid),
        None => format!("(unknown) {}", found.worker_id),
    }
}

/// Events that wait in a folder.
fn events(found: &Found) -> u64 {
    found.waiting + found.unread
}

/// So many of something.
fn word(life: Life) -> &'static str {
    match life {
        Life::Living => "living",
        Life::Dead => "dead",
        Life::Elsewhere => "elsewhere",
    }
}

/// What went wrong with a folder; the others are gone on with.
fn failed(found: &Found, error: &SpoolError) -> String {
    format!("{}: {error}", title(found))
}

/// An error for the failures, if there were any.
fn report(failures: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
