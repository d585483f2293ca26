//! `GET /login`, `POST /login`, `POST /logout`: a login page without scripts, and its cookies. The module `oidc` contains the login through
//! a provider.
//!
//! Attackers can guess passwords from many addresses, real or forged through a careless proxy. Attempts are therefore counted twice: by the
//! client's address and by the account, whether or not the account exists. By that alone, an attacker could lock the owner out of an
//! account. A browser that has logged in before therefore has a second cookie as proof, which an attacker lacks, and its attempts are
//! counted only by that.

pub(super) mod oidc;
mod page;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::Form;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Query, Request, State};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use self::page::{Page, Words};
use super::App;
use super::access::{Peer, client, cookie, is_https, origin, peer, session};
use super::problem::ApiError;
use crate::access::{Access, AccessError, Deed, How};

/// Name of the session cookie.
pub(super) const SESSION: &str = "monitor_session";
/// Name of the cookie of a browser that has logged in before.
const DEVICE: &str = "monitor_device";
/// Prefix of cookie names with TLS. Browsers accept such a cookie only over TLS and send it only to this host.
pub(super) const SECURE: &str = "__Host-";
/// Maximum lifetime that browsers grant a cookie.
const DEVICE_LIFETIME: Duration = Duration::from_secs(400 * 24 * 3_600);

/// Maximum time that a login waits while the passwords of other logins are checked.
const HASH_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoginParams {
    next: String,
    lang: String,
    link: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    lang: String,
}

/// Query of the login page. Parsing fails if a parameter is repeated.
type LoginQuery = Result<Query<LoginParams>, QueryRejection>;

pub(super) async fn get_login(State(app): State<App>, params: LoginQuery, request: Request) -> Response {
    let Ok(Query(params)) = params else { return unreadable_address(&app, request.headers()) };
    let words = Words::of(&params.lang, request.headers());
    // A HEAD request must not use up a one-time link.
    if params.link.is_empty() || *request.method() != Method::GET {
        return Page::new(&app, words, &params.next).answer(StatusCode::OK);
    }
    let (peer, address) = (peer(&request), address(&app, &request));
    let lifetime = app.config.session_lifetime;
    let taken = app
        .ask_access(move |access| {
            let taken = access.take_link(&params.link, lifetime)?;
            let (who, outcome) = taken.as_ref().map_or(("unknown", "no such link"), |(name, _)| (name, "done"));
            access.record(&Deed { who, how: How::Session, address, action: "login by a link", outcome })?;
            Ok(taken)
        })
        .await;
    match taken {
        Err(error) => error.into_response(),
        Ok(None) => Page::new(&app, words, &params.next).problem(words.used).answer(StatusCode::UNAUTHORIZED),
        Ok(Some((_, secret))) => {
            let cookie = set_cookie(&app, peer, (SESSION, &secret), SameSite::Strict, lifetime);
            ([(header::SET_COOKIE, cookie)], Redirect::to(local(&params.next))).into_response()
        }
    }
}

/// Returns the page for an address with invalid parameters.
fn unreadable_address(app: &App, headers: &HeaderMap) -> Response {
    let words = Words::of("", headers);
    Page::new(app, words, "").problem(words.unreadable_address).answer(StatusCode::BAD_REQUEST)
}

fn address(app: &App, request: &Request) -> Option<String> {
    origin(app, peer(request), request.headers()).map(|address| address.to_string())
}

/// Key for counting a login attempt. It is counted before the password is checked, so that parallel attempts can't exceed the limit.
enum Counted {
    /// A browser that has logged in to this account before.
    Device(String),
    /// Any other browser: by address and by account.
    Stranger(Option<IpAddr>, String),
}

impl Counted {
    /// Counts an attempt. The inner error is the time to wait if the limit is exceeded.
    fn new(app: &App, client: Option<IpAddr>, user: &str, device: Option<&str>) -> Result<Result<Self, Duration>, ApiError> {
        let (now, paces) = (Instant::now(), &app.paces);
        // Names of users have at most 64 characters.
        let user: String = user.chars().take(65).collect();
        let is_device = device.map(|device| app.access.is_device(&user, device)).transpose()?.unwrap_or_default();
        if is_device {
            return Ok(paces.devices.count(user.clone(), now).map(|()| Self::Device(user)));
        }
        if let Err(wait) = client.map_or(Ok(()), |client| paces.failures.count(client, now)) {
            return Ok(Err(wait));
        }
        let counted = paces.accounts.count(user.clone(), now);
        if counted.is_err() {
            client.inspect(|client| paces.failures.forgive(*client));
        }
        Ok(counted.map(|()| Self::Stranger(client, user)))
    }

    /// Removes the attempt from the count.
    fn forgive(self, app: &App) {
        match self {
            Self::Device(user) => app.paces.devices.forgive(user),
            Self::Stranger(client, user) => {
                client.inspect(|client| app.paces.failures.forgive(*client));
                app.paces.accounts.forgive(user);
            }
        }
    }
}

/// Result of an attempt to log in.
pub(super) enum Attempt<T> {
    Right(T),
    /// Wrong name or password.
    Wrong,
    /// Too many attempts have failed: time to wait.
    TooOften(Duration),
    /// Too many passwords are being checked.
    Busy,
}

