//! The protocol over streamable HTTP, without sessions: each request has the credentials of its own caller.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use rmcp::RoleServer;
use rmcp::model::ErrorData;
use rmcp::service::RxJsonRpcMessage;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::ask::Ask;
use crate::assistant::Assistant;

/// Longest request, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Answers one HTTP request. The caller must have checked `Host` and `Origin`.
pub async fn answer<A, B>(assistant: Assistant<A>, request: Request<B>, stopping: CancellationToken) -> Answer
where
    A: Ask,
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        .with_cancellation_token(stopping)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let service = StreamableHttpService::new(move || Ok(assistant.clone()), Arc::new(NeverSessionManager::default()), config);
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let error = ErrorData::invalid_request(format!("the request is longer than {MAX_BODY_BYTES} bytes"), None);
            return refused(StatusCode::PAYLOAD_TOO_LARGE, &error);
        }
        Err(error) => {
            return refused(StatusCode::BAD_REQUEST, &ErrorData::invalid_request(format!("the request broke off: {error}"), None));
        }
    };
    // The library would answer such a body by 415 and plain text.
    if head.method == Method::POST
        && let Err(error) = serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(&body)
    {
        let error = if error.is_data() {
            ErrorData::invalid_request("the body is not one JSON-RPC message with \"jsonrpc\": \"2.0\"", None)
        } else {
            ErrorData::parse_error(format!("the body is not JSON: {error}"), None)
        };
        return refused(StatusCode::BAD_REQUEST, &error);
    }
    service.handle(Request::from_parts(head, Full::new(body))).await
}

/// Refuses a request whose id can't be read.
fn refused(status: StatusCode, error: &ErrorData) -> Answer {
    let body = json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
