//! Who may do what: tokens, users, their sessions, and what they changed. All of it lies in `access.db` of the data folder, which the
//! command line opens beside a running server; every request looks there, so what is revoked is refused at once, and what is still being
//! answered is looked up again when the file has changed (`grant`).

mod audit;
mod grant;
mod links;
mod local;
mod pace;
mod scope;
mod secret;
mod sessions;
mod tokens;
mod users;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

pub use self::audit::Deed;
pub(crate) use self::grant::{Credential, Grant};
pub use self::links::LINK_LIFETIME;
pub use self::local::Local;
pub(crate) use self::pace::{Pace, network};
pub use self::scope::{InvalidScope, Role, Scope, Scopes};
pub use self::tokens::{NewToken, Token};
pub use self::users::User;
use crate::clock::Clock;
use crate::store::space::make_room;
use crate::store::{create_private, open_private};

/// Marks the file as this program's: `PMac`.
const APPLICATION_ID: i32 = 0x504d_6163;
const SCHEMA: u32 = 2;
/// The log is written back when it has so many pages.
const LOG_PAGES: i64 = 64;

/// The tokens, users, sessions and deeds of a data folder. Every method blocks, briefly.
pub struct Access {
    folder: PathBuf,
    /// Apart, so that nobody who asks waits for a disk that writes.
    reader: Mutex<Connection>,
    writer: Mutex<Connection>,
    /// Version of the file as the reader has last seen it.
    version: AtomicU64,
    clock: Clock,
}

/// Who asks.
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
    #[error("the token {name:?} is the server's own, for `monitor` and browsers on its machine: choose another name")]
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
    /// A password that is none.
    #[error("a password has from {} to {} characters", users::PASSWORD.start(), users::PASSWORD.end())]
    Password,
    /// The file is of a newer build.
    #[error("{} was written by a newer version (schema {found}, this build knows {SCHEMA}): use that version", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// The file is something else's.
    #[error("{} is no file of tokens and users", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The disk.
    #[error("could not {action} {}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The database.
    #[error("the database of tokens and users failed")]
    Database(#[from] rusqlite::Error),
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
        let path = folder.join("access.db");
        let disk = |action, path: &Path| {
            let path = path.to_owned();
            move |source| AccessError::Disk { action, path, source }
        };
        create_private(folder).map_err(disk("create the data folder", folder))?;
        open_private(&path).map_err(disk("open", &path))?;
        let mut writer = connect(&path)?;
        migrate(&mut writer, &path)?;
        let reader = connect(&path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { folder: folder.to_owned(), reader: Mutex::new(reader), writer: Mutex::new(writer), version: AtomicU64::new(0), clock })
    }

    /// Whether anybody but whoever has the data folder could come in: any token made by hand, or any user.
    ///
    /// # Errors
    /// If the database fails.
    pub fn has_any(&self) -> Result<bool, AccessError> {
        let sql = "SELECT EXISTS(SELECT 1 FROM token WHERE name <> ?1 AND name NOT GLOB ?2) OR EXISTS(SELECT 1 FROM user)";
        Ok(self.read(|connection| connection.query_row(sql, [local::NAME, links::BROWSERS], |row| row.get(0)))?)
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&Connection) -> Result<T, AccessError>) -> Result<T, AccessError> {
        make_room(&self.folder);
        write(&self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn connect(path: &Path) -> Result<Connection, AccessError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;")?;
    // The log stays short: on a full disk it is written to as trees are deleted.
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), AccessError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let pragma = |name: &str| transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (application, found) = (pragma("application_id")?, pragma("user_version")? as u32);
    let is_empty = transaction.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())).optional()?.is_none();
    if is_empty {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    } else if application != i64::from(APPLICATION_ID) {
        return Err(AccessError::Foreign { path: path.to_owned() });
    } else if found > SCHEMA {
        return Err(AccessError::TooNew { path: path.to_owned(), found });
    } else if found < 2 {
        transaction.execute_batch("CREATE TABLE link(hash BLOB PRIMARY KEY, role TEXT NOT NULL, expires INTEGER NOT NULL) STRICT")?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    Ok(transaction.commit()?)
}

/// A name of a token or a user: it stands in messages, in the log and in a form.
fn check_name(name: &str) -> Result<(), AccessError> {
    let is_name = (1..=64).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c));
    if is_name { Ok(()) } else { Err(AccessError::Name { name: name.chars().take(80).collect() }) }
}
