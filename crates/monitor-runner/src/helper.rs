//! The helper: the command's parent process. It is a fork of the launcher and does little, so that little can go wrong in it.
//!
//! It starts the command, reports the command's end, and adopts processes that the command leaves behind. It also keeps the read ends of
//! all pipes open, so that the command can continue to write after the launcher was killed.

mod alone;
mod spawn;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use monitor_client::launcher::Left;
use monitor_runs::{Outcome, Spec, Steps, now_us, tree};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, chdir, getpgrp, ioctl_tiocsctty, set_child_subreaper, setsid};
use rustix::termios::tcsetpgrp;

use crate::limits::Limits;
use crate::messages::{Ask, Env, Line, Part, Tell, Whom};
use crate::secrets::Secrets;
use crate::streams::Pump;
use crate::sys::{self, Change, Dead, Signals};

/// Everything that the launcher passes to the helper at the fork.
pub(crate) struct Helper {
    pub(crate) spec: Spec,
    pub(crate) line: UnixStream,
    /// Pidfd of the launcher.
    pub(crate) launcher: OwnedFd,
    pub(crate) signals: Signals,
    /// The command's stdin, stdout and stderr. `None` where the launcher's own is used.
    pub(crate) theirs: [Option<OwnedFd>; 3],
    /// Streams that the helper copies if the launcher is dead.
    pub(crate) pumps: Vec<Option<Pump>>,
    /// Terminal of the command. The helper creates a session on it.
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) limits: Limits,
    /// File that records each step of a detached run.
    pub(crate) steps: Option<Steps>,
    pub(crate) secrets: Secrets,
}

impl Helper {
    /// Runs until the launcher orders the end, or until everything has ended.
    pub(crate) fn run(mut self) -> i32 {
        // Without subreaper, orphaned descendants can't be found. Everything else still works.
        let _ = set_child_subreaper(Some(Pid::INIT));
        if let Some(terminal) = &self.terminal {
            let _ = setsid();
            let _ = ioctl_tiocsctty(terminal);
        }
        let Ok(line) = self.line.try_clone() else { return 70 };
        let mut work = Work {
            line: Line::new(line),
            command: None,
            is_told: false,
            part: Part::Before,
            env: Vec::new(),
            ids: None,
            begun_us: 0,
            ended: None,
            is_reaped: false,
        };
        while !work.line.is_over {
            wait_for(&mut [PollFd::new(&work.line, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)], None);
            while self.signals.next().is_some() {}
            work.reap();
            // Read only if input is available, because reading blocks.
            if wait_for(&mut [PollFd::new(&work.line, PollFlags::IN)], Some(Duration::ZERO)) {
                work.line.listen();
            }
            while let Some(ask) = work.line.next() {
                if let Some(code) = self.answer(&mut work, ask) {
                    return code;
                }
            }
        }
        self.go_on_alone(&mut work)
    }

    /// Executes an order. Returns the exit code if the helper must end.
    fn answer(&mut self, work: &mut Work, ask: Ask) -> Option<i32> {
        let own = std::process::id();
        match ask {
            Ask::Began { ids } => work.ids = ids,
            Ask::Spawn { part, env } => {
                let tell = match self.spawn(part, &env) {
                    Ok(pid) => {
                        work.begin(part, pid);
                        work.env = env;
                        Tell::Spawned { pid }
                    }
                    Err((stage, error)) => Tell::NotSpawned { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) },
                };
                work.line.say(&tell);
            }
            Ask::Signal { signal, whom } => match (whom, work.command) {
                (Whom::Tree, _) => tree::signal(own, signal),
                (Whom::Command, Some(pid)) => monitor_runs::kill(pid as i32, signal),
                (Whom::Group, Some(pid)) => monitor_runs::kill(-(pid as i32), signal),
                (_, None) => {}
            },
            Ask::Reap => {
                if let Some(pid) = work.command.take() {
                    sys::reap(pid);
                }
                work.is_reaped = true;
                work.reap();
            }
            Ask::KillAll => tree::kill(own, || work.reap()),
            Ask::Left => {
                let is_left = !tree::descendants(own).is_empty();
                work.line.say(&Tell::Left(is_left));
            }
            Ask::Close { pump } => drop(self.pumps.get_mut(pump).and_then(Option::take)),
            Ask::LetGo => {
                self.leave_terminal();
                self.theirs = [None, None, None];
                work.line.say(&Tell::HasLetGo);
            }
            Ask::End { goes_on, left } => {
                if let Some(left) = left
                    && let Ok(None) = sys::fork()
                {
                    sys::end_with(|| send(&left, &self.launcher));
                }
                if goes_on {
                    self.copy(work);
                }
                return Some(0);
            }
        }
        None
    }

    /// Detaches the command's foreground group from the terminal. Otherwise the end of the session would send SIGHUP to that group.
    fn leave_terminal(&mut self) {
        if let Some(terminal) = self.terminal.take() {
            let _ = tcsetpgrp(terminal, getpgrp());
        }
    }
}

