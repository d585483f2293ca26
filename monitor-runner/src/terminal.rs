//! Terminals: the one that the launcher runs on, and the one that it makes for the command.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use crate::sys;

/// Both ends of a pseudo-terminal.
#[derive(Debug)]
pub(crate) struct Pty {
    /// What the launcher reads and writes.
    pub(crate) ours: OwnedFd,
    /// What the command has for its terminal.
    pub(crate) theirs: OwnedFd,
}

impl Pty {
    /// One that is as large as `outer` and in the same modes. If `only_output`, bytes go through it as they are: the outer one
    /// makes of them what is to be seen.
    pub(crate) fn like(outer: impl AsFd, only_output: bool) -> Result<Self, Errno> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        let mut modes = tcgetattr(&outer)?;
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
    /// As it was found.
    modes: Termios,
    /// It hands keys on as they are pressed.
    is_raw: bool,
}

impl Outer {
    pub(crate) fn new(file: OwnedFd) -> Result<Self, Errno> {
        let modes = tcgetattr(&file)?;
        Ok(Self { file, modes, is_raw: false })
    }

    /// Whether keys are meant for this program.
    pub(crate) fn is_foreground(&self) -> bool {
        sys::is_foreground(&self.file)
    }

    /// Has keys handed on as they are pressed, if they are meant for this program.
    pub(crate) fn take(&mut self) {
        if !self.is_raw && self.is_foreground() {
            let mut raw = self.modes.clone();
            raw.make_raw();
            self.is_raw = tcsetattr(&self.file, OptionalActions::Drain, &raw).is_ok();
        }
    }

    /// As [`take`](Self::take), where a shell may have had it meanwhile.
    pub(crate) fn take_anew(&mut self) {
        self.is_raw = false;
        self.take();
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

/// Whether it is a terminal.
pub(crate) fn is_terminal(file: impl AsFd) -> bool {
    isatty(file)
}
