//! `monitor salvage`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::client::print_json;
use crate::text::{thousands, visible};

const HELP: &str = "\
Examples:
  monitor salvage /var/lib/monitor /var/lib/monitor-new
  monitor server --data /var/lib/monitor-new

For a database that is damaged and of which there is no backup. The server must not run. The damaged
files are copied before they are read, and stay as they are; that takes as much space again, in the
new folder. Tokens and users are files of their own: copy access.db, too.

Exit codes:
  0  what could be read is in the new folder; what could not is told
  1  it failed, for example because a server has the folder or nothing at all could be read
  2  the command line is wrong";

/// Copy the readable data of a damaged database into a new data folder
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Data folder of the damaged database
    folder: PathBuf,
    /// Data folder to create
    into: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let salvaged = monitor_store_sqlite::salvage(&args.folder, &args.into)?;
    if args.json {
        return print_json(&json!({
            "database": salvaged.database, "roots": salvaged.roots, "processes": salvaged.processes,
            "damaged": salvaged.damaged, "problems": salvaged.problems,
        }));
    }
    let mut out = anstream::stdout().lock();
    let place = salvaged.database.display().to_string();
    writeln!(out, "{} trees, {} processes are in {}", thousands(salvaged.roots), thousands(salvaged.processes), visible(&place))?;
    if salvaged.damaged.is_empty() {
        writeln!(out, "all tables could be read")?;
    } else {
        writeln!(out, "not all could be read of: {}", salvaged.damaged.join(", "))?;
    }
    for problem in &salvaged.problems {
        writeln!(out, "{}", visible(problem))?;
    }
    Ok(out.flush()?)
}
