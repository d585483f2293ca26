//! `monitor doctor`

use std::io::Write as _;

use monitor_wire::{Diagnosis, Finding, ProcessId};

use crate::client::Connection;
use crate::exit;
use crate::text::{moment, visible};

const EXAMPLES: &str = "\
Examples:
  monitor doctor       Check the newest runs that began without a context
  monitor doctor 2106  Check all processes of a run
  monitor doctor --json | jq -r '.findings[].line'";

/// Find processes that lost their parents, and suggest a fix
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Number of the run, such as 2106 in `name <batch001:2106>`, or its id (32 hex digits) [default: the newest runs that began without a
    /// context]
    root: Option<String>,
    /// Only this process of the run: its id (16 hex digits)
    #[arg(requires = "root")]
    process: Option<ProcessId>,
    /// Maximum number of findings
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut call = args.connection.client()?.doctor().limit(args.limit.into());
    if let Some(root) = &args.root {
        call = call.root(root);
    }
    if let Some(process) = args.process {
        call = call.process(process);
    }
    args.connection.show(call, |found| print(&found))
}

fn print(found: &Diagnosis) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    if found.findings.is_empty() {
        writeln!(out, "every process has its parent")?;
    }
    for Finding { process, title, likely, words, .. } in &found.findings {
        let at = process.started_us.map(|time| format!("{}  ", moment(time))).unwrap_or_default();
        writeln!(out, "{at}{}\n  {}", visible(title), visible(words))?;
        for likely in likely.iter().skip(1) {
            let place = likely.process.source.as_ref().map(|source| format!(" ({}:{})", source.file, source.line)).unwrap_or_default();
            writeln!(out, "  or: {}{} in {}", visible(&likely.process.name), visible(&place), visible(&likely.title))?;
        }
    }
    if found.more {
        writeln!(out, "there may be more: --limit")?;
    }
    Ok(out.flush()?)
}
