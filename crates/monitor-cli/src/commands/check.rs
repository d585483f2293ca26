//! `monitor check`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::client::print_json;
use crate::settings::data_folder;
use crate::text::{thousands, visible};

const HELP: &str = "\
Examples:
  monitor check          Check the database of this machine's server
  monitor check --data /var/lib/monitor
  monitor check copy.db  Check a copy made by `monitor backup`

The command reads the whole database from one snapshot, and also works while the server runs. It checks the file itself, and compares \
counts, lists and sums with the processes.

Exit codes:
  0  the database is intact
  1  the database is damaged, or could not be checked
  2  wrong usage";

/// Check the integrity of the database
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Database file to check; takes precedence over --data and `MONITOR_DATA`
    file: Option<PathBuf>,
    /// Data folder of the server [default: as in the server's settings]
    #[arg(long, value_name = "DIR", env = "MONITOR_DATA")]
    data: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let path = match args.file.clone().or_else(|| args.data.clone()) {
        Some(path) => path,
        None => data_folder()?,
    };
    let checked = monitor_store_sqlite::check(&path)?;
    let is_whole = checked.problems.is_empty();
    if args.json {
        print_json(&json!({
            "is_whole": is_whole, "problems": checked.problems, "roots": checked.roots, "processes": checked.processes,
        }))?;
    } else {
        let mut out = anstream::stdout().lock();
        for problem in &checked.problems {
            writeln!(out, "{}", visible(problem))?;
        }
        if is_whole {
            writeln!(out, "whole: {} runs, {} processes", thousands(checked.roots), thousands(checked.processes))?;
        }
        out.flush()?;
    }
    anyhow::ensure!(is_whole, "{} is not whole: restore it from a backup with `monitor restore`", path.display());
    Ok(())
}
