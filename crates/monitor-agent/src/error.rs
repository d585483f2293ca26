//! Errors of an agent.

use std::io;
use std::path::{Path, PathBuf};

/// Error of an agent, or of a request to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Another agent uses the folder.
    #[error("another agent works with {path}: a folder has one agent; stop it first, or give this agent a folder of its own (--data)")]
    Locked {
        /// Path of the folder.
        path: PathBuf,
    },
    /// A file or folder can't be used.
    #[error("could not {action} {path}")]
    Disk {
        /// The failed action, as a verb phrase.
        action: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Cause of the error.
        source: io::Error,
    },
    /// SQLite returned an error.
    #[error("the agent's database {path} failed")]
    Database {
        /// Path of the file.
        path: PathBuf,
        /// Cause of the error.
        source: rusqlite::Error,
    },
    /// The database file is damaged.
    #[error(
        "{path} is damaged: {why}; the agent moves it aside when it notices this, and makes a new one; \
         `monitor agent salvage` gets out what can be read"
    )]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Description of the damage.
        why: String,
    },
    /// The file can't be used. For example, it is not the database of an agent, or was written by a newer version.
    #[error("{path} {why}")]
    Foreign {
        /// Path of the file.
        path: PathBuf,
        /// Description of the problem.
        why: String,
    },
    /// The folder contains no agent database.
    #[error("there is no agent in {path}: start one by `monitor agent --data {path}`, or name its folder by --data")]
    NoAgent {
        /// Path of the folder.
        path: PathBuf,
    },
}

impl AgentError {
    /// Converts an SQLite error. A corrupt file becomes [`Damaged`](Self::Damaged).
    pub(crate) fn database(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged { path, why: source.to_string() },
            _ => Self::Database { path, source },
        }
    }

    /// Returns a function that adds the failed action and the path to an I/O error.
    pub(crate) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { action, path, source }
    }
}
