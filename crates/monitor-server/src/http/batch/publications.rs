//! `/api/v1/batch-tasks/{name}/publications`: files that runs have published or left, read from the agents' machines.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::future::join_all;
use monitor_wire::{
    AgentOrder, BatchComparison, BatchFileText, BatchFiles, BatchPublications, BatchRestore, BatchSilent, CommandLine, CommandRequest,
    CommandStatus, NamedPublication, Problem,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, IntoResponses};

use super::super::commands::{Keyed, Small};
use super::super::params::{Limit, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::orders::{MAX_BYTES, Ordered, Orderer, order};
use crate::commands::{Caller, CommandError};

/// Maximum time to wait for an agent that reads files, in milliseconds.
const TIMEOUT_MS: u64 = 20_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct PublicationsParams {
    /// Only publications of this agent.
    agent: Option<String>,
    /// Maximum number of publications to return for each agent (1 to 200, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct PublicationParams {
    /// Agent that has the publication. Required if the task is for several agents.
    agent: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct FileParams {
    /// Agent that has the publication. Required if the task is for several agents.
    agent: Option<String>,
    /// Path of the file in the publication's folder.
    path: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct CompareParams {
    /// Agent that has both publications. Required if the task is for several agents.
    agent: Option<String>,
    /// Publication to compare with: its number, or the run that left the files.
    with: String,
}

/// Error responses to requests for files.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
enum Refusals {
    #[response(
        status = 400,
        description = "A parameter is invalid, or the agent must be specified",
        content_type = "application/problem+json"
    )]
    Unreadable(Problem),
    #[response(
        status = 404,
        description = "The task, publication or file does not exist, or the files have been deleted",
        content_type = "application/problem+json"
    )]
    Missing(Problem),
    #[response(status = 503, description = "The agent does not answer", content_type = "application/problem+json")]
    Silent(Problem),
}

/// Lists the publications of a task's runs and the files that runs left in the history, newest first, as stored by the task's agents.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}/publications",
    tag = "batch tasks",
    params(("name" = String, Path, description = "Name of the task"), PublicationsParams),
    responses((status = 200, description = "The publications and the runs that left files", body = BatchPublications), Refusals)
)]
pub(in super::super) async fn get_publications(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(params): Strict<PublicationsParams>,
) -> Answer<BatchPublications> {
    let task = path.text("name");
    let mut agents = app.agents_of(task).await?;
    if let Some(agent) = params.agent {
        agents = vec![one_of(task, &agents, agent)?];
    }
    let (app, caller) = (&app, by.caller());
    let answers = join_all(agents.into_iter().map(async |agent| {
        let order = AgentOrder::Publications { task: task.to_owned(), limit: u32::try_from(params.limit.0).unwrap_or(u32::MAX) };
        (ask::<BatchPublications>(app, caller, &agent, &order).await, agent)
    }));
    let mut all = BatchPublications { publications: Vec::new(), history: Vec::new(), silent: Vec::new() };
    for (answer, agent) in answers.await {
        match answer {
            Ok(found) => {
                all.publications.extend(found.publications);
                all.history.extend(found.history);
            }
            Err(error) => all.silent.push(BatchSilent { agent, why: error.to_string() }),
        }
    }
    all.publications.sort_by_key(|publication| std::cmp::Reverse((publication.time_us, publication.number)));
    all.history.sort_by(|a, b| b.folder.cmp(&a.folder));
    Ok(Json(all))
}

/// Lists the files of a publication, with their sizes.
///
/// A publication is identified by its number. Files that a run left in the history are identified by the run.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}/publications/{publication}",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        ("publication" = String, Path, description = "Number of the publication, or id of a run that left files, such as `gold@20261121T023000Z.1`", example = "1"),
        PublicationParams,
    ),
    responses((status = 200, description = "The files of the publication", body = BatchFiles), Refusals)
)]
pub(in super::super) async fn get_publication(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(params): Strict<PublicationParams>,
) -> Answer<BatchFiles> {
    look(&app, by, &path, params.agent, AgentOrder::Publication).await
}

/// Returns the beginning of a text file of a publication.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}/publications/{publication}/file",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        ("publication" = String, Path, description = "Number of the publication, or id of a run that left files, such as `gold@20261121T023000Z.1`", example = "1"),
        FileParams,
    ),
    responses((status = 200, description = "The content of the file", body = BatchFileText), Refusals)
)]
pub(in super::super) async fn get_file(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(params): Strict<FileParams>,
) -> Answer<BatchFileText> {
    look(&app, by, &path, params.agent, |publication| AgentOrder::PublicationFile { publication, path: params.path }).await
}

