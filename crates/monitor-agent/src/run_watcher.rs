//! Starts runs and waits for their ends. Each run has its own thread in the agent.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use monitor_http::with_causes;
use monitor_runs::{Follower, Life, Run, RunError, Step};
use monitor_tasks::{Definition, RunId, ledger};

use crate::defaults::Defaults;
use crate::messages::AgentMessage;
use crate::verdict::{self, Recorded, RunVerdict};
use crate::{publish, retention, socket, spec};

/// Stack size of a run's thread.
const STACK: usize = 256 << 10;
/// Poll interval for a run without a process to wait for, because its launcher is just starting or ending.
const LOOK: Duration = Duration::from_millis(50);
/// Delay before a new launcher replaces a launcher that was killed before it started the command.
const PAUSE: Duration = Duration::from_millis(500);
/// Time that a launcher has to end a run that exceeds `kill-after`. After that, the agent ends the run.
const LAUNCHERS_TIME: Duration = Duration::from_secs(1);

/// Starts runs and waits for their ends.
#[derive(Debug)]
pub(crate) struct Runner {
    /// Name of the agent.
    pub(crate) agent: String,
    /// Path of the program `monitor`.
    pub(crate) monitor: PathBuf,
    /// Folder that contains `task/NAME` for each task.
    pub(crate) home: PathBuf,
    /// Folder that contains the folders of the runs.
    pub(crate) runs: PathBuf,
    /// Maximum number of bytes to keep of a run's output.
    pub(crate) output_bytes: u64,
    pub(crate) defaults: Defaults,
    pub(crate) profile: Option<String>,
    /// Additional environment variables for launchers.
    pub(crate) env: Vec<(&'static str, OsString)>,
    pub(crate) zone: TimeZone,
    pub(crate) messages: Sender<AgentMessage>,
    pub(crate) looked: retention::Looked,
}

impl Runner {
    /// Starts a run, and sends its start and end to the agent as messages.
    pub(crate) fn start(self: &Arc<Self>, run: ledger::Run, definition: Arc<Definition>) {
        let id = run.id.clone();
        let recorded = Recorded::NoLauncher(Box::new(spec::start(Some(&definition), &run, &self.agent)));
        self.spawn(id, Some(definition.clone()), recorded.clone(), move |runner| runner.begin(&run, &definition, recorded));
    }

    /// Follows a run that an earlier process of this agent started, and sends its end to the agent as a message.
    pub(crate) fn follow(self: &Arc<Self>, run: RunId, definition: Option<Arc<Definition>>) {
        self.spawn(run.clone(), definition.clone(), Recorded::Nothing, move |runner| runner.see_through(&run, definition.as_deref()));
    }

    /// Ends a run. If `is_by_launcher`, its launcher has [`LAUNCHERS_TIME`] to end it first.
    pub(crate) fn kill(self: &Arc<Self>, run: &RunId, now: bool, is_by_launcher: bool) {
        let folder = self.runs.join(run.to_string());
        let kill = move || {
            let Ok(run) = Run::open(folder) else { return };
            let mut follower = Follower::new(&run);
            let begun = Instant::now();
            while is_by_launcher && run.life() == Life::Running && begun.elapsed() < LAUNCHERS_TIME {
                follower.wait(Some(LAUNCHERS_TIME.saturating_sub(begun.elapsed())));
            }
            if let Err(error) = run.kill(now) {
                tracing::error!(run = run.id(), %error, "a run can't be ended");
            }
        };
        if let Err(error) = std::thread::Builder::new().stack_size(STACK).spawn(kill) {
            tracing::error!(%run, %error, "a run can't be ended");
        }
    }

    /// Removes the folder of a run that was given up before a launcher claimed it.
    pub(crate) fn forget(&self, run: &RunId) {
        let folder = self.runs.join(run.to_string());
        let is_unstarted = |run: &Run| run.step() == Step::Asked;
        if let Ok(run) = Run::open(folder)
            && is_unstarted(&run)
            && let Err(error) = run.remove()
        {
            tracing::warn!(run = run.id(), %error, "the folder of a run that was given up can't be removed");
        }
    }

