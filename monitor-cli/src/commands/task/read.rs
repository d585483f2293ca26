//! Files that define tasks.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use monitor_tasks::definition::{Definition, Mistake, check_book};
use serde_json::{Map, Value};

use super::Wrong;
use crate::text::{counted, visible};

/// Most bytes of a file that are read: a definition has at most 1 MiB.
const MOST: u64 = (1 << 20) + 1;

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
            Ok(task) => tasks.push((file, task)),
            Err(found) => mistakes.extend(found.into_iter().map(|mistake| (file.as_path(), mistake))),
        }
    }
    // Of files that can't be read nobody knows which tasks they hold.
    if mistakes.is_empty() && are_all {
        let book: Vec<Definition> = tasks.iter().map(|(_, task): &(_, Task)| task.definition.clone()).collect();
        let found = check_book(&book).into_iter();
        let mistake = |path, message| Mistake { path, line: None, column: None, message };
        mistakes.extend(found.map(|(index, path, message)| (tasks[index].0.as_path(), mistake(path, message))));
    }
    Ok((tasks.into_iter().map(|(_, task)| task).collect(), mistakes))
}

/// Reads one file; its mistakes are told on stderr.
pub(super) fn read_one(file: &Path) -> anyhow::Result<Task> {
    read(file)?.map_err(|found| told(found, file))
}

/// Reads TOML as a file of this name; its mistakes are told on stderr.
pub(super) fn read_text(text: &str, file: &Path) -> anyhow::Result<Task> {
    from_toml(text).map_err(|found| told(found, file))
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
        let colon = if mistake.line.is_some() { ":" } else { ": " };
        writeln!(out, "{}", visible(&format!("{}{colon}{mistake}", file.display())))?;
    }
    Ok(out.flush()?)
}

pub(super) fn wrong(mistakes: usize) -> Wrong {
    Wrong(counted(mistakes as u64, "mistake"))
}

fn from_toml(text: &str) -> Result<Task, Vec<Mistake>> {
    let definition = Definition::from_toml(text)?;
    let json = toml::from_str(text).map_err(|error| unread(error.message().to_owned()))?;
    Ok(Task { definition, json })
}

fn unread(message: String) -> Vec<Mistake> {
    vec![Mistake { path: String::new(), line: None, column: None, message }]
}

/// A definition as a file has it.
pub(super) fn to_toml(json: &Map<String, Value>) -> anyhow::Result<String> {
    // The plain keys stand before the tables, else they would be the tables' own.
    let (tables, plain): (Vec<_>, Vec<_>) = json.iter().partition(|(_, value)| value.is_object());
    let sorted: Map<String, Value> = plain.into_iter().chain(tables).map(|(key, value)| (key.clone(), value.clone())).collect();
    toml::to_string(&sorted).context("the definition can't be written as TOML")
}

fn read(file: &Path) -> anyhow::Result<Result<Task, Vec<Mistake>>> {
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
        return Ok(from_toml(&text));
    }
    Ok(match serde_json::from_str::<Value>(&text) {
        Ok(value) => Definition::from_json(value.clone()).map(|definition| {
            let json = value.as_object().cloned().unwrap_or_default();
            Task { definition, json }
        }),
        Err(error) => {
            let (line, column) = (Some(error.line()), Some(error.column()));
            Err(vec![Mistake { path: String::new(), line, column, message: error.to_string() }])
        }
    })
}

/// A definition as the server takes it.
pub(super) fn to_json(definition: &Definition) -> Map<String, Value> {
    match serde_json::to_value(definition) {
        Ok(Value::Object(json)) => json,
        _ => Map::new(),
    }
}
