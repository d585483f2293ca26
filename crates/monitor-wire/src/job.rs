//! Jobs in the API: a script that runs on many hosts. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::job_status::{HostStatus, JobStatus};

/// Body of `POST /api/v1/jobs`: scripts and the hosts that run them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Name of the job. By default, that of its first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "disk check"))]
    pub name: Option<String>,
    /// Id of the request. Within 24 hours, requests with the same id start one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The hosts. Each host is selected once.
    #[serde(default)]
    pub targets: Targets,
    /// Account that the scripts run as. By default, the user that the agent runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "app"))]
    pub account: Option<String>,
    /// The steps. Each begins when the step before it has succeeded on all hosts.
    pub steps: Vec<StepRequest>,
    /// Order in which the hosts begin. By default, all begin at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// Retries for hosts that did not accept the order. A host that has accepted it may have run the script, and is not retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<JobRetry>,
    /// Address that gets a `JobCallback` by POST after each change of a status. The server's setting `job-callback` must allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// Reactions to the end of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<JobThen>,
}

impl JobRequest {
    /// Returns the job that starts when this one has failed.
    #[must_use]
    pub fn follow_up(&self) -> Option<&Self> {
        self.then.as_ref()?.failed.as_ref()?.job.as_deref()
    }

    /// Returns what may be shown of the request, and sent again: all but its id, its callback address, and sensitive arguments and variables.
    #[must_use]
    pub fn to_show(mut self) -> Self {
        (self.request_id, self.callback_url) = (None, None);
        for step in self.steps.iter_mut().filter(|step| step.is_param_sensitive) {
            step.args.clear();
            step.env.clear();
        }
        if let Some(next) = self.then.as_mut().and_then(|then| then.failed.as_mut()).and_then(|failed| failed.job.as_mut()) {
            **next = std::mem::take(&mut **next).to_show();
        }
        self
    }
}

/// Reactions to the end of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobThen {
    /// Reaction to a failure of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<JobFailed>,
}

/// Reaction to a failure of a job: retries first, then another job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobFailed {
    /// Retries of a step on the hosts that have failed. Hosts whose end was not observed are left out, because the script may still run there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<JobRetry>,
    /// Job that starts once, after the last retry. Without `targets`, it runs on the hosts that have failed. It has no `then` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub job: Option<Box<JobRequest>>,
}

/// A step of a job: one script, run on all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// Name of the step. By default, `step` and its position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Text of the script.
    #[cfg_attr(feature = "openapi", schema(example = "#!/bin/sh\ndf -h /\n"))]
    pub script: String,
    /// Language of a script without `#!`.
    #[serde(default)]
    pub language: Language,
    /// Arguments of the script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables of the script.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment variables whose values the host reads from its own files or environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSource>,
    /// True to show arguments and environment nowhere.
    #[serde(default)]
    pub is_param_sensitive: bool,
    /// Longest duration of the script on a host, such as `10m`. By default 2 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "10m"))]
    pub timeout: Option<String>,
}

/// Language of a script, which decides its interpreter if the script doesn't begin with `#!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// `bash`, or `sh` where there is no `bash`.
    #[default]
    Shell,
    /// `cmd` of Windows.
    Bat,
    /// `perl`.
    Perl,
    /// `python3`, or `python` where there is no `python3`.
    Python,
    /// `pwsh`, or `powershell`.
    Powershell,
}

/// Place on the host that contains the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// Path of a file, read with the rights of the job's account.
    File(String),
    /// Name of an environment variable of the agent. The host's owner lists the permitted names.
    Env(String),
}

/// Hosts that a job runs on. A host that is selected several times runs the job once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// Numbers of hosts, names, or patterns of names with `*` and `?`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(example = json!(["web-*", "7"])))]
    pub hosts: Vec<String>,
    /// Addresses of hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpTarget>,
    /// Groups of hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Conditions on tags, between commas, that a host must satisfy: `env=prod`, `canary`, or `!canary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "env=prod,!canary"))]
    pub tags: Option<String>,
    /// Names of saved targets. What they select is decided when the job starts, and stays with the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(example = json!(["web-prod"])))]
    pub saved: Vec<String>,
}

/// The address of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct IpTarget {
    /// IPv4 or IPv6 address.
    #[cfg_attr(feature = "openapi", schema(example = "10.0.0.7"))]
    pub ip: String,
    /// Number of the network that the address belongs to.
    #[serde(default)]
    pub cloud_id: u64,
}

/// Batches of hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rolling {
    /// Sizes of the batches, between spaces: `10` hosts, `10%` of all hosts, `+5` more than the batch before, or `*2` times the batch before. The
    /// last size repeats.
    #[cfg_attr(feature = "openapi", schema(example = "1 10% +10"))]
    pub expression: String,
    /// Behavior after each batch.
    #[serde(default)]
    pub mode: RollingMode,
    /// Number of failed hosts, such as `3`, or share of all hosts, such as `5%`, that stops the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "5%"))]
    pub stop_after_failures: Option<String>,
    /// Maximum number of hosts that run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
}

/// Behavior of a rolling job after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RollingMode {
    /// It waits for a user if a host has failed.
    #[default]
    PauseOnFailure,
    /// It continues, and failed hosts are ignored.
    Ignore,
    /// It waits for a user after each batch.
    Ask,
}

