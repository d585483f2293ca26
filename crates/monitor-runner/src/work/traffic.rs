//! Handles messages, keys, signals and changes of the terminal's size while a command runs.

use std::os::fd::AsFd as _;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use monitor_runs::{Stat, end_tree, kill_tree};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::tcsetwinsize;

use super::Work;
use crate::helper::wait_for;
use crate::messages::{Ask, Whom};
use crate::pump::Pumping;
use crate::sys;
use crate::terminal::{CHECK, Outer, Shown};

/// Interval at which the launcher checks if it is in the foreground.
const FOREGROUND: Duration = Duration::from_millis(200);

impl Work<'_> {
    /// Waits until an event arrives, or `longest` is over.
    pub(super) fn wait(&mut self, longest: Option<Duration>) {
        // There is no event for becoming the foreground group, so it is polled.
        let mut longest = longest;
        if self.has_command && self.outer.as_ref().is_some_and(|outer| !outer.is_taken()) {
            self.take_keys();
            longest = Some(longest.unwrap_or(FOREGROUND).min(FOREGROUND));
        }
        if let Some(shown) = self.shown.as_mut().filter(|shown| self.has_command && shown.may_hand_on()) {
            shown.check();
            longest = Some(longest.unwrap_or(CHECK).min(CHECK));
        }
        // A closed connection would always be ready. After it is closed, the end of a child is reported by SIGCHLD.
        let line = if self.line.is_over { self.signals.as_fd() } else { self.line.as_fd() };
        let mut files = vec![
            PollFd::from_borrowed_fd(line, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.news, PollFlags::IN),
        ];
        if let Some((outer, terminal)) = self.outer.as_ref().zip(self.terminal.as_ref()) {
            let is_wanted = outer.is_taken() && self.typed.is_empty();
            // A hang-up is reported even without requested events.
            files.push(PollFd::new(outer, if is_wanted { PollFlags::IN } else { PollFlags::empty() }));
            if outer.is_taken() && !is_wanted {
                files.push(PollFd::new(terminal, PollFlags::OUT));
            }
        } else if let Some((keys, terminal)) = self.shown.as_ref().and_then(Shown::keys) {
            let is_wanted = self.typed.is_empty();
            files.push(PollFd::new(keys, if is_wanted { PollFlags::IN } else { PollFlags::empty() }));
            if !is_wanted {
                files.push(PollFd::new(terminal, PollFlags::OUT));
            }
        }
        if !wait_for(&mut files, longest) {
            return;
        }
        let seen = |index: usize| files.get(index).map_or(PollFlags::empty(), PollFd::revents);
        let (is_told, outer, is_room) = (!seen(0).is_empty(), seen(3), !seen(4).is_empty());
        drop(files);
        if outer.contains(PollFlags::IN) || is_room {
            self.hand_on_keys();
        } else if outer.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.lose_terminal();
        }
        if is_told && !self.line.is_over {
            self.line.listen();
        }
        let _ = rustix::io::read(&self.news, &mut [0_u8; 8][..]);
        for pump in self.closed.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.line.say(&Ask::Close { pump });
        }
    }

    /// Copies keys from the terminal to the command's terminal, as far as there is room.
    fn hand_on_keys(&mut self) {
        if let Some(shown) = &mut self.shown {
            // The command may have stopped reading since the last check.
            shown.follow();
        }
        let outer = self.outer.as_ref().zip(self.terminal.as_ref()).map(|(outer, terminal)| (outer.as_fd(), terminal));
        let shown = || self.shown.as_ref().and_then(Shown::keys).map(|(keys, terminal)| (keys.as_fd(), terminal));
        let Some((keys, terminal)) = outer.or_else(shown) else { return };
        if self.typed.is_empty() {
            let mut buffer = [0; 1_024];
            match rustix::io::read(keys, &mut buffer) {
                Ok(0) | Err(Errno::IO) => return self.lose_terminal(),
                Ok(length) => self.typed.extend_from_slice(&buffer[..length]),
                Err(_) => {}
            }
        }
        if let Ok(length) = rustix::io::write(terminal, &self.typed) {
            self.typed.drain(..length);
        }
    }

    /// Returns the keys to the terminal, which turns Ctrl-C into a signal again. Keys typed earlier are read first: an interrupt key counts
    /// as a request to end, and all other keys are kept for the next attempt.
    pub(super) fn give_back_keys(&mut self) {
        let Some(outer) = &mut self.outer else { return };
        outer.give_back();
        let mut buffer = [0; 1_024];
        while outer.is_foreground() && wait_for(&mut [PollFd::new(&*outer, PollFlags::IN)], Some(Duration::ZERO)) {
            match rustix::io::read(&*outer, &mut buffer) {
                Ok(length @ 1..) => self.typed.extend_from_slice(&buffer[..length]),
                _ => break,
            }
        }
        self.is_interrupted |= self.typed.iter().any(|key| outer.ends(*key));
    }

    /// Takes over the keys if this program is in the foreground.
    pub(super) fn take_keys(&mut self) {
        if let (Some(outer), Some(terminal)) = (&mut self.outer, &self.terminal) {
            outer.take(terminal);
        }
    }

    /// Restores the terminal to its original state.
    pub(super) fn give_back_terminal(&mut self) {
        self.outer.as_mut().into_iter().for_each(Outer::give_back);
        self.shown.as_mut().into_iter().for_each(Shown::give_back);
    }

    /// Handles the hang-up of the terminal by closing the command's terminal.
    fn lose_terminal(&mut self) {
        if self.outer.is_none() {
            // The pumps that write to the terminal detect this themselves.
            self.shown = None;
            return;
        }
        (self.outer, self.terminal) = (None, None);
        // The first pump belongs to the terminal and has the only copy of this end.
        self.pumping.iter().take(1).for_each(Pumping::close);
        self.line.say(&Ask::Close { pump: 0 });
    }

    /// Passes signals on, and collects those for the launcher itself. A cancellation through the server counts as such a signal.
    pub(super) fn take_signals(&mut self) {
        if self.record.take_cancelled() {
            self.asked.push_back(end_tree());
        }
        while let Some(arrived) = self.signals.next() {
            let signal = arrived.signal;
            let is_within = arrived.sender.is_some_and(|sender| sender == self.helper || descends(sender, self.helper));
            match signal {
                libc::SIGCHLD | libc::SIGTTIN | libc::SIGTTOU => continue,
                libc::SIGTSTP if !self.has_command => {
                    self.stop();
                    continue;
                }
                libc::SIGWINCH => self.resize(),
                // A signal that was ignored at the start is not a request to end.
                _ if is_within || self.signals.is_ignored(signal) => {}
                libc::SIGHUP => self.hung_up = Some(Instant::now()),
                libc::SIGINT | libc::SIGTERM | libc::SIGQUIT => self.is_interrupted = true,
                _ if signal == end_tree() || signal == kill_tree() => {
                    self.asked.push_back(signal);
                    continue;
                }
                _ => {}
            }
            let whom = if let (Some(outer), Some(terminal)) = (&mut self.outer, &self.terminal) {
                match signal {
                    libc::SIGWINCH => continue,
                    libc::SIGCONT => {
                        outer.take_anew(terminal);
                        self.resize();
                        Whom::Group
                    }
                    // Like a shell, send these to the whole job.
                    libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM | libc::SIGTSTP => Whom::Group,
                    _ => Whom::Command,
                }
            } else if arrived.sender.is_none() || is_within {
                // The command is in the same group. It receives signals from the terminal directly, and those from inside the tree, too.
                continue;
            } else {
                Whom::Command
            };
            self.order(&Ask::Signal { signal, whom });
        }
    }

    /// Stops the launcher after the command was stopped, so that the shell notices.
    pub(super) fn stop(&mut self) {
        if !self.has_terminal {
            return;
        }
        if !has_shell() {
            // Without a shell, no program would send SIGCONT. The kernel, too, does not stop orphaned process groups by keys.
            if self.outer.is_some() {
                self.order(&Ask::Signal { signal: libc::SIGCONT, whom: Whom::Group });
            }
            return;
        }
        self.give_back_terminal();
        sys::stop_self();
        if self.has_command
            && let (Some(outer), Some(terminal)) = (&mut self.outer, &self.terminal)
        {
            outer.take_anew(terminal);
            self.resize();
            self.order(&Ask::Signal { signal: libc::SIGCONT, whom: Whom::Group });
        }
    }

    fn resize(&mut self) {
        if let (Some(size), Some(terminal)) = (self.outer.as_ref().and_then(Outer::size), &self.terminal) {
            let _ = tcsetwinsize(terminal, size);
        }
        if let Some(shown) = &self.shown {
            shown.resize();
            // Unlike the launcher's terminal, this terminal has no foreground group that would receive SIGWINCH.
            self.order(&Ask::Signal { signal: libc::SIGWINCH, whom: Whom::Command });
        }
    }
}

/// Returns true if the parent of this program is in the same session and can continue it, like a shell.
fn has_shell() -> bool {
    let parent = std::os::unix::process::parent_id();
    parent != 0 && sys::session_of(parent) == sys::session_of(0)
}

/// Returns true if the process was started below `top`.
fn descends(pid: u32, top: u32) -> bool {
    let mut pid = pid;
    for _ in 0..1_000 {
        match Stat::of(pid) {
            Some(stat) if stat.parent == top => return true,
            Some(stat) if stat.parent > 1 => pid = stat.parent,
            _ => return false,
        }
    }
    false
}
