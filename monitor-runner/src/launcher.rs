//! Watches a command: passes signals on, keeps the time, and records what comes of it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

use crate::helper::{Helper, wait_for};
use crate::identity::Identity;
use crate::inject::Injection;
use crate::limits::Limits;
use crate::lines::{FileTail, Sink, Tail};
use crate::messages::{Ask, Line, Stage, Tell, Whom};
use crate::outcome::{Outcome, RunError};
use crate::pump::Pumping;
use crate::record::Record;
use crate::spec::Spec;
use crate::streams::{Pump, Streams, dup};
use crate::sys::{self, Signals};
use crate::terminal::Outer;
use crate::tree::DETACHED;

/// How often the use of CPU time is looked at, and whether anything is left of a tree.
const LOOK: Duration = Duration::from_millis(50);
/// How long output that is there already may take to be copied once a command that was to be ended has.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// A command that is ready to be run.
#[derive(Debug)]
pub struct Launcher {
    spec: Spec,
    folder: PathBuf,
    signals: Signals,
    line: Line<Ask, Tell>,
    pumps: Vec<Pump>,
    outer: Option<Outer>,
    sizes: Option<(OwnedFd, OwnedFd)>,
    limits: Limits,
    injection: Option<Injection>,
    helper: u32,
}

/// What whoever asked is told meanwhile.
pub(crate) trait Watch {
    /// It is recorded, under these ids of tree and process.
    fn began(&mut self, _ids: Option<(String, String)>, _helper: Option<Identity>) {}
    /// It runs.
    fn started(&mut self, _command: Option<Identity>) {}
    /// It has ended, for good.
    fn ended(&mut self, _outcome: &Outcome) {}
}

impl Watch for () {}

/// Gets everything ready that needs a program with one thread: the helper is forked, signals are taken, and recording is on
/// from here on, whatever `MONITOR_ENABLED` says, for this `server` or else that of `MONITOR_SERVER_URL`.
///
/// # Errors
/// When there is no command, or the system refuses what is needed.
pub fn prepare(spec: Spec, server: Option<&str>) -> Result<Launcher, RunError> {
    if spec.command.first().is_none_or(|program| program.is_empty()) {
        return Err(RunError::NoCommand);
    }
    let folder = spec.folder();
    let signals = Signals::take().map_err(RunError::system("take the signals"))?;
    let output = RunError::system;
    let Streams { theirs, pumps, outer, sizes } = Streams::plan(&spec).map_err(output("take the output"))?;
    let again = pumps.iter().map(|pump| pump.again().map(Some)).collect::<io::Result<Vec<_>>>().map_err(output("take the output"))?;
    let terminal = theirs[0].as_ref().map(dup).transpose().map_err(output("take the terminal"))?;
    let injection = Injection::new(&spec)?;
    let limits = Limits::new(&spec);
    let (line, helpers) = UnixStream::pair().map_err(RunError::system("start the helper"))?;
    sys::set_env("MONITOR_ENABLED", "1");
    if let Some(server) = server {
        sys::set_env("MONITOR_SERVER_URL", server);
    }
    sys::remove_env(DETACHED);
    match sys::fork().map_err(RunError::system("start the helper"))? {
        None => {
            // The launcher's, whose end is to be seen.
            drop((line, pumps, outer, sizes));
            if let Some(injection) = injection {
                injection.forget();
            }
            sys::end_with(|| Helper { spec, folder, line: helpers, signals, theirs, pumps: again, terminal, limits }.run())
        }
        Some(helper) => Ok(Launcher { spec, folder, signals, line: Line::new(line), pumps, outer, sizes, limits, injection, helper }),
    }
}

impl Launcher {
    /// Runs the command to its end, as often as it is to be tried.
    ///
    /// # Errors
    /// When the output can't be copied, or written to a file.
    pub fn run(self) -> Result<Outcome, RunError> {
        self.run_watched(&mut ())
    }

