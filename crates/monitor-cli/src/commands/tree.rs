//! `monitor tree`

use std::io::Write;

use anyhow::Context as _;
use monitor_api::Pages;
use monitor_wire::TreePage;
use serde_json::Value;

use crate::client::{Connection, print_json};
use crate::exit;
use crate::text::{now_us, terminal_width};

mod alike;
mod render;

const EXAMPLES: &str = "\
Examples:
  monitor tree 2106
  monitor tree 0199a3ce929d0e0e47360199a3ce929d
  monitor tree 2106 | grep failed  Find failed processes
  monitor tree 2106 --json | jq '.processes[] | select(.state == \"failed\")'";

/// Maximum page size of the API.
const PAGE: usize = 100_000;

/// Show the processes of a run with states, durations and errors
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Number of the run, such as 2106 in `name <batch001:2106>`, or its id (32 hex digits)
    #[arg(value_name = "RUN")]
    root: String,
    /// Show a line for each process; by default, similar siblings that succeeded share one
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut pages = args.connection.client()?.tree(&args.root).limit(PAGE).pages();
    if args.connection.json {
        return print_json(&fetch_json(args, &mut pages)?);
    }
    let mut tree = args.connection.wait(pages.next())?.context("the tree has no page")?;
    while let Some(page) = args.connection.wait(pages.next())? {
        tree.processes.extend(page.processes);
    }
    let mut out = anstream::stdout().lock();
    render::tree(tree, args.all, terminal_width(), now_us(), |line| out.write_all(line.as_bytes()))?;
    Ok(out.flush()?)
}

/// All pages of a tree as one page of JSON.
fn fetch_json(args: &Args, pages: &mut Pages<TreePage>) -> anyhow::Result<Value> {
    let mut whole = args.connection.wait(pages.next_json())?.context("the tree has no page")?;
    while let Some(mut page) = args.connection.wait(pages.next_json())? {
        if let (Some(all), Some(more)) = (whole["processes"].as_array_mut(), page["processes"].as_array_mut()) {
            all.append(more);
        }
        whole["next_cursor"] = page["next_cursor"].take();
    }
    Ok(whole)
}
