//! `/mcp`: tools for coding assistants, by the Model Context Protocol over streamable HTTP.
//!
//! Each tool call becomes a request to this server's own router, with the headers and the address of the MCP client. Rights, rate limits
//! and the audit log therefore work as for direct requests to the API.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, Method, header};
use monitor_mcp::{Allow, Ask, Assistant, Failure};
use serde_json::Value;

use super::access;
use super::in_process::{Api, InProcess, Refused};
use super::problem::ApiError;
use super::{App, ping};
use crate::config::Mcp;

/// Path of the endpoint.
pub(super) const PATH: &str = "/mcp";

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

/// Answers a request of an MCP client.
pub(super) async fn answer(State(app): State<App>, Extension(api): Extension<Api>, request: Request) -> Response {
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
    let authority = request.uri().authority().map(ToString::to_string);
    let caller = InProcess { api, headers, authority, peer: access::peer(&request), vouched: None };
    let assistant = Assistant::new(Caller(caller), allow, &page).agent(agent);
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

/// Sends the requests of a tool.
#[derive(Debug, Clone)]
struct Caller(InProcess);

impl Ask for Caller {
    async fn ask(&self, request: monitor_mcp::Request) -> Result<Value, Failure> {
        let method = if request.is_change { Method::POST } else { Method::GET };
        let (path, user_agent) = (request.path_and_query(), request.user_agent());
        let answered = self.0.send(method, &path, request.body, &user_agent).await;
        answered.map_err(|Refused { status, detail }| Failure { status: status.map(|status| status.as_u16()), detail })
    }
}
