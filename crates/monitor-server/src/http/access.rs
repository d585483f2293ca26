//! Authentication and authorization of every request: by a token, a login session, or a connection from this machine.
//!
//! [`mod@super::routes`] declares each route together with the scope that it requires. [`check`] compares the caller's scopes with it
//! before any handler runs. A request that matches no route requires a scope as well.

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

/// Burst of failures allowed per client; after the burst, one failure per period is allowed.
const FAILURES: u32 = 10;
const FAILURES_PERIOD: Duration = Duration::from_secs(6);
/// Period for wrong passwords of an account after the burst, counted over all clients.
const ACCOUNT_PERIOD: Duration = Duration::from_secs(60);
/// Burst of pings allowed per heartbeat; after the burst, one ping per period is allowed.
const PINGS: u32 = 60;
const PINGS_PERIOD: Duration = Duration::from_secs(1);
/// Headers that proxies add to the requests they forward.
pub(super) const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Remote end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
}

/// Caller whom a handler of this server has identified before it sent a request to the API. It is an extension of that request.
#[derive(Debug, Clone)]
pub(super) struct Vouched {
    pub(super) principal: Principal,
    pub(super) credential: Credential,
}

/// Rate limits per client, account and heartbeat.
#[derive(Debug)]
pub(super) struct Paces {
    requests: Pace<IpAddr>,
    /// Wrong tokens and passwords, by client.
    pub(super) failures: Pace<IpAddr>,
    /// Wrong passwords by account name, sent by browsers that have not logged in to the account before. Names without an account are
    /// counted too, so that the answer does not show which names exist.
    pub(super) accounts: Pace<String>,
    /// Pings by heartbeat.
    pub(super) pings: Pace<String>,
    /// Pings with unknown keys, by client.
    pub(super) unknown_pings: Pace<IpAddr>,
    /// Wrong passwords by account name, sent by browsers that have logged in to the account before.
    pub(super) devices: Pace<String>,
}

impl Paces {
    /// Creates the limits. `requests_per_second` is the limit per client.
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

/// State of the middleware [`check`].
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) app: App,
    pub(super) rules: Arc<Rules>,
}

/// Description of a change for the audit log, in addition to its path. The handler puts it into the extensions of its response.
#[derive(Debug, Clone)]
pub(super) struct DeedWords {
    /// Action, with its arguments.
    pub(super) what: String,
    /// Result of the action.
    pub(super) outcome: String,
}

/// Put into the extensions of a response whose request has changed nothing. It is not in the audit log.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoDeed;

