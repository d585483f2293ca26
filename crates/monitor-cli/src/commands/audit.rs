//! `monitor audit`

use std::io::Write as _;

use monitor_wire::{AuditEntry, AuditPage};

use crate::client::Connection;
use crate::exit;
use crate::text::{moment, visible};

const EXAMPLES: &str = "\
Examples:
  monitor audit
  monitor audit --limit 1000 --json | jq '.entries[] | select(.outcome != \"done\")'

Each entry has the time, the caller, the change and its outcome. A server on another machine requires a token with the scope `admin`.";

/// List changes made by people and tools, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Maximum number of entries
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let call = args.connection.client()?.audit().limit(args.limit.into());
    args.connection.show(call, |page| print(&page))
}

fn print(page: &AuditPage) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for AuditEntry { time_us, who, how, address, action, outcome, .. } in &page.entries {
        let from = address.as_deref().map(|address| format!(" from {address}")).unwrap_or_default();
        let who = format!("{who} ({how}{from})");
        writeln!(out, "{}  {:<36}  {}  {}", moment(*time_us), visible(&who), visible(action), visible(outcome))?;
    }
    Ok(out.flush()?)
}
