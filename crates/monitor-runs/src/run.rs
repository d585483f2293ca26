//! A run as stored in its folder, and its current state.
//!
//! ```text
//! <runs>/<id>/spec.json      what was asked for
//!             state.json     who runs: launcher, helper and command, each by pid, start and boot
//!             output.log     what the command writes; output.streams says which of it is stderr
//!             outcome.json   how it ended
//! ```
//! and the files of [`crate::steps`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::folder::read;
use crate::identity::Identity;
use crate::outcome::{Outcome, Waiting};
use crate::output::{self, Origin};
use crate::spec::Spec;
use crate::steps::{self, Step, Taken};
use crate::tree;

/// Reason of a run whose end was not observed.
const LOST: &str = "lost";

/// A detached run, as stored in its folder.
#[derive(Debug, Clone)]
pub struct Run {
    /// Folder of the run. Its name is the id.
    pub folder: PathBuf,
    /// State recorded by the launcher.
    pub state: State,
}

/// State recorded by the launcher.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Name of the process.
    pub name: String,
    /// Command with secrets hidden.
    pub command: String,
    /// Start time, in Unix microseconds.
    pub started_us: u64,
    /// Id of the tree.
    pub root_id: Option<String>,
    /// Id of the process.
    pub process_id: Option<String>,
    /// The launcher.
    pub launcher: Option<Identity>,
    /// The helper, which continues if the launcher is killed.
    pub helper: Option<Identity>,
    /// The command of the current attempt.
    pub running: Option<Identity>,
    /// Number of the current or last attempt, from 1; 0 if none was started.
    pub attempt: u32,
    /// Cgroup with all processes of the command, if there is one.
    pub cgroup: Option<PathBuf>,
    /// Set while a retry is pending after a failed attempt.
    pub waiting: Option<Waiting>,
}

/// Current state of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    /// The run was requested, but no launcher has claimed it.
    Asked,
    /// The run is in progress and its launcher is alive.
    Running,
    /// The run is in progress, but its launcher was killed. The helper records the outcome, unless it was killed, too.
    Unwatched,
    /// The run has ended.
    Ended(Box<Outcome>),
    /// The run has ended, but its end was not observed.
    Lost,
}

/// Lists all runs, oldest first. Unreadable folders are skipped.
///
/// # Errors
/// If the folder of runs can't be read.
pub fn list(runs: &Path) -> io::Result<Vec<Run>> {
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found: Vec<Run> = entries.flatten().filter_map(|entry| Run::open(entry.path()).ok()).collect();
    found.sort_by_key(|run| (run.state.started_us, run.id()));
    Ok(found)
}

/// Finds the run with this id, or the only run whose id starts with it.
///
/// # Errors
/// If no run or more than one matches.
pub fn find(runs: &Path, id: &str) -> Result<Run, RunError> {
    let mut found = list(runs).map_err(RunError::system("read the folder of the runs"))?;
    if let Some(exact) = found.iter().position(|run| run.id() == id) {
        return Ok(found.swap_remove(exact));
    }
    found.retain(|run| !id.is_empty() && run.id().starts_with(id));
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(RunError::NoRun { id: id.to_owned() }),
        (Some(run), true) => Ok(run),
        (Some(run), false) => {
            found.push(run);
            let found = found.iter().map(Run::id).collect::<Vec<_>>().join(", ");
            Err(RunError::Ambiguous { id: id.to_owned(), found })
        }
    }
}

impl Run {
    /// Opens the run in `folder`.
    ///
    /// # Errors
    /// If neither its state nor its specification can be read.
    pub fn open(folder: PathBuf) -> Result<Self, RunError> {
        let state = read::<State>(&folder.join("state.json")).or_else(|error| {
            // After an early kill of the launcher, or a power cut, only the steps exist.
            let spec: Spec = read(&folder.join("spec.json")).map_err(|_| error)?;
            let claimed: Taken = read(&folder.join(steps::CLAIMED)).unwrap_or_default();
            Ok(State { launcher: claimed.by, started_us: claimed.at_us, ..State::asked(&spec) })
        });
        let mut state = state?;
        // The command records its own step before the launcher is notified.
        if let Some((attempt, command)) = steps::last_command(&folder).filter(|(attempt, _)| *attempt > state.attempt) {
            (state.attempt, state.running) = (attempt, Some(command));
        }
        Ok(Self { folder, state })
    }

    /// Returns the id of the run.
    pub fn id(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns the specification of the run.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn spec(&self) -> Result<Spec, RunError> {
        read(&self.folder.join("spec.json"))
    }

    /// Returns the furthest step of the run.
    pub fn step(&self) -> Step {
        steps::last(&self.folder)
    }

    /// Returns the outcomes of the ended attempts with their numbers, first attempt first.
    pub fn attempts(&self) -> Vec<(u32, Outcome)> {
        steps::attempts(&self.folder)
    }

    /// Returns the current state.
    pub fn life(&self) -> Life {
        let is_alive = |who: &Option<Identity>| who.as_ref().is_some_and(Identity::is_alive);
        let ended = || {
            let outcome = read::<Outcome>(&self.folder.join(steps::OUTCOME)).ok()?;
            // The helper was killed, and the launcher recorded the run as lost while the command is still alive.
            let goes_on = outcome.reason.as_deref() == Some(LOST) && is_alive(&self.again().running);
            Some(if goes_on { Life::Unwatched } else { Life::Ended(Box::new(outcome)) })
        };
        if let Some(life) = ended() {
            return life;
        }
        if self.step() == Step::Asked {
            return Life::Asked;
        }
        let state = self.again();
        if is_alive(&state.launcher) {
            return Life::Running;
        }
        let is_unwatched = is_alive(&state.helper) || is_alive(&state.running);
        // The run may have ended between the two checks.
        ended().unwrap_or(if is_unwatched { Life::Unwatched } else { Life::Lost })
    }

    /// Reads output at `position`, optionally of a single stream. `None` if the run has ended and there is no more output.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn output(&self, position: &mut u64, origin: Option<Origin>) -> io::Result<Option<Vec<u8>>> {
        // Check the state first: output written before the end is then in the file.
        let is_over = matches!(self.life(), Life::Ended(_) | Life::Lost);
        let text = output::read(&self.folder, position, origin)?;
        Ok(if text.is_empty() && is_over { None } else { Some(text) })
    }

    /// Removes the claim of a dead launcher if no command was started. Returns true if [`launch`](crate::launch) may be called again. Only
    /// the single program that starts runs in this folder may call this.
    ///
    /// # Errors
    /// If a system call fails.
    pub fn give_back(&self) -> io::Result<bool> {
        let is_unstarted = || self.step() <= Step::Claimed;
        // A helper is a fork of its launcher with the same command line, so it is found even before its identity is recorded.
        if !is_unstarted() || tree::is_launched(&self.folder) {
            return Ok(false);
        }
        // The launcher may have continued between the two checks.
        if !is_unstarted() {
            return Ok(false);
        }
        match fs::remove_file(self.folder.join(steps::CLAIMED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    /// Removes the run's folder.
    ///
    /// # Errors
    /// If the folder can't be removed.
    pub fn remove(&self) -> io::Result<()> {
        if let Some(group) = &self.state.cgroup {
            // The launcher removes the cgroup at the end of the run, unless it was killed.
            let _ = fs::remove_dir(group);
        }
        fs::remove_dir_all(&self.folder)
    }

    /// Returns the current state from the folder.
    pub(crate) fn again(&self) -> State {
        Self::open(self.folder.clone()).map_or_else(|_| self.state.clone(), |run| run.state)
    }
}
