//! `monitor migrate` between two servers: copies runs.

use std::collections::HashMap;
use std::io::{BufReader, IsTerminal as _, Write as _};

use anyhow::{Context as _, ensure};
use monitor_api::{ExportFormat, Token};
use monitor_wire::{Counts, Root, RootId, State};
use serde::Serialize;
use url::Url;

use super::super::import::{Import, is_gone};
use crate::client::{Connection, print_json};
use crate::text::{counted, thousands};

/// Number of trees per request.
const PAGE: usize = 1_000;

/// Two servers, and a token for each if one is named.
pub(super) struct Servers {
    pub(super) from: (Url, Option<Token>),
    pub(super) to: (Url, Option<Token>),
}

/// Result of a migration.
#[derive(Debug, Default, Serialize)]
struct Migrated {
    /// Number of trees on FROM.
    trees: u64,
    /// Trees that TO already has unchanged.
    unchanged: u64,
    /// Trees that were copied, or would be.
    brought: u64,
    /// Trees that were deleted on FROM during the migration.
    deleted: u64,
    /// Processes of the trees that were copied, or would be.
    processes: u64,
    /// Log lines of the trees that were copied.
    logs: u64,
}

/// Values that show whether a tree has changed.
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

    /// An import sends the root's end last, so a tree without an end may be incomplete.
    fn is_whole(&self) -> bool {
        self.ended_us.is_some()
    }
}

pub(super) fn run(servers: Servers, is_trial: bool, in_json: bool) -> anyhow::Result<()> {
    let Servers { from, to } = servers;
    let from = Connection::one_of_two(&from.0, from.1)?;
    let to = Connection::one_of_two(&to.0, to.1)?;
    let started_us = |server: &Connection| anyhow::Ok(server.ask(server.client()?.status())?.started_us);
    let is_same = started_us(&from).context("FROM can't be read")? == started_us(&to).context("TO can't be read")?;
    ensure!(!is_same, "FROM and TO are the same server: name another one");
    let there: HashMap<_, _> = standings(&to)?.into_iter().collect();
    let mut migrated = Migrated::default();
    let all = standings(&from)?;
    let total = all.len();
    // The server lists the newest trees first, and the oldest must get the lowest numbers.
    for (id, standing) in all.into_iter().rev() {
        migrated.trees += 1;
        if there.get(&id).is_some_and(|there| standing.is_whole() && *there == standing) {
            migrated.unchanged += 1;
            continue;
        }
        show_progress(&migrated, total);
        let brought = if is_trial {
            Some((standing.counts.total(), 0))
        } else {
            bring(&from, &to, id).with_context(|| format!("run {id} was not brought as a whole"))?
        };
        let Some((processes, logs)) = brought else {
            migrated.deleted += 1;
            continue;
        };
        migrated.processes += processes;
        migrated.logs += logs;
        migrated.brought += 1;
    }
    if in_json {
        return print_json(&serde_json::to_value(&migrated)?);
    }
    writeln!(anstream::stdout(), "{}", words(&migrated, is_trial))?;
    Ok(())
}

/// All trees of a server, newest first.
fn standings(server: &Connection) -> anyhow::Result<Vec<(RootId, Standing)>> {
    let mut pages = server.client()?.roots().limit(PAGE).pages();
    let mut all = Vec::new();
    while let Some(page) = server.wait(pages.next())? {
        all.extend(page.roots.into_iter().map(Standing::of));
    }
    Ok(all)
}

/// Copies one tree. Returns the numbers of processes and log lines, or `None` if the tree was deleted.
fn bring(from: &Connection, to: &Connection, id: RootId) -> anyhow::Result<Option<(u64, u64)>> {
    match from.open(from.client()?.export(id, ExportFormat::Ndjson)) {
        Ok(export) => Import::new(to).lines(BufReader::new(export)).map(Some),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show_progress(migrated: &Migrated, total: usize) {
    if std::io::stderr().is_terminal() {
        // If stderr is closed, the progress is lost.
        let _ = write!(anstream::stderr(), "\r{} of {} runs\r", thousands(migrated.trees), thousands(total as u64));
    }
}

fn words(migrated: &Migrated, is_dry: bool) -> String {
    let Migrated { trees, unchanged, brought, deleted, processes, logs } = migrated;
    let (trees, brought, processes) = (counted(*trees, "run"), thousands(*brought), counted(*processes, "process"));
    let done = if is_dry {
        format!("{brought} of {trees} would be brought, with {processes}")
    } else {
        format!("brought {brought} of {trees}, with {processes} and {}", counted(*logs, "log line"))
    };
    let rest = [(*unchanged, "there already"), (*deleted, "deleted meanwhile")];
    rest.iter().filter(|(count, _)| *count > 0).fold(done, |text, (count, what)| format!("{text}; {} {what}", thousands(*count)))
}
