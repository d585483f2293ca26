//! Replaces a lost database. Moves the lost database aside, and makes a new one from other data of the agent.
//!
//! ```text
//! agent.db.mark   ─► time up to which due times were decided, and pauses; without a mark, the server is asked (`server_knowledge.rs`)
//! runs/ID/        ─► due times that have run, runs that still run (the agent follows them), and the history of runs
//! task files      ─► tasks from files; the tasks of the server arrive with its next answer
//! ```
//! No due time before the rebuild starts a run. Due times after the mark without a run are reported as missed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use monitor_runs::{Life, Run};
use monitor_salvage::move_aside;
use monitor_tasks::{Definition, Ledger, Place, RunId, State, Trigger, ledger};

use crate::config::Config;
use crate::data::{self, Database};
use crate::error::AgentError;
use crate::files::Files;
use crate::folder::DATABASE;
use crate::mark::Mark;
use crate::outbox::Teller;
use crate::rebuilt::{Origin, REBUILT, Rebuilt};
use crate::verdict::{RunVerdict, judge};
use crate::{publish, spec};

/// Part of the name of a database that was moved aside.
pub(crate) const DAMAGED: &str = "damaged";

/// Last name of the agent in a folder. It is read from the database, the mark, or the folder of the latest run.
pub fn last_name(data: &Path) -> Option<String> {
    let in_database = || Database::existing(data).ok()?.name().ok()?;
    in_database().or_else(|| Some(Mark::read(data)?.name)).or_else(|| name_of_runs(&data.join("runs")))
}

/// Opens the database of an agent's folder. Rebuilds it if it is lost.
///
/// # Errors
/// When the database can't be used, or is from another program or a newer version. Such a database stays as it is.
pub(crate) fn open(config: &Config, teller: &Teller) -> Result<Database, AgentError> {
    let (mark, runs) = (Mark::read(&config.data), config.data.join("runs"));
    match sound(&config.data, mark.is_some() || !run_ids(&runs).is_empty())? {
        Ok(mut database) => {
            if database.name()?.is_none() {
                let now = Timestamp::now();
                // The agent may be new, or its whole folder may have been lost.
                let rebuilt = Rebuilt { origin: Origin::NewFolder, ..Rebuilt::new(config, None, now) };
                database.write(|transaction| data::set(transaction, REBUILT, &serde_json::to_string(&rebuilt).unwrap_or_default()))?;
            }
            Ok(database)
        }
        Err(why) => rebuild(config, teller, mark, &why),
    }
}

