//! `monitor task helper`

use std::io::Write as _;

const EXAMPLES: &str = "\
Examples:
  monitor task helper > helper.js  Save the library next to the folder task/

A program task/gold/index.js uses it with `require('../../helper.js')`. The library exports config, task, notifyTaskRTX, caePublish and \
progress: with them a task publishes files, sends notifications and reports its progress.";

/// Print helper.js, a library for tasks in Node.js
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(include_str!("../../../../../packaging/helper.js").as_bytes())?;
    Ok(out.flush()?)
}
