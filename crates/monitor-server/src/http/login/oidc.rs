//! `GET /login/oidc` and `GET /login/oidc/callback`: to the OpenID Connect provider and back.
//!
//! The session cookie is `SameSite=Strict`, so a browser does not send it on a navigation that began at the provider. The callback
//! therefore responds with a page of this server, which forwards the browser to its target. The cookie of the pending login must be sent
//! with the navigation from the provider, so it is `Lax`.

use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};

use super::super::App;
use super::super::access::{client, cookie, peer};
use super::super::problem::ApiError;
use super::page::{Page, Words, going_on};
use super::{LoginQuery, SESSION, SameSite, address, local, set_cookie, unreadable_address};
use crate::access::{Deed, How};
use crate::oidc::{Answer, BeginError, FLOW_LIFETIME, Oidc, Reason, Refusal};

/// Name of the cookie of a pending login.
const FLOW: &str = "monitor_oidc";
/// Maximum length of the target path. A longer one is omitted, because it is stored in a cookie.
const LONGEST_NEXT: usize = 1_024;
/// Action in the audit log.
const ACTION: &str = "login by OpenID Connect";

fn provider<'a>(app: &'a App, request: &Request) -> Result<&'a Oidc, ApiError> {
    app.oidc.as_ref().ok_or_else(|| ApiError::NoPath { path: request.uri().path().to_owned() })
}

pub(in crate::http) async fn get_begin(State(app): State<App>, params: LoginQuery, request: Request) -> Response {
    let oidc = match provider(&app, &request) {
        Ok(oidc) => oidc,
        Err(error) => return error.into_response(),
    };
    let Ok(Query(params)) = params else { return unreadable_address(&app, request.headers()) };
    if let Some(there) = elsewhere(&app, oidc, &request) {
        return Redirect::to(&there).into_response();
    }
    let words = Words::of(&params.lang, request.headers());
    let next = if params.next.len() > LONGEST_NEXT { "" } else { &params.next };
    match oidc.begin(local(next), words.lang).await {
        Ok((flow, url)) => {
            let cookie = set_cookie(&app, peer(&request), (FLOW, &flow.cookie), SameSite::Lax, FLOW_LIFETIME);
            ([(header::SET_COOKIE, cookie)], Redirect::to(url.as_str())).into_response()
        }
        Err(BeginError::Access(error)) => ApiError::from(error).into_response(),
        Err(BeginError::Refused(refusal)) => {
            tracing::warn!(%refusal, "a login did not begin");
            refused(&app, words, next, &refusal)
        }
    }
}

/// Returns the address where the login must begin, if the browser used another of this machine's names. The cookie is bound to the name, so
/// it would be missing in the callback.
fn elsewhere(app: &App, oidc: &Oidc, request: &Request) -> Option<String> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let own = &oidc.base()[url::Position::BeforeHost..url::Position::AfterPort];
    let is_other = app.config.public_url.is_none() && !host.eq_ignore_ascii_case(own);
    is_other.then(|| oidc.base().join(request.uri().path_and_query()?.as_str()).ok().map(String::from)).flatten()
}

pub(in crate::http) async fn get_callback(
    State(app): State<App>,
    answer: Result<Query<Answer>, QueryRejection>,
    request: Request,
) -> Response {
    // A response that can't be parsed belongs to no pending login, and `take` refuses it.
    let answer = answer.map(|Query(answer)| answer).unwrap_or_default();
    let oidc = match provider(&app, &request) {
        Ok(oidc) => oidc,
        Err(error) => return error.into_response(),
    };
    let (peer, headers) = (peer(&request), request.headers());
    let flow = match oidc.take(cookie(&app, peer, headers, FLOW), &answer) {
        Ok(flow) => flow,
        Err(refusal) => {
            tracing::info!(%refusal, "an answer of the provider of logins was not taken");
            return refused(&app, Words::of("", headers), "", &refusal);
        }
    };
    let (words, next) = (Words::of(flow.lang(), headers), flow.next());
    let client = client(&app, peer, headers);
    // From here on, the provider is queried and the result is recorded.
    if let Err(wait) = client.map_or(Ok(()), |client| app.paces.failures.count(client, Instant::now())) {
        let mut response = Page::new(&app, words, next).problem(words.too_often).answer(StatusCode::TOO_MANY_REQUESTS);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return response;
    }
    let finished = oidc.finish(&flow, answer).await;
    let (address, lifetime) = (address(&app, &request), app.config.session_lifetime);
    let entered = app
        .ask_access(move |access| {
            let (who, entered) = match finished {
                Err(refusal) => ("unknown".to_owned(), Err(refusal)),
                Ok(identity) => match access.enter(&identity, lifetime)? {
                    Some((user, session)) => (user, Ok(session)),
                    None => (identity.user(), Err(Refusal { reason: Reason::NoRole, detail: String::new() })),
                },
            };
            let outcome = entered.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
            access.record(&Deed { who: &who, how: How::Session, address, action: ACTION, outcome: &outcome })?;
            Ok(entered)
        })
        .await;
    let mut response = match entered {
        Err(error) => error.into_response(),
        Ok(Err(refusal)) => {
            tracing::warn!(%refusal, "a login by OpenID Connect came to nothing");
            // The provider authenticated the user, so the attempt was not a guess.
            if refusal.reason == Reason::NoRole {
                client.inspect(|client| app.paces.failures.forgive(*client));
            }
            refused(&app, words, next, &refusal)
        }
        Ok(Ok(session)) => {
            client.inspect(|client| app.paces.failures.forgive(*client));
            let cookie = set_cookie(&app, peer, (SESSION, &session), SameSite::Strict, lifetime);
            (AppendHeaders([(header::SET_COOKIE, cookie)]), going_on(words, next)).into_response()
        }
    };
    let over = set_cookie(&app, peer, (FLOW, ""), SameSite::Lax, Duration::ZERO);
    response.headers_mut().append(header::SET_COOKIE, HeaderValue::try_from(over).expect("ASCII"));
    response
}

/// Returns the login page with the reason for the failure.
fn refused(app: &App, words: Words, next: &str, refusal: &Refusal) -> Response {
    let [english, chinese] = refusal.reason.words();
    let status = match refusal.reason {
        Reason::Away => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Secret => StatusCode::INTERNAL_SERVER_ERROR,
        Reason::Denied | Reason::NoRole => StatusCode::FORBIDDEN,
        Reason::Stranger | Reason::Replayed => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNAUTHORIZED,
    };
    Page::new(app, words, next).problem(if words.lang == "zh" { chinese } else { english }).answer(status)
}
