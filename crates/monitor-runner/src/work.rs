//! Watches a command: keeps its time, ends it, tries it again, and records what comes of it.

mod orphaned;
mod traffic;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monitor_client::launcher::Retry;
use monitor_runs::{Claim, Identity, Outcome, ProcessIds, Spec, Verdict, Waiting, end_tree, kill_tree, now_us};

use crate::environment;
use crate::failure::{is_told_by_output, not_started};
use crate::hooks;
use crate::inject::{Heard, Injection};
use crate::launcher::AtEnd;
use crate::limits::Limits;
use crate::messages::{Ask, Env, Line, Part, Tell, Whom};
use crate::pump::Pumping;
use crate::record::Record;
use crate::sys::Signals;
use crate::tail::{FileTail, Said, Tails};
use crate::terminal::{Outer, Shown};
use crate::why::Stream;

/// How often the use of CPU time is looked at, and whether anything is left of a tree.
const LOOK: Duration = Duration::from_millis(50);
/// Whoever reads the output of a command that was to be ended has at least so long.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// Reason of a run that was ended by `monitor runs kill`.
const KILLED: &str = "killed";
/// No instant is further away.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What goes on while it runs.
pub(crate) struct Work<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) signals: Signals,
    pub(crate) line: Line<Ask, Tell>,
    pub(crate) helper: u32,
    /// The terminal that the launcher has taken, and the one that the command has in its place.
    pub(crate) outer: Option<Outer>,
    pub(crate) terminal: Option<OwnedFd>,
    /// The launcher's terminal, if only the command's output goes through one of its own.
    pub(crate) shown: Option<Shown>,
    pub(crate) limits: &'a Limits,
    pub(crate) injection: Option<&'a Injection>,
    pub(crate) record: &'a Record,
    /// Variables of each attempt.
    pub(crate) env: Env,
    /// The folder of a detached run.
    pub(crate) claim: Option<Claim>,
    pub(crate) pumping: Vec<Pumping>,
    /// Streams that nobody reads any more.
    pub(crate) closed: Arc<Mutex<Vec<usize>>>,
    /// One was added.
    pub(crate) news: Arc<OwnedFd>,
    /// Keys that the command's terminal has no room for yet.
    pub(crate) typed: Vec<u8>,
    /// Signals for the launcher itself, oldest first.
    pub(crate) asked: VecDeque<i32>,
    /// Somebody wants it to end: it is not tried again.
    pub(crate) is_interrupted: bool,
    /// So too, if it ends soon after it was hung up: others read their settings again.
    pub(crate) hung_up: Option<Instant>,
    /// It runs.
    pub(crate) has_command: bool,
    /// Its pid, once the helper has told of it.
    pub(crate) command: Option<u32>,
    /// Somebody may see that the launcher has stopped, and continue it.
    pub(crate) has_terminal: bool,
    /// How the run ended, for the hook after it.
    pub(crate) told: Option<Outcome>,
    /// Whoever reads the output of a command that was to be ended is not waited for any longer.
    pub(crate) give_up_at: Option<Instant>,
    pub(crate) at_end: Option<AtEnd>,
}

/// An attempt that is to end.
struct Ending {
    reason: &'static str,
    kill_at: Instant,
    is_killed: bool,
}

