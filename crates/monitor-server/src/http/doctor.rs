//! `GET /api/v1/doctor`: processes that have lost their parents.

use axum::Json;
use axum::extract::State;
use monitor_wire::{Diagnosis, Problem, ProcessId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::params::{Limit, RootName, Strict};
use super::problem::ApiError;
use super::refusals::Unreadable;
use super::{Answer, App};
use crate::doctor::{Question, diagnose};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DoctorParams {
    /// Only this run, by its id or number. Without it, the newest runs that began without a context are examined.
    #[param(value_type = Option<String>)]
    root: Option<RootName>,
    /// Only this process of the run.
    process: Option<ProcessId>,
    /// Maximum number of findings to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
}

/// Finds processes that have lost their parents.
///
/// For each, it names the likely parent and the line of code that would fix it.
#[utoipa::path(
    get,
    path = "/api/v1/doctor",
    tag = "runs",
    params(DoctorParams),
    responses(
        (status = 200, description = "The findings", body = Diagnosis),
        Unreadable,
        (status = 404, description = "The run or process does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The data has been deleted", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_doctor(State(app): State<App>, Strict(params): Strict<DoctorParams>) -> Answer<Diagnosis> {
    let root = params.root.map(|root| root.0);
    if params.process.is_some() && root.is_none() {
        let detail = "a process is looked for in a tree: give `root`, too".to_owned();
        return Err(ApiError::Parameter { name: "process".to_owned(), detail });
    }
    let question = Question { root, process: params.process, limit: params.limit.0 };
    match (app.ask(move |store| diagnose(store, question)).await?, root, params.process) {
        (Some(found), ..) => Ok(Json(found)),
        (None, Some(root), Some(id)) => Err(app.no_process(root, &shown(root), id).await),
        (None, Some(root), None) => Err(app.no_root(root, &shown(root)).await),
        (None, None, _) => Ok(Json(Diagnosis { findings: Vec::new(), more: false })),
    }
}

fn shown(root: monitor_store::RootKey) -> String {
    match root {
        monitor_store::RootKey::Id(id) => id.to_string(),
        monitor_store::RootKey::Number(number) => number.to_string(),
    }
}
