//! Authentication and authorization: tokens, users, sessions and the audit log. The data is stored behind the trait `Records`, in
//! `access.db` of the data folder, which the command line opens next to a running server. Every request reads it, so a revoked token is
//! refused at once. Requests that are still being answered are checked again after each change (`grant`). Jobs on hosts need a grant in
//! addition (`job_grant`).

mod audit;
mod grant;
mod identities;
mod job_grant;
mod links;
mod local;
#[cfg(test)]
mod memory;
#[cfg(unix)]
pub(crate) mod open_socket;
mod pace;
mod records;
mod scope;
mod secret;
mod sessions;
mod sqlite;
mod tokens;
mod users;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use monitor_store::StoreError;

pub use self::audit::Deed;
pub(crate) use self::grant::{Credential, Grant};
pub(crate) use self::identities::Identity;
pub use self::job_grant::Holder;
pub(crate) use self::job_grant::{ALL_HOSTS, JobRights, is_account};
pub use self::links::LINK_LIFETIME;
pub use self::local::Local;
#[cfg(unix)]
pub use self::open_socket::request_link;
pub(crate) use self::pace::{Pace, network};
use self::records::Records;
pub use self::scope::{InvalidScope, Role, Scope, Scopes};
pub(crate) use self::secret::{hash, hex, random};
pub(crate) use self::sqlite::SCHEMA;
use self::sqlite::SqliteRecords;
pub use self::tokens::{NewToken, Token};
pub use self::users::User;
use crate::clock::Clock;

/// Tokens, users, sessions and audit log of a data folder. Every method blocks briefly.
pub struct Access {
    folder: PathBuf,
    records: Box<dyn Records>,
    /// Last known version of the records.
    version: AtomicU64,
    clock: Clock,
}

/// Caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the token or user. `None` for callers from this machine, and for anonymous callers.
    pub name: Option<String>,
    /// Means of identifying the caller.
    pub how: How,
    /// Rights of the caller.
    pub scopes: Scopes,
    /// Expiry time of the token or session, in Unix microseconds.
    pub expires_us: Option<u64>,
}

/// Means of identifying a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Connection from this machine.
    Loopback,
    /// Token.
    Token,
    /// Login session.
    Session,
    /// Name and password in the request.
    Password,
    /// Not identified, because the server runs with `--insecure`.
    Insecure,
    /// Access to the data folder. Everyone who can write to it has all rights.
    Folder,
}

impl How {
    /// Returns the name used in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Token => "token",
            Self::Session => "session",
            Self::Password => "password",
            Self::Insecure => "insecure",
            Self::Folder => "folder",
        }
    }
}

/// Error of an operation on tokens or users.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The name is in use.
    #[error("there is a {what} named {name:?} already: choose another name, or remove the existing one first")]
    Exists {
        /// `token` or `user`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The name does not exist.
    #[error("there is no {what} named {name:?}: `monitor {what} list` shows those that there are")]
    Missing {
        /// `token` or `user`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The name is reserved for the server.
    #[error("tokens named {name:?} are made by `monitor open`, for browsers: choose another name")]
    Reserved {
        /// The name.
        name: String,
    },
    /// The name is invalid.
    #[error("{name:?} can't be a name: use 1 to 64 letters, digits and `.`, `-`, `_`, `@`")]
    Name {
        /// The received name.
        name: String,
    },
    /// The user has no password.
    #[error("{name} logs in by {issuer} and has no password here")]
    Elsewhere {
        /// Name of the user.
        name: String,
        /// Issuer of the user's provider.
        issuer: String,
    },
    /// The grant to run jobs has a mistake, or its holder can't have one.
    #[error("{detail}")]
    Grant {
        /// Mistake and remedy.
        detail: String,
    },
    /// The password is too short or too long.
    #[error("a password has from {} to {} characters", users::PASSWORD.start(), users::PASSWORD.end())]
    Password,
    /// The file can't be used: it belongs to another version or program, or the disk fails.
    #[error(transparent)]
    File(StoreError),
    /// The database failed.
    #[error("the database of tokens and users failed")]
    Database(#[source] StoreError),
    /// The operating system provides no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Access {
    /// Opens the records of a data folder. Creates the folder and the file if necessary, readable only by their owner.
    ///
    /// # Errors
    /// Returns an error if the folder or the file can't be used.
    pub fn open(folder: &Path) -> Result<Self, AccessError> {
        Self::open_by(folder, Clock::system())
    }

    /// Like [`Access::open`], with this clock.
    pub(crate) fn open_by(folder: &Path, clock: Clock) -> Result<Self, AccessError> {
        Ok(Self::over(SqliteRecords::open(folder)?, folder, clock))
    }

    fn over(records: impl Records + 'static, folder: &Path, clock: Clock) -> Self {
        Self { folder: folder.to_owned(), records: Box::new(records), version: AtomicU64::new(0), clock }
    }

    /// True if other callers than those with access to the data folder could log in: there is a token that was created explicitly, or a
    /// user.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn has_any(&self) -> Result<bool, AccessError> {
        let is_made_by_hand = |token: &Token| token.name != local::NAME && !token.name.starts_with(links::BROWSER);
        Ok(self.records.tokens()?.iter().any(is_made_by_hand) || !self.records.users()?.is_empty())
    }
}

/// Checks the name of a token or user, which is used in messages, logs and a form.
fn check_name(name: &str) -> Result<(), AccessError> {
    let is_name = (1..=64).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c));
    if is_name { Ok(()) } else { Err(AccessError::Name { name: name.chars().take(80).collect() }) }
}

/// Returns records in a folder and in memory, each with two connections, for tests of both implementations.
#[cfg(test)]
fn both() -> (tempfile::TempDir, [[Access; 2]; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let records = memory::MemoryRecords::default();
    let in_memory = || Access::over(records.clone(), folder.path(), Clock::system());
    let in_folder = || Access::open(folder.path()).unwrap();
    let accesses = [[in_folder(), in_folder()], [in_memory(), in_memory()]];
    (folder, accesses)
}
