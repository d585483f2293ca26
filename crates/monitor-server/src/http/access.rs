//! Who asks, and whether they may: by a token, a login, or a connection from this machine.
//!
//! Every route is declared with the scope that it wants ([`super::routes`]), and a request that no route takes wants one, too.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use monitor_store::cut::cut;
use monitor_wire::{CommandTo, Fields, mask};
use serde_json::json;

use super::App;
use super::connections::Busy;
use super::ping;
use super::problem::ApiError;
use super::routes::{Rules, Wants, is_read};
use crate::access::{AccessError, Credential, Deed, Grant, How, Pace, Principal, Scope, Scopes, network};
use crate::config::{Config, Loopback};

/// Failures of a client: so many at once, then one per period.
const FAILURES: u32 = 10;
const FAILURES_PERIOD: Duration = Duration::from_secs(6);
/// Wrong passwords of an account, from wherever they come, then have this period.
const ACCOUNT_PERIOD: Duration = Duration::from_secs(60);
/// Pings of a heartbeat: so many at once, then one per period.
const PINGS: u32 = 60;
const PINGS_PERIOD: Duration = Duration::from_secs(1);
/// What proxies add.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// From where a connection comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
}

/// Paces clients.
#[derive(Debug)]
pub(super) struct Paces {
    requests: Pace<IpAddr>,
    /// Wrong tokens and passwords of a client.
    pub(super) failures: Pace<IpAddr>,
    /// Wrong passwords for an account, whether there is one of that name or not, from browsers that it doesn't know.
    pub(super) accounts: Pace<String>,
    /// Pings of a heartbeat.
    pub(super) pings: Pace<String>,
    /// Pings of a client with keys that there are not.
    pub(super) unknown_pings: Pace<IpAddr>,
    /// Wrong passwords for an account from browsers that have logged in to it before.
    pub(super) devices: Pace<String>,
}

impl Paces {
    /// So many requests per second.
    pub(super) fn new(requests_per_second: usize) -> Self {
        let per_second = u32::try_from(requests_per_second).unwrap_or(u32::MAX).clamp(1, 1_000_000);
        Self {
            requests: Pace::new(Duration::from_secs(1) / per_second, per_second),
            failures: Pace::new(FAILURES_PERIOD, FAILURES),
            accounts: Pace::new(ACCOUNT_PERIOD, FAILURES),
            devices: Pace::new(FAILURES_PERIOD, FAILURES),
            pings: Pace::new(PINGS_PERIOD, PINGS),
            unknown_pings: Pace::new(FAILURES_PERIOD, FAILURES),
        }
    }
}

/// Decides who comes in.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) app: App,
    pub(super) rules: Arc<Rules>,
}

/// What the audit log has of a change beside its path, as the one who answers says it in the answer's extensions.
#[derive(Debug, Clone)]
pub(super) struct DeedWords {
    /// What was done.
    pub(super) what: String,
    /// What came of it.
    pub(super) outcome: String,
}

/// Longest part of an entry with an order's arguments, in bytes, and of its method and of its recipients.
const MOST_ARGUMENTS: usize = 1_400;
const MOST_WORDS: usize = 200;

impl DeedWords {
    /// Describes an order by its method, its arguments without secrets, and its recipients.
    pub(super) fn of_order(method: &str, arguments: &Fields, to: &CommandTo) -> String {
        let mut arguments = json!(arguments);
        mask(&mut arguments);
        let arguments = cut(&arguments.to_string(), MOST_ARGUMENTS);
        let to = serde_json::to_string(to).unwrap_or_default();
        format!("{} {arguments} to {}", cut(method, MOST_WORDS), cut(&to, MOST_WORDS))
    }

