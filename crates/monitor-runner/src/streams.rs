//! Selects the command's stdin, stdout and stderr: the launcher's own where nothing must be captured, otherwise a pipe or a pseudo-terminal
//! of the same type as the launcher's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use monitor_runs::{Origin, OutputLog, Spec};
use rustix::fs::{FileType, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::ioctl_fionread;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::helper::write_all;
use crate::terminal::{Outer, Pty, Shown, is_terminal};

/// Streams of a command.
#[derive(Debug)]
pub(crate) struct Streams {
    /// The command's stdin, stdout and stderr, if not the launcher's.
    pub(crate) theirs: [Option<OwnedFd>; 3],
    /// Copies between descriptors, made by the pump.
    pub(crate) pumps: Vec<Pump>,
    /// The launcher's terminal, if the command has its own terminal instead.
    pub(crate) outer: Option<Outer>,
    /// The launcher's terminal, if only the output goes through a terminal of the command.
    pub(crate) shown: Option<Shown>,
}

/// An output stream with its source and destination.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) name: &'static str,
    pub(crate) from: OwnedFd,
    pub(crate) to: OwnedFd,
    /// True if the stream contains error output.
    pub(crate) has_errors: bool,
    /// Output file of a detached run, which replaces the destination.
    pub(crate) log: Option<DetachedLog>,
}

/// The output file of a detached run, for one stream.
#[derive(Debug, Clone)]
pub(crate) struct DetachedLog {
    file: Arc<OutputLog>,
    origin: Origin,
}

impl DetachedLog {
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() { Ok(()) } else { self.file.write(self.origin, bytes) }
    }
}

impl Streams {
    pub(crate) fn plan(spec: &Spec, log: Option<&Arc<OutputLog>>) -> io::Result<Self> {
        let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        let mut streams = Self { theirs: [None, None, None], pumps: Vec::new(), outer: None, shown: None };
        if let Some(log) = log {
            streams.take(1, stdout, "stdout", spec)?;
            streams.take(2, stderr, "stderr", spec)?;
            for (pump, origin) in streams.pumps.iter_mut().zip([Origin::Stdout, Origin::Stderr]) {
                pump.log = Some(DetachedLog { file: log.clone(), origin });
            }
            return Ok(streams);
        }
        if is_terminal(stdin) && is_terminal(stdout) {
            let pty = Pty::like(stdin, false)?;
            streams.theirs = [Some(dup(&pty.theirs)?), Some(dup(&pty.theirs)?), None];
            if is_terminal(stderr) {
                streams.theirs[2] = Some(dup(&pty.theirs)?);
            } else {
                streams.take(2, stderr, "stderr", spec)?;
            }
            streams.outer = Some(Outer::new(dup(stdin)?, &pty)?);
            let has_errors = is_terminal(stderr);
            // Must be the first pump, because the launcher writes typed keys to it.
            streams.pumps.insert(0, Pump::new("terminal", pty.ours, dup(stdout)?, has_errors)?);
            return Ok(streams);
        }
        if are_one(stdout, stderr) {
            let name = if is_terminal(stdout) { "terminal" } else { "stdout" };
            if let Some(theirs) = streams.take(1, stdout, name, spec)? {
                streams.theirs[2] = Some(theirs);
                streams.pumps[0].has_errors = true;
            }
        } else {
            streams.take(1, stdout, "stdout", spec)?;
            streams.take(2, stderr, "stderr", spec)?;
        }
        Ok(streams)
    }

    /// Inserts a pipe or terminal between the command and `to`, if the output must be captured. Returns a duplicate of the command's end.
    fn take(&mut self, number: usize, to: BorrowedFd<'static>, name: &'static str, spec: &Spec) -> io::Result<Option<OwnedFd>> {
        let (ours, theirs) = if is_terminal(to) {
            let pty = Pty::like(to, true)?;
            if self.shown.is_none() {
                self.shown = Some(Shown::new(dup(to)?, dup(&pty.ours)?, &pty.theirs));
            }
            (pty.ours, pty.theirs)
        } else if is_file(to) && !spec.capture {
            return Ok(None);
        } else {
            pipe_with(PipeFlags::CLOEXEC)?
        };
        let again = dup(&theirs)?;
        self.theirs[number] = Some(theirs);
        self.pumps.push(Pump::new(name, ours, dup(to)?, number == 2)?);
        Ok(Some(again))
    }
}

impl Pump {
    fn new(name: &'static str, from: OwnedFd, to: OwnedFd, has_errors: bool) -> io::Result<Self> {
        fcntl_setfl(&from, fcntl_getfl(&from)? | OFlags::NONBLOCK)?;
        Ok(Self { name, from, to, has_errors, log: None })
    }

    /// Returns the number of bytes that were written and not read yet. Unknown, hence the maximum, for a terminal.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let is_pipe = fstat(&self.from).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if is_pipe { ioctl_fionread(&self.from).map_or(usize::MAX, |bytes| bytes as usize) } else { usize::MAX }
    }

    /// Passes output on unchanged, and waits if the destination is full. The output of a detached run is only stored.
    pub(crate) fn pass_on(&self, bytes: &[u8]) -> io::Result<()> {
        if self.log.is_some() { Ok(()) } else { Ok(write_all(&self.to, bytes)?) }
    }

    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self { name: self.name, from: dup(&self.from)?, to: dup(&self.to)?, has_errors: self.has_errors, log: self.log.clone() })
    }
}

pub(crate) fn dup(file: impl AsFd) -> io::Result<OwnedFd> {
    file.as_fd().try_clone_to_owned()
}

fn is_file(file: impl AsFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Returns true if both go to the same place, as with `2>&1`, so that the order of their output matters.
fn are_one(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    let key = |stat: Stat| (stat.st_dev, stat.st_ino, stat.st_rdev);
    let is_null = |stat: Stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && !is_terminal(a);
    fstat(a).is_ok_and(|a| !is_null(a) && fstat(b).is_ok_and(|b| key(a) == key(b)))
}
