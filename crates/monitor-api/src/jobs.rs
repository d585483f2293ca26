//! API calls for hosts, and for jobs on hosts.

use std::time::Duration;

use monitor_wire::{
    AllSavedTargets, CallbacksPage, HostsChanged, HostsPut, Job, JobHostsPage, JobKeys, JobOperate, JobPreview, JobRequest, JobResult,
    JobStarted, JobsPage, ManagedHosts, SavedTargets, Targets,
};
use reqwest::Method;

use crate::batch::body;
use crate::call::{Call, Download};
use crate::calls::narrowed;
use crate::client::Client;

/// Time that the server may need to answer after the end of a wait.
const AFTER_WAIT: Duration = Duration::from_secs(30);

/// Hosts that jobs run on.
impl Client {
    /// `GET /api/v1/hosts`: lists all hosts by name.
    pub fn hosts(&self) -> Call<ManagedHosts> {
        self.get(&["hosts"])
    }

    /// `PUT /api/v1/hosts`: adds hosts, and replaces the settings of those whose name is known.
    pub fn put_hosts(&self, put: &HostsPut) -> Call<HostsChanged> {
        self.v1(Method::PUT, &["hosts"]).json_body(body(put))
    }

    /// `DELETE /api/v1/hosts/{id}`: removes a host.
    pub fn remove_host(&self, id: u64) -> Call<()> {
        self.v1(Method::DELETE, &["hosts", &id.to_string()])
    }

    /// `GET /api/v1/targets`: lists all saved targets by name.
    pub fn saved_targets(&self) -> Call<AllSavedTargets> {
        self.get(&["targets"])
    }

    /// `PUT /api/v1/targets/{name}`: saves targets, or replaces those with this name.
    pub fn save_targets(&self, name: &str, targets: &Targets) -> Call<SavedTargets> {
        self.v1(Method::PUT, &["targets", name]).json_body(body(targets))
    }

    /// `DELETE /api/v1/targets/{name}`: removes saved targets.
    pub fn remove_targets(&self, name: &str) -> Call<()> {
        self.v1(Method::DELETE, &["targets", name])
    }
}

/// Jobs on hosts.
impl Client {
    /// `POST /api/v1/jobs`: starts a job. Requests with the same `request_id` start one job, so a request with an id can be sent again.
    pub fn start_job(&self, request: &JobRequest) -> Call<JobStarted> {
        self.v1(Method::POST, &["jobs"]).json_body(body(request))
    }

    /// `POST /api/v1/jobs?preview=true`: returns the hosts that can run a job, and those that can't with the reasons. Starts nothing.
    pub fn preview_job(&self, request: &JobRequest) -> Call<JobPreview> {
        self.v1(Method::POST, &["jobs"]).parameter("preview", "true").json_body(body(request))
    }

    /// `GET /api/v1/jobs`: lists jobs, newest first.
    pub fn jobs(&self) -> Call<JobsPage> {
        self.get(&["jobs"])
    }

    /// `GET /api/v1/jobs/{id}`: returns a job.
    pub fn job(&self, id: u64) -> Call<Job> {
        self.get(&["jobs", &id.to_string()])
    }

    /// `GET /api/v1/jobs/{id}/request`: returns the request that has started a job, without sensitive parts. It can be sent again.
    pub fn job_request(&self, id: u64) -> Call<JobRequest> {
        self.get(&["jobs", &id.to_string(), "request"])
    }

    /// `GET /api/v1/jobs/{id}/hosts`: lists the hosts of a job, in the order of its targets.
    pub fn job_hosts(&self, id: u64) -> Call<JobHostsPage> {
        self.get(&["jobs", &id.to_string(), "hosts"])
    }

    /// `GET /api/v1/jobs/{id}/hosts/{host}/output`: returns the output of a step on a host from this offset on, as raw bytes.
    pub fn job_output(&self, id: u64, host: u64, step: u64, attempt: u32, offset: u64) -> Call<Download> {
        let call = self.get(&["jobs", &id.to_string(), "hosts", &host.to_string(), "output"]);
        call.parameter("step", &step).parameter("attempt", &attempt).parameter("offset", &offset)
    }

    /// `GET /api/v1/jobs/{id}/result`: returns the outcome of a step: counts, groups of hosts with the same output, and messages.
    pub fn job_result(&self, id: u64) -> Call<JobResult> {
        self.get(&["jobs", &id.to_string(), "result"])
    }

    /// `GET /api/v1/jobs/{id}/callbacks`: lists the callbacks of a job and their deliveries, newest first.
    pub fn job_callbacks(&self, id: u64) -> Call<CallbacksPage> {
        self.get(&["jobs", &id.to_string(), "callbacks"])
    }

    /// `GET /api/v1/jobs/{id}/wait`: returns a job when it has ended, or after this time.
    pub fn wait_job(&self, id: u64, timeout: Duration) -> Call<Job> {
        let call = self.get(&["jobs", &id.to_string(), "wait"]);
        call.parameter("timeout_ms", &timeout.as_millis()).patience(timeout + AFTER_WAIT)
    }

    /// `POST /api/v1/jobs/{id}/operate`: stops, retries or continues a job.
    pub fn operate_job(&self, id: u64, operate: &JobOperate) -> Call<Job> {
        self.v1(Method::POST, &["jobs", &id.to_string(), "operate"]).json_body(body(operate))
    }

    /// `POST /api/v1/jobs/key`: replaces the key that the server signs orders with. Hosts refuse new orders until they trust the new key.
    pub fn rotate_job_key(&self) -> Call<JobKeys> {
        self.v1(Method::POST, &["jobs", "key"])
    }
}

narrowed!(JobsPage {
    /// Selects jobs that are `open` or `ended`.
    state("state": &str);
    /// Selects jobs with this status number.
    status("status": u8);
    /// Selects jobs that run on this host: its name or number.
    host("host": &str);
    /// Selects jobs with this text in their name.
    name("name": &str);
    /// Selects jobs that were created at this time or later, in Unix µs.
    from_us("from": u64);
    /// Selects jobs with a lower number: the `next` of another page.
    before("before": u64);
    /// Sets the maximum number of jobs in the page.
    at_most("limit": u32);
});

narrowed!(CallbacksPage {
    /// Selects deliveries with a lower number: the `next` of another page.
    before("before": u64);
    /// Sets the maximum number of deliveries in the page.
    at_most("limit": u32);
});

narrowed!(JobResult {
    /// Selects a step. By default, the last one that has begun.
    step("step": u64);
});

narrowed!(JobHostsPage {
    /// Selects the hosts of this step.
    step("step": u64);
    /// Selects hosts with this status number.
    status("status": u16);
    /// Selects hosts with this tag, which their scripts have set.
    tag("tag": &str);
    /// Selects the hosts after a position: the `next` of another page.
    after("after": u64);
    /// Sets the maximum number of hosts in the page.
    at_most("limit": u32);
});
