//! Prepares a command: opens its streams, applies limits, and forks the helper.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monitor_runs::tree::DETACHED;
use monitor_runs::{Claim, Identity, Outcome, OutputLog, RunError, Spec, now_us};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, set_child_subreaper, setsid};

use crate::account::Account;
use crate::environment;
use crate::helper::Helper;
use crate::inject::Injection;
use crate::limits::Limits;
use crate::messages::{Ask, Env, Line, Tell};
use crate::pump::Pumping;
use crate::record::Record;
use crate::secrets::Secrets;
use crate::sink::Sink;
use crate::streams::{Pump, Streams, dup};
use crate::sys::{self, Signals};
use crate::tail::{Said, Tails};
use crate::terminal::{Outer, Shown};
use crate::why::Stream;
use crate::work::{Work, bid_farewell};

/// Callback with the outcome of the run.
pub(crate) struct AtEnd(Box<dyn FnOnce(&Outcome)>);

impl AtEnd {
    pub(crate) fn call(self, outcome: &Outcome) {
        (self.0)(outcome);
    }
}

impl fmt::Debug for AtEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtEnd")
    }
}

/// A prepared command.
#[derive(Debug)]
pub struct Launcher {
    spec: Spec,
    signals: Signals,
    line: Line<Ask, Tell>,
    pumps: Vec<Pump>,
    outer: Option<Outer>,
    shown: Option<Shown>,
    limits: Limits,
    injection: Option<Injection>,
    helper: u32,
    env: Env,
    secrets: Secrets,
    claim: Option<Claim>,
    /// Output file of a detached run.
    log: Option<Arc<OutputLog>>,
    at_end: Option<AtEnd>,
}

/// Prepares a command. Must be called while the program has a single thread: it forks the helper and takes over signals. From here on
/// recording is enabled, independent of `MONITOR_ENABLED`. Records go to `server`, or to `MONITOR_SERVER_URL` if it is `None`.
///
/// # Errors
/// If there is no command, or a system call fails.
pub fn prepare(spec: Spec, server: Option<&str>, spool: Option<&Path>) -> Result<Launcher, RunError> {
    if let Some(spool) = spool {
        sys::set_env("MONITOR_SPOOL_DIR", spool);
    }
    ready(spec, server, None)
}

/// Executes the detached run described by `folder`, as its launcher in a new session, and writes its steps and outcome to the folder.
///
/// # Errors
/// As [`prepare`]; also if another launcher has claimed the run.
pub fn launch(folder: &Path) -> Result<Outcome, RunError> {
    // Fails for a process that leads a process group already, such as one started from an interactive shell. That is harmless.
    let _ = setsid();
    let (spec, claim) = Claim::take(folder)?;
    ready(spec, None, Some(claim))?.run()
}

/// Waits at most `patience` until the server has stored the records of this program. Returns false on timeout.
pub fn flush(patience: Duration) -> bool {
    monitor_client::flush(patience).is_ok()
}

fn ready(spec: Spec, server: Option<&str>, claim: Option<Claim>) -> Result<Launcher, RunError> {
    spec.check()?;
    Account::of(&spec).map_err(RunError::system("find the user or the group (--user, --group)"))?;
    let steps = claim.as_ref().map(|claim| claim.steps().clone());
    let folder = steps.as_ref().map(|steps| steps.folder().to_owned());
    let env = environment::of(&spec, folder.as_deref())?;
    let secrets = Secrets::of(&spec, &env)?;
    let open = |folder| OutputLog::open(folder, spec.log_bytes);
    let log = folder.as_deref().map(open).transpose().map_err(RunError::system("open the file of the output"))?.map(Arc::new);
    let signals = Signals::take().map_err(RunError::system("take the signals"))?;
    let output = RunError::system;
    let Streams { theirs, pumps, outer, shown } = Streams::plan(&spec, log.as_ref()).map_err(output("take the output"))?;
    let again = pumps.iter().map(|pump| pump.again().map(Some)).collect::<io::Result<Vec<_>>>().map_err(output("take the output"))?;
    let terminal = theirs[0].as_ref().map(dup).transpose().map_err(output("take the terminal"))?;
    let injection = Injection::new(&spec)?;
    let limits = Limits::new(&spec, claim.is_some());
    let (line, helpers) = UnixStream::pair().map_err(RunError::system("start the helper"))?;
    let launcher = pidfd_open(getpid(), PidfdFlags::empty()).map_err(|error| RunError::system("start the helper")(error.into()))?;
    sys::set_env("MONITOR_ENABLED", "1");
    if let Some(server) = server {
        sys::set_env("MONITOR_SERVER_URL", server);
    }
    sys::remove_env(DETACHED);
    monitor_client::launcher::without_calls();
    // If the helper is killed, its children, the command among them, become children of this program, which then observes how the command
    // ends. The setting is not inherited.
    let _ = set_child_subreaper(Some(Pid::INIT));
    match sys::fork().map_err(RunError::system("start the helper"))? {
        None => {
            // Drop the launcher's copies, so that the closing of its ends can be detected.
            drop((line, pumps, outer, shown, claim, env, log));
            if let Some(injection) = injection {
                injection.forget();
            }
            sys::end_with(|| {
                Helper { spec, line: helpers, launcher, signals, theirs, pumps: again, terminal, limits, steps, secrets }.run()
            })
        }
        Some(helper) => {
            let line = Line::new(line);
            Ok(Launcher { spec, signals, line, pumps, outer, shown, limits, injection, helper, env, secrets, claim, log, at_end: None })
        }
    }
}

