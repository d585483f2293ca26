//! Flower's address, `flower-listen`: the HTTP API of Flower, for programs that were written for it.
//!
//! `monitor-flower` translates each request to requests of this server's own API, which are sent with the rights of the caller: a token, or
//! the name and password of a user as Basic authentication. Login sessions do not count here: browsers send cookies to all ports of a host.

mod counting;
mod stream;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use monitor_flower::{Answer, Ask, Content, Counts, Failure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tower_http::trace::TraceLayer;

use super::access::{self, FORWARDED, Peer, Vouched};
use super::guard::Guard;
use super::in_process::{Api, InProcess, Refused};
use super::login::{self, Attempt};
use super::problem::ApiError;
use super::{App, body, secure, span};
use crate::access::{Credential, Deed, How};

/// Maximum size of a request's body, in bytes.
const MAX_BODY_BYTES: usize = 4 << 20;
/// `User-Agent` of the requests to the API.
const USER_AGENT: &str = "monitor-flower";

/// State of the handler.
#[derive(Clone)]
struct Flower {
    app: App,
    api: Api,
    guard: Guard,
    counts: Arc<Counts>,
    passwords: Passwords,
}

/// Returns the router of Flower's address.
pub(super) fn router(app: App, api: Api, guard: Guard) -> Router {
    let counts = Arc::<Counts>::default();
    let counting = counting::count(app.live.clone(), counts.clone());
    let stopping = app.stopping.clone();
    tokio::spawn(async move { stopping.run_until_cancelled(counting).await });
    Router::new()
        .route("/api/task/events/{type}", get(stream::events))
        .route("/api/task/events/{type}/", get(stream::events))
        .route("/api/task/events/{type}/{uuid}", get(stream::events))
        .fallback(answer)
        .with_state(Flower { app: app.clone(), api, guard, counts, passwords: Passwords::default() })
        .layer(middleware::from_fn_with_state(app, secure))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_failure(()))
}

async fn answer(State(flower): State<Flower>, request: Request) -> Response {
    match flower.answered(request).await {
        Ok(answer) => response(answer),
        Err(error) => challenged(error.into_response()),
    }
}

impl Flower {
    async fn answered(&self, request: Request) -> Result<Answer, ApiError> {
        let (uri, headers, method) = (request.uri().clone(), request.headers().clone(), request.method().clone());
        let peer = access::peer(&request);
        self.guard.check(&uri, &headers)?;
        let is_post = method == Method::POST;
        if !is_post && !matches!(method, Method::GET | Method::HEAD) {
            return Err(ApiError::Method { method: method.to_string(), path: uri.path().to_owned() });
        }
        // A browser may know a password, and would send it with the requests of any page.
        if is_post && headers.contains_key(header::ORIGIN) {
            self.guard.check_same(&uri, &headers)?;
        }
        let caller = self.caller(peer, &headers).await?;
        let (body, is_cut) = body::beginning(request, &self.app, MAX_BODY_BYTES).await?;
        if is_cut {
            return Err(ApiError::TooLarge { limit: MAX_BODY_BYTES, when: "" });
        }
        let request = monitor_flower::Request::new(is_post, uri.path(), uri.query().unwrap_or_default(), body);
        Ok(monitor_flower::answer(&caller, &request, &self.page(peer, &headers), &self.counts).await)
    }

    /// Identifies the caller by its password, or leaves that to the requests to the API.
    async fn caller(&self, peer: Option<Peer>, received: &HeaderMap) -> Result<Caller, ApiError> {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        for name in FORWARDED.map(HeaderName::from_static) {
            for value in received.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        let mut vouched = None;
        if let Some(value) = received.get(header::AUTHORIZATION) {
            match basic(value)? {
                Some((name, password)) => {
                    let client = access::client(&self.app, peer, received);
                    let address = access::origin(&self.app, peer, received);
                    vouched = Some(self.user(client, address, name, password).await?);
                }
                None => drop(headers.insert(header::AUTHORIZATION, value.clone())),
            }
        }
        Ok(Caller(InProcess { api: self.api.clone(), headers, authority: None, peer, vouched }))
    }

    /// Returns the user with this name and password.
    async fn user(&self, client: Option<IpAddr>, address: Option<IpAddr>, name: String, password: String) -> Result<Vouched, ApiError> {
        let digest = self.passwords.digest(&name, &password);
        if let Some(credential) = self.passwords.find(&digest)
            && let Some(principal) = self.app.access.by_credential(&credential)?
        {
            return Ok(Vouched { principal, credential });
        }
        let user = name.clone();
        let attempt = login::attempt(&self.app, client, &name, None, move |access| {
            let found = access.by_password(&user, &password)?;
            if found.is_none() {
                let (who, address) = (user.chars().take(64).collect::<String>(), address.map(|address| address.to_string()));
                let outcome = "wrong name or password";
                access.record(&Deed { who: &who, how: How::Password, address, action: "Basic authentication", outcome })?;
            }
            Ok(found)
        });
        match attempt.await? {
            Attempt::Right((principal, credential)) => {
                self.passwords.keep(digest, credential.clone());
                Ok(Vouched { principal, credential })
            }
            Attempt::Wrong => Err(ApiError::Unauthorized {
                detail: "wrong name or password: `monitor user list` on the server's machine shows the users, `monitor user password NAME` sets \
                         a password"
                    .to_owned(),
            }),
            Attempt::TooOften(wait) => Err(ApiError::TooOften { wait, what: "failures" }),
            Attempt::Busy => Err(ApiError::TooOften { wait: Duration::from_secs(1), what: "logins" }),
        }
    }

    /// Returns the URL of the page, at the host under which the client reaches the server.
    fn page(&self, peer: Option<Peer>, headers: &HeaderMap) -> String {
        let config = &self.app.config;
        if let Some(url) = &config.public_url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let scheme = if access::is_https(&self.app, peer) { "https" } else { "http" };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<http::uri::Authority>().ok());
        format!("{scheme}://{}:{}", host.as_ref().map_or("localhost", |host| host.host()), config.listen.port())
    }
}

