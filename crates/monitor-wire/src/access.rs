//! The caller's identity and rights, the audit log, and tokens.

use serde::{Deserialize, Serialize};

/// `GET /api/v1/me`: identity and rights of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// Name of the user or token. None if the caller needs no login.
    pub user: Option<String>,
    /// `viewer`, `operator` or `admin`. None if the caller may not read.
    pub role: Option<String>,
    /// Method of authentication: `loopback`, `token`, `session` or `insecure`.
    pub how: String,
    /// Scopes of the caller: `ingest`, `agent` (includes `ingest`), `read`, `operate` (includes `read`), `admin` (includes all).
    pub scopes: Vec<String>,
    /// Grant to run jobs on hosts. None if there is none. A caller with the scope `admin` needs no grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobGrant>,
}

/// Grant to run jobs, which a caller with the scope `operate` needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobGrant {
    /// Conditions on the tags of the hosts, or `*` for all hosts.
    #[cfg_attr(feature = "openapi", schema(example = "env=test,!canary"))]
    pub on: String,
    /// Accounts that the scripts may run as. Empty: only the default account of each host, so the job names no account.
    pub accounts: Vec<String>,
}

/// An action that was performed or attempted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Number of the entry. Later entries have higher numbers.
    pub number: u64,
    /// Time of the action, in Unix microseconds.
    pub time_us: u64,
    /// Name of the user or token. If there is no name: the method of authentication, such as `loopback`.
    pub who: String,
    /// Method of authentication: `loopback`, `token`, `session`, `insecure`, or `folder` for the command line on the server's machine.
    pub how: String,
    /// Network address of the caller. None for the command line on the server's machine.
    pub address: Option<String>,
    /// The action, such as `DELETE /api/v1/roots/7` or `token create build-7`.
    pub action: String,
    /// Result: `done` or a short description. If the action failed: the HTTP status or the reason.
    pub outcome: String,
}

/// `GET /api/v1/audit`: one page of the audit log, the newest entries first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The entries of this page.
    pub entries: Vec<AuditEntry>,
    /// Cursor of the next page. None on the last page.
    pub next_cursor: Option<String>,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenState {
    /// Public part of the token, which identifies it.
    pub id: String,
    /// Unique name of the token.
    pub name: String,
    /// Scopes of the token, as in [`Me::scopes`].
    pub scopes: Vec<String>,
    /// Time at which the token was created, in Unix microseconds.
    pub created_us: u64,
    /// Time at which the token expires or expired, in Unix microseconds. None if it does not expire.
    pub expires_us: Option<u64>,
    /// Time at which the token was last used, in Unix microseconds, accurate to a minute. None if it was never used.
    pub used_us: Option<u64>,
    /// Grant to run jobs on hosts, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobGrant>,
}

/// `GET /api/v1/tokens`: all tokens, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// All tokens. The token in the server's own data folder, if it exists, is named `local`.
    pub tokens: Vec<TokenState>,
}
