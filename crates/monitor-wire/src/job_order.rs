//! Orders that the server sends to agents for jobs, and the agents' reports. Times are Unix microseconds.
//!
//! An agent fetches its orders with `GET /api/v1/agents/{name}/job-orders`, stores each durably, and sends its reports to
//! `POST /api/v1/agents/{name}/job-reports`. The server offers an order until the agent has reported that it is accepted or refused, so an order
//! may arrive several times: the agent recognises it by its [`JobRunKey`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::job::{Language, SecretSource};
use crate::job_status::HostStatus;

/// Identity of one start of a script on one host. The server never creates two orders with the same key, and an agent starts each key at most
/// once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobRunKey {
    /// Number of the job.
    pub job: u64,
    /// Number of the step. No other step of any job has it.
    pub step: u64,
    /// Number of the host.
    pub host: u64,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

impl JobRunKey {
    /// Returns the id of the run, as the folder of the run on the host is named.
    #[must_use]
    pub fn run_id(&self) -> String {
        let Self { job, step, host, attempt } = self;
        format!("job-{job}-{step}-{host}-{attempt}")
    }
}

/// An order to run a script on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobOrder {
    /// Identity of the run.
    pub key: JobRunKey,
    /// Name of the agent that the order is for. Every other agent refuses it.
    pub agent: String,
    /// Name of the job.
    pub name: String,
    /// Text of the script.
    pub script: String,
    /// Language of the script, if it doesn't begin with `#!`.
    pub language: Language,
    /// Arguments of the script.
    pub args: Vec<String>,
    /// Environment variables of the script.
    pub env: BTreeMap<String, String>,
    /// Environment variables whose values the agent reads on its host, and masks in all output.
    pub secrets: BTreeMap<String, SecretSource>,
    /// True if arguments and environment must not be recorded.
    pub is_param_sensitive: bool,
    /// Account that the script runs as; none for the agent's default.
    pub account: Option<String>,
    /// Longest duration of the script, in seconds.
    pub timeout_s: u64,
    /// Maximum number of bytes of output to keep: half from the beginning and half from the end.
    pub output_bytes: u64,
    /// Id of the job's tree.
    pub root_id: String,
    /// Id of the host's process in that tree, the parent of everything that the script records.
    pub process_id: String,
    /// User or token that has started the job.
    pub by: String,
    /// Time at which the order was signed.
    pub issued_us: u64,
    /// Time from which the agent must not start the script any more.
    pub expires_us: u64,
    /// The first of the attempts of which at most one may run. If the agent has accepted one of them before this order, it starts nothing, and
    /// reports about that attempt again. 0 from an older server: only this attempt.
    #[serde(default)]
    pub since: u32,
}

/// An order with the server's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedJobOrder {
    /// The [`JobOrder`] as JSON, exactly as it was signed.
    pub order: String,
    /// Ed25519 signature of the bytes of `order`, in base64.
    pub signature: String,
}

/// Answer of `GET /api/v1/agents/{name}/job-orders`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobOrders {
    /// Orders that the agent has neither accepted nor refused.
    pub orders: Vec<SignedJobOrder>,
    /// Runs that the agent must end.
    pub stops: Vec<JobRunKey>,
}

/// Something that happened to a run on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobReport {
    /// Number of the report. The reports of one agent ascend.
    pub number: u64,
    /// Identity of the run.
    pub key: JobRunKey,
    /// Id of the job's tree, as in the order. A server that was restored can have another job of the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_id: Option<String>,
    /// Time at which it happened, by the clock of the host.
    pub at_us: u64,
    /// The event.
    #[serde(flatten)]
    pub event: JobReportEvent,
}

/// The events that an agent reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum JobReportEvent {
    /// The agent has stored the order durably.
    Accepted,
    /// The script was started.
    Started {
        /// Interpreter that replaces a missing one, such as `python3` for `python`; none if it was not replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interpreter: Option<String>,
    },
    /// The run has ended, or was never started.
    Ended {
        /// Status of the host.
        status: HostStatus,
        /// Exit code of the script, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Reason in a sentence, if the status alone doesn't tell it: the rule that refused the order, or the cause of a failed start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Tag from a last line of output of the form `job_success:[TAG]` or `job_fail:[TAG]`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<String>,
        /// Number of bytes of output that the agent has sent to the server.
        #[serde(default)]
        output_bytes: u64,
        /// Number of bytes of output that were not kept, because the output exceeds its limit.
        #[serde(default)]
        omitted_bytes: u64,
    },
    /// A stopped run could not be ended.
    NotStopped {
        /// The reason.
        reason: String,
    },
}

impl JobReportEvent {
    /// Returns true if the event shows that the agent has accepted the order, so that the script may have run.
    #[must_use]
    pub fn shows_acceptance(&self) -> bool {
        match self {
            Self::Accepted | Self::Started { .. } => true,
            Self::Ended { status, .. } => {
                !matches!(*status, HostStatus::REFUSED | HostStatus::JOB_TIME_OVER | HostStatus::NO_ACCOUNT | HostStatus::NO_CREDENTIALS)
            }
            Self::NotStopped { .. } => false,
        }
    }
}

/// Body of `POST /api/v1/agents/{name}/job-reports`, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobReports {
    /// The reports.
    pub reports: Vec<JobReport>,
}

/// Public keys that the server signs orders with, in base64: the current one, and a former one until it expires. Answer of
/// `GET /api/v1/jobs/key`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobKeys {
    /// The keys, the current one first.
    pub keys: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_flat_json() {
        let key = JobRunKey { job: 1, step: 2, host: 3, attempt: 1 };
        let ended = JobReportEvent::Ended {
            status: HostStatus::EXIT_CODE,
            exit_code: Some(3),
            reason: None,
            tag: None,
            output_bytes: 7,
            omitted_bytes: 0,
        };
        for (event, text) in [
            (JobReportEvent::Accepted, r#""event":"accepted""#),
            (ended, r#""event":"ended","status":104,"exit_code":3,"output_bytes":7,"omitted_bytes":0"#),
        ] {
            let report = JobReport { number: 5, key, root_id: None, at_us: 9, event };
            let json = serde_json::to_string(&report).unwrap();
            assert_eq!(json, format!(r#"{{"number":5,"key":{{"job":1,"step":2,"host":3,"attempt":1}},"at_us":9,{text}}}"#));
            assert_eq!(serde_json::from_str::<JobReport>(&json).unwrap(), report);
        }
        assert_eq!(key.run_id(), "job-1-2-3-1");
    }
}
