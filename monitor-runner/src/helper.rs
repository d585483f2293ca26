//! The command's parent: a fork of the launcher that does little, so that little can happen to it.
//!
//! It starts the command, tells how it ended, adopts what the command's children leave behind, and has the reading ends of all
//! pipes, so that the command can go on writing when the launcher has been killed.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use monitor_client::Left;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, chdir, getpgrp, getpriority_process, ioctl_tiocsctty, set_child_subreaper, setpgid, setpriority_process, setsid,
};
use rustix::termios::tcsetpgrp;

use crate::limits::Limits;
use crate::messages::{Ask, Line, Stage, Tell, Whom};
use crate::spec::{OnDeath, Spec};
use crate::streams::{Pump, dup};
use crate::sys::{self, Change, Dead, Mask, Signals};
use crate::tree;

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
        let mut work = Work { line: Line::new(line), command: None, is_told: false };
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
        if self.spec.on_launcher_death == OnDeath::Kill {
            tree::kill(std::process::id(), || work.reap());
            return 0;
        }
        self.theirs = [None, None, None];
        self.terminal = None;
        self.copy(&mut work)
    }

    /// The code to end with, if it is to.
    fn answer(&mut self, work: &mut Work, ask: Ask) -> Option<i32> {
        let own = std::process::id();
        match ask {
            Ask::Spawn { env } => {
                let tell = match self.spawn(env) {
                    Ok(pid) => {
                        (work.command, work.is_told) = (Some(pid), false);
                        Tell::Spawned { pid }
                    }
                    Err((stage, error)) => Tell::NotSpawned { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) },
                };
                work.line.say(&tell);
            }
            Ask::Signal { signal, whom } => match (whom, work.command) {
                (Whom::Tree, _) => tree::signal(own, signal),
                (Whom::Command, Some(pid)) => sys::kill(pid as i32, signal),
                (Whom::Group, Some(pid)) => sys::kill(-(pid as i32), signal),
                (_, None) => {}
            },
            Ask::Reap => {
                if let Some(pid) = work.command.take() {
                    sys::reap(pid);
                }
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
                return Some(if goes_on { self.copy(work) } else { 0 });
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

    fn spawn(&self, env: Vec<(OsString, Option<OsString>)>) -> Result<u32, (Stage, io::Error)> {
        if let Some(folder) = &self.spec.cwd
            && let Err(error) = fs::read_dir(folder)
            // One that may be entered and not read is good enough.
            && (!folder.is_dir() || error.kind() == io::ErrorKind::NotFound)
        {
            return Err((Stage::Folder, error));
        }
        let start = |error: io::Error| (Stage::Start, error);
        let (program, arguments) = self.spec.command.split_first().ok_or_else(|| start(io::ErrorKind::NotFound.into()))?;
        let mut command = Command::new(program);
        command.args(arguments);
        // This program's own folder is kept as it is: it may have been removed, or be one that its user may not enter.
        if let Some(folder) = &self.spec.cwd {
            command.current_dir(folder);
        }
        for (name, value) in env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let stdio = |file: &Option<OwnedFd>| file.as_ref().map_or_else(|| Ok(Stdio::inherit()), |file| dup(file).map(Stdio::from));
        command.stdin(stdio(&self.theirs[0]).map_err(start)?);
        command.stdout(stdio(&self.theirs[1]).map_err(start)?);
        command.stderr(stdio(&self.theirs[2]).map_err(start)?);
        let (mut stages, stage) = io::pipe().map_err(start)?;
        let child = Child {
            mask: self.signals.before,
            limits: self.limits.for_child().map_err(|error| (Stage::Memory, error))?,
            nice: self.spec.nice,
            terminal: self.terminal.as_ref().map(dup).transpose().map_err(start)?,
            stage,
        };
        #[allow(unsafe_code, reason = "a child takes on what must not bind its parent")]
        // SAFETY: `prepare` makes system calls only. This program has one thread, so nothing is held that it could wait for.
        unsafe {
            command.pre_exec(move || child.prepare());
        }
        let spawned = command.spawn();
        // The writing end is the closure's.
        drop(command);
        match spawned {
            Ok(child) => Ok(child.id()),
            Err(error) => {
                let mut reached = Vec::new();
                let _ = stages.read_to_end(&mut reached);
                let stage = [Stage::Memory, Stage::Cpu, Stage::Nice, Stage::Terminal, Stage::Start]
                    .into_iter()
                    .find(|stage| reached.last() == Some(&(*stage as u8)));
                Err((stage.unwrap_or(Stage::Start), error))
            }
        }
    }

    /// Copies output until nobody can write any more, and the command has ended.
    fn copy(&mut self, work: &mut Work) -> i32 {
        let mut pumps: Vec<Pump> = self.pumps.drain(..).flatten().collect();
        let mut buffer = vec![0; 64 << 10];
        while !pumps.is_empty() || work.command.is_some() {
            let mut files: Vec<_> = pumps.iter().map(|pump| PollFd::new(&pump.from, PollFlags::IN)).collect();
            files.push(PollFd::new(&self.signals, PollFlags::IN));
            wait_for(&mut files, None);
            while self.signals.next().is_some() {}
            work.reap();
            pumps.retain_mut(|pump| match rustix::io::read(&pump.from, &mut buffer) {
                Ok(0) => false,
                Ok(length) => write_all(&pump.to, &buffer[..length]).is_ok(),
                Err(error) => matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
            });
        }
        0
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

/// What a child does to itself.
struct Child {
    mask: Mask,
    limits: crate::limits::ChildLimits,
    nice: Option<i32>,
    terminal: Option<OwnedFd>,
    stage: io::PipeWriter,
}

impl Child {
    fn prepare(&self) -> io::Result<()> {
        self.reach(Stage::Memory)?;
        self.limits.memory()?;
        self.reach(Stage::Cpu)?;
        self.limits.cpu()?;
        self.reach(Stage::Nice)?;
        if let Some(nice) = self.nice {
            setpriority_process(None, getpriority_process(None)?.saturating_add(nice).clamp(-20, 19))?;
        }
        self.reach(Stage::Terminal)?;
        if let Some(terminal) = &self.terminal {
            Mask::hold_off_terminal();
            setpgid(None, None)?;
            tcsetpgrp(terminal, getpgrp())?;
        }
        self.reach(Stage::Start)?;
        self.mask.restore();
        Ok(())
    }

    fn reach(&self, stage: Stage) -> io::Result<()> {
        (&self.stage).write_all(&[stage as u8])
    }
}

/// What goes on while it runs.
struct Work {
    line: Line<Tell, Ask>,
    /// The command, until it has ended.
    command: Option<u32>,
    /// The launcher was told of its end.
    is_told: bool,
}

impl Work {
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
                    self.line.say(&Tell::Ended { code, signal, cpu_us: cpu.as_micros() as u64, peak_bytes, io_bytes: io_of(pid) });
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
fn io_of(pid: u32) -> Option<(u64, u64)> {
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
