//! Commands to workers: `/api/v1/commands`, `/api/v1/workers/{id}/commands` and `/api/v1/workers/{id}/channel`.

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use monitor_wire::{
    AgentOrder, CHANNEL_KEY, Command, CommandId, CommandMethods, CommandOrder, CommandReply, CommandRequest, CommandsPage, Problem,
    WorkerChannel, WorkerId,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::access::{DeedWords, NoDeed, allow};
use super::batch::is_agent;
use super::body::small;
use super::params::{Limit, NoParams, PathParts, Strict, Words};
use super::problem::ApiError;
use super::refusals::{NotAllowed, NotTaken, Unreadable};
use super::{Answer, App};
use crate::access::{How, Principal, Scope};
use crate::commands::{Caller, CommandError, CommandsQuery, Origin, Reply, check_arguments, is_reading, key_hash};

/// Maximum size of a request, in bytes.
const MAX_REQUEST_BYTES: usize = 512 << 10;
/// Maximum size of a reply, in bytes.
const MAX_REPLY_BYTES: usize = 1 << 20;
/// Maximum length of an idempotency key.
const MAX_KEY_BYTES: usize = 255;

/// Extractor for a JSON body of at most `LIMIT` bytes.
pub(super) struct Small<T, const LIMIT: usize>(pub(super) T);

impl<T: serde::de::DeserializeOwned, const LIMIT: usize> FromRequest<App> for Small<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        small(request, app, LIMIT).await.map(Self)
    }
}

