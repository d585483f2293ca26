//! Publishes the files of runs to the targets of their tasks, and restores earlier publications.

mod files;
mod folder;
mod s3;
mod told;
mod tree;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use monitor_runs::KNOWN_ACCOUNTS;
use monitor_tasks::definition::{Bucket, Target};
use monitor_tasks::{Definition, RunId};
use nix::unistd::User;
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Serialize;

pub(crate) use self::files::beginning;
pub use self::files::{Change, FileRow, Files, compare, files};
use self::folder::{Copies, KEPT, Size, linked};
use self::s3::Objects;
pub(crate) use self::tree::Tree;
use crate::data::Database;
use crate::error::AgentError;

/// Error of a publication.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The agent's database can't be used.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The agent doesn't know the run.
    #[error("the agent knows no run {run:?}")]
    NoRun {
        /// Id of the run.
        run: String,
    },
    /// The run has ended.
    #[error("{run} has ended: its files are in the history; publish them with `monitor task restore-publication` or on the page")]
    Ended {
        /// Id of the run.
        run: String,
    },
    /// The task has no such target.
    #[error(
        "{task} has no target {name:?}{hint}: its definition has publish.{name} = {{ folder = \"…\" }}, {{ s3 = \"…\" }} or {{ command = […] }}"
    )]
    NoTarget {
        /// Name of the task.
        task: String,
        /// Name of the target.
        name: String,
        /// The part of the message that lists the task's targets. Empty if it has none.
        hint: String,
    },
    /// The task has no publication with this number.
    #[error("{task} has no publication {number}: `monitor task publications {task}` lists those that there are")]
    NoPublication {
        /// Name of the task.
        task: String,
        /// Number of the publication.
        number: i64,
    },
    /// The history contains no files of the run, or the run doesn't exist.
    #[error("{task} has nothing in its history of a run {run:?}: `monitor task history {task}` lists the runs that have files there")]
    NothingLeft {
        /// Name of the task.
        task: String,
        /// Id of the run.
        run: String,
    },
    /// The files of a publication have been removed.
    #[error("the files of publication {number} are no longer there, neither beside its target nor in the task's history")]
    Gone {
        /// Number of the publication.
        number: i64,
    },
    /// The run's folder contains no files.
    #[error("there is nothing to publish: {path} is empty")]
    Empty {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The files could not be published to the target.
    #[error("{target} is not published: {why}")]
    Target {
        /// Name of the target.
        target: String,
        /// Text of the error.
        why: String,
    },
}

/// A publication: a successful or failed attempt to publish the files of a run to a target.
#[derive(Debug, Clone, Serialize)]
pub struct Publication {
    /// Number of the publication, unique in the agent's database.
    pub number: i64,
    /// Start time in Unix microseconds.
    pub time_us: i64,
    /// Name of the task.
    pub task: String,
    /// Name of the target.
    pub target: String,
    /// The target's definition at that time, as JSON.
    pub definition: String,
    /// Id of the run that wrote the files.
    pub run: String,
    /// Id of the run, or name of the person, that published the files.
    pub by: String,
    /// The folder that the target's link points to, or the address of the files in a bucket. `None` for other targets.
    pub content: Option<PathBuf>,
    /// Number of files.
    pub files: i64,
    /// Total size of the files.
    pub bytes: i64,
    /// Number of the earlier publication, if this publication restores it.
    pub restores: Option<i64>,
    /// `done`, `failed` or `begun`. `begun` means that the result was not recorded.
    pub state: String,
    /// Error message of a failed publication.
    pub error: Option<String>,
    /// True if the target shows this publication now.
    pub is_current: bool,
}

const COLUMNS: &str = "number, time_us, task, target, definition, run, by, content, files, bytes, restores, state, error";

impl Database {
    /// Publishes the files in the folder `files`, which belong to a run, to a target of the run's task.
    ///
    /// # Errors
    /// Returns an error if there is no such target or publishing fails. A folder or bucket then still shows its previous publication.
    pub fn publish(&mut self, run: &str, target: &str, files: &Path) -> Result<Publication, PublishError> {
        let (id, version) = self.run_and_version(run)?;
        let targets = self.whole_definition(&id.task, version)?.map(|definition| definition.publish).unwrap_or_default();
        let found = targets.get(target).ok_or_else(|| no_target(&id.task, target, &targets))?.clone();
        self.publish_to(&id, (target, &found), files, run, None)
    }

