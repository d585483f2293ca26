//! Handles the launcher's terminal and the pseudo-terminal that it creates for the command.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr, tcgetsid, tcgetwinsize, tcsetattr,
    tcsetwinsize,
};

use crate::readers::{TerminalId, is_awaited};
use crate::sys;

/// Interval at which the modes and the readers of the command's terminal are checked where only its output goes through one.
pub(crate) const CHECK: Duration = Duration::from_millis(100);

/// Both ends of a pseudo-terminal.
#[derive(Debug)]
pub(crate) struct Pty {
    /// End that the launcher reads and writes.
    pub(crate) ours: OwnedFd,
    /// End that is the command's terminal.
    pub(crate) theirs: OwnedFd,
}

impl Pty {
    /// Creates a pseudo-terminal with the size and modes of `outer`. If this program is in the background, `outer` has the modes of another
    /// program, such as a shell that edits its input, so default modes are used. If `only_output`, bytes pass through unchanged, because
    /// the outer terminal processes them.
    pub(crate) fn like(outer: impl AsFd, only_output: bool) -> Result<Self, Errno> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        let mut modes = if sys::is_foreground(&outer) { tcgetattr(&outer)? } else { tcgetattr(&theirs)? };
        if only_output {
            modes.output_modes.remove(OutputModes::OPOST);
        }
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        if let Ok(size) = tcgetwinsize(&outer) {
            tcsetwinsize(&theirs, size)?;
        }
        Ok(Self { ours, theirs })
    }
}

/// The launcher's terminal, while the command has its own terminal instead.
#[derive(Debug)]
pub(crate) struct Outer {
    file: OwnedFd,
    /// Modes at the time at which it was last taken.
    modes: Termios,
    /// True while it is in raw mode and keys are passed on.
    is_raw: bool,
    /// Initial modes of the command's terminal, if it was created while this program was in the background.
    provisional: Option<Termios>,
}

impl Outer {
    pub(crate) fn new(file: OwnedFd, pty: &Pty) -> Result<Self, Errno> {
        let modes = tcgetattr(&file)?;
        let provisional = if sys::is_foreground(&file) { None } else { Some(tcgetattr(&pty.theirs)?) };
        Ok(Self { file, modes, is_raw: false, provisional })
    }

    /// Returns true if this program is in the foreground, so that keys are meant for it.
    pub(crate) fn is_foreground(&self) -> bool {
        sys::is_foreground(&self.file)
    }

    /// Switches to raw mode if this program is in the foreground. If the command's terminal was created in the background, it now gets the
    /// modes of this terminal, unless the command has changed them.
    pub(crate) fn take(&mut self, terminal: &OwnedFd) {
        if self.is_raw || !self.is_foreground() {
            return;
        }
        let raw = |modes: &Termios| {
            let mut raw = modes.clone();
            raw.make_raw();
            raw
        };
        // A shell may have set other modes since then, and modes found in the background were those of the shell.
        if let Ok(found) = tcgetattr(&self.file)
            && !are_same(&found, &raw(&self.modes))
        {
            self.modes = found;
        }
        if let Some(provisional) = self.provisional.take()
            && tcgetattr(terminal).is_ok_and(|modes| are_same(&modes, &provisional))
        {
            let _ = tcsetattr(terminal, OptionalActions::Now, &self.modes);
        }
        self.is_raw = tcsetattr(&self.file, OptionalActions::Drain, &raw(&self.modes)).is_ok();
    }

    /// Like [`take`](Self::take), after a shell may have changed the modes.
    pub(crate) fn take_anew(&mut self, terminal: &OwnedFd) {
        self.is_raw = false;
        self.take(terminal);
    }

    /// Restores the original modes.
    pub(crate) fn give_back(&mut self) {
        if std::mem::take(&mut self.is_raw) && self.is_foreground() {
            let _ = tcsetattr(&self.file, OptionalActions::Drain, &self.modes);
        }
    }

    /// Returns true while keys are passed on.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_raw
    }

    /// Returns true if the terminal would send a signal such as SIGINT to the foreground group for this key.
    pub(crate) fn ends(&self, key: u8) -> bool {
        let keys = [SpecialCodeIndex::VINTR, SpecialCodeIndex::VQUIT];
        // A disabled key has the code 0.
        key != 0
            && self.modes.local_modes.contains(LocalModes::ISIG)
            && keys.into_iter().any(|index| self.modes.special_codes[index] == key)
    }

    pub(crate) fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.file).ok()
    }
}

