//! `monitor task check`

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use monitor_tasks::definition::{Definition, Mistake, check_book};
use serde_json::json;

use super::{EXIT_CODES, Wrong};
use crate::client::print_json;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor task check gold.toml             all mistakes, by file, line and column
  monitor task check tasks/*.toml          several tasks together: names, and what starts what";

/// Most bytes of a file that are read: a definition has at most 1 MiB.
const MOST: u64 = (1 << 20) + 1;

/// Checks files that define tasks
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Args {
    /// Files in TOML, or in JSON if they are called so
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Prints JSON instead of text for people
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (mut tasks, mut mistakes) = (Vec::new(), Vec::new());
    for file in &args.files {
        match read(file)? {
            Ok(definition) => tasks.push((file, definition)),
            Err(found) => mistakes.extend(found.into_iter().map(|mistake| (file, mistake))),
        }
    }
    // Of files that can't be read nobody knows which tasks they hold.
    if mistakes.is_empty() {
        let book: Vec<Definition> = tasks.iter().map(|(_, definition)| definition.clone()).collect();
        let found = check_book(&book).into_iter();
        let mistake = |path, message| Mistake { path, line: None, column: None, message };
        mistakes.extend(found.map(|(index, path, message)| (tasks[index].0, mistake(path, message))));
    }
    if args.json {
        let mistakes = mistakes.iter().map(|(file, mistake)| {
            let Mistake { path, line, column, message } = mistake;
            json!({ "file": file, "path": path, "line": line, "column": column, "message": message })
        });
        let tasks = tasks.iter().map(|(_, definition)| definition);
        print_json(&json!({ "tasks": tasks.collect::<Vec<_>>(), "mistakes": mistakes.collect::<Vec<_>>() }))?;
    } else {
        let mut out = anstream::stdout().lock();
        for (file, mistake) in &mistakes {
            let colon = if mistake.line.is_some() { ":" } else { ": " };
            writeln!(out, "{}", visible(&format!("{}{colon}{mistake}", file.display())))?;
        }
        out.flush()?;
    }
    match mistakes.len() {
        0 if args.json => Ok(()),
        0 => Ok(writeln!(anstream::stdout(), "no mistakes in {}", counted(tasks.len(), "task"))?),
        count => Err(Wrong(counted(count, "mistake")).into()),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn read(file: &Path) -> anyhow::Result<Result<Definition, Vec<Mistake>>> {
    let at_once = || format!("{} could not be read", file.display());
    let mut bytes = Vec::new();
    std::fs::File::open(file).and_then(|opened| opened.take(MOST).read_to_end(&mut bytes)).with_context(at_once)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // A file that is cut within a character is too long, and said to be so.
        Err(error) if error.as_bytes().len() as u64 == MOST => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        Err(error) => {
            let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let message = "this is no UTF-8".to_owned();
            return Ok(Err(vec![Mistake { path: String::new(), line: Some(line), column: Some(column), message }]));
        }
    };
    if file.extension().is_none_or(|extension| extension != "json") {
        return Ok(Definition::from_toml(&text));
    }
    Ok(match serde_json::from_str(&text) {
        Ok(value) => Definition::from_json(value),
        Err(error) => {
            let (line, column) = (Some(error.line()), Some(error.column()));
            Err(vec![Mistake { path: String::new(), line, column, message: error.to_string() }])
        }
    })
}
