//! Requests that the server sends to its own API, on behalf of a client that uses another protocol.
//!
//! They pass the same checks as requests from outside. Rights, rate limits and the audit log therefore work as for direct requests.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt, Limited};
use monitor_wire::Problem;
use serde_json::Value;
use tower::ServiceExt as _;

use super::App;
use super::access::{Peer, Vouched};

/// Maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Routes of the API.
#[derive(Debug, Clone)]
pub(super) struct Api(Router);

impl Api {
    pub(super) fn new(routes: Router<App>, app: &App) -> Self {
        Self(routes.with_state(app.clone()))
    }
}

/// A client, and the API that is queried on its behalf.
#[derive(Debug, Clone)]
pub(super) struct InProcess {
    pub(super) api: Api,
    /// Headers of each request.
    pub(super) headers: HeaderMap,
    /// Host of the client's request. HTTP/2 sends it as `:authority` and not as a header.
    pub(super) authority: Option<String>,
    pub(super) peer: Option<Peer>,
    /// The caller, if it was identified by other means than the headers.
    pub(super) vouched: Option<Vouched>,
}

/// Error of a request.
#[derive(Debug)]
pub(super) struct Refused {
    /// Status of the answer, if there was one.
    pub(super) status: Option<StatusCode>,
    /// Cause and remedy.
    pub(super) detail: String,
}

impl InProcess {
    /// Sends a request with a path below `/api/v1`, and returns the JSON of the answer.
    pub(super) async fn send(&self, method: Method, path: &str, body: Option<Value>, user_agent: &str) -> Result<Value, Refused> {
        let failed = |detail: String| Refused { status: None, detail };
        let request = self.request(method, path, body, user_agent);
        let request = request.map_err(|error| failed(format!("the arguments make no request: {error}")))?;
        let response = self.api.0.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| failed(format!("the answer is longer than 32 MiB, or broke off: {error}")))?.to_bytes();
        if !status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&body).ok();
            return Err(Refused { status: Some(status), detail: problem.map_or_else(|| status.to_string(), |problem| problem.detail) });
        }
        serde_json::from_slice(if body.is_empty() { b"null" } else { &body })
            .map_err(|error| failed(format!("the answer is not JSON: {error}")))
    }

    /// Builds a request.
    pub(super) fn request(&self, method: Method, path: &str, body: Option<Value>, user_agent: &str) -> Result<Request, http::Error> {
        let mut headers = self.headers.clone();
        headers.insert(header::USER_AGENT, HeaderValue::try_from(user_agent)?);
        let uri = match &self.authority {
            Some(authority) => Uri::builder().scheme("http").authority(authority.as_str()).path_and_query(path).build()?,
            None => path.parse()?,
        };
        let body = match body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let mut request = Request::builder().method(method).uri(uri).version(Version::HTTP_11).body(body)?;
        *request.headers_mut() = headers;
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(vouched) = &self.vouched {
            request.extensions_mut().insert(vouched.clone());
        }
        Ok(request)
    }
}
