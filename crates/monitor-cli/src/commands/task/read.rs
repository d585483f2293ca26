//! Reads files that define tasks.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_tasks::Policy;
use monitor_tasks::definition::{Definition, MOST_BYTES, Mistake, check_book, read_file};
use monitor_tasks::policy::{PAST_RULE, QUIET_RULE};
use monitor_tasks::reading::Source;
use serde_json::{Map, Value};

use super::Wrong;
use crate::text::{counted, visible};

/// Mistakes, each with its file.
pub(super) type Mistakes<'a> = Vec<(&'a Path, Mistake)>;

/// A definition, and its text as plain values without defaults.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) definition: Definition,
    pub(super) json: Map<String, Value>,
    source: Source,
}

impl Task {
    /// Warnings with their places for rules that start nothing because of quiet hours.
    pub(super) fn warnings(&self) -> Vec<Mistake> {
        self.of_rules(Policy::quiet_rules, QUIET_RULE)
    }

    fn past_rules(&self) -> Vec<Mistake> {
        self.of_rules(Policy::past_rules, PAST_RULE)
    }

    fn of_rules(&self, wrong: fn(&Policy, Timestamp) -> Vec<usize>, words: &str) -> Vec<Mistake> {
        let policy = Policy::new(&self.definition, &TimeZone::system());
        let places = policy.map(|policy| wrong(&policy, Timestamp::now())).unwrap_or_default();
        places.into_iter().map(|index| self.source.mistake_at(&format!("/rules/{index}"), words.to_owned())).collect()
    }
}

/// Reads files that belong together. If `are_all`, the files define all tasks that exist: then rules without future due times are mistakes,
/// and references between tasks are checked.
pub(super) fn read_all(files: &[PathBuf], are_all: bool) -> anyhow::Result<(Vec<Task>, Mistakes<'_>)> {
    let (mut tasks, mut mistakes) = (Vec::new(), Vec::new());
    for file in files {
        match read(file)? {
            Ok(task) => tasks.push((file, task)),
            Err(found) => mistakes.extend(found.into_iter().map(|mistake| (file.as_path(), mistake))),
        }
    }
    if are_all {
        let past = tasks.iter().flat_map(|(file, task): &(_, Task)| task.past_rules().into_iter().map(|mistake| (file.as_path(), mistake)));
        mistakes.extend(past);
    }
    // References can't be checked if a file is unreadable.
    if mistakes.is_empty() && are_all {
        let book: Vec<Definition> = tasks.iter().map(|(_, task)| task.definition.clone()).collect();
        let found = check_book(&book).into_iter();
        mistakes.extend(found.map(|(index, path, message)| (tasks[index].0.as_path(), tasks[index].1.source.mistake_at(&path, message))));
    }
    Ok((tasks.into_iter().map(|(_, task)| task).collect(), mistakes))
}

/// Reads one file. Prints its mistakes to stderr.
pub(super) fn read_one(file: &Path) -> anyhow::Result<Task> {
    read(file)?.map_err(|found| told(found, file))
}

/// Parses TOML as the text of this file. Prints its mistakes to stderr.
pub(super) fn read_text(text: &str, file: &Path) -> anyhow::Result<Task> {
    task(text.as_bytes(), false).map_err(|found| told(found, file))
}

/// Prints the mistakes of a file to stderr.
fn told(found: Vec<Mistake>, file: &Path) -> anyhow::Error {
    let found: Mistakes<'_> = found.into_iter().map(|mistake| (file, mistake)).collect();
    match tell(&found, &mut anstream::stderr().lock()) {
        Ok(()) => wrong(found.len()).into(),
        Err(error) => error,
    }
}

/// Prints warnings about a file to stderr, one per line.
pub(super) fn warn(file: &Path, warnings: &[Mistake]) -> anyhow::Result<()> {
    for warning in warnings {
        writeln!(anstream::stderr(), "{}", visible(&format!("warning: {}", warning.in_file(file.display()))))?;
    }
    Ok(())
}

/// Prints mistakes, one per line.
pub(super) fn tell(mistakes: &Mistakes<'_>, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    for (file, mistake) in mistakes {
        writeln!(out, "{}", visible(&mistake.in_file(file.display())))?;
    }
    Ok(out.flush()?)
}

pub(super) fn wrong(mistakes: usize) -> Wrong {
    Wrong(counted(mistakes as u64, "mistake"))
}

fn task(bytes: &[u8], is_json: bool) -> Result<Task, Vec<Mistake>> {
    let (definition, source) = read_file(bytes, is_json)?;
    let json = source.value().as_object().cloned().unwrap_or_default();
    Ok(Task { definition, json, source })
}

/// Formats a definition as TOML.
pub(super) fn to_toml(json: &Map<String, Value>) -> anyhow::Result<String> {
    // Plain keys precede tables, because keys after a table would belong to it.
    let (tables, plain): (Vec<_>, Vec<_>) = json.iter().partition(|(_, value)| value.is_object());
    let sorted: Map<String, Value> = plain.into_iter().chain(tables).map(|(key, value)| (key.clone(), value.clone())).collect();
    toml::to_string(&sorted).context("the definition can't be written as TOML")
}

fn read(file: &Path) -> anyhow::Result<Result<Task, Vec<Mistake>>> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).and_then(|opened| opened.take(MOST_BYTES).read_to_end(&mut bytes));
    opened.with_context(|| format!("{} could not be read", file.display()))?;
    Ok(task(&bytes, file.extension().is_some_and(|extension| extension == "json")))
}

/// Converts a definition to the form of the server.
pub(super) fn to_json(definition: &Definition) -> Map<String, Value> {
    match serde_json::to_value(definition) {
        Ok(Value::Object(json)) => json,
        _ => Map::new(),
    }
}
