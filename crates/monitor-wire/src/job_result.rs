//! The outcome of a job in the API: counts, groups of hosts with similar output, and messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::job_status::JobStatus;

/// Answer of `GET /api/v1/jobs/{id}/result`: the outcome of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobResult {
    /// Number of the job.
    pub job_id: u64,
    /// Number of the step.
    pub step_id: u64,
    /// Status of the step.
    pub status: JobStatus,
    /// Number of hosts with each status, by status.
    pub counts: BTreeMap<u16, u32>,
    /// Number of hosts with each tag, by tag.
    pub tags: BTreeMap<String, u32>,
    /// Hosts grouped by the shape of their output, the largest group first.
    pub shapes: Vec<OutputShape>,
    /// Messages in the output of hosts that have ended, in the order of the targets.
    pub messages: Vec<HostMessage>,
    /// True if messages, or hosts in `shapes`, are missing because there are too many.
    pub is_cut: bool,
}

/// Hosts whose output is the same, apart from numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputShape {
    /// Numbers of the hosts.
    pub hosts: Vec<u64>,
    /// Beginning of the output of the first host.
    pub example: String,
}

/// A message in the output of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostMessage {
    /// Number of the host.
    pub host_id: u64,
    /// Name of the host.
    pub host: String,
    /// Importance.
    pub level: MessageLevel,
    /// Module that the message is about; empty if the output names none.
    pub module: String,
    /// Item of the module; empty if the output names none.
    pub item: String,
    /// The text.
    pub text: String,
}

/// Importance of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MessageLevel {
    /// The item is all right.
    Normal,
    /// The output is incomplete or not of the expected form.
    Warning,
    /// The item is not all right.
    Error,
}
