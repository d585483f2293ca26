//! `monitor migrate`

use std::collections::HashMap;
use std::io::{BufReader, IsTerminal as _, Write as _};

use anyhow::{Context as _, ensure};
use monitor_api::{ExportFormat, Token};
use monitor_wire::{Counts, Root, RootId, State};
use serde::Serialize;
use url::Url;

use super::import::{Import, is_gone};
use crate::client::{Connection, print_json, read_token_file, read_url};
use crate::exit;
use crate::text::{counted, thousands};

const EXAMPLES: &str = "\
Examples:
  monitor migrate http://old:60010 http://new:60010 --dry-run        how much there is to bring
  monitor migrate https://old https://new --from-token-file a --to-token-file b

The trees come with their ids, workers and logs, the oldest first, and get new numbers. What is there already is not brought
again: after a break the same command goes on, and while programs still tell the old server it brings what has come since.
FROM wants a token of the scope `read`, TO one of `read` and `ingest`; that of a server on this machine is found.";

/// So many trees are asked for at a time.
const PAGE: usize = 1_000;

/// Brings the history of one server to another one
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// The server that has the history
    #[arg(value_parser = read_url)]
    from: Url,
    /// The server that is to have it, too
    #[arg(value_parser = read_url)]
    to: Url,
    /// The file whose first line is the token for FROM
    #[arg(long, value_name = "FILE", value_parser = read_token_file)]
    from_token_file: Option<Token>,
    /// The file whose first line is the token for TO
    #[arg(long, value_name = "FILE", value_parser = read_token_file)]
    to_token_file: Option<Token>,
    /// Says how much there is to bring, and brings nothing
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON instead of text for people
    #[arg(short, long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Migrated {
    /// All that FROM has.
    trees: u64,
    /// Those that TO has already as they are.
    unchanged: u64,
    /// Those that were brought, or would be.
    brought: u64,
    /// Those that FROM deleted meanwhile.
    deleted: u64,
    /// Of those that were brought, or would be.
    processes: u64,
    /// Of those that were brought.
    logs: u64,
}

/// What tells whether a tree has changed.
#[derive(Debug, PartialEq)]
struct Standing {
    state: State,
    ended_us: Option<u64>,
    elapsed_ns: Option<u64>,
    counts: Counts,
}

impl Standing {
    fn of(root: Root) -> (RootId, Self) {
        (root.root_id, Self { state: root.state, ended_us: root.ended_us, elapsed_ns: root.elapsed_ns, counts: root.counts })
    }

    /// An import tells last how the root ended: what has no end may be half a tree.
    fn is_whole(&self) -> bool {
        self.ended_us.is_some()
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let from = Connection::one_of_two(&args.from, args.from_token_file.clone())?;
    let to = Connection::one_of_two(&args.to, args.to_token_file.clone())?;
    let started_us = |server: &Connection| anyhow::Ok(server.ask(server.client()?.status())?.started_us);
    let is_same = started_us(&from).context("FROM can't be read")? == started_us(&to).context("TO can't be read")?;
    ensure!(!is_same, "FROM and TO are the same server: name another one");
    let there: HashMap<_, _> = standings(&to)?.into_iter().collect();
    let mut migrated = Migrated::default();
    let all = standings(&from)?;
    let total = all.len();
    // The newest come first, and the oldest are to get the lowest numbers.
    for (id, standing) in all.into_iter().rev() {
        migrated.trees += 1;
        if there.get(&id).is_some_and(|there| standing.is_whole() && *there == standing) {
            migrated.unchanged += 1;
            continue;
        }
        show_progress(&migrated, total);
        let brought = if args.dry_run {
            Some((standing.counts.total(), 0))
        } else {
            bring(&from, &to, id).with_context(|| format!("tree {id} was not brought as a whole"))?
        };
        let Some((processes, logs)) = brought else {
            migrated.deleted += 1;
            continue;
        };
        migrated.processes += processes;
        migrated.logs += logs;
        migrated.brought += 1;
    }
    if args.json {
        return print_json(&serde_json::to_value(&migrated)?);
    }
    writeln!(anstream::stdout(), "{}", words(&migrated, args.dry_run))?;
    Ok(())
}

/// All trees of a server, the newest first.
fn standings(server: &Connection) -> anyhow::Result<Vec<(RootId, Standing)>> {
    let mut pages = server.client()?.roots().limit(PAGE).pages();
    let mut all = Vec::new();
    while let Some(page) = server.wait(pages.next())? {
        all.extend(page.roots.into_iter().map(Standing::of));
    }
    Ok(all)
}

/// Brings one tree; how many processes and lines of logs it has, none if it is not there any more.
fn bring(from: &Connection, to: &Connection, id: RootId) -> anyhow::Result<Option<(u64, u64)>> {
    match from.open(from.client()?.export(id, ExportFormat::Ndjson)) {
        Ok(export) => Import::new(to).lines(BufReader::new(export)).map(Some),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show_progress(migrated: &Migrated, total: usize) {
    if std::io::stderr().is_terminal() {
        // Nobody is left to tell that it could not be written.
        let _ = write!(anstream::stderr(), "\r{} of {} trees\r", thousands(migrated.trees), thousands(total as u64));
    }
}

fn words(migrated: &Migrated, is_dry: bool) -> String {
    let Migrated { trees, unchanged, brought, deleted, processes, logs } = migrated;
    let (trees, brought, processes) = (counted(*trees, "tree"), thousands(*brought), counted(*processes, "process"));
    let done = if is_dry {
        format!("{brought} of {trees} would be brought, with {processes}")
    } else {
        format!("brought {brought} of {trees}, with {processes} and {}", counted(*logs, "log line"))
    };
    let rest = [(*unchanged, "there already"), (*deleted, "deleted meanwhile")];
    rest.iter().filter(|(count, _)| *count > 0).fold(done, |text, (count, what)| format!("{text}; {} {what}", thousands(*count)))
}