/// Returns the state of a worker's command channel, and its name.
#[utoipa::path(
    get,
    path = "/api/v1/workers/{id}/channel",
    tag = "commands",
    params(("id" = WorkerId, Path, description = "Id of the worker")),
    responses(
        (status = 200, description = "The state of the channel", body = WorkerChannel),
        Unreadable,
        (status = 404, description = "The worker does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_channel(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<WorkerChannel> {
    let id = path.read("id")?;
    app.commands.channel(id).await?.map(Json).ok_or(ApiError::NoWorker { id })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OrdersParams {
    /// Comma-separated methods that the worker supports. They are shown to clients that list workers. `*` stands for further methods of its
    /// own whose names it does not know.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    methods: Words,
}

/// Opens a worker's channel: an event stream of the commands for the worker.
///
/// The first connection binds the channel to its key. Later connections must use the same key.
#[utoipa::path(
    get,
    path = "/api/v1/workers/{id}/commands",
    tag = "commands",
    params(
        ("id" = WorkerId, Path, description = "Id of the worker. The server must have accepted a batch from it"),
        OrdersParams,
        ("Monitor-Channel-Key" = String, Header, description = "Secret of the worker for its channel: 32 to 128 random letters and digits"),
    ),
    responses(
        (status = 200, description = "`event: open`, followed by an `event: command` for each order, with this object as its `data`", body = CommandOrder, content_type = "text/event-stream"),
        Unreadable,
        (status = 403, description = "The worker is an agent, and the token does not belong to this agent", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The worker does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The channel was opened with another key", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many channels are open. Send the request again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_orders(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    headers: HeaderMap,
    Strict(params): Strict<OrdersParams>,
) -> Result<Response, ApiError> {
    let methods: Vec<String> = params.methods.each().into_iter().collect();
    // Orders to agents start commands, so only a caller with the token of the agent may open its channel.
    let check = |name: &str| match name.strip_prefix(AgentOrder::PROGRAM).and_then(|rest| rest.strip_prefix('@')) {
        Some(agent) if !is_agent(principal.as_ref(), agent) => Err(CommandError::NotTheAgent(agent.to_owned())),
        _ => Ok(()),
    };
    let opened = app.commands.open_channel(path.read("id")?, channel_key(&headers)?, &methods, check).await?;
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, [("x-accel-buffering", "no")], Body::from_stream(opened.into_stream())).into_response())
}

/// Accepts a worker's reply to a command.
///
/// Late, repeated and invalid replies are counted and have no other effect.
#[utoipa::path(
    post,
    path = "/api/v1/commands/{id}/replies",
    tag = "commands",
    params(
        ("id" = CommandId, Path, description = "Id of the command"),
        ("Monitor-Channel-Key" = String, Header, description = "Key of the worker's channel"),
    ),
    request_body = CommandReply,
    responses(
        (status = 204, description = "The reply is accepted. The reply to a durable command is stored on the disk"),
        (status = 400, description = "The request is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The command is for another worker, or the key belongs to another worker", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The command does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The command has a reply, or was accepted by another worker", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The command has ended, and the reply is not needed any more", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn post_reply(State(app): State<App>, path: PathParts, request: Request) -> Result<StatusCode, ApiError> {
    let headers = request.headers().clone();
    let read = async {
        let (id, key) = (path.read("id")?, channel_key(&headers)?);
        Ok::<_, ApiError>((id, key, small::<CommandReply>(request, &app, MAX_REPLY_BYTES).await?))
    };
    let (id, key, reply) = read.await.inspect_err(|_| app.commands.figures().count(Reply::Garbage))?;
    app.commands.reply(id, key, reply).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a command to workers, and responds when each of them has replied or the time is over.
///
/// With `until_us` the command is durable: if no worker has accepted it by the end of the time-out, it keeps waiting for one. Requests with
/// the same `Idempotency-Key` are one command, however often they are sent.
#[utoipa::path(
    post,
    path = "/api/v1/commands",
    tag = "commands",
    params(Keyed),
    request_body = CommandRequest,
    responses(
        (status = 200, description = "The result", body = Command),
        (status = 400, description = "The request is invalid, or no worker knows the method", body = Problem, content_type = "application/problem+json"),
        NotAllowed,
        (status = 404, description = "The worker does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The `Idempotency-Key` belongs to another request", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn post_command(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    headers: HeaderMap,
    Small(request): Small<CommandRequest, MAX_REQUEST_BYTES>,
) -> Result<Response, ApiError> {
    if is_reading(&request.method) {
        let mut response = ask(&app, principal, &headers, request).await.map(Json).into_response();
        response.extensions_mut().insert(NoDeed);
        return Ok(response);
    }
    let tried = if request.dry_run { ", dry run" } else { "" };
    let what = format!("{}{tried}", DeedWords::of_order(&request.method, &request.arguments, &request.to));
    let answered = ask(&app, principal, &headers, request).await;
    let outcome = answered.as_ref().map_or_else(|_| String::new(), outcome);
    Ok(DeedWords { what, outcome }.recorded(answered.map(Json)))
}

async fn ask(app: &App, principal: Option<Principal>, headers: &HeaderMap, request: CommandRequest) -> Result<Command, ApiError> {
    if !is_reading(&request.method) {
        allow(principal.as_ref(), Scope::Operate)?;
    }
    app.commands.check_allowed(&request.method)?;
    check_arguments(&request)?;
    let how = principal.as_ref().map_or(How::Insecure, |principal| principal.how);
    let name = principal.and_then(|principal| principal.name).unwrap_or_else(|| how.as_str().to_owned());
    Ok(app.commands.ask(Caller { name, key: idempotency_key(headers)?, origin: Origin::Client }, request).await?)
}

/// Counts the workers by status, for the audit log.
pub(super) fn outcome(command: &Command) -> String {
    let counts = command.counts.iter().map(|(status, count)| format!("{count} {status}")).collect::<Vec<_>>();
    format!("done: {}", if counts.is_empty() { "nobody is meant".to_owned() } else { counts.join(", ") })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CommandsParams {
    /// Only commands for this worker, each with the worker's line. The id has 32 lower-case hex digits.
    worker: Option<WorkerId>,
    /// Only commands of this scope: `read` for those that only query, or `operate` for those that change something.
    #[param(inline)]
    scope: Option<CommandScope>,
    /// Maximum number of commands to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Scope of the listed commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CommandScope {
    Read,
    Operate,
}

/// Lists the newest 10,000 commands, newest first.
///
/// Commands are listed without their lines. With `worker`, each has the line of that worker, as long as lines are kept.
#[utoipa::path(
    get,
    path = "/api/v1/commands",
    tag = "commands",
    params(CommandsParams),
    responses(
        (status = 200, description = "One page", body = CommandsPage),
        Unreadable,
    )
)]
pub(super) async fn get_commands(State(app): State<App>, Strict(params): Strict<CommandsParams>) -> Answer<CommandsPage> {
    let before = params.cursor.as_deref().map(str::parse).transpose().map_err(|_| ApiError::Parameter {
        name: "cursor".to_owned(),
        detail: "parameter `cursor`: take `next_cursor` of the page before as it is".to_owned(),
    })?;
    let is_changing = params.scope.map(|scope| scope == CommandScope::Operate);
    let query = CommandsQuery { limit: params.limit.0, before: before.unwrap_or(i64::MAX), worker: params.worker, is_changing };
    Ok(Json(app.commands.page(query).await?))
}

/// Returns a command with its result for each worker.
#[utoipa::path(
    get,
    path = "/api/v1/commands/{id}",
    tag = "commands",
    params(("id" = CommandId, Path, description = "Id of the command")),
    responses(
        (status = 200, description = "The command and its result for each worker", body = Command),
        Unreadable,
        (status = 404, description = "The command does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_command(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Command> {
    Ok(Json(app.commands.command(path.read("id")?).await?))
}

/// Lists the methods that workers can execute, with the online workers that support each.
#[utoipa::path(
    get,
    path = "/api/v1/commands/methods",
    tag = "commands",
    responses(
        (status = 200, description = "The methods. Those that only return information are first", body = CommandMethods),
        Unreadable,
    )
)]
pub(super) async fn get_methods(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<CommandMethods> {
    Ok(Json(app.commands.methods().await?))
}

fn channel_key(headers: &HeaderMap) -> Result<[u8; 32], ApiError> {
    let detail = "the header `Monitor-Channel-Key` has 32 to 128 letters and digits, chosen at random by whoever first opens the channel";
    let wrong = || ApiError::Parameter { name: "Monitor-Channel-Key".to_owned(), detail: detail.to_owned() };
    headers.get(CHANNEL_KEY).and_then(|key| key_hash(key.as_bytes())).ok_or_else(wrong)
}

/// Header that makes a repeated request idempotent.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the header")]
pub(super) struct Keyed {
    /// Up to 255 visible ASCII characters. Send the same key when the request is repeated.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$")]
    key: Option<String>,
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let detail = format!("the header `Idempotency-Key` has 1 to {MAX_KEY_BYTES} visible characters of ASCII");
    let wrong = || ApiError::Parameter { name: "Idempotency-Key".to_owned(), detail };
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}
