//! API calls of an agent that runs scripts for jobs.

use std::time::Duration;

use monitor_wire::{JobKeys, JobOrders, JobReport, JobRunKey};
use reqwest::Method;
use serde_json::json;

use crate::call::Call;
use crate::client::Client;

/// Time that the answer to a long poll may take in addition to the requested wait.
const GRACE: Duration = Duration::from_secs(10);

/// Jobs on the agent's host.
impl Client {
    /// `GET /api/v1/agents/{name}/job-orders`: returns the orders that the agent has neither accepted nor refused, and the runs that it must
    /// end. The server waits until there are some, but not longer than `wait`.
    pub fn job_orders(&self, agent: &str, wait: Duration) -> Call<JobOrders> {
        let call = self.v1(Method::GET, &["agents", agent, "job-orders"]);
        call.parameter("wait_ms", &wait.as_millis()).patience(wait + GRACE)
    }

    /// `POST /api/v1/agents/{name}/job-reports`: sends reports, in ascending order. The server ignores reports that it already has.
    pub fn send_job_reports(&self, agent: &str, reports: &[JobReport]) -> Call<()> {
        let body = serde_json::to_vec(&json!({ "reports": reports })).expect("reports are JSON");
        self.v1(Method::POST, &["agents", agent, "job-reports"]).json_body(body)
    }

    /// `POST /api/v1/agents/{name}/job-output`: sends a part of a run's output, at most 1 MiB. The same part may be sent again. `root_id` is the
    /// tree of the run's job.
    pub fn send_job_output(&self, agent: &str, key: &JobRunKey, root_id: Option<&str>, offset: u64, bytes: Vec<u8>) -> Call<()> {
        let call = self.v1(Method::POST, &["agents", agent, "job-output"]);
        let call = call.parameter("job", &key.job).parameter("step", &key.step).parameter("host", &key.host);
        let call = call.parameter("attempt", &key.attempt).parameter("offset", &offset).bytes_body(bytes);
        root_id.into_iter().fold(call, |call, root_id| call.parameter("root_id", &root_id))
    }

    /// `GET /api/v1/jobs/key`: returns the public keys that the server signs orders with.
    pub fn job_keys(&self) -> Call<JobKeys> {
        self.v1(Method::GET, &["jobs", "key"])
    }
}
