//! `monitor task publications`, `restore-publication` and `history`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use monitor_agent::{Database, PublishError};
use serde_json::json;

use super::{EXIT_CODES, Missing, Wrong};
use crate::client::print_json;
use crate::commands::publish::{is_missing, shown};
use crate::text::{bytes, moment, visible};

/// The agent that is meant.
#[derive(Debug, clap::Args)]
struct Agent {
    /// Folder of the agent [default: monitor/agent in the user's folder for state]
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_DATA")]
    data: Option<PathBuf>,
}

impl Agent {
    fn open(&self) -> anyhow::Result<Database> {
        Ok(Database::existing(&crate::commands::agent::data(self.data.clone())?)?)
    }
}

/// Lists what runs of a task have published, newest first; * is what a target shows now
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Publications {
    /// Name of the task
    task: String,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50)]
    limit: u32,
    /// Prints JSON instead of text for people
    #[arg(short = 'j', long)]
    json: bool,
    #[command(flatten)]
    agent: Agent,
}

pub(super) fn publications(args: &Publications) -> anyhow::Result<()> {
    let found = args.agent.open()?.publications(&args.task, args.limit)?;
    if args.json {
        return print_json(&json!({ "publications": found }));
    }
    let mut out = anstream::stdout().lock();
    let targets = found.iter().map(|of| of.target.len()).max().unwrap_or(0);
    for of in &found {
        let mark = if of.is_current { "*" } else { " " };
        let what = match (&of.error, of.state.as_str()) {
            (Some(error), _) => format!("failed: {error}"),
            (None, "done") => shown(of),
            (None, _) => "begun, and nobody saw how it ended".to_owned(),
        };
        let restores = of.restores.map(|number| format!(", {number} again, by {}", of.by)).unwrap_or_default();
        let line =
            format!("{mark} {:>4}  {}  {:targets$}  {}  {what}{restores}", of.number, moment(of.time_us.max(0) as u64), of.target, of.run);
        writeln!(out, "{}", visible(&line))?;
    }
    out.flush()?;
    if found.is_empty() {
        writeln!(anstream::stderr(), "nothing was published")?;
    }
    Ok(())
}

/// Publishes again what a publication has published, to its target: takes back what came after it
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct RestorePublication {
    /// Name of the task
    task: String,
    /// Number of the publication
    number: i64,
    #[command(flatten)]
    agent: Agent,
}

pub(super) fn restore(args: &RestorePublication) -> anyhow::Result<()> {
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "somebody".to_owned());
    let done = args.agent.open()?.restore_publication(&args.task, args.number, &by).map_err(missing)?;
    Ok(writeln!(anstream::stdout(), "{}", visible(&format!("{}: {}", done.target, shown(&done))))?)
}

fn missing(error: PublishError) -> anyhow::Error {
    if is_missing(&error) { Missing(error.to_string()).into() } else { error.into() }
}

/// Shows what runs of a task have left in the history: the folders, the files of one, or what differs between two
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct History {
    /// Name of the task
    task: String,
    /// A folder of the history, such as `202611/21_103005`
    folder: Option<String>,
    /// Another one, that it is compared to
    other: Option<String>,
    /// At most so many folders
    #[arg(short = 'n', long, default_value_t = 50)]
    limit: u32,
    /// Prints JSON instead of text for people
    #[arg(short = 'j', long)]
    json: bool,
    #[command(flatten)]
    agent: Agent,
}

pub(super) fn history(args: &History) -> anyhow::Result<()> {
    let all = args.agent.open()?.history(&args.task, u32::MAX)?;
    let named: Vec<(String, String, PathBuf)> = all.into_iter().map(|(run, folder)| (name(&folder), run, folder)).collect();
    let find = |wanted: &String| {
        let found = named.iter().find(|(name, ..)| name == wanted).map(|(.., folder)| folder.as_path());
        found.ok_or_else(|| {
            Missing(format!("the history of {} has no {wanted:?}: `monitor task history {}` lists it", args.task, args.task))
        })
    };
    match (&args.folder, &args.other) {
        (None, _) => folders(args, &named),
        (Some(folder), None) => show(args, &files(find(folder)?)?),
        (Some(folder), Some(other)) => compare(args, find(folder)?, find(other)?),
    }
}

/// `202611/21_103005` of a folder of history.
fn name(folder: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{}/{}", folder.parent().map(last).unwrap_or_default(), last(folder))
}

fn folders(args: &History, named: &[(String, String, PathBuf)]) -> anyhow::Result<()> {
    let there = named.iter().filter(|(.., folder)| folder.is_dir()).take(args.limit as usize);
    let there: Vec<_> = there.map(|(name, run, folder)| Ok((name, run, files(folder)?))).collect::<anyhow::Result<_>>()?;
    if args.json {
        let folders = there
            .iter()
            .map(|(name, run, files)| json!({ "folder": name, "run": run, "files": files.len(), "bytes": files.values().sum::<u64>() }));
        return print_json(&json!({ "history": folders.collect::<Vec<_>>() }));
    }
    let mut out = anstream::stdout().lock();
    for (name, run, files) in &there {
        let line = format!("{name}  {run}  {}, {}", super::counted(files.len(), "file"), bytes(files.values().sum()));
        writeln!(out, "{}", visible(&line))?;
    }
    Ok(out.flush()?)
}

fn show(args: &History, files: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    if args.json {
        return print_json(&json!({ "files": files }));
    }
    let mut out = anstream::stdout().lock();
    for (path, size) in files {
        writeln!(out, "{:>9}  {}", bytes(*size), visible(path))?;
    }
    Ok(out.flush()?)
}

fn compare(args: &History, one: &Path, other: &Path) -> anyhow::Result<()> {
    let (before, after) = (files(one)?, files(other)?);
    let mut changes = BTreeMap::new();
    for path in before.keys().chain(after.keys()) {
        let what = match (before.get(path), after.get(path)) {
            (Some(_), None) => "removed",
            (None, Some(_)) => "added",
            (Some(a), Some(b)) if a != b || !is_same(&one.join(path), &other.join(path))? => "changed",
            _ => continue,
        };
        changes.insert(path, what);
    }
    if args.json {
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

/// Paths and sizes of the files below a folder.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        let entries = std::fs::read_dir(&next).map_err(|error| Wrong(format!("{} could not be read: {error}", next.display())))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            } else if let Ok(path) = entry.path().strip_prefix(folder) {
                found.insert(path.to_string_lossy().into_owned(), entry.metadata()?.len());
            }
        }
    }
    Ok(found)
}

fn is_same(one: &Path, other: &Path) -> std::io::Result<bool> {
    use std::io::Read as _;
    let link = |path: &Path| std::fs::read_link(path).ok();
    if let (Some(one), Some(other)) = (link(one), link(other)) {
        return Ok(one == other);
    }
    let (mut one, mut other) = (std::fs::File::open(one)?, std::fs::File::open(other)?);
    let (mut a, mut b) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let length = one.read(&mut a)?;
        if length == 0 {
            return Ok(other.read(&mut b)? == 0);
        }
        if other.read_exact(&mut b[..length]).is_err() || a[..length] != b[..length] {
            return Ok(false);
        }
    }
}
