//! `monitor celery hook`

use std::io::Write as _;

use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor celery hook > monitor_celery.py  Write it next to the application

Then add `import monitor_celery` to the module of the application, or start its workers by `monitor run --inject celery`, which needs no \
file. Tasks that a monitored program sends are then below its process, and \
programs that a task starts, such as by `monitor run`, are below the task. The file needs Celery 5.3 or newer.";

/// Print a Python module that connects tasks with the programs that send them and that they start
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::LOCAL))]
pub(super) struct Args;

pub(super) fn run() -> anyhow::Result<()> {
    Ok(anstream::stdout().write_all(monitor_runner::CELERY_MODULE.as_bytes())?)
}
