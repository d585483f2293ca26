//! A pseudo-terminal for tests, with the side of its user.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

pub(crate) struct Pty {
    ours: File,
    pub(crate) theirs: OwnedFd,
}

impl Pty {
    pub(crate) fn open(rows: u16, columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        let pty = Self { ours: ours.into(), theirs };
        pty.resize(rows, columns);
        pty
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.ours, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    }

    /// Passes all output to `take`, in a separate thread.
    pub(crate) fn read(&self, mut take: impl FnMut(&[u8]) + Send + 'static) {
        let mut ours = self.ours.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = ours.read(&mut buffer) {
                take(&buffer[..length]);
            }
        });
    }

    /// Starts a command on the terminal, in a session of its own.
    #[allow(unsafe_code, reason = "a child makes a session of its own")]
    pub(crate) fn start(&self, mut command: Command) -> Child {
        let end = || self.theirs.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: the closure only makes two system calls.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                Ok(ioctl_tiocsctty(rustix::stdio::stdin())?)
            });
        }
        command.spawn().unwrap()
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).unwrap();
    }
}