/// Sends the records that the launcher has left in the spool, after the launcher has ended. Runs in a separate process without open files
/// or terminal, so that no other program waits for it, sends it signals, or sees its files as open.
fn send(left: &Left, launcher: &OwnedFd) -> i32 {
    let _ = setsid();
    let _ = chdir("/");
    if sys::let_go_of_files(launcher).is_err() {
        // The readers of these files must see end-of-file.
        return 1;
    }
    wait_for(&mut [PollFd::new(launcher, PollFlags::IN)], None);
    i32::from(!left.ship())
}

/// State of the running helper.
struct Work {
    line: Line<Tell, Ask>,
    /// Pid of the running command or hook, until it has ended.
    command: Option<u32>,
    /// True if the end was reported to the launcher.
    is_told: bool,
    /// The part that runs, or ran last.
    part: Part,
    /// Environment of that part.
    env: Env,
    /// Ids of the tree and the process.
    ids: Option<(String, String)>,
    /// Start of the last attempt, in Unix microseconds.
    begun_us: u64,
    /// Outcome of the last attempt.
    ended: Option<Outcome>,
    /// True if the launcher has acknowledged the end.
    is_reaped: bool,
}

impl Work {
    fn begin(&mut self, part: Part, pid: u32) {
        (self.command, self.is_told, self.part, self.is_reaped) = (Some(pid), false, part, false);
        if let Part::Attempt(_) = part {
            (self.begun_us, self.ended) = (now_us(), None);
        }
    }

    /// Reaps ended children and reports stops and ends of the command. A live launcher orders the reaping of the command itself, after it
    /// has processed the end.
    fn reap(&mut self) {
        while let Some(change) = sys::stop_or_continuation() {
            match change {
                Change::Stopped { pid } if Some(pid) == self.command => self.line.say(&Tell::Stopped),
                // The launcher stops together with the command.
                Change::Continued { pid } if Some(pid) == self.command && !self.line.is_over => sys::continue_parent(),
                _ => {}
            }
        }
        while let Some(dead) = sys::peek() {
            if Some(dead.pid) == self.command {
                if !std::mem::replace(&mut self.is_told, true) {
                    let Dead { pid, code, signal, cpu, peak_bytes } = dead;
                    let io_bytes = io_of(pid);
                    if let Part::Attempt(attempts) = self.part {
                        let (started_us, ended_us) = (self.begun_us, now_us());
                        let ended =
                            Outcome { code, signal, cpu, peak_bytes, io_bytes, attempts, started_us, ended_us, ..Outcome::default() };
                        self.ended = Some(ended);
                    }
                    self.line.say(&Tell::Ended { code, signal, cpu_us: cpu.as_micros() as u64, peak_bytes, io_bytes });
                }
                if !self.line.is_over {
                    return;
                }
                self.command = None;
            }
            sys::reap(dead.pid);
        }
    }
}

/// Returns the number of bytes read and written by a process and by the children that it has waited for.
pub(crate) fn io_of(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((value("rchar:")?, value("wchar:")?))
}

/// Waits until one of the files is ready. Returns false if `longest` passes first.
pub(crate) fn wait_for(files: &mut [PollFd<'_>], longest: Option<Duration>) -> bool {
    let longest = longest.and_then(|longest| longest.try_into().ok());
    poll(files, longest.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Writes all bytes, and waits if a non-blocking file is full.
pub(crate) fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> Result<(), rustix::io::Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                wait_for(&mut [PollFd::new(to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
