//! `monitor restore`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::client::print_json;
use crate::settings::data_folder;
use crate::text::visible;

const HELP: &str = "\
Examples:
  monitor restore monitor-2026-11-20.db
  monitor restore copy.db --data /var/lib/monitor

Stop the server first. The copy is checked before it is installed. The old database is kept next to it, with the time in its name. \
Tokens and users, in access.db, stay as they are.

Exit codes:
  0  success
  1  failure, such as a running server or a damaged copy; nothing is changed
  2  wrong usage";

/// Replace the server's database with a backup copy
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Copy made by `monitor backup`
    file: PathBuf,
    /// Data folder of the server [default: as in the server's settings]
    #[arg(long, value_name = "DIR", env = "MONITOR_DATA")]
    data: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let data = args.data.clone().map_or_else(data_folder, Ok)?;
    let restored = monitor_store_sqlite::restore(&args.file, &data)?;
    if args.json {
        return print_json(&json!({ "database": restored.database, "aside": restored.aside }));
    }
    let mut out = anstream::stdout().lock();
    writeln!(out, "{} is in place at {}", visible(&args.file.display().to_string()), visible(&restored.database.display().to_string()))?;
    if let Some(aside) = restored.aside {
        writeln!(out, "the one before it is kept as {}", visible(&aside.display().to_string()))?;
    }
    Ok(out.flush()?)
}
