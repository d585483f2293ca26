//! Why a command can't be run.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command can't be run at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is nothing to run.
    #[error("there is no command: name one behind `--`")]
    NoCommand,
    /// A folder can't be used.
    #[error("the folder {path} {wanted}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What it can't be used for.
        wanted: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The system refuses something.
    #[error("could not {action}")]
    System {
        /// What.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A configuration can't be used.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// No detached run has this id.
    #[error("there is no run {id:?}: `monitor runs list` shows all")]
    NoRun {
        /// As it was asked for.
        id: String,
    },
    /// More than one detached run is meant.
    #[error("{id:?} may be any of {found}: name more of it")]
    Ambiguous {
        /// As it was asked for.
        id: String,
        /// All that begin so.
        found: String,
    },
    /// A run of this id was started before.
    #[error("there is a run {id:?} already: an id is given once (`monitor runs clear` forgets those that have ended)")]
    Exists {
        /// The id.
        id: String,
    },
    /// An id can't be one.
    #[error("{id:?} can't be the id of a run: 1 to 150 letters, digits, `-`, `_`, `.` and `@`, beginning with a letter, a digit or `_`")]
    BadId {
        /// As it was given.
        id: String,
    },
    /// Another launcher has taken the run.
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
    /// Something that was asked for makes no sense.
    #[error("{what}")]
    BadSpec {
        /// What is wrong, and what to do.
        what: String,
    },
    /// What a run's folder says can't be read.
    #[error("{path} can't be read: it is damaged, or of another version")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The launcher of a detached run ended at once.
    #[error("{message}")]
    NotStarted {
        /// Why.
        message: String,
        /// As the launcher would have ended.
        code: u8,
    },
}

impl RunError {
    /// Says of an error of the system what could not be done.
    pub fn system(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { action, source }
    }

    /// Says of an error that the folder of runs, or of one run, can't be used.
    pub(crate) fn runs_folder(path: &Path, source: io::Error) -> Self {
        Self::Folder { path: path.to_owned(), wanted: "can't be used for detached runs (MONITOR_RUNS_DIR)", source }
    }
}
