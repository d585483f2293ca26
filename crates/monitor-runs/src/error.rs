//! Errors of starting and managing runs.

use std::io;
use std::path::{Path, PathBuf};

/// Error of starting or managing a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The specification contains no command.
    #[error("there is no command: name one behind `--`")]
    NoCommand,
    /// A folder or file can't be used.
    #[error("the folder {path} {wanted}")]
    Folder {
        /// Path of the folder.
        path: PathBuf,
        /// Description of the failed use.
        wanted: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// A system call failed.
    #[error("could not {action}")]
    System {
        /// Description of the failed action.
        action: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// A configuration file is invalid.
    #[error("{path}: {message}")]
    Config {
        /// Path of the file.
        path: PathBuf,
        /// Mistake and its position.
        message: String,
    },
    /// No detached run has this id.
    #[error("there is no run {id:?}: `monitor detached list` shows all")]
    NoRun {
        /// Requested id.
        id: String,
    },
    /// Several detached runs match.
    #[error("{id:?} may be any of {found}: name more of it")]
    Ambiguous {
        /// Requested prefix.
        id: String,
        /// Matching ids.
        found: String,
    },
    /// A run with this id exists already.
    #[error("there is a run {id:?} already: an id is given once (`monitor detached clear` forgets those that have ended)")]
    Exists {
        /// Id of the run.
        id: String,
    },
    /// An id has invalid syntax.
    #[error("{id:?} can't be the id of a run: 1 to 150 letters, digits, `-`, `_`, `.` and `@`, beginning with a letter, a digit or `_`")]
    BadId {
        /// Requested id.
        id: String,
    },
    /// Another launcher has claimed the run.
    #[error("the run in {folder} was taken by another launcher before")]
    Claimed {
        /// Folder of the run.
        folder: PathBuf,
    },
    /// The launcher of a run was killed before it had started the command.
    #[error("the launcher of the run in {folder} was killed before it had started the command")]
    LauncherKilled {
        /// Folder of the run.
        folder: PathBuf,
    },
    /// The specification is invalid.
    #[error("{what}")]
    BadSpec {
        /// Mistake and remedy.
        what: String,
    },
    /// A file in a run's folder can't be parsed.
    #[error("{path} can't be read: it is damaged, or of another version")]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
    /// The launcher of a detached run ended before the command was started.
    #[error("{message}")]
    NotStarted {
        /// Error message of the launcher.
        message: String,
        /// Exit code of the launcher.
        code: u8,
    },
}

impl RunError {
    /// Returns a function that converts an I/O error of `action`.
    pub fn system(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    /// Creates the error for an unusable folder of runs, or of a single run.
    pub(crate) fn runs_folder(path: &Path, source: io::Error) -> Self {
        Self::Folder { path: path.to_owned(), wanted: "can't be used for detached runs (MONITOR_RUNS_DIR)", source }
    }
}
