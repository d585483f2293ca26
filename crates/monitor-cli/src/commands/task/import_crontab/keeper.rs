//! Stores the tasks from crontabs: on a server, or as files of this machine's agent.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use monitor_tasks::Definition;

use super::super::Wrong;
use super::super::read;
use super::super::whom::{Meant, Whom};
use crate::client::Connection;

/// The place that stores the tasks.
#[derive(Debug)]
pub(super) enum Keeper<'a> {
    Server(&'a Connection),
    /// A folder of files, and the folder of the agent that reads them.
    #[cfg(target_os = "linux")]
    Files {
        folder: PathBuf,
        agent: PathBuf,
    },
}

impl<'a> Keeper<'a> {
    pub(super) fn new(whom: &'a Whom, to: Option<&Path>) -> anyhow::Result<Self> {
        match (whom.meant()?, to) {
            #[cfg(target_os = "linux")]
            (Meant::Agent(agent), Some(to)) => Ok(Self::Files { folder: to.to_owned(), agent }),
            #[cfg(target_os = "linux")]
            (Meant::Agent(_), None) => Err(Wrong("--to is missing: the folder of files that the agent reads".to_owned()).into()),
            (Meant::Server, None) => Ok(Self::Server(&whom.connection)),
            (Meant::Server, Some(_)) => {
                Err(Wrong("--to means an agent of this machine, and none works in its usual folder: name its folder by --data".to_owned())
                    .into())
            }
        }
    }

    /// All existing tasks, by name. Of an agent's tasks, only those with a file.
    pub(super) fn tasks(&self) -> anyhow::Result<BTreeMap<String, Definition>> {
        let mut tasks = BTreeMap::new();
        match self {
            Self::Server(connection) => {
                let mut pages = connection.client()?.batch_tasks().limit(200).pages();
                while let Some(page) = connection.wait(pages.next())? {
                    let read = page.tasks.into_iter().filter_map(|task| Definition::from_json(task.definition.into()).ok());
                    tasks.extend(read.map(|task| (task.name.clone(), task)));
                }
            }
            #[cfg(target_os = "linux")]
            Self::Files { folder, agent } => {
                if let Ok(database) = monitor_agent::Database::existing(agent) {
                    tasks.extend(database.tasks()?.into_iter().map(|row| (row.definition.name.clone(), row.definition)));
                }
                // The agent may not have read a new file yet.
                for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                    let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    if entry.path().extension().is_some_and(|extension| extension == "toml")
                        && let Ok(task) = Definition::from_toml(&text)
                    {
                        tasks.insert(task.name.clone(), task);
                    }
                }
            }
        }
        Ok(tasks)
    }

    /// Stores a new task or a new version of a task.
    pub(super) fn put(&self, task: &Definition) -> anyhow::Result<()> {
        match self {
            Self::Server(connection) => {
                let client = connection.client()?;
                let json = read::to_json(task);
                match connection.ask(client.batch_task(&task.name)) {
                    Ok(before) => drop(connection.ask(client.change_batch_task(&task.name, before.version, &json))?),
                    Err(error) if error.status() == Some(404) => drop(connection.ask(client.add_batch_task(&json))?),
                    Err(error) => return Err(error.into()),
                }
            }
            #[cfg(target_os = "linux")]
            Self::Files { folder, .. } => {
                let file = folder.join(format!("{}.toml", task.name));
                let at_once = || format!("{} could not be written", file.display());
                std::fs::create_dir_all(folder).with_context(at_once)?;
                let part = folder.join(format!(".{}.part", task.name));
                let mut out = std::fs::File::create(&part).with_context(at_once)?;
                out.write_all(task.to_toml().as_bytes()).and_then(|()| out.sync_all()).with_context(at_once)?;
                std::fs::rename(&part, &file).with_context(at_once)?;
                std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(at_once)?;
            }
        }
        Ok(())
    }

    /// Waits until these tasks are active. A server applies them at once, an agent when it reads its files.
    pub(super) fn wait_for(&self, tasks: &[Definition]) -> anyhow::Result<()> {
        match self {
            Self::Server(_) => Ok(()),
            #[cfg(target_os = "linux")]
            Self::Files { folder, agent } => {
                let begun = std::time::Instant::now();
                loop {
                    ensure!(monitor_agent::is_running(agent), "no agent works with {}: start it first", agent.display());
                    let there = monitor_agent::Database::existing(agent)?.tasks()?;
                    let waiting = tasks.iter().find(|task| !there.iter().any(|row| row.definition == **task));
                    let Some(waiting) = waiting else { return Ok(()) };
                    ensure!(
                        begun.elapsed() < std::time::Duration::from_secs(20),
                        "the agent doesn't take {}: check that it reads the files in {}, and read its log",
                        waiting.name,
                        folder.display()
                    );
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            }
        }
    }
}
