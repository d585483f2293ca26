//! The claim of a run by its launcher. Launcher, helper, and the process that becomes the command record each step of the run.

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

/// A run that this launcher has claimed. No other launcher can claim it.
#[derive(Debug)]
pub struct Claim {
    steps: Steps,
    state: State,
    /// Pipe to the program that waits until the command runs.
    asker: Option<File>,
}

impl Claim {
    /// Claims the run in `folder` for this program. The program that requested the run waits at a pipe, which is this program's stdin.
    /// Stdin is redirected to `/dev/null` afterwards.
    ///
    /// # Errors
    /// If the specification can't be read, or the run is already claimed.
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
        // Name and command are in the specification, so the state is saved later.
        Ok((spec, Self { steps: Steps { folder: folder.to_owned() }, state, asker: Some(File::from(asker)) }))
    }

    /// Returns the recorder of steps, which can be shared.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Returns the time of the claim, in Unix microseconds. Equals `started_us` of [`State`].
    pub fn taken_us(&self) -> u64 {
        self.state.started_us
    }

    /// Records the ids of tree and process, the helper, and the cgroup.
    pub fn began(&mut self, ids: Option<(String, String)>, helper: Option<Identity>, cgroup: Option<PathBuf>) {
        (self.state.root_id, self.state.process_id) = ids.unzip();
        self.state.helper = helper;
        self.state.cgroup = cgroup;
        self.save();
    }

    /// Records that the command of an attempt runs, and notifies the waiting program.
    pub fn started(&mut self, attempt: u32, command: Option<Identity>) {
        self.state.running = command;
        self.state.attempt = attempt;
        self.state.waiting = None;
        self.save();
        if let Some(mut asker) = self.asker.take() {
            let _ = asker.write_all(&STARTED);
        }
    }

    /// Records that an attempt failed and a retry is pending.
    pub fn waits(&mut self, waiting: Waiting) {
        self.state.waiting = Some(waiting);
        self.save();
    }

    fn save(&self) {
        // Errors are ignored: the state is only for display, and the steps contain everything that decisions need.
        let _ = replace(&self.steps.folder, "state.json", &self.state);
    }
}

/// Recorder of a run's steps.
#[derive(Debug, Clone)]
pub struct Steps {
    folder: PathBuf,
}

impl Steps {
    /// Folder of the run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the furthest step of the run.
    pub fn step(&self) -> steps::Step {
        steps::last(&self.folder)
    }

    /// Records that the attempt is about to be started. If this fails, the attempt must not be started.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn executing(&self, attempt: u32) -> io::Result<()> {
        steps::executing(&self.folder, attempt)
    }

    /// Records that this process becomes the command of the attempt.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn running(&self, attempt: u32) -> io::Result<()> {
        steps::running(&self.folder, attempt)
    }

    /// Records the end of an attempt.
    pub fn attempt_ended(&self, attempt: u32, outcome: &Outcome) {
        // If the disk is full now, the final outcome may still find space.
        let _ = steps::attempt_ended(&self.folder, attempt, outcome);
    }

    /// Returns the outcome of the run, if it has ended.
    pub fn outcome(&self) -> Option<Outcome> {
        read(&self.folder.join(steps::OUTCOME)).ok()
    }

    /// Records the end of the run.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn ended(&self, outcome: &Outcome) -> io::Result<()> {
        steps::ended(&self.folder, outcome)
    }
}

impl State {
    /// Creates the state from the specification.
    pub(crate) fn asked(spec: &Spec) -> Self {
        Self { name: spec.shown_name(), command: mask::shown(&spec.command, &spec.mask), ..Self::default() }
    }
}