    /// Returns true if a target of a run's task is a bucket. Only the agent may read the keys of a bucket.
    ///
    /// # Errors
    /// Returns an error if the run is unknown or the database can't be read.
    pub fn is_bucket(&self, run: &str, target: &str) -> Result<bool, PublishError> {
        let (id, version) = self.run_and_version(run)?;
        let definition = self.whole_definition(&id.task, version)?;
        Ok(definition.is_some_and(|definition| matches!(definition.publish.get(target), Some(Target::S3(_)))))
    }

    /// Publishes the files of an earlier publication again, to the same target.
    ///
    /// # Errors
    /// Returns an error if there is no such publication, its files have been removed, or publishing fails.
    pub fn restore_publication(&mut self, task: &str, number: i64, by: &str) -> Result<Publication, PublishError> {
        let old = self.publication(task, number)?;
        let (id, _) = self.run_and_version(&old.run)?;
        let target = target_of(&old.definition).ok_or_else(|| PublishError::NoPublication { task: task.to_owned(), number })?;
        if let (Target::S3(bucket), Some(content)) = (&target, &old.content) {
            return self.show_again(&old, &id, bucket, &content.to_string_lossy(), by);
        }
        let files = self.published_files(&old)?;
        self.publish_to(&id, (&old.target, &target), &files, by, Some(number))
    }

    /// Publishes the files that the history contains of a run, to a target from the task's current definition.
    ///
    /// # Errors
    /// Returns an error if the history contains no files of the run, there is no such target, or publishing fails.
    pub fn publish_left(&mut self, task: &str, run: &str, target: &str, by: &str) -> Result<Publication, PublishError> {
        let files = self.left(task, run)?;
        let (id, version) = self.run_and_version(run)?;
        let now = self.tasks()?.into_iter().find(|row| row.definition.name == task).map(|row| row.definition);
        let definition = now.map_or_else(|| self.definition(task, version), |now| Ok(Some(now)))?;
        let targets =
            definition.map(|definition| self.whole(definition)).transpose()?.map(|definition| definition.publish).unwrap_or_default();
        let found = targets.get(target).ok_or_else(|| no_target(task, target, &targets))?.clone();
        self.publish_to(&id, (target, &found), &files, by, None)
    }

    /// Returns a publication of a task.
    ///
    /// # Errors
    /// Returns an error if there is no such publication.
    pub(crate) fn publication(&self, task: &str, number: i64) -> Result<Publication, PublishError> {
        let found = self.publications(task, u32::MAX)?.into_iter().find(|of| of.number == number);
        found.ok_or_else(|| PublishError::NoPublication { task: task.to_owned(), number })
    }

    /// Returns the folder with the files of a publication: the copy next to its target if it exists, otherwise the folder of the history.
    ///
    /// # Errors
    /// Returns an error if both have been removed.
    pub(crate) fn published_files(&self, of: &Publication) -> Result<PathBuf, PublishError> {
        let copy = of.content.clone().filter(|copy| copy.is_dir());
        let files = copy.map_or_else(|| self.left(&of.task, &of.run), Ok);
        files.map_err(|_| PublishError::Gone { number: of.number })
    }

