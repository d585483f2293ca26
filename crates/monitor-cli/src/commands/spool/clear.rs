//! `monitor spool clear`

use std::io::{BufRead as _, IsTerminal, Write as _};

use monitor_spool::{Found, Life};
use serde_json::json;

use super::{SpoolArgs, events, failed, report};
use crate::client::print_json;
use crate::exit;
use crate::text::{bytes, counted};

const EXAMPLES: &str = "\
Examples:
  monitor spool clear        Ask before deleting
  monitor spool clear --yes
  monitor spool clear --all  Include running programs and other machines

Deleted records are lost, unless a server has received them. A running program continues to record, but its later records are not kept \
after it ends.";

/// Delete records that ended programs left in the spool
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::LOCAL))]
pub(crate) struct Args {
    /// Also delete records of running programs and of programs on other machines
    #[arg(long)]
    all: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &SpoolArgs, args: &Args) -> anyhow::Result<()> {
    let (mut removed, mut failures) = (Vec::new(), Vec::new());
    if let Some((spool, found)) = place.list()? {
        let meant: Vec<Found> = found.into_iter().filter(|found| args.all || found.life == Life::Dead).collect();
        if !meant.is_empty() && !args.yes && !is_wanted(&meant)? {
            return Ok(());
        }
        for found in meant {
            let result = match found.life {
                Life::Living => spool.clear_living(found.worker_id).map(|()| true),
                Life::Dead | Life::Elsewhere => spool.clear(found.worker_id),
            };
            match result {
                Ok(true) => removed.push(found),
                // Another process has removed it.
                Ok(false) => {}
                Err(error) => failures.push(failed(&found, &error)),
            }
        }
    }
    if args.json {
        print_json(&json!({"removed": removed}))?;
    } else {
        let mut out = anstream::stdout().lock();
        writeln!(out, "removed {}", summary(&removed))?;
        out.flush()?;
    }
    report(&failures)
}

fn summary(found: &[Found]) -> String {
    let all: u64 = found.iter().map(events).sum();
    let size: u64 = found.iter().map(|found| found.bytes).sum();
    format!("{} of {}, {}", counted(all, "event"), counted(found.len() as u64, "program"), bytes(size))
}

fn is_wanted(found: &[Found]) -> anyhow::Result<bool> {
    anyhow::ensure!(std::io::stdin().is_terminal(), "nothing is removed: stdin is no terminal, so pass --yes to confirm");
    let living = found.iter().filter(|found| found.life == Life::Living).count();
    let of_living = if living > 0 { format!(" ({living} of them living)") } else { String::new() };
    write!(anstream::stderr(), "remove {}{of_living}, which no server has? [y/N] ", summary(found))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
