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

Use this command for a damaged database without a backup. Stop the server first. The damaged files are copied into the new folder \
before they are read, so that folder needs the same space again; the files themselves are not changed. Tokens and users are in another \
file: copy access.db, too.

Exit codes:
  0  the readable data is in the new folder; losses are listed
  1  failure, such as a server that uses the folder, or no readable data
  2  wrong usage";

/// Copy the readable data of a damaged database into a new folder
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
    writeln!(out, "{} runs, {} processes are in {}", thousands(salvaged.roots), thousands(salvaged.processes), visible(&place))?;
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
