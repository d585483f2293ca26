//! The state of a job while a plan, an operation or a report changes it: the unchanged job, and copies of the steps and hosts that differ.
//! Collects the [`Transition`]s that lead from one to the other.

use std::collections::{HashMap, HashSet};

use monitor_wire::{HostStatus, JobRunKey, JobStatus};

use crate::plan::Transition;
use crate::state::{HostRun, JobState};

/// Status of a step without its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepHead {
    pub status: JobStatus,
    pub attempt: u32,
    pub batches: u32,
}

pub(crate) struct Draft<'a> {
    pub now_us: u64,
    pub job: &'a JobState,
    pub status: JobStatus,
    pub transitions: Vec<Transition>,
    steps: Vec<StepHead>,
    hosts: HashMap<(usize, usize), HostRun>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(now_us: u64, job: &'a JobState) -> Self {
        let head = |step: &crate::StepState| StepHead { status: step.status, attempt: step.attempt, batches: step.batches };
        Self {
            now_us,
            job,
            status: job.status,
            transitions: Vec::new(),
            steps: job.steps.iter().map(head).collect(),
            hosts: HashMap::new(),
        }
    }

    pub(crate) fn step(&self, step: usize) -> StepHead {
        self.steps[step]
    }

    pub(crate) fn host(&self, step: usize, host: usize) -> &HostRun {
        self.hosts.get(&(step, host)).unwrap_or_else(|| &self.job.steps[step].hosts[host])
    }

    /// Returns the positions of the hosts of a step.
    pub(crate) fn positions(&self, step: usize) -> std::ops::Range<usize> {
        0..self.job.steps[step].hosts.len().min(self.job.targets.len())
    }

    /// Returns the positions of the hosts of a step that run, or were offered the order to start.
    pub(crate) fn active(&self, step: usize) -> Vec<usize> {
        self.positions(step).filter(|host| self.host(step, *host).is_active()).collect()
    }

    /// Returns the first step that the job has not passed.
    pub(crate) fn current(&self) -> Option<usize> {
        self.steps.iter().position(|step| !step.status.is_passed())
    }

    /// Returns the identity of a host's current run; none for a target that is no known host.
    pub(crate) fn key(&self, step: usize, host: usize) -> Option<JobRunKey> {
        let id = self.job.targets[host].host_id?;
        Some(JobRunKey { job: self.job.id, step: self.job.steps[step].id, host: id, attempt: self.host(step, host).running_attempt() })
    }

    pub(crate) fn set_job(&mut self, status: JobStatus) {
        if self.status != status {
            self.status = status;
            self.transitions.push(Transition::Job { status, at_us: self.now_us });
        }
    }

    pub(crate) fn set_head(&mut self, step: usize, head: StepHead) {
        if self.steps[step] != head {
            self.steps[step] = head;
            let StepHead { status, attempt, batches } = head;
            self.transitions.push(Transition::Step { step, status, attempt, batches, at_us: self.now_us });
        }
    }

    pub(crate) fn set_step(&mut self, step: usize, status: JobStatus) {
        self.set_head(step, StepHead { status, ..self.steps[step] });
    }

    pub(crate) fn set_host(&mut self, step: usize, host: usize, run: HostRun) {
        if *self.host(step, host) != run {
            self.transitions.push(Transition::Host { step, host, run: Box::new(run.clone()), at_us: self.now_us });
            self.hosts.insert((step, host), run);
        }
    }

    /// Begins a new attempt of a step on some of its hosts, each in the state that `anew` returns. Its batches begin again from the first one.
    pub(crate) fn begin_attempt(&mut self, step: usize, hosts: &HashSet<usize>, anew: impl Fn(&HostRun) -> HostRun) {
        for host in self.positions(step) {
            let run = self.host(step, host);
            if hosts.contains(&host) {
                self.set_host(step, host, anew(run));
            } else if run.status == HostStatus::SUCCEEDED {
                self.set_host(step, host, HostRun { status: HostStatus::SUCCEEDED_BEFORE, ..run.clone() });
            }
        }
        self.set_head(step, StepHead { status: JobStatus::RUNNING, attempt: self.step(step).attempt + 1, batches: 0 });
    }

    /// Ends a host with a status that the engine decides.
    pub(crate) fn end_host(&mut self, step: usize, host: usize, status: HostStatus, reason: Option<&str>) {
        let mut run = self.host(step, host).clone();
        run.status = status;
        run.ended_us = Some(self.now_us);
        run.not_before_us = None;
        run.reason = reason.map(str::to_owned);
        self.set_host(step, host, run);
    }

    /// Ends the hosts of a step that wait and were not ordered to start.
    pub(crate) fn end_waiting(&mut self, step: usize, status: HostStatus, reason: &str) {
        for host in self.positions(step) {
            if self.host(step, host).is_fresh() {
                self.end_host(step, host, status, Some(reason));
            }
        }
    }

    /// Ends all later steps, which have not begun.
    pub(crate) fn discard_after(&mut self, step: usize) {
        let (status, reason) = if self.steps[step].status == JobStatus::STOPPED {
            (HostStatus::STOPPED, "The job was stopped before this step began.")
        } else {
            (HostStatus::JOB_TIME_OVER, "The job ended before this step began.")
        };
        for later in step + 1..self.steps.len() {
            if self.steps[later].status == JobStatus::WAITING {
                self.set_step(later, JobStatus::DISCARDED);
                self.end_waiting(later, status, reason);
            }
        }
    }

    /// Lets all later steps that were discarded wait again. None of their hosts was ordered to start, so their attempts don't change.
    pub(crate) fn restore_after(&mut self, step: usize) {
        for later in step + 1..self.steps.len() {
            if self.steps[later].status == JobStatus::DISCARDED {
                self.set_step(later, JobStatus::WAITING);
                for host in self.positions(later) {
                    let attempt = self.host(later, host).attempt;
                    self.set_host(later, host, HostRun { attempt, since: attempt, ..HostRun::default() });
                }
            }
        }
    }

    /// Returns true if each host of a step has succeeded.
    pub(crate) fn has_succeeded(&self, step: usize) -> bool {
        self.positions(step).all(|host| self.host(step, host).status.is_success())
    }

    /// Returns the status of a job that has passed all its steps.
    pub(crate) fn passed_status(&self) -> JobStatus {
        let has_succeeded = self.steps.iter().all(|step| step.status == JobStatus::SUCCEEDED);
        if has_succeeded { JobStatus::SUCCEEDED } else { JobStatus::ERROR_IGNORED }
    }
}

impl HostRun {
    /// Returns true if the host waits and its agent has never been offered an order in this attempt.
    pub(crate) fn is_fresh(&self) -> bool {
        self.status == HostStatus::WAITING && self.ordered_us.is_none()
    }

    /// Returns true if the host waits for an automatic retry.
    pub(crate) fn is_retry_pending(&self) -> bool {
        self.status == HostStatus::WAITING && self.not_before_us.is_some()
    }

    /// Returns true if the agent has been offered the order, or runs it.
    pub(crate) fn is_active(&self) -> bool {
        self.status.is_open() && self.ordered_us.is_some() && self.not_before_us.is_none()
    }
}
