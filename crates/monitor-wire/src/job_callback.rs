//! Callbacks of jobs: the body that a receiver gets, and the list of deliveries. Times are Unix microseconds.

use serde::{Deserialize, Serialize};

use crate::job_status::JobStatus;

/// Body of a callback: the state of a job after a change. `job_instance_id`, `status` and `step_instances` are those of callbacks of `BlueKing`
/// JOB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobCallback {
    /// Number of the job.
    pub job_instance_id: u64,
    /// Name of the job.
    pub name: String,
    /// Id of the job's tree.
    pub root_id: String,
    /// Status of the job.
    pub status: JobStatus,
    /// The steps, in their order.
    pub step_instances: Vec<StepCallback>,
    /// True if a late report has corrected the outcome of a host that had ended.
    pub corrected: bool,
    /// Time of the change.
    pub time_us: u64,
}

/// A step in a callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepCallback {
    /// Number of the step.
    pub step_instance_id: u64,
    /// Status of the step.
    pub status: JobStatus,
}

impl JobCallback {
    /// Returns true if both differ at most in their time.
    #[must_use]
    pub fn has_same_content(&self, other: &Self) -> bool {
        Self { time_us: other.time_us, ..self.clone() } == *other
    }
}

/// Progress of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// It is sent at its next time.
    Waiting,
    /// The receiver has answered with a 2xx status.
    Delivered,
    /// A day has passed without success.
    GivenUp,
}

/// A callback of a job and its delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallbackDelivery {
    /// Number of the delivery, which the receiver gets in the header `idempotency-key`. It is the same in each attempt.
    pub id: u64,
    /// The body.
    pub callback: JobCallback,
    /// Progress of the delivery.
    pub state: DeliveryState,
    /// Number of attempts.
    pub attempts: u32,
    /// Answer to the last attempt, or the reason why there is none.
    pub answer: Option<String>,
    /// Time of the last attempt.
    pub tried_us: Option<u64>,
    /// Time of the next attempt, while it waits.
    pub next_us: Option<u64>,
}

/// Answer of `GET /api/v1/jobs/{id}/callbacks`: the newest deliveries first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallbacksPage {
    /// The deliveries.
    pub deliveries: Vec<CallbackDelivery>,
    /// Value of `before` for the next page; none on the last page.
    pub next: Option<u64>,
}
