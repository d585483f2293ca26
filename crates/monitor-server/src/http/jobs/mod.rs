//! Handlers of `/api/v1/jobs`, and of the routes by which agents receive orders and report.
//!
//! This file contains the code that they share: the answers to errors, the rights of callers, and the choice of a step.

pub(super) mod agents;
pub(super) mod callbacks;
pub(super) mod change;
mod follow;
pub(super) mod key;
pub(super) mod list;
pub(super) mod output;
pub(super) mod result;

use monitor_jobs::JobState;
use monitor_store::StoreError;
use monitor_wire::{JobStatus, Problem};
use utoipa::IntoResponses;

use super::App;
use super::batch::who;
use super::problem::ApiError;
use crate::access::Principal;
use crate::jobs::{JobCaller, JobError};

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Request(_) => Self::Body { detail: error.to_string() },
            JobError::Dangerous(_) => Self::Forbidden { detail: error.to_string() },
            JobError::NoJob(_) => Self::Missing { detail: error.to_string() },
            JobError::Refused(detail) | JobError::Misplaced(detail) => Self::Conflict { detail },
            JobError::OtherHost(detail) | JobError::NotAllowed(detail) => Self::Forbidden { detail },
            JobError::Output(source) => {
                Self::Store(StoreError::Disk { action: "read or write output in", path: "job-output".into(), source })
            }
            JobError::Store(error) => error.into(),
            JobError::Ingest(error) => error.into(),
            JobError::Broken(error) => Self::Failed(error),
        }
    }
}

impl App {
    /// Returns the caller with its rights to run jobs, which can have changed since the request began.
    pub(super) async fn job_caller(&self, principal: Option<Principal>) -> Result<JobCaller, ApiError> {
        let name = who(principal.clone());
        let rights = self.ask_access(move |access| access.job_rights(principal.as_ref())).await?;
        Ok(JobCaller { name, rights })
    }
}

/// Error responses of routes about a job.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
enum NoJob {
    #[response(status = 400, description = "A parameter can't be read", content_type = "application/problem+json")]
    Unreadable(Problem),
    #[response(status = 404, description = "No such job", content_type = "application/problem+json")]
    Missing(Problem),
}

/// Returns the position of a step: the one with this number, or otherwise the last one that has begun.
fn step_of(job: &JobState, id: Option<u64>) -> Result<usize, ApiError> {
    let has_begun = |status: JobStatus| ![JobStatus::WAITING, JobStatus::DISCARDED].contains(&status);
    match id {
        None => Ok(job.steps.iter().rposition(|step| has_begun(step.status)).unwrap_or(0)),
        Some(id) => job.steps.iter().position(|step| step.id == id).ok_or_else(|| {
            let ids: Vec<_> = job.steps.iter().map(|step| step.id.to_string()).collect();
            let detail = format!("parameter `step`: job {} has no step {id}; it has {}", job.id, ids.join(", "));
            ApiError::Parameter { name: "step".to_owned(), detail }
        }),
    }
}