impl AsFd for Outer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The launcher's terminal, if only the command's output goes through a terminal of its own. Keys stay with the launcher's terminal unless
/// the command reads them from its output terminal. A pager does that with line mode switched off, other programs read whole lines.
#[derive(Debug)]
pub(crate) struct Shown {
    outer: OwnedFd,
    /// The launcher's end of the command's terminal.
    terminal: OwnedFd,
    /// Identity of the command's end, if known.
    id: Option<TerminalId>,
    /// File to read keys from, if the terminal is the controlling terminal of this session.
    keys: Option<OwnedFd>,
    /// Original modes of `outer` and the modes set instead, while keys are passed on.
    taken: Option<(Termios, Termios)>,
    next_check: Instant,
}

impl Shown {
    pub(crate) fn new(outer: OwnedFd, terminal: OwnedFd, theirs: impl AsFd) -> Self {
        let is_own = tcgetsid(&outer).is_ok_and(|session| session.as_raw_nonzero().get() == sys::session_of(0));
        // Non-blocking, because the command may read keys from the same terminal, and this read would then wait for the next line.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let keys = is_own.then(|| open("/dev/tty", flags, Mode::empty()).ok()).flatten();
        Self { outer, terminal, id: TerminalId::of(theirs).ok(), keys, taken: None, next_check: Instant::now() }
    }

    /// Returns source and destination of keys while they are passed on.
    pub(crate) fn keys(&self) -> Option<(&OwnedFd, &OwnedFd)> {
        self.taken.as_ref().and(self.keys.as_ref()).map(|keys| (keys, &self.terminal))
    }

    /// Returns true if keys can be passed on.
    pub(crate) fn may_hand_on(&self) -> bool {
        self.keys.is_some()
    }

    /// Calls [`follow`](Self::follow) when the next check is due. A check is slow if the command has many processes. In that case checks
    /// are made less often, so that they use at most a tenth of the time.
    pub(crate) fn check(&mut self) {
        let begun = Instant::now();
        if begun >= self.next_check {
            self.follow();
            self.next_check = begun + CHECK.max(begun.elapsed() * 10);
        }
    }

    /// Starts passing keys on when the command reads them from its terminal, and stops when it no longer does. Keys that the outer terminal
    /// turns into signals, such as Ctrl-C, stay with it, because the command is in its foreground.
    pub(crate) fn follow(&mut self) {
        let Ok(wanted) = tcgetattr(&self.terminal) else { return self.give_back() };
        if self.keys.is_none() || !sys::is_foreground(&self.outer) {
            return self.give_back();
        }
        let is_line_mode = wanted.local_modes.contains(LocalModes::ICANON);
        if is_line_mode && !self.id.is_some_and(is_awaited) {
            return self.give_back();
        }
        let Some(own) = self.taken.as_ref().map(|(own, _)| own.clone()).or_else(|| tcgetattr(&self.outer).ok()) else { return };
        let mut modes = own.clone();
        modes.input_modes = wanted.input_modes;
        // The command's terminal edits lines and echoes keys, as configured by the command.
        modes.local_modes = wanted.local_modes - LocalModes::ECHO - LocalModes::ICANON;
        if self.taken.as_ref().is_none_or(|(_, given)| !are_same(given, &modes))
            && tcsetattr(&self.outer, OptionalActions::Drain, &modes).is_ok()
        {
            self.taken = Some((own, modes));
        }
    }

    /// Restores the original modes.
    pub(crate) fn give_back(&mut self) {
        if let Some((own, _)) = self.taken.take()
            && sys::is_foreground(&self.outer)
        {
            let _ = tcsetattr(&self.outer, OptionalActions::Drain, &own);
        }
    }

    /// Sets the size of the command's terminal to that of the outer terminal.
    pub(crate) fn resize(&self) {
        if let Ok(size) = tcgetwinsize(&self.outer) {
            let _ = tcsetwinsize(&self.terminal, size);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Returns true if both treat keys and output in the same way.
fn are_same(a: &Termios, b: &Termios) -> bool {
    (a.input_modes, a.output_modes, a.local_modes) == (b.input_modes, b.output_modes, b.local_modes)
}

/// Returns true if the file is a terminal.
pub(crate) fn is_terminal(file: impl AsFd) -> bool {
    isatty(file)
}