impl Work<'_> {
    pub(crate) fn run(mut self, tails: &Tails) -> Outcome {
        self.take_keys();
        let mut files = Vec::new();
        if !self.spec.capture {
            let streams = [(Stream::Errors, rustix::stdio::stderr()), (Stream::Output, rustix::stdio::stdout())];
            files.extend(streams.into_iter().filter_map(|(stream, file)| Some((stream, FileTail::of(file)?))));
        }
        let mut attempt = 1;
        let (mut outcome, is_over) = loop {
            // Without it the command runs as well.
            let following = self.injection.and_then(|injection| injection.follow(&self.record.secrets).ok());
            let started_us = now_us();
            let hook = if attempt == 1 { self.hook_before() } else { None };
            let mut outcome = hook.unwrap_or_else(|| self.attempt(Part::Attempt(attempt)));
            outcome.attempts = attempt;
            (outcome.started_us, outcome.ended_us) = (started_us, now_us());
            outcome.judge(&self.spec.exits);
            self.is_interrupted |= self.is_end_wanted(&outcome);
            outcome.is_cancelled |= self.was_asked_to_end(&outcome);
            self.drain();
            let may_retry = outcome.error.is_none() && !outcome.is_cancelled && outcome.verdict != Some(Verdict::Final);
            // Without its helper it starts nothing.
            let again = attempt <= self.spec.retry && may_retry && !outcome.is_success() && !self.is_interrupted && !self.line.is_over;
            let said = Said::take(tails, &mut files, &self.record.secrets);
            let why = said.why().filter(|_| is_told_by_output(&outcome));
            outcome.why = why.as_ref().map(|why| why.line.clone());
            if !again {
                self.hook_after(&mut outcome);
            }
            let is_over = if again { false } else { self.let_go() };
            if let Some(following) = following {
                let (_, script) = self.record.ids().unwrap_or_default();
                let Heard { lost, nothing } = following.stop(&script, outcome.exit_code());
                if lost > 0 {
                    self.record.field("injected_lost", lost);
                }
                if let Some(why) = &nothing {
                    self.record.field("injected_nothing", why.clone());
                }
                outcome.note = outcome.note.or(nothing);
            }
            let pause = self.spec.backoff.saturating_mul(1 << (attempt - 1).min(20)).min(LONGEST_WAIT);
            let retry = again.then(|| Retry { next: SystemTime::now() + pause, of: self.spec.retry.saturating_add(1) });
            self.record.secrets.mask_outcome(&mut outcome);
            if let Some(claim) = &self.claim {
                claim.steps().attempt_ended(attempt, &outcome);
            }
            self.record.end(&outcome, why, &said, retry);
            if let Some(Retry { next, of }) = retry {
                let next_us = next.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
                if let Some(claim) = &mut self.claim {
                    claim.waits(Waiting { attempt, of, next_us });
                }
                if self.sleep(pause) {
                    attempt += 1;
                    self.record.again(attempt);
                    continue;
                }
                self.hook_after(&mut outcome);
                self.record.secrets.mask_outcome(&mut outcome);
                break (outcome, self.let_go());
            }
            break (outcome, is_over);
        };
        if let Some(claim) = &self.claim {
            // Before whoever waits is told that the launcher is gone.
            let _ = claim.steps().ended(&outcome);
        }
        // One whose reader was given up may still be in the middle of it.
        if self.give_up_at.is_none_or(|at| Instant::now() < at) {
            self.pumping.drain(..).for_each(Pumping::stop);
        }
        self.record.close_file(is_over);
        outcome.process = self.record.ids().map(|(root_id, process_id)| ProcessIds { root_id, process_id });
        if let Some(act) = self.at_end.take() {
            act.call(&outcome);
        }
        bid_farewell(&mut self.line, !is_over);
        outcome
    }

    /// Whether somebody ended it by the terminal: by hanging up, or by keys that only the command has heard of.
    fn is_end_wanted(&mut self, outcome: &Outcome) -> bool {
        let is_hung_up = self.hung_up.take().is_some_and(|at| at.elapsed() <= self.spec.grace);
        is_hung_up || (self.outer.is_some() && matches!(outcome.signal, Some(libc::SIGINT | libc::SIGQUIT)))
    }

    /// Returns true if the command ended because somebody asked for it. One that went well all the same has succeeded, unless it was to
    /// be killed.
    fn was_asked_to_end(&self, outcome: &Outcome) -> bool {
        outcome.error.is_none()
            && (outcome.reason.as_deref() == Some(KILLED) || (outcome.reason.is_none() && self.is_interrupted && !outcome.is_success()))
    }

    /// Runs the hook before the first attempt. If it fails, that is how the run ends.
    fn hook_before(&mut self) -> Option<Outcome> {
        if self.spec.before.is_empty() {
            return None;
        }
        let ended = self.attempt(Part::Before);
        (!ended.is_success()).then(|| {
            let error = Some(format!("the hook before it failed (--before): {}", ended.words()));
            Outcome { code: Some(125), signal: None, reason: Some("before".to_owned()), error, ..ended }
        })
    }

    /// Runs the hook after the last attempt, if there was one. It changes nothing of how the run ended.
    fn hook_after(&mut self, outcome: &mut Outcome) {
        if self.spec.after.is_empty() || outcome.error.is_some() || self.line.is_over {
            return;
        }
        let before = std::mem::take(&mut self.is_interrupted);
        self.told = Some(outcome.clone());
        let ended = self.attempt(Part::After);
        self.is_interrupted |= before;
        if !ended.is_success() {
            let note = format!("the hook after it failed (--after): {}", ended.words());
            self.record.warn(note.clone());
            outcome.note = Some(note);
        }
        self.drain();
    }

    /// Starts a part of the run and waits for its end.
    fn attempt(&mut self, part: Part) -> Outcome {
        let mut env = environment::of_process(self.record.ids());
        env.extend(self.injection.into_iter().flat_map(Injection::env));
        env.extend(self.env.iter().cloned());
        if let Part::Before | Part::After = part {
            env = hooks::environment(env, self.told.as_ref());
        }
        self.line.say(&Ask::Spawn { part, env });
        if self.line.is_over {
            return lost();
        }
        let begun = Instant::now();
        let mut ending: Option<Ending> = None;
        let mut warning = self.spec.warn_after.filter(|_| matches!(part, Part::Attempt(_)));
        let used_before = self.limits.used_cpu().unwrap_or_default();
        let killed_before = self.limits.killed_for_memory();
        (self.has_command, self.command) = (true, None);
        loop {
            let timeout = self.spec.timeout.map(|timeout| begun + timeout).filter(|_| ending.is_none());
            let kill = ending.as_ref().filter(|ending| !ending.is_killed).map(|ending| ending.kill_at);
            let look = self.limits.cpu.filter(|_| ending.is_none()).map(|_| Instant::now() + LOOK);
            let warn = warning.map(|after| begun + after).filter(|_| ending.is_none());
            let next = [timeout, kill, look, warn].into_iter().flatten().min();
            self.wait(next.map(|next| next.saturating_duration_since(Instant::now())));
            self.take_signals();
            while let Some(signal) = self.asked.pop_front() {
                let is_kill = signal == kill_tree();
                if is_kill || (signal == end_tree() && ending.is_none()) {
                    let grace = if is_kill { Duration::ZERO } else { self.spec.grace };
                    ending = Some(self.end(KILLED, grace));
                }
            }
            while let Some(tell) = self.next_word() {
                match tell {
                    Tell::Spawned { pid } => {
                        self.command = Some(pid);
                        if let Part::Attempt(attempt) = part {
                            self.record.field("pid", pid);
                            if let Some(claim) = &mut self.claim {
                                claim.started(attempt, Identity::of(pid));
                            }
                        }
                    }
                    Tell::NotSpawned { stage, errno } => {
                        self.has_command = false;
                        return not_started(self.spec, stage, &io::Error::from_raw_os_error(errno));
                    }
                    Tell::Stopped => self.stop(),
                    Tell::Ended { code, signal, cpu_us, peak_bytes, io_bytes } => {
                        // It may have sent them itself.
                        self.take_signals();
                        self.order(&Ask::Reap);
                        self.has_command = false;
                        if let Some(ending) = &mut ending {
                            self.clear_up(ending);
                        }
                        let reason = match ending.map(|ending| ending.reason) {
                            None if self.limits.killed_for_memory() > killed_before => Some("memory"),
                            None if self.spec.cpu.is_some() && signal == Some(libc::SIGXCPU) => Some("cpu"),
                            reason => reason,
                        };
                        return Outcome {
                            code,
                            signal,
                            reason: reason.map(str::to_owned),
                            cpu: Duration::from_micros(cpu_us),
                            peak_bytes,
                            io_bytes,
                            note: self.line.is_over.then(|| orphaned::NOTE.to_owned()),
                            ..Outcome::default()
                        };
                    }
                    Tell::Left(_) | Tell::HasLetGo => {}
                }
            }
            if self.line.is_over && !self.has_adopted() {
                return lost();
            }
            if warn.is_some_and(|at| at <= Instant::now())
                && let Some(after) = warning.take()
            {
                let after = monitor_duration::write(after);
                self.record.warn(format!("it has run for {after} and not ended (--warn-after)"));
                self.record.field("warned_after", after);
            }
            if ending.is_none() && timeout.is_some_and(|at| at <= Instant::now()) {
                ending = Some(self.end("timeout", self.spec.grace));
            }
            if let (None, Some(limit), Some(used)) = (&ending, self.limits.cpu, self.limits.used_cpu())
                && used.saturating_sub(used_before) >= limit
            {
                ending = Some(self.end("cpu", self.spec.grace));
            }
            if let Some(ending) = ending.as_mut().filter(|ending| !ending.is_killed && ending.kill_at <= Instant::now()) {
                self.order(&Ask::KillAll);
                ending.is_killed = true;
            }
        }
    }

    fn end(&mut self, reason: &'static str, grace: Duration) -> Ending {
        self.is_interrupted |= reason == KILLED;
        self.order(&Ask::Signal { signal: libc::SIGTERM, whom: Whom::Tree });
        // One that is stopped would not hear it.
        self.order(&Ask::Signal { signal: libc::SIGCONT, whom: Whom::Tree });
        Ending { reason, kill_at: Instant::now() + grace, is_killed: false }
    }

    /// The command has ended as it was to; what it has started may take as long as it might have.
    fn clear_up(&mut self, ending: &mut Ending) {
        while !ending.is_killed && Instant::now() < ending.kill_at {
            if !self.is_anything_left() {
                break;
            }
            self.wait(Some(LOOK));
            self.take_signals();
            if self.asked.drain(..).any(|signal| signal == kill_tree()) {
                ending.kill_at = Instant::now();
            }
        }
        self.order(&Ask::KillAll);
        self.give_up_at = Some(Instant::now() + self.spec.grace.max(LEAST_PATIENCE));
    }

    /// Waits so long, unless somebody wants it to end; `false` if so.
    fn sleep(&mut self, longest: Duration) -> bool {
        self.give_back_keys();
        let until = Instant::now() + longest;
        while Instant::now() < until && !self.is_interrupted && !self.line.is_over {
            self.wait(Some(until.saturating_duration_since(Instant::now())));
            self.take_signals();
            self.is_interrupted |= self.hung_up.take().is_some() || self.asked.drain(..).count() > 0;
        }
        self.take_keys();
        !self.is_interrupted && !self.line.is_over
    }

    /// The helper's answer.
    fn answer<T>(&mut self, take: impl Fn(&Tell) -> Option<T>) -> Option<T> {
        loop {
            while let Some(tell) = self.line.next() {
                if let Some(answer) = take(&tell) {
                    return Some(answer);
                }
            }
            if self.line.is_over {
                return None;
            }
            self.wait(None);
            self.take_signals();
        }
    }

    /// Has all output copied that was written by now; whether nobody can write any more. Somebody may want the launcher to end
    /// while nobody reads that output, and who reads that of a command that was to be ended has his time.
    fn drain(&mut self) -> bool {
        let was_interrupted = std::mem::take(&mut self.is_interrupted);
        let answers: Vec<_> = self.pumping.iter().map(Pumping::drain).collect();
        let mut is_over = true;
        for answer in answers {
            loop {
                match answer.recv_timeout(LOOK) {
                    Ok(is_this_over) => is_over &= is_this_over,
                    Err(mpsc::RecvTimeoutError::Disconnected) => {}
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        self.take_signals();
                        let is_given_up = self.give_up_at.is_some_and(|at| at <= Instant::now());
                        if !self.is_interrupted && self.hung_up.is_none() && !is_given_up {
                            continue;
                        }
                        is_over = false;
                    }
                }
                break;
            }
        }
        self.is_interrupted |= was_interrupted;
        is_over
    }

    /// Nothing more is started; whether nobody can write output any more. Whoever still can has the helper to copy it.
    fn let_go(&mut self) -> bool {
        self.line.say(&Ask::LetGo);
        self.answer(|tell| matches!(tell, Tell::HasLetGo).then_some(()));
        let is_over = self.drain();
        self.give_back_terminal();
        is_over
    }
}

/// The launcher ends, and with it all that it does. What the server has not taken yet is sent by a process that nobody waits for;
/// but not where the end of this one, or of whoever waits for it, may be the end of all: in a container.
pub(crate) fn bid_farewell(line: &mut Line<Ask, Tell>, goes_on: bool) {
    let is_last = [std::process::id(), std::os::unix::process::parent_id()].contains(&1);
    let left = if is_last || line.is_over { None } else { monitor_client::launcher::leave() };
    line.say(&Ask::End { goes_on, left });
}

/// The outcome of what nobody has seen the end of, or the begin.
fn lost() -> Outcome {
    let error = "the helper that starts the command was killed: how the command ended is unknown".to_owned();
    Outcome { error: Some(error), reason: Some("lost".to_owned()), ..Outcome::default() }
}