/// Lists the files that differ between two publications.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}/publications/{publication}/compare",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        ("publication" = String, Path, description = "Number of the publication, or id of a run that left files, such as `gold@20261121T023000Z.1`", example = "1"),
        CompareParams,
    ),
    responses((status = 200, description = "The differences", body = BatchComparison), Refusals)
)]
pub(in super::super) async fn get_comparison(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(params): Strict<CompareParams>,
) -> Answer<BatchComparison> {
    look(&app, by, &path, params.agent, |publication| AgentOrder::ComparePublications { publication, with: params.with }).await
}

/// Publishes the files of an earlier publication again, to the same target. This replaces later publications.
///
/// Files that a run left in the history are published to the target in the request.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/{name}/publications/{publication}/restore",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        ("publication" = String, Path, description = "Number of the publication, or id of a run that left files, such as `gold@20261121T023000Z.1`", example = "1"),
        PublicationParams,
        Keyed,
    ),
    request_body = BatchRestore,
    responses(Ordered)
)]
pub(in super::super) async fn post_restore(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(params): Strict<PublicationParams>,
    Small(body): Small<BatchRestore, MAX_BYTES>,
) -> Result<Response, ApiError> {
    let publication = named(&path);
    let agent = the_agent(&app, &publication.task, params.agent).await?;
    Ok(order(&app, by, &[agent], &AgentOrder::RestorePublication { publication, target: body.target }).await)
}

/// Returns the publication that the path names.
fn named(path: &PathParts) -> NamedPublication {
    NamedPublication { task: path.text("name").to_owned(), publication: path.text("publication").to_owned() }
}

/// Sends an order about a publication to the agent that has it, and returns the agent's reply.
async fn look<T: DeserializeOwned>(
    app: &App,
    by: Orderer,
    path: &PathParts,
    agent: Option<String>,
    order: impl FnOnce(NamedPublication) -> AgentOrder,
) -> Answer<T> {
    let publication = named(path);
    let agent = the_agent(app, &publication.task, agent).await?;
    ask(app, by.caller(), &agent, &order(publication)).await.map(Json)
}

/// Sends a query to an agent and waits for the reply. The `Idempotency-Key` is ignored: queries change nothing, so a repeated request gets
/// a new reply.
async fn ask<T: DeserializeOwned>(app: &App, by: &Caller, agent: &str, order: &AgentOrder) -> Result<T, ApiError> {
    let request = CommandRequest { timeout_ms: Some(TIMEOUT_MS), ..order.request(Some(&by.name), &[agent.to_owned()]) };
    match app.commands.ask(Caller::server(by.name.clone(), None), request).await {
        Ok(command) => command.lines.first().map_or_else(|| Err(silent(agent, "it is not known")), value),
        // The agent has never connected to this server, or so long ago that its record was deleted.
        Err(error @ (CommandError::UnknownWorker(_) | CommandError::UnknownName { .. })) => Err(silent(agent, &error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Returns the error for an agent that did not reply.
pub(super) fn silent(agent: &str, why: &str) -> ApiError {
    ApiError::TooManyAnswers { detail: format!("this is on the machine of {agent}, which did not answer: {why}") }
}

/// Returns the agent to query: the named one, or the only one of the task.
async fn the_agent(app: &App, task: &str, named: Option<String>) -> Result<String, ApiError> {
    let agents = app.agents_of(task).await?;
    match (named, &agents[..]) {
        (Some(named), _) => one_of(task, &agents, named),
        (None, [agent]) => Ok(agent.clone()),
        (None, _) => {
            let detail = format!("parameter `agent`: {task} is for {}: name one of them", agents.join(", "));
            Err(ApiError::Parameter { name: "agent".to_owned(), detail })
        }
    }
}

fn one_of(task: &str, agents: &[String], named: String) -> Result<String, ApiError> {
    if agents.contains(&named) {
        return Ok(named);
    }
    let detail = format!("parameter `agent`: {task} is for {}, and not for {named:?}", agents.join(", "));
    Err(ApiError::Parameter { name: "agent".to_owned(), detail })
}

/// Decodes the value of an agent's reply.
pub(super) fn value<T: DeserializeOwned>(line: &CommandLine) -> Result<T, ApiError> {
    let why = line.error.clone().unwrap_or_default();
    match (&line.status, &line.value) {
        (status, Some(value)) if *status == CommandStatus::OK => serde_json::from_value(value.clone())
            .map_err(|error| ApiError::TooManyAnswers { detail: format!("{} answered what can't be read: {error}", line.name) }),
        (status, _) if *status == CommandStatus::REFUSED => Err(ApiError::Missing { detail: why }),
        (status, _) => Err(silent(&format!("{} ({status})", line.name), &why)),
    }
}
