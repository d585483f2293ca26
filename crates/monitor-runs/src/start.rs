//! Starts runs that outlive the program that requests them.

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

/// Arguments that make `monitor` launch a run. The run's folder follows.
pub const LAUNCH: [&str; 2] = ["run", "--from"];

/// Message of the launcher when the command runs.
pub(crate) const STARTED: [u8; 8] = *b"started\n";

/// Starts a run with a separate launcher, the program `monitor`. Returns when the command runs.
///
/// # Errors
/// If the id is already used, the folder can't be created, or the command can't be started. In the last case the error contains the
/// launcher's exit code.
pub fn start(monitor: &Path, runs: &Path, spec: &Spec, server: Option<&str>) -> Result<Run, RunError> {
    let folder = ask(runs, spec)?;
    launch(monitor, &folder, server.map(|server| ("MONITOR_SERVER_URL", server))).inspect_err(|_| {
        if spec.id.is_none() {
            // Keep the folder of an explicit id, so that a repeated request can't start the run twice.
            let _ = fs::remove_dir_all(&folder);
        }
    })
}

/// Requests a run that [`launch`] starts later: creates its folder and writes the specification. Both are synced.
///
/// # Errors
/// If the specification is invalid, the id is already used, or the folder can't be created.
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

/// Starts a launcher, the program `monitor`, for a requested run. Returns when the command runs. `env` contains additional environment
/// variables of the launcher.
///
/// # Errors
/// If another launcher has claimed the run, the launcher was killed, or the command can't be started. In the last case the error contains
/// the launcher's exit code.
pub fn launch<'a>(monitor: &Path, folder: &Path, env: impl IntoIterator<Item = (&'a str, impl AsRef<OsStr>)>) -> Result<Run, RunError> {
    launch_with_log(monitor, folder, LOG, env)
}

/// Like [`launch`], and the launcher writes its own messages to the file `log_name` in the run's folder, apart from the output of the command.
///
/// # Errors
/// As [`launch`].
pub fn launch_with_log<'a>(
    monitor: &Path,
    folder: &Path,
    log_name: &str,
    env: impl IntoIterator<Item = (&'a str, impl AsRef<OsStr>)>,
) -> Result<Run, RunError> {
    let unusable = |source| RunError::runs_folder(folder, source);
    let log = output::open(folder, log_name).map_err(unusable)?;
    let (mut said, says) = io::pipe().map_err(RunError::system("start the launcher"))?;
    let mut launcher = Command::new(monitor);
    launcher.args(LAUNCH).arg(folder).env(DETACHED, "1").env_remove(FOLDER);
    launcher.stdin(Stdio::from(says)).stdout(log.try_clone().map_err(unusable)?).stderr(log);
    launcher.envs(env);
    // The launcher creates its own session. With a `pre_exec` step here, the standard library would have to fork, which copies the page
    // tables of this program.
    let mut child = launcher.spawn().map_err(RunError::system("start the launcher"))?;
    drop(launcher);
    let mut answer = [0; STARTED.len()];
    if said.read_exact(&mut answer).is_ok() && answer == STARTED {
        // This program may live long, so reap the launcher on another thread.
        std::thread::spawn(move || child.wait());
        return Run::open(folder.to_owned());
    }
    let code = child.wait().ok().and_then(|status| status.code());
    let outcome: Option<Outcome> = read(&folder.join(steps::OUTCOME)).ok();
    if code.is_none() && outcome.is_none() {
        return Err(RunError::LauncherKilled { folder: folder.to_owned() });
    }
    let message = outcome.and_then(|outcome| outcome.error).unwrap_or_else(|| {
        let text = fs::read_to_string(folder.join(log_name)).unwrap_or_default();
        if text.is_empty() { "the launcher ended at once".to_owned() } else { text.trim().trim_start_matches("monitor run: ").to_owned() }
    });
    Err(RunError::NotStarted { message, code: code.unwrap_or(125) as u8 })
}
