//! `monitor task publications`, `restore-publication` and `history`

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::bail;
use monitor_wire::{BatchLeft, BatchPublication, BatchPublications, CommandStatus};
use serde_json::json;

use super::orders::waits;
use super::whom::{Meant, Whom};
use super::{EXIT_CODES, Missing};
use crate::client::print_json;
use crate::text::{bytes, counted, moment, visible};

/// Maximum number that a server returns at once.
const MOST: u32 = 200;

/// The agent or server to query, and the agent to choose if the task is for several.
#[derive(Debug, clap::Args)]
struct Asked {
    /// Only the records of this agent, if the task is for several agents; needs a server
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    #[command(flatten)]
    whom: Whom,
}

impl Asked {
    /// The task's publications and history. Agents that did not answer are printed to stderr.
    fn all(&self, task: &str, limit: u32) -> anyhow::Result<BatchPublications> {
        let connection = &self.whom.connection;
        let found = match self.whom.meant()? {
            #[cfg(target_os = "linux")]
            Meant::Agent(data) => {
                let found = monitor_agent::Database::existing(&data)?.told(task, limit)?;
                if found.publications.is_empty() && found.history.is_empty() {
                    super::local::check_ever(&data, task)?;
                }
                found
            }
            Meant::Server => connection.ask(self.narrowed(connection.client()?.batch_publications(task, limit.min(MOST))))?,
        };
        for silent in &found.silent {
            let line = format!("monitor: what the agent {} has is not among these: {}", silent.agent, silent.why);
            writeln!(anstream::stderr(), "{}", visible(&line))?;
        }
        Ok(found)
    }

    /// Adds the agent to a request to the server.
    fn narrowed<T>(&self, call: monitor_api::Call<T>) -> monitor_api::Call<T> {
        match &self.agent {
            Some(agent) => call.parameter("agent", agent),
            None => call,
        }
    }

    fn is_json(&self) -> bool {
        self.whom.connection.json
    }
}

/// List publications, newest first; `*` marks current ones
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Publications {
    /// Name of the task
    task: String,
    /// Maximum number of publications; a server returns at most 200 per agent
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    asked: Asked,
}

pub(super) fn publications(args: &Publications) -> anyhow::Result<()> {
    let found = args.asked.all(&args.task, args.limit)?;
    if args.asked.is_json() {
        return print_json(&json!({ "publications": found.publications, "silent": found.silent }));
    }
    let mut out = anstream::stdout().lock();
    let targets = found.publications.iter().map(|of| of.target.len()).max().unwrap_or(0);
    let agents = agents(found.publications.iter().map(|of| &of.agent));
    for of in &found.publications {
        let mark = if of.is_current { "*" } else { " " };
        let what = match (&of.error, of.state.as_str()) {
            (Some(error), _) => format!("failed: {error}"),
            (None, "done") => shown(of),
            (None, _) => "begun, and nobody saw how it ended".to_owned(),
        };
        let restores = of.restores.map(|number| format!(", {number} again, by {}", of.by)).unwrap_or_default();
        let (agent, time) = (agents(&of.agent), moment(of.time_us));
        let line = format!("{mark} {:>4}  {agent}{time}  {:targets$}  {}  {what}{restores}", of.number, of.target, of.run);
        writeln!(out, "{}", visible(&line))?;
    }
    out.flush()?;
    if found.publications.is_empty() && found.silent.is_empty() {
        writeln!(anstream::stderr(), "nothing was published")?;
    }
    Ok(())
}

/// A column for the agent, if there are several.
fn agents<'a>(all: impl Iterator<Item = &'a String>) -> impl Fn(&str) -> String {
    let mut names: Vec<&String> = all.collect();
    names.sort();
    names.dedup();
    let width = if names.len() > 1 { names.iter().map(|name| name.len()).max() } else { None };
    move |agent| width.map(|width| format!("{agent:width$}  ")).unwrap_or_default()
}

/// Publish the files of an earlier publication again
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RestorePublication {
    /// Name of the task
    task: String,
    /// Number in `monitor task publications`
    number: u64,
    #[command(flatten)]
    asked: Asked,
}

pub(super) fn restore(args: &RestorePublication) -> anyhow::Result<()> {
    let connection = &args.asked.whom.connection;
    let done: BatchPublication = match args.asked.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => {
            let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "somebody".to_owned());
            let mut database = monitor_agent::Database::existing(&data)?;
            let number = i64::try_from(args.number).unwrap_or(i64::MAX);
            let done = database.restore_publication(&args.task, number, &by).map_err(missing)?;
            done.told(&database.name()?.unwrap_or_default())
        }
        Meant::Server => {
            let call = connection.client()?.restore_batch_publication(&args.task, &args.number.to_string());
            let command = connection.ask(args.asked.narrowed(call))?;
            let line = command.lines.into_iter().next();
            let Some(line) = line else { bail!("the server has asked no agent") };
            match (line.value, line.error) {
                (Some(value), None) if line.status == CommandStatus::OK => serde_json::from_value(value)?,
                (_, Some(why)) => bail!("{}: {why}", line.name),
                _ => return Ok(writeln!(anstream::stdout(), "{}", visible(&format!("{}  {}  {}", line.name, line.status, waits())))?),
            }
        }
    };
    if args.asked.is_json() {
        return print_json(&serde_json::to_value(&done)?);
    }
    Ok(writeln!(anstream::stdout(), "{}", visible(&format!("{}: {}", done.target, shown(&done))))?)
}

