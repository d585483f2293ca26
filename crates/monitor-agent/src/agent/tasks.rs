//! The agent's tasks, from its files and from the server. If both define a task with the same name, the agent uses the file's definition.

use std::collections::BTreeMap;

use jiff::Timestamp;
use monitor_tasks::plan::{Undecided, lost};
use monitor_tasks::{Clock, Definition, Paused, Place, Plan, Task};
use monitor_wire::{BatchStatus, BookTask};
use serde_json::Value;

use super::Agent;
use crate::data;
use crate::log;
use crate::messages::ServerTasks;
use crate::rebuilt::{REBUILT, Rebuilt};

/// Tasks as defined by their sources.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Tasks from files by name, with their files. `None` before the first scan.
    pub(crate) files: Option<BTreeMap<String, (String, Definition)>>,
    /// Tasks from files while they wait for the server's knowledge of the agent.
    pub(crate) waiting: Option<BTreeMap<String, (String, Definition)>>,
    /// Tasks of the server by name. `None` before the first answer of the server.
    pub(crate) server: Option<BTreeMap<String, ServerTask>>,
    /// Channels that receive true when the server's tasks are stored.
    pub(crate) told: Vec<tokio::sync::oneshot::Sender<bool>>,
}

/// A task that the server keeps.
#[derive(Debug, Clone)]
pub(crate) struct ServerTask {
    version: u64,
    definition: Definition,
    is_paused: bool,
    until: Option<Timestamp>,
    changed: Timestamp,
}

impl ServerTask {
    fn read(task: BookTask) -> Result<Self, String> {
        let definition = Definition::from_json(Value::Object(task.definition));
        let definition = definition.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let at = |us: u64| Timestamp::from_microsecond(i64::try_from(us).ok()?).ok();
        let (until, changed) = (task.until_us.and_then(at), at(task.changed_us).unwrap_or_default());
        Ok(Self { version: task.version, definition, is_paused: task.status == BatchStatus::PAUSED, until, changed })
    }

    /// The task's pause in the agent. A new pause begins at `begin`.
    fn paused(&self, before: Option<Paused>, begin: Timestamp) -> Option<Paused> {
        let same = before.filter(|before| before.until == self.until);
        self.is_paused.then(|| same.unwrap_or(Paused { from: begin, until: self.until }))
    }
}

/// A new or changed task.
struct Change {
    definition: Definition,
    /// Number of the server's version. `None` for a task from a file, because the agent counts its versions.
    version: Option<u64>,
    /// File that defines the task. `None` if the server keeps it.
    file: Option<String>,
    /// New pause of the task. `None` keeps its current pause.
    #[allow(clippy::option_option, reason = "the outer one: whether the server says anything of a pause")]
    paused: Option<Option<Paused>>,
    /// After the database was lost: the newest version number that the server knows. The new version gets a higher number.
    version_before: Option<u64>,
    /// After the database was lost: due times to report as missed.
    undecided: Option<Undecided>,
    /// Time before which nothing starts. `None` means now.
    since: Option<Timestamp>,
}

impl Agent {
    /// Takes over the tasks from files.
    pub(super) fn take_files(&mut self, files: Vec<(String, Definition)>) {
        let is_own = |definition: &Definition| definition.on.is_empty() || Place::find(&definition.on, &self.config.name).is_some();
        let own = files.into_iter().filter(|(_, definition)| is_own(definition));
        let files = Some(own.map(|(file, definition)| (definition.name.clone(), (file, definition))).collect());
        if self.waits_until.is_some() {
            self.sources.waiting = files;
            return;
        }
        self.sources.files = files;
        self.settle_tasks();
    }

    /// Takes over the tasks of the server.
    pub(super) fn take_server_tasks(&mut self, ServerTasks { mut book, is_whole, done }: ServerTasks) {
        if !self.take_known(book.known.take()) {
            // The link requests them again.
            let _ = done.send(false);
            return;
        }
        self.stop_waiting();
        if self.config.files_only {
            self.sources.told.push(done);
            return self.settle_tasks();
        }
        let before = self.sources.server.take().filter(|_| !is_whole).unwrap_or_default();
        let (mut tasks, mut not_kept) = (before, Vec::new());
        for task in book.tasks {
            let name = task.name.clone();
            if task.status == BatchStatus::DELETED {
                tasks.remove(&name);
                not_kept.push(name);
                continue;
            }
            let is_in_file = self.sources.files.as_ref().is_some_and(|files| files.contains_key(&name));
            if is_in_file || self.book.tasks.contains_key(&name) && !self.of_server.contains(&name) {
                tracing::warn!(task = name, "a file of this agent and the server define the same task: the file holds here");
            }
            match ServerTask::read(task) {
                Ok(task) => drop(tasks.insert(name, task)),
                Err(why) => tracing::error!(task = name, why, "a task of the server can't be read by this agent: it stays as it was"),
            }
        }
        self.tell_of_files(&not_kept);
        self.sources.server = Some(tasks);
        self.sources.told.push(done);
        self.settle_tasks();
    }

