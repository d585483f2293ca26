//! The launcher after its helper was killed. The launcher is a subreaper, so the kernel makes it the parent of the helper's children. It
//! can therefore observe and cause the command's end. It starts nothing: there are no further attempts and no hook.

use monitor_runs::{Stat, tree};

use super::Work;
use crate::helper::io_of;
use crate::messages::{Ask, Tell, Whom};
use crate::sys::{self, Change};

/// Note on a run whose helper was killed.
pub(super) const NOTE: &str = "its helper was killed: the launcher has seen how it ended, and started nothing more";

impl Work<'_> {
    /// Sends an order to the helper, or executes it if the helper was killed.
    pub(super) fn order(&mut self, ask: &Ask) {
        if !self.line.is_over {
            return self.line.say(ask);
        }
        let own = std::process::id();
        match (ask, self.command) {
            (Ask::Signal { signal, whom: Whom::Tree }, _) => tree::signal(own, *signal),
            (Ask::Signal { signal, whom: Whom::Command }, Some(pid)) => monitor_runs::kill(pid as i32, *signal),
            (Ask::Signal { signal, whom: Whom::Group }, Some(pid)) => monitor_runs::kill(-(pid as i32), *signal),
            (Ask::Reap, Some(pid)) => {
                self.command = None;
                sys::reap(pid);
            }
            (Ask::KillAll, command) => tree::kill(own, || reap_others(command)),
            _ => {}
        }
    }

    /// Returns the next message of the helper. If the helper was killed, returns the message that it would have sent.
    pub(super) fn next_word(&mut self) -> Option<Tell> {
        let told = self.line.next();
        if told.is_some() || !self.line.is_over || !self.has_adopted() {
            return told;
        }
        while let Some(change) = sys::stop_or_continuation() {
            if matches!(change, Change::Stopped { pid } if Some(pid) == self.command) {
                return Some(Tell::Stopped);
            }
        }
        reap_others(self.command);
        let dead = sys::peek().filter(|dead| Some(dead.pid) == self.command)?;
        let cpu_us = dead.cpu.as_micros() as u64;
        Some(Tell::Ended { code: dead.code, signal: dead.signal, cpu_us, peak_bytes: dead.peak_bytes, io_bytes: io_of(dead.pid) })
    }

    /// Returns true if the helper was killed and the command is this program's child, alive or dead.
    pub(super) fn has_adopted(&mut self) -> bool {
        let own = std::process::id();
        if self.helper != own {
            // A helper that is alive but closed the connection would take the launcher for dead.
            monitor_runs::kill(self.helper as i32, libc::SIGKILL);
            // A dying process closes its files first and gives away its children afterwards. Both are complete when it can be waited for.
            sys::wait_for_end(self.helper);
            self.helper = own;
        }
        self.command.and_then(Stat::of).is_some_and(|stat| stat.parent == own)
    }

    /// Returns true if a process of the command is alive.
    pub(super) fn is_anything_left(&mut self) -> bool {
        if !self.line.is_over {
            self.line.say(&Ask::Left);
            let answer = self.answer(|tell| if let Tell::Left(is_left) = tell { Some(*is_left) } else { None });
            if let Some(is_left) = answer {
                return is_left;
            }
        }
        reap_others(self.command);
        !tree::descendants(std::process::id()).is_empty()
    }
}

/// Reaps all ended children except the command.
fn reap_others(command: Option<u32>) {
    while let Some(dead) = sys::peek().filter(|dead| Some(dead.pid) != command) {
        sys::reap(dead.pid);
    }
}