    pub(crate) fn run_watched(self, watch: &mut dyn Watch) -> Result<Outcome, RunError> {
        let Self { spec, folder, signals, line, pumps, outer, sizes, limits, injection, helper } = self;
        let record = Arc::new(Record::begin(&spec, &folder, limits.words(&spec)));
        watch.began(record.ids(), Identity::of(helper));
        if let Err(error) = record.open_file(&spec) {
            let path = spec.log_dir.clone().unwrap_or_default();
            let error = RunError::Folder { path, wanted: "can't be written to (--log-dir)", source: error };
            record.end(&Outcome { error: Some(error.to_string()), reason: Some("not-started".to_owned()), ..Outcome::default() }, "", true);
            return Err(error);
        }
        let terminal = match &outer {
            Some(_) => pumps.first().map(|pump| dup(&pump.from)).transpose().map_err(RunError::system("take the terminal"))?,
            None => None,
        };
        let news = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from);
        let news = Arc::new(news.map_err(RunError::system("start copying output"))?);
        let tail = Arc::new(Mutex::new(Tail::default()));
        let closed = Arc::new(Mutex::new(Vec::new()));
        let mut pumping = Vec::new();
        for (index, pump) in pumps.into_iter().enumerate() {
            let sink = Sink::new(pump.name, record.clone(), pump.has_errors.then(|| tail.clone()));
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
            sizes,
            limits: &limits,
            injection: injection.as_ref(),
            record: &record,
            pumping,
            news,
            closed,
            typed: Vec::new(),
            is_interrupted: false,
            has_terminal,
        };
        Ok(work.run(&tail, watch))
    }
}

/// What goes on while it runs.
struct Work<'a> {
    spec: &'a Spec,
    signals: Signals,
    line: Line<Ask, Tell>,
    helper: u32,
    /// The terminal that the launcher has taken, and the one that the command has in its place.
    outer: Option<Outer>,
    terminal: Option<OwnedFd>,
    sizes: Option<(OwnedFd, OwnedFd)>,
    limits: &'a Limits,
    injection: Option<&'a Injection>,
    record: &'a Record,
    pumping: Vec<Pumping>,
    /// Streams that nobody reads any more.
    closed: Arc<Mutex<Vec<usize>>>,
    /// One was added.
    news: Arc<OwnedFd>,
    /// Keys that the command's terminal has no room for yet.
    typed: Vec<u8>,
    /// Somebody wants it to end: it is not tried again.
    is_interrupted: bool,
    /// Somebody may see that the launcher has stopped, and continue it.
    has_terminal: bool,
}

/// An attempt that is to end.
struct Ending {
    reason: &'static str,
    kill_at: Instant,
    is_killed: bool,
}