    /// Returns the folder of the history that contains the files of a run.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub fn left(&self, task: &str, run: &str) -> Result<PathBuf, PublishError> {
        let sql = "SELECT publication FROM run WHERE id = ? AND task = ?";
        let kept: Option<String> =
            self.read(|connection| connection.query_row(sql, [run, task], |row| row.get(0)).optional().map(Option::flatten))?;
        let kept = kept.map(PathBuf::from).filter(|kept| kept.is_dir());
        kept.ok_or_else(|| PublishError::NothingLeft { task: task.to_owned(), run: run.to_owned() })
    }

    /// Returns the publications of a task, newest first.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn publications(&self, task: &str, limit: u32) -> Result<Vec<Publication>, AgentError> {
        let sql = format!("SELECT {COLUMNS} FROM publication WHERE task = ? ORDER BY number DESC LIMIT ?");
        let mut found: Vec<Publication> =
            self.read(|connection| connection.prepare(&sql)?.query_map(params![task, limit], row)?.collect())?;
        let mut told: Vec<String> = Vec::new();
        for of in &mut found {
            of.is_current = match (&of.content, target_of(&of.definition)) {
                (Some(content), Some(Target::Folder { folder })) => linked(Path::new(&folder)).as_ref() == Some(content),
                _ => of.state == "done",
            } && !told.contains(&of.target);
            if of.is_current {
                told.push(of.target.clone());
                // The publishing program was killed after it had switched the target, and before it recorded the result.
                "done".clone_into(&mut of.state);
            }
        }
        Ok(found)
    }

    /// Returns the folders of the history that contain files of a task's runs, each with the id of its run. Newest first.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn history(&self, task: &str, limit: u32) -> Result<Vec<(String, PathBuf)>, AgentError> {
        let sql = "SELECT id, publication FROM run WHERE task = ? AND publication IS NOT NULL ORDER BY ended_us DESC LIMIT ?";
        self.read(|connection| {
            let mut rows = connection.prepare(sql)?;
            let rows = rows.query_map(params![task, limit], |row| Ok((row.get(0)?, PathBuf::from(row.get::<_, String>(1)?))))?;
            rows.collect()
        })
    }

    /// Returns the task of a running run, and the user that its definition sets, if any.
    ///
    /// # Errors
    /// Returns an error if there is no such run, or it has ended.
    pub(crate) fn running(&self, run: &str) -> Result<(String, Option<String>), PublishError> {
        let (id, version) = self.run_and_version(run)?;
        let ended = self.read(|connection| {
            connection.query_row("SELECT ended_us IS NOT NULL FROM run WHERE id = ?", [run], |row| row.get::<_, bool>(0))
        })?;
        let definition = self.definition(&id.task, version)?.filter(|_| !ended);
        let definition = definition.ok_or_else(|| PublishError::Ended { run: run.to_owned() })?;
        Ok((id.task, definition.user))
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
        let tree = match Tree::open(files) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let why = format!("{} can't be read: {error}", files.display());
                return Err(PublishError::Target { target: name.to_owned(), why });
            }
            tree => tree.ok().filter(|tree| tree.size().unwrap_or_default().files > 0),
        };
        let tree = tree.ok_or_else(|| PublishError::Empty { path: files.to_owned() })?;
        let number = self.begin(run, (name, target), by, restores)?;
        let done = match target {
            Target::Folder { folder } => self.publish_to_folder(number, Path::new(folder), &tree, run),
            Target::Command { command } => publish_by_command(command, files, &tree, run, name).map_err(|why| why.to_string()),
            Target::S3(bucket) => self.publish_to_bucket(number, bucket, &tree, run),
        };
        self.end(run, name, number, done)
    }

    fn begin(&mut self, run: &RunId, (name, target): (&str, &Target), by: &str, restores: Option<i64>) -> Result<i64, AgentError> {
        let definition = serde_json::to_string(target).unwrap_or_default();
        self.write(|transaction| {
            let sql = "INSERT INTO publication(time_us, task, target, definition, run, by, files, bytes, restores, state)
                       VALUES(?, ?, ?, ?, ?, ?, 0, 0, ?, 'begun')";
            let now_us = Timestamp::now().as_microsecond();
            transaction.execute(sql, params![now_us, run.task, name, definition, run.to_string(), by, restores])?;
            Ok(transaction.last_insert_rowid())
        })
    }

    fn end(&mut self, run: &RunId, target: &str, number: i64, done: Result<Size, String>) -> Result<Publication, PublishError> {
        let (state, error) = match &done {
            Ok(_) => ("done", None),
            Err(why) => ("failed", Some(why.clone())),
        };
        let size = done.as_ref().ok().copied().unwrap_or_default();
        self.write(|transaction| {
            let sql = "UPDATE publication SET state = ?, error = ?, files = ?, bytes = ? WHERE number = ?";
            transaction.execute(sql, params![state, error, size.files as i64, size.bytes as i64, number])
        })?;
        done.map_err(|why| PublishError::Target { target: target.to_owned(), why })?;
        self.publication(&run.task, number)
    }

    /// Records the place of a publication's files. Called before the target shows them.
    fn note_content(&mut self, number: i64, content: &str) -> Result<(), String> {
        let noted =
            self.write(|transaction| transaction.execute("UPDATE publication SET content = ? WHERE number = ?", params![content, number]));
        noted.map(drop).map_err(|error| error.to_string())
    }

    fn publish_to_bucket(&mut self, number: i64, bucket: &Bucket, files: &Tree, run: &RunId) -> Result<Size, String> {
        let objects = Objects::open(bucket)?;
        // The number makes the prefix unique, because a run can be published several times.
        let (size, content) = objects.add(files, &format!("{run}-{number}"))?;
        self.note_content(number, &content)?;
        objects.switch(&content, &run.to_string(), size)?;
        if let Err(why) = self.tidy_bucket(number, &objects) {
            tracing::warn!(number, why, "old publications can't be removed from a bucket");
        }
        Ok(size)
    }

    /// Makes a bucket show an earlier publication again, without another upload if the bucket still contains all its files.
    fn show_again(
        &mut self,
        old: &Publication,
        run: &RunId,
        bucket: &Bucket,
        content: &str,
        by: &str,
    ) -> Result<Publication, PublishError> {
        let target = Target::S3(bucket.clone());
        let shown = Objects::open(bucket).and_then(|objects| {
            let size = objects.size(content)?;
            Ok((objects, size))
        });
        if shown.as_ref().is_ok_and(|(_, size)| size.files as i64 != old.files) {
            let files = self.left(&old.task, &old.run).map_err(|_| PublishError::Gone { number: old.number })?;
            return self.publish_to(run, (&old.target, &target), &files, by, Some(old.number));
        }
        let number = self.begin(run, (&old.target, &target), by, Some(old.number))?;
        let done = shown.and_then(|(objects, size)| {
            self.note_content(number, content)?;
            objects.switch(content, &run.to_string(), size)?;
            Ok(size)
        });
        self.end(run, &old.target, number, done)
    }

    /// Removes the files of the oldest publications from a bucket. Keeps the newest [`KEPT`] of the same target.
    fn tidy_bucket(&mut self, number: i64, objects: &Objects) -> Result<(), String> {
        let sql = "SELECT o.content FROM publication o JOIN publication n USING (task, target, definition)
                   WHERE n.number = ? AND o.content IS NOT NULL GROUP BY o.content ORDER BY max(o.number) DESC LIMIT -1 OFFSET ?";
        let old: Vec<String> = self
            .read(|connection| connection.prepare(sql)?.query_map([number, KEPT as i64], |row| row.get(0))?.collect())
            .map_err(|error| error.to_string())?;
        for content in old {
            objects.remove(&content)?;
            let forget = "UPDATE publication SET content = NULL WHERE content = ?";
            self.write(|transaction| transaction.execute(forget, [&content])).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn publish_to_folder(&mut self, number: i64, target: &Path, files: &Tree, run: &RunId) -> Result<Size, String> {
        let words = |error: std::io::Error| error.to_string();
        let copies = Copies::open(target).map_err(words)?;
        let (copy, size) = copies.add(files, &run.to_string()).map_err(words)?;
        // Record the copy first: if this is killed after the switch, the publication can still be found by the link.
        self.note_content(number, &copy.to_string_lossy())?;
        copies.switch(&copy).map_err(words)?;
        copies.tidy();
        Ok(size)
    }
}

/// Runs a command that publishes the files. The command finds them in the folder `MONITOR_PUBLISH_DIR`. Files that belong to another user are
/// published as that user, because this user may also have written the program.
fn publish_by_command(command: &[String], files: &Path, tree: &Tree, run: &RunId, target: &str) -> Result<Size, std::io::Error> {
    let [program, arguments @ ..] = command else { return Err(std::io::Error::other("its command is empty")) };
    let mut child = Command::new(program);
    child.args(arguments).current_dir(files).stdin(Stdio::null());
    if let Some(other) = tree.other() {
        let user = User::from_uid(other)?
            .ok_or_else(|| std::io::Error::other(format!("these files belong to user {other}; there is no such user{KNOWN_ACCOUNTS}")))?;
        child.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", user.dir).env("USER", user.name);
        child.uid(user.uid.as_raw()).gid(user.gid.as_raw()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    child.env("MONITOR_PUBLISH_DIR", files).env("MONITOR_PUBLISH_TARGET", target);
    child.env("MONITOR_TASK_NAME", &run.task).env("MONITOR_RUN_ID", run.to_string());
    let status = child.status()?;
    if !status.success() {
        return Err(std::io::Error::other(format!("{program} ended with {status}")));
    }
    tree.size()
}

fn no_target(task: &str, name: &str, targets: &BTreeMap<String, Target>) -> PublishError {
    let names: Vec<&str> = targets.keys().map(String::as_str).collect();
    let hint = if names.is_empty() { String::new() } else { format!(", but {}", names.join(", ")) };
    PublishError::NoTarget { task: task.to_owned(), name: name.to_owned(), hint }
}

/// Parses the definition of a target as stored with a publication.
fn target_of(definition: &str) -> Option<Target> {
    let target: serde_json::Value = serde_json::from_str(definition).ok()?;
    let whole = serde_json::json!({ "name": "target", "command": ["true"], "publish": { "target": target } });
    Definition::from_json(whole).ok()?.publish.remove("target")
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
