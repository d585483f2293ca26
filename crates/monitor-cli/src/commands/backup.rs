//! `monitor backup`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::client::{Connection, print_json};
use crate::exit;
use crate::text::{bytes, visible};

const EXAMPLES: &str = "\
Examples:
  monitor backup monitor-2026-11-20.db                  Copy a running server
  monitor backup copy.db --server http://build-7:60010  Copy from another host
  monitor backup copy.db --data /var/lib/monitor        Copy without a server

The copy is a consistent snapshot of the database, even if events are stored at the same time. If the command fails, it leaves no file. \
`monitor check` checks a copy, and `monitor restore` installs it. It contains runs and batch tasks; tokens and users \
are in access.db in the data folder, which is copied separately. A server on another machine requires a token with the scope `admin`.";

/// Copy the server's database into a file, while the server runs
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
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
