//! Errors of requests and their representation as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use monitor_http::with_causes;
use monitor_store::StoreError;
use monitor_wire::{DecodeError, Problem, ProcessId, WorkerId};

use crate::access::AccessError;
use crate::commands::CommandError;
use crate::ingest::IngestError;

/// Reason for refusing a request or for failing to answer it. Its text is the `detail` in the response.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// A parameter is unknown, repeated or invalid.
    #[error("{detail}")]
    Parameter {
        /// Name of the parameter.
        name: String,
        /// Mistake and allowed values.
        detail: String,
    },
    /// The run does not exist.
    #[error("there is no run {root}: `monitor list` and `GET /api/v1/roots` list those that there are")]
    NoRoot {
        /// Id or number from the request.
        root: String,
    },
    /// The run was deleted.
    #[error(
        "the run {root} is no longer kept: a rule of retention dropped it, or it was deleted; what became of its processes is still \
         counted in `GET /api/v1/stats`"
    )]
    Gone {
        /// Id or number from the request.
        root: String,
    },
    /// The run is pinned or running and must not be deleted.
    #[error("{detail}")]
    Kept {
        /// Reason and remedy.
        detail: String,
    },
    /// The process does not exist.
    #[error("there is no process {id} in root {root}: `GET /api/v1/roots/{root}/tree` lists those that there are")]
    NoProcess {
        /// Id or number of the run, from the request.
        root: String,
        /// Id of the process.
        id: ProcessId,
    },
    /// The worker does not exist.
    #[error("there is no worker {id}: `GET /api/v1/workers` lists those that there are")]
    NoWorker {
        /// Id of the worker.
        id: WorkerId,
    },
    /// The path does not exist.
    #[error("there is nothing at {path}: the page is at /tasks, the API is described by /api/openapi.json")]
    NoPath {
        /// The path.
        path: String,
    },
    /// The request contradicts the current state.
    #[error("{detail}")]
    Conflict {
        /// Contradiction and remedy.
        detail: String,
    },
    /// Another client has changed the object since the caller read it.
    #[error("{detail}")]
    Stale {
        /// Change and remedy.
        detail: String,
    },
    /// An object that the request names does not exist.
    #[error("{detail}")]
    Missing {
        /// Missing object, and the route that lists existing objects.
        detail: String,
    },
    /// The reply arrived too late: the server no longer waits for it.
    #[error("{detail}")]
    Late {
        /// Command, and the reason.
        detail: String,
    },
    /// OTLP metrics were sent.
    #[error(
        "this server takes traces and logs of OpenTelemetry, and no metrics: set OTEL_METRICS_EXPORTER=none in the environment of the \
         program that sends them"
    )]
    NoMetrics,
    /// The path does not support the method.
    #[error("{method} is not possible at {path}: the header `Allow` lists the methods that are, /api/openapi.json describes them")]
    Method {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// The server does not answer to the name in `Host`.
    #[error("{detail}")]
    Host {
        /// Received name, and the setting to change.
        detail: String,
    },
    /// `Origin` is a page of another site.
    #[error("{detail}")]
    Origin {
        /// Received origin, and the setting to change.
        detail: String,
    },
    /// A worker has received a command and has not confirmed it, so it is unknown whether the command was executed.
    #[error("{detail}")]
    Unanswered {
        /// Worker and remedy.
        detail: String,
    },
    /// The request needs a token or a login.
    #[error("{detail}")]
    Unauthorized {
        /// Required scope, and how to obtain it.
        detail: String,
    },
    /// The caller is authenticated and lacks the right.
    #[error("{detail}")]
    Forbidden {
        /// Caller and required right.
        detail: String,
    },
    /// The client exceeded a rate limit.
    #[error("too many {what} from this address: try again after the seconds in `Retry-After`")]
    TooOften {
        /// Time until the next request is allowed.
        wait: Duration,
        /// Limited kind of request.
        what: &'static str,
    },
    /// The maximum number of clients is reading the stream.
    #[error("{limit} read the stream already, which is all that the setting `max-subscribers` allows: try again later, or read lists")]
    TooManyReaders {
        /// Maximum number of clients.
        limit: usize,
    },
    /// Too many large responses are in memory.
    #[error("{detail}")]
    TooManyAnswers {
        /// Kind of response, and remedy.
        detail: String,
    },
    /// Tokens and users can't be read.
    #[error("the server could not read or write its tokens and users; the server's log contains the cause")]
    Access(#[source] AccessError),
    /// The content type or encoding of the body is not supported.
    #[error("{detail}")]
    MediaType {
        /// Received type and accepted types.
        detail: String,
    },
    /// The body is too large.
    #[error("the body is larger than {limit} bytes{when}: split the batch and send its parts, each with the `sequence` of its first event")]
    TooLarge {
        /// Maximum size in bytes.
        limit: usize,
        /// Suffix that states if the limit applies to the decompressed body.
        when: &'static str,
    },
    /// The batch contains too many events.
    #[error("the batch holds more than {limit} events: split it and send its parts, each with the `sequence` of its first event")]
    TooMany {
        /// Maximum number of events.
        limit: usize,
    },
    /// The body expands to too many events or too much data.
    #[error("{detail}")]
    TooMuch {
        /// Exceeded limit and remedy.
        detail: String,
    },
    /// The body could not be read.
    #[error("{detail}")]
    Body {
        /// Place and reason.
        detail: String,
    },
    /// The body arrived too slowly.
    #[error("{what}: send the batch again")]
    Stalled {
        /// Amount received and the time it took.
        what: String,
    },
    /// The body is not a batch.
    #[error("the body is no batch: {0}")]
    Batch(#[from] DecodeError),
    /// An event of the batch is not acceptable.
    #[error("event {number}: {message}; send the batch without it")]
    Event {
        /// Number of the event.
        number: u64,
        /// Reason.
        message: String,
    },
    /// An event of the batch reports for an agent, and the sender does not have that agent's token.
    #[error("{detail}")]
    OtherAgent {
        /// Number of the event.
        number: u64,
        /// Agent, and the token that may send the event.
        detail: String,
    },
    /// The time of an event of the batch is ahead of the server's clock.
    #[error("{detail}")]
    Ahead {
        /// Number of the event.
        number: u64,
        /// Server's time in Unix microseconds.
        server_time_us: u64,
        /// Difference and remedy.
        detail: String,
    },
    /// More data is arriving than the server can store now.
    #[error("the server has more to store than it can take in now: send the same batch again after the seconds in `Retry-After`")]
    Busy,
    /// There is not enough free disk space for the request.
    #[error("{0}")]
    NoRoom(StoreError),
    /// Nothing can be stored now.
    #[error("the server can't store it now: {cause}; send the same batch again after the seconds in `Retry-After`")]
    Shut {
        /// Reason.
        cause: String,
    },
    /// The server is stopping.
    #[error("the server is stopping: send the same batch again once it is back")]
    Stopping,
    /// The store failed.
    #[error("the server could not read or write its database: {}; the server's log contains the cause", with_causes(.0))]
    Store(#[source] StoreError),
    /// A task of the server panicked or was cancelled.
    #[error("the server failed while it answered; the server's log contains the cause")]
    Failed(#[from] tokio::task::JoinError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoRoomForBackup { .. } => Self::NoRoom(error),
            StoreError::Cursor { .. } => Self::Parameter { name: "cursor".to_owned(), detail: error.to_string() },
            error => Self::Store(error),
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Busy => Self::Busy,
            IngestError::Event { number, message } => Self::Event { number, message },
            IngestError::OtherAgent { number, .. } => Self::OtherAgent { number, detail: error.to_string() },
            IngestError::Ahead { number, server_time_us, .. } => Self::Ahead { number, server_time_us, detail: error.to_string() },
            IngestError::Shut(cause) => Self::Shut { cause: cause.to_string() },
            // The writer thread has logged the error.
            IngestError::Store(error) if error.is_passing() => Self::Shut { cause: with_causes(&error) },
            IngestError::Store(error) => Self::Store(error),
            IngestError::Stopped => Self::Stopping,
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::Parameter { name, detail } => Self::Parameter { name, detail },
            CommandError::UnknownWorker(_)
            | CommandError::UnknownName { .. }
            | CommandError::SilentWorker(_)
            | CommandError::UnknownTree(_)
            | CommandError::UnknownProcess { .. }
            | CommandError::UnknownCommand(_) => Self::Missing { detail },
            CommandError::NotPassedOn { .. }
            | CommandError::NotForAgents { .. }
            | CommandError::WrongKey(_)
            | CommandError::NotAsked { .. }
            | CommandError::NotTheAgent(_) => Self::Forbidden { detail },
            CommandError::NotOffered { .. }
            | CommandError::OtherKey(_)
            | CommandError::OtherChannel(_)
            | CommandError::TakenByOther(_)
            | CommandError::NotTaken(_)
            | CommandError::Answered(_) => Self::Conflict { detail },
            CommandError::Late(_) => Self::Late { detail },
            CommandError::TooManyChannels(_) | CommandError::TooManyWaiting(_) => Self::TooManyAnswers { detail },
            CommandError::Store(error) => Self::from(error),
            CommandError::Failed(error) => Self::Failed(error),
        }
    }
}

impl ApiError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            // With 415, a sender keeps the events until a server accepts their version.
            Self::Batch(error) if error.wrong_version => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Parameter { .. } | Self::Body { .. } | Self::Batch(_) | Self::Event { .. } => StatusCode::BAD_REQUEST,
            Self::NoRoot { .. } | Self::NoProcess { .. } | Self::NoWorker { .. } | Self::NoPath { .. } | Self::NoMetrics => {
                StatusCode::NOT_FOUND
            }
            Self::Missing { .. } => StatusCode::NOT_FOUND,
            Self::Gone { .. } | Self::Late { .. } => StatusCode::GONE,
            // With 409 instead of 400, the sender keeps the events and sends them again.
            Self::Kept { .. } | Self::Conflict { .. } | Self::Ahead { .. } => StatusCode::CONFLICT,
            Self::Stale { .. } => StatusCode::PRECONDITION_FAILED,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin { .. } | Self::Forbidden { .. } | Self::OtherAgent { .. } => StatusCode::FORBIDDEN,
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::TooMuch { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Stalled { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Unanswered { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy
            | Self::NoRoom(_)
            | Self::Shut { .. }
            | Self::Stopping
            | Self::TooManyReaders { .. }
            | Self::TooManyAnswers { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) if error.is_passing() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Access(_) | Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn problem(&self) -> Problem {
        let status = self.status();
        Problem {
            problem_type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            parameter: if let Self::Parameter { name, .. } = self { Some(name.clone()) } else { None },
            event_number: match self {
                Self::Event { number, .. } | Self::OtherAgent { number, .. } | Self::Ahead { number, .. } => Some(*number),
                Self::Batch(error) => error.event_number,
                _ => None,
            },
            server_time_us: if let Self::Ahead { server_time_us, .. } = self { Some(*server_time_us) } else { None },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.problem();
        match &self {
            Self::Store(error) => tracing::error!(error = with_causes(error), "the store failed"),
            Self::Access(error) => tracing::error!(error = with_causes(error), "tokens and users failed"),
            Self::Failed(error) => tracing::error!(%error, "a request failed"),
            _ => tracing::debug!(status = problem.status, detail = problem.detail, "refused"),
        }
        let problem_status = self.status();
        let mut response = (problem_status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Busy
            | Self::NoRoom(_)
            | Self::Shut { .. }
            | Self::Stopping
            | Self::TooManyReaders { .. }
            | Self::TooManyAnswers { .. }
            | Self::Store(_)
                if problem_status == StatusCode::SERVICE_UNAVAILABLE =>
            {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::TooOften { wait, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
            Self::Unauthorized { .. } => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"Process Monitor\""));
            }
            Self::MediaType { .. } => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd, gzip, deflate"));
            }
            // The rest of the body has not been read, so the connection can't be used for another request.
            Self::TooLarge { .. } | Self::Stalled { .. } => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
