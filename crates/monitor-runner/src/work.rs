//! Watches a command: enforces its time limits, ends it, retries it, and records the result.

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

/// Polling interval for the used CPU time, and for remaining processes of a tree that must end.
const LOOK: Duration = Duration::from_millis(50);
/// Minimum time that the reader of the output has after the end of a command that was ordered to end.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// Reason of a run that was ended by `monitor detached kill`.
const KILLED: &str = "killed";
/// Upper bound of a wait, so that adding it to an instant can't overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// State of the launcher while a run is in progress.
pub(crate) struct Work<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) signals: Signals,
    pub(crate) line: Line<Ask, Tell>,
    pub(crate) helper: u32,
    /// The launcher's terminal, taken over, and the command's terminal that replaces it.
    pub(crate) outer: Option<Outer>,
    pub(crate) terminal: Option<OwnedFd>,
    /// The launcher's terminal, if only the command's output goes through a terminal of its own.
    pub(crate) shown: Option<Shown>,
    pub(crate) limits: &'a Limits,
    pub(crate) injection: Option<&'a Injection>,
    pub(crate) record: &'a Record,
    /// Variables that are equal for all attempts.
    pub(crate) env: Env,
    /// Folder of a detached run.
    pub(crate) claim: Option<Claim>,
    pub(crate) pumping: Vec<Pumping>,
    /// Indices of streams whose reader has closed them.
    pub(crate) closed: Arc<Mutex<Vec<usize>>>,
    /// Event file that is signalled when a stream was added to `closed`.
    pub(crate) news: Arc<OwnedFd>,
    /// Keys that wait for room in the command's terminal.
    pub(crate) typed: Vec<u8>,
    /// Signals for the launcher itself, oldest first.
    pub(crate) asked: VecDeque<i32>,
    /// True if the end of the run was requested, so that it is not retried.
    pub(crate) is_interrupted: bool,
    /// Time of a SIGHUP. If the command ends soon after it, that counts as a request to end. Some programs only reload their settings.
    pub(crate) hung_up: Option<Instant>,
    /// True while a command runs.
    pub(crate) has_command: bool,
    /// Pid of the command, once the helper has reported it.
    pub(crate) command: Option<u32>,
    /// True if a shell may notice that the launcher has stopped, and continue it.
    pub(crate) has_terminal: bool,
    /// Outcome of the run, for the hook after it.
    pub(crate) told: Option<Outcome>,
    /// Time until which the launcher waits for the reader of the output of a command that was ordered to end.
    pub(crate) give_up_at: Option<Instant>,
    pub(crate) at_end: Option<AtEnd>,
}

/// An attempt that is being ended.
struct Ending {
    reason: &'static str,
    kill_at: Instant,
    is_killed: bool,
}

impl Work<'_> {
    pub(crate) fn run(mut self, tails: &Tails) -> Outcome {
        self.take_keys();
        let mut attempt = 1;
        let (mut outcome, is_over) = loop {
            let files = self.files();
            // If this fails, the command runs without injection.
            let following = self.injection.and_then(|injection| injection.follow(&self.record.secrets).ok());
            let started_us = now_us();
            let hook = if attempt == 1 { self.hook_before() } else { None };
            let mut outcome = hook.unwrap_or_else(|| self.attempt(Part::Attempt(attempt)));
            // Before any wait, so that text that other programs write later to the same files is not included.
            let written = files.into_iter().map(|(stream, file)| (stream, file.end())).collect();
            outcome.attempts = attempt;
            (outcome.started_us, outcome.ended_us) = (started_us, now_us());
            outcome.judge(&self.spec.exits);
            self.is_interrupted |= self.is_end_wanted(&outcome);
            outcome.is_cancelled |= self.was_asked_to_end(&outcome);
            self.drain();
            let may_retry = outcome.error.is_none() && !outcome.is_cancelled && outcome.verdict != Some(Verdict::Final);
            // Without a helper, nothing can be started.
            let again = attempt <= self.spec.retry && may_retry && !outcome.is_success() && !self.is_interrupted && !self.line.is_over;
            let said = Said::take(tails, written, &self.record.secrets);
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
            // Write the outcome before the launcher's end becomes visible to waiting programs.
            let _ = claim.steps().ended(&outcome);
        }
        // If the wait for the reader was given up, its pump may still be blocked in a write.
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

    /// Returns the ends of the files that the command writes directly.
    fn files(&self) -> Vec<(Stream, FileTail)> {
        if self.spec.capture {
            return Vec::new();
        }
        let streams = [(Stream::Errors, rustix::stdio::stderr()), (Stream::Output, rustix::stdio::stdout())];
        streams.into_iter().filter_map(|(stream, file)| Some((stream, FileTail::of(file)?))).collect()
    }

    /// Returns true if the run was ended from the terminal: by hanging up, or by a key that only the command received.
    fn is_end_wanted(&mut self, outcome: &Outcome) -> bool {
        let is_hung_up = self.hung_up.take().is_some_and(|at| at.elapsed() <= self.spec.grace);
        is_hung_up || (self.outer.is_some() && matches!(outcome.signal, Some(libc::SIGINT | libc::SIGQUIT)))
    }

    /// Returns true if the command ended because that was requested. A command that exits successfully after the request has succeeded,
    /// unless it was ordered to be killed.
    fn was_asked_to_end(&self, outcome: &Outcome) -> bool {
        outcome.error.is_none()
            && (outcome.reason.as_deref() == Some(KILLED) || (outcome.reason.is_none() && self.is_interrupted && !outcome.is_success()))
    }

    /// Runs the hook before the first attempt. If the hook fails, returns the outcome of the run.
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

    /// Runs the hook after the last attempt, if there was an attempt. It does not change the outcome of the run.
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
                        // The command may have sent pending signals itself. Take them while its pid is still known.
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
        // SIGTERM stays pending while a process is stopped, so send SIGCONT, too.
        self.order(&Ask::Signal { signal: libc::SIGCONT, whom: Whom::Tree });
        Ending { reason, kill_at: Instant::now() + grace, is_killed: false }
    }

    /// Ends the remaining processes after the command has ended as ordered. They have the rest of the grace period.
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

    /// Waits for `longest`. Returns false if the end was requested earlier.
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

    /// Waits for an answer of the helper.
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

    /// Has all available output copied. Returns true if no process can write any more. While the readers are slow, the wait ends on a
    /// request to end, or when the time of the reader of an ended command is over.
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

    /// Announces that nothing more is started. Returns true if no process can write output any more. Otherwise the helper copies the rest.
    fn let_go(&mut self) -> bool {
        self.line.say(&Ask::LetGo);
        self.answer(|tell| matches!(tell, Tell::HasLetGo).then_some(()));
        let is_over = self.drain();
        self.give_back_terminal();
        is_over
    }
}

/// Ends the work of the launcher. Unsent records are sent by a background process, except in a container whose first process is this
/// program or its parent: there, the end of the first process would kill the background process.
pub(crate) fn bid_farewell(line: &mut Line<Ask, Tell>, goes_on: bool) {
    let is_last = [std::process::id(), std::os::unix::process::parent_id()].contains(&1);
    let left = if is_last || line.is_over { None } else { monitor_client::launcher::leave() };
    line.say(&Ask::End { goes_on, left });
}

/// Creates the outcome of an attempt whose start or end was not observed.
fn lost() -> Outcome {
    let error = "the helper that starts the command was killed: how the command ended is unknown".to_owned();
    Outcome { error: Some(error), reason: Some("lost".to_owned()), ..Outcome::default() }
}
