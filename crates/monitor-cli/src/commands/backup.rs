//! `monitor backup`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::client::{Connection, print_json};
use crate::exit;
use crate::text::{bytes, visible};

const EXAMPLES: &str = "\
Examples:
  monitor backup monitor-2026-11-20.db                    from the running server
  monitor backup copy.db --server http://build-7:60010    from another machine's
  monitor backup copy.db --data /var/lib/monitor          from the folder itself, whether a server runs or not

The copy is the database as it was at one moment, whatever was stored meanwhile. It is whole or it
isn't there. `monitor restore` puts it in place, `monitor check` looks whether it is whole.";

/// Copy the server's database into a file, while the server runs
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// File to create; it must not exist
    file: PathBuf,
    /// Copy the database of this data folder, without a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let size = match &args.data {
        Some(data) => monitor_store_sqlite::backup(data, &args.file)?,
        None => args.connection.save(args.connection.client()?.backup(), &args.file)?,
    };
    if args.connection.json {
        return print_json(&json!({ "file": args.file, "bytes": size }));
    }
    let mut out = anstream::stdout().lock();
    writeln!(out, "copied {} into {}", bytes(size), visible(&args.file.display().to_string()))?;
    Ok(out.flush()?)
}
