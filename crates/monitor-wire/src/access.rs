//! Who asks, and who changed what.

use serde::{Deserialize, Serialize};

/// `GET /api/v1/me`: who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// A user's or a token's name; none for whoever needs none.
    pub user: Option<String>,
    /// `viewer`, `operator` or `admin`; none for those who may not read.
    pub role: Option<String>,
    /// How that is known: `loopback`, `token`, `session` or `insecure`.
    pub how: String,
    /// What they may do: `ingest`, `agent` (includes `ingest`), `read`, `operate` (includes `read`), `admin` (includes all).
    pub scopes: Vec<String>,
}

/// Something that was done, or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Ascending.
    pub number: u64,
    /// When, Unix microseconds.
    pub time_us: u64,
    /// A user's or a token's name, or who it is taken for.
    pub who: String,
    /// How that is known: `loopback`, `token`, `session`, `insecure`, or `folder` for the command line on the server's machine.
    pub how: String,
    /// From where; none for the command line on the server's machine.
    pub address: Option<String>,
    /// What, like `DELETE /api/v1/roots/7` or `token create build-7`.
    pub action: String,
    /// `done`, or the status that it was answered by.
    pub outcome: String,
}

/// `GET /api/v1/audit`: what was changed, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// One page of it.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; none on the last one.
    pub next_cursor: Option<String>,
}

/// What may be shown of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenState {
    /// The part of it that may be shown.
    pub id: String,
    /// Its name, like no other's.
    pub name: String,
    /// What it allows: as in [`Me::scopes`].
    pub scopes: Vec<String>,
    /// When it was made, Unix microseconds.
    pub created_us: u64,
    /// When it ends or has ended; none if never.
    pub expires_us: Option<u64>,
    /// When it was last used, to a minute; none if never.
    pub used_us: Option<u64>,
}

/// `GET /api/v1/tokens`: all tokens, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// That of the server's own folder among them, called `local`, if there is one.
    pub tokens: Vec<TokenState>,
}
