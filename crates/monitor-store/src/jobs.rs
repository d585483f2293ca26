//! Jobs on many hosts, and the hosts: the operations of a store.

use std::collections::BTreeMap;

use monitor_jobs::{HostRun, JobState, Target, Transition, Verdict};
use monitor_wire::{CallbackDelivery, DeliveryState, HostDefinition, HostStatus, JobCallback, JobRequest, JobStatus, StepRequest, Targets};

use super::StoreError;

/// Operations on hosts and jobs. Every method blocks, so call it only where blocking is allowed. Changes are durable when the method returns.
///
/// # Errors
/// Every method returns an error if the store fails.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait JobStore: Send + Sync + 'static {
    /// Returns all hosts, sorted by name.
    fn hosts(&self) -> Result<Vec<HostRow>, StoreError>;

    /// Adds hosts, or changes the settings of the hosts with these names, in one transaction. Returns true for each host that was added.
    fn put_hosts(&self, definitions: &[HostDefinition], now_us: u64) -> Result<Vec<bool>, StoreError>;

    /// Notes that the agent of a host has connected. Adds the host if there is none with this name.
    fn meet_host(&self, name: &str, now_us: u64) -> Result<(), StoreError>;

    /// Removes a host. Its jobs keep their data, and its number is not used again. Returns false if there is none.
    fn remove_host(&self, id: u64) -> Result<bool, StoreError>;

    /// Returns all saved targets, sorted by name.
    fn saved_targets(&self) -> Result<Vec<SavedRow>, StoreError>;

    /// Adds saved targets, or replaces those with this name.
    fn put_saved_targets(&self, name: &str, targets: &Targets) -> Result<(), StoreError>;

    /// Removes saved targets. Returns false if there are none with this name.
    fn remove_saved_targets(&self, name: &str) -> Result<bool, StoreError>;

    /// Replaces everything that comes from the file of hosts, in one transaction. Hosts with the same names keep their numbers, and those that are
    /// no longer in the file are removed.
    fn put_inventory(&self, hosts: &[HostDefinition], saved: &BTreeMap<String, Targets>, now_us: u64) -> Result<(), StoreError>;

    /// Adds a job with its steps and hosts, all waiting. If a job with the same request id was created at or after `since_us`, or if another
    /// job follows the same one, returns that job and false.
    fn add_job(&self, new: &NewJob, since_us: u64) -> Result<(JobState, bool), StoreError>;

    /// Returns the job that a request with this id has started at or after `since_us`.
    fn job_of_request(&self, request_id: &str, since_us: u64) -> Result<Option<JobState>, StoreError>;

    /// Returns the numbers of the failed jobs whose request names a job to follow, which has neither started nor been refused, ascending.
    fn jobs_to_follow(&self) -> Result<Vec<u64>, StoreError>;

    /// Notes that no job follows this one, and adds the reason to its warnings.
    fn refuse_follow_up(&self, id: u64, reason: &str) -> Result<(), StoreError>;

    /// Returns the numbers of all jobs that have not ended or have a lost host that must be stopped when it returns, ascending.
    fn open_jobs(&self) -> Result<Vec<u64>, StoreError>;

    /// Returns the whole state of a job.
    fn job(&self, id: u64) -> Result<Option<JobState>, StoreError>;

    /// Returns up to `query.limit` jobs that match, newest first, without their targets and hosts. Each step has the number of its hosts by status.
    fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobRow>, StoreError>;

    /// Returns a page of the hosts of a job, in the order of steps and targets. The number is the row's position, for the next page.
    fn job_hosts(&self, query: &JobHostsQuery) -> Result<Vec<(u64, JobHostRow)>, StoreError>;

    /// Applies changes of a job, in one transaction. Each change gets the next number of the store, and stays until [`forget_changes`](Self::forget_changes).
    /// Adds a delivery of `callback`, which waits, unless the job's newest delivery has the same content and was not tried yet.
    fn change_job(&self, id: u64, changes: &[Transition], callback: Option<&JobCallback>) -> Result<(), StoreError>;

    /// Returns up to `limit` changes with a number above `after`, ascending: the number, the job, and the change.
    fn job_changes(&self, after: u64, limit: usize) -> Result<Vec<(u64, u64, Transition)>, StoreError>;

    /// Removes the changes up to a number, after they have been recorded as events.
    fn forget_changes(&self, until: u64) -> Result<(), StoreError>;

    /// Returns the oldest waiting delivery of up to `limit` jobs, each with the job's callback address. The one to try first comes first.
    fn waiting_callbacks(&self, limit: usize) -> Result<Vec<(String, CallbackDelivery)>, StoreError>;

    /// Stores the progress of a delivery. Its callback doesn't change.
    fn put_delivery(&self, delivery: &CallbackDelivery) -> Result<(), StoreError>;

    /// Returns up to `limit` deliveries of a job with a number below `before`, newest first. Returns `None` if there is no such job.
    fn callbacks(&self, job: u64, before: Option<u64>, limit: usize) -> Result<Option<Vec<CallbackDelivery>>, StoreError>;

    /// Removes jobs that ended before `before_us`. Returns their numbers, so that the caller can remove their output.
    fn remove_jobs(&self, before_us: u64, limit: usize) -> Result<Vec<u64>, StoreError>;
}

