//! The helper after the launcher was killed: it continues to copy output, waits for the command's end, and records the outcome in place of
//! the launcher.

use std::io;
use std::time::{Duration, Instant};

use monitor_runs::{OnDeath, Outcome, Step, end_tree, kill_tree, now_us, tree};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::{Helper, Work, wait_for};
use crate::hooks;
use crate::messages::Part;
use crate::record::Record;
use crate::secrets::{Masker, Secrets};
use crate::streams::Pump;
use crate::tail::Said;

/// Interval between checks for remaining processes of a tree that must end.
const LOOK: Duration = Duration::from_millis(20);
/// Reason of a run that was ended because its launcher was killed.
const LAUNCHER_KILLED: &str = "launcher-killed";

/// Progress towards the end of a run whose launcher was killed.
#[derive(Default)]
struct Conclusion {
    /// Reason of the end, if the end was requested or the run must not outlive its launcher.
    reason: Option<&'static str>,
    has_run_after: bool,
    is_told: bool,
}

/// Output that the helper copies. Secrets are masked if it is stored in a file.
struct Kept {
    pump: Pump,
    masker: Masker,
}

impl Kept {
    fn new(pump: Pump, secrets: &Secrets) -> Self {
        let mut masker = secrets.masker();
        // The launcher may have read the beginning of a secret.
        masker.expect_rest();
        Self { pump, masker }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &self.pump.log {
            Some(log) => log.write(&self.masker.feed(bytes)),
            None => self.pump.pass_on(bytes),
        }
    }

    /// Writes the bytes held back by the masker. Returns false, because the stream has ended.
    fn finish(&mut self) -> bool {
        if let Some(log) = &self.pump.log {
            let _ = log.write(&self.masker.finish());
        }
        false
    }
}

impl Helper {
    /// Continues until the command has ended and no process can write output. Ends this program.
    pub(super) fn go_on_alone(mut self, work: &mut Work) -> i32 {
        self.theirs = [None, None, None];
        self.terminal = None;
        if self.spec.start_again && self.steps.as_ref().is_some_and(|steps| steps.step() <= Step::Claimed) {
            return 0;
        }
        let mut conclusion =
            Conclusion { is_told: self.steps.as_ref().is_some_and(|steps| steps.outcome().is_some()), ..Conclusion::default() };
        if self.spec.on_launcher_death == OnDeath::Kill {
            conclusion.reason = Some(LAUNCHER_KILLED);
            tree::kill(std::process::id(), || work.reap());
        }
        self.go_on(work, Some(&mut conclusion));
        drop(self);
        // Exit normally, so that pending records are sent or stored in the spool.
        std::process::exit(0)
    }

    /// Copies output until no process can write any more and the command has ended.
    pub(super) fn copy(&mut self, work: &mut Work) {
        self.go_on(work, None);
    }

    fn go_on(&mut self, work: &mut Work, mut conclusion: Option<&mut Conclusion>) {
        let mut pumps: Vec<Kept> = self.pumps.drain(..).flatten().map(|pump| Kept::new(pump, &self.secrets)).collect();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(conclusion) = conclusion.as_deref_mut()
                && work.command.is_none()
                && !conclusion.is_told
            {
                self.conclude(work, conclusion);
                continue;
            }
            if pumps.is_empty() && work.command.is_none() {
                return;
            }
            let mut files: Vec<_> = pumps.iter().map(|pump| PollFd::new(&pump.pump.from, PollFlags::IN)).collect();
            files.push(PollFd::new(&self.signals, PollFlags::IN));
            wait_for(&mut files, None);
            while let Some(arrived) = self.signals.next() {
                let is_kill = arrived.signal == kill_tree();
                if let Some(conclusion) = conclusion.as_deref_mut()
                    && (is_kill || arrived.signal == end_tree())
                {
                    conclusion.reason = Some("killed");
                    self.end_all(work, is_kill);
                }
            }
            work.reap();
            pumps.retain_mut(|kept| match rustix::io::read(&kept.pump.from, &mut buffer) {
                Ok(0) => kept.finish(),
                Ok(length) => kept.write(&buffer[..length]).is_ok(),
                Err(Errno::AGAIN | Errno::INTR) => true,
                // For example EIO, which a pseudo-terminal returns when its other end is closed.
                Err(_) => kept.finish(),
            });
        }
    }

    /// Ends the whole tree below the command.
    fn end_all(&self, work: &mut Work, now: bool) {
        let own = std::process::id();
        let until = Instant::now() + if now { Duration::ZERO } else { self.spec.grace };
        if !now {
            tree::signal(own, libc::SIGTERM);
            tree::signal(own, libc::SIGCONT);
        }
        while Instant::now() < until && !tree::descendants(own).is_empty() {
            wait_for(&mut [PollFd::new(&self.signals, PollFlags::IN)], Some(LOOK));
            while let Some(arrived) = self.signals.next() {
                if arrived.signal == kill_tree() {
                    return tree::kill(own, || work.reap());
                }
            }
            work.reap();
        }
        tree::kill(own, || work.reap());
    }

    /// Returns the number of the attempt to be ended in the record: the last attempt, or the next if the last was already recorded as
    /// failed and a retry was pending.
    fn next_attempt(&self, work: &Work) -> u32 {
        match (&work.ended, work.part) {
            (Some(ended), _) if work.is_reaped && !ended.is_success() && ended.attempts <= self.spec.retry => ended.attempts + 1,
            (Some(ended), _) => ended.attempts,
            (None, Part::Attempt(attempt)) => attempt,
            (None, _) => 1,
        }
    }

    /// Called when only the last hook is left to run: starts the hook, or records the outcome of the run.
    fn conclude(&mut self, work: &mut Work, conclusion: &mut Conclusion) {
        let mut outcome = work.ended.clone().unwrap_or_else(|| Outcome {
            code: Some(125),
            reason: Some("not-started".to_owned()),
            error: Some("the launcher was killed before it had started the command".to_owned()),
            ended_us: now_us(),
            ..Outcome::default()
        });
        outcome.judge(&self.spec.exits);
        outcome.reason = outcome.reason.or(conclusion.reason.map(str::to_owned));
        outcome.is_cancelled |= conclusion.reason.is_some();
        if outcome.error.is_none() {
            outcome.note = Some("the launcher was killed: the helper saw how the command ended".to_owned());
        }
        if work.ended.is_some() && work.part != Part::After && !conclusion.has_run_after && !self.spec.after.is_empty() {
            conclusion.has_run_after = true;
            let env = hooks::environment(work.env.clone(), Some(&outcome));
            if let Ok(pid) = self.spawn(Part::After, &env) {
                work.begin(Part::After, pid);
                return;
            }
        }
        self.secrets.mask_outcome(&mut outcome);
        if let Some(steps) = &self.steps {
            if outcome.attempts > 0 {
                steps.attempt_ended(outcome.attempts, &outcome);
            }
            let _ = steps.ended(&outcome);
        }
        // Recording starts threads, and a hook can be forked only from a single-threaded process. Therefore recording starts last.
        let (limits, ids) = (self.limits.words(&self.spec), work.ids.take());
        let record = Record::take_over(&self.spec, limits, self.secrets.clone(), ids, self.next_attempt(work));
        if let Some(record) = record {
            record.end(&outcome, None, &Said::default(), None);
        }
        conclusion.is_told = true;
    }
}
