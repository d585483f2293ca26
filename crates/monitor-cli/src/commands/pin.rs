//! `monitor pin` and `monitor unpin`

use std::io::Write as _;

use monitor_api::Call;
use monitor_wire::Root;

use crate::client::Connection;
use crate::exit;
use crate::text::visible;

const PIN_EXAMPLES: &str = "\
Examples:
  monitor pin 2106                                        Keep a run
  monitor list --json | jq '.roots[] | select(.pinned)'  List pinned runs

A pinned run can't be deleted, either. A server on another machine requires a token with the scope `operate`.";

const UNPIN_EXAMPLES: &str = "\
Examples:
  monitor unpin 2106";

/// Pin a run, so that retention does not delete it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{PIN_EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Pin {
    #[command(flatten)]
    which: Which,
}

/// Unpin a run, so that retention can delete it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{UNPIN_EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Unpin {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Number of the run, such as 2106 in `name <batch001:2106>`, or its id (32 hex digits)
    #[arg(value_name = "RUN")]
    root: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn pin(args: &Pin) -> anyhow::Result<()> {
    let Which { root, connection } = &args.which;
    change(connection, connection.client()?.pin(root), "pinned")
}

pub(crate) fn unpin(args: &Unpin) -> anyhow::Result<()> {
    let Which { root, connection } = &args.which;
    change(connection, connection.client()?.unpin(root), "unpinned")
}

fn change(connection: &Connection, call: Call<Root>, done: &str) -> anyhow::Result<()> {
    connection.show(call, |root| Ok(writeln!(anstream::stdout(), "{done} {}", visible(&root.title))?))
}
