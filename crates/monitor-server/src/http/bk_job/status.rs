//! `get_job_instance_status`: the state of a job, of its steps, and of its hosts.

use axum::extract::State;
use axum::response::Response;
use monitor_jobs::{HostRun, JobState, StepState, Target};
use serde_json::{Value, json};

use super::super::App;
use super::answer::success;
use super::failure::Failure;
use super::params::Params;

/// Type of a step that runs a script.
const SCRIPT: u8 = 1;

pub(super) async fn get_status(State(app): State<App>, params: Params) -> Result<Response, Failure> {
    let job = super::job(&app, params.needed_number("job_instance_id")?).await?;
    let has_hosts = params.flag("return_ip_result")?.unwrap_or_default();
    let steps: Vec<_> = job.steps.iter().enumerate().map(|(index, step)| shown_step(&job, index, step, has_hosts)).collect();
    // Jobs belong to no scope, so the scope of the request is repeated.
    let scope_type = params.text("bk_scope_type")?.unwrap_or_else(|| "biz".to_owned());
    let scope_id = match params.text("bk_scope_id")? {
        Some(id) => Some(id),
        None => params.text("bk_biz_id")?,
    };
    let mut instance = json!({
        "job_instance_id": job.id, "name": job.request.name, "bk_scope_type": scope_type, "bk_scope_id": scope_id.unwrap_or_default(),
        "status": job.status.0, "create_time": ms(job.created_us),
    });
    add_times(&mut instance, job.started_us, job.ended_us);
    let is_finished = job.status.is_finished();
    Ok(success(json!({"finished": is_finished, "is_finished": is_finished, "job_instance": instance, "step_instance_list": steps})))
}

fn shown_step(job: &JobState, index: usize, step: &StepState, has_hosts: bool) -> Value {
    let hosts = job.targets.iter().zip(&step.hosts).filter(|_| has_hosts);
    let mut shown = json!({
        "step_instance_id": step.id, "name": job.request.steps.get(index).and_then(|request| request.name.as_ref()), "type": SCRIPT,
        "status": step.status.0, "execute_count": step.attempt.saturating_sub(1), "create_time": ms(job.created_us),
        "step_ip_result_list": hosts.map(|(target, run)| shown_host(target, run)).collect::<Vec<_>>(),
    });
    add_times(&mut shown, step.started_us, step.ended_us);
    shown
}

fn shown_host(target: &Target, run: &HostRun) -> Value {
    let is_failed = !run.status.is_open() && !run.status.is_success();
    let mut shown = json!({
        "bk_host_id": number(target), "bk_cloud_id": target.cloud_id, "ip": target.ip.as_deref().unwrap_or_default(),
        "status": run.status.0, "tag": run.tag.as_deref().unwrap_or_default(), "exit_code": run.exit_code,
        "error_code": if is_failed { run.status.0 } else { 0 },
    });
    add_times(&mut shown, run.started_us, run.ended_us);
    shown
}

/// Returns the number of a host, or the requested number if there is no such host.
pub(super) fn number(target: &Target) -> Option<u64> {
    target.host_id.or_else(|| target.name.parse().ok())
}

fn add_times(shown: &mut Value, started_us: Option<u64>, ended_us: Option<u64>) {
    let total_us = started_us.zip(ended_us).map(|(started, ended)| ended.saturating_sub(started));
    for (name, time_us) in [("start_time", started_us), ("end_time", ended_us), ("total_time", total_us)] {
        shown[name] = json!(time_us.map(ms));
    }
}

fn ms(time_us: u64) -> u64 {
    time_us / 1_000
}
