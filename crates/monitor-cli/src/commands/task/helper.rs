//! `monitor task helper`

use std::io::Write as _;

const EXAMPLES: &str = "\
Examples:
  monitor task helper > helper.js      beside the folder task/, for `require('../../helper.js')` in task/gold/index.js

It exports config, task, notifyTaskRTX, caePublish and progress.";

/// Print helper.js, a library for tasks in Node.js
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(include_str!("../../../../../packaging/helper.js").as_bytes())?;
    Ok(out.flush()?)
}
