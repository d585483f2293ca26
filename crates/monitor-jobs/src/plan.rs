//! Decides what happens next in a job: begins steps and batches, orders hosts to start, and ends hosts whose agents are silent. [`plan`] changes
//! nothing: it returns the changes to store, the messages to hosts, and the time of its next call.
//!
//! The engine calls it after each change of a job, and at [`Plan::wake_at_us`]. It repeats the call until there are no more transitions. Silent
//! agents cause no change, so a job with only such agents continues by `wake_at_us`.

use std::collections::HashMap;

use monitor_wire::{HostStatus, JobRequest, JobRetry, JobRunKey, JobStatus, RollingMode};
use serde::{Deserialize, Serialize};

use crate::check::timeout_s;
use crate::draft::{Draft, StepHead};
use crate::report::is_provisional;
use crate::rolling::{BatchEnds, failure_limit};
use crate::state::{HostRun, JobState};

/// Interval of the agents' heartbeats: `HEARTBEAT_MS` in `monitor-agent/src/outbox.rs`.
pub const HEARTBEAT_US: u64 = 10_000_000;

/// Time without contact after which an agent counts as not reachable: two heartbeats.
pub const CONTACT_US: u64 = 2 * HEARTBEAT_US;

/// Time within which an agent must start a script, from [`HostRun::ordered_us`]. The order expires then.
pub const ORDER_TTL_US: u64 = 60_000_000;

/// Time that an agent has to report the end of a script whose timeout is over.
const END_MARGIN_US: u64 = 60_000_000;

/// The server's contact with a host's agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contact {
    /// True if an agent of the host has ever connected.
    pub has_agent: bool,
    /// True if the settings of the host list accounts, and the account of the job is not one of them.
    pub lacks_account: bool,
    /// Time of the last contact. After a start of the server, at least the time of that start, so that agents have time to connect.
    pub last_us: u64,
}

/// Contacts by the number of the host.
pub type Contacts = HashMap<u64, Contact>;

/// Changes, messages and the next time to plan: the answer of [`plan`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Changes of the job. The engine stores them before it follows the directives.
    pub transitions: Vec<Transition>,
    /// Messages to hosts. They repeat in each plan until the host's report arrives.
    pub directives: Vec<Directive>,
    /// Time at which the engine plans again even if nothing happens.
    pub wake_at_us: Option<u64>,
}

/// A change of a job. It has the complete new state of the job, step or host, so that applying it twice is the same as once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Transition {
    /// The job.
    Job {
        /// New status.
        status: JobStatus,
        /// Time of the change.
        at_us: u64,
    },
    /// A step.
    Step {
        /// Position of the step.
        step: usize,
        /// New status.
        status: JobStatus,
        /// Number of the latest attempt.
        attempt: u32,
        /// Number of batches that have begun.
        batches: u32,
        /// Time of the change.
        at_us: u64,
    },
    /// A host in a step.
    Host {
        /// Position of the step.
        step: usize,
        /// Position of the host.
        host: usize,
        /// New state.
        run: Box<HostRun>,
        /// Time of the change.
        at_us: u64,
    },
}

/// A message to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// Offer the order to run the script.
    Run(JobRunKey),
    /// End the run.
    Stop(JobRunKey),
}

/// Decides what happens next in a job. A job that has ended gets no transitions.
#[must_use]
pub fn plan(now_us: u64, job: &JobState, contacts: &Contacts) -> Plan {
    let mut planner = Planner { draft: Draft::new(now_us, job), contacts, wake_at_us: None };
    if !job.status.is_finished() {
        planner.advance();
    }
    let directives = planner.directives();
    Plan { transitions: planner.draft.transitions, directives, wake_at_us: planner.wake_at_us }
}

struct Planner<'a> {
    draft: Draft<'a>,
    contacts: &'a Contacts,
    wake_at_us: Option<u64>,
}

