//! Routes that are compatible with `BlueKing` JOB v3, for programs that were written for it.
//!
//! They have the paths, names and error codes of JOB v3, and call methods of [`Jobs`](crate::jobs::Jobs). Errors have status 200 and a code in the
//! body, except 401, 429 and 503.

mod answer;
mod caller;
mod execute;
mod failure;
mod logs;
mod operate;
mod params;
mod status;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::MethodFilter;
use monitor_jobs::JobState;

pub(super) use self::answer::translate;
use self::failure::{Failure, code};
use super::App;
use super::routes::{PUBLIC, READ, Routes, Rule, change};
use crate::access::Scope;

/// Beginnings of the paths at the former gateway and at the current one. `{env}` is the name of an environment.
const PREFIXES: [&str; 3] = ["/api/c/compapi/v2/jobv3", "/api/bk-job/{env}/api/v3", "/api/bk-job/{env}/api/v3/system"];

/// Maximum size of a body, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// True if a path belongs to these routes, also if there is no such call.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with("/api/c/compapi/") || path.starts_with("/api/bk-job/")
}

/// Adds the calls. Calls that read accept GET and POST.
pub(super) fn routes(routes: Routes) -> Routes {
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    let routes = add(routes, READ, &[GET, POST], "get_job_instance_status", status::get_status);
    let routes = add(routes, READ, &[GET, POST], "batch_get_job_instance_ip_log", logs::get_logs);
    let routes = add(routes, READ, &[GET, POST], "get_job_instance_ip_log", logs::get_log);
    let start = change(Scope::Operate, "start a job by bk-job");
    let routes = add(routes, start, &[POST], "fast_execute_script", execute::post_execute);
    let operate = change(Scope::Operate, "operate a job by bk-job");
    let routes = add(routes, operate, &[POST], "operate_job_instance", operate::post_operate_job);
    let routes = add(routes, operate, &[POST], "operate_step_instance", operate::post_operate_step);
    // The answer is the same for every caller.
    add(routes, PUBLIC, &[GET, POST], "{name}", no_call)
}

fn add<T: 'static>(routes: Routes, rule: Rule, methods: &[MethodFilter], name: &str, handler: impl Handler<T, App> + Copy) -> Routes {
    let paths = PREFIXES.iter().flat_map(|prefix| [format!("{prefix}/{name}"), format!("{prefix}/{name}/")]);
    paths.fold(routes, |routes, path| methods.iter().fold(routes, |routes, method| routes.hidden(rule, *method, &path, handler)))
}

async fn no_call(request: Request) -> Result<Response, Failure> {
    let name: String = request.uri().path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().chars().take(80).collect();
    Err(Failure::new(
        code::NO_CALL,
        format!(
            "there is no call {name:?}: there are fast_execute_script, get_job_instance_status, batch_get_job_instance_ip_log, \
             get_job_instance_ip_log, operate_job_instance and operate_step_instance"
        ),
    ))
}

/// Returns the job with this number.
async fn job(app: &App, id: u64) -> Result<JobState, Failure> {
    // Numbers of jobs have 63 bits in the store.
    if i64::try_from(id).is_err() {
        return Err(Failure::no_job(id));
    }
    Ok(app.jobs.job(id).await?)
}

/// Returns the position of the step with this number.
fn step(job: &JobState, id: u64) -> Result<usize, Failure> {
    job.steps.iter().position(|step| step.id == id).ok_or_else(|| {
        let ids: Vec<_> = job.steps.iter().map(|step| step.id.to_string()).collect();
        Failure::new(code::NO_STEP, format!("job {} has no step {id}; it has {}", job.id, ids.join(", ")))
    })
}
