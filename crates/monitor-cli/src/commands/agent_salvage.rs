//! `monitor agent salvage`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Map, json};

use crate::client::print_json;
use crate::text::{thousands, visible};

const HELP: &str = "\
Examples:
  monitor agent salvage /var/lib/monitor-agent/agent.db.damaged-1795565706 /tmp/salvaged
  monitor agent --data /tmp/salvaged --tasks /etc/monitor/tasks

For the database of an agent that was damaged. An agent moves it aside by itself and goes on with a new one; the
history of its runs, the versions of its tasks and events that the server doesn't have yet may still be in the damaged file, which stays as it is.
An agent that goes on with what was got out starts nothing that was due before.

Exit codes:
  0  what could be read is in the new folder; what could not is told
  1  it failed, for example because nothing could be read or an agent has the folder
  2  the command line is wrong";

/// Copy the readable data of an agent's damaged database into a new folder
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Damaged database, or folder of an agent that is not running
    file: PathBuf,
    /// Folder to create
    into: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let salvaged = monitor_agent::salvage(&args.file, &args.into)?;
    if args.json {
        let rows: Map<_, _> = salvaged.rows.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
        return print_json(&json!({ "database": salvaged.database, "rows": rows, "damaged": salvaged.damaged }));
    }
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", visible(&salvaged.database.display().to_string()))?;
    for (table, rows) in &salvaged.rows {
        let rest = if salvaged.damaged.contains(table) { ", and not all could be read" } else { "" };
        writeln!(out, "{table:<12} {:>9} rows{rest}", thousands(*rows))?;
    }
    if salvaged.damaged.is_empty() {
        writeln!(out, "all tables could be read")?;
    }
    Ok(out.flush()?)
}