/// Maximum lengths in bytes, within one audit entry: of an order's arguments, and of its method and its recipients.
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

    /// Adds this description to a response.
    pub(super) fn recorded(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Passes a permitted request on, and answers any other with an error that names the missing scope. Changes are written to the audit log.
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
            // A change that has begun runs to its end and is recorded even if the client disconnects, so it runs in a task of its own.
            let tasks = app.changing.clone();
            let changed = tasks.spawn(async move {
                let response = next.run(request).await;
                if response.extensions().get::<NoDeed>().is_some() {
                    return response;
                }
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

/// Returns the MCP client that sent a request, taken from its `User-Agent`. Any program can claim to be one, so the audit log shows it next
/// to the authenticated caller.
fn assistant(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    agent.starts_with("monitor-mcp/").then(|| cut(agent, MOST_WORDS))
}

/// Checks that the caller may read, and that the right is checked again while the request is answered.
pub(super) fn admit_reader(app: &App, request: &mut Request) -> Result<(), ApiError> {
    admit(app, Wants::Scope(Scope::Read), request).map(drop)
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
    // Read before the lookup: if a token or user changes during the lookup, the version differs and the connection's rights are checked
    // again.
    let version = app.access.version();
    let (principal, credential) = match request.extensions().get::<Vouched>() {
        Some(Vouched { principal, credential }) => (Some(principal.clone()), Some(credential.clone())),
        None => identify(app, peer, request.headers())?,
    };
    let is_write = !is_read(request.method());
    // Browsers send cookies for a host to all of its ports, so a page from another port could make this request.
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

/// Returns the caller, and the token or session that identified it, if any.
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
    // A valid token always passes, even if the client has used up its failures.
    if let Some(client) = client {
        app.paces.failures.count(client, Instant::now()).map_err(|wait| ApiError::TooOften { wait, what: "failures" })?;
    }
    let detail = "the token is none of this server's, was revoked, or has ended: `monitor token list` on the server's machine shows \
                  those that there are, `monitor token create` makes one";
    Err(ApiError::Unauthorized { detail: detail.to_owned() })
}

/// Returns the key under which requests and failures of a client are counted. It never decides about rights.
pub(super) fn client(app: &App, peer: Option<Peer>, headers: &HeaderMap) -> Option<IpAddr> {
    origin(app, peer, headers).map(network)
}

/// Returns the client's address: the address of the connection, or the one that a trusted proxy reports. Each proxy appends the address of
/// its own client to `X-Forwarded-For`. The header is therefore read from the right, up to the first address that is not a trusted proxy;
/// the entries to the left of it could be forged by that client.
pub(super) fn origin(app: &App, peer: Option<Peer>, headers: &HeaderMap) -> Option<IpAddr> {
    let mut at = peer?.address.ip().to_canonical();
    let lists = headers.get_all("x-forwarded-for").iter().rev().map(|list| list.to_str().unwrap_or_default());
    for hop in lists.flat_map(|list| list.rsplit(',')) {
        if !app.config.trusts_proxy(at) {
            break;
        }
        let hop = hop.trim();
        let named = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
        // A trusted proxy that reports no valid address counts as the client itself.
        let Ok(named) = named else { break };
        at = named.to_canonical();
    }
    Some(at)
}

/// True if there is a proxy in front of the server, which a `--public-url` without a loopback name implies. Behind a proxy that adds no
/// headers, all requests seem to come from this machine.
pub(super) fn has_proxy(config: &Config) -> bool {
    config.public_url.as_ref().is_some_and(|url| !url.host_str().is_some_and(monitor_wire::is_loopback))
}

/// True if a request comes from this machine without a proxy and may be made without a token.
fn is_local(app: &App, ip: IpAddr, headers: &HeaderMap) -> bool {
    let is_open = app.config.loopback == Loopback::Open && ip.to_canonical().is_loopback() && !has_proxy(&app.config);
    is_open && !FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// True if browsers reach the server by https, on this connection or at a proxy in front of the server.
pub(super) fn is_https(app: &App, peer: Option<Peer>) -> bool {
    peer.is_some_and(|peer| peer.is_tls) || app.config.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
}

/// Returns the value of the session cookie.
pub(super) fn session<'a>(app: &App, peer: Option<Peer>, headers: &'a HeaderMap) -> Option<&'a str> {
    cookie(app, peer, headers, super::login::SESSION)
}

/// Returns the value of a cookie. Over https, its name must have the prefix [`super::login::SECURE`]: cookies without that prefix can be
/// set by a sibling domain or another port.
pub(super) fn cookie<'a>(app: &App, peer: Option<Peer>, headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let prefix = if is_https(app, peer) { super::login::SECURE } else { "" };
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| name.strip_prefix(prefix) == Some(wanted)).map(|(_, value)| value)
}

pub(super) fn allow(principal: Option<&Principal>, scope: Scope) -> Result<(), ApiError> {
    match principal {
        Some(principal) if principal.scopes.has(scope) => Ok(()),
        // A named caller lacks the right, so it gets a 403. Only a caller without a name can help itself by logging in or sending a token,
        // and gets a 401.
        Some(Principal { name: Some(name), scopes, .. }) => {
            let has = scopes.to_string();
            Err(ApiError::Forbidden { detail: format!("{name} may not do this: it wants `{}`, and {name} has `{has}`", scope.as_str()) })
        }
        _ => Err(ApiError::Unauthorized { detail: wanted(scope).to_owned() }),
    }
}

/// Returns the remedy for a missing scope.
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
            "this takes a token or a login, on this machine too: log in at /login as an operator or admin, or send \
             `Authorization: Bearer TOKEN` with one of `monitor token create NAME --scope operate`; the command line finds its own in \
             the data folder of a server on its machine"
        }
    }
}

/// Writes a change, or a permitted attempt that failed, to the audit log.
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
        tracing::error!(%error, "a change could not be recorded in the audit log");
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}
