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

An agent that finds its database damaged moves it aside and continues with a new one. The damaged file may still contain the history of \
runs, versions of tasks, and events that the server has not received. The file is not changed. An agent that continues with the new \
folder starts no runs that were due before.

Exit codes:
  0  the readable data is in the new folder; losses are listed
  1  failure, such as an unreadable file, or a folder that an agent uses
  2  wrong usage";

/// Copy the readable data of a damaged database into a new folder
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
