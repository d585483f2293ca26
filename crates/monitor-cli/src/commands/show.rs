//! `monitor show`

use std::io::Write as _;

use clap::ValueEnum;

use crate::client::{Connection, print_json};
use crate::exit;
use crate::summary::{Fetched, Form, Summary, render};
use crate::text::now_us;

const EXAMPLES: &str = "\
Examples:
  monitor show 2106
  monitor show 2106 --format markdown >> \"$GITHUB_STEP_SUMMARY\"
  monitor show 2106 --json | jq '.failing_path[-1].error.message'";

/// Summarize a run: outcome, failing path, slowest steps
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// The run: its number as in `name <batch001:2106>`, or its id (32 hex digits)
    #[arg(value_name = "RUN")]
    root: String,
    /// Form of the summary
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "json")]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// For CI and tickets, with recorded text in code spans
    Markdown,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let fetched = Fetched::read(&args.connection, &args.root)?;
    let good = fetched.last_good(&args.connection)?;
    let good = good.as_ref().map(Fetched::run);
    let summary = Summary::new(fetched.run(), good, Some(args.connection.server().as_str()), now_us());
    if args.connection.json {
        return print_json(&serde_json::to_value(&summary)?);
    }
    let form = match args.format {
        Format::Text => Form::Text,
        Format::Markdown => Form::Markdown,
    };
    let mut out = anstream::stdout().lock();
    out.write_all(render(&summary, form).as_bytes())?;
    Ok(out.flush()?)
}
