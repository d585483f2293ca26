//! `monitor delete`

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use monitor_wire::{Root, State};

use crate::client::{Connection, print_json, read};
use crate::exit;
use crate::text::{thousands, visible};

const EXAMPLES: &str = "\
Examples:
  monitor delete 2106            Ask before deleting
  monitor delete 2106 --yes      Delete without asking, for scripts
  monitor delete 2106 --running  Delete a run that is still running

Statistics still count the run. A pinned run can't be deleted: unpin it first. A server on another machine requires \
a token with the scope `operate`.";

/// Delete a run with all its processes and logs
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Number of the run, such as 2106 in `name <batch001:2106>`, or its id (32 hex digits)
    #[arg(value_name = "RUN")]
    root: String,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Delete the run even if it is running; later events of it create a new run
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let as_json = args.connection.wait(client.root(&args.root).json())?;
    let root: Root = read(as_json.clone())?;
    let (title, number) = (visible(&root.title).into_owned(), root.number);
    anyhow::ensure!(!root.pinned, "{title} is pinned: `monitor unpin {number}` first");
    let is_running = matches!(&root.state, state if *state == State::RUNNING || *state == State::PENDING);
    anyhow::ensure!(args.running || !is_running, "{title} is running: wait until it has ended, or delete it all the same with --running");
    if !args.yes {
        anyhow::ensure!(std::io::stdin().is_terminal(), "stdin is no terminal: pass --yes to delete {title}");
        let mut err = anstream::stderr();
        write!(err, "Delete {title} and all that is known of its {} processes? [y/N] ", thousands(root.counts.total()))?;
        err.flush()?;
        let mut reply = String::new();
        std::io::stdin().lock().read_line(&mut reply)?;
        anyhow::ensure!(matches!(reply.trim().to_lowercase().as_str(), "y" | "yes"), "nothing was deleted");
    }
    // By id, because an id never refers to another tree.
    args.connection.ask(if args.running { client.delete_running(root.root_id) } else { client.delete(root.root_id) })?;
    if args.connection.json {
        return print_json(&as_json);
    }
    Ok(writeln!(anstream::stdout(), "deleted {title}")?)
}