impl Planner<'_> {
    /// Continues until the job has ended, or waits for a host or a user.
    fn advance(&mut self) {
        if self.draft.status == JobStatus::WAITING {
            self.draft.set_job(JobStatus::RUNNING);
        }
        while let Some(step) = self.draft.current() {
            match self.draft.step(step).status {
                JobStatus::WAITING => self.begin_step(step),
                JobStatus::RUNNING | JobStatus::STOPPING => {
                    let before = self.draft.step(step).attempt;
                    self.advance_step(step);
                    let StepHead { status, attempt, .. } = self.draft.step(step);
                    // A new attempt begins at once.
                    if attempt == before && matches!(status, JobStatus::RUNNING | JobStatus::STOPPING) {
                        return;
                    }
                }
                status => {
                    // The step waits for a user, or it has ended the job.
                    self.draft.set_job(status);
                    if status.is_finished() {
                        self.draft.discard_after(step);
                    }
                    return;
                }
            }
        }
        let status = self.draft.passed_status();
        self.draft.set_job(status);
    }

    fn begin_step(&mut self, step: usize) {
        self.draft.set_job(JobStatus::RUNNING);
        self.draft.set_step(step, JobStatus::RUNNING);
    }

    /// Ends the hosts that can't be in any batch: targets that are no known hosts, and hosts without an agent.
    fn exclude_hosts(&mut self, step: usize) {
        for host in self.draft.positions(step) {
            if !self.draft.host(step, host).is_fresh() {
                continue;
            }
            let target = &self.draft.job.targets[host];
            match target.host_id {
                None => self.draft.end_host(step, host, HostStatus::NO_SUCH_HOST, None),
                Some(id) if !self.contacts.get(&id).is_some_and(|contact| contact.has_agent) => {
                    self.draft.end_host(step, host, HostStatus::NO_AGENT, None);
                }
                Some(_) => {}
            }
        }
    }

    /// Continues a step that runs, batch by batch.
    fn advance_step(&mut self, step: usize) {
        let job = self.draft.job;
        if self.draft.step(step).batches == 0 && self.draft.step(step).status == JobStatus::RUNNING {
            self.exclude_hosts(step);
            self.draft.set_head(step, StepHead { batches: 1, ..self.draft.step(step) });
        }
        // The list is the same during an attempt, because `NO_SUCH_HOST` and `NO_AGENT` are only set before its first batch.
        let is_in_batch = |host: &usize| !matches!(self.draft.host(step, *host).status, HostStatus::NO_SUCH_HOST | HostStatus::NO_AGENT);
        let hosts: Vec<usize> = self.draft.positions(step).filter(is_in_batch).collect();
        let rolling = job.request.rolling.as_ref();
        let limit = failure_limit(rolling, hosts.len());
        let is_stopping = self.draft.step(step).status == JobStatus::STOPPING;
        // A host of a later batch may run: the order of a former attempt turned out to be accepted.
        for host in self.draft.active(step) {
            self.judge(step, host);
        }
        let (mut failures, mut begin) = (0, 0);
        for (index, end) in BatchEnds::new(rolling, hosts.len()).enumerate() {
            let batch = &hosts[begin..end];
            let head = self.draft.step(step);
            if index >= head.batches as usize {
                if is_stopping {
                    break;
                }
                self.draft.set_head(step, StepHead { batches: head.batches + 1, ..head });
            }
            for host in batch {
                self.judge(step, *host);
            }
            let failed = batch.iter().filter(|host| self.draft.host(step, **host).has_failed()).count();
            failures += failed;
            if limit.is_some_and(|limit| failures >= limit) {
                self.stop_after_failures(step, failures);
            } else if !is_stopping {
                self.order(step, batch);
            }
            if batch.iter().any(|host| self.draft.host(step, *host).status.is_open()) {
                return;
            }
            begin = end;
            if limit.is_some_and(|limit| failures >= limit) {
                if self.draft.active(step).is_empty() {
                    self.draft.set_step(step, if is_stopping { JobStatus::STOPPED } else { JobStatus::FAILED });
                }
                return;
            }
            // A user is asked only after the last batch that has begun. If a later one has begun, the question was answered before.
            let is_last_begun = index + 1 >= self.draft.step(step).batches as usize;
            if end < hosts.len() && !is_stopping && is_last_begun {
                let has_run = batch.iter().any(|host| self.draft.host(step, *host).status != HostStatus::SUCCEEDED_BEFORE);
                match rolling.map(|rolling| rolling.mode) {
                    Some(RollingMode::PauseOnFailure) if failed > 0 => return self.draft.set_step(step, JobStatus::NEEDS_USER),
                    Some(RollingMode::Ask) if has_run => return self.draft.set_step(step, JobStatus::NEXT_BATCH),
                    _ => {}
                }
            }
        }
        self.end_step(step);
    }

    /// Ends a step whose batches have ended, unless a host of a later batch still runs.
    fn end_step(&mut self, step: usize) {
        if !self.draft.active(step).is_empty() {
            return;
        }
        let mode = self.draft.job.request.rolling.as_ref().map(|rolling| rolling.mode);
        let status = if self.draft.step(step).status == JobStatus::STOPPING {
            JobStatus::STOPPED
        } else if self.draft.has_succeeded(step) {
            JobStatus::SUCCEEDED
        } else if mode == Some(RollingMode::Ignore) {
            JobStatus::ERROR_IGNORED
        } else if self.retry_failed(step) {
            return;
        } else {
            JobStatus::FAILED
        };
        self.draft.set_step(step, status);
    }

    /// Begins the next automatic attempt of a step on the hosts that have failed. Returns false if there is none.
    fn retry_failed(&mut self, step: usize) -> bool {
        let head = self.draft.step(step);
        let failed = self.draft.job.request.then.as_ref().and_then(|then| then.failed.as_ref());
        let Some(retry) = failed.and_then(|failed| failed.retry.as_ref()).filter(|retry| head.attempt <= retry.times) else { return false };
        let is_retried = |host: &usize| self.draft.job.targets[*host].host_id.is_some() && self.draft.host(step, *host).may_be_repeated();
        let hosts: Vec<usize> = self.draft.positions(step).filter(is_retried).collect();
        if hosts.is_empty() {
            return false;
        }
        let not_before = self.draft.now_us.saturating_add(backoff_us(retry));
        let reason = format!("Retry {} of {} follows.", head.attempt, retry.times);
        self.draft.begin_attempt(step, &hosts.into_iter().collect(), |run| HostRun {
            not_before_us: Some(not_before),
            reason: Some(format!("The last attempt: {}. {reason}", run.status.as_str())),
            ..run.next_attempt().again()
        });
        self.wake(not_before);
        true
    }

    fn stop_after_failures(&mut self, step: usize, failures: usize) {
        let reason = format!("The job stopped after {failures} failed hosts, before this host began.");
        for host in self.draft.positions(step) {
            let run = self.draft.host(step, host);
            if run.is_retry_pending() {
                self.draft.end_host(step, host, HostStatus::UNREACHABLE, Some("The job stopped before the next retry."));
            } else if run.is_fresh() {
                self.draft.end_host(step, host, HostStatus::JOB_TIME_OVER, Some(&reason));
            }
        }
    }

    /// Ends a host whose agent is silent, or schedules its retry. Otherwise sets the time at which the host must be checked again.
    fn judge(&mut self, step: usize, host: usize) {
        let run = self.draft.host(step, host);
        if !run.status.is_open() {
            return;
        }
        if let Some(not_before) = run.not_before_us.filter(|not_before| *not_before > self.draft.now_us) {
            return self.wake(not_before);
        }
        let contact = self.contact(host);
        if run.is_fresh() && contact.lacks_account {
            return self.draft.end_host(step, host, HostStatus::NO_ACCOUNT, Some(&no_account(&self.draft.job.request)));
        }
        let lost_at = contact.last_us.saturating_add(CONTACT_US);
        if lost_at < self.draft.now_us {
            let reason = if run.accepted_us.is_some() {
                "Contact to the agent was lost after it had accepted the order. The script may have run."
            } else {
                "The agent has no contact to the server."
            };
            return self.lose(step, host, reason);
        }
        let mut wake_at = lost_at.saturating_add(1);
        if let Some(accepted) = run.accepted_us {
            let timeout_us = timeout_s(&self.draft.job.request.steps[step]).saturating_mul(1_000_000);
            let ends_at = accepted.saturating_add(ORDER_TTL_US + END_MARGIN_US).saturating_add(timeout_us);
            if ends_at <= self.draft.now_us {
                let reason = "The agent has reported no end, although the script's timeout is over.";
                return self.draft.end_host(step, host, HostStatus::LOST, Some(reason));
            }
            wake_at = wake_at.min(ends_at);
        } else if let Some(ordered) = run.ordered_us.filter(|_| run.is_active()) {
            let expires_at = ordered.saturating_add(ORDER_TTL_US);
            if expires_at <= self.draft.now_us {
                return self.lose(step, host, "The agent is in contact, but has not accepted the order in time.");
            }
            wake_at = wake_at.min(expires_at);
        } else {
            // A host that waits for its turn is judged again with every other one that ends.
            return self.wake(wake_at);
        }
        self.wake(wake_at);
    }

    /// Ends a host as not reachable, or schedules its next retry.
    fn lose(&mut self, step: usize, host: usize, reason: &str) {
        let run = self.draft.host(step, host);
        let retry = self.draft.job.request.retry.as_ref();
        let Some(retry) = retry.filter(|retry| run.retries < retry.times && run.accepted_us.is_none() && !run.is_stopping) else {
            return self.draft.end_host(step, host, HostStatus::UNREACHABLE, Some(reason));
        };
        // The order that was offered expires first, so that the agent can't start both.
        let expired_at = run.ordered_us.map_or(0, |ordered| ordered.saturating_add(ORDER_TTL_US));
        // After a start of the server, the agent has time to report that it has accepted the order.
        let not_before = self.draft.now_us.saturating_add(backoff_us(retry).max(CONTACT_US + 1)).max(expired_at);
        let mut run = run.clone();
        run.retries += 1;
        run.not_before_us = Some(not_before);
        run.reason = Some(format!("{reason} Retry {} of {} follows.", run.retries, retry.times));
        self.draft.set_host(step, host, run);
        self.wake(not_before);
    }

    /// Orders the hosts of a batch to start, as far as `parallel` and the size of the batch permit.
    fn order(&mut self, step: usize, batch: &[usize]) {
        let parallel = self.draft.job.request.rolling.as_ref().and_then(|rolling| rolling.parallel).unwrap_or(u32::MAX) as usize;
        let most = parallel.min(batch.len());
        let mut active = self.draft.active(step).len();
        for host in batch {
            if active >= most {
                return;
            }
            let run = self.draft.host(step, *host);
            let is_due = run.not_before_us.is_none_or(|not_before| not_before <= self.draft.now_us);
            if !is_due || !(run.is_fresh() || run.is_retry_pending()) {
                continue;
            }
            let mut run = run.clone();
            if run.ordered_us.is_some() {
                run.attempt += 1;
            }
            run.ordered_us = Some(self.draft.now_us);
            run.not_before_us = None;
            run.reason = None;
            self.draft.set_host(step, *host, run);
            self.wake((self.contact(*host).last_us.saturating_add(CONTACT_US + 1)).min(self.draft.now_us.saturating_add(ORDER_TTL_US)));
            active += 1;
        }
    }

    fn contact(&self, host: usize) -> Contact {
        let contact = self.draft.job.targets[host].host_id.and_then(|id| self.contacts.get(&id));
        contact.copied().unwrap_or_default()
    }

    fn wake(&mut self, at_us: u64) {
        self.wake_at_us = Some(self.wake_at_us.map_or(at_us, |wake_at| wake_at.min(at_us)));
    }

    fn directives(&self) -> Vec<Directive> {
        let Some(step) = self.draft.current() else { return Vec::new() };
        let directive = |host| {
            let run = self.draft.host(step, host);
            let key = self.draft.key(step, host)?;
            // A host that was lost while it was being stopped may still run the script when it returns.
            let is_stop = run.is_stopping && (run.status.is_open() || run.status == HostStatus::UNREACHABLE);
            let is_run = !run.is_stopping && run.is_active() && run.accepted_us.is_none() && run.status == HostStatus::WAITING;
            if is_stop { Some(Directive::Stop(key)) } else { is_run.then_some(Directive::Run(key)) }
        };
        self.draft.positions(step).filter_map(directive).collect()
    }
}

