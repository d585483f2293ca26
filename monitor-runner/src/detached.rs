//! Runs that outlive whoever asked for them: a launcher of its own, and a folder that says what has become of it.
//!
//! ```text
//! <runs>/<id>/spec.json     what was asked for
//!             state.json    who runs: launcher, helper and command, each by pid, start and boot
//!             output.log    what the command writes
//!             outcome.json  how it ended
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use etcetera::BaseStrategy;
use rustix::process::{Pid, PidfdFlags, pidfd_open, setsid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::launcher::{Watch, prepare};
use crate::mask;
use crate::outcome::{Outcome, RunError, Waiting};
use crate::spec::Spec;
use crate::sys;
use crate::tree;

/// Between two looks at what a run does.
const LOOK: Duration = Duration::from_millis(20);
/// A launcher that is asked to end what it runs has so long besides its grace.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the launcher says when the command runs.
const STARTED: [u8; 8] = *b"started\n";

/// Where runs are kept: `MONITOR_RUNS_DIR`, or `monitor/runs` in the user's folder for state.
pub fn default_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("MONITOR_RUNS_DIR").filter(|dir| !dir.is_empty()) {
        return std::path::absolute(PathBuf::from(dir)).ok();
    }
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("monitor").join("runs"))
}

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
    /// Ids of its tree and its process.
    pub root_id: Option<String>,
    /// See there.
    pub process_id: Option<String>,
    /// Who runs it.
    pub launcher: Option<Identity>,
    /// Who goes on if the launcher is killed.
    pub helper: Option<Identity>,
    /// The command itself.
    pub running: Option<Identity>,
    /// The last attempt failed, and the next one is waited for.
    pub waiting: Option<Waiting>,
}

/// What has become of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    /// It runs, and its launcher waits for its end.
    Running,
    /// It runs, but its launcher was killed: how it ends will not be known.
    Unwatched,
    /// It has ended.
    Ended(Box<Outcome>),
    /// It runs no more, and nobody was there to see how it ended.
    Lost,
}

/// Starts a run by a launcher of its own, which is the program `monitor`; returns when the command runs.
///
/// # Errors
/// When the folder can't be made, or the command not be started: then the launcher's exit code comes along.
pub fn start(monitor: &Path, runs: &Path, spec: &Spec, server: Option<&str>) -> Result<Run, RunError> {
    if spec.command.first().is_none_or(|program| program.is_empty()) {
        return Err(RunError::NoCommand);
    }
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| RunError::Folder { path, wanted: "can't be used for detached runs (MONITOR_RUNS_DIR)", source }
    };
    let spec = Spec {
        cwd: spec.cwd.as_ref().map(|cwd| std::path::absolute(cwd).unwrap_or_else(|_| cwd.clone())),
        capture: true,
        log_dir: spec.log_dir.as_ref().map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.clone())),
        ..spec.clone()
    };
    let folder = create(runs).map_err(unusable(runs))?;
    write(&folder, "spec.json", &spec).map_err(unusable(&folder))?;
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(folder.join("output.log")).map_err(unusable(&folder))?;
    let (mut said, says) = io::pipe().map_err(RunError::system("start the launcher"))?;
    let mut launcher = Command::new(monitor);
    launcher.arg("run").arg("--from").arg(&folder).env(tree::DETACHED, "1");
    launcher.stdin(Stdio::from(says)).stdout(log.try_clone().map_err(unusable(&folder))?).stderr(log);
    if let Some(server) = server {
        launcher.env("MONITOR_SERVER_URL", server);
    }
    #[allow(unsafe_code, reason = "a launcher that is to stay has a session of its own")]
    // SAFETY: one system call.
    unsafe {
        launcher.pre_exec(|| Ok(setsid().map(drop)?));
    }
    let mut child = launcher.spawn().map_err(RunError::system("start the launcher"))?;
    drop(launcher);
    let mut answer = [0; STARTED.len()];
    if said.read_exact(&mut answer).is_ok() && answer == STARTED {
        // Whoever asked may live long: the launcher's end is to be taken note of.
        std::thread::spawn(move || child.wait());
        return Run::open(folder);
    }
    let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(125) as u8;
    let outcome: Option<Outcome> = read(&folder.join("outcome.json")).ok();
    let message = outcome.and_then(|outcome| outcome.error).unwrap_or_else(|| {
        let text = fs::read_to_string(folder.join("output.log")).unwrap_or_default();
        if text.is_empty() { "the launcher ended at once".to_owned() } else { text.trim().trim_start_matches("monitor run: ").to_owned() }
    });
    let _ = fs::remove_dir_all(&folder);
    Err(RunError::NotStarted { message, code })
}

