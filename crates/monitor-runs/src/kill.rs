//! The end of a run because somebody asks for it: by its launcher, else by its helper, else by whoever asks.

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

/// A launcher that is asked to end what it runs has so long besides its grace.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a tree that nobody watches.
const LOOK: Duration = Duration::from_millis(20);

impl Run {
    /// Ends it with all that it has started: SIGTERM, and SIGKILL after its grace, or at once if `now`. Returns when nothing of it
    /// runs, or can't be ended in any time.
    ///
    /// # Errors
    /// When the system refuses.
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

    /// Ends what is left of a run whose launcher and helper were killed. Its cgroup has all of it, where it has one. Else all of it
    /// carries the run's mark in its environment, wherever it has gone.
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

/// Asks one of those who run it to end it. Returns false if that one is gone.
fn ask(who: &Identity, signal: i32) -> Result<bool, RunError> {
    let sent = file_of(who).and_then(|file| signal_by_file(&file, signal));
    match sent {
        Ok(()) => Ok(true),
        // It has ended at this very moment.
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        Err(error) => Err(RunError::system("reach the launcher")(error)),
    }
}