/// Checks a password by `work`, which returns None for a wrong name or password. Limits the number of attempts, and of parallel checks.
/// `device` is the cookie of a browser that has logged in before.
pub(super) async fn attempt<T: Send + 'static>(
    app: &App,
    client: Option<IpAddr>,
    user: &str,
    device: Option<&str>,
    work: impl FnOnce(&Access) -> Result<Option<T>, AccessError> + Send + 'static,
) -> Result<Attempt<T>, ApiError> {
    let counted = match Counted::new(app, client, user, device)? {
        Err(wait) => return Ok(Attempt::TooOften(wait)),
        Ok(counted) => counted,
    };
    // Hashing a password takes 19 MiB, so the number of parallel hashes is limited.
    let Ok(turn) = tokio::time::timeout(HASH_PATIENCE, app.hashing.clone().acquire_owned()).await else {
        counted.forgive(app);
        return Ok(Attempt::Busy);
    };
    let worked = app.ask_access(move |access| {
        let _turn = turn;
        work(access)
    });
    match worked.await {
        Ok(None) => Ok(Attempt::Wrong),
        right_or_failed => {
            counted.forgive(app);
            Ok(right_or_failed?.map_or(Attempt::Wrong, Attempt::Right))
        }
    }
}

pub(super) async fn post_login(State(app): State<App>, request: Request) -> Response {
    let (peer, address, headers) = (peer(&request), address(&app, &request), request.headers().clone());
    let form = Form::<Credentials>::from_request(request, &()).await;
    let Ok(Form(Credentials { user, password, next, lang })) = form else {
        let words = Words::of("", &headers);
        return Page::new(&app, words, "").problem(words.unreadable).answer(StatusCode::BAD_REQUEST);
    };
    let words = Words::of(&lang, &headers);
    let shown: String = user.chars().take(64).collect();
    let refused = |status, why| Page::new(&app, words, &next).problem(why).user(&shown).answer(status);
    let lifetime = app.config.session_lifetime;
    let (client, device, name) = (client(&app, peer, &headers), cookie(&app, peer, &headers, DEVICE), user.clone());
    let begun = attempt(&app, client, &name, device, move |access| {
        let is_right = access.is_password(&user, &password)?;
        let outcome = if is_right { "done" } else { "wrong name or password" };
        let who: String = user.chars().take(64).collect();
        access.record(&Deed { who: &who, how: How::Session, address, action: "login", outcome })?;
        Ok(if is_right { Some(access.begin_session(&user, lifetime)?).zip(access.device(&user)?) } else { None })
    });
    match begun.await {
        Err(error) => error.into_response(),
        Ok(Attempt::TooOften(wait)) => {
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, words.too_often);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            response
        }
        Ok(Attempt::Busy) => refused(StatusCode::SERVICE_UNAVAILABLE, words.too_often),
        Ok(Attempt::Wrong) => refused(StatusCode::UNAUTHORIZED, words.wrong),
        Ok(Attempt::Right((session, device))) => {
            let session = set_cookie(&app, peer, (SESSION, &session), SameSite::Strict, lifetime);
            let device = set_cookie(&app, peer, (DEVICE, &device), SameSite::Strict, DEVICE_LIFETIME);
            (AppendHeaders([(header::SET_COOKIE, session), (header::SET_COOKIE, device)]), Redirect::to(local(&next))).into_response()
        }
    }
}

/// `SameSite` attribute of a cookie.
#[derive(Debug, Clone, Copy)]
enum SameSite {
    /// The cookie is not sent with any request from another site.
    Strict,
    /// The cookie is sent when the user navigates here from another site.
    Lax,
}

fn set_cookie(app: &App, peer: Option<Peer>, (name, value): (&str, &str), same_site: SameSite, lifetime: Duration) -> String {
    let (prefix, suffix) = if is_https(app, peer) { (SECURE, "; Secure") } else { ("", "") };
    format!("{prefix}{name}={value}; Path=/; HttpOnly; SameSite={same_site:?}; Max-Age={}{suffix}", lifetime.as_secs())
}

pub(super) async fn post_logout(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    if let Some(session) = session(&app, peer(&request), request.headers()) {
        let session = session.to_owned();
        app.ask_access(move |access| access.end_session(&session)).await?;
    }
    let mut response = Redirect::to("/login").into_response();
    for (prefix, suffix) in [("", ""), (SECURE, "; Secure")] {
        let cookie = format!("{prefix}{SESSION}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{suffix}");
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::try_from(cookie).expect("ASCII"));
    }
    Ok(response)
}

pub(super) async fn get_style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], include_str!("login.css")).into_response()
}

/// Returns `next` if it is a path on this server, and the default page otherwise.
fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next[1..].starts_with(['/', '\\']) && next.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path && !next.starts_with("/log") { next } else { "/tasks" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_does_not_redirect_to_other_sites() {
        for (next, expected) in [
            ("/tasks/7?view=tree", "/tasks/7?view=tree"),
            ("", "/tasks"),
            ("//evil.example", "/tasks"),
            ("/\\evil.example", "/tasks"),
            ("https://evil.example", "/tasks"),
            ("/a\r\nset-cookie: b", "/tasks"),
            ("/\t/evil.example", "/tasks"),
            ("/logout", "/tasks"),
        ] {
            assert_eq!(local(next), expected, "{next:?}");
        }
    }
}