/// What the launcher of a detached run does: runs what its folder says, and writes there what comes of it.
///
/// # Errors
/// As [`prepare`].
pub fn launch(folder: &Path) -> Result<Outcome, RunError> {
    let spec: Spec = read(&folder.join("spec.json"))?;
    // Whoever asked waits behind stdin; the command has none.
    let asker = rustix::stdio::stdin().try_clone_to_owned().map_err(RunError::system("take the input"))?;
    let null = File::open("/dev/null").map_err(RunError::system("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(|error| RunError::system("take the input")(error.into()))?;
    let state = State {
        name: spec.shown_name(),
        command: mask::shown(&spec.command, &spec.mask),
        started_us: now_us(),
        launcher: Identity::own(),
        ..State::default()
    };
    let unusable =
        |source| RunError::Folder { path: folder.to_owned(), wanted: "can't be used for detached runs (MONITOR_RUNS_DIR)", source };
    write(folder, "state.json", &state).map_err(unusable)?;
    let mut diary = Diary { folder: folder.to_owned(), state, asker: Some(File::from(asker)) };
    prepare(spec, None)?.run_watched(&mut diary)
}

/// Writes down who runs.
struct Diary {
    folder: PathBuf,
    state: State,
    asker: Option<File>,
}

impl Watch for Diary {
    fn began(&mut self, ids: Option<(String, String)>, helper: Option<Identity>) {
        (self.state.root_id, self.state.process_id) = ids.unzip();
        self.state.helper = helper;
        let _ = write(&self.folder, "state.json", &self.state);
    }

    fn started(&mut self, command: Option<Identity>) {
        self.state.running = command;
        self.state.waiting = None;
        let _ = write(&self.folder, "state.json", &self.state);
        if let Some(mut asker) = self.asker.take() {
            let _ = asker.write_all(&STARTED);
        }
    }

    fn waits(&mut self, waiting: Waiting) {
        self.state.waiting = Some(waiting);
        let _ = write(&self.folder, "state.json", &self.state);
    }

    fn ended(&mut self, outcome: &Outcome) {
        // Before whoever waits is told that the launcher is gone.
        let _ = write(&self.folder, "outcome.json", outcome);
    }
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

/// The run whose id begins so.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(runs: &Path, id: &str) -> Result<Run, RunError> {
    let folder = || RunError::system("read the folder of the runs");
    let mut found: Vec<Run> = list(runs).map_err(folder())?.into_iter().filter(|run| !id.is_empty() && run.id().starts_with(id)).collect();
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
    /// When it has no state that can be read.
    pub fn open(folder: PathBuf) -> Result<Self, RunError> {
        let state = read(&folder.join("state.json"))?;
        Ok(Self { folder, state })
    }

    /// Names it among all runs.
    pub fn id(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What has become of it by now.
    pub fn life(&self) -> Life {
        let ended = || read::<Outcome>(&self.folder.join("outcome.json")).ok();
        if let Some(outcome) = ended() {
            return Life::Ended(Box::new(outcome));
        }
        let state = Self::open(self.folder.clone()).map_or_else(|_| self.state.clone(), |run| run.state);
        let is_alive = |who: &Option<Identity>| who.as_ref().is_some_and(Identity::is_alive);
        if is_alive(&state.launcher) {
            return Life::Running;
        }
        // It may have ended between both looks.
        if let Some(outcome) = ended() {
            return Life::Ended(Box::new(outcome));
        }
        if is_alive(&state.running) { Life::Unwatched } else { Life::Lost }
    }

    /// Its output, from here on in `position`; `None` when nothing more will come.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn output(&self, position: &mut u64) -> io::Result<Option<Vec<u8>>> {
        // Asked first: what was written before the end is in the file then.
        let is_over = matches!(self.life(), Life::Ended(_) | Life::Lost);
        let mut file = File::open(self.folder.join("output.log"))?;
        file.seek(SeekFrom::Start(*position))?;
        let mut text = Vec::new();
        file.take(1 << 20).read_to_end(&mut text)?;
        *position += text.len() as u64;
        Ok(if text.is_empty() && is_over { None } else { Some(text) })
    }

    /// Ends it with all that it has started: SIGTERM, and SIGKILL after its grace, or at once if `now`. Returns when nothing of it
    /// runs, or can't be ended in any time.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&self, now: bool) -> Result<Life, RunError> {
        if let Some(launcher) = self.state.launcher.as_ref().filter(|launcher| launcher.is_alive()) {
            let signal = if now { sys::kill_tree() } else { sys::end_tree() };
            match signal_exactly(launcher, signal) {
                // It has ended at this very moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => {}
                sent => sent.map_err(RunError::system("reach the launcher"))?,
            }
            let until = Instant::now() + PATIENCE + if now { Duration::ZERO } else { self.grace() };
            while self.life() == Life::Running && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
        }
        let is_alive = |who: &&Identity| who.is_alive();
        let helper = self.state.helper.as_ref().filter(is_alive);
        if matches!(self.life(), Life::Running | Life::Unwatched)
            && let Some(top) = helper.or(self.state.running.as_ref().filter(is_alive))
        {
            self.kill_unwatched(top, now);
        }
        let until = Instant::now() + PATIENCE;
        while matches!(self.life(), Life::Running | Life::Unwatched) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        Ok(self.life())
    }

    fn grace(&self) -> Duration {
        read::<Spec>(&self.folder.join("spec.json")).map_or(Duration::from_secs(5), |spec| spec.grace)
    }

    /// Nobody is there who would do it.
    fn kill_unwatched(&self, top: &Identity, now: bool) {
        let until = Instant::now() + if now { Duration::ZERO } else { self.grace() };
        let is_helper = self.state.helper.as_ref() == Some(top);
        let own = |signal| {
            if !is_helper {
                let _ = signal_exactly(top, signal);
            }
        };
        own(libc::SIGTERM);
        tree::signal(top.pid, libc::SIGTERM);
        while Instant::now() < until && top.is_alive() && (!is_helper || !tree::descendants(top.pid).is_empty()) {
            std::thread::sleep(LOOK);
        }
        if top.is_alive() {
            tree::kill(top.pid, || own(libc::SIGKILL));
            own(libc::SIGKILL);
        }
    }

    /// Forgets it.
    ///
    /// # Errors
    /// When its folder can't be removed.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}

/// To this process, and to none that has its pid since.
fn signal_exactly(who: &Identity, signal: i32) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let pid = Pid::from_raw(who.pid as i32).ok_or_else(gone)?;
    let file = pidfd_open(pid, PidfdFlags::empty())?;
    // The file stands for whoever has the pid now, for ever.
    if who.is_alive() { sys::signal_by_file(&file, signal) } else { Err(gone()) }
}

fn create(runs: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(runs)?;
    let seed = now_us() ^ u64::from(std::process::id()) << 40;
    for salt in 0_u64.. {
        let id = format!("{:010x}", (seed.wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 24);
        match DirBuilder::new().mode(0o700).create(runs.join(&id)) {
            Ok(()) => return Ok(runs.join(id)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("there are more ids than folders")
}

/// All of it or nothing.
fn write(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_data()?;
    fs::rename(new, folder.join(name))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text = fs::read(path).map_err(|source| RunError::Folder { path: path.to_owned(), wanted: "can't be read", source })?;
    serde_json::from_slice(&text).map_err(|source| RunError::Damaged { path: path.to_owned(), source })
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