/// Returns the reason for a host whose settings list accounts, but not the account of the job.
pub(crate) fn no_account(request: &JobRequest) -> String {
    let account = request.account.as_deref().unwrap_or_default();
    format!("The server's list of hosts has no account {account:?} for this host. Add it there, or use another one.")
}

/// Returns the pause before a retry, in microseconds.
fn backoff_us(retry: &JobRetry) -> u64 {
    let backoff = retry.backoff.as_deref().and_then(|text| monitor_duration::read(text).ok()).unwrap_or_default();
    u64::try_from(backoff.as_micros()).unwrap_or(u64::MAX)
}

impl HostRun {
    /// Returns true if a report of the agent has ended the run. Its output is complete then.
    #[must_use]
    pub fn has_reported_end(&self) -> bool {
        self.accepted_us.is_some() && !self.status.is_open() && !is_provisional(self.status)
    }

    /// Returns the number of the attempt that the agent executes.
    #[must_use]
    pub fn running_attempt(&self) -> u32 {
        self.runs_as.unwrap_or(self.attempt)
    }

    /// Returns a host that waits for its next attempt, which must not run if a former attempt turns out to be accepted.
    pub(crate) fn next_attempt(&self) -> Self {
        let may_run = self.accepted_us.is_some() && !self.has_reported_end();
        Self { attempt: self.attempt + 1, since: self.since, may_have_run: self.may_have_run || may_run, ..Self::default() }
    }

    /// Permits the attempt to run although a former one has run.
    pub(crate) fn again(self) -> Self {
        Self { since: self.attempt, ..self }
    }

    /// Returns true if the host can be tried again automatically: it has failed, and its script surely doesn't run now. After an order was
    /// offered, that is sure only if the agent has reported the end. Without an agent, another attempt would fail at once.
    fn may_be_repeated(&self) -> bool {
        let has_reported = !is_provisional(self.status) || self.ordered_us.is_none();
        self.has_failed() && has_reported && ![HostStatus::STOPPED, HostStatus::NO_AGENT].contains(&self.status)
    }

    /// Returns true if the host has ended without success.
    fn has_failed(&self) -> bool {
        !self.status.is_open() && !self.status.is_success()
    }
}