/// List or compare the files that runs of a task have left
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct History {
    /// Name of the task
    task: String,
    /// Folder of the history to list, such as `202611/21_103005` [default: list all folders]
    folder: Option<String>,
    /// Folder to compare the first one with
    other: Option<String>,
    /// Maximum number of folders; a server returns at most 200 per agent
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    asked: Asked,
}

pub(super) fn history(args: &History) -> anyhow::Result<()> {
    let Some(wanted) = &args.folder else { return folders(args) };
    let all = args.asked.all(&args.task, u32::MAX)?.history;
    let run = |wanted: &String| {
        let found = all.iter().find(|left| left.folder == *wanted).map(|left| left.run.clone());
        found.ok_or_else(|| {
            Missing(format!("the history of {} has no {wanted:?}: `monitor task history {}` lists it", args.task, args.task))
        })
    };
    match &args.other {
        None => show(args, &run(wanted)?),
        Some(other) => compare(args, &run(wanted)?, &run(other)?),
    }
}

fn folders(args: &History) -> anyhow::Result<()> {
    let there: Vec<BatchLeft> = args.asked.all(&args.task, args.limit)?.history;
    if args.asked.is_json() {
        return print_json(&json!({ "history": there }));
    }
    let mut out = anstream::stdout().lock();
    let agents = agents(there.iter().map(|left| &left.agent));
    for left in &there {
        let files = counted(left.files, "file");
        let line = format!("{}{}  {}  {files}, {}", agents(&left.agent), left.folder, left.run, bytes(left.size_bytes));
        writeln!(out, "{}", visible(&line))?;
    }
    Ok(out.flush()?)
}

fn show(args: &History, run: &str) -> anyhow::Result<()> {
    let connection = &args.asked.whom.connection;
    let files: BTreeMap<String, u64> = match args.asked.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => {
            let folder = left(&data, &args.task, run)?;
            monitor_agent::files(&folder)?.files.into_iter().map(|(path, file)| (path, file.bytes)).collect()
        }
        Meant::Server => {
            let found = connection.ask(args.asked.narrowed(connection.client()?.batch_publication(&args.task, run)))?;
            tell_cut(found.is_cut)?;
            found.files.into_iter().map(|file| (file.path, file.size_bytes)).collect()
        }
    };
    if args.asked.is_json() {
        return print_json(&json!({ "files": files }));
    }
    let mut out = anstream::stdout().lock();
    for (path, size) in files {
        writeln!(out, "{:>9}  {}", bytes(size), visible(&path))?;
    }
    Ok(out.flush()?)
}

fn compare(args: &History, one: &str, other: &str) -> anyhow::Result<()> {
    let connection = &args.asked.whom.connection;
    let changes: BTreeMap<String, String> = match args.asked.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => {
            let (one, other) = (left(&data, &args.task, one)?, left(&data, &args.task, other)?);
            monitor_agent::compare(&one, &other, u64::MAX)?.0.into_iter().map(|change| (change.path, change.what.to_owned())).collect()
        }
        Meant::Server => {
            let call = connection.client()?.compare_batch_publications(&args.task, one, other);
            let found = connection.ask(args.asked.narrowed(call))?;
            tell_cut(found.is_cut)?;
            found.changes.into_iter().map(|change| (change.path, change.what)).collect()
        }
    };
    if args.asked.is_json() {
        return print_json(&json!({ "changes": changes }));
    }
    let mut out = anstream::stdout().lock();
    for (path, what) in &changes {
        writeln!(out, "{what:<8} {}", visible(path))?;
    }
    out.flush()?;
    if changes.is_empty() {
        writeln!(anstream::stderr(), "both are the same")?;
    }
    Ok(())
}

/// The folder with the files that a run left on this machine.
#[cfg(target_os = "linux")]
fn left(data: &std::path::Path, task: &str, run: &str) -> anyhow::Result<std::path::PathBuf> {
    monitor_agent::Database::existing(data)?.left(task, run).map_err(missing)
}

fn tell_cut(is_cut: bool) -> anyhow::Result<()> {
    if is_cut {
        writeln!(anstream::stderr(), "monitor: these are the first files only: there are more than a server tells")?;
    }
    Ok(())
}

/// A publication in words.
pub(crate) fn shown(of: &BatchPublication) -> String {
    let files = counted(of.files, "file");
    let to = of.folder.as_ref().map(|folder| format!(" in {folder}")).unwrap_or_default();
    format!("{files}, {}{to}", bytes(of.size_bytes))
}

/// Converts an error for a missing thing, which has an exit code of its own.
#[cfg(target_os = "linux")]
fn missing(error: monitor_agent::PublishError) -> anyhow::Error {
    use monitor_agent::PublishError::{Gone, NoPublication, NoRun, NoTarget, NothingLeft};
    let words = error.to_string();
    match error {
        NoPublication { .. } | NoTarget { .. } | NoRun { .. } | NothingLeft { .. } | Gone { .. } => Missing(words).into(),
        _ => error.into(),
    }
}
