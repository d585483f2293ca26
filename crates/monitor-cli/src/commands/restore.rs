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

The server must not run. The copy is checked first; the database that was there is kept beside it,
under its name and the time.

Exit codes:
  0  it is in place
  1  it failed, for example because a server has the folder or the copy is not whole; then all is as it was
  2  the command line is wrong";

/// Replace the server's database with a copy made by `monitor backup`
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
