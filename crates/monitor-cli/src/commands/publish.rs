//! `monitor publish`

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use monitor_agent::{Database, publish_by};
use monitor_wire::BatchPublication;
use serde_json::json;

use super::task::shown;
use super::within::Within;
use crate::client::Connection;
use crate::exit;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor publish prod      Publish to the target `publish.prod` of the task
  monitor publish pre prod  Publish to both in turn; stop at the first failure

The command works inside a run of a batch task, and publishes the files in `MONITOR_PUBLISH_DIR`. If the target is a folder, its link \
is switched to the new files when all are there. If it is an S3 bucket, the files get a new prefix, and current.json refers to it. If \
it is a command, it finds the files in `MONITOR_PUBLISH_DIR` and the name of the target in `MONITOR_PUBLISH_TARGET`.

`monitor task publications TASK` lists publications, and `monitor task restore-publication` restores one.";

/// Publish files of a run to targets of its task, from inside it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Names of targets in the task's definition
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.with_context(|| format!("this is no run of a task: {name} is not set"))
    };
    let run = variable("MONITOR_RUN_ID")?.to_string_lossy().into_owned();
    let (folder, files) = (PathBuf::from(variable("MONITOR_RUN_DIR")?), PathBuf::from(variable("MONITOR_PUBLISH_DIR")?));
    let socket = std::env::var_os("MONITOR_AGENT_SOCKET").map(PathBuf::from);
    // A run's folder is `runs/ID` of the agent. Another user's run may have no access to it.
    let agent = folder.parent().and_then(|runs| runs.parent()).context("MONITOR_RUN_DIR is no folder of a run")?;
    let mut database = match (Database::existing(agent), &socket) {
        (Ok(database), _) => Some(database),
        (Err(_), Some(_)) => None,
        (Err(error), None) => return Err(error.into()),
    };
    for target in &args.targets {
        let done: anyhow::Result<BatchPublication> = match (&mut database, &socket) {
            // Only the agent has the keys of a bucket.
            (Some(own), Some(socket)) if own.is_bucket(&run, target)? => publish_by(socket, &run, target).map_err(Into::into),
            (Some(own), _) => own.publish(&run, target, &files).map(|done| done.told("")).map_err(Into::into),
            (None, Some(socket)) => publish_by(socket, &run, target).map_err(Into::into),
            (None, None) => bail!("MONITOR_AGENT_SOCKET is not set"),
        };
        let words = match &done {
            Ok(done) => shown(done),
            Err(error) => format!("failed: {error}"),
        };
        // The files are published even if the event can't be sent.
        let told = Within::find().and_then(|within| {
            let fields = json!({ "fields": { (format!("publish.{target}")): words } });
            within.tell(&args.connection, "process-updated", fields)
        });
        if let Err(error) = told {
            let text = format!("monitor: the server isn't told of it: {error}");
            writeln!(anstream::stderr(), "{}", visible(&text))?;
        }
        writeln!(anstream::stdout(), "{}", visible(&format!("{target}: {}", shown(&done?))))?;
    }
    Ok(())
}
