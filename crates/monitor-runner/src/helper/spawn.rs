//! Starts a command: forks, applies limits, user and terminal in the child, and executes the program.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use monitor_runs::Steps;
use rustix::process::{getpgrp, getpriority_process, setpgid, setpriority_process};
use rustix::termios::tcsetpgrp;

use super::Helper;
use crate::account::Account;
use crate::hooks;
use crate::limits::ChildLimits;
use crate::messages::{Env, Part, Stage};
use crate::streams::dup;
use crate::sys::{self, Mask};

impl Helper {
    /// Starts a part of the run and returns its pid.
    ///
    /// # Errors
    /// The stage that failed, and the error.
    pub(super) fn spawn(&self, part: Part, env: &Env) -> Result<u32, (Stage, io::Error)> {
        if let Some(folder) = &self.spec.cwd
            && let Err(error) = fs::read_dir(folder)
            // A folder without read permission is fine if it can be entered.
            && (!folder.is_dir() || error.kind() == io::ErrorKind::NotFound)
        {
            return Err((Stage::Folder, error));
        }
        let start = |error: io::Error| (Stage::Start, error);
        let account = Account::of(&self.spec).map_err(|error| (Stage::User, error))?;
        let command = match part {
            Part::Before => &self.spec.before,
            Part::Attempt(_) => &self.spec.command,
            Part::After => &self.spec.after,
        };
        let (program, arguments) = command.split_first().ok_or_else(|| start(io::ErrorKind::NotFound.into()))?;
        let mut command = Command::new(program);
        command.args(arguments);
        // Without a configured folder, the current one is inherited without checks. It may have been removed, or may be inaccessible to the
        // user.
        if let Some(folder) = &self.spec.cwd {
            command.current_dir(folder);
        }
        for (name, value) in account.iter().flat_map(|account| &account.env) {
            command.env(name, value);
        }
        for (name, value) in env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let stdio = |file: &Option<OwnedFd>| file.as_ref().map_or_else(|| Ok(Stdio::inherit()), |file| dup(file).map(Stdio::from));
        command.stdin(match part {
            Part::Before | Part::After => Stdio::from(hooks::input(&self.spec, env).map_err(start)?),
            Part::Attempt(_) => stdio(&self.theirs[0]).map_err(start)?,
        });
        command.stdout(stdio(&self.theirs[1]).map_err(start)?);
        command.stderr(stdio(&self.theirs[2]).map_err(start)?);
        let step = match part {
            Part::Attempt(attempt) => self.steps.clone().map(|steps| (steps, attempt)),
            Part::Before | Part::After => None,
        };
        let (mut stages, stage) = io::pipe().map_err(start)?;
        let tells = stage.try_clone().map_err(start)?;
        let mut child = Child {
            mask: self.signals.before,
            limits: self.limits.for_child().map_err(|error| (Stage::Memory, error))?,
            nice: self.spec.nice,
            terminal: self.terminal.as_ref().map(dup).transpose().map_err(start)?,
            step: step.clone(),
            account,
            stage,
        };
        if let Some((steps, attempt)) = &step {
            steps.executing(*attempt).map_err(|error| (Stage::Step, error))?;
        }
        let grouped = self.limits.group_file().and_then(|group| sys::fork_into(&group).ok());
        let is_grouped = grouped.is_some();
        let Some(pid) = grouped.map_or_else(sys::fork, Ok).map_err(start)? else {
            if is_grouped {
                child.limits.is_in_group();
            }
            sys::end_with(|| become_command(command, child, tells))
        };
        // Close the write ends. The child's copies are closed by exec.
        drop((command, child, tells));
        let mut told = Vec::new();
        let _ = stages.read_to_end(&mut told);
        let Some(at) = told.iter().position(|byte| *byte == FAILED) else { return Ok(pid) };
        sys::wait_for_end(pid);
        let stage = [Stage::Step, Stage::Memory, Stage::Cpu, Stage::Nice, Stage::Terminal, Stage::User, Stage::Start]
            .into_iter()
            .find(|stage| told[..at].last() == Some(&(*stage as u8)));
        let errno = told[at + 1..].try_into().map_or(libc::EIO, i32::from_ne_bytes);
        Err((stage.unwrap_or(Stage::Start), io::Error::from_raw_os_error(errno)))
    }
}

/// Marker that a child writes before the error number if exec fails.
const FAILED: u8 = u8::MAX;

/// Executes the command in this process, which is a single-threaded fork. Returns only if that fails, after it has reported the error to
/// the parent.
fn become_command(mut command: Command, child: Child, mut tells: io::PipeWriter) -> i32 {
    #[allow(unsafe_code, reason = "a child takes on what must not bind its parent")]
    // SAFETY: the process has a single thread, so no lock that `prepare` could need is held by another thread, not even the allocator's.
    unsafe {
        command.pre_exec(move || child.prepare());
    }
    let errno = command.exec().raw_os_error().unwrap_or(libc::EIO);
    let mut words = vec![FAILED];
    words.extend(errno.to_ne_bytes());
    // If the parent has died, there is no process to report to.
    let _ = tells.write_all(&words);
    127
}

/// Preparation of a child between fork and exec.
struct Child {
    mask: Mask,
    limits: ChildLimits,
    nice: Option<i32>,
    terminal: Option<OwnedFd>,
    /// Step file and attempt number. The child records there that it executes the attempt.
    step: Option<(Steps, u32)>,
    account: Option<Account>,
    stage: io::PipeWriter,
}

impl Child {
    fn prepare(&self) -> io::Result<()> {
        self.reach(Stage::Step)?;
        if let Some((steps, attempt)) = &self.step {
            steps.running(*attempt)?;
        }
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
        self.reach(Stage::User)?;
        if let Some(account) = &self.account {
            account.take()?;
        }
        self.reach(Stage::Start)?;
        self.mask.restore();
        Ok(())
    }

    fn reach(&self, stage: Stage) -> io::Result<()> {
        (&self.stage).write_all(&[stage as u8])
    }
}
