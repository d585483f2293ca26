//! What runs publish to the targets of their tasks, and how it is taken back.

mod folder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use monitor_tasks::RunId;
use monitor_tasks::definition::Target;
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Serialize;

use self::folder::{Copies, Size, linked};
use crate::data::Database;
use crate::error::AgentError;
use crate::publish;

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The agent's database can't be used.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The agent doesn't know the run.
    #[error("the agent knows no run {run:?}")]
    NoRun {
        /// Its id.
        run: String,
    },
    /// The task has no such target.
    #[error("{task} has no target {name:?}{hint}: its definition has publish.{name} = {{ folder = \"…\" }} or {{ command = […] }}")]
    NoTarget {
        /// Name of the task.
        task: String,
        /// Name of the target.
        name: String,
        /// The targets that it has.
        hint: String,
    },
    /// There is no such publication.
    #[error("{task} has no publication {number}: `monitor task publications {task}` lists those that there are")]
    NoPublication {
        /// Name of the task.
        task: String,
        /// Its number.
        number: i64,
    },
    /// The files of a publication are no longer there.
    #[error("the files of publication {number} are no longer there, neither beside its target nor in the task's history")]
    Gone {
        /// Its number.
        number: i64,
    },
    /// There is nothing to publish.
    #[error("there is nothing to publish: {path} is empty")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The target did not take it.
    #[error("{target} is not published: {why}")]
    Target {
        /// Name of the target.
        target: String,
        /// Why.
        why: String,
    },
}

/// Something that was published, or was to be.
#[derive(Debug, Clone, Serialize)]
pub struct Publication {
    /// Its number.
    pub number: i64,
    /// When it began, in Unix microseconds.
    pub time_us: i64,
    /// Name of the task.
    pub task: String,
    /// Name of the target.
    pub target: String,
    /// The target as it was defined then.
    pub definition: String,
    /// The run whose files these are.
    pub run: String,
    /// Who published it: a run, or a person.
    pub by: String,
    /// The folder that the target's link leads to; None for other targets.
    pub content: Option<PathBuf>,
    /// Number of files.
    pub files: i64,
    /// Their sizes together.
    pub bytes: i64,
    /// Number of the publication that is published again.
    pub restores: Option<i64>,
    /// `done`, `failed`, or `begun` if nobody saw how it ended.
    pub state: String,
    /// Why it failed.
    pub error: Option<String>,
    /// It is what the target shows now.
    pub is_current: bool,
}

const COLUMNS: &str = "number, time_us, task, target, definition, run, by, content, files, bytes, restores, state, error";

impl Database {
    /// Publishes the files of a run, from the folder `files`, to a target of its task.
    ///
    /// # Errors
    /// When there is no such target, or it doesn't take them: then it shows what it showed before.
    pub fn publish(&mut self, run: &str, target: &str, files: &Path) -> Result<Publication, PublishError> {
        let (id, version) = self.run_and_version(run)?;
        let targets = self.definition(&id.task, version)?.map(|definition| definition.publish).unwrap_or_default();
        let found = targets.get(target).ok_or_else(|| no_target(&id.task, target, &targets))?.clone();
        if publish::count(files) == 0 {
            return Err(PublishError::Empty { path: files.to_owned() });
        }
        self.publish_to(&id, (target, &found), files, run, None)
    }

    /// Publishes again what a publication of a task has published, to the target that it went to.
    ///
    /// # Errors
    /// When there is no such publication, its files are gone, or the target doesn't take them.
    pub fn restore_publication(&mut self, task: &str, number: i64, by: &str) -> Result<Publication, PublishError> {
        let no_publication = || PublishError::NoPublication { task: task.to_owned(), number };
        let old = self.publications(task, u32::MAX)?.into_iter().find(|of| of.number == number).ok_or_else(no_publication)?;
        let (id, _) = self.run_and_version(&old.run)?;
        let target = target_of(&old.definition).ok_or_else(no_publication)?;
        let kept: Option<String> = self.read(|connection| {
            connection.query_row("SELECT publication FROM run WHERE id = ?", [&old.run], |row| row.get(0)).optional().map(Option::flatten)
        })?;
        let copy = old.content.clone().filter(|copy| copy.is_dir());
        let files = copy.or(kept.map(PathBuf::from).filter(|kept| kept.is_dir())).ok_or(PublishError::Gone { number })?;
        self.publish_to(&id, (&old.target, &target), &files, by, Some(number))
    }

