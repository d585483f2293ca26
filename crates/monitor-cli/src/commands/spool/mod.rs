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

/// List, send or delete records that no server has received yet
///
/// A monitored program keeps its records in files until a server has received them. Records of a killed program are sent by the next
/// monitored program that starts, by `monitor server` on the same machine, or by `monitor spool ship`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::LOCAL))]
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

/// The spool's folder.
#[derive(Debug, clap::Args)]
struct SpoolArgs {
    /// Folder of the spool [default: monitor/spool in the user's state folder, usually ~/.local/state]
    #[arg(long, global = true, value_name = "DIR", env = "MONITOR_SPOOL_DIR")]
    dir: Option<OsString>,
}

impl SpoolArgs {
    /// Opens the spool, if it exists.
    fn open(&self) -> anyhow::Result<Option<Spool>> {
        let dir = monitor_spool::dir_of(self.dir.as_deref());
        let dir = dir.context("there is no spool: MONITOR_SPOOL_DIR is off, or there is no home folder; name the folder with --dir")?;
        Ok(Spool::existing(&dir)?)
    }

    /// Opens the spool and lists its folders.
    fn list(&self) -> anyhow::Result<Option<(Spool, Vec<Found>)>> {
        let Some(spool) = self.open()? else { return Ok(None) };
        let found = spool.list()?;
        Ok(Some((spool, found)))
    }
}

/// Program and pid, safe to print.
fn title(found: &Found) -> String {
    match &found.about {
        Some(about) => format!("{} ({})", visible(&about.worker.program), about.worker.pid),
        None => format!("(unknown) {}", found.worker_id),
    }
}

/// Number of events in a folder.
fn events(found: &Found) -> u64 {
    found.waiting + found.unread
}

/// The word for the state of a program.
fn word(life: Life) -> &'static str {
    match life {
        Life::Living => "living",
        Life::Dead => "dead",
        Life::Elsewhere => "elsewhere",
    }
}

/// The message for a folder that failed; the other folders are still processed.
fn failed(found: &Found, error: &SpoolError) -> String {
    format!("{}: {error}", title(found))
}

/// Returns an error with all failures, if there are any.
fn report(failures: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