impl Launcher {
    /// Calls `act` after the end of the run is recorded and before unsent records are left to another process. At that point, [`flush`] can
    /// wait for the server.
    #[must_use]
    pub fn at_end(self, act: impl FnOnce(&Outcome) + 'static) -> Self {
        Self { at_end: Some(AtEnd(Box::new(act))), ..self }
    }

    /// Runs the command until it succeeds or its retries are used up.
    ///
    /// # Errors
    /// If the output can't be copied, or can't be written to a file.
    pub fn run(self) -> Result<Outcome, RunError> {
        let Self { spec, signals, mut line, pumps, outer, shown, limits, injection, helper, env, secrets, mut claim, log, at_end } = self;
        let record = Arc::new(Record::begin(&spec, limits.words(&spec), secrets));
        if let Some(claim) = &mut claim {
            claim.began(record.ids(), Identity::of(helper), limits.group());
        }
        line.say(&Ask::Began { ids: record.ids() });
        let began_us = claim.as_ref().map_or_else(now_us, Claim::taken_us);
        if let Err(error) = record.open_file(&spec, began_us, log.as_ref()) {
            let path = spec.log_dir.clone().unwrap_or_default();
            let error = RunError::Folder { path, wanted: "can't be written to (--log-dir)", source: error };
            record.end(
                &Outcome { error: Some(error.to_string()), reason: Some("not-started".to_owned()), ..Outcome::default() },
                None,
                &Said::default(),
                None,
            );
            bid_farewell(&mut line, false);
            return Err(error);
        }
        let terminal = match &outer {
            Some(_) => pumps.first().map(|pump| dup(&pump.from)).transpose().map_err(RunError::system("take the terminal"))?,
            None => None,
        };
        let news = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from);
        let news = Arc::new(news.map_err(RunError::system("start copying output"))?);
        let cancelled = news.clone();
        monitor_client::cancel::on_request(move || {
            let _ = rustix::io::write(&cancelled, &1_u64.to_ne_bytes());
        });
        let tails = Arc::new(Tails::default());
        let closed = Arc::new(Mutex::new(Vec::new()));
        let mut pumping = Vec::new();
        for (index, pump) in pumps.into_iter().enumerate() {
            let end = if pump.has_errors { Stream::Errors } else { Stream::Output };
            let sink = Sink::new(pump.name, record.clone(), tails.clone(), end, pump.log.clone());
            let (closed, news) = (closed.clone(), news.clone());
            pumping.push(Pumping::start(pump, sink, move || {
                closed.lock().unwrap_or_else(PoisonError::into_inner).push(index);
                let _ = rustix::io::write(&news, &1_u64.to_ne_bytes());
            })?);
        }
        let has_terminal =
            rustix::fs::open("/dev/tty", rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY, rustix::fs::Mode::empty()).is_ok();
        let work = Work {
            spec: &spec,
            signals,
            line,
            helper,
            outer,
            terminal,
            shown,
            limits: &limits,
            injection: injection.as_ref(),
            record: &record,
            env,
            claim,
            pumping,
            news,
            closed,
            typed: Vec::new(),
            asked: VecDeque::new(),
            is_interrupted: false,
            hung_up: None,
            has_command: false,
            command: None,
            has_terminal,
            told: None,
            give_up_at: None,
            at_end,
        };
        Ok(work.run(&tails))
    }
}
