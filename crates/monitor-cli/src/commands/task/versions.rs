//! `monitor task versions` and `restore`

use std::io::Write as _;

use super::change::tell;
use super::{EXIT_CODES, Wrong};
use crate::client::Connection;
use crate::text::{moment, visible};

/// List versions of a task with their differences
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Versions {
    /// Name of the task
    name: String,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn versions(args: &Versions) -> anyhow::Result<()> {
    args.connection.show(args.connection.client()?.batch_versions(&args.name), |of| {
        let mut out = anstream::stdout().lock();
        for version in of.versions {
            let who = version.who.unwrap_or_default();
            writeln!(out, "{}", visible(&format!("{:>4}  {}  {:<8}  {who}", version.version, moment(version.time_us), version.status)))?;
            for line in version.diff {
                writeln!(out, "      {}", visible(&line))?;
            }
        }
        Ok(out.flush()?)
    })
}

/// Restore an older version of a task, or a deleted task
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Restore {
    /// Name of the task
    name: String,
    /// Number in `monitor task versions`
    version: u64,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn restore(args: &Restore) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let versions = args.connection.ask(client.batch_versions(&args.name))?.versions;
    let found = versions.iter().find(|version| version.version == args.version).ok_or_else(|| {
        let (name, version) = (&args.name, args.version);
        Wrong(format!("{name} has no version {version}: `monitor task versions {name}` lists those that there are"))
    })?;
    let is_deleted = versions.first().is_some_and(|newest| newest.status == monitor_wire::BatchStatus::DELETED);
    let call = match versions.first() {
        Some(newest) if !is_deleted => client.change_batch_task(&args.name, newest.version, &found.definition),
        _ => client.add_batch_task(&found.definition),
    };
    args.connection.show(call, |task| tell("restored", &task))
}
