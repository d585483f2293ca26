//! `monitor version`

use std::collections::BTreeMap;
use std::io::Write as _;

use monitor_wire::VERSION as WIRE;

use crate::client::print_json;

const EXAMPLES: &str = "\
Examples:
  monitor version                          Show the versions of this program
  monitor version --json | jq .schemas
  monitor status --json | jq .version      Show the version of a server that runs

A server reads programs and agents of the same wire version. A database is migrated to the schema of the server that opens it.

Exit codes:
  0  success";

/// Show the version of this program, of its wire format, and of the databases it writes
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Versions {
    version: &'static str,
    /// Version of the wire format.
    wire: u32,
    /// Schema of each database, by the name of its file.
    schemas: BTreeMap<String, u32>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut schemas = monitor_server::schemas();
    #[cfg(target_os = "linux")]
    schemas.insert(monitor_agent::DATABASE.to_owned(), monitor_agent::NEWEST_SCHEMA as u32);
    let versions = Versions { version: env!("CARGO_PKG_VERSION"), wire: WIRE, schemas };
    if args.json {
        return print_json(&serde_json::to_value(&versions)?);
    }
    let mut out = anstream::stdout().lock();
    writeln!(out, "{:<13}{}", "monitor", versions.version)?;
    writeln!(out, "{:<13}{}", "wire", versions.wire)?;
    for (file, schema) in &versions.schemas {
        writeln!(out, "{file:<13}schema {schema}")?;
    }
    Ok(out.flush()?)
}
