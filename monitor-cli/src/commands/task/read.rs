//! Files that define tasks.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use monitor_tasks::definition::{Definition, MOST_BYTES, Mistake, check_book, read_file};
use monitor_tasks::reading::Source;
use serde_json::{Map, Value};

use super::Wrong;
use crate::text::{counted, visible};

/// Mistakes, each in a file.
pub(super) type Mistakes<'a> = Vec<(&'a Path, Mistake)>;

/// A definition, and its text as plain values: what it doesn't say is not in there.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) definition: Definition,
    pub(super) json: Map<String, Value>,
}

/// Reads files that belong together. If they are all tasks that there are, it is checked, too, what they are to each other.
pub(super) fn read_all(files: &[PathBuf], are_all: bool) -> anyhow::Result<(Vec<Task>, Mistakes<'_>)> {
    let (mut tasks, mut mistakes) = (Vec::new(), Vec::new());
    for file in files {
        match read(file)? {
            Ok((task, source)) => tasks.push((file, task, source)),
            Err(found) => mistakes.extend(found.into_iter().map(|mistake| (file.as_path(), mistake))),
        }
    }
    // Of files that can't be read nobody knows which tasks they hold.
    if mistakes.is_empty() && are_all {
        let book: Vec<Definition> = tasks.iter().map(|(_, task, _): &(_, Task, _)| task.definition.clone()).collect();
        let found = check_book(&book).into_iter();
        mistakes.extend(found.map(|(index, path, message)| (tasks[index].0.as_path(), tasks[index].2.mistake_at(&path, message))));
    }
    Ok((tasks.into_iter().map(|(_, task, _)| task).collect(), mistakes))
}

/// Reads one file; its mistakes are told on stderr.
pub(super) fn read_one(file: &Path) -> anyhow::Result<Task> {
    read(file)?.map(|(task, _)| task).map_err(|found| told(found, file))
}

/// Reads TOML as a file of this name; its mistakes are told on stderr.
pub(super) fn read_text(text: &str, file: &Path) -> anyhow::Result<Task> {
    task(text.as_bytes(), false).map(|(task, _)| task).map_err(|found| told(found, file))
}

/// Tells the mistakes of a file on stderr.
fn told(found: Vec<Mistake>, file: &Path) -> anyhow::Error {
    let found: Mistakes<'_> = found.into_iter().map(|mistake| (file, mistake)).collect();
    match tell(&found, &mut anstream::stderr().lock()) {
        Ok(()) => wrong(found.len()).into(),
        Err(error) => error,
    }
}

/// Tells mistakes, a line each.
pub(super) fn tell(mistakes: &Mistakes<'_>, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    for (file, mistake) in mistakes {
        writeln!(out, "{}", visible(&mistake.in_file(file.display())))?;
    }
    Ok(out.flush()?)
}

pub(super) fn wrong(mistakes: usize) -> Wrong {
    Wrong(counted(mistakes as u64, "mistake"))
}

fn task(bytes: &[u8], is_json: bool) -> Result<(Task, Source), Vec<Mistake>> {
    let (definition, source) = read_file(bytes, is_json)?;
    let json = source.value().as_object().cloned().unwrap_or_default();
    Ok((Task { definition, json }, source))
}

/// A definition as a file has it.
pub(super) fn to_toml(json: &Map<String, Value>) -> anyhow::Result<String> {
    // The plain keys stand before the tables, else they would be the tables' own.
    let (tables, plain): (Vec<_>, Vec<_>) = json.iter().partition(|(_, value)| value.is_object());
    let sorted: Map<String, Value> = plain.into_iter().chain(tables).map(|(key, value)| (key.clone(), value.clone())).collect();
    toml::to_string(&sorted).context("the definition can't be written as TOML")
}

fn read(file: &Path) -> anyhow::Result<Result<(Task, Source), Vec<Mistake>>> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).and_then(|opened| opened.take(MOST_BYTES).read_to_end(&mut bytes));
    opened.with_context(|| format!("{} could not be read", file.display()))?;
    Ok(task(&bytes, file.extension().is_some_and(|extension| extension == "json")))
}

/// A definition as the server takes it.
pub(super) fn to_json(definition: &Definition) -> Map<String, Value> {
    match serde_json::to_value(definition) {
        Ok(Value::Object(json)) => json,
        _ => Map::new(),
    }
}
