//! The protocol over streamable HTTP, without sessions: each request has the credentials of its own caller.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::ask::Ask;
use crate::assistant::Assistant;

/// Longest request, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Answers one HTTP request. The caller must have checked `Host` and `Origin`.
pub async fn answer<A, B>(assistant: Assistant<A>, request: Request<B>, stopping: CancellationToken) -> Response<BoxBody<Bytes, Infallible>>
where
    A: Ask,
    B: Body + Send + 'static,
    B::Error: Display,
{
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        .with_max_request_body_bytes(MAX_BODY_BYTES)
        .with_cancellation_token(stopping)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let service = StreamableHttpService::new(move || Ok(assistant.clone()), Arc::new(NeverSessionManager::default()), config);
    service.handle(request).await
}
