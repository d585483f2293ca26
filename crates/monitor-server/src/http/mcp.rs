//! `/mcp`: tools for coding assistants, by the Model Context Protocol over streamable HTTP.
//!
//! Each tool call becomes a request to this server's own router, with the headers and the address of the MCP client. Rights, rate limits
//! and the audit log therefore work as for direct requests to the API.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use http_body_util::{BodyExt, Limited};
use monitor_mcp::{Allow, Ask, Assistant, Failure};
use monitor_wire::Problem;
use serde_json::Value;
use tower::ServiceExt as _;

use super::access::{self, Peer};
use super::problem::ApiError;
use super::{App, ping};
use crate::config::Mcp;

/// Path of the endpoint.
pub(super) const PATH: &str = "/mcp";

/// Maximum size of an API response that a tool reads, in bytes.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Headers that describe one request's body, response or connection, not its sender. They are not copied to the requests of tools.
const OF_REQUEST: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::TRANSFER_ENCODING,
    header::USER_AGENT,
];

/// Routes of the API, which tools send their requests to.
#[derive(Debug, Clone)]
pub(super) struct Api(Router);

impl Api {
    pub(super) fn new(routes: Router<App>, app: &App) -> Self {
        Self(routes.with_state(app.clone()))
    }
}

/// Answers a request of an MCP client.
pub(super) async fn answer(State(app): State<App>, Extension(Api(api)): Extension<Api>, request: Request) -> Response {
    let allow = match app.config.mcp {
        Mcp::Off => return ApiError::NoPath { path: ping::shown_path(request.uri()).to_owned() }.into_response(),
        Mcp::Read => Allow::Read,
        Mcp::Operate => Allow::Operate,
    };
    let mut headers = request.headers().clone();
    for name in OF_REQUEST {
        headers.remove(name);
    }
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let page = page(&app, &request);
    let caller = InProcess { api, headers, authority: request.uri().authority().map(ToString::to_string), peer: access::peer(&request) };
    let assistant = Assistant::new(caller, allow, &page).agent(agent);
    monitor_mcp::answer(assistant, request, app.stopping.child_token()).await.into_response()
}

/// Returns the URL of the page, at the address under which the client reaches the server.
fn page(app: &App, request: &Request) -> String {
    if let Some(url) = &app.config.public_url {
        return url.to_string();
    }
    let scheme = if access::is_https(app, access::peer(request)) { "https" } else { "http" };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(host).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// Sends a tool's requests to the router on behalf of the MCP client.
#[derive(Debug, Clone)]
struct InProcess {
    api: Router,
    headers: HeaderMap,
    /// Host of the client's request. HTTP/2 sends it as `:authority` and not as a header.
    authority: Option<String>,
    peer: Option<Peer>,
}

impl InProcess {
    fn request(&self, request: &monitor_mcp::Request) -> Result<Request, http::Error> {
        let mut headers = self.headers.clone();
        headers.insert(header::USER_AGENT, HeaderValue::try_from(request.user_agent())?);
        let path = request.path_and_query();
        let uri = match &self.authority {
            Some(authority) => Uri::builder().scheme("http").authority(authority.as_str()).path_and_query(path).build()?,
            None => path.parse()?,
        };
        let body = match &request.body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let method = if request.is_change { Method::POST } else { Method::GET };
        let mut made = Request::builder().method(method).uri(uri).version(Version::HTTP_11).body(body)?;
        *made.headers_mut() = headers;
        if let Some(peer) = self.peer {
            made.extensions_mut().insert(peer);
        }
        Ok(made)
    }
}

impl Ask for InProcess {
    async fn ask(&self, request: monitor_mcp::Request) -> Result<Value, Failure> {
        let failed = |detail: String| Failure { status: None, detail };
        let made = self.request(&request).map_err(|error| failed(format!("the arguments make no request: {error}")))?;
        let response = self.api.clone().oneshot(made).await.unwrap_or_else(|never| match never {});
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| failed(format!("the answer is longer than a tool reads, or broke off: {error}")))?.to_bytes();
        if !status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&body).ok();
            return Err(Failure {
                status: Some(status.as_u16()),
                detail: problem.map_or_else(|| status.to_string(), |problem| problem.detail),
            });
        }
        serde_json::from_slice(if body.is_empty() { b"null" } else { &body })
            .map_err(|error| failed(format!("the answer is not JSON: {error}")))
    }
}
