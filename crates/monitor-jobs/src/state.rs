//! The state of a job: its request, its targets, and what each host has done in each step. The store keeps it, and [`plan`](crate::plan) reads it.
//! Times are Unix microseconds.

use monitor_wire::{HostStatus, JobRequest, JobStatus};
use serde::{Deserialize, Serialize};

/// A job with all its steps and hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobState {
    /// Number of the job.
    pub id: u64,
    /// Status of the job.
    pub status: JobStatus,
    /// The request, after its defaults were filled in.
    pub request: JobRequest,
    /// User or token that has started the job.
    pub by: String,
    /// Number of the failed job that this one follows.
    pub follows: Option<u64>,
    /// Number of the job that follows this one.
    pub followed_by: Option<u64>,
    /// A sentence for each rule of the server that the job matches.
    pub warnings: Vec<String>,
    /// The selected hosts, each once. A host's position here is its position in [`StepState::hosts`].
    pub targets: Vec<Target>,
    /// The steps in their order.
    pub steps: Vec<StepState>,
    /// Time at which the job was created.
    pub created_us: u64,
    /// Time at which the first step began.
    pub started_us: Option<u64>,
    /// Time at which the job ended.
    pub ended_us: Option<u64>,
}

/// A target of a job, as it was resolved when the job was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Number of the host; none if there is no such host.
    pub host_id: Option<u64>,
    /// Name of the host, or the target as requested.
    pub name: String,
    /// Address of the host.
    pub ip: Option<String>,
    /// Number of the network that the address belongs to.
    pub cloud_id: u64,
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Number of the step. No other step of any job has it.
    pub id: u64,
    /// Status of the step.
    pub status: JobStatus,
    /// Number of the latest attempt, from 1.
    pub attempt: u32,
    /// Number of batches that have begun.
    pub batches: u32,
    /// Time at which the step began.
    pub started_us: Option<u64>,
    /// Time at which the step ended.
    pub ended_us: Option<u64>,
    /// The hosts, in the order of [`JobState::targets`].
    pub hosts: Vec<HostRun>,
}

/// A host in a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRun {
    /// Status of the host.
    pub status: HostStatus,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Number of automatic retries in this attempt of the step.
    pub retries: u32,
    /// Time before which an automatic retry must not begin.
    pub not_before_us: Option<u64>,
    /// Time at which the engine decided to order the start. The order is offered to the agent from then on.
    pub ordered_us: Option<u64>,
    /// Time at which the server received the agent's confirmation that it has stored the order.
    pub accepted_us: Option<u64>,
    /// True if a former attempt of the step has accepted its order, and its end was not observed: its script may still run.
    #[serde(default)]
    pub may_have_run: bool,
    /// The first of the attempts of which at most one may run, up to this attempt. 0, in jobs of older versions, means this attempt.
    #[serde(default)]
    pub since: u32,
    /// The former attempt whose reports count for this one, because its order turned out to be accepted.
    #[serde(default)]
    pub runs_as: Option<u32>,
    /// Time at which the script began, by the clock of the host.
    pub started_us: Option<u64>,
    /// Time at which the host ended.
    pub ended_us: Option<u64>,
    /// True once a user has stopped the run.
    pub is_stopping: bool,
    /// True if a later report has replaced a status that had already been final.
    pub is_corrected: bool,
    /// Exit code of the script, if it has one.
    pub exit_code: Option<i32>,
    /// Tag that the script has set with its last line.
    pub tag: Option<String>,
    /// Reason in a sentence, if the status alone doesn't show it.
    pub reason: Option<String>,
    /// Number of bytes of output that the agent has sent.
    pub output_bytes: u64,
    /// Number of bytes of output that were not kept.
    pub omitted_bytes: u64,
}

impl Default for HostRun {
    /// Returns a host that waits for its first start.
    fn default() -> Self {
        Self {
            status: HostStatus::WAITING,
            attempt: 1,
            retries: 0,
            not_before_us: None,
            ordered_us: None,
            accepted_us: None,
            may_have_run: false,
            since: 1,
            runs_as: None,
            started_us: None,
            ended_us: None,
            is_stopping: false,
            is_corrected: false,
            exit_code: None,
            tag: None,
            reason: None,
            output_bytes: 0,
            omitted_bytes: 0,
        }
    }
}