/// A host as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// Number of the host.
    pub id: u64,
    /// Settings of the host.
    pub definition: HostDefinition,
    /// Time at which it was added, in Unix microseconds.
    pub created_us: u64,
    /// True if it comes from the file of hosts.
    pub is_from_file: bool,
    /// True if its agent has ever connected.
    pub has_agent: bool,
}

/// Saved targets as the store keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRow {
    /// Name of the targets.
    pub name: String,
    /// The targets.
    pub targets: Targets,
    /// True if they come from the file of hosts.
    pub is_from_file: bool,
}

/// A job to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The request, after its defaults were filled in.
    pub request: JobRequest,
    /// User or token that starts the job.
    pub by: String,
    /// Number of the failed job that the new one follows.
    pub follows: Option<u64>,
    /// The selected hosts, each once.
    pub targets: Vec<Target>,
    /// Result of the server's rules. The first step of a job that needs a confirmation waits for a user.
    pub verdict: Verdict,
    /// Time at which the job is created, in Unix microseconds.
    pub created_us: u64,
}

impl NewJob {
    /// Returns the status of the step at this position before the job begins.
    #[must_use]
    pub fn first_status(&self, position: usize) -> JobStatus {
        if position == 0 && self.verdict.needs_confirmation { JobStatus::NEEDS_USER } else { JobStatus::WAITING }
    }
}

/// Conditions on jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsQuery {
    /// Only jobs with this status.
    pub status: Option<JobStatus>,
    /// Only jobs that have not ended (`Some(true)`) or have ended (`Some(false)`).
    pub is_open: Option<bool>,
    /// Only jobs whose name contains this text.
    pub name: Option<String>,
    /// Only jobs that run on this host.
    pub host: Option<u64>,
    /// Only jobs created at or after this time, in Unix microseconds.
    pub from_us: Option<u64>,
    /// Only jobs with a smaller number.
    pub before: Option<u64>,
    /// Maximum number of jobs.
    pub limit: usize,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The job. Its targets and the hosts of its steps are empty, and its request has only what [`listed`] keeps.
    pub job: JobState,
    /// For each step, the number of hosts with each status.
    pub counts: Vec<Vec<(HostStatus, u32)>>,
}

/// Returns the part of a request that lists of jobs show. Scripts and arguments can have 8 MiB.
#[must_use]
pub fn listed(request: &JobRequest) -> JobRequest {
    JobRequest {
        name: request.name.clone(),
        account: request.account.clone(),
        rolling: request.rolling.clone(),
        steps: request.steps.iter().map(|step| StepRequest { name: step.name.clone(), ..StepRequest::default() }).collect(),
        ..JobRequest::default()
    }
}

/// Returns a delivery of a callback that was not tried yet.
#[must_use]
pub fn new_delivery(id: u64, callback: &JobCallback) -> CallbackDelivery {
    let next_us = Some(callback.time_us);
    CallbackDelivery { id, callback: callback.clone(), state: DeliveryState::Waiting, attempts: 0, answer: None, tried_us: None, next_us }
}

/// Conditions on the hosts of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobHostsQuery {
    /// Number of the job.
    pub job: u64,
    /// Only hosts in this step.
    pub step: Option<u64>,
    /// Only hosts with this status.
    pub status: Option<HostStatus>,
    /// Only hosts with this tag.
    pub tag: Option<String>,
    /// Only rows after this position.
    pub after: Option<u64>,
    /// Maximum number of rows.
    pub limit: usize,
}

/// A host of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobHostRow {
    /// Number of the step.
    pub step_id: u64,
    /// The target.
    pub target: Target,
    /// The host's state in the step.
    pub run: HostRun,
}