    /// Adds this description to an answer.
    pub(super) fn recorded(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Lets a request pass, or says what it takes. What changes something is recorded.
pub(super) async fn check(State(Gate { app, rules }): State<Gate>, mut request: Request, next: Next) -> Response {
    let rule = rules.of(request.method(), request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    match admit(&app, rule.wants, &mut request) {
        Err(error) => error.into_response(),
        Ok(Admitted::ToLogin(path)) => {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", &path).finish();
            Redirect::to(&format!("/login?{query}")).into_response()
        }
        Ok(Admitted::In(principal)) => {
            let (method, path) = (request.method().clone(), ping::shown_path(request.uri()).to_owned());
            let address = origin(&app, peer(&request), request.headers()).map(|address| address.to_string());
            request.extensions_mut().insert(principal.clone());
            let Some(words) = rule.audit else { return next.run(request).await };
            let action = if words.is_empty() { format!("{method} {path}") } else { format!("{method} {path} ({words})") };
            let action = assistant(request.headers()).map_or(action.clone(), |client| format!("{action} by {client}"));
            // What has begun to change something is done and recorded, though nobody waits for the answer any more.
            let tasks = app.changing.clone();
            let changed = tasks.spawn(async move {
                let response = next.run(request).await;
                let deed = response.extensions().get::<DeedWords>();
                let action = deed.map_or(action.clone(), |deed| format!("{action}: {}", deed.what));
                let outcome = deed.map(|deed| deed.outcome.clone());
                record(&app, principal, address, action, outcome, response.status()).await;
                response
            });
            changed.await.unwrap_or_else(|error| ApiError::Failed(error).into_response())
        }
    }
}

/// The MCP client that has sent a request, as its `User-Agent` states. Any program can claim to be one: it shows next to who has logged in.
fn assistant(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    agent.starts_with("monitor-mcp/").then(|| cut(agent, MOST_WORDS))
}

enum Admitted {
    In(Option<Principal>),
    ToLogin(String),
}

fn admit(app: &App, wants: Wants, request: &mut Request) -> Result<Admitted, ApiError> {
    let peer = peer(request);
    if let Some(client) = client(app, peer, request.headers()) {
        app.paces.requests.count(client, Instant::now()).map_err(|wait| ApiError::TooOften { wait, what: "requests" })?;
    }
    // Before the lookup, so that no change falls between the two.
    let version = app.access.version();
    let (principal, credential) = identify(app, peer, request.headers())?;
    let is_write = !is_read(request.method());
    // A cookie is sent by pages of every port of this host.
    if is_write && principal.as_ref().is_some_and(|principal| principal.how == How::Session) {
        app.guard.check_same(request.uri(), request.headers())?;
    }
    match wants {
        Wants::Nothing => {}
        Wants::Scope(scope) => {
            allow(principal.as_ref(), scope)?;
            if let Some(busy) = request.extensions().get::<Busy>() {
                let expires_us = principal.as_ref().and_then(|principal| principal.expires_us);
                busy.grant(credential.map(|credential| Grant { credential, scope, expires_us, version }));
            }
        }
        Wants::Page if allow(principal.as_ref(), Scope::Read).is_ok() => {}
        Wants::Page => {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            return Ok(Admitted::ToLogin(path.to_owned()));
        }
    }
    Ok(Admitted::In(principal))
}

pub(super) fn peer(request: &Request) -> Option<Peer> {
    request.extensions().get::<Peer>().copied()
}

/// Who asks, and the secret that tells so, if it is one.
fn identify(app: &App, peer: Option<Peer>, headers: &HeaderMap) -> Result<(Option<Principal>, Option<Credential>), ApiError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().ok().and_then(|text| text.split_once(' '));
        let token = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let token = token.ok_or_else(|| ApiError::Unauthorized { detail: "`Authorization` is read as `Bearer TOKEN` only".to_owned() })?;
        let principal = by_token(app, client(app, peer, headers), token)?;
        return Ok((Some(principal), Some(Credential::Token(token.into()))));
    }
    if let Some(session) = session(app, peer, headers)
        && let Some(principal) = app.access.by_session(session)?
    {
        return Ok((Some(principal), Some(Credential::Session(session.into()))));
    }
    let both = || [Scope::Ingest, Scope::Read].into_iter().collect::<Scopes>();
    if app.config.insecure {
        return Ok((Some(Principal { name: None, how: How::Insecure, scopes: both(), expires_us: None }), None));
    }
    let is_local = peer.is_some_and(|peer| is_local(app, peer.address.ip(), headers));
    Ok((is_local.then(|| Principal { name: None, how: How::Loopback, scopes: both(), expires_us: None }), None))
}

fn by_token(app: &App, client: Option<IpAddr>, text: &str) -> Result<Principal, ApiError> {
    if let Some((principal, token)) = app.access.by_token(text)? {
        if app.access.is_used_anew(&token) {
            let access = app.access.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(error) = access.used(&token) {
                    tracing::warn!(%error, "could not note that a token was used");
                }
            });
        }
        return Ok(principal);
    }
    // One that is right always passes, however many were wrong before it.
    if let Some(client) = client {
        app.paces.failures.count(client, Instant::now()).map_err(|wait| ApiError::TooOften { wait, what: "failures" })?;
    }
    let detail = "the token is none of this server's, was revoked, or has ended: `monitor token list` on the server's machine shows \
                  those that there are, `monitor token create` makes one";
    Err(ApiError::Unauthorized { detail: detail.to_owned() })
}

/// Whose requests and failures are counted together. Rights never follow from it.
pub(super) fn client(app: &App, peer: Option<Peer>, headers: &HeaderMap) -> Option<IpAddr> {
    origin(app, peer, headers).map(network)
}

