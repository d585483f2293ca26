//! Ends a run on request: through its launcher, otherwise through its helper, otherwise directly.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::error::RunError;
use crate::folder::read;
use crate::follow::{Follower, file_of};
use crate::identity::Identity;
use crate::run::{Life, Run};
use crate::signals::{self, end_tree, kill_tree, signal_by_file};
use crate::spec::Spec;
use crate::tree::{self, Marked};

/// Time, in addition to the grace period, that a launcher has to end its run.
const PATIENCE: Duration = Duration::from_secs(10);
/// Polling interval for a tree without launcher and helper.
const LOOK: Duration = Duration::from_millis(20);

impl Run {
    /// Ends the run with its whole tree: SIGTERM, then SIGKILL after the grace period, or SIGKILL at once if `now`. Returns when no process
    /// of the run is alive, or when the remaining processes can't be ended.
    ///
    /// # Errors
    /// If a system call fails.
    pub fn kill(&self, now: bool) -> Result<Life, RunError> {
        let mut follower = Follower::new(self);
        let grace = if now { Duration::ZERO } else { self.grace() };
        let state = self.again();
        let signal = if now { kill_tree() } else { end_tree() };
        let is_over = || !matches!(self.life(), Life::Running | Life::Unwatched);
        for who in [&state.launcher, &state.helper].into_iter().flatten() {
            if is_over() || !ask(who, signal)? {
                continue;
            }
            let until = Instant::now() + PATIENCE + grace;
            follower.wait_until(until, || is_over() || !who.is_alive());
        }
        let state = self.again();
        let is_alone = ![&state.launcher, &state.helper].into_iter().flatten().any(Identity::is_alive);
        if !is_over() && is_alone {
            self.kill_left(grace);
        }
        follower.wait_until(Instant::now() + PATIENCE, is_over);
        Ok(self.life())
    }

    fn grace(&self) -> Duration {
        read::<Spec>(&self.folder.join("spec.json")).map_or(Duration::from_secs(5), |spec| spec.grace)
    }

    /// Ends the remaining processes of a run whose launcher and helper were killed. They are found by the run's cgroup, or without a cgroup
    /// by the run's mark in their environment, even if they have left session and process group.
    fn kill_left(&self, grace: Duration) {
        let state = self.again();
        let marked = Marked::of(&self.folder);
        let left = || {
            let in_group = state.cgroup.as_deref().map(tree::in_cgroup).unwrap_or_default();
            let mut left: Vec<u32> = if in_group.is_empty() { marked.all() } else { in_group };
            left.extend(state.running.iter().filter(|running| running.is_alive()).map(|running| running.pid));
            left.sort_unstable();
            left.dedup();
            left
        };
        let send = |signal| left().into_iter().for_each(|pid| signals::kill(pid as i32, signal));
        let until = Instant::now() + grace;
        if !grace.is_zero() {
            send(libc::SIGTERM);
            send(libc::SIGCONT);
        }
        while Instant::now() < until && !left().is_empty() {
            std::thread::sleep(LOOK);
        }
        let until = Instant::now() + PATIENCE;
        while !left().is_empty() && Instant::now() < until {
            send(libc::SIGKILL);
            std::thread::sleep(LOOK);
        }
        if let Some(group) = &state.cgroup {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Sends a signal to launcher or helper. Returns false if it has ended.
fn ask(who: &Identity, signal: i32) -> Result<bool, RunError> {
    let sent = file_of(who).and_then(|file| signal_by_file(&file, signal));
    match sent {
        Ok(()) => Ok(true),
        // The process has ended in the meantime.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        Err(error) => Err(RunError::system("reach the launcher")(error)),
    }
}