/// Number of retries, and the pause before each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRetry {
    /// Maximum number of retries.
    pub times: u32,
    /// Pause before a retry, such as `30s`, which is also the default. A host that could not be reached is retried after 20 seconds at the
    /// earliest, so that its reports arrive before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "30s"))]
    pub backoff: Option<String>,
}

/// Answer of `POST /api/v1/jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobStarted {
    /// Number of the job.
    pub job_id: u64,
    /// Id of the job's tree.
    pub root_id: String,
    /// The steps.
    pub steps: Vec<StepStarted>,
    /// True if an earlier request with the same `request_id` has started the job.
    pub is_repeated: bool,
    /// A sentence for each rule of the server that the job matches.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A step of a started job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepStarted {
    /// Number of the step. No other step of any job has it.
    pub step_id: u64,
    /// Name of the step.
    pub name: String,
}

/// Answer of `POST /api/v1/jobs?preview=true`: what would happen, without starting anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobPreview {
    /// Hosts that can run the job now.
    pub able: Vec<PreviewedHost>,
    /// Hosts that can't, each with the reason.
    pub unable: Vec<PreviewedHost>,
    /// Numbers of hosts in the batches of a rolling job.
    pub batches: Vec<u32>,
    /// A sentence for each rule of the server that the job matches. A rule can demand that a user confirms the job before it begins.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A host in a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewedHost {
    /// Number of the host; none for a target that is no known host.
    pub host_id: Option<u64>,
    /// Name of the host, or the target as requested.
    pub name: String,
    /// Reason why the host can't run the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Number of the job.
    pub job_id: u64,
    /// Name of the job.
    pub name: String,
    /// Id of the job's tree.
    pub root_id: String,
    /// Status of the job.
    pub status: JobStatus,
    /// User or token that has started the job.
    pub by: String,
    /// Number of the failed job that this job follows, by its `then`.
    #[serde(default)]
    pub follows: Option<u64>,
    /// Number of the job that follows this one.
    #[serde(default)]
    pub followed_by: Option<u64>,
    /// Account that the scripts run as; none for the agents' own users.
    pub account: Option<String>,
    /// A sentence for each rule of the server that the job matches. A rule can demand that a user confirms the job before it begins.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Time at which the job was created.
    pub created_us: u64,
    /// Time at which the first step began.
    pub started_us: Option<u64>,
    /// Time at which the job ended.
    pub ended_us: Option<u64>,
    /// The steps.
    pub steps: Vec<JobStep>,
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobStep {
    /// Number of the step. No other step of any job has it.
    pub step_id: u64,
    /// Name of the step.
    pub name: String,
    /// Status of the step.
    pub status: JobStatus,
    /// Number of the latest attempt, from 1.
    pub attempt: u32,
    /// Position of the current batch, from 1, and the number of batches. `[1, 1]` if the job has no batches.
    pub batch: [u32; 2],
    /// Time at which the step began.
    pub started_us: Option<u64>,
    /// Time at which the step ended.
    pub ended_us: Option<u64>,
    /// Number of hosts with each status, by status.
    pub counts: BTreeMap<u16, u32>,
}

/// Answer of `GET /api/v1/jobs`: the newest jobs first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobsPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Value of `before` for the next page; none on the last page.
    pub next: Option<u64>,
}

/// A host in a step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobHost {
    /// Number of the step.
    pub step_id: u64,
    /// Number of the host; none for a target that is no known host.
    pub host_id: Option<u64>,
    /// Name of the host, or the target as requested.
    pub name: String,
    /// Address of the host.
    pub ip: Option<String>,
    /// Number of the network that the address belongs to.
    pub cloud_id: u64,
    /// Status of the host.
    pub status: HostStatus,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Exit code of the script, if it has one.
    pub exit_code: Option<i32>,
    /// Tag that the script has set with its last line.
    pub tag: Option<String>,
    /// Reason in a sentence, if the status alone doesn't tell it.
    pub reason: Option<String>,
    /// Time at which the script began.
    pub started_us: Option<u64>,
    /// Time at which the host ended.
    pub ended_us: Option<u64>,
    /// Number of bytes of output that the server has.
    pub output_bytes: u64,
    /// Number of bytes of output that were not kept.
    pub omitted_bytes: u64,
}

/// Answer of `GET /api/v1/jobs/{id}/hosts`, in the order of the targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobHostsPage {
    /// The hosts.
    pub hosts: Vec<JobHost>,
    /// Value of `after` for the next page; none on the last page.
    pub next: Option<u64>,
}

/// Operation of a user on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum JobOperation {
    /// End the scripts that run, and start no others.
    Stop,
    /// Start the failed hosts again, as a new attempt.
    RetryFailed,
    /// Start the hosts again that have not accepted the order.
    RetryNotStarted,
    /// Start all hosts again.
    RetryAll,
    /// Skip the step.
    Skip,
    /// Continue with the next batch, or with the next step after failures.
    Continue,
    /// Ignore the failed hosts.
    Ignore,
    /// Confirm a step that waits for a user.
    Confirm,
    /// Refuse a step that waits for a user.
    Refuse,
}

/// Body of `POST /api/v1/jobs/{id}/operate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobOperate {
    /// The operation.
    pub operation: JobOperation,
    /// Number of the step. By default, the step that runs or has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<u64>,
    /// Numbers of the hosts to retry. By default, all hosts that the operation applies to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<u64>,
}