    fn spawn(
        self: &Arc<Self>,
        run: RunId,
        definition: Option<Arc<Definition>>,
        recorded: Recorded,
        work: impl FnOnce(&Self) -> AgentMessage + Send + 'static,
    ) {
        let (runner, task) = (self.clone(), run.task.clone());
        let spawned = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let message = work(&runner);
            // The agent may have ended.
            let _ = runner.messages.send(message);
            if let Some(definition) = definition {
                runner.tidy(&task, &definition);
            }
        });
        if let Err(error) = spawned {
            let _ = self.messages.send(not_started(run, format!("the agent has no thread for it: {error}"), 125, recorded));
        }
    }

    /// Removes the logs and publications of a task that exceed its retention, if a cleanup is due.
    fn tidy(&self, task: &str, definition: &Definition) {
        if self.looked.is_time(task) {
            let runs = retention::Runs::of(&self.runs, task);
            retention::tidy(&publish::folder(&self.home, task), definition.retention, runs, (Timestamp::now(), &self.zone));
        }
    }

    fn begin(&self, run: &ledger::Run, definition: &Definition, recorded: Recorded) -> AgentMessage {
        let error = match self.claim_and_launch(run, definition) {
            Ok(()) | Err(Unable::Launcher(RunError::LauncherKilled { .. })) => return self.see_through(&run.id, Some(definition)),
            Err(Unable::Launcher(error)) => error,
            Err(Unable::Words(words)) => return not_started(run.id.clone(), words, 125, recorded),
        };
        // Another launcher may have claimed the run, or this launcher may have recorded why it failed.
        let folder = self.folder(&run.id);
        if let Ok(Life::Running | Life::Unwatched | Life::Ended(_)) = Run::open(folder).map(|run| run.life()) {
            return self.see_through(&run.id, Some(definition));
        }
        let code = if let RunError::NotStarted { code, .. } = &error { *code } else { 125 };
        not_started(run.id.clone(), with_causes(&error), code, recorded)
    }

    fn claim_and_launch(&self, run: &ledger::Run, definition: &Definition) -> Result<(), Unable> {
        let id = run.id.to_string();
        let folder = self.folder(&run.id);
        let unable = |what: &str, error: std::io::Error| Unable::Words(format!("{what}: {error}"));
        monitor_runs::forget_unasked(&self.runs, &id).map_err(|error| unable("the folder of the run can't be made anew", error))?;
        if !folder.join("spec.json").exists() {
            let mut whole = definition.clone();
            self.defaults.apply(&mut whole);
            let mut spec = spec::spec(&whole, run, &self.agent, (&self.home, &self.runs), self.output_bytes).map_err(Unable::Words)?;
            spec.env.push(("MONITOR_AGENT_SOCKET".into(), socket::path(&self.home, &self.agent).into()));
            monitor_runs::ask(&self.runs, &spec).map_err(Unable::Launcher)?;
        }
        let own = publish::folder(&self.home, &definition.name);
        let user = definition.user.as_deref().and_then(publish::user);
        publish::prepare(&own, user.as_ref()).map_err(|error| unable("the folder that the run publishes into can't be emptied", error))?;
        self.write_config(definition, &run.id).map_err(|error| unable("the task's settings can't be written", error))?;
        monitor_runs::launch(&self.monitor, &folder, self.env.iter().map(|(name, value)| (*name, value)))
            .map(drop)
            .map_err(Unable::Launcher)
    }

    /// Writes the task's own settings to a file that the run can read.
    fn write_config(&self, definition: &Definition, run: &RunId) -> std::io::Result<()> {
        let path = spec::config_file(definition, run, &self.home, &self.runs);
        let config = serde_json::Value::Object(definition.config_for(self.profile.as_deref()));
        if definition.user.is_none() {
            return fs::write(path, format!("{config:#}\n"));
        }
        let folder = path.parent().expect("it is in a folder");
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        fs::write(&path, format!("{config:#}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))
    }

    /// Waits until a run has ended, and returns its result. Returns immediately if the run has already ended. Returns
    /// [`AgentMessage::Unstarted`] if its launcher was killed before it started the command.
    pub(crate) fn see_through(&self, id: &RunId, definition: Option<&Definition>) -> AgentMessage {
        let folder = self.folder(id);
        let Ok(run) = Run::open(folder.clone()) else {
            let verdict = RunVerdict::lost("its folder was removed, so how it ended is unknown");
            return AgentMessage::Ended { run: id.clone(), at: Timestamp::now(), verdict: Box::new(verdict) };
        };
        let mut follower = Follower::new(&run);
        let mut is_told = false;
        loop {
            match run.life() {
                Life::Ended(outcome) => return self.ended(id, &folder, definition, &outcome),
                Life::Asked | Life::Lost if run.step() <= Step::Claimed => {
                    if !folder.exists() {
                        let verdict = RunVerdict::lost("its folder was removed while it ran");
                        return AgentMessage::Ended { run: id.clone(), at: Timestamp::now(), verdict: Box::new(verdict) };
                    }
                    if run.give_back().unwrap_or(false) {
                        std::thread::sleep(PAUSE);
                        return AgentMessage::Unstarted { run: id.clone() };
                    }
                    std::thread::sleep(LOOK);
                    continue;
                }
                Life::Lost => {
                    let verdict = RunVerdict::lost("it runs no more, and nobody saw how it ended: its launcher and helper were killed");
                    return AgentMessage::Ended { run: id.clone(), at: Timestamp::now(), verdict: Box::new(verdict) };
                }
                Life::Asked | Life::Running | Life::Unwatched if !is_told && run.step() > Step::Claimed => {
                    is_told = true;
                    let started_us = Run::open(folder.clone()).map_or(0, |run| run.state.started_us);
                    let at = Timestamp::from_microsecond(started_us as i64).unwrap_or_default();
                    let _ = self.messages.send(AgentMessage::Started { run: id.clone(), at });
                }
                Life::Asked | Life::Running | Life::Unwatched => {}
            }
            follower.wait(None);
        }
    }

    fn ended(&self, id: &RunId, folder: &Path, definition: Option<&Definition>, outcome: &monitor_runs::Outcome) -> AgentMessage {
        let at = Timestamp::from_microsecond(outcome.ended_us as i64).unwrap_or_default();
        let at = if outcome.ended_us == 0 { Timestamp::now() } else { at };
        // The publication gets the same time in its name as the log, which the launcher has named.
        let began = Run::open(folder.to_owned()).ok().and_then(|run| Timestamp::from_microsecond(run.state.started_us as i64).ok());
        let began = began.filter(|began| *began > Timestamp::UNIX_EPOCH).unwrap_or(at);
        let own = publish::folder(&self.home, &id.task);
        let (kept, unkept) = match publish::keep(&own, folder, &Zoned::new(began, self.zone.clone())) {
            Ok(kept) => (kept, None),
            Err(error) => {
                tracing::error!(run = %id, %error, "the published files of the run can't be moved to the history");
                (publish::Kept { files: publish::count(&own.join("publish")), folder: None }, Some(error.to_string()))
            }
        };
        if let Some(definition) = definition.filter(|definition| definition.user.is_some()) {
            // The file may not exist.
            let _ = fs::remove_file(spec::config_file(definition, id, &self.home, &self.runs));
        }
        let mut verdict = verdict::judge(definition, outcome, folder, (kept.files, unkept.as_deref()));
        verdict.publication = kept.folder.map(|kept| kept.to_string_lossy().into_owned());
        AgentMessage::Ended { run: id.clone(), at, verdict: Box::new(verdict) }
    }

    fn folder(&self, run: &RunId) -> PathBuf {
        self.runs.join(run.to_string())
    }
}

fn not_started(run: RunId, words: String, code: u8, recorded: Recorded) -> AgentMessage {
    AgentMessage::Ended { run, at: Timestamp::now(), verdict: Box::new(RunVerdict::not_started(words, code, recorded)) }
}

/// Reason why a run could not be started.
enum Unable {
    /// An error from the launcher, or from starting the launcher.
    Launcher(RunError),
    Words(String),
}
