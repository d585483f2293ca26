//! `monitor task check`

use std::io::Write as _;
use std::path::PathBuf;

use monitor_tasks::definition::Mistake;
use serde_json::json;

use super::{EXIT_CODES, read};
use crate::client::print_json;
use crate::text::counted;

const EXAMPLES: &str = "\
Examples:
  monitor task check gold.toml     List mistakes with file, line and column
  monitor task check tasks/*.toml  Also check names and references between tasks";

/// Check files that define tasks
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Files to check: TOML, or JSON if they are named *.json
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (tasks, mistakes) = read::read_all(&args.files, true)?;
    if args.json {
        let mistakes = mistakes.iter().map(|(file, mistake)| {
            let Mistake { path, line, column, message } = mistake;
            json!({ "file": file, "path": path, "line": line, "column": column, "message": message })
        });
        let tasks: Vec<_> = tasks.iter().map(|task| &task.definition).collect();
        print_json(&json!({ "tasks": tasks, "mistakes": mistakes.collect::<Vec<_>>() }))?;
    } else {
        read::tell(&mistakes, &mut anstream::stdout().lock())?;
    }
    if mistakes.is_empty() {
        args.files.iter().zip(&tasks).try_for_each(|(file, task)| read::warn(file, &task.warnings()))?;
    }
    match mistakes.len() {
        0 if args.json => Ok(()),
        0 => Ok(writeln!(anstream::stdout(), "no mistakes in {}", counted(tasks.len() as u64, "task"))?),
        count => Err(read::wrong(count).into()),
    }
}