    /// Reports tasks from files to the server if the server no longer keeps a task with the same name. Writes all events in one transaction,
    /// because there may be thousands.
    fn tell_of_files(&mut self, names: &[String]) {
        let of_files = names.iter().filter(|name| !self.of_server.contains(*name));
        let of_files: Vec<&Task> = of_files.filter_map(|name| self.book.tasks.get(name)).collect();
        if of_files.is_empty() {
            return;
        }
        let (teller, now) = (&self.teller, Timestamp::now());
        let written = self.database.write(|transaction| {
            of_files.iter().try_for_each(|task| teller.task(transaction, (&task.definition, task.version), task.paused, "file", now))
        });
        self.is_done(written);
        self.reporter.wake();
    }

    /// Applies changed tasks of the files and the server to the book. Changes that can't be applied now are applied at the next scan.
    pub(super) fn settle_tasks(&mut self) {
        self.is_unsettled = !self.are_settled();
        if !self.is_unsettled {
            self.settle_rebuilt();
            for done in self.sources.told.drain(..) {
                // The link may have ended.
                let _ = done.send(true);
            }
        }
    }

    /// Stores which sources have brought their tasks back since the database was lost.
    fn settle_rebuilt(&mut self) {
        let Some(before) = &self.rebuilt else { return };
        let (files, server) = (before.files && self.sources.files.is_none(), before.server && self.sources.server.is_none());
        if (files, server) == (before.files, before.server) {
            return;
        }
        let rebuilt = Some(Rebuilt { files, server, ..before.clone() }).filter(Rebuilt::is_needed);
        let written = self.database.write(|transaction| match &rebuilt {
            Some(rebuilt) => data::set(transaction, REBUILT, &serde_json::to_string(rebuilt).unwrap_or_default()),
            None => data::remove(transaction, REBUILT),
        });
        if self.is_done(written).is_some() {
            self.rebuilt = rebuilt;
            self.ledger.forget(&self.book);
        }
    }

    fn are_settled(&mut self) -> bool {
        let now = self.clock.now();
        let (gone, changed) = self.changes(now.time);
        if gone.is_empty() && changed.is_empty() {
            return true;
        }
        // Due times until now belong to the previous versions.
        self.decide(&now);
        if now.clock != Clock::Steady || self.failure.is_some() {
            return false;
        }
        let now = now.time;
        let (teller, book, of_server, ledger, zone) = (&self.teller, &self.book, &self.of_server, &self.ledger, &self.zone);
        let written = self.database.write(|transaction| {
            for name in &gone {
                data::remove_task(transaction, name)?;
                if !of_server.contains(name) {
                    teller.gone(transaction, name, book.tasks[name].version, "file", now)?;
                }
            }
            let write = |Change { definition, version, file, paused, version_before, undecided, since }: &Change| {
                let there = book.tasks.get(&definition.name);
                if let Some(before) = version_before {
                    // Version numbers continue after the server's number.
                    data::write_version(transaction, definition, *before, now)?;
                }
                let since = since.unwrap_or(now);
                let version = data::write_task(transaction, file.as_deref(), definition, *version, since)?;
                let paused = paused.unwrap_or_else(|| there.and_then(|task| task.paused));
                data::write_paused(transaction, &definition.name, paused)?;
                if let Some(file) = file {
                    teller.task(transaction, (definition, version), paused, file, now)?;
                }
                let task = undecided.as_ref().and_then(|of| Some((of, Task::new(definition.clone(), version, since, zone).ok()?)));
                let missed = task.and_then(|(of, task)| lost(book, &Task { paused, ..task }, ledger.tasks.get(&definition.name), of, now));
                let plan = Plan { actions: missed.into_iter().collect(), ..Plan::default() };
                teller.plan(transaction, &plan, now)?;
                data::write_plan(transaction, &plan, now)?;
                plan.actions.iter().for_each(log::action);
                Ok(version)
            };
            changed.iter().map(write).collect::<rusqlite::Result<Vec<_>>>()
        });
        let Some(versions) = self.is_done(written) else { return false };
        self.reporter.wake();
        for name in gone {
            let from = if self.of_server.contains(&name) { "server" } else { "file" };
            tracing::info!(task = name, from, "a task is gone");
            self.book.tasks.remove(&name);
            self.of_server.remove(&name);
            self.dirty.insert(name);
        }
        for (change, version) in changed.into_iter().zip(versions) {
            self.hold(change, version, now);
        }
        // The ledger entries of tasks that are not back yet are still needed.
        if self.rebuilt.is_none() {
            self.ledger.forget(&self.book);
        }
        true
    }

