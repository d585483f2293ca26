//! Starting a run that outlives whoever asks for it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::RunError;
use crate::folder::{create, read, sync_folder, write_synced};
use crate::outcome::Outcome;
use crate::output::{self, LOG};
use crate::run::Run;
use crate::spec::Spec;
use crate::steps;
use crate::tree::{DETACHED, FOLDER};

/// What the program `monitor` is told to launch a run, before the run's folder.
pub const LAUNCH: [&str; 2] = ["run", "--from"];

/// What the launcher says when the command runs.
pub(crate) const STARTED: [u8; 8] = *b"started\n";

/// Starts a run by a launcher of its own, which is the program `monitor`; returns when the command runs.
///
/// # Errors
/// When the run's id was given before, the folder can't be made, or the command not be started: then the launcher's exit code comes along.
pub fn start(monitor: &Path, runs: &Path, spec: &Spec, server: Option<&str>) -> Result<Run, RunError> {
    let folder = ask(runs, spec)?;
    launch(monitor, &folder, server.map(|server| ("MONITOR_SERVER_URL", server))).inspect_err(|_| {
        if spec.id.is_none() {
            // An id that was given stays given: whoever asks for it again is not to start it twice.
            let _ = fs::remove_dir_all(&folder);
        }
    })
}

/// Asks for a run that [`launch`] is to start: makes its folder and writes down there what is to be run, both synced.
///
/// # Errors
/// When the spec makes no sense, the run's id was given before, or the folder can't be made.
pub fn ask(runs: &Path, spec: &Spec) -> Result<PathBuf, RunError> {
    spec.check()?;
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let spec =
        Spec { cwd: spec.cwd.as_deref().map(absolute), capture: true, log_dir: spec.log_dir.as_deref().map(absolute), ..spec.clone() };
    let folder = create(runs, spec.id.as_deref())?;
    let unusable = |source| RunError::runs_folder(&folder, source);
    output::open(&folder, LOG).map_err(unusable)?;
    write_synced(&folder, "spec.json", &spec).map_err(unusable)?;
    sync_folder(runs).map_err(unusable)?;
    Ok(folder)
}

/// Starts a launcher, which is the program `monitor`, for a run that was asked for; returns when the command runs. `env` is
/// what the launcher itself has in its environment besides.
///
/// # Errors
/// When another launcher has taken the run, the launcher was killed, or the command can't be started: then the launcher's exit code comes
/// along.
pub fn launch<'a>(monitor: &Path, folder: &Path, env: impl IntoIterator<Item = (&'a str, impl AsRef<OsStr>)>) -> Result<Run, RunError> {
    let unusable = |source| RunError::runs_folder(folder, source);
    let log = output::open(folder, LOG).map_err(unusable)?;
    let (mut said, says) = io::pipe().map_err(RunError::system("start the launcher"))?;
    let mut launcher = Command::new(monitor);
    launcher.args(LAUNCH).arg(folder).env(DETACHED, "1").env_remove(FOLDER);
    launcher.stdin(Stdio::from(says)).stdout(log.try_clone().map_err(unusable)?).stderr(log);
    launcher.envs(env);
    // It takes a session of its own itself: with anything to be done in between, all memory of this program would be copied for it.
    let mut child = launcher.spawn().map_err(RunError::system("start the launcher"))?;
    drop(launcher);
    let mut answer = [0; STARTED.len()];
    if said.read_exact(&mut answer).is_ok() && answer == STARTED {
        // Whoever asked may live long: the launcher's end is to be taken note of.
        std::thread::spawn(move || child.wait());
        return Run::open(folder.to_owned());
    }
    let code = child.wait().ok().and_then(|status| status.code());
    let outcome: Option<Outcome> = read(&folder.join(steps::OUTCOME)).ok();
    if code.is_none() && outcome.is_none() {
        return Err(RunError::LauncherKilled { folder: folder.to_owned() });
    }
    let message = outcome.and_then(|outcome| outcome.error).unwrap_or_else(|| {
        let text = fs::read_to_string(folder.join(LOG)).unwrap_or_default();
        if text.is_empty() { "the launcher ended at once".to_owned() } else { text.trim().trim_start_matches("monitor run: ").to_owned() }
    });
    Err(RunError::NotStarted { message, code: code.unwrap_or(125) as u8 })
}
