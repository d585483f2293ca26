//! `operate_job_instance` and `operate_step_instance`: a user stops, retries or continues a job.

use axum::Extension;
use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use monitor_wire::{JobOperate, JobOperation};
use serde_json::{Value, json};

use super::super::App;
use super::answer::recorded;
use super::caller::User;
use super::failure::{Failure, code};
use super::params::Params;
use crate::access::Principal;

/// Code of the operation on a job.
const STOP: u64 = 1;
/// Code of a request to ask again after a confirmation was refused.
const ASK_AGAIN: u64 = 10;

pub(super) async fn post_operate_job(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Extension(user): Extension<User>,
    request: Request,
) -> Response {
    let params = Params::from_request(request, &app).await;
    let what = user.words(params.as_ref().ok());
    let operated = match params {
        Ok(params) => operate_job(&app, &params, principal).await,
        Err(failure) => Err(failure),
    };
    recorded(what, operated)
}

async fn operate_job(app: &App, params: &Params, principal: Option<Principal>) -> Result<(Value, String), Failure> {
    let id = params.needed_number("job_instance_id")?;
    match params.needed_number("operation_code")? {
        STOP => operate(app, principal, id, (JobOperation::Stop, None)).await,
        other => Err(params.illegal("operation_code", &format!("{other} is not 1 (stop)"))),
    }
}

pub(super) async fn post_operate_step(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Extension(user): Extension<User>,
    request: Request,
) -> Response {
    let params = Params::from_request(request, &app).await;
    let what = user.words(params.as_ref().ok());
    let operated = match params {
        Ok(params) => operate_step(&app, &params, principal).await,
        Err(failure) => Err(failure),
    };
    recorded(what, operated)
}

async fn operate_step(app: &App, params: &Params, principal: Option<Principal>) -> Result<(Value, String), Failure> {
    let (id, step) = (params.needed_number("job_instance_id")?, params.needed_number("step_instance_id")?);
    let operation = match params.needed_number("operation_code")? {
        2 => JobOperation::RetryFailed,
        3 => JobOperation::Ignore,
        6 => JobOperation::Confirm,
        8 => JobOperation::RetryAll,
        9 => JobOperation::Refuse,
        11 | 13 => JobOperation::Continue,
        12 => JobOperation::Skip,
        ASK_AGAIN => {
            let why = "operation_code: this server does not ask again after a refusal: skip the step (12), or retry its hosts (2 or 8)";
            return Err(Failure::new(code::BAD_REQUEST, why));
        }
        other => {
            let why = format!(
                "{other} is none of 2 (retry failed), 3 (ignore), 6 (confirm), 8 (retry all), 9 (refuse), 11 (next step), 12 (skip), \
                 13 (continue rolling)"
            );
            return Err(params.illegal("operation_code", &why));
        }
    };
    operate(app, principal, id, (operation, Some(step))).await
}

async fn operate(
    app: &App,
    principal: Option<Principal>,
    id: u64,
    (operation, step_id): (JobOperation, Option<u64>),
) -> Result<(Value, String), Failure> {
    let job = super::job(app, id).await?;
    if let Some(step) = step_id {
        super::step(&job, step)?;
    }
    let operate = JobOperate { operation, step_id, hosts: Vec::new() };
    let what = json!(operation);
    let job = app.jobs.operate(id, operate, &app.job_caller(principal).await?).await?;
    let mut data = json!({"job_instance_id": id});
    if let Some(step) = step_id {
        data["step_instance_id"] = json!(step);
    }
    Ok((data, format!("{what}: job {id} is {}", job.status.as_str())))
}
