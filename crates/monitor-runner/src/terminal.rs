//! Terminals: the one that the launcher runs on, and the one that it makes for the command.

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
    /// What the launcher reads and writes.
    pub(crate) ours: OwnedFd,
    /// What the command has for its terminal.
    pub(crate) theirs: OwnedFd,
}

impl Pty {
    /// One that is as large as `outer` and in the same modes; in those of a new terminal while `outer` belongs to somebody else, as
    /// to a shell that edits what is typed. If `only_output`, bytes go through it as they are: the outer one makes of them what is
    /// to be seen.
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

/// The launcher's own terminal, while the command has one of its own in its place.
#[derive(Debug)]
pub(crate) struct Outer {
    file: OwnedFd,
    /// As it was found when it was taken last.
    modes: Termios,
    /// It hands keys on as they are pressed.
    is_raw: bool,
    /// Modes of the command's terminal that was made while this one belonged to somebody else.
    provisional: Option<Termios>,
}

impl Outer {
    pub(crate) fn new(file: OwnedFd, pty: &Pty) -> Result<Self, Errno> {
        let modes = tcgetattr(&file)?;
        let provisional = if sys::is_foreground(&file) { None } else { Some(tcgetattr(&pty.theirs)?) };
        Ok(Self { file, modes, is_raw: false, provisional })
    }

    /// Whether keys are meant for this program.
    pub(crate) fn is_foreground(&self) -> bool {
        sys::is_foreground(&self.file)
    }

    /// Has keys handed on as they are pressed, if they are meant for this program. `terminal` is the command's: if it was made in the
    /// background, it gets the modes of this one now, unless the command has chosen its own.
    pub(crate) fn take(&mut self, terminal: &OwnedFd) {
        if self.is_raw || !self.is_foreground() {
            return;
        }
        let raw = |modes: &Termios| {
            let mut raw = modes.clone();
            raw.make_raw();
            raw
        };
        // A shell may have set other modes since, and those that were found in the background were the shell's own.
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

    /// As [`take`](Self::take), where a shell may have had it meanwhile.
    pub(crate) fn take_anew(&mut self, terminal: &OwnedFd) {
        self.is_raw = false;
        self.take(terminal);
    }

    /// As it was found.
    pub(crate) fn give_back(&mut self) {
        if std::mem::take(&mut self.is_raw) && self.is_foreground() {
            let _ = tcsetattr(&self.file, OptionalActions::Drain, &self.modes);
        }
    }

    /// Keys are handed on at present.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_raw
    }

    /// Whether it is a key by which the terminal ends what runs in its foreground.
    pub(crate) fn ends(&self, key: u8) -> bool {
        let keys = [SpecialCodeIndex::VINTR, SpecialCodeIndex::VQUIT];
        // A terminal that has no such key says 0.
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

/// The launcher's terminal, where the command has one of its own for its output alone. Keys stay where they are, unless the command
/// reads them from the terminal of its output: a pager switches line mode off there, and other programs wait for a line.
#[derive(Debug)]
pub(crate) struct Shown {
    outer: OwnedFd,
    /// The launcher's end of the command's terminal.
    terminal: OwnedFd,
    /// The command's end, if it is known.
    id: Option<TerminalId>,
    /// For reading keys, if the terminal is that of this program's session.
    keys: Option<OwnedFd>,
    /// The modes that `outer` had, and those that it was given, while keys are handed on.
    taken: Option<(Termios, Termios)>,
    next_check: Instant,
}

impl Shown {
    pub(crate) fn new(outer: OwnedFd, terminal: OwnedFd, theirs: impl AsFd) -> Self {
        let is_own = tcgetsid(&outer).is_ok_and(|session| session.as_raw_nonzero().get() == sys::session_of(0));
        // The command reads keys from the same terminal: a read that came second would wait for the next line.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let keys = is_own.then(|| open("/dev/tty", flags, Mode::empty()).ok()).flatten();
        Self { outer, terminal, id: TerminalId::of(theirs).ok(), keys, taken: None, next_check: Instant::now() }
    }

    /// Where keys are read from and where they go, while they are handed on.
    pub(crate) fn keys(&self) -> Option<(&OwnedFd, &OwnedFd)> {
        self.taken.as_ref().and(self.keys.as_ref()).map(|keys| (keys, &self.terminal))
    }

    /// Whether the command may ask for keys.
    pub(crate) fn may_hand_on(&self) -> bool {
        self.keys.is_some()
    }

    /// Does [`follow`](Self::follow) if it is time for it. A check that takes long, because the command has many processes, is made
    /// less often, so that checks take at most a tenth of the time.
    pub(crate) fn check(&mut self) {
        let begun = Instant::now();
        if begun >= self.next_check {
            self.follow();
            self.next_check = begun + CHECK.max(begun.elapsed() * 10);
        }
    }

    /// Hands keys on while the command reads them from its terminal, and stops when it no longer does. Keys that the outer terminal
    /// turns into signals, as Ctrl-C, stay with it: the command is in its foreground.
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
        // The command's terminal edits lines and echoes keys, as the command has set it.
        modes.local_modes = wanted.local_modes - LocalModes::ECHO - LocalModes::ICANON;
        if self.taken.as_ref().is_none_or(|(_, given)| !are_same(given, &modes))
            && tcsetattr(&self.outer, OptionalActions::Drain, &modes).is_ok()
        {
            self.taken = Some((own, modes));
        }
    }

    /// As it was found.
    pub(crate) fn give_back(&mut self) {
        if let Some((own, _)) = self.taken.take()
            && sys::is_foreground(&self.outer)
        {
            let _ = tcsetattr(&self.outer, OptionalActions::Drain, &own);
        }
    }

    /// Makes the command's terminal as large as the outer one.
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

/// Whether keys and output are treated the same in both.
fn are_same(a: &Termios, b: &Termios) -> bool {
    (a.input_modes, a.output_modes, a.local_modes) == (b.input_modes, b.output_modes, b.local_modes)
}

/// Whether it is a terminal.
pub(crate) fn is_terminal(file: impl AsFd) -> bool {
    isatty(file)
}
