//! Who may do what: tokens, users, their sessions, and what they changed. What is kept of that stands behind the trait `Records`; it lies in
//! `access.db` of the data folder, which the command line opens beside a running server. Every request looks there, so what is revoked is
//! refused at once, and what is still being answered is looked up again when something has changed (`grant`).

mod audit;
mod grant;
mod identities;
mod links;
mod local;
#[cfg(test)]
mod memory;
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
pub use self::links::LINK_LIFETIME;
pub use self::local::Local;
pub(crate) use self::pace::{Pace, network};
use self::records::Records;
pub use self::scope::{InvalidScope, Role, Scope, Scopes};
pub(crate) use self::secret::{hash, hex, random};
use self::sqlite::SqliteRecords;
pub use self::tokens::{NewToken, Token};
pub use self::users::User;
use crate::clock::Clock;

/// The tokens, users, sessions and deeds of a data folder. Every method blocks, briefly.
pub struct Access {
    folder: PathBuf,
    records: Box<dyn Records>,
    /// Version of the records as it was last seen.
    version: AtomicU64,
    clock: Clock,
}

/// The sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// A token's or a user's name; none for whoever is on this machine, or anybody.
    pub name: Option<String>,
    /// How that is known.
    pub how: How,
    /// What they may do.
    pub scopes: Scopes,
    /// When their token or login ends by itself, Unix µs.
    pub expires_us: Option<u64>,
}

/// How it is known who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By a connection from this machine.
    Loopback,
    /// By a token.
    Token,
    /// By a login.
    Session,
    /// Not at all: the server was told to let everybody.
    Insecure,
    /// By the data folder: whoever may write to it may do all.
    Folder,
}

impl How {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Token => "token",
            Self::Session => "session",
            Self::Insecure => "insecure",
            Self::Folder => "folder",
        }
    }
}

/// Why tokens or users could not be asked or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// There is one of this name.
    #[error("there is a {what} named {name:?} already: choose another name, or remove that one first")]
    Exists {
        /// `token` or `user`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is none of this name.
    #[error("there is no {what} named {name:?}: `monitor {what} list` shows those that there are")]
    Missing {
        /// `token` or `user`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that the server uses itself.
    #[error("tokens named {name:?} are made by `monitor open`, for browsers: choose another name")]
    Reserved {
        /// The name.
        name: String,
    },
    /// A name that is none.
    #[error("{name:?} can't be a name: use 1 to 64 letters, digits and `.`, `-`, `_`, `@`")]
    Name {
        /// As it came.
        name: String,
    },
    /// Somebody without a password.
    #[error("{name} logs in by {issuer} and has no password here")]
    Elsewhere {
        /// The name.
        name: String,
        /// The provider.
        issuer: String,
    },
    /// A password that is none.
    #[error("a password has from {} to {} characters", users::PASSWORD.start(), users::PASSWORD.end())]
    Password,
    /// The file can't be used: it belongs to another version or program, or the disk fails.
    #[error(transparent)]
    File(StoreError),
    /// The database.
    #[error("the database of tokens and users failed")]
    Database(#[source] StoreError),
    /// The operating system has no randomness.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Access {
    /// Opens those of a data folder; makes both if need be, readable by their owner alone.
    ///
    /// # Errors
    /// If the folder or the file can't be used.
    pub fn open(folder: &Path) -> Result<Self, AccessError> {
        Self::open_by(folder, Clock::system())
    }

    /// Like [`Access::open`], with times by this clock.
    pub(crate) fn open_by(folder: &Path, clock: Clock) -> Result<Self, AccessError> {
        Ok(Self::over(SqliteRecords::open(folder)?, folder, clock))
    }

    fn over(records: impl Records + 'static, folder: &Path, clock: Clock) -> Self {
        Self { folder: folder.to_owned(), records: Box::new(records), version: AtomicU64::new(0), clock }
    }

    /// Returns true if anybody but whoever has the data folder could come in: there is any token made by hand, or any user.
    ///
    /// # Errors
    /// If the database fails.
    pub fn has_any(&self) -> Result<bool, AccessError> {
        let is_made_by_hand = |token: &Token| token.name != local::NAME && !token.name.starts_with(links::BROWSER);
        Ok(self.records.tokens()?.iter().any(is_made_by_hand) || !self.records.users()?.is_empty())
    }
}

/// A name of a token or a user: it stands in messages, in the log and in a form.
fn check_name(name: &str) -> Result<(), AccessError> {
    let is_name = (1..=64).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c));
    if is_name { Ok(()) } else { Err(AccessError::Name { name: name.chars().take(80).collect() }) }
}

/// Accesses in a folder and in memory, each with another connection to the same, for tests of what holds for both.
#[cfg(test)]
fn both() -> (tempfile::TempDir, [[Access; 2]; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let records = memory::MemoryRecords::default();
    let in_memory = || Access::over(records.clone(), folder.path(), Clock::system());
    let in_folder = || Access::open(folder.path()).unwrap();
    let accesses = [[in_folder(), in_folder()], [in_memory(), in_memory()]];
    (folder, accesses)
}
