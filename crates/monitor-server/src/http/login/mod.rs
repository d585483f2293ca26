//! `GET /login`, `POST /login`, `POST /logout`: a page without scripts, and the cookies. `oidc` has the way by a provider.
//!
//! Passwords are guessed by the thousand, from as many addresses as somebody has, or names to a careless proxy. So tries are counted twice:
//! by the client's address, and by the account, whether there is one or not. A stranger could keep an account's owner out by that; but
//! whoever has logged in before has a second cookie that proves it, which no stranger has, and is counted by that alone.

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
use crate::access::{Deed, How};

/// Name of the cookie that somebody is logged in by.
pub(super) const SESSION: &str = "monitor_session";
/// Name of the cookie of a browser that has logged in before.
const DEVICE: &str = "monitor_device";
/// Before a cookie's name with TLS: a browser takes it only by TLS, and for this host alone.
pub(super) const SECURE: &str = "__Host-";
/// As long as browsers keep a cookie at most.
const DEVICE_LIFETIME: Duration = Duration::from_secs(400 * 24 * 3_600);

/// Whoever logs in waits so long for others whose passwords are checked.
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

/// The query of the login page, or why it can't be read: a parameter may be there twice.
type LoginQuery = Result<Query<LoginParams>, QueryRejection>;

pub(super) async fn get_login(State(app): State<App>, params: LoginQuery, request: Request) -> Response {
    let Ok(Query(params)) = params else { return unreadable_address(&app, request.headers()) };
    let words = Words::of(&params.lang, request.headers());
    // Whoever only looks what is there takes nothing.
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

/// The page for an address whose parameters can't be read.
fn unreadable_address(app: &App, headers: &HeaderMap) -> Response {
    let words = Words::of("", headers);
    Page::new(app, words, "").problem(words.unreadable_address).answer(StatusCode::BAD_REQUEST)
}

fn address(app: &App, request: &Request) -> Option<String> {
    origin(app, peer(request), request.headers()).map(|address| address.to_string())
}

/// By what a try is counted, before it is looked at: of many at once not more are looked at than one by one.
enum Counted {
    /// A browser that has logged in to this account before.
    Device(String),
    /// Anybody: by the address and by the account.
    Stranger(Option<IpAddr>, String),
}

impl Counted {
    /// Counts a try; how long to wait if it is one too many.
    fn new(app: &App, client: Option<IpAddr>, user: &str, device: Option<&str>) -> Result<Result<Self, Duration>, ApiError> {
        let (now, paces) = (Instant::now(), &app.paces);
        // No user's name is longer.
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

    /// Takes the try back.
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
    let counted = match Counted::new(&app, client(&app, peer, &headers), &user, cookie(&app, peer, &headers, DEVICE)) {
        Err(error) => return error.into_response(),
        Ok(Err(wait)) => {
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, words.too_often);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            return response;
        }
        Ok(Ok(counted)) => counted,
    };
    // A hash takes 19 MiB: not many at once.
    let Ok(turn) = tokio::time::timeout(HASH_PATIENCE, app.hashing.clone().acquire_owned()).await else {
        counted.forgive(&app);
        return refused(StatusCode::SERVICE_UNAVAILABLE, words.too_often);
    };
    let lifetime = app.config.session_lifetime;
    let begun = app
        .ask_access(move |access| {
            let _turn = turn;
            let is_right = access.is_password(&user, &password)?;
            let outcome = if is_right { "done" } else { "wrong name or password" };
            let who: String = user.chars().take(64).collect();
            access.record(&Deed { who: &who, how: How::Session, address, action: "login", outcome })?;
            Ok(if is_right { Some(access.begin_session(&user, lifetime)?).zip(access.device(&user)?) } else { None })
        })
        .await;
    match begun {
        Err(error) => {
            counted.forgive(&app);
            error.into_response()
        }
        Ok(None) => refused(StatusCode::UNAUTHORIZED, words.wrong),
        Ok(Some((session, device))) => {
            counted.forgive(&app);
            let session = set_cookie(&app, peer, (SESSION, &session), SameSite::Strict, lifetime);
            let device = set_cookie(&app, peer, (DEVICE, &device), SameSite::Strict, DEVICE_LIFETIME);
            (AppendHeaders([(header::SET_COOKIE, session), (header::SET_COOKIE, device)]), Redirect::to(local(&next))).into_response()
        }
    }
}

/// Which requests of other sites a cookie goes along with.
#[derive(Debug, Clone, Copy)]
enum SameSite {
    /// None.
    Strict,
    /// A browser's way here from a page of another site.
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

/// A path of this server, and never another's address.
fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next[1..].starts_with(['/', '\\']) && next.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path && !next.starts_with("/log") { next } else { "/tasks" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
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