    /// Puts a stored task into the book.
    fn hold(&mut self, Change { definition, file, paused, since, .. }: Change, version: u64, now: Timestamp) {
        let name = definition.name.clone();
        let there = self.book.tasks.get(&name);
        let paused = paused.unwrap_or_else(|| there.and_then(|task| task.paused));
        let same = there.filter(|there| there.version == version && *there.definition == definition);
        let task = match same {
            Some(there) => Ok(there.clone()),
            None => Task::new(definition, version, since.unwrap_or(now), &self.zone),
        };
        match task {
            Ok(task) => {
                let place = Place::find(&task.definition.on, &self.config.name).unwrap_or_default();
                let (is_paused, from) = (paused.is_some(), file.as_deref().unwrap_or("server"));
                tracing::info!(task = name, version, is_paused, from, "a task is new or has changed");
                self.book.put(Task { paused, place, ..task });
            }
            Err(error) => tracing::error!(task = name, error, "a task can't be used: it stays as it was"),
        }
        if file.is_some() {
            self.of_server.remove(&name);
        } else {
            self.of_server.insert(name);
        }
    }

    /// Tasks to remove, and tasks to add or change.
    fn changes(&self, now: Timestamp) -> (Vec<String>, Vec<Change>) {
        let Sources { files, server, .. } = &self.sources;
        let is_of_file = |name: &String| match files {
            Some(files) => files.contains_key(name),
            None => self.book.tasks.contains_key(name) && !self.of_server.contains(name),
        };
        let is_of_server = |name: &String| match server {
            Some(server) => server.contains_key(name),
            None => self.of_server.contains(name),
        };
        let gone = self.book.tasks.keys().filter(|name| !is_of_file(name) && !is_of_server(name)).cloned().collect();
        let of_files = files.iter().flatten().filter(|(name, (_, definition))| {
            self.of_server.contains(*name) || self.book.tasks.get(*name).is_none_or(|task| *task.definition != *definition)
        });
        let of_files = of_files.map(|(_, (file, definition))| {
            let (is_new, rebuilt) =
                (!self.book.tasks.contains_key(&definition.name), self.rebuilt.as_ref().filter(|rebuilt| rebuilt.files));
            let was_paused = rebuilt.and_then(|rebuilt| rebuilt.paused.get(&definition.name)).filter(|_| is_new);
            let paused = self.of_server.contains(&definition.name).then_some(None).or(was_paused.map(|paused| Some(*paused)));
            let rebuilt = rebuilt.filter(|_| is_new);
            let version_before = rebuilt.and_then(|rebuilt| Some(rebuilt.known.get(&definition.name)?.version));
            let undecided = rebuilt.map(|rebuilt| rebuilt.undecided(&definition.name));
            let since = rebuilt.and_then(|rebuilt| rebuilt.since(now));
            Change { definition: definition.clone(), version: None, file: Some(file.clone()), paused, version_before, undecided, since }
        });
        let of_server = server.iter().flatten().filter(|(name, _)| !is_of_file(name)).filter_map(|(name, told)| {
            let there = self.book.tasks.get(name);
            let rebuilt = self.rebuilt.as_ref().filter(|rebuilt| rebuilt.server && there.is_none());
            let begin = if rebuilt.is_some() { told.changed.min(now) } else { now };
            let paused = told.paused(there.and_then(|task| task.paused), begin);
            let is_same = |task: &Task| {
                self.of_server.contains(name)
                    && task.version == told.version
                    && *task.definition == told.definition
                    && task.paused == paused
            };
            let (definition, version) = (told.definition.clone(), Some(told.version));
            let undecided = rebuilt.map(|rebuilt| {
                let undecided = rebuilt.undecided(name);
                // An older server doesn't report since when the version is valid.
                let is_known = rebuilt.known.contains_key(name);
                if is_known { undecided } else { Undecided { from: undecided.from.max(told.changed), ..undecided } }
            });
            let since = rebuilt.and_then(|rebuilt| rebuilt.since(now));
            let change = Change { definition, version, file: None, paused: Some(paused), version_before: None, undecided, since };
            (!there.is_some_and(is_same)).then_some(change)
        });
        (gone, of_files.chain(of_server).collect())
    }
}
