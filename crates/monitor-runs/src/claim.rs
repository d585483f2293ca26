//! A run in the hands of its launcher, its helper, and the process that becomes its command: they write down each step.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::RunError;
use crate::folder::{now_us, read, replace};
use crate::identity::Identity;
use crate::mask;
use crate::outcome::{Outcome, Waiting};
use crate::run::State;
use crate::spec::Spec;
use crate::start::STARTED;
use crate::steps;

/// A run that this launcher has taken, and that no other launcher can take.
#[derive(Debug)]
pub struct Claim {
    steps: Steps,
    state: State,
    /// Somebody waits there until the command runs.
    asker: Option<File>,
}

impl Claim {
    /// Takes the run of a folder, for this program. Whoever asked for it waits behind its stdin, which is empty from here on.
    ///
    /// # Errors
    /// When what is to be run can't be read, or the run was taken before.
    pub fn take(folder: &Path) -> Result<(Spec, Self), RunError> {
        let spec: Spec = read(&folder.join("spec.json"))?;
        let input = RunError::system;
        let asker = rustix::stdio::stdin().try_clone_to_owned().map_err(input("take the input"))?;
        let null = File::open("/dev/null").map_err(input("open /dev/null"))?;
        rustix::stdio::dup2_stdin(&null).map_err(|error| input("take the input")(error.into()))?;
        steps::claim(folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => RunError::Claimed { folder: folder.to_owned() },
            _ => RunError::runs_folder(folder, error),
        })?;
        let state = State { launcher: Identity::own(), started_us: now_us(), ..State::asked(&spec) };
        // What there is to be shown of it so far stands in the spec and in the step.
        Ok((spec, Self { steps: Steps { folder: folder.to_owned() }, state, asker: Some(File::from(asker)) }))
    }

    /// Writes down the steps of the run, for whoever takes them.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// When the run was taken, in Unix microseconds, as [`State`] has it for whoever names something after it.
    pub fn taken_us(&self) -> u64 {
        self.state.started_us
    }

    /// The run is recorded, under these ids of tree and process; `helper` goes on if the launcher is killed.
    pub fn began(&mut self, ids: Option<(String, String)>, helper: Option<Identity>, cgroup: Option<PathBuf>) {
        (self.state.root_id, self.state.process_id) = ids.unzip();
        self.state.helper = helper;
        self.state.cgroup = cgroup;
        self.save();
    }

    /// The command of this attempt runs.
    pub fn started(&mut self, attempt: u32, command: Option<Identity>) {
        self.state.running = command;
        self.state.attempt = attempt;
        self.state.waiting = None;
        self.save();
        if let Some(mut asker) = self.asker.take() {
            let _ = asker.write_all(&STARTED);
        }
    }

    /// An attempt failed, and the next one is waited for.
    pub fn waits(&mut self, waiting: Waiting) {
        self.state.waiting = Some(waiting);
        self.save();
    }

    fn save(&self) {
        // The steps say what is needed: this is for whoever shows the run.
        let _ = replace(&self.steps.folder, "state.json", &self.state);
    }
}

/// Writes down the steps of a run.
#[derive(Debug, Clone)]
pub struct Steps {
    folder: PathBuf,
}

impl Steps {
    /// Folder of the run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The furthest step that the run has come to.
    pub fn step(&self) -> steps::Step {
        steps::last(&self.folder)
    }

    /// The attempt is about to be started. Without this step it must not be.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn executing(&self, attempt: u32) -> io::Result<()> {
        steps::executing(&self.folder, attempt)
    }

    /// This process becomes the command of the attempt.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn running(&self, attempt: u32) -> io::Result<()> {
        steps::running(&self.folder, attempt)
    }

    /// An attempt has ended.
    pub fn attempt_ended(&self, attempt: u32, outcome: &Outcome) {
        // Without room on the disk, the outcome of the run may still find some.
        let _ = steps::attempt_ended(&self.folder, attempt, outcome);
    }

    /// Outcome of the run, if it has ended.
    pub fn outcome(&self) -> Option<Outcome> {
        read(&self.folder.join(steps::OUTCOME)).ok()
    }

    /// The run has ended.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn ended(&self, outcome: &Outcome) -> io::Result<()> {
        steps::ended(&self.folder, outcome)
    }
}

impl State {
    /// What is known of a run by what was asked for.
    pub(crate) fn asked(spec: &Spec) -> Self {
        Self { name: spec.shown_name(), command: mask::shown(&spec.command, &spec.mask), ..Self::default() }
    }
}