/// Digest of a name and a password, with a secret of this run of the server.
type Digest = [u8; 32];

/// Passwords that were right. Programs send theirs with each request, and checking one is slow by design. A changed password or a removed user is
/// noticed by the credential.
#[derive(Clone, Default)]
struct Passwords {
    known: Arc<Mutex<HashMap<Digest, Credential>>>,
    secret: Arc<OnceLock<[u8; 32]>>,
}

impl Passwords {
    /// Maximum number of passwords.
    const MOST: usize = 1_000;

    fn digest(&self, name: &str, password: &str) -> Digest {
        let secret = self.secret.get_or_init(|| {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).expect("the system has random bytes");
            secret
        });
        // A name contains no NUL.
        Sha256::new().chain_update(secret).chain_update(name).chain_update([0]).chain_update(password).finalize().into()
    }

    fn find(&self, digest: &Digest) -> Option<Credential> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn keep(&self, digest: Digest, credential: Credential) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MOST {
            known.clear();
        }
        known.insert(digest, credential);
    }
}

/// Reads the name and the password of Basic authentication. None for another scheme.
fn basic(value: &HeaderValue) -> Result<Option<(String, String)>, ApiError> {
    let Some((scheme, encoded)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let decoded = BASE64.decode(encoded.trim()).ok().and_then(|decoded| String::from_utf8(decoded).ok());
    let pair = decoded.as_deref().and_then(|decoded| decoded.split_once(':'));
    let unreadable = || ApiError::Unauthorized { detail: "`Authorization: Basic` takes `NAME:PASSWORD` as base64".to_owned() };
    pair.map(|(name, password)| Some((name.to_owned(), password.to_owned()))).ok_or_else(unreadable)
}

fn response(Answer { status, content }: Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (content_type, text) = match content {
        Content::Json(value) => ("application/json; charset=UTF-8", value.to_string()),
        Content::Text(text) => ("text/plain; charset=UTF-8", text),
        Content::Html(text) => ("text/html; charset=UTF-8", text),
        Content::Metrics(text) => ("application/openmetrics-text; version=1.0.0; charset=utf-8", text),
        Content::Redirect(to) => return (status, [(header::LOCATION, to)]).into_response(),
    };
    challenged((status, [(header::CONTENT_TYPE, content_type)], text).into_response())
}

/// Names Basic authentication in a response with the status 401.
fn challenged(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Process Monitor\""));
    }
    response
}

/// Sends requests to the API as the client.
struct Caller(InProcess);

impl Ask for Caller {
    async fn ask(&self, path: String, body: Option<Value>) -> Result<Value, Failure> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let answered = self.0.send(method, &format!("/api/v1{path}"), body, USER_AGENT).await;
        answered.map_err(|Refused { status, detail }| Failure { status: status.map_or(500, |status| status.as_u16()), detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authentication_is_read_and_other_schemes_are_left_to_the_api() {
        let read = |text: &str| basic(&HeaderValue::from_str(text).unwrap());
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(read("Basic YWRhOmNvcnJlY3QgaG9yc2U=").unwrap(), pair("ada", "correct horse"));
        assert_eq!(read("basic  YWRhOmE6Yg==").unwrap(), pair("ada", "a:b"), "a password may contain colons");
        assert_eq!(read("Bearer pm_1").unwrap(), None);
        assert_eq!(read("Basic").unwrap(), None, "the API refuses it");
        for text in ["Basic ", "Basic ?", "Basic YWRh", "Basic /////w=="] {
            assert!(matches!(read(text), Err(ApiError::Unauthorized { .. })), "{text}");
        }
    }
}
