//! Waiting for a run without looking again and again: the system tells when a process ends, when a step was written down, and when
//! output has come.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::identity::Identity;
use crate::run::Run;

use std::os::fd::OwnedFd;

/// Between two looks where the system can tell nothing: no watch is left, or the pid can't be seen from here.
const LOOK: Duration = Duration::from_millis(50);

/// Somebody who waits for a run's next step, for its end, and perhaps for what it writes.
#[derive(Debug)]
pub struct Follower<'a> {
    run: &'a Run,
    /// The run's folder. None if the system has no watch left.
    watch: Option<OwnedFd>,
}

impl<'a> Follower<'a> {
    /// Begins to watch the steps and the end. What happens from here on wakes [`wait`](Self::wait).
    pub fn new(run: &'a Run) -> Self {
        // Steps, state and outcome are written aside and moved to their names.
        Self::of(run, WatchFlags::MOVED_TO)
    }

    /// The same, and each time that output comes.
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

    /// Waits until there is something new, or one of those who run it has ended, but no longer than so.
    pub fn wait(&mut self, longest: Option<Duration>) {
        let state = self.run.again();
        let ends: Vec<OwnedFd> =
            [&state.launcher, &state.helper, &state.running].into_iter().flatten().filter_map(|who| file_of(who).ok()).collect();
        let mut files: Vec<_> = ends.iter().chain(&self.watch).map(|file| PollFd::new(file, PollFlags::IN)).collect();
        // Nobody is left: what becomes of the run then is told by its files alone, and there may be none.
        let is_blind = self.watch.is_none() || ends.is_empty();
        let longest = if is_blind { Some(longest.unwrap_or(LOOK).min(LOOK)) } else { longest };
        let _ = poll(&mut files, longest.and_then(|longest| longest.try_into().ok()).as_ref());
        drop(files);
        if let Some(watch) = &self.watch {
            while rustix::io::read(watch, &mut [0_u8; 4_096]).is_ok_and(|length| length > 0) {}
        }
    }

    /// Waits until this is so, at most until then. Returns whether it is.
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

/// A file that stands for this process, and for none that has its pid since.
pub(crate) fn file_of(who: &Identity) -> io::Result<OwnedFd> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let pid = Pid::from_raw(i32::try_from(who.pid).map_err(|_| gone())?).ok_or_else(gone)?;
    let file = pidfd_open(pid, PidfdFlags::empty())?;
    // The file stands for whoever has the pid now, for ever.
    if who.is_alive() { Ok(file) } else { Err(gone()) }
}