/// From where a request comes, as far as that is known: the address of its connection, or whom a trusted proxy names there. Each proxy
/// adds the address that it was asked from at the end of `X-Forwarded-For`, so the header is read from its right, and no further than to
/// the first address that is no trusted proxy: what stands before that one is its own word.
pub(super) fn origin(app: &App, peer: Option<Peer>, headers: &HeaderMap) -> Option<IpAddr> {
    let mut at = peer?.address.ip().to_canonical();
    let lists = headers.get_all("x-forwarded-for").iter().rev().map(|list| list.to_str().unwrap_or_default());
    for hop in lists.flat_map(|list| list.rsplit(',')) {
        if !app.config.trusts_proxy(at) {
            break;
        }
        let hop = hop.trim();
        let named = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
        // A proxy that names nobody speaks for itself.
        let Ok(named) = named else { break };
        at = named.to_canonical();
    }
    Some(at)
}

/// Whether there is a proxy before the server: behind one that says nothing of itself everybody comes from this machine, and
/// `--public-url` tells that there is one.
pub(super) fn has_proxy(config: &Config) -> bool {
    config.public_url.as_ref().is_some_and(|url| !url.host_str().is_some_and(monitor_wire::is_loopback))
}

/// Whether a request comes from this machine, and not by a proxy on it, and may do so without a token.
fn is_local(app: &App, ip: IpAddr, headers: &HeaderMap) -> bool {
    let is_open = app.config.loopback == Loopback::Open && ip.to_canonical().is_loopback() && !has_proxy(&app.config);
    is_open && !FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// Returns true if browsers reach the server by https, at this connection or at a proxy before the server.
pub(super) fn is_https(app: &App, peer: Option<Peer>) -> bool {
    peer.is_some_and(|peer| peer.is_tls) || app.config.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
}

/// The value of a login's cookie.
pub(super) fn session<'a>(app: &App, peer: Option<Peer>, headers: &'a HeaderMap) -> Option<&'a str> {
    cookie(app, peer, headers, super::login::SESSION)
}

/// The value of a cookie. Over https its name has the prefix [`super::login::SECURE`]: without that, a neighbour domain or another port
/// could have set it.
pub(super) fn cookie<'a>(app: &App, peer: Option<Peer>, headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let prefix = if is_https(app, peer) { super::login::SECURE } else { "" };
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| name.strip_prefix(prefix) == Some(wanted)).map(|(_, value)| value)
}

pub(super) fn allow(principal: Option<&Principal>, scope: Scope) -> Result<(), ApiError> {
    match principal {
        Some(principal) if principal.scopes.has(scope) => Ok(()),
        // Whoever has no name may get one.
        Some(Principal { name: Some(name), scopes, .. }) => {
            let has = scopes.to_string();
            Err(ApiError::Forbidden { detail: format!("{name} may not do this: it wants `{}`, and {name} has `{has}`", scope.as_str()) })
        }
        _ => Err(ApiError::Unauthorized { detail: wanted(scope).to_owned() }),
    }
}

/// What is to be done for a scope.
fn wanted(scope: Scope) -> &'static str {
    match scope {
        Scope::Ingest => {
            "to record here takes a token: make one on the server's machine with `monitor token create NAME --scope ingest`, and set \
             MONITOR_TOKEN to it where the program runs"
        }
        Scope::Agent => {
            "an agent takes a token of its own name: make one on the server's machine with `monitor token create NAME --scope agent`"
        }
        Scope::Read => {
            "to read here takes a token or a login: log in at /login, or send `Authorization: Bearer TOKEN` with one of `monitor token \
             create NAME --scope read` (MONITOR_TOKEN of the command line)"
        }
        Scope::Operate | Scope::Admin => {
            "to change something takes a token or a login, on this machine too: log in at /login as an operator or admin, or send \
             `Authorization: Bearer TOKEN` with one of `monitor token create NAME --scope operate`; the command line finds its own in \
             the data folder of a server on its machine"
        }
    }
}

/// Records what was changed, or was tried by somebody who may.
async fn record(
    app: &App,
    principal: Option<Principal>,
    address: Option<String>,
    action: String,
    outcome: Option<String>,
    status: StatusCode,
) {
    let how = principal.as_ref().map_or(How::Insecure, |principal| principal.how);
    let who = principal.and_then(|principal| principal.name).unwrap_or_else(|| how.as_str().to_owned());
    let done = outcome.unwrap_or_else(|| "done".to_owned());
    let outcome = if status.is_success() || status.is_redirection() { done } else { status.as_u16().to_string() };
    let recorded = app.ask_access(move |access| access.record(&Deed { who: &who, how, address, action: &action, outcome: &outcome })).await;
    if let Err(error) = recorded {
        tracing::error!(%error, "what was changed could not be recorded");
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}
