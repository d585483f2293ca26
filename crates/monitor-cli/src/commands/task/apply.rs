//! `monitor task apply` and `export`

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use monitor_wire::{BatchApplied, BatchApply};

use super::read::{self, to_toml};
use super::{EXIT_CODES, Wrong};
use crate::client::Connection;
use crate::text::visible;

const APPLY_EXAMPLES: &str = "\
Examples:
  monitor task apply tasks/            Show the changes and ask
  monitor task apply tasks/ --dry-run  Only show the changes
  monitor task apply tasks/ --yes      Do not ask, for scripts
  monitor task apply tasks/ --delete   Also delete tasks without a file

Either all changes are applied or none.";

/// Make the server's tasks match the definitions in a folder
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{APPLY_EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Apply {
    /// Folder with the definitions; each .toml and .json file in it defines a task
    folder: PathBuf,
    /// Delete tasks of the server that have no file in the folder
    #[arg(long)]
    delete: bool,
    /// Do not ask for confirmation
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Show the planned changes, without applying them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn apply(args: &Apply) -> anyhow::Result<()> {
    let files = files(&args.folder)?;
    let (tasks, mistakes) = read::read_all(&files, false)?;
    read::tell(&mistakes, &mut anstream::stderr().lock())?;
    if !mistakes.is_empty() {
        return Err(read::wrong(mistakes.len()).into());
    }
    let tasks: Vec<_> = tasks.into_iter().map(|task| task.json).collect();
    if tasks.is_empty() {
        return Err(Wrong(format!("{} holds no .toml or .json file", args.folder.display())).into());
    }
    let (client, connection) = (args.connection.client()?, &args.connection);
    let apply = BatchApply { tasks, delete: args.delete, dry_run: true };
    if !args.yes || args.dry_run {
        if connection.json && args.dry_run {
            return connection.show(client.apply_batch_tasks(&apply), |plan| tell(&plan));
        }
        let plan = connection.ask(client.apply_batch_tasks(&apply))?;
        if !connection.json {
            tell(&plan)?;
        }
        if args.dry_run || plan.steps.iter().all(|step| step.what == "same") {
            return Ok(());
        }
        confirm()?;
    }
    connection.show(client.apply_batch_tasks(&BatchApply { dry_run: false, ..apply }), |done| {
        if args.yes {
            tell(&done)?;
        }
        let count = done.steps.iter().filter(|step| step.what != "same").count();
        Ok(writeln!(anstream::stdout(), "done: {count} of {} changed", done.steps.len())?)
    })
}

fn confirm() -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Wrong("nobody is there to say yes: say --yes, or --dry-run to see the plan alone".to_owned()).into());
    }
    write!(anstream::stderr(), "do this? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    anyhow::ensure!(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()), "nothing is changed");
    Ok(())
}

fn tell(plan: &BatchApplied) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for step in &plan.steps {
        writeln!(out, "{:<7} {}", visible(&step.what), visible(&step.name))?;
        for line in step.diff.iter().filter(|_| step.what == "change") {
            writeln!(out, "        {}", visible(line))?;
        }
    }
    Ok(out.flush()?)
}

/// Files with definitions, by name.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = || format!("{} could not be read", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(read)? {
        let path = entry.with_context(read)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.is_file() && path.extension().is_some_and(|extension| extension == "toml" || extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Write tasks as files for `monitor task apply`
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Export {
    /// Names of tasks [default: all tasks that the server stores]
    names: Vec<String>,
    /// Folder to write a file per task into [default: print them]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn export(args: &Export) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let mut tasks = Vec::new();
    if args.names.is_empty() {
        let mut pages = client.batch_tasks().limit(200).pages();
        while let Some(page) = args.connection.wait(pages.next())? {
            tasks.extend(page.tasks.into_iter().filter(|task| task.agent.is_none()));
        }
    }
    for name in &args.names {
        tasks.push(args.connection.ask(client.batch_task(name))?);
    }
    if args.connection.json {
        let definitions = tasks.into_iter().map(|task| serde_json::Value::Object(task.definition));
        return crate::client::print_json(&definitions.collect());
    }
    let Some(folder) = &args.to else {
        let mut out = anstream::stdout().lock();
        for (index, task) in tasks.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{}", to_toml(&task.definition)?.lines().fold(String::new(), |text, line| text + &visible(line) + "\n"))?;
        }
        return Ok(out.flush()?);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
    for task in &tasks {
        // The server accepts no such names, but the answer is not trusted.
        anyhow::ensure!(!task.name.contains(['/', '\\']) && !task.name.starts_with('.'), "{:?} is no file's name", task.name);
        let file = folder.join(format!("{}.toml", task.name));
        std::fs::write(&file, to_toml(&task.definition)?).with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(writeln!(anstream::stdout(), "{} written to {}", tasks.len(), folder.display())?)
}