impl Work<'_> {
    fn run(mut self, tail: &Mutex<Tail>, watch: &mut dyn Watch) -> Outcome {
        if let Some(outer) = &mut self.outer {
            outer.take();
        }
        let mut file_tail = if self.spec.capture { None } else { FileTail::of_stderr() };
        // Without it the command runs as well.
        let mut following = self.injection.and_then(|injection| injection.follow().ok());
        let mut attempt = 1;
        let outcome = loop {
            let mut outcome = self.attempt(watch);
            outcome.attempts = attempt;
            self.drain();
            let was_started = outcome.error.is_none();
            let again = attempt <= self.spec.retry && was_started && !outcome.is_success() && !self.is_interrupted;
            let mut said = tail.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(file) = file_tail.as_mut().filter(|_| said.is_empty()) {
                said = file.take();
            }
            if again {
                self.record.end(&outcome, &said, false);
                if self.sleep(self.spec.backoff.saturating_mul(1 << (attempt - 1).min(20))) {
                    attempt += 1;
                    self.record.again(attempt);
                    continue;
                }
            } else {
                self.let_go();
                if let Some(following) = following.take() {
                    let (_, script) = self.record.ids().unwrap_or_default();
                    following.stop(&script, outcome.exit_code());
                }
                self.record.end(&outcome, &said, true);
            }
            break outcome;
        };
        watch.ended(&outcome);
        for pumping in self.pumping.drain(..) {
            pumping.stop();
        }
        outcome
    }

    /// Starts the command and waits for its end.
    fn attempt(&mut self, watch: &mut dyn Watch) -> Outcome {
        let mut env: Vec<(OsString, Option<OsString>)> = self.record.environment();
        env.extend(self.injection.into_iter().flat_map(Injection::env));
        env.extend(self.spec.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
        self.line.say(&Ask::Spawn { env });
        let begun = Instant::now();
        let mut ending: Option<Ending> = None;
        let used_before = self.limits.used_cpu().unwrap_or_default();
        loop {
            let timeout = self.spec.timeout.map(|timeout| begun + timeout).filter(|_| ending.is_none());
            let kill = ending.as_ref().filter(|ending| !ending.is_killed).map(|ending| ending.kill_at);
            let look = self.limits.cpu.filter(|_| ending.is_none()).map(|_| Instant::now() + LOOK);
            let next = [timeout, kill, look].into_iter().flatten().min();
            self.wait(next.map(|next| next.saturating_duration_since(Instant::now())));
            for signal in self.take_signals() {
                let is_kill = signal == sys::kill_tree();
                if is_kill || (signal == sys::end_tree() && ending.is_none()) {
                    let grace = if is_kill { Duration::ZERO } else { self.spec.grace };
                    ending = Some(self.end("killed", grace));
                }
            }
            while let Some(tell) = self.line.next() {
                match tell {
                    Tell::Spawned { pid } => {
                        self.record.field("pid", pid);
                        watch.started(Identity::of(pid));
                    }
                    Tell::NotSpawned { stage, errno } => return self.not_started(stage, &io::Error::from_raw_os_error(errno)),
                    Tell::Stopped => self.stop(),
                    Tell::Ended { code, signal, cpu_us, peak_bytes, io_bytes } => {
                        if let Some(ending) = &ending {
                            self.clear_up(ending);
                        }
                        let reason = match ending.map(|ending| ending.reason) {
                            None if self.limits.was_out_of_memory() => Some("memory"),
                            None if self.spec.cpu.is_some() && signal == Some(libc::SIGXCPU) => Some("cpu"),
                            reason => reason,
                        };
                        return Outcome {
                            code,
                            signal,
                            reason: reason.map(str::to_owned),
                            error: None,
                            cpu: Duration::from_micros(cpu_us),
                            peak_bytes,
                            io_bytes,
                            attempts: 0,
                        };
                    }
                    Tell::Left(_) | Tell::HasLetGo => {}
                }
            }
            if self.line.is_over {
                let error = "the helper that started the command was killed: how the command ended is unknown".to_owned();
                return Outcome { error: Some(error), reason: Some("lost".to_owned()), ..Outcome::default() };
            }
            if ending.is_none() && timeout.is_some_and(|at| at <= Instant::now()) {
                ending = Some(self.end("timeout", self.spec.grace));
            }
            if let (None, Some(limit), Some(used)) = (&ending, self.limits.cpu, self.limits.used_cpu())
                && used.saturating_sub(used_before) >= limit
            {
                ending = Some(self.end("cpu", self.spec.grace));
            }
            if let Some(ending) = ending.as_mut().filter(|ending| !ending.is_killed && ending.kill_at <= Instant::now()) {
                self.line.say(&Ask::KillAll);
                ending.is_killed = true;
            }
        }
    }

    fn end(&mut self, reason: &'static str, grace: Duration) -> Ending {
        self.is_interrupted |= reason == "killed";
        self.line.say(&Ask::Signal { signal: libc::SIGTERM, whom: Whom::Tree });
        // One that is stopped would not hear it.
        self.line.say(&Ask::Signal { signal: libc::SIGCONT, whom: Whom::Tree });
        Ending { reason, kill_at: Instant::now() + grace, is_killed: false }
    }

    /// The command has ended as it was to; what it has started may take as long as it might have.
    fn clear_up(&mut self, ending: &Ending) {
        while !ending.is_killed && Instant::now() < ending.kill_at {
            self.line.say(&Ask::Left);
            let answer = self.answer(|tell| if let Tell::Left(is_left) = tell { Some(*is_left) } else { None });
            if answer != Some(true) {
                return;
            }
            self.sleep(LOOK);
        }
        self.line.say(&Ask::KillAll);
    }

    fn not_started(&self, stage: Stage, error: &io::Error) -> Outcome {
        let program = self.spec.command.first().cloned().unwrap_or_default();
        let name = program.to_string_lossy().into_owned();
        let is_path = name.contains('/');
        let (code, reason, why) = match (stage, error.kind()) {
            (Stage::Start, io::ErrorKind::NotFound) if is_path && self.spec.folder().join(&program).exists() => {
                (126, "not-executable", format!("{name}: the interpreter that its first line names is not there"))
            }
            (Stage::Start, io::ErrorKind::NotFound) if is_path => (127, "not-found", format!("{name}: there is no such file")),
            (Stage::Start, io::ErrorKind::NotFound) => (127, "not-found", format!("{name}: command not found")),
            (Stage::Start, _) => (126, "not-executable", format!("{name}: can't be executed: {error}")),
            (Stage::Folder, _) => (125, "not-started", format!("the folder {} can't be entered: {error}", self.spec.folder().display())),
            (Stage::Memory, _) => (125, "not-started", format!("the memory can't be limited (--memory): {error}")),
            (Stage::Cpu, _) => (125, "not-started", format!("the CPU time can't be limited (--cpu): {error}")),
            (Stage::Nice, _) => (125, "not-started", format!("it can't run so nice (--nice): {error}")),
            (Stage::Terminal, _) => (125, "not-started", format!("it can't have a terminal: {error}")),
        };
        Outcome { code: Some(code), reason: Some(reason.to_owned()), error: Some(why), ..Outcome::default() }
    }

    /// Waits until something happens, or this is over.
    fn wait(&mut self, longest: Option<Duration>) {
        let mut files =
            vec![PollFd::new(&self.line, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.news, PollFlags::IN)];
        let typing = self.outer.as_ref().zip(self.terminal.as_ref()).filter(|(outer, _)| outer.is_taken());
        if let Some((outer, terminal)) = typing {
            files.push(if self.typed.is_empty() { PollFd::new(outer, PollFlags::IN) } else { PollFd::new(terminal, PollFlags::OUT) });
        }
        if !wait_for(&files, longest) {
            return;
        }
        let is_ready = |index: usize| files.get(index).is_some_and(|file| wait_for(std::slice::from_ref(file), Some(Duration::ZERO)));
        let (is_told, is_typed) = (is_ready(0), is_ready(3));
        drop(files);
        if is_typed {
            self.hand_on_keys();
        }
        if is_told {
            self.line.listen();
        }
        let _ = rustix::io::read(&self.news, &mut [0_u8; 8][..]);
        for pump in self.closed.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.line.say(&Ask::Close { pump });
        }
    }

    /// From the terminal to the command's, as far as there is room.
    fn hand_on_keys(&mut self) {
        let (Some(outer), Some(terminal)) = (&self.outer, &self.terminal) else { return };
        if self.typed.is_empty() {
            let mut buffer = [0; 1_024];
            if let Ok(length) = rustix::io::read(outer, &mut buffer) {
                self.typed.extend_from_slice(&buffer[..length]);
            }
        }
        if let Ok(length) = rustix::io::write(terminal, &self.typed) {
            self.typed.drain(..length);
        }
    }

    /// Passes signals on; those that are for the launcher itself come back.
    fn take_signals(&mut self) -> Vec<i32> {
        let mut own = Vec::new();
        while let Some(arrived) = self.signals.next() {
            let signal = arrived.signal;
            match signal {
                libc::SIGCHLD | libc::SIGTTIN | libc::SIGTTOU => continue,
                libc::SIGWINCH => self.resize(),
                libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT => self.is_interrupted = true,
                _ if signal == sys::end_tree() || signal == sys::kill_tree() => {
                    own.push(signal);
                    continue;
                }
                _ => {}
            }
            let whom = if let Some(outer) = &mut self.outer {
                match signal {
                    libc::SIGWINCH => continue,
                    libc::SIGCONT => {
                        outer.take();
                        self.resize();
                        Whom::Group
                    }
                    // As a shell sends them, to all of a job.
                    libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM | libc::SIGTSTP => Whom::Group,
                    _ => Whom::Command,
                }
            } else {
                // The command is in the same group: what came from the terminal it has itself, and from within it, too.
                match arrived.sender {
                    None => continue,
                    Some(sender) if sender == self.helper || descends(sender, self.helper) => continue,
                    Some(_) => Whom::Command,
                }
            };
            self.line.say(&Ask::Signal { signal, whom });
        }
        own
    }

    /// The command was stopped, and so is the launcher, for the shell to see.
    fn stop(&mut self) {
        if !self.has_terminal {
            return;
        }
        if let Some(outer) = &mut self.outer {
            outer.give_back();
        }
        sys::stop_self();
        if let Some(outer) = &mut self.outer {
            outer.take();
            self.resize();
            self.line.say(&Ask::Signal { signal: libc::SIGCONT, whom: Whom::Group });
        }
    }

    fn resize(&mut self) {
        if let (Some(size), Some(terminal)) = (self.outer.as_ref().and_then(Outer::size), &self.terminal) {
            let _ = tcsetwinsize(terminal, size);
        }
        if let Some((outer, terminal)) = &self.sizes
            && let Ok(size) = tcgetwinsize(outer)
        {
            let _ = tcsetwinsize(terminal, size);
            // Unlike the launcher's terminal, this one has nobody in its foreground whom it would tell.
            self.line.say(&Ask::Signal { signal: libc::SIGWINCH, whom: Whom::Command });
        }
    }

    /// Waits so long, unless somebody wants it to end; `false` if so.
    fn sleep(&mut self, longest: Duration) -> bool {
        let until = Instant::now() + longest.min(LONGEST_WAIT);
        while Instant::now() < until && !self.is_interrupted && !self.line.is_over {
            self.wait(Some(until.saturating_duration_since(Instant::now())));
            self.is_interrupted |= !self.take_signals().is_empty();
        }
        !self.is_interrupted && !self.line.is_over
    }

    /// The helper's answer.
    fn answer<T>(&mut self, take: impl Fn(&Tell) -> Option<T>) -> Option<T> {
        loop {
            while let Some(tell) = self.line.next() {
                if let Some(answer) = take(&tell) {
                    return Some(answer);
                }
            }
            if self.line.is_over {
                return None;
            }
            self.wait(None);
            self.take_signals();
        }
    }

    /// Has all output copied that was written by now; whether nobody can write any more. Somebody may want the launcher to end
    /// while nobody reads that output.
    fn drain(&mut self) -> bool {
        let was_interrupted = std::mem::take(&mut self.is_interrupted);
        let answers: Vec<_> = self.pumping.iter().map(Pumping::drain).collect();
        let mut is_over = true;
        for answer in answers {
            loop {
                match answer.recv_timeout(LOOK) {
                    Ok(is_this_over) => is_over &= is_this_over,
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {}
                    Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                        self.take_signals();
                        if !self.is_interrupted {
                            continue;
                        }
                        is_over = false;
                    }
                }
                break;
            }
        }
        self.is_interrupted |= was_interrupted;
        is_over
    }

    /// Nothing more is started. Whoever can still write output has the helper to copy it.
    fn let_go(&mut self) {
        self.line.say(&Ask::LetGo);
        self.answer(|tell| matches!(tell, Tell::HasLetGo).then_some(()));
        let is_over = self.drain();
        self.line.say(if is_over { &Ask::End } else { &Ask::GoOn });
        if let Some(outer) = &mut self.outer {
            outer.give_back();
        }
    }
}

/// Whether a process was started below `top`.
fn descends(pid: u32, top: u32) -> bool {
    let mut pid = pid;
    for _ in 0..1_000 {
        match crate::identity::Stat::of(pid) {
            Some(stat) if stat.parent == top => return true,
            Some(stat) if stat.parent > 1 => pid = stat.parent,
            _ => return false,
        }
    }
    false
}
