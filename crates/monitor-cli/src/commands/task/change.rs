//! `monitor task add`, `edit` and `delete`

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use monitor_wire::{BatchStatus, BatchTask};
use serde_json::{Map, Value, json};

use super::read::{read_one, read_text, to_toml};
use super::{EXIT_CODES, Wrong};
use crate::client::Connection;
use crate::text::{moment, visible};

const ADD_EXAMPLES: &str = "\
Examples:
  monitor task add gold.toml  Add a task from a file, see docs/reference/definitions.md
  monitor task add --name gold --rule '30 2 * * 1-5' -- node index.js
  monitor task add --name tidy --rule @hourly --on db-1 --shell 'find /tmp -mtime +7 -delete'";

/// Add a task
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{ADD_EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Add {
    /// File with the definition: TOML, or JSON if it is named *.json
    #[arg(value_name = "FILE", required_unless_present = "name", conflicts_with_all = ["name", "rules", "zone", "on", "shell", "owner"])]
    file: Option<PathBuf>,
    /// Unique name: letters, digits, `-`, `_` and `.`
    #[arg(long)]
    name: Option<String>,
    /// Schedule rule, such as "30 2 * * 1-5"; can be repeated
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Time zone of the rules, such as Europe/Berlin [default: the agent's time zone]
    #[arg(long)]
    zone: Option<String>,
    /// Agent to run the task; can be repeated [default: the server's own agent]
    #[arg(long, value_name = "AGENT")]
    on: Vec<String>,
    /// Person or team responsible for the task
    #[arg(long)]
    owner: Option<String>,
    /// Command line for a shell, instead of a command
    #[arg(long, value_name = "LINE", conflicts_with = "command")]
    shell: Option<String>,
    /// Command to run, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn add(args: &Add) -> anyhow::Result<()> {
    let definition = if let Some(file) = &args.file {
        read_one(file)?.json
    } else {
        let mut definition = Map::new();
        let texts = [("name", &args.name), ("zone", &args.zone), ("owner", &args.owner), ("shell", &args.shell)];
        definition.extend(texts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?)))));
        let lists = [("rules", &args.rules), ("on", &args.on), ("command", &args.command)];
        definition.extend(lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| (key.to_owned(), json!(list))));
        definition
    };
    args.connection.show(args.connection.client()?.add_batch_task(&definition), |task| tell("added", &task))
}

/// Change a definition, in an editor or from a file
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Edit {
    /// Name of the task
    name: String,
    /// File with the new definition [default: open the definition in VISUAL or EDITOR]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn edit(args: &Edit) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let task = args.connection.ask(client.batch_task(&args.name))?;
    let definition = match &args.file {
        Some(file) => read_one(file)?.json,
        None => in_editor(&task)?,
    };
    args.connection.show(client.change_batch_task(&args.name, task.version, &definition), |new| {
        if new.version == task.version { tell("unchanged", &new) } else { tell("changed", &new) }
    })
}

/// Opens the definition of a task in the user's editor.
fn in_editor(task: &BatchTask) -> anyhow::Result<Map<String, Value>> {
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty()));
    let editor = editor.ok_or_else(|| Wrong("there is no editor: set EDITOR, or name a file with --file".to_owned()))?;
    let file = std::env::temp_dir().join(format!("monitor-task-{}-{}.toml", std::process::id(), task.name));
    let mut options = std::fs::OpenOptions::new();
    // An existing file may belong to another user.
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let could_not = || format!("could not write {}", file.display());
    options.open(&file).with_context(could_not)?.write_all(to_toml(&task.definition)?.as_bytes()).with_context(could_not)?;
    // The variable may contain options, such as `code --wait`.
    let mut words = editor.split_whitespace();
    let status = std::process::Command::new(words.next().unwrap_or("vi")).args(words).arg(&file).status();
    let status = status.with_context(|| format!("could not start the editor {editor}"))?;
    anyhow::ensure!(status.success(), "the editor {editor} failed: nothing is changed, and your text is in {}", file.display());
    let text = std::fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
    let read = read_text(&text, &file)?.json;
    // A text with mistakes is kept, so that it can be corrected.
    let _ = std::fs::remove_file(&file);
    Ok(read)
}

/// Delete a task; its runs and versions are kept
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Delete {
    /// Name of the task
    name: String,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn delete(args: &Delete) -> anyhow::Result<()> {
    args.connection.show(args.connection.client()?.delete_batch_task(&args.name), |()| {
        Ok(writeln!(anstream::stdout(), "deleted {}", visible(&args.name))?)
    })
}

/// Prints a task after a change.
pub(super) fn tell(done: &str, task: &BatchTask) -> anyhow::Result<()> {
    let next = match (task.next_us.first(), task.until_us) {
        (_, Some(until)) if task.status == BatchStatus::PAUSED => format!("until {}", moment(until)),
        (Some(next), _) => format!("next {}", moment(*next)),
        _ => String::new(),
    };
    let text = format!("{done} {} (version {})  {next}", task.name, task.version);
    Ok(writeln!(anstream::stdout(), "{}", visible(text.trim_end()))?)
}
