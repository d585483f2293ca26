//! Reasons why an agent can't work.

use std::io;
use std::path::{Path, PathBuf};

/// Why an agent can't work, or be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Another agent works in the folder.
    #[error("another agent works with {path}: a folder has one agent; stop that one first, or give this one a folder of its own (--data)")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder can't be used.
    #[error("could not {action} {path}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database refuses.
    #[error("the agent's database {path} failed")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The database can't be read as one.
    #[error(
        "{path} is damaged: {why}; the agent moves it aside when it notices this, and makes a new one; \
         `monitor agent salvage` gets out what can be read"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The database is not one of an agent, or of a newer version.
    #[error("{path} {why}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no agent's database in the folder.
    #[error("there is no agent in {path}: start one by `monitor agent --data {path}`, or name its folder by --data")]
    NoAgent {
        /// The folder.
        path: PathBuf,
    },
}

impl AgentError {
    /// The error of SQLite about a database.
    pub(crate) fn database(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged { path, why: source.to_string() },
            _ => Self::Database { path, source },
        }
    }

    /// Says of an error of the system what could not be done with which file.
    pub(crate) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { action, path, source }
    }
}
