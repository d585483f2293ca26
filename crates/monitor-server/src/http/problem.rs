//! What goes wrong with a request, and how it is told: `application/problem+json` (RFC 9457).

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

/// Why a request was not answered as asked. Its words are the `detail` that the caller reads.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// A parameter is unknown, given twice, or can't be read.
    #[error("{detail}")]
    Parameter {
        /// Its name.
        name: String,
        /// The mistake, and the allowed values.
        detail: String,
    },
    /// No such tree.
    #[error("there is no root {root}: `GET /api/v1/roots` lists those that there are")]
    NoRoot {
        /// As it was asked for.
        root: String,
    },
    /// A tree that was dropped.
    #[error(
        "root {root} is no longer kept: a rule of retention dropped it, or somebody deleted it; what became of its processes is still \
         counted in `GET /api/v1/stats`"
    )]
    Gone {
        /// As it was asked for.
        root: String,
    },
    /// A tree that may not be deleted as it is.
    #[error("{detail}")]
    Kept {
        /// Why, and what to do.
        detail: String,
    },
    /// No such process.
    #[error("there is no process {id} in root {root}: `GET /api/v1/roots/{root}/tree` lists those that there are")]
    NoProcess {
        /// The tree as it was asked for.
        root: String,
        /// The process.
        id: ProcessId,
    },
    /// No such worker.
    #[error("there is no worker {id}: `GET /api/v1/workers` lists those that there are")]
    NoWorker {
        /// The worker.
        id: WorkerId,
    },
    /// No such path.
    #[error("there is nothing at {path}: the page is at /tasks, the API is described by /api/openapi.json")]
    NoPath {
        /// The path.
        path: String,
    },
    /// What is asked contradicts what there is.
    #[error("{detail}")]
    Conflict {
        /// What, and what to do.
        detail: String,
    },
    /// Somebody else has changed it meanwhile.
    #[error("{detail}")]
    Stale {
        /// What, and what to do.
        detail: String,
    },
    /// Something that is named isn't there.
    #[error("{detail}")]
    Missing {
        /// What, and where to look.
        detail: String,
    },
    /// Nobody waits for it any more.
    #[error("{detail}")]
    Late {
        /// For what.
        detail: String,
    },
    /// Metrics of OTLP.
    #[error(
        "this server takes traces and logs of OpenTelemetry, and no metrics: set OTEL_METRICS_EXPORTER=none in the environment of the \
         program that sends them"
    )]
    NoMetrics,
    /// No such method here.
    #[error("{method} is not possible at {path}: the header `Allow` names what is, /api/openapi.json describes it")]
    Method {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// `Host` is none that this server answers to.
    #[error("{detail}")]
    Host {
        /// What came, and what to set.
        detail: String,
    },
    /// `Origin` is a foreign page.
    #[error("{detail}")]
    Origin {
        /// What came, and what to set.
        detail: String,
    },
    /// A worker was told to do something, and nobody knows whether it did.
    #[error("{detail}")]
    Unanswered {
        /// Who, and what to do.
        detail: String,
    },
    /// It takes a token or a login.
    #[error("{detail}")]
    Unauthorized {
        /// For what, and how to get it.
        detail: String,
    },
    /// Somebody who is known may not.
    #[error("{detail}")]
    Forbidden {
        /// Who, and what it takes.
        detail: String,
    },
    /// Too much of a client.
    #[error("too many {what} from this address: try again after the seconds in `Retry-After`")]
    TooOften {
        /// Until there may be one more.
        wait: Duration,
        /// Of what.
        what: &'static str,
    },
    /// Too many read the stream.
    #[error("{limit} read the stream already, which is all that the setting `max-subscribers` allows: try again later, or read lists")]
    TooManyReaders {
        /// The most there may be.
        limit: usize,
    },
    /// Too many read what is large.
    #[error("{detail}")]
    TooManyAnswers {
        /// Of what, and what to do.
        detail: String,
    },
    /// Tokens and users can't be looked up.
    #[error("the server could not read or write its tokens and users; its log says more")]
    Access(#[source] AccessError),
    /// The body is of a type or an encoding that isn't read.
    #[error("{detail}")]
    MediaType {
        /// The type that was sent, and the types that are accepted.
        detail: String,
    },
    /// The body is too large.
    #[error("the body is larger than {limit} bytes{when}: split the batch and send its parts, each with the `sequence` of its first event")]
    TooLarge {
        /// The most that is taken.
        limit: usize,
        /// Compressed or not.
        when: &'static str,
    },
    /// The batch holds too many events.
    #[error("the batch holds more than {limit} events: split it and send its parts, each with the `sequence` of its first event")]
    TooMany {
        /// The most that are taken.
        limit: usize,
    },
    /// What the body becomes is too much.
    #[error("{detail}")]
    TooMuch {
        /// Of what, and what to do.
        detail: String,
    },
    /// The body could not be read.
    #[error("{detail}")]
    Body {
        /// Where and why.
        detail: String,
    },
    /// The body stopped coming.
    #[error("{what}: send the batch again")]
    Stalled {
        /// How much came in which time.
        what: String,
    },
    /// The body is no batch.
    #[error("the body is no batch: {0}")]
    Batch(#[from] DecodeError),
    /// One event of a batch can't be taken.
    #[error("event {number}: {message}; send the batch without it")]
    Event {
        /// Its number.
        number: u64,
        /// Why.
        message: String,
    },
    /// One event of a batch reports for an agent that the sender is not.
    #[error("{detail}")]
    OtherAgent {
        /// Its number.
        number: u64,
        /// Whose it is, and which token may send it.
        detail: String,
    },
    /// One event of a batch is dated ahead of the server.
    #[error("{detail}")]
    Ahead {
        /// Its number.
        number: u64,
        /// The server's time in Unix microseconds.
        server_time_us: u64,
        /// By how much, and what to do.
        detail: String,
    },
    /// More is coming than can be taken now.
    #[error("the server has more to store than it can take in now: send the same batch again after the seconds in `Retry-After`")]
    Busy,
    /// The disk has no room for what was asked.
    #[error("{0}")]
    NoRoom(StoreError),
    /// Nothing can be stored now.
    #[error("the server can't store it now: {cause}; send the same batch again after the seconds in `Retry-After`")]
    Shut {
        /// Why not.
        cause: String,
    },
    /// The server is about to stop.
    #[error("the server is stopping: send the same batch again once it is back")]
    Stopping,
    /// The store failed.
    #[error("the server could not read or write its database: {}; its log says more", with_causes(.0))]
    Store(#[source] StoreError),
    /// A task of the server ended before its time.
    #[error("the server failed while it answered; its log says more")]
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
            // Whoever writes has said it in the log.
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
            // Whoever sends it keeps it for a server that reads it.
            Self::Batch(error) if error.wrong_version => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Parameter { .. } | Self::Body { .. } | Self::Batch(_) | Self::Event { .. } => StatusCode::BAD_REQUEST,
            Self::NoRoot { .. } | Self::NoProcess { .. } | Self::NoWorker { .. } | Self::NoPath { .. } | Self::NoMetrics => {
                StatusCode::NOT_FOUND
            }
            Self::Missing { .. } => StatusCode::NOT_FOUND,
            Self::Gone { .. } | Self::Late { .. } => StatusCode::GONE,
            // Not a 400: the sender keeps the events and sends them again.
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
            // What is left of the body is not read, so the connection can't go on.
            Self::TooLarge { .. } | Self::Stalled { .. } => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
