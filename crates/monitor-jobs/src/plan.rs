//! Decides what happens next in a job.

use std::collections::HashMap;

use monitor_wire::{JobOperate, JobReport, JobRunKey, JobStatus};
use serde::{Deserialize, Serialize};

use crate::state::{HostRun, JobState};

/// The server's contact with a host's agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contact {
    /// True if an agent of the host has ever connected.
    pub has_agent: bool,
    /// Time of the last contact.
    pub last_us: u64,
}

/// Contacts by the number of the host.
pub type Contacts = HashMap<u64, Contact>;

/// What the engine does next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Changes of the job. The engine stores them before it follows the directives.
    pub transitions: Vec<Transition>,
    /// Messages to hosts.
    pub directives: Vec<Directive>,
    /// Time at which the engine plans again even if nothing happens.
    pub wake_at_us: Option<u64>,
}

/// A change of a job. It has the complete new state of its subject, so that applying it twice is the same as once.
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

/// Reason why an operation isn't possible now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

/// Decides what happens next in a job.
#[must_use]
pub fn plan(now_us: u64, job: &JobState, contacts: &Contacts) -> Plan {
    let _ = (now_us, job, contacts);
    Plan::default()
}

/// Returns the changes that a report of an agent causes. A report of an earlier attempt, or one that was applied before, causes none.
#[must_use]
pub fn report(now_us: u64, job: &JobState, report: &JobReport) -> Vec<Transition> {
    let _ = (now_us, job, report);
    Vec::new()
}

/// Returns the changes that an operation of a user causes.
///
/// # Errors
/// If the operation isn't possible in the current state of the job.
pub fn operate(now_us: u64, job: &JobState, operation: &JobOperate) -> Result<Vec<Transition>, Refusal> {
    let _ = (now_us, job, operation);
    Ok(Vec::new())
}

/// Applies a change to a job.
pub fn apply(job: &mut JobState, transition: &Transition) {
    let _ = (job, transition);
}
