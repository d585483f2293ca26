//! Waits for a run without polling. Pidfds report the end of a process, and inotify reports new steps and output.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::identity::Identity;
use crate::run::Run;

use std::os::fd::OwnedFd;

/// Polling interval if inotify is exhausted, or a pid is not visible from this pid namespace.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for the next step of a run, its end, and optionally its output.
#[derive(Debug)]
pub struct Follower<'a> {
    run: &'a Run,
    /// Watch on the run's folder. `None` if the system has no watch left.
    watch: Option<OwnedFd>,
}

impl<'a> Follower<'a> {
    /// Watches steps and end. Changes from here on wake [`wait`](Self::wait).
    pub fn new(run: &'a Run) -> Self {
        // Steps, state and outcome are written to temporary files and renamed.
        Self::of(run, WatchFlags::MOVED_TO)
    }

    /// Like [`new`](Self::new), and also wakes on output.
    pub fn of_output(run: &'a Run) -> Self {
        Self::of(run, WatchFlags::MOVED_TO | WatchFlags::MODIFY)
    }

    fn of(run: &'a Run, changes: WatchFlags) -> Self {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).and_then(|watch| {
            inotify::add_watch(&watch, &run.folder, changes | WatchFlags::DELETE_SELF)?;
            Ok(watch)
        });
        Self { run, watch: watch.ok() }
    }

    /// Waits until something changes or a process of the run ends, at most for `longest`.
    pub fn wait(&mut self, longest: Option<Duration>) {
        let state = self.run.again();
        let ends: Vec<OwnedFd> =
            [&state.launcher, &state.helper, &state.running].into_iter().flatten().filter_map(|who| file_of(who).ok()).collect();
        let mut files: Vec<_> = ends.iter().chain(&self.watch).map(|file| PollFd::new(file, PollFlags::IN)).collect();
        // Without a live process or a watch, the run can only be observed by its files, so poll them.
        let is_blind = self.watch.is_none() || ends.is_empty();
        let longest = if is_blind { Some(longest.unwrap_or(LOOK).min(LOOK)) } else { longest };
        let _ = poll(&mut files, longest.and_then(|longest| longest.try_into().ok()).as_ref());
        drop(files);
        if let Some(watch) = &self.watch {
            while rustix::io::read(watch, &mut [0_u8; 4_096]).is_ok_and(|length| length > 0) {}
        }
    }

    /// Waits until the condition is true, at most until `until`. Returns the condition.
    pub(crate) fn wait_until(&mut self, until: Instant, is_so: impl Fn() -> bool) -> bool {
        loop {
            if is_so() {
                return true;
            }
            let now = Instant::now();
            if now >= until {
                return false;
            }
            self.wait(Some(until - now));
        }
    }
}

/// Returns a pidfd for exactly this process, even if the pid is reused.
pub(crate) fn file_of(who: &Identity) -> io::Result<OwnedFd> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let pid = Pid::from_raw(i32::try_from(who.pid).map_err(|_| gone())?).ok_or_else(gone)?;
    let file = pidfd_open(pid, PidfdFlags::empty())?;
    // The pidfd refers to the process that has the pid at this point. If that is still the wanted process, the pidfd is right permanently.
    if who.is_alive() { Ok(file) } else { Err(gone()) }
}
