//! The caller of a call: its token and its user name, in the header `X-Bkapi-Authorization` or, by older clients, in the body.

use axum::body::Body;
use axum::extract::Request;
use http::{HeaderValue, Method, header};
use serde::Deserialize;

use super::super::App;
use super::super::problem::ApiError;
use super::failure::Failure;
use super::params::{Params, body};

const HEADER: &str = "x-bkapi-authorization";
/// Maximum length of a user name in the audit log, in characters.
const MOST_NAME: usize = 80;

/// Fields of the header that are read.
#[derive(Debug, Default, Deserialize)]
struct Claim {
    /// Token of this server.
    bk_app_secret: Option<String>,
    bk_username: Option<String>,
}

/// User name in the header. It grants no rights.
#[derive(Debug, Clone, Default)]
pub(super) struct User(Option<String>);

impl User {
    /// Describes the user for the audit log.
    pub(super) fn words(&self, params: Option<&Params>) -> String {
        let named = self.0.clone().or_else(|| params?.text("bk_username").ok().flatten());
        named.map_or_else(
            || "without a user name".to_owned(),
            |name| format!("for a user called {:?}", name.chars().take(MOST_NAME).collect::<String>()),
        )
    }
}

/// Moves the token into the header `Authorization`, where all routes expect it, and adds the user name to the extensions. A token that is
/// already there takes precedence.
pub(super) async fn identified(app: &App, request: Request) -> Result<Request, Failure> {
    let claim = match request.headers().get(HEADER) {
        Some(value) => read(value)?,
        None => Claim::default(),
    };
    let mut request = request;
    let mut secret = claim.bk_app_secret;
    if !request.headers().contains_key(header::AUTHORIZATION) {
        if secret.is_none() && request.method() == Method::POST {
            let (parts, content) = request.into_parts();
            let bytes = body(Request::from_parts(parts.clone(), content), app).await?;
            // The call itself reports a body that can't be read.
            secret = serde_json::from_slice::<Claim>(&bytes).ok().and_then(|claim| claim.bk_app_secret);
            request = Request::from_parts(parts, Body::from(bytes));
        }
        if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
            let value = HeaderValue::try_from(format!("Bearer {secret}"));
            let value = value.map_err(|_| unauthorized("`bk_app_secret` has characters that no token has".to_owned()))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
    }
    request.extensions_mut().insert(User(claim.bk_username));
    Ok(request)
}

fn read(value: &HeaderValue) -> Result<Claim, Failure> {
    serde_json::from_slice(value.as_bytes()).map_err(|error| {
        unauthorized(format!("the header X-Bkapi-Authorization can't be read: {error}; send {{\"bk_app_secret\": \"TOKEN\"}} as JSON"))
    })
}

fn unauthorized(detail: String) -> Failure {
    Failure::Api(ApiError::Unauthorized { detail })
}