    /// Publications of a task, the newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn publications(&self, task: &str, limit: u32) -> Result<Vec<Publication>, AgentError> {
        let sql = format!("SELECT {COLUMNS} FROM publication WHERE task = ? ORDER BY number DESC LIMIT ?");
        let mut found: Vec<Publication> =
            self.read(|connection| connection.prepare(&sql)?.query_map(params![task, limit], row)?.collect())?;
        let mut told: Vec<String> = Vec::new();
        for of in &mut found {
            of.is_current = match (&of.content, target_of(&of.definition)) {
                (Some(content), Some(Target::Folder(folder))) => linked(Path::new(&folder)).as_ref() == Some(content),
                _ => of.state == "done",
            } && !told.contains(&of.target);
            if of.is_current {
                told.push(of.target.clone());
                // Whoever published it was killed when it was done.
                "done".clone_into(&mut of.state);
            }
        }
        Ok(found)
    }

    /// The folders of history with what runs of a task have left, the newest first: each with its run.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn history(&self, task: &str, limit: u32) -> Result<Vec<(String, PathBuf)>, AgentError> {
        let sql = "SELECT id, publication FROM run WHERE task = ? AND publication IS NOT NULL ORDER BY ended_us DESC LIMIT ?";
        self.read(|connection| {
            let mut rows = connection.prepare(sql)?;
            let rows = rows.query_map(params![task, limit], |row| Ok((row.get(0)?, PathBuf::from(row.get::<_, String>(1)?))))?;
            rows.collect()
        })
    }

    fn run_and_version(&self, run: &str) -> Result<(RunId, u64), PublishError> {
        let sql = "SELECT version FROM run WHERE id = ?";
        let version = self.read(|connection| connection.query_row(sql, [run], |row| row.get::<_, i64>(0)).optional())?;
        let id = run.parse().ok().zip(version).map(|(id, version)| (id, version as u64));
        id.ok_or_else(|| PublishError::NoRun { run: run.to_owned() })
    }

    fn publish_to(
        &mut self,
        run: &RunId,
        (name, target): (&str, &Target),
        files: &Path,
        by: &str,
        restores: Option<i64>,
    ) -> Result<Publication, PublishError> {
        let definition = serde_json::to_string(target).unwrap_or_default();
        let number = self.write(|transaction| {
            let sql = "INSERT INTO publication(time_us, task, target, definition, run, by, files, bytes, restores, state)
                       VALUES(?, ?, ?, ?, ?, ?, 0, 0, ?, 'begun')";
            let now_us = Timestamp::now().as_microsecond();
            transaction.execute(sql, params![now_us, run.task, name, definition, run.to_string(), by, restores])?;
            Ok(transaction.last_insert_rowid())
        })?;
        let done = match target {
            Target::Folder(target) => self.publish_to_folder(number, Path::new(target), files, run),
            Target::Command(command) => publish_by_command(command, files, run, name).map_err(|why| why.to_string()),
            Target::S3(_) => Err("this build can't publish to S3: use a command, such as [\"aws\", \"s3\", \"sync\", …]".to_owned()),
        };
        let (state, error) = match &done {
            Ok(_) => ("done", None),
            Err(why) => ("failed", Some(why.clone())),
        };
        let size = done.as_ref().ok().copied().unwrap_or_default();
        self.write(|transaction| {
            let sql = "UPDATE publication SET state = ?, error = ?, files = ?, bytes = ? WHERE number = ?";
            transaction.execute(sql, params![state, error, size.files as i64, size.bytes as i64, number])
        })?;
        done.map_err(|why| PublishError::Target { target: name.to_owned(), why })?;
        let found = self.publications(&run.task, u32::MAX)?.into_iter().find(|of| of.number == number);
        found.ok_or_else(|| PublishError::NoPublication { task: run.task.clone(), number })
    }

    fn publish_to_folder(&mut self, number: i64, target: &Path, files: &Path, run: &RunId) -> Result<Size, String> {
        let words = |error: std::io::Error| error.to_string();
        let copies = Copies::open(target).map_err(words)?;
        let (copy, size) = copies.add(files, &run.to_string()).map_err(words)?;
        // From here on it is known whose copy the link leads to.
        let content = copy.to_string_lossy().into_owned();
        let noted =
            self.write(|transaction| transaction.execute("UPDATE publication SET content = ? WHERE number = ?", params![content, number]));
        noted.map_err(|error| error.to_string())?;
        copies.switch(&copy).map_err(words)?;
        copies.tidy();
        Ok(size)
    }
}

/// Has a command publish the files, which it finds in `MONITOR_PUBLISH_DIR`.
fn publish_by_command(command: &[String], files: &Path, run: &RunId, target: &str) -> Result<Size, std::io::Error> {
    let [program, arguments @ ..] = command else { return Err(std::io::Error::other("its command is empty")) };
    let mut child = Command::new(program);
    child.args(arguments).current_dir(files).stdin(Stdio::null());
    child.env("MONITOR_PUBLISH_DIR", files).env("MONITOR_PUBLISH_TARGET", target);
    child.env("MONITOR_TASK_NAME", &run.task).env("MONITOR_RUN_ID", run.to_string());
    let status = child.status()?;
    if !status.success() {
        return Err(std::io::Error::other(format!("{program} ended with {status}")));
    }
    Ok(size(files))
}

/// Files of a folder and of those below.
fn size(folder: &Path) -> Size {
    let mut size = Size::default();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let below = self::size(&entry.path());
            size = Size { files: size.files + below.files, bytes: size.bytes + below.bytes };
        } else {
            size.files += 1;
            size.bytes += entry.metadata().map_or(0, |about| about.len());
        }
    }
    size
}

fn no_target(task: &str, name: &str, targets: &BTreeMap<String, Target>) -> PublishError {
    let names: Vec<&str> = targets.keys().map(String::as_str).collect();
    let hint = if names.is_empty() { String::new() } else { format!(", but {}", names.join(", ")) };
    PublishError::NoTarget { task: task.to_owned(), name: name.to_owned(), hint }
}

fn target_of(definition: &str) -> Option<Target> {
    let value: serde_json::Value = serde_json::from_str(definition).ok()?;
    let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    let words =
        || -> Option<Vec<String>> { value.get("command")?.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect() };
    text("folder").map(Target::Folder).or_else(|| text("s3").map(Target::S3)).or_else(|| words().map(Target::Command))
}

fn row(row: &Row<'_>) -> rusqlite::Result<Publication> {
    Ok(Publication {
        number: row.get(0)?,
        time_us: row.get(1)?,
        task: row.get(2)?,
        target: row.get(3)?,
        definition: row.get(4)?,
        run: row.get(5)?,
        by: row.get(6)?,
        content: row.get::<_, Option<String>>(7)?.map(PathBuf::from),
        files: row.get(8)?,
        bytes: row.get(9)?,
        restores: row.get(10)?,
        state: row.get(11)?,
        error: row.get(12)?,
        is_current: false,
    })
}
