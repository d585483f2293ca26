//! A run as its folder has it, and what has become of it.
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

/// Reason of a run whose end nobody saw.
const LOST: &str = "lost";

/// A detached run, as its folder has it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its folder, whose name is its id.
    pub folder: PathBuf,
    /// What is known of it.
    pub state: State,
}

/// What the launcher has written down.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Name of the process.
    pub name: String,
    /// The command, without what is hidden.
    pub command: String,
    /// When it began, in Unix microseconds.
    pub started_us: u64,
    /// Id of its tree.
    pub root_id: Option<String>,
    /// Id of its process.
    pub process_id: Option<String>,
    /// Who runs it.
    pub launcher: Option<Identity>,
    /// Who goes on if the launcher is killed.
    pub helper: Option<Identity>,
    /// The command itself, of the attempt of this number.
    pub running: Option<Identity>,
    /// Number of the attempt that runs or ran last, from 1; 0 if none was started.
    pub attempt: u32,
    /// The cgroup that holds all that the command has started, if it has one.
    pub cgroup: Option<PathBuf>,
    /// The last attempt failed, and the next one is waited for.
    pub waiting: Option<Waiting>,
}

/// What has become of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    /// Somebody has asked for it, and no launcher has taken it yet.
    Asked,
    /// It runs, and its launcher waits for its end.
    Running,
    /// It runs, but its launcher was killed. The helper says how it ends, unless that was killed, too.
    Unwatched,
    /// It has ended.
    Ended(Box<Outcome>),
    /// It runs no more, and nobody was there to see how it ended.
    Lost,
}

/// All runs, oldest first; those whose folders can't be read are left out.
///
/// # Errors
/// When the folder of the runs can't be read.
pub fn list(runs: &Path) -> io::Result<Vec<Run>> {
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found: Vec<Run> = entries.flatten().filter_map(|entry| Run::open(entry.path()).ok()).collect();
    found.sort_by_key(|run| (run.state.started_us, run.id()));
    Ok(found)
}

/// The run of this id, or the only one whose id begins so.
///
/// # Errors
/// When there is none, or more than one.
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
    /// The run of this folder.
    ///
    /// # Errors
    /// When neither its state nor what was asked for can be read.
    pub fn open(folder: PathBuf) -> Result<Self, RunError> {
        let state = read::<State>(&folder.join("state.json")).or_else(|error| {
            // A launcher that was killed early, or a power cut, leaves only the steps.
            let spec: Spec = read(&folder.join("spec.json")).map_err(|_| error)?;
            let claimed: Taken = read(&folder.join(steps::CLAIMED)).unwrap_or_default();
            Ok(State { launcher: claimed.by, started_us: claimed.at_us, ..State::asked(&spec) })
        });
        let mut state = state?;
        // The command writes its step itself, before the launcher hears of it.
        if let Some((attempt, command)) = steps::last_command(&folder).filter(|(attempt, _)| *attempt > state.attempt) {
            (state.attempt, state.running) = (attempt, Some(command));
        }
        Ok(Self { folder, state })
    }

    /// Names it among all runs.
    pub fn id(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What was asked for.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn spec(&self) -> Result<Spec, RunError> {
        read(&self.folder.join("spec.json"))
    }

    /// The furthest step that it has come to.
    pub fn step(&self) -> Step {
        steps::last(&self.folder)
    }

    /// Outcomes of the attempts that have ended, with their numbers, the first one first.
    pub fn attempts(&self) -> Vec<(u32, Outcome)> {
        steps::attempts(&self.folder)
    }

    /// What has become of it by now.
    pub fn life(&self) -> Life {
        let is_alive = |who: &Option<Identity>| who.as_ref().is_some_and(Identity::is_alive);
        let ended = || {
            let outcome = read::<Outcome>(&self.folder.join(steps::OUTCOME)).ok()?;
            // The helper was killed, and the launcher could not say more.
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
        // It may have ended between both looks.
        ended().unwrap_or(if is_unwatched { Life::Unwatched } else { Life::Lost })
    }

    /// Its output, from here on in `position`, or that of one stream; `None` when nothing more will come.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn output(&self, position: &mut u64, origin: Option<Origin>) -> io::Result<Option<Vec<u8>>> {
        // Asked first: what was written before the end is in the file then.
        let is_over = matches!(self.life(), Life::Ended(_) | Life::Lost);
        let text = output::read(&self.folder, position, origin)?;
        Ok(if text.is_empty() && is_over { None } else { Some(text) })
    }

    /// Lets another launcher take the run, if the one that had taken it is gone and nothing was started. Returns true if [`launch`](crate::launch)
    /// may start it. Only for whoever alone starts the runs of this folder.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn give_back(&self) -> io::Result<bool> {
        let is_unstarted = || self.step() <= Step::Claimed;
        // A helper is forked by its launcher and has the same command line, also before anybody has written down who it is.
        if !is_unstarted() || tree::is_launched(&self.folder) {
            return Ok(false);
        }
        // It may have gone on between both looks.
        if !is_unstarted() {
            return Ok(false);
        }
        match fs::remove_file(self.folder.join(steps::CLAIMED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When its folder can't be removed.
    pub fn remove(&self) -> io::Result<()> {
        if let Some(group) = &self.state.cgroup {
            // Gone with the run, unless nobody was there at its end.
            let _ = fs::remove_dir(group);
        }
        fs::remove_dir_all(&self.folder)
    }

    /// Who runs it by now.
    pub(crate) fn again(&self) -> State {
        Self::open(self.folder.clone()).map_or_else(|_| self.state.clone(), |run| run.state)
    }
}