/// Returns the database, or the reason why it is lost. If `has_worked`, an agent has used the folder before and had a database.
fn sound(data: &Path, has_worked: bool) -> Result<Result<Database, String>, AgentError> {
    match fs::metadata(data.join(DATABASE)) {
        Ok(there) if there.is_dir() => return Ok(Err("a folder is in its place".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_worked => return Ok(Err("it was deleted".to_owned())),
        _ => {}
    }
    let opened = Database::open(data).and_then(|database| Ok((database.damage()?, database.name()?, database)));
    match opened {
        Ok((Some(why), ..)) | Err(AgentError::Damaged { why, .. }) => Ok(Err(why)),
        Ok((None, None, _)) if has_worked => Ok(Err("it is empty".to_owned())),
        Ok((None, _, database)) => Ok(Ok(database)),
        Err(error) => Err(error),
    }
}

/// The newest of the databases in a folder that were moved aside.
fn newest_aside(data: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(data).ok()?.flatten();
    let seconds = |path: &PathBuf| path.to_str()?.rsplit_once(&format!("{DATABASE}.{DAMAGED}-"))?.1.parse::<u64>().ok();
    entries.map(|entry| entry.path()).filter_map(|path| Some((seconds(&path)?, path))).max().map(|(_, path)| path)
}

fn rebuild(config: &Config, teller: &Teller, mark: Option<Mark>, why: &str) -> Result<Database, AgentError> {
    let (now, path) = (Timestamp::now(), config.data.join(DATABASE));
    let moved = move_aside(&path, DAMAGED, u64::try_from(now.as_second()).unwrap_or_default());
    let moved = moved.map_err(|(path, source)| AgentError::Disk { action: "move aside", path, source })?;
    let book = config.tasks.as_ref().and_then(|folder| Files::new(folder, []).look().book).unwrap_or_default();
    let definitions: BTreeMap<String, Definition> = book.into_iter().map(|(_, definition)| (definition.name.clone(), definition)).collect();
    let found = find(&config.data.join("runs"), config, &definitions);
    let newest = found.iter().map(|found| found.run.id.due).max();
    let from = mark.as_ref().map(|mark| mark.decided).or(newest).unwrap_or(now).min(now);
    let mut ledger = Ledger::default();
    for found in &found {
        ledger.find(found.run.clone(), now);
    }
    let followed = ledger.runs().count();
    // Version numbers continue after the highest known number, so that no number has two definitions. The current definition is stored under the
    // highest number. It judges a run of this version that still runs.
    let before = mark.as_ref().map_or(0, |mark| mark.version);
    let mut versions: BTreeMap<&str, u64> = definitions.keys().map(|name| (name.as_str(), before)).collect();
    for (task, version) in found.iter().map(|found| (found.run.id.task.as_str(), found.run.version)) {
        let highest = versions.entry(task).or_default();
        *highest = version.max(*highest);
    }
    let rebuilt = Rebuilt::new(config, mark.as_ref(), from);
    let paused = mark.and_then(|mark| mark.paused);
    let aside = moved.as_ref().map_or_else(
        || match newest_aside(&config.data) {
            Some(aside) => format!("the newest one that was moved aside is {}", aside.display()),
            None => "nothing of it is left".to_owned(),
        },
        |moved| format!("it is now {}: `monitor agent salvage` gets out what can be read", moved.display()),
    );
    let (title, text) = (
        format!("the agent {} lost its database", config.name),
        format!(
            "{}: {why}; {aside}. A new one was made from the files of tasks and {} folders of runs, of which {followed} still run and are \
             followed. Due times from {from} to {now} that have no run are reported as missed, and none of them starts.{}",
            path.display(),
            found.len(),
            if rebuilt.asks {
                " The mark is lost as well: pauses and earlier decisions are taken over from the server, as soon as it answers."
            } else {
                ""
            },
        ),
    );
    let mut database = Database::open(&config.data)?;
    database.write(|transaction| {
        for found in &found {
            data::write_found(transaction, &found.run, found.asked, found.started)?;
            if let Some((at, verdict)) = &found.ended {
                data::write_ended(transaction, &found.run.id, *at, verdict)?;
            }
        }
        for (task, version) in &versions {
            if let Some(definition) = definitions.get(*task).filter(|_| *version > 0) {
                data::write_version(transaction, definition, *version, now)?;
            }
        }
        data::write_ledger(transaction, &ledger, ledger.tasks.keys().map(String::as_str))?;
        data::set(transaction, "paused", &serde_json::to_string(&paused).unwrap_or_default())?;
        data::set(transaction, REBUILT, &serde_json::to_string(&rebuilt).unwrap_or_default())?;
        data::set(transaction, data::NAME, &config.name)?;
        teller.alert(transaction, &format!("agent-database {}", config.name), &title, &text, now)
    })?;
    tracing::error!("{title}: {text}");
    Ok(database)
}

/// A run that was found by its folder.
struct Found {
    run: ledger::Run,
    asked: Timestamp,
    started: Option<Timestamp>,
    /// End of the run and its verdict. `None` if the agent must follow the run, because no agent has handled its end.
    ended: Option<(Timestamp, RunVerdict)>,
}

/// Name of the agent in the run folder with the latest due time.
fn name_of_runs(runs: &Path) -> Option<String> {
    let (_, folder) = run_ids(runs).into_iter().max_by_key(|(id, _)| id.due)?;
    Run::open(folder).and_then(|run| run.spec()).ok()?.fields.remove("task.agent")
}

/// Folders whose names are ids of runs.
fn run_ids(runs: &Path) -> Vec<(RunId, PathBuf)> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect()
}

fn find(runs: &Path, config: &Config, definitions: &BTreeMap<String, Definition>) -> Vec<Found> {
    let mut ids = run_ids(runs);
    ids.sort();
    let by_process: BTreeMap<String, RunId> = ids.iter().map(|(id, _)| (spec::ids(id).process_id, id.clone())).collect();
    let mut attempts: BTreeMap<RunId, u32> = BTreeMap::new();
    let mut all = Vec::new();
    for (id, folder) in ids {
        let opened = Run::open(folder.clone()).and_then(|run| Ok((run.spec()?, run)));
        let (spec, run) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(run = %id, %error, "the folder of a run can't be read: it is left out");
                continue;
            }
        };
        let field = |name: &str| spec.fields.get(name).map(String::as_str);
        let other = spec.links.first().and_then(|link| by_process.get(&link.process_id)).cloned();
        let by = || Trigger::Request { by: field("task.by").unwrap_or_default().to_owned(), args: Vec::new() };
        let trigger = match (field("task.trigger"), other) {
            (Some("missed"), _) => Trigger::Missed,
            (Some("boot"), _) => Trigger::Boot,
            (Some("retry"), Some(run)) => Trigger::Retry { run, args: Vec::new() },
            (Some("then"), Some(run)) => Trigger::Then { run },
            // The folder of the run that it followed was removed.
            (Some("request" | "retry" | "then"), _) => by(),
            _ => Trigger::Time,
        };
        let attempt = if let Trigger::Retry { run, .. } = &trigger { attempts.get(run).copied().unwrap_or(1) + 1 } else { 1 };
        attempts.insert(id.clone(), attempt);
        let definition = definitions.get(&id.task);
        let at = |us: u64| i64::try_from(us).ok().filter(|us| *us > 0).and_then(|us| Timestamp::from_microsecond(us).ok());
        let started = at(run.state.started_us);
        let asked = started.unwrap_or(id.due);
        let ended = match run.life() {
            // Without a note, no agent has handled the end of the run. The agent follows the run and handles it.
            Life::Ended(outcome) => publish::noted(&folder).map(|kept| {
                let mut verdict = judge(definition, &outcome, &folder, (kept.files, None));
                verdict.publication = kept.folder.map(|kept| kept.to_string_lossy().into_owned());
                (at(outcome.ended_us).unwrap_or(asked), verdict)
            }),
            Life::Lost => Some((asked, RunVerdict::lost("it runs no more, and nobody saw how it ended"))),
            Life::Asked | Life::Running | Life::Unwatched => None,
        };
        let state = match (&ended, started) {
            (Some((at, verdict)), _) => State::Ended { at: *at, outcome: verdict.outcome },
            (None, Some(since)) if run.step() > monitor_runs::Step::Claimed => State::Running { since },
            (None, _) => State::Starting { since: asked },
        };
        let place = definition.and_then(|definition| Place::find(&definition.on, &config.name)).unwrap_or_default();
        let version = field("task.version").and_then(|version| version.parse().ok()).unwrap_or_default();
        let lock = definition.and_then(|definition| definition.lock.clone());
        let run = ledger::Run { attempt, step: place.of, lock, ..ledger::Run::new(id, version, trigger, state) };
        all.push(Found { run, asked, started, ended });
    }
    all
}
