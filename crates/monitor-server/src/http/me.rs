//! `GET /api/v1/me`, `GET /api/v1/audit` and `GET /api/v1/tokens`: the caller, the audit log and the tokens.

use axum::extract::State;
use axum::{Extension, Json};
use monitor_wire::{AuditPage, Me, Problem, TokenState, Tokens};
use serde::Deserialize;
use utoipa::IntoParams;

use super::params::{Limit, NoParams, Strict};
use super::problem::ApiError;
use super::refusals::Unreadable;
use super::{Answer, App};
use crate::access::{Access, Principal, Token};

/// Returns the caller's identity and scopes.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "access",
    responses(
        (status = 200, description = "The caller", body = Me),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_me(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<Me> {
    let detail = "nobody is logged in here: log in at /login, or send `Authorization: Bearer TOKEN`";
    let principal = principal.ok_or_else(|| ApiError::Unauthorized { detail: detail.to_owned() })?;
    let caller = principal.clone();
    let jobs = app.ask_access(move |access| access.job_grant(&caller)).await?;
    Ok(Json(Me {
        jobs,
        role: principal.scopes.role().map(|role| role.as_str().to_owned()),
        how: principal.how.as_str().to_owned(),
        scopes: principal.scopes.words().into_iter().map(str::to_owned).collect(),
        user: principal.name,
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// Maximum number of entries to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists the changes in the audit log with their callers, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "access",
    params(AuditParams),
    responses(
        (status = 200, description = "One page", body = AuditPage),
        Unreadable,
        (status = 401, description = "A token or a login is required", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The scope `admin` is required", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_audit(State(app): State<App>, Strict(params): Strict<AuditParams>) -> Answer<AuditPage> {
    let before = params.cursor.as_deref().map(str::parse).transpose().map_err(|_| ApiError::Parameter {
        name: "cursor".to_owned(),
        detail: "parameter `cursor`: take `next_cursor` of the page before as it is".to_owned(),
    })?;
    Ok(Json(app.ask_access(move |access| access.audit(params.limit.0, before)).await?))
}

/// Lists all tokens by name, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "access",
    responses(
        (status = 200, description = "The tokens", body = Tokens),
        (status = 401, description = "A token or a login is required", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The scope `admin` is required", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_tokens(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Tokens> {
    let tokens = app.ask_access(Access::tokens).await?;
    let state = |Token { id, name, scopes, created_us, expires_us, used_us, jobs }| TokenState {
        scopes: scopes.words().into_iter().map(str::to_owned).collect(),
        id,
        name,
        created_us,
        expires_us,
        used_us,
        jobs,
    };
    Ok(Json(Tokens { tokens: tokens.into_iter().map(state).collect() }))
}
