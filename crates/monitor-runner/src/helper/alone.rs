//! The helper without its launcher: it copies output on, sees how the command ends, and says so in the launcher's place.

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

/// Between two looks at what is left of a tree that is to end.
const LOOK: Duration = Duration::from_millis(20);
/// Reason of a run that ends with its launcher.
const LAUNCHER_KILLED: &str = "launcher-killed";

/// The end of a run whose launcher was killed.
#[derive(Default)]
struct Conclusion {
    /// Somebody asked for its end, or it was to end with the launcher.
    reason: Option<&'static str>,
    has_run_after: bool,
    is_told: bool,
}

/// Output that the helper copies, with the values of secrets masked if it is kept in a file.
struct Kept {
    pump: Pump,
    masker: Masker,
}

impl Kept {
    fn new(pump: Pump, secrets: &Secrets) -> Self {
        let mut masker = secrets.masker();
        // The launcher may have read the beginning of a value.
        masker.expect_rest();
        Self { pump, masker }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &self.pump.log {
            Some(log) => log.write(&self.masker.feed(bytes)),
            None => self.pump.pass_on(bytes),
        }
    }

    /// Writes what was held back. Returns false: this stream has ended.
    fn finish(&mut self) -> bool {
        if let Some(log) = &self.pump.log {
            let _ = log.write(&self.masker.finish());
        }
        false
    }
}

impl Helper {
    /// Goes on until the command has ended, and nobody can write output any more. Ends this program.
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
        // What is recorded is sent, or kept, at the end of a program.
        std::process::exit(0)
    }

    /// Copies output until nobody can write any more, and the command has ended.
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
                // The error of a pseudo-terminal whose other end is closed, among others.
                Err(_) => kept.finish(),
            });
        }
    }

    /// Ends all that the command has started.
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

    /// The attempt whose end is to be told: the last one, unless that had failed and the next one can't come any more.
    fn next_attempt(&self, work: &Work) -> u32 {
        match (&work.ended, work.part) {
            (Some(ended), _) if work.is_reaped && !ended.is_success() && ended.attempts <= self.spec.retry => ended.attempts + 1,
            (Some(ended), _) => ended.attempts,
            (None, Part::Attempt(attempt)) => attempt,
            (None, _) => 1,
        }
    }

    /// Nothing of the run is left but its last hook: starts that, or says how the run ended.
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
        // Only now: recording begins threads, and whoever starts a hook must have none.
        let (limits, ids) = (self.limits.words(&self.spec), work.ids.take());
        let record = Record::take_over(&self.spec, limits, self.secrets.clone(), ids, self.next_attempt(work));
        if let Some(record) = record {
            record.end(&outcome, None, &Said::default(), None);
        }
        conclusion.is_told = true;
    }
}
