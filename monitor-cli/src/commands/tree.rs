//! `monitor tree`

use std::io::Write;

use monitor_wire::TreePage;
use serde_json::Value;

use crate::client::{ClientError, Connection, Query, print_json, read};
use crate::exit;
use crate::text::{now_us, terminal_width};

mod alike;
mod render;

const EXAMPLES: &str = "\
Examples:
  monitor tree 2106
  monitor tree 0199a3ce929d0e0e47360199a3ce929d
  monitor tree 2106 | grep failed
  monitor tree 2106 --json | jq '.processes[] | select(.state == \"failed\")'";

/// The largest page that the API gives.
const PAGE: usize = 100_000;

/// Shows a tree with the state and duration of its processes, and why they failed
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// The tree: its number as in `name <batch001:2106>`, or its id (32 hex digits)
    root: String,
    /// A line for each process. Without it, siblings that are alike and succeeded have one line together
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let tree = fetch(args)?;
    if args.connection.json {
        return print_json(&tree);
    }
    let tree: TreePage = read(tree)?;
    let mut out = anstream::stdout().lock();
    render::tree(tree, args.all, terminal_width(), now_us(), |line| out.write_all(line.as_bytes()))?;
    Ok(out.flush()?)
}

/// The whole tree, as one page.
fn fetch(args: &Args) -> Result<Value, ClientError> {
    let mut cursor: Option<String> = None;
    let mut whole: Option<Value> = None;
    loop {
        let mut query: Query<'_> = vec![("limit", PAGE.to_string())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = args.connection.get(&["api", "v1", "roots", &args.root, "tree"], &query)?;
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if let Some(whole) = &mut whole {
            if let (Some(all), Some(more)) = (whole["processes"].as_array_mut(), page["processes"].as_array_mut()) {
                all.append(more);
            }
            whole["next_cursor"] = page["next_cursor"].take();
        } else {
            whole = Some(page);
        }
        if cursor.is_none() {
            return Ok(whole.unwrap_or_default());
        }
    }
}
