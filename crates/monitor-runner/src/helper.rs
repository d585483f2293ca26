//! The command's parent: a fork of the launcher that does little, so that little can happen to it.
//!
//! It starts the command, tells how it ended, adopts what the command's children leave behind, and has the reading ends of all
//! pipes, so that the command can go on writing when the launcher has been killed.

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

/// All that the helper is given.
pub(crate) struct Helper {
    pub(crate) spec: Spec,
    pub(crate) line: UnixStream,
    /// Stands for the launcher.
    pub(crate) launcher: OwnedFd,
    pub(crate) signals: Signals,
    /// The command's stdin, stdout and stderr, if not this program's.
    pub(crate) theirs: [Option<OwnedFd>; 3],
    /// What is to be copied if the launcher can't.
    pub(crate) pumps: Vec<Option<Pump>>,
    /// Has a session of its own on this terminal.
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) limits: Limits,
    /// Where each step of a detached run is written down.
    pub(crate) steps: Option<Steps>,
    pub(crate) secrets: Secrets,
}

impl Helper {
    /// Runs until it is told to end, or everything has.
    pub(crate) fn run(mut self) -> i32 {
        // Without it, what loses its parent can't be found; all else works.
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
            // Only when there is something: it would wait.
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

    /// The code to end with, if it is to.
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

    /// The end of a session hangs up its terminal for whoever is in the foreground there.
    fn leave_terminal(&mut self) {
        if let Some(terminal) = self.terminal.take() {
            let _ = tcsetpgrp(terminal, getpgrp());
        }
    }
}

/// Sends what the launcher has left in the spool, in a process of its own: once the launcher is gone, and detached from all that
/// others may see, wait for or send signals to.
fn send(left: &Left, launcher: &OwnedFd) -> i32 {
    let _ = setsid();
    let _ = chdir("/");
    if sys::let_go_of_files(launcher).is_err() {
        // Whoever reads them is to see their end.
        return 1;
    }
    wait_for(&mut [PollFd::new(launcher, PollFlags::IN)], None);
    i32::from(!left.ship())
}

/// What goes on while it runs.
struct Work {
    line: Line<Tell, Ask>,
    /// The command or the hook that runs, until it has ended.
    command: Option<u32>,
    /// The launcher was told of its end.
    is_told: bool,
    /// What runs, or ran last.
    part: Part,
    /// What was set in its environment.
    env: Env,
    /// Ids of tree and process.
    ids: Option<(String, String)>,
    /// When the last attempt began, in Unix microseconds.
    begun_us: u64,
    /// How the last attempt ended.
    ended: Option<Outcome>,
    /// The launcher has heard of it.
    is_reaped: bool,
}

impl Work {
    fn begin(&mut self, part: Part, pid: u32) {
        (self.command, self.is_told, self.part, self.is_reaped) = (Some(pid), false, part, false);
        if let Part::Attempt(_) = part {
            (self.begun_us, self.ended) = (now_us(), None);
        }
    }

    /// Reaps who has ended, and tells if it was the command, which a launcher that is there has reaped when it has heard of it.
    fn reap(&mut self) {
        while let Some(change) = sys::stop_or_continuation() {
            match change {
                Change::Stopped { pid } if Some(pid) == self.command => self.line.say(&Tell::Stopped),
                // The launcher stopped with it.
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

/// Bytes read and written, with those of its children that it has waited for.
pub(crate) fn io_of(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((value("rchar:")?, value("wchar:")?))
}

/// Whether something is there before the time is over.
pub(crate) fn wait_for(files: &mut [PollFd<'_>], longest: Option<Duration>) -> bool {
    let longest = longest.and_then(|longest| longest.try_into().ok());
    poll(files, longest.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Writes all, whether the other end waits or not.
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
